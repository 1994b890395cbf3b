//! `bench search`: latency, throughput, recall, size and load time of the index.
//!
//! Either over the knowledge folder with the configured model, or over made-up passages with made-up vectors, which
//! measures the index alone and at any size. Recall compares the vector search as configured with an exact scan; where
//! the set is so small that the scan is what is configured, the two are one.

mod synthetic;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use flightdeck_corpus::Audience;
use flightdeck_eval::Latency;
use flightdeck_models::Embedder;
use flightdeck_retrieval::{Access, Filters, Index, Mode, Query, RetrievalError, Store};
use serde::Serialize;

use super::bench_embed::peak_mb;
use crate::args::JsonArgs;
use crate::failure::Failure;
use crate::progress::UpdateBar;
use crate::settings::Config;
use crate::{Verdict, output, workbench};

const TOP_K: usize = 10;
const MOST_QUERIES: usize = 300;
/// Each query is asked this often for the throughput, so that short sets give a steady figure.
const THROUGHPUT_ROUNDS: usize = 3;

#[derive(Serialize)]
struct Report {
    source: &'static str,
    model: String,
    documents: usize,
    chunks: usize,
    queries: usize,
    lexical_ms: Latency,
    vector_ms: Latency,
    hybrid_ms: Latency,
    /// Hybrid searches a second, asked from all threads.
    throughput_per_second: f64,
    threads: usize,
    /// Share of the exact ten nearest that the vector search finds.
    recall_at_10: f64,
    index_bytes: u64,
    load_seconds: f64,
    /// Time to make the index; `null` where it was there.
    build_seconds: Option<f64>,
    peak_mb: Option<f64>,
}

/// Runs `bench search`.
///
/// # Errors
/// When the index cannot be made or asked.
pub fn run(config: &Config, synthetic: Option<u32>, args: JsonArgs) -> Result<Verdict, Failure> {
    let report = match synthetic {
        Some(n) => over_synthetic(config, n as usize)?,
        None => over_knowledge(config)?,
    };
    if args.json {
        output::json(&report)?;
        return Ok(Verdict::Well);
    }
    let latency = |latency: Latency| format!("{:.2} / {:.2} ms", latency.p50, latency.p99);
    let rows = [
        ("source", format!("{}, {}", report.source, report.model)),
        ("size", format!("{} documents, {} chunks", report.documents, report.chunks)),
        ("lexical p50 / p99", latency(report.lexical_ms)),
        ("vector p50 / p99", latency(report.vector_ms)),
        ("hybrid p50 / p99", latency(report.hybrid_ms)),
        (
            "throughput",
            format!("{:.0} searches/s from {} threads", report.throughput_per_second, report.threads),
        ),
        ("recall@10", format!("{:.4} of exact search", report.recall_at_10)),
        ("index", format!("{:.1} MiB on disk", report.index_bytes as f64 / f64::from(1 << 20))),
        ("load", format!("{:.2} s", report.load_seconds)),
        ("build", report.build_seconds.map_or_else(|| "–".to_owned(), |s| format!("{s:.2} s"))),
    ];
    output::text(&output::table(&rows.map(|(name, value)| vec![name.to_owned(), value])))?;
    Ok(Verdict::Well)
}

fn over_knowledge(config: &Config) -> Result<Report, Failure> {
    let (store, index) = workbench::open_for_asking(config)?;
    let day = workbench::today();
    let mut seen = HashSet::new();
    let queries: Vec<String> = index
        .served(Audience::Internal, day)
        .map(|document| document.title.clone())
        .filter(|title| !title.trim().is_empty() && seen.insert(title.clone()))
        .take(MOST_QUERIES)
        .collect();
    let setup = Setup { source: "knowledge", data: &config.data, build_seconds: None, queries };
    measure(config, &setup, &index, store.embedder())
}

fn over_synthetic(config: &Config, n: usize) -> Result<Report, Failure> {
    let embedder: Arc<dyn Embedder> = Arc::new(synthetic::WordVectors::default());
    let made = synthetic::make(n, MOST_QUERIES);
    let scratch = Scratch::new(&config.data, &format!("synthetic-{n}"))?;
    let started = Instant::now();
    let store = Store::open_with(scratch.path(), Access::Write, embedder.clone(), config.retrieval)?;
    let bar = UpdateBar::new(config.language);
    store.publish(&made.corpus, &|progress| bar.show(progress))?;
    let build_seconds = Some(started.elapsed().as_secs_f64());
    let index = store.current().ok_or(flightdeck_assistant::AssistantError::NoIndex)?;
    drop(bar);
    let setup = Setup { source: "synthetic", data: scratch.path(), build_seconds, queries: made.queries };
    measure(config, &setup, &index, &embedder)
}

struct Setup<'a> {
    source: &'static str,
    data: &'a Path,
    build_seconds: Option<f64>,
    queries: Vec<String>,
}

fn measure(
    config: &Config,
    setup: &Setup<'_>,
    index: &Index,
    embedder: &Arc<dyn Embedder>,
) -> Result<Report, Failure> {
    if setup.queries.is_empty() {
        return Err(Failure::new(
            "there is nothing to search for: no document is served today; add some to the knowledge folder",
            "没有可搜索的内容：今天没有可用的文档；请先往知识文件夹里放资料",
        ));
    }
    // Vectors first: its queries must not be remembered from the hybrid round.
    let vector_ms = latency_of(index, &setup.queries, Mode::Vector)?;
    let lexical_ms = latency_of(index, &setup.queries, Mode::Lexical)?;
    // Longer by one blank, so that a remembered question vector does not flatter the hybrid figure.
    let fresh: Vec<String> = setup.queries.iter().map(|query| format!("{query} ")).collect();
    let hybrid_ms = latency_of(index, &fresh, Mode::Hybrid)?;
    let started = Instant::now();
    drop(Store::open_with(setup.data, Access::Read, embedder.clone(), config.retrieval)?);
    let load_seconds = started.elapsed().as_secs_f64();
    let summary = index.summary();
    Ok(Report {
        source: setup.source,
        model: summary.model.clone(),
        documents: summary.documents,
        chunks: summary.chunks,
        queries: setup.queries.len(),
        lexical_ms,
        vector_ms,
        hybrid_ms,
        throughput_per_second: throughput(index, &setup.queries, config.threads)?,
        threads: config.threads,
        recall_at_10: recall(index, &setup.queries)?,
        index_bytes: folder_bytes(&setup.data.join("index").join(&summary.generation)),
        load_seconds,
        build_seconds: setup.build_seconds,
        peak_mb: peak_mb(),
    })
}

fn query(text: &str, mode: Mode) -> Query {
    Query {
        text: text.to_owned(),
        audience: Audience::Internal,
        day: workbench::today(),
        filters: Filters::default(),
        mode,
        top_k: TOP_K,
    }
}

fn latency_of(index: &Index, queries: &[String], mode: Mode) -> Result<Latency, RetrievalError> {
    // Files that are not in memory yet would make the first searches slow; that is the load time's business.
    index.search(&query("warm-up", mode))?;
    let mut took = Vec::with_capacity(queries.len());
    for text in queries {
        let query = query(text, mode);
        let started = Instant::now();
        index.search(&query)?;
        took.push(started.elapsed());
    }
    Ok(Latency::of(&took))
}

fn recall(index: &Index, queries: &[String]) -> Result<f64, RetrievalError> {
    let mut found = 0;
    let mut wanted = 0;
    // A search moves replaced documents back on purpose; what it puts in their place is no miss.
    let replaced = index.replaced(Audience::Internal, workbench::today());
    for text in queries {
        let query = query(text, Mode::Vector);
        let mut nearest = index.exact_neighbours(&query)?;
        nearest.retain(|(chunk, _)| !replaced.contains(&chunk.document));
        let ids: HashSet<_> =
            index.search(&query)?.into_iter().map(|passage| passage.chunk.id.clone()).collect();
        wanted += nearest.len();
        found += nearest.iter().filter(|(chunk, _)| ids.contains(&chunk.id)).count();
    }
    Ok(found as f64 / wanted.max(1) as f64)
}

fn throughput(index: &Index, queries: &[String], threads: usize) -> Result<f64, RetrievalError> {
    let total = queries.len() * THROUGHPUT_ROUNDS;
    let next = AtomicUsize::new(0);
    let started = Instant::now();
    let ask_until_done = || -> Result<(), RetrievalError> {
        loop {
            let idx = next.fetch_add(1, Ordering::Relaxed);
            if idx >= total {
                return Ok(());
            }
            // Every question is new to the model, as the questions of many people would be.
            index.search(&query(&format!("{} {idx}", queries[idx % queries.len()]), Mode::Hybrid))?;
        }
    };
    std::thread::scope(|scope| -> Result<(), RetrievalError> {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(ask_until_done)).collect();
        for worker in workers {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok(())
    })?;
    Ok(total as f64 / started.elapsed().as_secs_f64())
}

/// The size of all files below a folder.
pub fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .filter_map(Result::ok)
        .map(|entry| {
            let path = entry.path();
            if path.is_dir() { folder_bytes(&path) } else { entry.metadata().map_or(0, |file| file.len()) }
        })
        .sum()
}

/// A folder under the data folder that is gone when the benchmark ends.
pub struct Scratch(std::path::PathBuf);

impl Scratch {
    /// Makes it empty, below `DATA/bench`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(data: &Path, name: &str) -> Result<Self, Failure> {
        let path = data.join("bench").join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).map_err(|error| {
            Failure::new(
                format!("cannot create {}: {error}; name a writable folder with --data DIR", path.display()),
                format!("无法创建 {}：{error}；请用 --data DIR 指定可写的文件夹", path.display()),
            )
        })?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
        // Goes only when it is empty, which it is after the last.
        let _ = self.0.parent().map(std::fs::remove_dir);
    }
}
