//! `bench embed`: how fast the configured model computes on this machine.

use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;

use flightdeck_eval::Latency;
use flightdeck_models::{Embedder, Kernel, LoadOptions, cpu_time};
use serde::Serialize;

use crate::args::JsonArgs;
use crate::failure::Failure;
use crate::progress::UpdateBar;
use crate::settings::Config;
use crate::{Verdict, output};

/// Questions timed one by one.
const MOST_QUESTIONS: usize = 256;
/// A question is about this long; the texts' beginnings stand for them.
const QUESTION_CHARS: usize = 24;

#[derive(Serialize)]
struct Report {
    model: String,
    texts: usize,
    /// As the model counts them, without prefixes and special tokens.
    tokens: usize,
    seconds: f64,
    texts_per_second: f64,
    tokens_per_second: f64,
    query_ms: Latency,
    /// Most memory that the process ever held, in MiB; `null` where the system does not tell.
    peak_mb: Option<f64>,
    kernel: String,
    threads: usize,
    load_seconds: f64,
    /// What a second of one core computes, however many others want it; `null` where the system does not tell.
    texts_per_cpu_second: Option<f64>,
}

/// What to measure, and how.
pub struct Task<'a> {
    /// One text a line.
    pub texts: &'a Path,
    /// Threads, if not those of the settings.
    pub threads: Option<u16>,
    /// How to compute.
    pub kernel: Kernel,
    /// Where to put the vectors, `f32`, little-endian, row after row.
    pub vectors: Option<&'a Path>,
}

/// Runs `bench embed`.
///
/// # Errors
/// When the file has no text or the model fails.
pub fn run(config: &Config, task: &Task<'_>, args: JsonArgs) -> Result<Verdict, Failure> {
    let file = task.texts;
    let content = std::fs::read_to_string(file).map_err(|error| Failure::unreadable(file, &error))?;
    let texts: Vec<&str> = content.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if texts.is_empty() {
        return Err(Failure::new(
            format!("{} holds no text; put one text on each line", file.display()),
            format!("{} 里没有文本；请每行放一段文本", file.display()),
        ));
    }
    let threads = task.threads.map_or(config.threads, usize::from);
    let started = Instant::now();
    let embedder = flightdeck_models::load_with(&config.model, LoadOptions { threads, kernel: task.kernel })?;
    let load_seconds = started.elapsed().as_secs_f64();
    // The first call pays for pages that are not in memory yet.
    embedder.embed_query("warm-up")?;

    let mut took = Vec::new();
    let mut asked = HashSet::new();
    for text in &texts {
        let question: String = text.chars().take(QUESTION_CHARS).collect();
        // A question that was asked before may be remembered, which is not what is measured.
        if took.len() < MOST_QUESTIONS && asked.insert(question.clone()) {
            let started = Instant::now();
            embedder.embed_query(&question)?;
            took.push(started.elapsed());
        }
    }

    let bar = UpdateBar::new(config.language);
    bar.count(texts.len(), "Embedding", "计算向量");
    let (started, computed) = (Instant::now(), cpu_time());
    let vectors = embedder.embed_passages(&texts, &|done| {
        bar.done(done);
        true
    })?;
    let seconds = started.elapsed().as_secs_f64();
    let cpu_seconds = computed
        .zip(cpu_time())
        .map(|(before, after)| after.saturating_sub(before).as_secs_f64())
        .filter(|s| *s > 0.0);
    drop(bar);
    if let Some(path) = task.vectors {
        let bytes: Vec<u8> = vectors.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
        std::fs::write(path, bytes).map_err(|error| {
            Failure::new(
                format!("cannot write {}: {error}", path.display()),
                format!("无法写入 {}：{error}", path.display()),
            )
        })?;
    }
    let tokens: usize = texts.iter().map(|text| embedder.count_tokens(text)).sum();
    let report = Report {
        model: embedder.id().to_owned(),
        texts: texts.len(),
        tokens,
        seconds,
        texts_per_second: texts.len() as f64 / seconds,
        tokens_per_second: tokens as f64 / seconds,
        query_ms: Latency::of(&took),
        peak_mb: peak_mb(),
        kernel: embedder.kernel().to_owned(),
        threads,
        load_seconds,
        texts_per_cpu_second: cpu_seconds.map(|seconds| texts.len() as f64 / seconds),
    };
    if args.json {
        output::json(&report)?;
    } else {
        let rows = [
            ("model", report.model.clone()),
            ("kernel", format!("{}, {} threads", report.kernel, report.threads)),
            ("texts", format!("{} ({} tokens) in {:.2} s", report.texts, report.tokens, report.seconds)),
            (
                "speed",
                format!("{:.1} texts/s, {:.0} tokens/s", report.texts_per_second, report.tokens_per_second),
            ),
            (
                "a core",
                report
                    .texts_per_cpu_second
                    .map_or_else(|| "–".to_owned(), |n| format!("{n:.1} texts a CPU second")),
            ),
            ("query p50 / p99", format!("{:.2} / {:.2} ms", report.query_ms.p50, report.query_ms.p99)),
            ("peak memory", report.peak_mb.map_or_else(|| "–".to_owned(), |mb| format!("{mb:.0} MiB"))),
            ("load", format!("{:.2} s", report.load_seconds)),
        ];
        output::text(&output::table(&rows.map(|(name, value)| vec![name.to_owned(), value])))?;
    }
    Ok(Verdict::Well)
}

/// This process's largest resident size so far, in MiB; `None` where the system does not tell.
pub fn peak_mb() -> Option<f64> {
    peak_mb_of("self")
}

/// As [`peak_mb`], of the process of this id; `None` also once it has ended.
pub fn peak_mb_of(process: &str) -> Option<f64> {
    memory_mb(process, "VmHWM:")
}

/// What the process of this id has in memory now, in MiB, from the kernel's `VmRSS`.
pub fn resident_mb_of(process: &str) -> Option<f64> {
    memory_mb(process, "VmRSS:")
}

fn memory_mb(process: &str, name: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes / 1024.0)
}
