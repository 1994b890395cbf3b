//! The best passages put in order by a cross-encoder, which reads the question and a passage together.
//!
//! It sees only what the filters let through and the fusion put first, so it can widen nothing. Its scores decide the
//! order and nothing else: the fused scores of those passages are dealt out anew, the largest to the passage that it
//! likes best. So what is compared with scores further on (how far behind the best a passage may stand) means what it
//! did, nothing below the passages that were read moves, and a replaced document still stands behind what replaces it.
//!
//! It may take its time, which is bounded: where the bound is reached, or the model fails, the fused order stands, and a
//! warning says so. Work for a caller who has gone ends at once ([`while_wanted`]).

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flightdeck_models::{Embedder, ModelError, Reranker};

use crate::RetrievalError;
use crate::fusion::{Fused, best_first};

/// A cross-encoder and how it is used.
#[derive(Clone)]
pub struct Reranking {
    /// The model.
    pub model: Arc<dyn Reranker>,
    /// How many of the first passages it reads.
    pub passages: usize,
    /// What its score weighs against the fused one, 0 to 1. Its score is the logistic function of the logit, the fused
    /// score is divided by the best. At 1 it decides alone.
    pub weight: f32,
    /// After this long the fused order stands.
    pub budget: Duration,
}

/// What a cross-encoder made of a passage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reranked {
    /// As the model gave it.
    pub logit: f32,
    /// The score that the passage has for it.
    pub score: f32,
}

thread_local! {
    /// Whether somebody still waits for what this thread does.
    static WANTED: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
}

/// Runs `work` on this thread; once `wanted` is false, a reranking in it ends with [`RetrievalError::Cancelled`].
pub fn while_wanted<T>(wanted: Arc<AtomicBool>, work: impl FnOnce() -> T) -> T {
    struct Restore(Option<Arc<AtomicBool>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            WANTED.set(self.0.take());
        }
    }
    let _before = Restore(WANTED.replace(Some(wanted)));
    work()
}

impl Reranking {
    /// Puts the first passages of `fused` in order; `text_of` gives what of a chunk is read. Passages that `embedder`
    /// is just embedding wait meanwhile.
    ///
    /// # Errors
    /// [`RetrievalError::Cancelled`] when nobody waits any more.
    pub(crate) fn apply(
        &self,
        question: &str,
        fused: &mut [Fused],
        text_of: impl Fn(u32) -> String,
        embedder: &dyn Embedder,
    ) -> Result<(), RetrievalError> {
        let n_read = fused.len().min(self.passages);
        let read = &mut fused[..n_read];
        if read.len() < 2 {
            return Ok(());
        }
        let texts: Vec<String> = read.iter().map(|hit| text_of(hit.chunk)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let wanted = WANTED.with_borrow(Clone::clone);
        let is_wanted = || wanted.as_ref().is_none_or(|wanted| wanted.load(Ordering::Relaxed));
        let begun = Instant::now();
        let _held = embedder.hold_passages();
        let scored = self.model.score(question, &texts, &|| is_wanted() && begun.elapsed() < self.budget);
        if !is_wanted() {
            return Err(RetrievalError::Cancelled);
        }
        match scored {
            Ok(logits) => deal_out(read, &logits, self.weight),
            Err(ModelError::Cancelled) => tracing::warn!(
                budget_ms = self.budget.as_millis(),
                passages = n_read,
                "the reranker was too slow; the fused order stands"
            ),
            Err(error) => tracing::warn!(%error, "the reranker failed; the fused order stands"),
        }
        Ok(())
    }
}

/// Gives the fused scores to the passages in the order that their logits make.
fn deal_out(fused: &mut [Fused], logits: &[f32], weight: f32) {
    let best = f64::from(fused[0].score).max(f64::MIN_POSITIVE);
    let weight = f64::from(weight);
    // In f64 the logistic function keeps apart what the model keeps apart: logits beyond 30 do not occur.
    let mixed = |hit: &Fused, logit: f32| {
        let by_model = 1.0 / (1.0 + (-f64::from(logit)).exp());
        weight * by_model + (1.0 - weight) * f64::from(hit.score) / best
    };
    let mut order: Vec<(usize, f64)> =
        fused.iter().zip(logits).map(|(hit, &logit)| mixed(hit, logit)).enumerate().collect();
    // Equal ones stay as they were.
    order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let scores: Vec<f32> = fused.iter().map(|hit| hit.score).collect();
    for ((place, _), score) in order.into_iter().zip(scores) {
        fused[place].score = score;
        fused[place].reranked = Some(Reranked { logit: logits[place], score });
    }
    best_first(fused);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(scores: &[f32]) -> Vec<Fused> {
        let hit = |(chunk, score): (u32, &f32)| Fused {
            chunk,
            score: *score,
            lexical: None,
            vector: None,
            lexical_share: 0.0,
            dense_share: *score,
            reranked: None,
        };
        (0..).zip(scores).map(hit).collect()
    }

    fn order(fused: &[Fused]) -> Vec<u32> {
        fused.iter().map(|hit| hit.chunk).collect()
    }

    #[test]
    fn the_model_decides_the_order_and_the_scores_stay_what_they_were() {
        let mut fused = hits(&[0.9, 0.5, 0.4]);
        deal_out(&mut fused, &[-2.0, 7.0, 9.5], 1.0);
        assert_eq!(order(&fused), [2, 1, 0]);
        let scores: Vec<f32> = fused.iter().map(|hit| hit.score).collect();
        assert_eq!(scores, [0.9, 0.5, 0.4]);
        assert_eq!(fused[0].reranked, Some(Reranked { logit: 9.5, score: 0.9 }));
    }

    #[test]
    fn a_smaller_weight_lets_the_fused_score_speak_and_equals_stay() {
        let logits = [0.0, 1.0, 0.9];
        let ordered = |weight| {
            let mut fused = hits(&[0.9, 0.3, 0.2]);
            deal_out(&mut fused, &logits, weight);
            order(&fused)
        };
        assert_eq!(ordered(1.0), [1, 2, 0]);
        assert_eq!(ordered(0.5), [0, 1, 2]);
        let mut fused = hits(&[0.9, 0.3, 0.2]);
        deal_out(&mut fused, &[1.0, 1.0, 1.0], 1.0);
        assert_eq!(order(&fused), [0, 1, 2]);
    }

    #[test]
    fn whether_work_is_wanted_holds_for_its_thread_and_only_while_it_lasts() {
        let wanted = Arc::new(AtomicBool::new(false));
        let inside = while_wanted(wanted, || WANTED.with_borrow(Option::is_some));
        assert!(inside && WANTED.with_borrow(Option::is_none));
    }
}
