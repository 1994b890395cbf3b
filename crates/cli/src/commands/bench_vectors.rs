//! `bench vectors`: what the vector search alone takes, exact and by the graph, and how much of the truth it finds.
//!
//! Over vectors from a file, so that other programs can be measured on the same ones. The truth is a plain scan in
//! `f32`. Times are CPU time as far as the system tells it, so that a busy machine does not change them much.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flightdeck_models::{ByteKernel, cpu_time};
use flightdeck_retrieval::{RowFilter, VectorSet};
use serde::Serialize;

use super::bench_embed::peak_mb;
use super::bench_search::Scratch;
use crate::args::JsonArgs;
use crate::failure::Failure;
use crate::settings::Config;
use crate::{Verdict, output};

/// Shares of the rows that a filter keeps, in percent.
const KEPT: [usize; 4] = [100, 50, 10, 1];
/// Candidates that a walk keeps.
const EFS: [usize; 6] = [20, 50, 100, 200, 400, 800];
/// Each way of searching is timed for at least so long.
const LEAST_TIME: Duration = Duration::from_millis(500);

/// What to measure with.
pub struct Task {
    /// Vectors.
    pub rows: PathBuf,
    /// Questions.
    pub questions: PathBuf,
    /// Numbers of a vector.
    pub dimension: usize,
    /// Whether to build the graph.
    pub graph: bool,
    /// Nearest ones to find.
    pub top_k: usize,
}

#[derive(Serialize)]
struct Report {
    rows: usize,
    dimension: usize,
    questions: usize,
    top_k: usize,
    kernel: &'static str,
    write_seconds: f64,
    /// Of the graph's building, with writing; `null` without a graph.
    write_cpu_seconds: Option<f64>,
    load_seconds: f64,
    disk_bytes: u64,
    peak_mb: Option<f64>,
    searches: Vec<Search>,
}

#[derive(Serialize)]
struct Search {
    /// `scan`, or `graph` with its candidates.
    by: &'static str,
    ef: Option<usize>,
    kept_percent: usize,
    /// CPU time of one search; on the wall where the system does not tell.
    microseconds: f64,
    wall_microseconds: f64,
    recall: f64,
}

/// Runs `bench vectors`.
///
/// # Errors
/// When a file is not what it should be or the data folder cannot be written.
pub fn run(config: &Config, task: &Task, args: JsonArgs) -> Result<Verdict, Failure> {
    let rows = read(&task.rows, task.dimension)?;
    let questions = read(&task.questions, task.dimension)?;
    let n_rows = rows.len() / task.dimension;
    let scratch = Scratch::new(&config.data, "vectors")?;
    let graph_from = if task.graph { 0 } else { usize::MAX };
    let (started, computed) = (Instant::now(), cpu_time());
    VectorSet::write(scratch.path(), &rows, task.dimension, graph_from)?;
    let write_seconds = started.elapsed().as_secs_f64();
    let write_cpu_seconds =
        computed.zip(cpu_time()).map(|(before, after)| after.saturating_sub(before).as_secs_f64());
    let started = Instant::now();
    let set = VectorSet::open(scratch.path(), task.dimension, graph_from)?;
    let load_seconds = started.elapsed().as_secs_f64();
    let questions: Vec<&[f32]> = questions.chunks_exact(task.dimension).collect();

    let mut searches = Vec::new();
    for kept_percent in KEPT {
        let keeps = |row: usize| row.wrapping_mul(0x9E37_79B9) % 10_007 * 100 < kept_percent * 10_007;
        let filter = set.filter(keeps);
        let truth: Vec<Vec<u32>> =
            questions.iter().map(|question| nearest(&rows, question, keeps, task.top_k)).collect();
        let mut measure = |by, ef| {
            let timed = time(&set, &questions, &truth, &filter, ef, task.top_k);
            searches.push(Search { by, ef, kept_percent, ..timed });
        };
        measure("scan", None);
        for ef in EFS.into_iter().filter(|ef| task.graph && *ef >= task.top_k) {
            measure("graph", Some(ef));
        }
    }
    let disk_bytes = super::bench_search::folder_bytes(scratch.path());
    let report = Report {
        rows: n_rows,
        dimension: task.dimension,
        questions: questions.len(),
        top_k: task.top_k,
        kernel: ByteKernel::new().name(),
        write_seconds,
        write_cpu_seconds,
        load_seconds,
        disk_bytes,
        peak_mb: peak_mb(),
        searches,
    };
    if args.json {
        output::json(&report)?;
    } else {
        print(&report)?;
    }
    Ok(Verdict::Well)
}

fn print(report: &Report) -> Result<(), Failure> {
    let mut lines = vec![["by", "kept", "CPU µs", "wall µs", "recall"].map(str::to_owned).to_vec()];
    lines.extend(report.searches.iter().map(|search| {
        vec![
            search.ef.map_or_else(|| search.by.to_owned(), |ef| format!("{} {ef}", search.by)),
            format!("{} %", search.kept_percent),
            format!("{:.0}", search.microseconds),
            format!("{:.0}", search.wall_microseconds),
            format!("{:.4}", search.recall),
        ]
    }));
    output::text(&format!(
        "{} x {} ({}), top {}: written in {:.1} s, opened in {:.2} s, {:.1} MiB\n{}",
        report.rows,
        report.dimension,
        report.kernel,
        report.top_k,
        report.write_seconds,
        report.load_seconds,
        report.disk_bytes as f64 / f64::from(1 << 20),
        output::table(&lines)
    ))?;
    Ok(())
}

fn time(
    set: &VectorSet,
    questions: &[&[f32]],
    truth: &[Vec<u32>],
    filter: &RowFilter,
    ef: Option<usize>,
    top_k: usize,
) -> Search {
    let search = |question: &[f32]| match ef {
        None => set.scan(question, filter, top_k),
        Some(ef) => set.walk(question, filter, top_k, ef).unwrap_or_default(),
    };
    let (mut found, mut wanted) = (0, 0);
    for (question, nearest) in questions.iter().zip(truth) {
        let hits = search(question);
        wanted += nearest.len();
        found += nearest.iter().filter(|row| hits.iter().any(|(hit, _)| hit == *row)).count();
    }
    let (started, computed) = (Instant::now(), cpu_time());
    let mut n_searches = 0_usize;
    while started.elapsed() < LEAST_TIME {
        for question in questions {
            std::hint::black_box(search(question));
        }
        n_searches += questions.len();
    }
    let each = |took: Duration| took.as_secs_f64() * 1e6 / n_searches as f64;
    let wall_microseconds = each(started.elapsed());
    let microseconds = computed
        .zip(cpu_time())
        .map_or(wall_microseconds, |(before, after)| each(after.saturating_sub(before)));
    let recall = f64::from(found as u32) / f64::from((wanted as u32).max(1));
    Search { by: "", ef, kept_percent: 0, microseconds, wall_microseconds, recall }
}

/// The truth, in `f32`; of equal ones the first.
fn nearest(rows: &[f32], question: &[f32], keeps: impl Fn(usize) -> bool, top_k: usize) -> Vec<u32> {
    let mut all: Vec<(f32, u32)> = rows
        .chunks_exact(question.len())
        .enumerate()
        .filter(|(idx, _)| keeps(*idx))
        .map(|(idx, row)| (product(question, row), idx as u32))
        .collect();
    let nearest_first = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    if all.len() > top_k {
        all.select_nth_unstable_by(top_k, nearest_first);
        all.truncate(top_k);
    }
    all.into_iter().map(|(_, row)| row).collect()
}

fn product(left: &[f32], right: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0_f32; LANES];
    let (blocks, rest) = (left.chunks_exact(LANES), left.len() / LANES * LANES);
    for (left, right) in blocks.zip(right.chunks_exact(LANES)) {
        for lane in 0..LANES {
            sums[lane] += left[lane] * right[lane];
        }
    }
    sums.iter().sum::<f32>() + left[rest..].iter().zip(&right[rest..]).map(|(a, b)| a * b).sum::<f32>()
}

fn read(path: &Path, dimension: usize) -> Result<Vec<f32>, Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::unreadable(path, &error))?;
    if bytes.is_empty() || !bytes.len().is_multiple_of(4 * dimension) {
        return Err(Failure::new(
            format!(
                "{} holds {} bytes, which are no vectors of {dimension} numbers; check --dimension",
                path.display(),
                bytes.len()
            ),
            format!(
                "{} 共 {} 字节，不是 {dimension} 维向量；请检查 --dimension",
                path.display(),
                bytes.len()
            ),
        ));
    }
    let number = |four: &[u8]| f32::from_le_bytes(four.try_into().expect("chunks of four"));
    Ok(bytes.chunks_exact(4).map(number).collect())
}
