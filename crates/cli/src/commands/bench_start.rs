//! `bench start`: from the program's start to its first answer, with an index on disk, and the memory it takes at rest.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;

use super::bench_embed::{peak_mb_of, resident_mb_of};
use super::measured::MeasuredServer;
use crate::args::BenchStartArgs;
use crate::failure::Failure;
use crate::settings::Config;
use crate::{Verdict, output};

/// Between two looks whether it is ready.
const LOOK_EVERY: Duration = Duration::from_millis(2);

#[derive(Serialize)]
struct Report {
    runs: u32,
    /// From the start of `serve` until `/readyz` says yes.
    ready_ms: Spread,
    /// From the same moment until the first question is answered.
    first_answer_ms: Spread,
    /// In memory when it has had nothing to do for a while, nothing asked since its start, in MiB.
    rest_mb: Option<Spread>,
    /// The most that it took, in MiB.
    peak_mb: Option<Spread>,
}

#[derive(Serialize)]
struct Spread {
    least: f64,
    median: f64,
    most: f64,
}

impl Spread {
    fn of(mut figures: Vec<f64>) -> Option<Self> {
        figures.sort_by(f64::total_cmp);
        let (least, most) = (*figures.first()?, *figures.last()?);
        Some(Self { least, median: figures[figures.len() / 2], most })
    }
}

/// Runs `bench start`.
///
/// # Errors
/// When the server does not start or does not answer.
pub fn run(config: &Config, args: &BenchStartArgs) -> Result<Verdict, Failure> {
    // The first makes the index, if there is none, and brings the files into the system's memory.
    start(config)?;
    let (mut ready, mut answered, mut rest, mut peak) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..args.runs {
        let started = Instant::now();
        let server = start(config)?;
        ready.push(started.elapsed().as_secs_f64() * 1000.0);
        let question = json!({"message": args.question, "audience": "internal"});
        let (status, body) = server
            .request("POST", "/api/v1/chat", Some(&question))
            .map_err(|error| failed(&error.to_string()))?;
        if status != 200 {
            return Err(failed(&body));
        }
        answered.push(started.elapsed().as_secs_f64() * 1000.0);
        drop(server);
        let server = start(config)?;
        thread::sleep(Duration::from_secs(args.rest));
        let process = server.id().to_string();
        rest.extend(resident_mb_of(&process));
        peak.extend(peak_mb_of(&process));
    }
    let no_run = || failed("no run");
    let report = Report {
        runs: args.runs,
        ready_ms: Spread::of(ready).ok_or_else(no_run)?,
        first_answer_ms: Spread::of(answered).ok_or_else(no_run)?,
        rest_mb: Spread::of(rest),
        peak_mb: Spread::of(peak),
    };
    if args.output.json {
        output::json(&report)?;
    } else {
        let row = |name: &str, figures: &Spread, unit: &str| {
            let Spread { least, median, most } = figures;
            output::text(&format!("{name}: {median:.0} {unit} ({least:.0} to {most:.0})"))
        };
        row("ready", &report.ready_ms, "ms")?;
        row("first answer", &report.first_answer_ms, "ms")?;
        if let (Some(rest), Some(peak)) = (&report.rest_mb, &report.peak_mb) {
            row("memory at rest", rest, "MiB")?;
            row("memory at most", peak, "MiB")?;
        }
    }
    Ok(Verdict::Well)
}

/// A server that is ready.
fn start(config: &Config) -> Result<MeasuredServer, Failure> {
    let mut command = Command::new(&config.program);
    command.arg("serve").args(["--listen", "127.0.0.1:0"]);
    command.arg("--knowledge").arg(&config.knowledge).arg("--data").arg(&config.data);
    let server = MeasuredServer::start(command)?;
    while server.request("GET", "/readyz", None).map_err(|error| failed(&error.to_string()))?.0 != 200 {
        thread::sleep(LOOK_EVERY);
    }
    Ok(server)
}

fn failed(why: &str) -> Failure {
    Failure::new(format!("the start could not be measured: {why}"), format!("启动没有测成：{why}"))
}
