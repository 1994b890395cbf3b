//! An objection answered in the order a conversation takes: what is behind it, what to say, what proves it, what to
//! ask back, what comes next.

use std::sync::Arc;

use flightdeck_corpus::{Chunk, Document, Kind};
use flightdeck_retrieval::{Index, Passage};

use crate::draft::Draft;
use crate::facts;
use crate::question::{Language, Understanding};
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
    let steps = self::sections(playbook, index);
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
            let found = self::sections(other, index)
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

/// The playbook's units with the heading each stands under; of a file with several objections only the one found.
fn sections(playbook: &Passage, index: &Index) -> Vec<(String, Evidence)> {
    let document: &Arc<Document> = &playbook.document;
    let chunks: &[Arc<Chunk>] = index.chunks(&document.id);
    let top = top_heading(playbook, chunks);
    let mut sections = Vec::new();
    for chunk in chunks {
        if let Some(top) = &top
            && chunk.location.heading.get(top.0) != Some(&top.1)
        {
            continue;
        }
        let mut heading = chunk.location.heading.last().cloned().unwrap_or_default().to_lowercase();
        for unit in units_with(document, chunk, SPOKEN_CHARS) {
            if unit.form == Form::Heading {
                heading = unit.words.to_lowercase();
            } else {
                let mut heading = heading.clone();
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
    }
    sections
}

/// The heading that tells the objections of one file apart: the first level on which its chunks differ and under
/// which there are several steps; `None` where the whole file is one objection.
fn top_heading(playbook: &Passage, chunks: &[Arc<Chunk>]) -> Option<(usize, String)> {
    let is_step = |heading: &str| {
        let heading = heading.to_lowercase();
        STEPS.iter().any(|step| step.headings.iter().any(|word| heading.contains(word)))
    };
    let level = (0..3).find(|&level| {
        let first = chunks.first().and_then(|c| c.location.heading.get(level));
        chunks.iter().any(|c| c.location.heading.get(level) != first)
    })?;
    let own = playbook.chunk.location.heading.get(level)?;
    (!is_step(own)).then(|| (level, own.clone()))
}
