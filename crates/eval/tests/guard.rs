//! Guards the order of passages: a frozen piece of the sample knowledge, questions of six sorts, and the nDCG@10 of each
//! question as it was when the baseline was written.
//!
//! A set may fall by [`TOLERANCE`] in the mean: a question that stands on the edge may go either way. Beyond that the test
//! fails and names every question that was won or lost. A change that is meant is recorded with
//! `FLIGHTDECK_WRITE_BASELINE=1 cargo test --release --workspace --test guard`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flightdeck_eval::retrieval::{Task, evaluate};
use flightdeck_eval::{Qrels, Topic, read_passages};
use flightdeck_models::{Kernel, LoadOptions, load_with};
use flightdeck_retrieval::{Mode, Settings};
use jiff::civil::date;
use serde::Deserialize;

/// How far a set's mean may fall.
const TOLERANCE: f64 = 0.005;
/// A question whose nDCG@10 moved less stands where it stood.
const MOVED: f64 = 0.01;

#[derive(Deserialize)]
struct Question {
    id: String,
    set: String,
    text: String,
    relevant: Vec<String>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guard")
}

fn questions() -> Vec<Question> {
    let text = std::fs::read_to_string(folder().join("questions.jsonl")).expect("the questions are there");
    text.lines().map(|line| serde_json::from_str(line).expect("a question a line")).collect()
}

#[test]
fn no_set_of_questions_falls_behind_its_baseline() {
    let questions = questions();
    let passages = read_passages(&folder().join("corpus.jsonl")).expect("the passages are there");
    let topics: Vec<Topic> =
        questions.iter().map(|q| Topic { id: q.id.clone(), text: q.text.clone() }).collect();
    let mut qrels = Qrels::default();
    for question in &questions {
        let judged = qrels.entry(question.id.clone()).or_default();
        judged.extend(question.relevant.iter().map(|passage| (passage.clone(), 1)));
    }
    let cache = tempfile::tempdir().expect("a temporary folder");
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/multilingual-e5-small");
    // What is guarded is the order, not the rounding of the fastest kernel of whatever machine this is: the baseline is
    // of the one that nearly all of them have.
    let kernel = if Kernel::available().contains(&Kernel::Avx2) { Kernel::Avx2 } else { Kernel::Auto };
    let options = LoadOptions { threads: 2, kernel };
    let task = Task {
        passages: &passages,
        topics: &topics,
        qrels: &qrels,
        mode: Mode::Hybrid,
        cache: cache.path(),
        embedder: Arc::new(load_with(&model, options).expect("the default model loads")),
        settings: Settings::default(),
        reranking: None,
        day: date(2026, 11, 26),
    };
    let report = evaluate(&task, &|_| true).expect("the set is sound");
    let found: BTreeMap<String, f64> = report
        .rankings
        .iter()
        .map(|ranking| ranking.query.clone())
        .zip(report.ndcg_of_queries.iter().map(|ndcg| (ndcg * 10_000.0).round() / 10_000.0))
        .collect();
    assert_eq!(found.len(), questions.len(), "every question has a relevant passage");

    let baseline_file = folder().join("baseline.json");
    if std::env::var_os("FLIGHTDECK_WRITE_BASELINE").is_some() {
        let mut text = serde_json::to_string_pretty(&found).expect("figures are JSON");
        text.push('\n');
        std::fs::write(&baseline_file, text).expect("the source tree is writable");
        return;
    }
    let text = std::fs::read_to_string(&baseline_file).expect("the baseline is there");
    let baseline: BTreeMap<String, f64> = serde_json::from_str(&text).expect("the baseline is JSON");
    assert_eq!(
        baseline.keys().collect::<Vec<_>>(),
        found.keys().collect::<Vec<_>>(),
        "the baseline is of other questions; write it anew"
    );

    let mut sets: BTreeMap<&str, Vec<&Question>> = BTreeMap::new();
    for question in &questions {
        sets.entry(&question.set).or_default().push(question);
    }
    let mut has_fallen = false;
    let mut told = String::new();
    for (set, members) in sets {
        let mean = |figures: &BTreeMap<String, f64>| {
            members.iter().map(|question| figures[&question.id]).sum::<f64>() / members.len() as f64
        };
        let (before, now) = (mean(&baseline), mean(&found));
        has_fallen |= now < before - TOLERANCE;
        writeln!(told, "{set}: nDCG@10 {before:.4} → {now:.4} over {} questions", members.len())
            .expect("strings can be written");
        for question in members {
            let (before, now) = (baseline[&question.id], found[&question.id]);
            if (now - before).abs() >= MOVED {
                let what = if now > before { "won" } else { "lost" };
                writeln!(told, "  {what} {before:.3} → {now:.3}  {}  {}", question.id, question.text)
                    .expect("strings can be written");
            }
        }
    }
    println!("{told}");
    assert!(!has_fallen, "a set has fallen by more than {TOLERANCE}:\n{told}");
}
