//! One question against one generation of the index: understand, retrieve, judge, compose.

use flightdeck_corpus::Audience;
use flightdeck_records::CustomerProfile;
use flightdeck_retrieval::{Index, Passage, RetrievalError, is_han};
use jiff::civil::Date;

use crate::answer::{Answer, Intent, Outcome, RefusalReason};
use crate::brief::Background;
use crate::courtesy::Courtesy;
use crate::dialogue::{self, Meaning, Turn};
use crate::draft::Draft;
use crate::followups::follow_ups;
use crate::generate::Material;
use crate::intent::Names;
use crate::plan::Ranking;
use crate::question::{Language, Understanding, understand, without_measure};
use crate::support::{self, Signs};
use crate::tone::Tone;
use crate::{
    brief, cases, compare, facts, intent, objection, overview, plan, products, recommend, refusal, rival,
    templates, videos,
};

/// The generator's name when answers are composed from the sources' own words.
pub(crate) const EXTRACTIVE: &str = "extractive";

/// The answer to a message, and to each of its questions.
pub(crate) struct Composed {
    pub answer: Answer,
    /// At least one; several where the message asks several questions.
    pub parts: Vec<Part>,
    /// Questions of the message that the knowledge does not answer, beside others that it does.
    pub unanswered: Vec<(String, Intent)>,
}

/// A question, its composed answer, and what that was composed from.
pub(crate) struct Part {
    /// What stands above the answer; empty above the only one.
    pub heading: String,
    pub answer: Answer,
    /// `None` where no model is to word it, as with a refusal, which none may turn into an answer.
    pub material: Option<Material>,
}

impl From<Answer> for Part {
    fn from(refusal: Answer) -> Self {
        Self { heading: String::new(), answer: refusal, material: None }
    }
}

impl Composed {
    /// The answer to questions of which one at least is answered, or to one alone.
    pub fn of(parts: Vec<Part>) -> Self {
        let answer = if let [only] = parts.as_slice() { only.answer.clone() } else { joined(&parts) };
        Self { answer, parts, unanswered: Vec::new() }
    }

    /// Whether there is anything that a model may word.
    pub fn can_be_worded(&self) -> bool {
        self.parts.iter().any(|part| part.material.is_some())
    }
}

/// Who asks, of what.
pub(crate) struct Asking<'a> {
    pub customer: &'a CustomerProfile,
    pub audience: Audience,
    pub day: Date,
    pub index: &'a Index,
    pub names: &'a Names,
    pub background: &'a Background,
    /// What is wanted, where the sender says so and the words need not tell.
    pub wanted: Option<Intent>,
}

/// Answers a message behind the turns before it, each of its questions if there are several; never fails for want of
/// knowledge.
///
/// # Errors
/// When the search fails.
pub(crate) fn reply(message: &str, turns: &[Turn], asking: &Asking<'_>) -> Result<Composed, RetrievalError> {
    let meaning_of = |text: &str, turns: &[Turn]| dialogue::meaning(text, turns, asking);
    let parts = dialogue::parts(message);
    if let [_] = parts.as_slice() {
        return Ok(Composed::of(vec![answered(meaning_of(message, turns), message, asking)?]));
    }
    let mut turns = turns.to_vec();
    let mut answers = Vec::new();
    for (nth, question) in parts.into_iter().enumerate() {
        let meaning = meaning_of(&question, &turns);
        let mut turn = Turn { question: meaning.text.clone(), ..Turn::default() };
        let mut part = answered(meaning, &question, asking)?;
        part.heading = heading(nth, &question);
        turn.intent = Some(part.answer.intent);
        for citation in &part.answer.citations {
            turn.show(citation.document().id.clone());
        }
        turns.push(turn);
        answers.push((question, part));
    }
    let is_answered = |part: &Part| part.answer.outcome == Outcome::Grounded;
    if !answers.iter().any(|(_, part)| is_answered(part)) {
        // What no part of the message is, the whole may still be.
        return Ok(Composed::of(vec![answer(&meaning_of(message, &[]), asking)?]));
    }
    let unanswered = answers.iter().filter(|(_, part)| !is_answered(part));
    let unanswered = unanswered.map(|(question, part)| (question.clone(), part.answer.intent)).collect();
    let parts: Vec<Part> = answers.into_iter().map(|(_, part)| part).collect();
    Ok(Composed { unanswered, ..Composed::of(parts) })
}

/// The answer to what a message is taken to mean; to the message by itself, where the rest proves a wrong guess.
fn answered(meaning: Meaning, message: &str, asking: &Asking<'_>) -> Result<Part, RetrievalError> {
    let mut part = answer(&meaning, asking)?;
    let refused = |part: &Part| part.answer.outcome != Outcome::Grounded;
    // A model that there is not is no wrong guess: what is asked of it is not asked of all others.
    if let Some(alone) = &meaning.alone
        && refused(&part)
        && !part.answer.signs.foreign_model
    {
        let by_itself = answer(&Meaning::of(alone), asking)?;
        if !refused(&by_itself) {
            return Ok(by_itself);
        }
    }
    part.answer.understood = (meaning.text != message).then_some(meaning.text);
    Ok(part)
}

/// The answers to several questions, one of which is answered, under each other with one row of citations.
fn joined(parts: &[Part]) -> Answer {
    let mut draft = Draft::default();
    let mut suggestions: Vec<String> = Vec::new();
    let grounded = || parts.iter().map(|part| &part.answer).filter(|one| one.outcome == Outcome::Grounded);
    for part in parts {
        draft.headed(&part.heading).append(&part.answer.text, &part.answer.citations);
    }
    for suggestion in grounded().flat_map(|one| &one.suggestions) {
        if !suggestions.contains(suggestion) {
            suggestions.push(suggestion.clone());
        }
    }
    suggestions.truncate(3);
    let first = grounded().next().expect("the caller has seen an answer among them").clone();
    let (text, citations) = draft.finish();
    Answer { text, citations, suggestions, ..first }
}

/// What stands above the answer to one of several questions: the question, unless it has figures, which would read as
/// if a source said them.
fn heading(nth: usize, question: &str) -> String {
    let language = if question.chars().any(is_han) { Language::Chinese } else { Language::English };
    let place = place(nth, language);
    if question.chars().any(char::is_numeric) {
        format!("**{place}**")
    } else {
        format!("**{place}{}{}**", language.pick("：", ": "), crate::draft::without_marks(question))
    }
}

/// Which of several questions it is.
pub(crate) fn place(nth: usize, language: Language) -> &'static str {
    let (zh, en) = [
        ("第一问", "First"),
        ("第二问", "Second"),
        ("第三问", "Third"),
        ("第四问", "Fourth"),
        ("第五问", "Fifth"),
    ]
    .get(nth)
    .copied()
    .unwrap_or(("另一问", "Next"));
    language.pick(zh, en)
}

/// Answers one question.
fn answer(meaning: &Meaning, asking: &Asking<'_>) -> Result<Part, RetrievalError> {
    answer_by(meaning, asking, Ranking::default(), &mut |_, _| ())
}

/// As [`answer`], from passages that were ranked so; `seen` is shown the question as understood and the passages that
/// the answer may use, where there was a search.
///
/// # Errors
/// When the search fails.
pub(crate) fn answer_by(
    meaning: &Meaning,
    asking: &Asking<'_>,
    ranking: Ranking,
    seen: &mut dyn FnMut(&Understanding, &[Passage]),
) -> Result<Part, RetrievalError> {
    let Asking { audience, day, index, names, .. } = *asking;
    let text = meaning.text.as_str();
    let corrected = index.corrected(text);
    let text = &without_measure(corrected.as_deref().unwrap_or(text));
    let told =
        asking.wanted.or(meaning.wanted).or_else(|| intent::by_words(text, names).map(|(intent, _)| intent));
    let first_guess = told.unwrap_or(Intent::Other);
    let mut question = understand(text, first_guess, asking.customer.clone(), audience, index);
    if let Some(courtesy) = Courtesy::of(text) {
        let mut answer = refuse(&question, RefusalReason::OutOfScope, &[], asking, Signs::default());
        courtesy.reply(audience, question.language).clone_into(&mut answer.text);
        return Ok(answer.into());
    }
    let says_nothing = !text.chars().any(char::is_alphanumeric);
    if says_nothing || (intent::is_small_talk(text) && question.models.is_empty()) {
        return Ok(refuse(&question, RefusalReason::OutOfScope, &[], asking, Signs::default()).into());
    }
    let mut passages = plan::retrieve(&question, index, (audience, day), ranking)?;
    if told.is_none() {
        question.intent =
            intent::by_evidence(passages.iter().map(|p| p.document.kind), question.wants_figure);
        if question.intent != Intent::Other {
            passages = plan::retrieve(&question, index, (audience, day), ranking)?;
        }
    }
    passages.retain(|passage| {
        let id = &passage.document.id;
        meaning.only.as_ref().is_none_or(|only| only == id) && !meaning.without.contains(id)
    });
    if question.intent == Intent::FindCases {
        cases::rank(&question, &mut passages);
    }
    seen(&question, &passages);
    let known = (question.intent == Intent::CustomerBrief).then(|| brief::known(&question, asking));
    let known = known.filter(|known| !known.is_empty());
    let signs = support::signs(&question, &passages, audience, index);
    tracing::debug!(intent = question.intent.name(), ?signs, support = signs.support(), "judged");
    let card =
        if question.intent == Intent::CompareCompetitor { rival::card(&question, asking) } else { None };
    let mut draft = Draft::default();
    let is_overview = overview::asked(text)
        .is_some_and(|overview| overview::compose(&question, &overview, index, (audience, day), &mut draft));
    let is_supported = known.is_some() || card.is_some() || signs.support() >= support::THRESHOLD;
    if !is_overview && (passages.is_empty() || !(is_supported || cases::is_for_a_customer(&question))) {
        return Ok(refuse(&question, RefusalReason::NotInKnowledge, &passages, asking, signs).into());
    }
    match (question.intent, &known) {
        _ if is_overview => {}
        (Intent::CustomerBrief, Some(known)) => brief::compose(&question, known, asking, &mut draft),
        (Intent::FindCases, _) => cases::compose(&question, &passages, index, is_supported, &mut draft),
        (Intent::RecommendVideos, _) => videos::compose(&question, &passages, index, &mut draft),
        (Intent::FindTemplate, _) => templates::compose(&question, &passages, index, &mut draft),
        (Intent::HandleObjection, _) => objection::compose(&question, &passages, index, &mut draft),
        (Intent::CompareCompetitor, _) if card.is_some() => {
            rival::compose(card.as_ref().expect("the guard says so"), index, &mut draft);
        }
        _ => {
            let is_compared = compare::is_asked(&question)
                && compare::compose(&question, &passages, index, audience, day, &mut draft);
            let kind = recommend::kind_asked(&question).filter(|_| !is_compared);
            // A machine that the company has not, and that nothing found speaks of, is refused below.
            let is_settled = match kind {
                Some(kind) => {
                    recommend::compose(&question, &kind, &passages, index, (audience, day), &mut draft)?
                }
                None => is_compared,
            };
            if !is_settled {
                facts::compose(&question, &passages, index, &mut draft);
            }
        }
    }
    if draft.is_empty() {
        return Ok(refuse(&question, RefusalReason::NotInKnowledge, &passages, asking, signs).into());
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
        understood: None,
        support: signs.support(),
        signs,
    };
    // All of it is already there, and a model would see a part.
    let material = (!is_overview).then_some(Material { question, passages, tone: Tone::Plain });
    Ok(Part { heading: String::new(), answer, material })
}

fn refuse(
    question: &Understanding,
    reason: RefusalReason,
    near: &[Passage],
    asking: &Asking<'_>,
    signs: Signs,
) -> Answer {
    let mut instead: Vec<String> = Vec::new();
    if signs.foreign_model {
        for model in &question.models {
            instead.extend(products::siblings(model, asking.index, asking.audience, asking.day));
        }
    }
    Answer {
        intent: question.intent,
        text: refusal::words(question, reason, near, asking.audience, &instead),
        citations: Vec::new(),
        outcome: Outcome::Abstained(reason),
        suggestions: refusal::suggestions(question, near),
        generator: EXTRACTIVE.to_owned(),
        generation: None,
        understood: None,
        support: signs.support(),
        signs,
    }
}
