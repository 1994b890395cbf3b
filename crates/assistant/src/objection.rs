//! An objection answered in the order a conversation takes: what is behind it, what to say, what proves it, what to
//! ask back, what comes next.

use std::ops::Range;
use std::sync::Arc;

use flightdeck_corpus::{Document, Heading, Kind, headings};
use flightdeck_retrieval::{Index, Passage};

use crate::draft::Draft;
use crate::facts;
use crate::question::{Language, Understanding, Word};
use crate::units::{Evidence, Form, units, units_with};

/// The steps of an answer, with how playbooks head them and how the answer heads them.
struct Step {
    headings: &'static [&'static str],
    chinese: &'static str,
    english: &'static str,
    units: usize,
}

/// Which of the steps is what is said first.
const OPENING: usize = 1;
/// Another document is heard when its score is at least this share of the best.
const OTHERS_FROM: f32 = 0.5;
/// What bold type is worth beside words of the question, whose weights are inverse document frequencies.
const BOLD: f32 = 3.0;
/// A word of the question counts so much more in a heading.
const HEADING_WEIGHT: f32 = 2.0;
/// What it is worth to be where the search has found the passage.
const FOUND: f32 = 4.0;
/// A paragraph up to this long is quoted whole.
const SPOKEN_CHARS: usize = 220;

const STEPS: [Step; 5] = [
    Step {
        headings: &["原因", "why", "behind", "心理"],
        chinese: "背后的原因",
        english: "What is behind it",
        units: 1,
    },
    Step {
        headings: &["开场", "话术", "怎么说", "回应", "先说", "say", "opening", "response"],
        chinese: "可以这样说",
        english: "What to say",
        units: 1,
    },
    Step {
        headings: &["证据", "依据", "数据", "案例", "evidence", "proof"],
        chinese: "拿出证据",
        english: "Evidence",
        units: 3,
    },
    Step {
        headings: &["反问", "追问", "问一句", "ask"], chinese: "反问一句", english: "Ask back", units: 1
    },
    Step { headings: &["下一步", "推进", "next"], chinese: "下一步", english: "Next step", units: 1 },
];

/// Writes the answer; falls back to facts where no playbook is among the best passages.
pub(crate) fn compose(question: &Understanding, passages: &[Passage], index: &Index, draft: &mut Draft) {
    let best = passages.first().map_or(0.0, |passage| passage.score);
    let playbook =
        passages.iter().take(4).find(|p| p.document.kind == Kind::Objection && p.score >= 0.75 * best);
    let Some(playbook) = playbook else {
        return facts::compose(question, passages, index, draft);
    };
    let asked = Asked { words: &question.words, index };
    let steps = self::sections(playbook, &asked, index);
    let mut n_steps = 0;
    for step in &STEPS {
        let mut found: Vec<&(String, Evidence)> = steps
            .iter()
            .filter(|(heading, _)| step.headings.iter().any(|word| heading.contains(word)))
            .collect();
        if found.iter().any(|(_, evidence)| !is_lead_in(evidence)) {
            found.retain(|(_, evidence)| !is_lead_in(evidence));
        }
        if found.is_empty() {
            continue;
        }
        n_steps += 1;
        if found.len() > step.units && step.units > 1 {
            found = asked.best(&found, step.units);
        }
        found.truncate(step.units);
        draft.line().frame(if n_steps == 1 { "**" } else { "\n**" });
        draft.frame(if question.language == Language::Chinese { step.chinese } else { step.english });
        draft.frame(if question.language == Language::Chinese { "**：" } else { "**: " });
        let as_list = found.len() > 1 && found.iter().any(|(_, e)| e.unit.form != Form::Sentence);
        for (_, evidence) in found {
            if as_list {
                draft.line().frame("- ");
            }
            draft.state(evidence);
        }
    }
    if draft.is_empty() {
        return facts::compose(question, passages, index, draft);
    }
    for other in others(playbook, passages) {
        let zh = question.language == Language::Chinese;
        let (heading, evidence) = if other.document.kind == Kind::Objection {
            let opening = &STEPS[OPENING];
            let found = self::sections(other, &asked, index)
                .into_iter()
                .find(|(heading, _)| opening.headings.iter().any(|word| heading.contains(word)));
            let Some((_, evidence)) = found else { continue };
            let title = crate::draft::without_marks(&other.document.title);
            (if zh { format!("也可能是「{title}」") } else { format!("It may also be: {title}") }, evidence)
        } else {
            let units = units(&other.document, &other.chunk);
            let Some(unit) = units.into_iter().find(|unit| unit.form != Form::Heading) else { continue };
            let evidence = Evidence { document: other.document.clone(), chunk: other.chunk.clone(), unit };
            (if zh { "同事这样答过".to_owned() } else { "A colleague answered".to_owned() }, evidence)
        };
        draft.line().frame(&if zh { format!("\n**{heading}**：") } else { format!("\n**{heading}**: ") });
        draft.state(&evidence);
    }
}

/// Up to two other documents that speak to the objection: another playbook, or what was answered before.
fn others<'p>(playbook: &Passage, passages: &'p [Passage]) -> Vec<&'p Passage> {
    let best = passages.first().map_or(0.0, |passage| passage.score);
    let mut others: Vec<&Passage> = Vec::new();
    for passage in passages.iter().take(10).filter(|passage| passage.score >= OTHERS_FROM * best) {
        let document = &passage.document;
        let is_answer = matches!(document.kind, Kind::Objection | Kind::Qa | Kind::Faq);
        let is_known =
            document.id == playbook.document.id || others.iter().any(|o| o.document.id == document.id);
        if is_answer && !is_known && others.len() < 2 {
            others.push(passage);
        }
    }
    others
}

/// Whether a unit only introduces what follows it.
fn is_lead_in(evidence: &Evidence) -> bool {
    evidence.unit.words.ends_with(['：', ':'])
}

/// The words of the question, looked for in a playbook.
struct Asked<'i> {
    words: &'i [Word],
    index: &'i Index,
}

impl Asked<'_> {
    /// How much of the question stands in `text`.
    fn in_text(&self, text: &str) -> f32 {
        let has: Vec<String> = self.index.words(text);
        self.words.iter().filter(|word| has.contains(&word.text)).map(|word| word.rarity).sum()
    }

    /// The `n` that say most to the question, in their order; what its author has put in bold is worth a word.
    fn best<'e>(&self, found: &[&'e (String, Evidence)], n: usize) -> Vec<&'e (String, Evidence)> {
        let mut weighed: Vec<(f32, usize)> = found
            .iter()
            .enumerate()
            .map(|(idx, (_, evidence))| {
                let quote = &evidence.document.text[evidence.unit.span.clone()];
                let bold = if quote.contains("**") { BOLD } else { 0.0 };
                (self.in_text(quote) + bold, idx)
            })
            .collect();
        weighed.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut kept: Vec<usize> = weighed.into_iter().take(n).map(|(_, idx)| idx).collect();
        kept.sort_unstable();
        kept.into_iter().map(|idx| found[idx]).collect()
    }
}

/// The playbook's units with the heading each stands under; of a file with several objections only the one that is
/// asked about.
fn sections(playbook: &Passage, asked: &Asked<'_>, index: &Index) -> Vec<(String, Evidence)> {
    let document: &Arc<Document> = &playbook.document;
    let headings = headings(&document.text);
    let objection = objection_at(playbook, &headings, asked);
    let mut sections = Vec::new();
    for chunk in index.chunks(&document.id) {
        for unit in units_with(document, chunk, SPOKEN_CHARS) {
            if unit.form == Form::Heading || !objection.contains(&unit.span.start) {
                continue;
            }
            let nearest = headings.iter().take_while(|heading| heading.start <= unit.span.start).last();
            let of_chunk = || chunk.location.heading.last();
            let mut heading =
                nearest.map(|heading| &heading.words).or_else(of_chunk).cloned().unwrap_or_default();
            heading = heading.to_lowercase();
            // Short playbooks label their steps in the line itself: `开场：……`.
            if let Some((label, _)) = unit.words.split_once(['：', ':'])
                && label.chars().count() <= 8
            {
                heading = format!("{heading} {}", label.to_lowercase());
            }
            let evidence = Evidence { document: document.clone(), chunk: chunk.clone(), unit };
            sections.push((heading, evidence));
        }
    }
    sections
}

fn is_step(heading: &Heading) -> bool {
    let words = heading.words.to_lowercase();
    STEPS.iter().any(|step| step.headings.iter().any(|name| words.contains(name)))
}

/// The stretch of the text that is about one objection: under the heading that says most to the question, of those on
/// the first level on which there are several that name no step; everything where there are none.
fn objection_at(playbook: &Passage, headings: &[Heading], asked: &Asked<'_>) -> Range<usize> {
    let text = &playbook.document.text;
    let whole = 0..text.len();
    let level = (1..=6).find(|level| {
        let mut of_level = headings.iter().filter(|heading| heading.level == *level);
        of_level.clone().count() > 1 && of_level.all(|heading| !is_step(heading))
    });
    let Some(level) = level else { return whole };
    let starts: Vec<&Heading> = headings.iter().filter(|heading| heading.level <= level).collect();
    let found = &playbook.chunk.span;
    let objections = starts.iter().enumerate().filter(|(_, heading)| heading.level == level);
    let weighed = objections.map(|(idx, heading)| {
        let end = starts.get(idx + 1).map_or(text.len(), |next| next.start);
        let is_found = heading.start < found.end && found.start < end;
        let said = HEADING_WEIGHT * asked.in_text(&heading.words) + asked.in_text(&text[heading.start..end]);
        (said + if is_found { FOUND } else { 0.0 }, heading.start..end)
    });
    weighed.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.start.cmp(&a.1.start))).map_or(whole, |(_, span)| span)
}
