//! What each part of the ranking is worth: the whole against the whole without it, on the same questions.

use flightdeck_retrieval::{FusionBy, Mode, Progress, Settings};
use serde::Serialize;

use crate::bootstrap::{Interval, paired_interval};
use crate::retrieval::{Report, Task, Variant, evaluate_all};
use crate::{EvalError, Latency};

/// Questions named for each variant and direction.
const NAMED: usize = 3;

/// One row of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What was done differently; the first row is the ranking as it is.
    pub variant: &'static str,
    /// Mean of nDCG@10.
    pub ndcg_at_10: f64,
    /// The variant's nDCG@10 less the first row's, question by question.
    pub difference: Interval,
    /// Of single queries, embedding of the query included.
    pub latency_ms: Latency,
    /// Where the variant is better, largest difference first.
    pub won: Vec<Difference>,
    /// Where it is worse, largest difference first.
    pub lost: Vec<Difference>,
}

/// One question on which two ways to rank differ.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// The question's id.
    pub query: String,
    /// The question.
    pub text: String,
    /// The variant's nDCG@10 less the first row's.
    pub by: f64,
    /// What the first row puts first.
    pub first_before: Option<String>,
    /// What the variant puts first.
    pub first_after: Option<String>,
}

/// The ranking as it is, and with one part taken out or replaced.
fn variants(whole: Settings, rerank_weight: Option<f32>) -> Vec<Variant> {
    let hybrid = |name, change: fn(&mut Settings)| {
        let mut settings = whole;
        change(&mut settings);
        Variant { name, mode: Mode::Hybrid, settings, rerank_weight }
    };
    let mut variants = vec![
        hybrid("hybrid", |_| ()),
        Variant { name: "lexical only", mode: Mode::Lexical, settings: whole, rerank_weight },
        Variant { name: "dense only", mode: Mode::Vector, settings: whole, rerank_weight },
        hybrid("fused by rank", |s| s.fusion.by = FusionBy::Ranks),
        hybrid("dense weight 0.3", |s| s.fusion.dense_weight = 0.3),
        hybrid("dense weight 0.6", |s| s.fusion.dense_weight = 0.6),
        hybrid("dense weight 0.7", |s| s.fusion.dense_weight = 0.7),
        hybrid("lexical side always trusted", |s| s.fusion.trusted_coverage = 0.0),
        hybrid("without windows", |s| s.vectors.window_share = 0.0),
        hybrid("windows alone", |s| s.vectors.window_share = 1.0),
        hybrid("without titles", |s| s.lexical.title_weight = 0.0),
        hybrid("without keywords", |s| s.lexical.keyword_weight = 0.0),
        hybrid("without bigrams", |s| s.lexical.bigram_weight = 0.0),
    ];
    if rerank_weight.is_some() {
        let with = |name, rerank_weight| Variant { name, mode: Mode::Hybrid, settings: whole, rerank_weight };
        variants.splice(
            1..1,
            [
                with("without reranker", None),
                with("reranker alone", Some(1.0)),
                with("reranker weight 0.5", Some(0.5)),
            ],
        );
    }
    variants
}

/// Ranks every question by every variant over one index.
///
/// # Errors
/// As [`crate::retrieval::evaluate`].
pub fn ablate(task: &Task<'_>, progress: &(dyn Fn(Progress) -> bool + Sync)) -> Result<Vec<Row>, EvalError> {
    let rerank_weight = task.reranking.as_ref().map(|reranking| reranking.weight);
    let variants = variants(task.settings, rerank_weight);
    let reports = evaluate_all(task, &variants, progress)?;
    let whole = &reports[0];
    Ok(variants
        .iter()
        .zip(&reports)
        .map(|(variant, report)| row(task, variant.name, whole, report))
        .collect())
}

fn row(task: &Task<'_>, variant: &'static str, whole: &Report, report: &Report) -> Row {
    let mut differences: Vec<Difference> = Vec::new();
    for (idx, (before, after)) in whole.rankings.iter().zip(&report.rankings).enumerate() {
        let by = report.ndcg_of_queries[idx] - whole.ndcg_of_queries[idx];
        if by != 0.0 {
            let text =
                task.topics.iter().find(|topic| topic.id == before.query).map(|topic| topic.text.clone());
            differences.push(Difference {
                query: before.query.clone(),
                text: text.unwrap_or_default(),
                by,
                first_before: before.hits.first().map(|hit| hit.0.clone()),
                first_after: after.hits.first().map(|hit| hit.0.clone()),
            });
        }
    }
    differences.sort_by(|a, b| b.by.total_cmp(&a.by).then_with(|| a.query.cmp(&b.query)));
    let won = differences.iter().filter(|difference| difference.by > 0.0).take(NAMED).cloned().collect();
    let lost =
        differences.iter().rev().filter(|difference| difference.by < 0.0).take(NAMED).cloned().collect();
    Row {
        variant,
        ndcg_at_10: report.ndcg_at_10,
        difference: paired_interval(&whole.ndcg_of_queries, &report.ndcg_of_queries),
        latency_ms: report.latency_ms,
        won,
        lost,
    }
}

/// The rows as a Markdown table, and the questions that moved most below it.
pub fn markdown(rows: &[Row]) -> String {
    use std::fmt::Write as _;
    let mut text =
        "| ranking | nDCG@10 | difference (95 %) | query p50 |\n| --- | --- | --- | --- |\n".to_owned();
    for row in rows {
        let Interval { mean, low, high } = row.difference;
        let _ = writeln!(
            text,
            "| {} | {:.4} | {mean:+.4} ({low:+.4} … {high:+.4}) | {:.1} ms |",
            row.variant, row.ndcg_at_10, row.latency_ms.p50
        );
    }
    for row in rows.iter().skip(1) {
        for difference in row.won.iter().chain(&row.lost) {
            let Difference { query, text: question, by, first_before, first_after } = difference;
            let first = |id: &Option<String>| id.clone().unwrap_or_else(|| "nothing".to_owned());
            let _ = write!(
                text,
                "\n{}: {by:+.3} {query} “{question}”: {} first, not {}",
                row.variant,
                first(first_after),
                first(first_before)
            );
        }
    }
    text.push('\n');
    text
}
