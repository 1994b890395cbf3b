//! What may be sent to a customer, in the tone that a rep wants it.
//!
//! Whatever the tone, it is made from the answer that the customer would get, and so from sources for customers only.
//! Without a language model nothing is reworded: *shorter* is the leading statements, *warmer* is a greeting and a
//! close round unchanged sentences, *English* is what English sources say of the same thing, told by the figures that
//! they share, and where there are none there is none. With a model each sentence is held against its sources as in
//! every answer that a model words.

use flightdeck_corpus::Audience;
use flightdeck_models::Listener;
use flightdeck_retrieval::{Filters, Index, Mode, Passage, Query, RetrievalError, is_han};
use jiff::civil::Date;

use crate::answer::{Answer, Citation, Outcome, RefusalReason};
use crate::claims::{addresses, quantities};
use crate::draft::Draft;
use crate::engine::{Composed, Part, place};
use crate::facts::label;
use crate::generate::{Fallback, Generation};
use crate::question::{Language, Understanding};
use crate::sentences::{list_mark, marks};
use crate::support::speaks_of;
use crate::units::{Evidence, Form, units};
use crate::{Assistant, AssistantError, Request, Silence};

/// How something is to be said to a customer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tone {
    /// As the answer has it.
    #[default]
    Plain,
    /// The leading statements.
    Shorter,
    /// With a greeting and a close.
    Warmer,
    /// In English.
    English,
}

impl Tone {
    /// All tones.
    pub const ALL: [Self; 4] = [Self::Plain, Self::Shorter, Self::Warmer, Self::English];

    /// As JSON and prompts spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Shorter => "shorter",
            Self::Warmer => "warmer",
            Self::English => "english",
        }
    }
}

/// Why there is nothing to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NothingToSend {
    /// No source for customers supports an answer.
    Unsupported(RefusalReason),
    /// No English source for customers says it.
    NoEnglishSource,
}

impl NothingToSend {
    /// As JSON spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unsupported(RefusalReason::NotInKnowledge) => "not_in_knowledge",
            Self::Unsupported(RefusalReason::OutOfScope) => "out_of_scope",
            Self::NoEnglishSource => "no_english_source",
        }
    }
}

/// What may be sent, which a model may still word anew.
pub struct Toned {
    composed: Composed,
    tone: Tone,
    index: std::sync::Arc<Index>,
    audience: Audience,
    day: Date,
}

impl Assistant {
    /// What of the answer to a message may be sent, in this tone; or why nothing. Nothing is recorded. CPU-bound as
    /// [`Assistant::reply`].
    ///
    /// # Errors
    /// As [`AssistantError`].
    pub fn toned(
        &self,
        request: &Request,
        tone: Tone,
    ) -> Result<Result<Toned, NothingToSend>, AssistantError> {
        let (audience, day) = (request.audience, request.day);
        let (Composed { answer, parts, .. }, index) = self.compose_alone(request)?;
        if let Outcome::Abstained(reason) = answer.outcome {
            return Ok(Err(NothingToSend::Unsupported(reason)));
        }
        let mut toned: Vec<Part> = Vec::new();
        for (nth, mut part) in parts.into_iter().enumerate() {
            let is_answered = part.answer.outcome == Outcome::Grounded;
            match tone {
                Tone::Shorter if is_answered => {
                    let (text, citations) = shorter(&part.answer);
                    part.answer = Answer { text, citations, ..part.answer };
                }
                Tone::Plain | Tone::Warmer | Tone::Shorter => {}
                Tone::English => {
                    let Some(material) = &mut part.material else { continue };
                    let found = english(&material.question, &part.answer, &index, audience, day)?;
                    let Some((draft, passages)) = found else { continue };
                    let (text, citations) = draft.finish();
                    part.answer = Answer { text, citations, ..part.answer };
                    material.passages = passages;
                    material.question.language = Language::English;
                    if !part.heading.is_empty() {
                        part.heading = format!("**{}**", place(nth, Language::English));
                    }
                }
            }
            if let Some(material) = &mut part.material {
                material.tone = tone;
            }
            toned.push(part);
        }
        if toned.is_empty() {
            return Ok(Err(NothingToSend::NoEnglishSource));
        }
        Ok(Ok(Toned { composed: Composed::of(toned), tone, index, audience, day }))
    }

    /// Whether a model will word this, which takes seconds. What is plain is never worded anew.
    pub fn words_toned(&self, toned: &Toned) -> bool {
        self.writer.is_some() && toned.tone != Tone::Plain && toned.composed.can_be_worded()
    }

    /// What may be sent. A model stops where `listener` is gone.
    pub fn finish_toned(&self, toned: Toned, listener: &mut dyn Listener) -> Answer {
        let Toned { composed, tone, index, audience, day } = toned;
        let material = composed.parts.iter().find_map(|part| part.material.as_ref());
        let language = material.map_or(Language::Chinese, |material| material.question.language);
        let worded = match &self.writer {
            Some(writer) if tone != Tone::Plain && material.is_some() => {
                let worded = writer.rewrite(&composed, &index, (audience, day), &mut Gone(listener));
                // A model that talks more than the sources was not asked for.
                if tone == Tone::Shorter && worded.text.chars().count() > composed.answer.text.chars().count()
                {
                    let generation = worded
                        .generation
                        .map(|generation| Generation { fallback: Some(Fallback::Unverified), ..generation });
                    Answer { generation, ..composed.answer }
                } else {
                    worded
                }
            }
            _ => composed.answer,
        };
        if tone == Tone::Warmer { warmer(worded, language) } else { worded }
    }
}

/// A listener who takes no text and is only asked whether anybody is still there.
struct Gone<'l>(&'l mut dyn Listener);

impl Listener for Gone<'_> {
    fn text(&mut self, _: &str) -> std::ops::ControlFlow<()> {
        if self.0.is_gone() { std::ops::ControlFlow::Break(()) } else { Silence.text("") }
    }

    fn is_gone(&self) -> bool {
        self.0.is_gone()
    }
}

/// The same statements between words that state nothing.
fn warmer(answer: Answer, language: Language) -> Answer {
    let opening = language.pick("您好！您问的这个问题，我整理好了：", "Hello! Here is what you asked about:");
    let closing = language.pick(
        "还有哪里想了解的，随时告诉我，我马上帮您确认。",
        "If anything else would help, just let me know and I will check it for you.",
    );
    let text = format!("{opening}\n\n{}\n\n{closing}", answer.text.trim());
    Answer { text, ..answer }
}

/// The leading statements of an answer, of a list its first entry with its link.
fn shorter(answer: &Answer) -> (String, Vec<Citation>) {
    /// Statements, at most,
    const STATEMENTS: usize = 2;
    /// and characters up to which a second one is added.
    const CHARS: usize = 120;
    let mut draft = Draft::default();
    let (mut n_statements, mut n_chars) = (0, 0);
    let mut is_entry = false;
    for line in answer.text.lines() {
        if line.trim().is_empty() {
            // What leads stands apart from what else there is.
            if n_statements > 0 {
                break;
            }
            continue;
        }
        let (words, numbers) = marks::taken_out(line);
        let begins_entry = numbers.is_empty() && line.starts_with("**");
        if begins_entry && n_statements > 0 {
            break;
        }
        is_entry |= begins_entry;
        let is_statement = !numbers.is_empty();
        if is_statement {
            let length = words.chars().count();
            if n_statements == STATEMENTS || n_statements > 0 && n_chars + length > CHARS {
                continue;
            }
            n_statements += 1;
            n_chars += length;
        } else if !begins_entry && (!is_entry || addresses(line).is_empty()) {
            // A lead-in of what is left out.
            continue;
        }
        draft.line();
        // What is no list any more needs no marks of one.
        let line = if is_entry { line } else { list_mark(line).1 };
        draft.append(line, &answer.citations);
    }
    draft.finish()
}

/// What English sources say of what the answer says; `None` where none does.
///
/// Words cannot be compared across languages, and vectors of one passage in two languages are near each other, but so
/// are those of two passages about one machine. Figures are the same in both: a sentence that shares the answer's
/// figures, stands near the question, and is about its models, says the same.
fn english(
    question: &Understanding,
    answer: &Answer,
    index: &Index,
    audience: Audience,
    day: Date,
) -> Result<Option<(Draft, Vec<Passage>)>, RetrievalError> {
    /// English passages nearest to the question that are looked at.
    const NEAREST: usize = 8;
    /// Passages among which those are looked for: in most knowledge few are English.
    const AMONG: usize = 100;
    /// Weight of figures that must be shared, in figures of the leading statement's kind.
    const SHARED: f32 = 2.0;
    const UNITS: usize = 2;
    let is_english = |text: &str| !text.chars().any(is_han);
    let query = Query {
        text: question.text.clone(),
        audience,
        day,
        filters: Filters::default(),
        mode: Mode::Vector,
        top_k: AMONG,
    };
    let mut passages = index.search_fused(&query)?;
    passages.retain(|passage| {
        passage.superseded_by.is_none()
            && is_english(&passage.document.title)
            && is_english(passage.chunk.text(&passage.document))
            && (question.models.is_empty() || question.models.iter().all(|model| speaks_of(passage, model)))
    });
    passages.truncate(NEAREST);
    let figures = figures(answer);
    let mut found: Vec<(f32, Vec<String>, Evidence)> = Vec::new();
    for passage in &passages {
        for unit in units(&passage.document, &passage.chunk) {
            if unit.form == Form::Heading {
                continue;
            }
            let mut shared: Vec<String> = quantities(&unit.words).into_iter().map(|q| q.number).collect();
            shared.sort();
            shared.dedup();
            let weight_of = |number: &String| {
                figures.iter().find(|(figure, _)| figure == number).map_or(0.0, |(_, weight)| *weight)
            };
            shared.retain(|number| weight_of(number) > 0.0);
            let weight: f32 = shared.iter().map(weight_of).sum();
            if weight >= SHARED {
                let (document, chunk) = (passage.document.clone(), passage.chunk.clone());
                found.push((weight, shared, Evidence { document, chunk, unit }));
            }
        }
    }
    // A sort that keeps the order of equals: then the nearest passage leads.
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut draft = Draft::default();
    let mut said: Vec<String> = Vec::new();
    for (_, shared, evidence) in &found {
        let adds = shared.iter().any(|number| !said.contains(number));
        if !adds || draft.text().contains(evidence.unit.words.as_str()) {
            continue;
        }
        said.extend(shared.iter().cloned());
        draft.line().frame(&label(evidence, true)).state(evidence);
        if said.len() >= figures.len() || draft.citations().len() == UNITS {
            break;
        }
    }
    if draft.is_empty() {
        return Ok(None);
    }
    passages.retain(|passage| {
        draft.citations().iter().any(|citation| citation.document().id == passage.document.id)
    });
    Ok(Some((draft, passages)))
}

/// The figures that an answer states, with their weights: those of its leading statement count twice, those of one
/// digit half.
fn figures(answer: &Answer) -> Vec<(String, f32)> {
    let mut figures: Vec<(String, f32)> = Vec::new();
    for citation in &answer.citations {
        for quantity in quantities(citation.quote()) {
            if figures.iter().any(|(figure, _)| *figure == quantity.number) {
                continue;
            }
            let leads = if citation.n() == 1 { 2.0 } else { 1.0 };
            let n_digits = quantity.number.bytes().filter(u8::is_ascii_digit).count();
            let weight = if n_digits > 1 { leads } else { leads / 2.0 };
            figures.push((quantity.number, weight));
        }
    }
    figures
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flightdeck_corpus::{Document, Kind, Location};

    use super::*;
    use crate::answer::Intent;
    use crate::support::Signs;

    /// An answer whose `[n]` cites the n-th of these sentences.
    fn answer(text: &str, sentences: &[&str]) -> Answer {
        let document = Arc::new(Document::new("d", Kind::Product, "d", "d.md", &sentences.concat()));
        let mut from = 0;
        let citations = sentences.iter().zip(1..).map(|(sentence, n)| {
            let span = from..from + sentence.len();
            from = span.end;
            Citation::new(n, document.clone(), span, Location::default()).unwrap()
        });
        Answer {
            intent: Intent::ProductQuestion,
            text: text.to_owned(),
            citations: citations.collect(),
            outcome: Outcome::Grounded,
            suggestions: Vec::new(),
            generator: "extractive".to_owned(),
            generation: None,
            understood: None,
            support: 1.0,
            signs: Signs::default(),
        }
    }

    #[test]
    fn shorter_is_the_leading_statements_word_for_word_under_new_numbers() {
        let said = answer(
            "速度 300 瓶/分钟。[2]\n- 精度 ±0.5 mm。[1]\n\n- 重 620 kg。[3]",
            &["精度 ±0.5 mm。", "速度 300 瓶/分钟。", "重 620 kg。"],
        );
        let (text, citations) = shorter(&said);
        assert_eq!(text, "速度 300 瓶/分钟。[1]\n精度 ±0.5 mm。[2]");
        let quotes: Vec<_> = citations.iter().map(Citation::quote).collect();
        assert_eq!(quotes, ["速度 300 瓶/分钟。", "精度 ±0.5 mm。"]);
    }

    #[test]
    fn of_a_long_statement_one_is_enough_and_of_a_list_the_first_entry_with_its_link() {
        let long = "长".repeat(121);
        let said = answer(&format!("{long}[1]\n\n- 短。[2]"), &[&long, "短。"]);
        assert_eq!(shorter(&said).0, format!("{long}[1]"));
        let list = "可以发这两个：\n\n**1. 华睿**（饮料）\n- 合适在：饮料\n- 快了四倍。[1]\n- 可发送：https://a.example/1\n\n**2. 森野**\n- 好。[2]";
        let (text, citations) = shorter(&answer(list, &["快了四倍。", "好。"]));
        assert_eq!(text, "**1. 华睿**（饮料）\n- 快了四倍。[1]\n- 可发送：https://a.example/1");
        assert_eq!(citations.len(), 1);
    }

    #[test]
    fn warmer_leaves_the_statements_as_they_are() {
        let said = answer("速度 300 瓶/分钟。[1]", &["速度 300 瓶/分钟。"]);
        let warm = warmer(said, Language::Chinese);
        assert!(
            warm.text.starts_with("您好！") && warm.text.contains("\n\n速度 300 瓶/分钟。[1]\n\n"),
            "{}",
            warm.text
        );
        let around = warm.text.replace("速度 300 瓶/分钟。[1]", "");
        assert!(!around.bytes().any(|byte| byte.is_ascii_digit()), "the frame states nothing");
    }

    #[test]
    fn figures_of_the_leading_statement_count_most() {
        let said = answer("甲[1]乙[2]", &["300 瓶/分钟，3 年", "150 瓶/分钟，300 瓶"]);
        let expected =
            [("300", 2.0), ("3", 1.0), ("150", 1.0)].map(|(figure, weight)| (figure.to_owned(), weight));
        assert_eq!(figures(&said), expected);
    }
}
