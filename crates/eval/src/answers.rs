//! Question sets for the assistant: is the right source cited, is nothing made up, does nothing leak.
//!
//! Every figure is a share of the questions that can be judged by it; how many these are stands beside it. A
//! question whose knowledge is missing should be refused, one whose knowledge is there should not, and both are
//! counted on their own, because either is easy to have at the other's cost.

mod judge;
mod tally;

use std::collections::BTreeMap;
use std::time::Instant;

use flightdeck_assistant::{Assistant, Origin, Request};
use jiff::civil::Date;
use serde::Serialize;
use sha2::{Digest, Sha256};
pub use tally::{Figures, Wording};

use crate::answers::judge::{Judgement, judge};
use crate::answers::tally::Tally;
use crate::{Question, QuestionCustomer};

/// A question that was not answered as expected.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// The question's id.
    pub id: String,
    /// Its words.
    pub question: String,
    /// What is wrong, each in a few words.
    pub why: Vec<String>,
    /// The documents that were cited, in order, each once.
    pub cited: Vec<String>,
    /// The intent that was understood.
    pub intent: Option<String>,
    /// How well the passages supported an answer, 0 to 1.
    pub support: Option<f32>,
}

/// What an evaluation found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Over all questions.
    #[serde(flatten)]
    pub overall: Figures,
    /// By the intent that the question expects.
    pub by_intent: BTreeMap<String, Figures>,
    /// By the question's type.
    pub by_type: BTreeMap<String, Figures>,
    /// What the language model did, where one was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wording: Option<Wording>,
    /// Questions that were not answered as expected, in the set's order.
    pub failures: Vec<Failure>,
}

/// So many of the questions, in their order: those whose ids have the lowest hashes, so that a sample stays the same
/// whatever is added elsewhere in the set.
pub fn sample(questions: Vec<Question>, n: usize) -> Vec<Question> {
    let hash = |question: &Question| Sha256::digest(question.id.as_bytes());
    let mut hashes: Vec<_> = questions.iter().map(hash).collect();
    hashes.sort_unstable();
    match hashes.get(n) {
        Some(limit) => questions.into_iter().filter(|question| hash(question) < *limit).collect(),
        None => questions,
    }
}

/// Asks every question once, on its own, and judges the replies. `progress` is told how many are done.
pub fn evaluate(
    assistant: &Assistant,
    questions: &[Question],
    day: Date,
    progress: &dyn Fn(usize),
) -> Report {
    let mut overall = Tally::default();
    let mut by_intent: BTreeMap<String, Tally> = BTreeMap::new();
    let mut by_type: BTreeMap<String, Tally> = BTreeMap::new();
    let mut wording: Option<Wording> = None;
    let mut failures = Vec::new();
    for (done, question) in questions.iter().enumerate() {
        let started = Instant::now();
        let reply = assistant.reply(&request_of(question, day));
        let took = started.elapsed();
        let (judgement, cited) = match &reply {
            Ok(reply) => (judge(question, &reply.answer, day), judge::cited_documents(&reply.answer)),
            Err(error) => (Judgement::of_error(question, &error.to_string()), Vec::new()),
        };
        if let Some(expected) = &question.expect.intent {
            let name = expected.alternatives().first().cloned().unwrap_or_default();
            by_intent.entry(name).or_default().add(&judgement, took);
        }
        if let Some(label) = &question.label {
            by_type.entry(label.clone()).or_default().add(&judgement, took);
        }
        overall.add(&judgement, took);
        if let Some(generation) = reply.as_ref().ok().and_then(|reply| reply.answer.generation.as_ref()) {
            wording.get_or_insert_default().add(generation);
        }
        if !judgement.why.is_empty() {
            let answer = reply.as_ref().ok().map(|reply| &reply.answer);
            failures.push(Failure {
                id: question.id.clone(),
                question: question.question.clone(),
                why: judgement.why,
                cited,
                intent: answer.map(|answer| answer.intent.name().to_owned()),
                support: answer.map(|answer| answer.support),
            });
        }
        progress(done + 1);
    }
    let finish = |groups: BTreeMap<String, Tally>| {
        groups.into_iter().map(|(name, tally)| (name, tally.figures())).collect()
    };
    let (by_intent, by_type) = (finish(by_intent), finish(by_type));
    Report { overall: overall.figures(), by_intent, by_type, wording, failures }
}

/// The question as the assistant is asked it, on its own.
pub fn request_of(question: &Question, day: Date) -> Request {
    let (customer_id, customer) = match &question.customer {
        None => (None, None),
        Some(QuestionCustomer::Id(id)) => (Some(id.clone()), None),
        Some(QuestionCustomer::Profile(profile)) => (None, Some(profile.clone())),
    };
    Request {
        message: question.question.clone(),
        session_id: None,
        customer_id,
        customer,
        audience: question.audience.into(),
        day,
        origin: Origin::default(),
    }
}
