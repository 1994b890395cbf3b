//! Measures of one ranking against its judgements; the mean over questions is the caller's.
//!
//! All follow `trec_eval`: gains are linear (the judgement itself, not `2^rel - 1`), a document that is not judged
//! counts as not relevant, and the ideal ranking of nDCG holds all judged documents, found or not. Rankings are
//! document ids, best first, without repetition.

use std::collections::BTreeMap;

/// Judgements of one question: document id to gain; above 0 is relevant.
pub type Judgements = BTreeMap<String, u32>;

/// Normalised discounted cumulative gain of the first `k` (Järvelin and Kekäläinen 2002, with `log2(rank + 1)` as
/// discount): 1 for the ideal order, 0 where nothing relevant is found or judged.
pub fn ndcg_at(k: usize, ranking: &[&str], judgements: &Judgements) -> f64 {
    let gains = ranking.iter().take(k).map(|id| judgements.get(*id).copied().unwrap_or(0));
    let mut ideal: Vec<u32> = judgements.values().copied().collect();
    ideal.sort_unstable_by(|a, b| b.cmp(a));
    let best = discounted_gain(ideal.into_iter().take(k));
    if best > 0.0 { discounted_gain(gains) / best } else { 0.0 }
}

fn discounted_gain(gains: impl Iterator<Item = u32>) -> f64 {
    gains.zip(1_u32..).map(|(gain, rank)| f64::from(gain) / f64::from(rank + 1).log2()).sum()
}

/// One over the rank of the first relevant document among the first `k`, 0 where there is none.
pub fn reciprocal_rank_at(k: usize, ranking: &[&str], judgements: &Judgements) -> f64 {
    let first = ranking.iter().take(k).position(|id| is_relevant(id, judgements));
    first.map_or(0.0, |position| 1.0 / (position + 1) as f64)
}

/// Share of the relevant documents that stand among the first `k`.
pub fn recall_at(k: usize, ranking: &[&str], judgements: &Judgements) -> f64 {
    let relevant = judgements.values().filter(|&&gain| gain > 0).count();
    let found = ranking.iter().take(k).filter(|id| is_relevant(id, judgements)).count();
    if relevant == 0 { 0.0 } else { found as f64 / relevant as f64 }
}

fn is_relevant(id: &str, judgements: &Judgements) -> bool {
    judgements.get(id).is_some_and(|&gain| gain > 0)
}

/// The mean, 0 of nothing.
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(pairs: &[(&str, u32)]) -> Judgements {
        pairs.iter().map(|(id, gain)| ((*id).to_owned(), *gain)).collect()
    }

    fn assert_close(measured: f64, by_hand: f64) {
        assert!((measured - by_hand).abs() < 1e-6, "{measured} is not {by_hand}");
    }

    #[test]
    fn graded_ndcg_has_linear_gains_and_the_ideal_of_all_judged_documents() {
        let judgements = judged(&[("a", 3), ("b", 2), ("c", 1), ("d", 0)]);
        // DCG = 2/log2(2) + 0 + 3/log2(4) + 1/log2(5) = 2 + 1.5 + 0.430677 = 3.930677
        // IDCG = 3/log2(2) + 2/log2(3) + 1/log2(4) = 3 + 1.261860 + 0.5 = 4.761860
        assert_close(ndcg_at(10, &["b", "x", "a", "c"], &judgements), 3.930_677 / 4.761_860);
        // Cut at 2: DCG = 2, IDCG = 3 + 1.261860
        assert_close(ndcg_at(2, &["b", "x", "a", "c"], &judgements), 2.0 / 4.261_860);
        assert_close(ndcg_at(10, &["a", "b", "c", "d"], &judgements), 1.0);
        assert_close(ndcg_at(10, &["x", "y"], &judgements), 0.0);
        assert_close(ndcg_at(10, &["a"], &judged(&[("a", 0)])), 0.0);
    }

    #[test]
    fn one_relevant_document_at_rank_three_scores_one_over_log2_of_four() {
        let judgements = judged(&[("a", 1)]);
        assert_close(ndcg_at(10, &["x", "y", "a"], &judgements), 0.5);
        assert_close(reciprocal_rank_at(10, &["x", "y", "a"], &judgements), 1.0 / 3.0);
        assert_close(reciprocal_rank_at(2, &["x", "y", "a"], &judgements), 0.0);
    }

    #[test]
    fn recall_counts_relevant_documents_only() {
        let judgements = judged(&[("a", 1), ("b", 2), ("c", 1), ("d", 0)]);
        assert_close(recall_at(10, &["d", "b", "x", "a"], &judgements), 2.0 / 3.0);
        assert_close(recall_at(2, &["d", "b", "x", "a"], &judgements), 1.0 / 3.0);
        assert_close(recall_at(10, &["a"], &judged(&[("d", 0)])), 0.0);
    }

    #[test]
    fn the_mean_of_nothing_is_zero() {
        assert_close(mean(&[]), 0.0);
        assert_close(mean(&[1.0, 0.5]), 0.75);
    }
}
