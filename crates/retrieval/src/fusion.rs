//! One ranking from two: a weighted sum of normalised scores.
//!
//! Lexical scores are divided by the best, cosines are spread from the least of the first hundred (0) to the best
//! (1). Where even the best passage has few of the question's words (a Chinese question on English passages), dividing
//! by the best would make an accident look like a find, so the lexical side keeps only as much weight as it covers.
//! `docs/retrieval.md` has what this is worth against fusion by rank, and which further signs of a question were tried
//! and did not pay.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::rerank::Reranked;

/// What of the two sides is joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FusionBy {
    /// Normalised scores.
    #[default]
    Scores,
    /// Ranks: the sum of `1 / (60 + rank)` (Cormack, Clarke and Büttcher 2009). Kept to be compared with.
    Ranks,
}

/// How the two sides are joined.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FusionSettings {
    /// Weight of the dense side, 0 to 1; the lexical side has the rest.
    pub dense_weight: f32,
    /// How many of each side's best are looked at, at least.
    pub depth: usize,
    /// Share of the question's words, by rarity, that the best passage has to have for the lexical side to keep its
    /// whole weight; below, the weight falls in proportion. 0 trusts it always.
    pub trusted_coverage: f32,
    /// What is joined.
    pub by: FusionBy,
}

impl Default for FusionSettings {
    fn default() -> Self {
        Self { dense_weight: 0.5, depth: 100, trusted_coverage: 0.2, by: FusionBy::Scores }
    }
}

/// A chunk with both sides' scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fused {
    pub chunk: u32,
    /// The sum of the two shares, until something after the fusion changes it.
    pub score: f32,
    pub lexical: Option<f32>,
    pub vector: Option<f32>,
    /// What the lexical side adds to the score.
    pub lexical_share: f32,
    /// What the dense side adds to the score.
    pub dense_share: f32,
    /// What a cross-encoder made of it, if one read it.
    pub reranked: Option<Reranked>,
}

/// How much each side of one search has to say, and by what its scores are divided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Balance {
    /// What is joined. By ranks there are no weights, and what follows is as it would have been.
    pub by: FusionBy,
    /// What a dense score of 1 adds.
    pub dense_weight: f32,
    /// What a lexical score of 1 adds.
    pub lexical_weight: f32,
    /// Share of the question's words, by rarity, that the best lexical hit has, 0 and up.
    pub coverage: f32,
    /// What of its weight the lexical side keeps for that, 0 to 1.
    pub trust: f32,
    /// The best lexical score: it becomes 1.
    pub best_lexical: Option<f32>,
    /// The largest similarity: it becomes 1.
    pub best_dense: Option<f32>,
    /// The least similarity of the list: it becomes 0.
    pub least_dense: Option<f32>,
}

impl Balance {
    /// For two lists of which either may be empty.
    pub(crate) fn of(
        lexical: &[(u32, f32)],
        coverage: f32,
        dense: &[(u32, f32)],
        settings: FusionSettings,
    ) -> Self {
        let scores =
            |side: &[(u32, f32)], join: fn(f32, f32) -> f32| side.iter().map(|hit| hit.1).reduce(join);
        let weight = match (lexical.is_empty(), dense.is_empty()) {
            (true, _) => 1.0,
            (_, true) => 0.0,
            _ => settings.dense_weight,
        };
        let trust = match settings.trusted_coverage {
            trusted if trusted > 0.0 && !dense.is_empty() => (coverage / trusted).min(1.0),
            _ => 1.0,
        };
        Self {
            by: settings.by,
            dense_weight: weight,
            lexical_weight: (1.0 - weight) * trust,
            coverage,
            trust,
            best_lexical: scores(lexical, f32::max),
            best_dense: scores(dense, f32::max),
            least_dense: scores(dense, f32::min),
        }
    }

    /// A lexical score from 0 to 1.
    pub(crate) fn lexical_part(&self, score: Option<f32>) -> f32 {
        match (score, self.best_lexical) {
            (Some(score), Some(best)) if best > 0.0 => score / best,
            _ => 0.0,
        }
    }

    /// A similarity from 0 to 1.
    pub(crate) fn dense_part(&self, similarity: Option<f32>) -> f32 {
        match (similarity, self.best_dense, self.least_dense) {
            (Some(similarity), Some(best), Some(least)) if best - least > f32::EPSILON => {
                ((similarity - least) / (best - least)).clamp(0.0, 1.0)
            }
            (Some(_), Some(_), _) => 1.0,
            _ => 0.0,
        }
    }
}

/// Joins the two lists; the result does not depend on their order. `similarity` gives the cosine of a chunk that
/// only the lexical side found, so that a good lexical hit is not punished for standing at dense rank 101. `coverage`
/// is the share of the question's words that the best lexical hit has, 0 and up.
pub(crate) fn fuse(
    lexical: &[(u32, f32)],
    coverage: f32,
    dense: &[(u32, f32)],
    similarity: impl Fn(u32) -> Option<f32>,
    settings: FusionSettings,
) -> Vec<Fused> {
    if settings.by == FusionBy::Ranks {
        return fuse_ranks(lexical, dense);
    }
    let mut by_chunk: BTreeMap<u32, (Option<f32>, Option<f32>)> = BTreeMap::new();
    for &(chunk, score) in lexical {
        by_chunk.entry(chunk).or_default().0 = Some(score);
    }
    for &(chunk, score) in dense {
        by_chunk.entry(chunk).or_default().1 = Some(score);
    }
    let balance = Balance::of(lexical, coverage, dense, settings);
    let mut fused: Vec<Fused> = by_chunk
        .into_iter()
        .map(|(chunk, (lexical, vector))| {
            let vector = vector.or_else(|| similarity(chunk));
            let dense_share = balance.dense_weight * balance.dense_part(vector);
            let lexical_share = balance.lexical_weight * balance.lexical_part(lexical);
            let score = dense_share + lexical_share;
            Fused { chunk, score, lexical, vector, lexical_share, dense_share, reranked: None }
        })
        .collect();
    best_first(&mut fused);
    fused
}

/// Reciprocal rank fusion.
fn fuse_ranks(lexical: &[(u32, f32)], dense: &[(u32, f32)]) -> Vec<Fused> {
    const DAMPING: f32 = 60.0;
    let mut by_chunk: BTreeMap<u32, Fused> = BTreeMap::new();
    for (side, is_lexical) in [(lexical, true), (dense, false)] {
        let mut side = side.to_vec();
        side.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        for (rank, (chunk, score)) in side.into_iter().enumerate() {
            let hit = by_chunk.entry(chunk).or_insert(Fused {
                chunk,
                score: 0.0,
                lexical: None,
                vector: None,
                lexical_share: 0.0,
                dense_share: 0.0,
                reranked: None,
            });
            let share = 1.0 / (DAMPING + 1.0 + rank as f32);
            if is_lexical {
                (hit.lexical, hit.lexical_share) = (Some(score), share);
            } else {
                (hit.vector, hit.dense_share) = (Some(score), share);
            }
        }
    }
    let mut fused: Vec<Fused> = by_chunk.into_values().collect();
    for hit in &mut fused {
        hit.score = hit.dense_share + hit.lexical_share;
    }
    best_first(&mut fused);
    fused
}

/// Equal scores in order of chunks.
pub(crate) fn best_first(fused: &mut [Fused]) {
    fused.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.chunk.cmp(&b.chunk)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_count_and_order_of_the_lists_does_not() {
        let lexical = [(3, 10.0), (1, 5.0), (7, 1.0)];
        let dense = [(1, 0.9), (2, 0.85), (3, 0.8)];
        for by in [FusionBy::Scores, FusionBy::Ranks] {
            let settings = FusionSettings { by, ..FusionSettings::default() };
            let fused = fuse(&lexical, 1.0, &dense, |_| Some(0.8), settings);
            let mut reversed = (lexical, dense);
            reversed.0.reverse();
            reversed.1.reverse();
            assert_eq!(fused, fuse(&reversed.0, 1.0, &reversed.1, |_| Some(0.8), settings));
            assert_eq!(fused[0].chunk, 1, "found by both sides: {fused:?}");
        }
    }

    #[test]
    fn one_empty_side_leaves_the_other_in_charge() {
        let fused = fuse(&[(4, 2.0), (5, 1.0)], 0.1, &[], |_| None, FusionSettings::default());
        assert_eq!(fused.iter().map(|f| (f.chunk, f.score)).collect::<Vec<_>>(), [(4, 1.0), (5, 0.5)]);
    }

    #[test]
    fn a_lexical_side_that_covers_little_of_the_question_has_little_to_say() {
        let (lexical, dense) = ([(1, 3.0)], [(2, 0.9), (3, 0.6), (1, 0.5)]);
        let settings = FusionSettings { dense_weight: 0.3, ..FusionSettings::default() };
        let first = |coverage| fuse(&lexical, coverage, &dense, |_| None, settings)[0].chunk;
        assert_eq!((first(1.0), first(0.05)), (1, 2));
    }
}
