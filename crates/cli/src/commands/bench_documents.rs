//! `bench documents`: what a large folder costs, and what a change in it costs while people ask.
//!
//! Everything is measured from outside, as a person has it: the folder is made, `index` runs as a process of its own,
//! then `serve`, and a change counts as done when a search over HTTP shows it. Questions arrive when the clock says so,
//! as in `bench answers`, so that one that waits behind another has waited.

mod made;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use flightdeck_eval::Latency;
use serde::Serialize;
use serde_json::{Value, json};

use super::bench_embed::peak_mb_of;
use super::bench_search::{Scratch, folder_bytes};
use super::measured::MeasuredServer;
use crate::args::BenchDocumentsArgs;
use crate::failure::Failure;
use crate::progress::UpdateBar;
use crate::settings::Config;
use crate::{Verdict, output};

/// Changes of each sort whose times are taken.
const CHANGES: u32 = 7;
/// Between two searches for something that is awaited.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// A change that is not found by then is a failure.
const PATIENCE: Duration = Duration::from_mins(5);
/// The first index of a large folder on a small machine takes hours.
const LONG_PATIENCE: Duration = Duration::from_hours(12);
/// Questions that are in work at the same time, at most.
const ASKERS: usize = 8;
/// One question in so many is answered, the others are searched for.
const CHAT_EVERY: u32 = 4;

#[derive(Serialize)]
struct Report {
    files: u32,
    knowledge_bytes: u64,
    /// `null` where the folder that was kept had an index already.
    first_index: Option<FirstIndex>,
    /// Of the index and the embeddings that are kept.
    index_bytes: u64,
    documents: u64,
    passages: u64,
    /// From the start of `serve` to its first answer.
    start_seconds: f64,
    changed: Change,
    renamed: Change,
    deleted: Change,
    at_rest: Latencies,
    while_indexing: Latencies,
    /// Updates that were made while questions arrived, and documents saved for them.
    updates_meanwhile: u64,
    saved_meanwhile: u32,
    server_peak_mb: Option<f64>,
}

#[derive(Serialize)]
struct FirstIndex {
    seconds: f64,
    documents_per_second: f64,
    passages_per_second: f64,
    peak_mb: Option<f64>,
}

/// Seconds from saving to finding, and passages embedded for it.
#[derive(Serialize)]
struct Change {
    n: u32,
    median_seconds: f64,
    longest_seconds: f64,
    embedded: u64,
}

#[derive(Serialize)]
struct Latencies {
    questions: usize,
    search_ms: Latency,
    chat_ms: Latency,
}

/// Runs `bench documents`.
///
/// # Errors
/// When the folder cannot be made, or a process that is measured fails.
pub fn run(config: &Config, args: &BenchDocumentsArgs) -> Result<Verdict, Failure> {
    let scratch = match &args.keep {
        Some(_) => None,
        None => Some(Scratch::new(&config.data, &format!("documents-{}", args.documents))?),
    };
    let folder = scratch.as_ref().map(Scratch::path).or(args.keep.as_deref()).unwrap_or(&config.data);
    let place =
        Place { program: &config.program, knowledge: folder.join("knowledge"), data: folder.join("data") };
    let bar = UpdateBar::new(config.language);
    make(&place.knowledge, args.documents, &bar)?;
    let had_index = place.data.join("index").join("CURRENT").exists();
    let first_index = if had_index { None } else { Some(place.first_index()?) };
    drop(bar);

    let server = Server::start(&place)?;
    let metrics = server.metrics()?;
    let (documents, passages) =
        (metrics.of("flightdeck_index_documents"), metrics.of("flightdeck_index_chunks"));
    let start_seconds = server.started_seconds;
    let places = spread_files(&place.knowledge, args.documents);
    if places.is_empty() {
        return Err(Failure::new(
            format!("nothing made is left in {}; delete it and start again", place.knowledge.display()),
            format!("{} 里已没有生成的文档；请删除后重试", place.knowledge.display()),
        ));
    }
    let mut tour = Tour { server: &server, places };
    let changed = tour.change()?;
    let renamed = tour.rename()?;
    let deleted = tour.delete()?;
    let seconds = Duration::from_secs(u64::from(args.seconds));
    let at_rest = ask(&server, args, seconds, 0)?;
    let before = server.metrics()?.of("flightdeck_index_updates_total");
    let (while_indexing, saved_meanwhile) = ask_while_saving(&server, &place.knowledge, args, seconds)?;
    let updates_meanwhile = server.metrics()?.of("flightdeck_index_updates_total") - before;
    let report = Report {
        files: args.documents,
        knowledge_bytes: folder_bytes(&place.knowledge),
        first_index,
        index_bytes: folder_bytes(&place.data),
        documents,
        passages,
        start_seconds,
        changed,
        renamed,
        deleted,
        at_rest,
        while_indexing,
        updates_meanwhile,
        saved_meanwhile,
        server_peak_mb: server.peak_mb(),
    };
    drop(server);
    if args.output.json {
        output::json(&report)?;
    } else {
        output::text(&output::table(&rows(&report)))?;
    }
    Ok(Verdict::Well)
}

fn rows(report: &Report) -> Vec<Vec<String>> {
    let mib = |bytes: u64| format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20));
    let peak = |mb: Option<f64>| mb.map_or_else(|| "–".to_owned(), |mb| format!("{mb:.0} MiB"));
    let change = |change: &Change| {
        format!(
            "median {:.2} s, longest {:.2} s, of {}; {} passages embedded",
            change.median_seconds, change.longest_seconds, change.n, change.embedded
        )
    };
    let latency = |latency: Latency| format!("{:.1} / {:.1} ms", latency.p50, latency.p99);
    let first = report.first_index.as_ref().map_or_else(
        || "was there".to_owned(),
        |first| {
            format!(
                "{:.0} s, {:.1} documents/s, {:.1} passages/s, peak {}",
                first.seconds,
                first.documents_per_second,
                first.passages_per_second,
                peak(first.peak_mb)
            )
        },
    );
    let (rest, busy) = (&report.at_rest, &report.while_indexing);
    let ratio = |busy: Latency, rest: Latency| format!("{:.2}", busy.p99 / rest.p99.max(f64::MIN_POSITIVE));
    let rows = [
        ("files", format!("{}, {}", report.files, mib(report.knowledge_bytes))),
        ("in the index", format!("{} documents, {} passages", report.documents, report.passages)),
        ("first index", first),
        ("on disk", mib(report.index_bytes)),
        ("server ready", format!("{:.2} s", report.start_seconds)),
        ("a change is found", change(&report.changed)),
        ("a rename is found", change(&report.renamed)),
        ("a deletion is gone", change(&report.deleted)),
        ("search at rest, p50 / p99", format!("{}, {} questions", latency(rest.search_ms), rest.questions)),
        ("search while indexing", format!("{}, {} questions", latency(busy.search_ms), busy.questions)),
        ("answer at rest", latency(rest.chat_ms)),
        ("answer while indexing", latency(busy.chat_ms)),
        (
            "p99 while indexing / at rest",
            format!(
                "search {}, answer {}",
                ratio(busy.search_ms, rest.search_ms),
                ratio(busy.chat_ms, rest.chat_ms)
            ),
        ),
        (
            "indexed meanwhile",
            format!("{} updates, {} documents saved", report.updates_meanwhile, report.saved_meanwhile),
        ),
        ("server's peak memory", peak(report.server_peak_mb)),
    ];
    rows.map(|(name, value)| vec![name.to_owned(), value]).into()
}

/// Writes what is not there yet.
fn make(knowledge: &Path, n: u32, bar: &UpdateBar) -> Result<(), Failure> {
    if knowledge.exists() {
        return Ok(());
    }
    bar.count(n as usize, "Making documents", "生成文档");
    for number in 0..n {
        let made::MadeFile { path, text } = made::file(number);
        let place = knowledge.join(path);
        if let Some(parent) = place.parent() {
            std::fs::create_dir_all(parent).map_err(|error| cannot_write(parent, &error))?;
        }
        save(&place, &text)?;
        bar.done(number as usize);
    }
    Ok(())
}

fn save(place: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(place, text).map_err(|error| cannot_write(place, &error))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        format!("cannot write {}: {error}; name a writable folder with --keep DIR", path.display()),
        format!("无法写入 {}：{error}；请用 --keep DIR 指定可写的文件夹", path.display()),
    )
}

fn failed(what: &str, why: &str) -> Failure {
    Failure::new(
        format!("the process that is measured failed at {what}: {why}"),
        format!("被测进程出错（{what}）：{why}"),
    )
}

struct Place<'a> {
    program: &'a Path,
    knowledge: PathBuf,
    data: PathBuf,
}

impl Place<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        command.args(arguments).arg("--knowledge").arg(&self.knowledge).arg("--data").arg(&self.data);
        command.stdin(Stdio::null());
        command
    }

    fn first_index(&self) -> Result<FirstIndex, Failure> {
        let failed = |why: &str| failed("index", why);
        let mut command = self.command(&["index", "--json"]);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|error| failed(&error.to_string()))?;
        let process = child.id().to_string();
        let printed = child.stdout.take().map(|mut from| {
            thread::spawn(move || {
                let mut text = String::new();
                from.read_to_string(&mut text).map(|_| text)
            })
        });
        let started = Instant::now();
        let mut peak_mb = None;
        let status = loop {
            peak_mb = peak_mb_of(&process).or(peak_mb);
            if let Some(status) = child.try_wait().map_err(|error| failed(&error.to_string()))? {
                break status;
            }
            if started.elapsed() > LONG_PATIENCE {
                let _ = child.kill();
                return Err(failed("it does not end"));
            }
            thread::sleep(LOOK_EVERY);
        };
        let text = printed.and_then(|printed| printed.join().ok()?.ok()).unwrap_or_default();
        if !status.success() {
            return Err(failed(&status.to_string()));
        }
        let report: Value = serde_json::from_str(&text).map_err(|error| failed(&error.to_string()))?;
        let number = |name: &str| report[name].as_f64().unwrap_or_default();
        let seconds = number("seconds");
        Ok(FirstIndex {
            seconds,
            documents_per_second: number("documents") / seconds,
            passages_per_second: number("chunks") / seconds,
            peak_mb,
        })
    }
}

/// A server that is measured.
struct Server {
    process: MeasuredServer,
    started_seconds: f64,
}

impl Server {
    fn start(place: &Place<'_>) -> Result<Self, Failure> {
        let started = Instant::now();
        let process = MeasuredServer::start(place.command(&["serve", "--listen", "127.0.0.1:0"]))?;
        let mut server = Self { process, started_seconds: 0.0 };
        server.wait_for("a ready server", LONG_PATIENCE, |server| {
            Ok(server.request("GET", "/readyz", None)?.0 == 200)
        })?;
        server.started_seconds = started.elapsed().as_secs_f64();
        // What is searched first pays for what is not in memory yet.
        server.ask("/api/v1/chat", &json!({"message": "你好", "audience": "internal"}))?;
        Ok(server)
    }

    fn peak_mb(&self) -> Option<f64> {
        peak_mb_of(&self.process.id().to_string())
    }

    /// Status and body of a reply.
    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, String), Failure> {
        self.process.request(method, path, body).map_err(|error| failed(path, &error.to_string()))
    }

    fn ask(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        match self.request("POST", path, Some(body))? {
            (200, body) => serde_json::from_str(&body).map_err(|error| failed(path, &error.to_string())),
            (status, body) => Err(failed(path, &format!("{status} {body}"))),
        }
    }

    fn hits(&self, query: &str) -> Result<Vec<Value>, Failure> {
        let reply =
            self.ask("/api/v1/search", &json!({"query": query, "audience": "internal", "top_k": 3}))?;
        Ok(reply["hits"].as_array().cloned().unwrap_or_default())
    }

    fn metrics(&self) -> Result<Metrics, Failure> {
        Ok(Metrics(self.request("GET", "/metrics", None)?.1))
    }

    fn wait_for(
        &self,
        what: &str,
        patience: Duration,
        is_there: impl Fn(&Self) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let started = Instant::now();
        while !is_there(self)? {
            if started.elapsed() > patience {
                return Err(failed(what, "waited in vain"));
            }
            thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }
}

/// What `/metrics` says.
struct Metrics(String);

impl Metrics {
    /// The number of this name; 0 where it was never counted.
    fn of(&self, name: &str) -> u64 {
        let line = self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.trim().parse::<f64>().ok()).map_or(0, |value| value as u64)
    }
}

/// The documents changed one after the other, each time until a search shows it.
struct Tour<'a> {
    server: &'a Server,
    /// The files that are changed, [`CHANGES`] of them.
    places: Vec<PathBuf>,
}

impl Tour<'_> {
    fn change(&mut self) -> Result<Change, Failure> {
        self.measure(|tour, nth| {
            let (place, mark) = (&tour.places[nth as usize], mark("改", nth));
            append(place, &mark)?;
            tour.until_found(&mark, |hit| hit["text"].as_str().is_some_and(|text| text.contains(&mark)))
        })
    }

    fn rename(&mut self) -> Result<Change, Failure> {
        self.measure(|tour, nth| {
            let (place, mark) = (&tour.places[nth as usize], mark("改", nth));
            let name = format!("renamed-{}-{nth}.md", run_number());
            std::fs::rename(place, place.with_file_name(&name))
                .map_err(|error| cannot_write(place, &error))?;
            tour.until_found(&mark, |hit| {
                hit["document"]["path"].as_str().is_some_and(|path| path.ends_with(&name))
            })?;
            Ok(())
        })
    }

    fn delete(&mut self) -> Result<Change, Failure> {
        self.measure(|tour, nth| {
            let (place, mark) = (&tour.places[nth as usize], mark("改", nth));
            let name = format!("renamed-{}-{nth}.md", run_number());
            let place = place.with_file_name(name);
            std::fs::remove_file(&place).map_err(|error| cannot_write(&place, &error))?;
            tour.server.wait_for("a deleted document to go", PATIENCE, |server| {
                let is_it = |hit: &Value| hit["text"].as_str().is_some_and(|text| text.contains(&mark));
                Ok(!server.hits(&mark)?.iter().any(is_it))
            })
        })
    }

    fn until_found(&self, query: &str, is_it: impl Fn(&Value) -> bool) -> Result<(), Failure> {
        self.server
            .wait_for("a change to be found", PATIENCE, |server| Ok(server.hits(query)?.iter().any(&is_it)))
    }

    fn measure(&mut self, one: impl Fn(&Self, u32) -> Result<(), Failure>) -> Result<Change, Failure> {
        let embedded = || Ok::<_, Failure>(self.server.metrics()?.of("flightdeck_embedded_chunks_total"));
        let before = embedded()?;
        let mut took = Vec::new();
        for nth in 0..self.places.len() as u32 {
            self.rest()?;
            let started = Instant::now();
            one(self, nth)?;
            took.push(started.elapsed().as_secs_f64());
        }
        self.rest()?;
        took.sort_by(f64::total_cmp);
        Ok(Change {
            n: took.len() as u32,
            median_seconds: took[took.len() / 2],
            longest_seconds: took[took.len() - 1],
            embedded: embedded()? - before,
        })
    }

    /// Waits until nothing has been indexed for a while: the work behind one change is no part of the next.
    fn rest(&self) -> Result<(), Failure> {
        const QUIET: Duration = Duration::from_millis(800);
        let mut last = self.server.metrics()?.of("flightdeck_index_updates_total");
        loop {
            thread::sleep(QUIET);
            let now = self.server.metrics()?.of("flightdeck_index_updates_total");
            if now == last {
                return Ok(());
            }
            last = now;
        }
    }
}

/// [`CHANGES`] Markdown files, spread over the folder and its kinds.
fn spread_files(knowledge: &Path, n: u32) -> Vec<PathBuf> {
    let every = (n / (2 * CHANGES)).max(1) as usize;
    let numbers = (0..every as u32).flat_map(|first| (first..n).step_by(every));
    let there = numbers.map(|number| knowledge.join(made::file(number).path));
    there
        .filter(|place| place.extension().is_some_and(|end| end == "md") && place.exists())
        .take(CHANGES as usize)
        .collect()
}

fn append(place: &Path, mark: &str) -> Result<(), Failure> {
    let text = std::fs::read_to_string(place).map_err(|error| Failure::unreadable(place, &error))?;
    save(place, &format!("{}\n\n补充说明：本次更新的代号是 {mark}，由市场部登记。\n", text.trim_end()))
}

/// A word that stands in one document only.
fn mark(sort: &str, nth: u32) -> String {
    let letters = ["QX", "WZ", "KV", "JY", "BH", "FD", "GP"];
    format!("{sort}{}{}{}", letters[nth as usize % letters.len()], run_number(), 100 + nth)
}

/// Tells the changes of this run from those of an earlier one in the same folder.
fn run_number() -> u32 {
    std::process::id() % 10_000
}

/// Questions at a steady rate for a while; those of `round` are not those of another.
fn ask(
    server: &Server,
    args: &BenchDocumentsArgs,
    seconds: Duration,
    round: u32,
) -> Result<Latencies, Failure> {
    let n_questions = (seconds.as_secs_f64() * f64::from(args.rate)).round() as u32;
    let interval = Duration::from_secs(1) / args.rate;
    let next = AtomicU32::new(0);
    let (searches, chats) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let started = Instant::now();
    let work = || -> Result<(), Failure> {
        loop {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            if nth >= n_questions {
                return Ok(());
            }
            let arrival = started + interval * nth;
            thread::sleep(arrival.saturating_duration_since(Instant::now()));
            let about = (round * n_questions + nth).wrapping_mul(7919) % args.documents;
            let question = made::question(about, nth);
            let took = if nth.is_multiple_of(CHAT_EVERY) {
                server.ask("/api/v1/chat", &json!({"message": question, "audience": "internal"}))?;
                &chats
            } else {
                server.ask("/api/v1/search", &json!({"query": question, "audience": "internal"}))?;
                &searches
            };
            took.lock().unwrap_or_else(PoisonError::into_inner).push(arrival.elapsed());
        }
    };
    thread::scope(|scope| {
        let askers: Vec<_> = (0..ASKERS).map(|_| scope.spawn(work)).collect();
        askers
            .into_iter()
            .try_for_each(|asker| asker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    let of =
        |took: Mutex<Vec<Duration>>| Latency::of(&took.into_inner().unwrap_or_else(PoisonError::into_inner));
    Ok(Latencies { questions: n_questions as usize, search_ms: of(searches), chat_ms: of(chats) })
}

/// As [`ask`], while batches of documents are saved, each as soon as the one before is in the index. Also how many
/// were saved.
fn ask_while_saving(
    server: &Server,
    knowledge: &Path,
    args: &BenchDocumentsArgs,
    seconds: Duration,
) -> Result<(Latencies, u32), Failure> {
    let is_over = Arc::new(AtomicBool::new(false));
    thread::scope(|scope| {
        let saver = {
            let is_over = Arc::clone(&is_over);
            scope.spawn(move || -> Result<u32, Failure> {
                let mut n_saved = 0;
                let mut number = 0;
                while !is_over.load(Ordering::Relaxed) {
                    let before = server.metrics()?.of("flightdeck_index_updates_total");
                    for _ in 0..args.batch {
                        let place = knowledge.join(made::file(number % args.documents).path);
                        number += 1;
                        if place.exists() {
                            append(&place, &mark("批", number))?;
                            n_saved += 1;
                        }
                    }
                    while server.metrics()?.of("flightdeck_index_updates_total") == before
                        && !is_over.load(Ordering::Relaxed)
                    {
                        thread::sleep(LOOK_EVERY);
                    }
                }
                Ok(n_saved)
            })
        };
        let asked = ask(server, args, seconds, 1);
        is_over.store(true, Ordering::Relaxed);
        let n_saved = saver.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok((asked?, n_saved))
    })
}
