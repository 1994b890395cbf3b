//! One question against one generation of the index: understand, retrieve, judge, compose.

use flightdeck_corpus::Audience;
use flightdeck_records::CustomerProfile;
use flightdeck_retrieval::{Index, Passage, RetrievalError};
use jiff::civil::Date;

use crate::answer::{Answer, Intent, Outcome, RefusalReason};
use crate::draft::Draft;
use crate::followups::follow_ups;
use crate::generate::Material;
use crate::intent::Names;
use crate::question::{Understanding, understand};
use crate::support::{self, Signs};
use crate::tone::Tone;
use crate::{cases, facts, intent, objection, plan, refusal, templates, videos};

/// The generator's name when answers are composed from the sources' own words.
pub(crate) const EXTRACTIVE: &str = "extractive";

/// A composed answer, and what it was composed from.
pub(crate) struct Composed {
    pub answer: Answer,
    /// `None` for a refusal, which no model may turn into an answer.
    pub material: Option<Material>,
}

impl From<Answer> for Composed {
    fn from(refusal: Answer) -> Self {
        Self { answer: refusal, material: None }
    }
}

/// Answers `text`; never fails for want of knowledge.
///
/// # Errors
/// When the search fails.
pub(crate) fn answer(
    text: &str,
    customer: CustomerProfile,
    audience: Audience,
    day: Date,
    index: &Index,
    names: &Names,
) -> Result<Composed, RetrievalError> {
    let corrected = index.corrected(text);
    let text = corrected.as_deref().unwrap_or(text);
    let by_words = intent::by_words(text, names);
    let first_guess = by_words.map_or(Intent::Other, |(intent, _)| intent);
    let mut question = understand(text, first_guess, customer, index);
    let says_nothing = !text.chars().any(char::is_alphanumeric);
    if says_nothing || (intent::is_small_talk(text) && question.models.is_empty()) {
        return Ok(refuse(&question, RefusalReason::OutOfScope, &[], audience, Signs::default()).into());
    }
    let mut passages = plan::retrieve(&question, index, audience, day)?;
    if by_words.is_none() {
        question.intent = intent::by_evidence(passages.iter().map(|passage| passage.document.kind));
        if question.intent != Intent::Other {
            passages = plan::retrieve(&question, index, audience, day)?;
        }
    }
    if question.intent == Intent::FindCases {
        cases::rank(&question, &mut passages);
    }
    let signs = support::signs(&question, &passages, audience, index);
    tracing::debug!(intent = question.intent.name(), ?signs, support = signs.support(), "judged");
    if passages.is_empty() || signs.support() < support::THRESHOLD {
        return Ok(refuse(&question, RefusalReason::NotInKnowledge, &passages, audience, signs).into());
    }
    let mut draft = Draft::default();
    match question.intent {
        Intent::FindCases => cases::compose(&question, &passages, index, &mut draft),
        Intent::RecommendVideos => videos::compose(&question, &passages, index, &mut draft),
        Intent::FindTemplate => templates::compose(&question, &passages, index, &mut draft),
        Intent::HandleObjection => objection::compose(&question, &passages, index, &mut draft),
        _ => facts::compose(&question, &passages, index, &mut draft),
    }
    if draft.is_empty() {
        return Ok(refuse(&question, RefusalReason::NotInKnowledge, &passages, audience, signs).into());
    }
    let (text, citations) = draft.finish();
    let suggestions = follow_ups(&question, &passages, &citations, index, (audience, day));
    let answer = Answer {
        intent: question.intent,
        text,
        citations,
        outcome: Outcome::Grounded,
        suggestions,
        generator: EXTRACTIVE.to_owned(),
        generation: None,
        support: signs.support(),
        signs,
    };
    Ok(Composed { answer, material: Some(Material { question, passages, tone: Tone::Plain }) })
}

fn refuse(
    question: &Understanding,
    reason: RefusalReason,
    near: &[Passage],
    audience: Audience,
    signs: Signs,
) -> Answer {
    Answer {
        intent: question.intent,
        text: refusal::words(question, reason, near, audience),
        citations: Vec::new(),
        outcome: Outcome::Abstained(reason),
        suggestions: refusal::suggestions(question, near),
        generator: EXTRACTIVE.to_owned(),
        generation: None,
        support: signs.support(),
        signs,
    }
}
