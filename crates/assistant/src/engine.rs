//! One question against one generation of the index: understand, retrieve, judge, compose.

use flightdeck_corpus::Audience;
use flightdeck_records::CustomerProfile;
use flightdeck_retrieval::{Index, Passage, RetrievalError};
use jiff::civil::Date;

use crate::answer::{Answer, Intent, Outcome, RefusalReason};
use crate::draft::Draft;
use crate::generate::Material;
use crate::intent::Names;
use crate::plan::Ranking;
use crate::question::{Language, Understanding, understand};
use crate::support::{self, Signs};
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
    answer_by(text, customer, (audience, day), (index, names), Ranking::default(), &mut |_, _| ())
}

/// As [`answer`], from passages that were ranked so; `seen` is shown the question as understood and the passages that
/// the answer may use, where there was a search.
///
/// # Errors
/// As [`answer`].
pub(crate) fn answer_by(
    text: &str,
    customer: CustomerProfile,
    (audience, day): (Audience, Date),
    (index, names): (&Index, &Names),
    ranking: Ranking,
    seen: &mut dyn FnMut(&Understanding, &[Passage]),
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
    let mut passages = plan::retrieve(&question, index, (audience, day), ranking)?;
    if by_words.is_none() {
        question.intent = intent::by_evidence(passages.iter().map(|passage| passage.document.kind));
        if question.intent != Intent::Other {
            passages = plan::retrieve(&question, index, (audience, day), ranking)?;
        }
    }
    if question.intent == Intent::FindCases {
        cases::rank(&question, &mut passages);
    }
    seen(&question, &passages);
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
    let suggestions = suggestions(&question, &passages, audience);
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
    Ok(Composed { answer, material: Some(Material { question, passages }) })
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

/// What a rep would ask next, with the product or the document at hand put in.
fn suggestions(question: &Understanding, passages: &[Passage], audience: Audience) -> Vec<String> {
    let product = passages.iter().take(3).find_map(|p| p.document.profile.product.first());
    let zh = question.language == Language::Chinese;
    let about = |with: fn(&str) -> String, without: &str| match product {
        Some(product) => with(product),
        None => without.to_owned(),
    };
    let cases = if zh {
        about(|p| format!("{p} 有哪些客户案例？"), "有哪些客户案例？")
    } else {
        about(|p| format!("Which customer cases are there for {p}?"), "Which customer cases are there?")
    };
    let price = if zh {
        about(|p| format!("{p} 多少钱，交期多久？"), "交期一般多久？")
    } else {
        about(|p| format!("What is the price and lead time of {p}?"), "What is the lead time?")
    };
    let video = if zh {
        about(|p| format!("有没有 {p} 的视频？"), "有什么视频可以看？")
    } else {
        about(|p| format!("Is there a video of {p}?"), "Which videos are there?")
    };
    let warranty = if zh {
        "保修多久，坏了多久能到现场？"
    } else {
        "How long is the warranty and how fast is on-site service?"
    }
    .to_owned();
    let expensive = if zh {
        "客户说太贵了怎么回？"
    } else {
        "What do I say when the customer finds it too expensive?"
    }
    .to_owned();
    let template =
        if zh { "有没有类似的方案模板？" } else { "Is there a proposal template for this?" }.to_owned();
    let internal = audience == Audience::Internal;
    let mut wanted = match question.intent {
        Intent::FindCases => vec![video, price, template],
        Intent::HandleObjection => vec![cases, video, template],
        Intent::RecommendVideos | Intent::FindTemplate => vec![cases, price, expensive],
        Intent::CompareCompetitor => vec![cases, expensive, price],
        Intent::ServiceQuestion => vec![price, cases, expensive],
        _ => vec![cases, warranty.clone(), expensive],
    };
    if !internal {
        // Customers are not offered what only a rep would ask.
        wanted.retain(|s| {
            !s.contains("太贵") && !s.contains("expensive") && !s.contains("模板") && !s.contains("template")
        });
        wanted.push(warranty);
    }
    wanted.retain(|s| *s != question.text);
    wanted.dedup();
    wanted.truncate(3);
    wanted
}
