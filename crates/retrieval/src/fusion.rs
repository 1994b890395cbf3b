//! One ranking from two: a weighted sum of normalised scores.
//!
//! Lexical scores are divided by the best, cosines are spread from the least of the first hundred (0) to the best
//! (1). Where even the best passage has few of the question's words (a Chinese question on English passages), dividing
//! by the best would make an accident look like a find, so the lexical side keeps only as much weight as it covers.
//! `docs/retrieval.md` has what this is worth against fusion by rank, and which further signs of a question were tried
//! and did not pay.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
    pub score: f32,
    pub lexical: Option<f32>,
    pub vector: Option<f32>,
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
    let best_lexical = lexical.iter().map(|hit| hit.1).fold(0.0, f32::max);
    let best_dense = dense.iter().map(|hit| hit.1).fold(f32::NEG_INFINITY, f32::max);
    let least_dense = dense.iter().map(|hit| hit.1).fold(f32::INFINITY, f32::min);
    let spread = best_dense - least_dense;
    let weight = match (lexical.is_empty(), dense.is_empty()) {
        (true, _) => 1.0,
        (_, true) => 0.0,
        _ => settings.dense_weight,
    };
    let trust = match settings.trusted_coverage {
        trusted if trusted > 0.0 && !dense.is_empty() => (coverage / trusted).min(1.0),
        _ => 1.0,
    };
    let mut fused: Vec<Fused> = by_chunk
        .into_iter()
        .map(|(chunk, (lexical, vector))| {
            let vector = vector.or_else(|| similarity(chunk));
            let lexical_part =
                lexical.map_or(0.0, |s| if best_lexical > 0.0 { s / best_lexical } else { 0.0 });
            let dense_part = match vector {
                Some(_) if dense.is_empty() => 0.0,
                Some(s) if spread > f32::EPSILON => ((s - least_dense) / spread).clamp(0.0, 1.0),
                Some(_) => 1.0,
                None => 0.0,
            };
            Fused {
                chunk,
                score: weight * dense_part + (1.0 - weight) * trust * lexical_part,
                lexical,
                vector,
            }
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
            let hit =
                by_chunk.entry(chunk).or_insert(Fused { chunk, score: 0.0, lexical: None, vector: None });
            hit.score += 1.0 / (DAMPING + 1.0 + rank as f32);
            *if is_lexical { &mut hit.lexical } else { &mut hit.vector } = Some(score);
        }
    }
    let mut fused: Vec<Fused> = by_chunk.into_values().collect();
    best_first(&mut fused);
    fused
}

fn best_first(fused: &mut [Fused]) {
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
