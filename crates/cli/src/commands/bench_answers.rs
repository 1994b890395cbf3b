//! `bench answers`: how long an answer takes while questions arrive at a steady rate.
//!
//! Questions arrive when the clock says so, whether the ones before are done or not, and a question's time runs from
//! its arrival: one that waits behind a slow one has waited. (Sending the next only when the last is done would hide
//! just the delays that people notice.)

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use flightdeck_assistant::{Assistant, AssistantError};
use flightdeck_eval::answers::request_of;
use flightdeck_eval::{Latency, read_questions};
use serde::Serialize;

use crate::args::BenchAnswersArgs;
use crate::failure::Failure;
use crate::settings::Config;
use crate::{Verdict, output, workbench};

#[derive(Serialize)]
struct Report {
    questions: usize,
    /// Questions that arrive in a second.
    rate: u32,
    /// Questions answered at the same time, at most.
    workers: usize,
    seconds: f64,
    /// From a question's arrival to its answer, embedding included.
    latency_ms: Latency,
}

/// Runs `bench answers`.
///
/// # Errors
/// When the questions do not fit the format, there is no index, or an answer fails.
pub fn run(config: &Config, args: &BenchAnswersArgs) -> Result<Verdict, Failure> {
    let questions = read_questions(&args.questions)?;
    let day = workbench::today();
    // Customers by id stand in records that are not here; each question is asked for what it says.
    let requests: Vec<_> = questions.iter().map(|question| request_of(question, day)).collect();
    let requests: Vec<_> = requests.into_iter().filter(|request| request.customer_id.is_none()).collect();
    let (store, _) = workbench::open_for_asking(config)?;
    let assistant = Arc::new(Assistant::new(store, None));
    // The first answer pays for pages that are not in memory yet.
    if let Some(request) = requests.first() {
        assistant.preview(request)?;
    }
    let workers = config.threads.max(1);
    let interval = Duration::from_secs(1) / args.rate;
    let next = AtomicUsize::new(0);
    let took = Mutex::new(Vec::with_capacity(requests.len()));
    let started = Instant::now();
    let failures: Vec<AssistantError> = thread::scope(|scope| {
        let work = || -> Result<(), AssistantError> {
            loop {
                let nth = next.fetch_add(1, Ordering::Relaxed);
                let Some(request) = requests.get(nth) else { return Ok(()) };
                let arrival = started + interval * u32::try_from(nth).unwrap_or(u32::MAX);
                thread::sleep(arrival.saturating_duration_since(Instant::now()));
                assistant.preview(request)?;
                took.lock().unwrap_or_else(PoisonError::into_inner).push(arrival.elapsed());
            }
        };
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        handles
            .into_iter()
            .filter_map(|handle| handle.join().expect("a worker does not panic").err())
            .collect()
    });
    if let Some(error) = failures.into_iter().next() {
        return Err(error.into());
    }
    let took = took.into_inner().unwrap_or_else(PoisonError::into_inner);
    let report = Report {
        questions: took.len(),
        rate: args.rate,
        workers,
        seconds: started.elapsed().as_secs_f64(),
        latency_ms: Latency::of(&took),
    };
    if args.output.json {
        output::json(&report)?;
    } else {
        let Latency { p50, p99 } = report.latency_ms;
        output::text(&format!(
            "{} questions at {} a second, {workers} at once: p50 {p50:.1} ms, p99 {p99:.1} ms",
            report.questions, report.rate
        ))?;
    }
    Ok(Verdict::Well)
}
