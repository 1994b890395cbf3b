//! Judgements of single replies, added up to shares.

use std::collections::BTreeMap;
use std::time::Duration;

use flightdeck_assistant::Generation;
use serde::Serialize;

use super::judge::Judgement;
use crate::Latency;
use crate::metrics::mean;

/// Shares (0 to 1) and counts over a group of questions; a share is `null` where nothing could be judged by it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Questions asked.
    pub questions: usize,
    /// Questions that the knowledge can answer: right sources are named and no refusal is expected.
    pub answerable: usize,
    /// Questions that should be refused.
    pub unanswerable: usize,
    /// Share of the answerable whose first citation is a right source.
    pub source_first: Option<f64>,
    /// Share of the answerable with a right source among the first three documents cited.
    pub source_in_three: Option<f64>,
    /// Share of the unanswerable that were refused.
    pub refusal: Option<f64>,
    /// Share of the answerable that were refused.
    pub false_refusal: Option<f64>,
    /// Replies to customers that cite what customers may not see or hold a forbidden text.
    pub leaks: usize,
    /// Replies to the company's own people that hold a forbidden text or cite what is not served.
    pub violations: usize,
    /// Share of the questions with required words whose reply holds them all.
    pub contains: Option<f64>,
    /// Share of the questions with an expected intent that were understood so.
    pub intent: Option<f64>,
    /// Figures in answers that stand in nothing that is cited.
    pub unsupported_figures: usize,
    /// Mean share of the documents that should all be cited.
    pub all_documents_recall: Option<f64>,
    /// Mean nDCG@5 of the cited documents where sources are graded.
    pub graded_ndcg_at_5: Option<f64>,
    /// Questions that had an error for a reply.
    pub errors: usize,
    /// Of single replies.
    pub latency_ms: Latency,
}

/// What a language model did for the answers that it was asked to word.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Wording {
    /// Answers that it was asked for.
    pub asked: usize,
    /// Of these, answers in its words.
    pub worded: usize,
    /// Of these, answers composed after all, by the reason.
    pub composed: BTreeMap<String, usize>,
    /// Sentences that stood up to the sources.
    pub kept: usize,
    /// Sentences that did not, and were taken out.
    pub removed: usize,
}

impl Wording {
    pub(super) fn add(&mut self, generation: &Generation) {
        self.asked += 1;
        match generation.fallback {
            None => self.worded += 1,
            Some(reason) => *self.composed.entry(reason.name().to_owned()).or_default() += 1,
        }
        self.kept += generation.kept;
        self.removed += generation.removed;
    }
}

/// Adds judgements up.
#[derive(Default)]
pub(super) struct Tally {
    questions: usize,
    answerable: usize,
    unanswerable: usize,
    source_first: Vec<f64>,
    source_in_three: Vec<f64>,
    refusal: Vec<f64>,
    false_refusal: Vec<f64>,
    leaks: usize,
    violations: usize,
    contains: Vec<f64>,
    intent: Vec<f64>,
    unsupported_figures: usize,
    all_documents_recall: Vec<f64>,
    graded: Vec<f64>,
    errors: usize,
    took: Vec<Duration>,
}

impl Tally {
    pub fn add(&mut self, judgement: &Judgement, took: Duration) {
        self.questions += 1;
        self.answerable += usize::from(judgement.false_refusal.is_some());
        self.unanswerable += usize::from(judgement.refused_rightly.is_some());
        for (values, held) in [
            (&mut self.source_first, judgement.source_first),
            (&mut self.source_in_three, judgement.source_in_three),
            (&mut self.refusal, judgement.refused_rightly),
            (&mut self.false_refusal, judgement.false_refusal),
            (&mut self.contains, judgement.contains),
            (&mut self.intent, judgement.intent),
        ] {
            values.extend(held.map(|held| if held { 1.0 } else { 0.0 }));
        }
        self.all_documents_recall.extend(judgement.all_documents_recall);
        self.graded.extend(judgement.graded_ndcg);
        self.leaks += usize::from(judgement.leak);
        self.violations += usize::from(judgement.violation);
        self.unsupported_figures += judgement.unsupported_figures;
        self.errors += usize::from(judgement.error);
        self.took.push(took);
    }

    pub fn figures(&self) -> Figures {
        let share = |values: &[f64]| (!values.is_empty()).then(|| mean(values));
        Figures {
            questions: self.questions,
            answerable: self.answerable,
            unanswerable: self.unanswerable,
            source_first: share(&self.source_first),
            source_in_three: share(&self.source_in_three),
            refusal: share(&self.refusal),
            false_refusal: share(&self.false_refusal),
            leaks: self.leaks,
            violations: self.violations,
            contains: share(&self.contains),
            intent: share(&self.intent),
            unsupported_figures: self.unsupported_figures,
            all_documents_recall: share(&self.all_documents_recall),
            graded_ndcg_at_5: share(&self.graded),
            errors: self.errors,
            latency_ms: Latency::of(&self.took),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_over_the_questions_that_can_be_judged() {
        let mut tally = Tally::default();
        let answered = Judgement {
            source_first: Some(true),
            source_in_three: Some(true),
            false_refusal: Some(false),
            ..Judgement::default()
        };
        let missed = Judgement {
            source_first: Some(false),
            source_in_three: Some(true),
            false_refusal: Some(false),
            leak: true,
            ..Judgement::default()
        };
        let refused = Judgement { refused_rightly: Some(true), ..Judgement::default() };
        for judgement in [&answered, &missed, &refused] {
            tally.add(judgement, Duration::from_millis(10));
        }
        let figures = tally.figures();
        assert_eq!((figures.questions, figures.answerable, figures.unanswerable), (3, 2, 1));
        assert_eq!((figures.source_first, figures.source_in_three), (Some(0.5), Some(1.0)));
        assert_eq!((figures.refusal, figures.false_refusal), (Some(1.0), Some(0.0)));
        assert_eq!((figures.leaks, figures.intent), (1, None));
    }
}
