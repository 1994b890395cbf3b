//! Answers to questions of fact: the units that say it, best first, each cited.

use std::collections::HashSet;
use std::sync::Arc;

use flightdeck_corpus::{Document, Kind};
use flightdeck_retrieval::{Index, Passage, fold_text};

use crate::draft::Draft;
use crate::question::Understanding;
use crate::units::{Evidence, Form, units};

/// Passages that are read for an answer.
const PASSAGES: usize = 6;
/// Units in an answer, at most.
const UNITS: usize = 4;
/// Units of one passage, at most.
const UNITS_OF_ONE: usize = 2;
/// Documents that are heard, where so many speak to the question.
const DOCUMENTS: usize = 3;
/// A unit is taken when its score is at least this share of the best one's,
const CLOSE: f32 = 0.62;
/// and heard as another document's voice from this share on.
const HEARD: f32 = 0.5;
/// What the words of title and headings count for against the unit's own.
const CONTEXT_WEIGHT: f32 = 0.5;

/// A unit with how well it answers.
struct Scored {
    evidence: Evidence,
    score: f32,
    passage: usize,
    terms: HashSet<String>,
}

/// Writes the answer to a question of fact.
pub(crate) fn compose(question: &Understanding, passages: &[Passage], index: &Index, draft: &mut Draft) {
    let best = passages.first().map_or(0.0, |passage| passage.score);
    let read: Vec<&Passage> = passages.iter().take(PASSAGES).filter(|p| p.score >= 0.4 * best).collect();
    let candidates = score(question, &read, index);
    let chosen = choose(question, &read, candidates);
    let n_chosen = chosen.len();
    for (i, scored) in chosen.into_iter().enumerate() {
        draft.line();
        if i == 1 {
            draft.frame("\n");
        }
        if i > 0 && n_chosen > 2 {
            draft.frame("- ");
        }
        let label = label(&scored.evidence);
        if !label.is_empty() {
            draft.frame(&label);
        }
        draft.state(&scored.evidence);
    }
}

fn score(question: &Understanding, read: &[&Passage], index: &Index) -> Vec<Scored> {
    let best = read.first().map_or(1.0, |passage| passage.score.max(f32::EPSILON));
    let mut scored = Vec::new();
    for (passage_idx, passage) in read.iter().enumerate() {
        let document = &passage.document;
        let context =
            index.terms(&format!("{}\n{}", document.title, passage.chunk.location.heading.join("\n")));
        let mut heading_terms = context;
        for unit in units(document, &passage.chunk) {
            if unit.form == Form::Heading {
                heading_terms.extend(index.terms(&unit.words));
                continue;
            }
            let terms = index.terms(&unit.words);
            let meaning: f32 = question
                .words
                .iter()
                .map(|word| {
                    let own = word.stands_in(&terms);
                    word.rarity * own.max(CONTEXT_WEIGHT * word.stands_in(&heading_terms))
                })
                .sum();
            let total: f32 = question.words.iter().map(|word| word.rarity).sum::<f32>().max(f32::EPSILON);
            let has_figure = unit.words.bytes().any(|b| b.is_ascii_digit());
            let figure = if question.wants_figure && has_figure { 0.15 } else { 0.0 };
            let length = unit.words.chars().count();
            // A lead-in (`弱点三条：`) says nothing without what follows it.
            let stub = if length < 6 || unit.words.ends_with(['：', ':']) { 0.35 } else { 0.0 };
            let score = meaning / total + figure - stub + 0.6 * passage.score / best;
            let evidence = Evidence { document: document.clone(), chunk: passage.chunk.clone(), unit };
            scored.push(Scored { evidence, score, passage: passage_idx, terms });
        }
    }
    scored
}

/// The best units: the document of the best one leads, near-repetitions are left out, and where several documents
/// speak to the question at least three of them are heard, so that a rep sees whether they agree.
fn choose(question: &Understanding, read: &[&Passage], mut candidates: Vec<Scored>) -> Vec<Scored> {
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.passage.cmp(&b.passage)));
    let best = candidates.first().map_or(0.0, |scored| scored.score);
    let wanted = if question.models.len() > 1 { UNITS + 2 } else { UNITS };
    let mut chosen: Vec<Scored> = Vec::new();
    let mut passed_over: Vec<Scored> = Vec::new();
    for candidate in candidates {
        let of_one = chosen.iter().filter(|c| c.passage == candidate.passage).count();
        let repeats = chosen.iter().any(|c| overlap(&c.terms, &candidate.terms) > 0.7);
        let is_old = read[candidate.passage].superseded_by.is_some() && !chosen.is_empty();
        if is_old || repeats {
            continue;
        }
        if chosen.len() < wanted && of_one < UNITS_OF_ONE && candidate.score >= CLOSE * best {
            chosen.push(candidate);
        } else if candidate.score >= HEARD * best {
            passed_over.push(candidate);
        }
    }
    for candidate in passed_over {
        let ids = |scored: &Scored| scored.evidence.document.id.clone();
        let heard: HashSet<_> = chosen.iter().map(ids).collect();
        if heard.len() >= DOCUMENTS {
            break;
        }
        if !heard.contains(&ids(&candidate)) {
            chosen.push(candidate);
        }
    }
    let Some(lead) = chosen.first().map(|scored| scored.passage) else { return chosen };
    chosen.sort_by_key(|scored| (scored.passage != lead, scored.passage, scored.evidence.unit.span.start));
    chosen
}

/// Share of the smaller set that stands in the other.
fn overlap(a: &HashSet<String>, b: &HashSet<String>) -> f32 {
    let smaller = a.len().min(b.len());
    if smaller == 0 { 0.0 } else { a.intersection(b).count() as f32 / smaller as f32 }
}

/// What a table row needs to be understood alone: the product or the document it is about.
pub(crate) fn label(evidence: &Evidence) -> String {
    if evidence.unit.form != Form::Row {
        return String::new();
    }
    let document: &Arc<Document> = &evidence.document;
    let name = match (document.kind, document.profile.product.as_slice()) {
        (Kind::Product, [product]) => product.clone(),
        _ => document.title.clone(),
    };
    if fold_text(&evidence.unit.words).contains(&fold_text(&name)) {
        String::new()
    } else {
        format!("{name} · ")
    }
}
