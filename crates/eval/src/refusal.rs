//! Refusal on question sets: whether the support score tells what the passages answer from what they do not.
//!
//! Two things are reported apart, because one says little about the other: what the program does as it is set, and
//! what its score could do. For the latter a threshold is chosen on one half of the questions, so that a twentieth of
//! the answerable ones falls below it, and judged on the other half; halves go by a hash of the question's id.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flightdeck_assistant::{Assistant, Origin, Outcome, Request};
use flightdeck_corpus::Audience;
use flightdeck_models::Embedder;
use flightdeck_retrieval::{Access, Progress, Settings, Store};
use jiff::civil::Date;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::retrieval::{cache_folder, corpus_of};
use crate::{EvalError, Passage, Topic};

/// Share of answerable questions that the chosen threshold may refuse.
const FALSE_REFUSALS: f64 = 0.05;

/// What to evaluate, and with what.
pub struct Task<'a> {
    /// All passages.
    pub passages: &'a [Passage],
    /// Each question, and whether the passages answer it.
    pub questions: &'a [(Topic, bool)],
    /// Folder for indexes of question sets, shared with those of `eval retrieval`.
    pub cache: &'a Path,
    /// The model.
    pub embedder: Arc<dyn Embedder>,
    /// Fusion and vector search.
    pub settings: Settings,
    /// Day of all questions.
    pub day: Date,
}

/// Shares refused.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Refused {
    /// Of the questions that the passages do not answer.
    pub rightly: f64,
    /// Of those that they do.
    pub wrongly: f64,
}

/// What a threshold chosen on one half does on the other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Chosen {
    /// Support below which is refused, 0 to 1.
    pub threshold: f32,
    /// On the half it was chosen on.
    pub on_its_half: Refused,
    /// On the other half.
    pub on_the_other: Refused,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Questions that the passages answer.
    pub answerable: usize,
    /// Questions that they do not.
    pub unanswerable: usize,
    /// As the program is set.
    pub as_set: Refused,
    /// Chance that an answerable question has more support than an unanswerable one; ties count half.
    pub auc: f64,
    /// By a threshold for this set.
    pub chosen: Chosen,
}

/// A question that was asked.
struct Judged {
    answerable: bool,
    support: f32,
    refused: bool,
    is_second_half: bool,
}

/// Makes or opens the index and asks every question once.
///
/// # Errors
/// As [`EvalError`]; also when one of the two kinds of questions is missing.
pub fn evaluate(
    task: &Task<'_>,
    progress: &(dyn Fn(Progress) -> bool + Sync),
    asked: &dyn Fn(usize),
) -> Result<Report, EvalError> {
    let folder = cache_folder(task.cache, &*task.embedder, task.settings, task.passages);
    let store = Store::open_with(&folder, Access::Write, task.embedder.clone(), task.settings)?;
    if store.current().is_none() {
        store.publish(&corpus_of(task.passages), progress)?;
    }
    let assistant = Assistant::new(Arc::new(store), None);
    let mut judged = Vec::with_capacity(task.questions.len());
    for (nth, (topic, answerable)) in task.questions.iter().enumerate() {
        let request = Request {
            message: topic.text.clone(),
            session_id: None,
            customer_id: None,
            customer: None,
            audience: Audience::Customer,
            day: task.day,
            origin: Origin::default(),
        };
        let answer = assistant.preview(&request)?;
        let refused = answer.outcome != Outcome::Grounded;
        judged.push(Judged {
            answerable: *answerable,
            support: answer.support,
            refused,
            is_second_half: Sha256::digest(topic.id.as_bytes())[0] % 2 == 1,
        });
        asked(nth + 1);
    }
    for answerable in [true, false] {
        for is_second_half in [true, false] {
            let is_there =
                |one: &Judged| one.answerable == answerable && one.is_second_half == is_second_half;
            if !judged.iter().any(is_there) {
                let reason = "each half needs questions that are answered and questions that are not";
                return Err(EvalError::Empty { path: PathBuf::from("queries"), reason: reason.to_owned() });
            }
        }
    }
    let count = |answerable| judged.iter().filter(|one| one.answerable == answerable).count();
    Ok(Report {
        answerable: count(true),
        unanswerable: count(false),
        as_set: shares(judged.iter(), |one| one.refused),
        auc: auc(&judged),
        chosen: choose(&judged),
    })
}

fn shares<'j>(judged: impl Iterator<Item = &'j Judged>, is_refused: impl Fn(&Judged) -> bool) -> Refused {
    let (mut rightly, mut wrongly) = ((0_usize, 0_usize), (0_usize, 0_usize));
    for one in judged {
        let (refused, all) = if one.answerable { &mut wrongly } else { &mut rightly };
        *refused += usize::from(is_refused(one));
        *all += 1;
    }
    let share = |(refused, all): (usize, usize)| refused as f64 / all.max(1) as f64;
    Refused { rightly: share(rightly), wrongly: share(wrongly) }
}

/// The area under the curve of the score: the Mann-Whitney statistic over all pairs, from one sorted pass.
fn auc(judged: &[Judged]) -> f64 {
    let mut scores: Vec<(f32, bool)> = judged.iter().map(|one| (one.support, one.answerable)).collect();
    scores.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut won) = (0_usize, 0.0);
    let mut start = 0;
    while start < scores.len() {
        let end = start
            + scores[start..].iter().take_while(|one| one.0.total_cmp(&scores[start].0).is_eq()).count();
        let answerable = scores[start..end].iter().filter(|one| one.1).count();
        let unanswerable = end - start - answerable;
        won += answerable as f64 * (below as f64 + unanswerable as f64 / 2.0);
        below += unanswerable;
        start = end;
    }
    let n_answerable = scores.iter().filter(|one| one.1).count();
    won / (n_answerable as f64 * below as f64).max(1.0)
}

/// The highest threshold on the first half that refuses few enough answerable questions.
fn choose(judged: &[Judged]) -> Chosen {
    let half = |second: bool| judged.iter().filter(move |one| one.is_second_half == second);
    let mut supports: Vec<f32> = half(false).filter(|one| one.answerable).map(|one| one.support).collect();
    supports.sort_by(f32::total_cmp);
    let n_allowed = (supports.len() as f64 * FALSE_REFUSALS) as usize;
    let threshold = supports.get(n_allowed).copied().unwrap_or_default();
    Chosen {
        threshold,
        on_its_half: shares(half(false), |one| one.support < threshold),
        on_the_other: shares(half(true), |one| one.support < threshold),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(scores: &[(f32, bool)]) -> Vec<Judged> {
        let one = |(nth, (support, answerable)): (usize, &(f32, bool))| Judged {
            answerable: *answerable,
            support: *support,
            refused: false,
            is_second_half: nth % 2 == 1,
        };
        scores.iter().enumerate().map(one).collect()
    }

    #[test]
    fn the_area_counts_pairs_in_order_and_ties_by_half() {
        assert!((auc(&judged(&[(0.9, true), (0.1, false)])) - 1.0).abs() < 1e-9);
        assert!((auc(&judged(&[(0.1, true), (0.9, false)]))).abs() < 1e-9);
        assert!((auc(&judged(&[(0.5, true), (0.5, false)])) - 0.5).abs() < 1e-9);
        let mixed = judged(&[(0.9, true), (0.5, false), (0.5, true), (0.2, false)]);
        assert!((auc(&mixed) - 0.875).abs() < 1e-9);
    }

    #[test]
    fn a_threshold_is_chosen_on_one_half_and_judged_on_the_other() {
        let scores = [(0.8, true), (0.7, true), (0.3, false), (0.75, false)];
        let chosen = choose(&judged(&scores));
        assert!((chosen.threshold - 0.8).abs() < 1e-6);
        assert_eq!(chosen.on_its_half, Refused { rightly: 1.0, wrongly: 0.0 });
        assert_eq!(chosen.on_the_other, Refused { rightly: 1.0, wrongly: 1.0 });
    }
}
