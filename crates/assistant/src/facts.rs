//! Answers to questions of fact: the units that say it, best first, each cited.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use flightdeck_corpus::{Audience, Chunk, Document, Kind};
use flightdeck_retrieval::{Index, Passage, fold_text, is_han};

use crate::contradictions;
use crate::draft::Draft;
use crate::products::sheet_of;
use crate::quantities::states_duration;
use crate::question::{self, Language, Understanding};
use crate::support::{is_about, names_model};
use crate::units::{Evidence, Form, cosine_over, units_with};

/// Passages that are read for an answer.
const PASSAGES: usize = 6;
/// Passages among which an approved answer to the same question is looked for.
const ANSWERED_BEFORE: usize = 12;
/// Units in an answer, at most.
const UNITS: usize = 4;
/// Units of one passage, at most.
const UNITS_OF_ONE: usize = 2;
/// Documents that are heard, where so many speak to the question.
const DOCUMENTS: usize = 3;
/// What a unit of 200 characters or more loses against a short one that says the same.
const LENGTH_COST: f32 = 0.12;
/// What a row of a general table loses that is named after something else than the model asked about.
const ACCESSORY_COST: f32 = 0.25;
/// What the passages of the asked model's own sheet stand at, of the best passage's score, wherever they were found.
const OWN_SHEET: f32 = 0.95;
/// From this share of the question's meaning on, another's question is the same one.
const SAME_QUESTION: f32 = 0.5;
/// Share of each question that must stand in the other for an approved answer to lead.
const SAME_WORDS: f32 = 0.8;
/// From this share on all of the question stands in the other, and then it may be half of it: `保修多久` and
/// `整机保修多久`.
const ALL_WORDS: f32 = 0.95;
const HALF_OF_THEIRS: f32 = 0.5;
/// What is asked of the thing itself is the same with its name and without. Further names of it are no content words in
/// any question.
const THE_THING: &[&str] = &["整机", "机子", "machine", "equipment"];
/// A unit is taken when its score is at least this share of the best one's,
const CLOSE: f32 = 0.62;
/// and heard as another document's voice from this share on.
const HEARD: f32 = 0.5;
/// What a cosine is worth beside the share of the question that stands in a unit.
pub(crate) const NEARNESS_WEIGHT: f32 = 1.5;
/// What the words of title and headings count for against the unit's own.
const CONTEXT_WEIGHT: f32 = 0.5;

/// The same where a list is asked for, whose title says what its lines are.
const LISTED: f32 = 0.9;

/// A unit with how well it answers.
struct Scored {
    evidence: Evidence,
    score: f32,
    passage: usize,
    terms: HashSet<String>,
    /// Whether it shares more with the question than the models named.
    speaks_to_it: bool,
}

/// Writes the answer to a question of fact.
pub(crate) fn compose(question: &Understanding, passages: &[Passage], index: &Index, draft: &mut Draft) {
    let read = sources(question, passages, index);
    let candidates = score(question, &read, index);
    let mut chosen = choose(question, &read, candidates);
    lead_with_same_question(question, passages, index, &mut chosen);
    let differing = newest_first(&mut chosen, passages, index);
    let n_chosen = chosen.len();
    for (i, scored) in chosen.into_iter().enumerate() {
        draft.line();
        if i == 1 {
            draft.frame("\n");
        }
        if i > 0 && n_chosen > 2 {
            draft.frame("- ");
        }
        let title_terms = index.terms(&scored.evidence.document.title);
        let is_same_question = i == 0 && question.coverage(&title_terms) >= SAME_QUESTION;
        let mut label = label(&scored.evidence, is_same_question);
        if question.audience == Audience::Internal {
            // How a deal ended is nobody's business but the company's.
            label += outcome(&scored.evidence.document, question.language);
        }
        if !label.is_empty() {
            draft.frame(&label);
        }
        draft.state(&scored.evidence);
    }
    contradictions::state(&differing, question.language, draft);
}

/// Where other documents give another figure for what leads the answer, the newest of them all leads, and the others
/// are given back; what is told by either is told once.
fn newest_first(chosen: &mut Vec<Scored>, passages: &[Passage], index: &Index) -> Vec<Evidence> {
    let Some(lead) = chosen.first_mut() else { return Vec::new() };
    let mut differing = contradictions::of(&lead.evidence, passages, index);
    if let Some(newest) = differing.first_mut()
        && newest.document.date() > lead.evidence.document.date()
    {
        std::mem::swap(newest, &mut lead.evidence);
        differing.sort_by_key(|evidence| std::cmp::Reverse(evidence.document.date()));
    }
    let place = |evidence: &Evidence| (evidence.document.id.clone(), evidence.unit.span.clone());
    let told: Vec<_> = differing.iter().chain([&lead.evidence]).map(place).collect();
    let mut is_lead = true;
    chosen.retain(|scored| std::mem::take(&mut is_lead) || !told.contains(&place(&scored.evidence)));
    differing
}

/// An approved answer to the very question stands before all that was put together from elsewhere.
fn lead_with_same_question(
    question: &Understanding,
    passages: &[Passage],
    index: &Index,
    chosen: &mut Vec<Scored>,
) {
    let Some(evidence) = same_question(question, passages, index) else { return };
    let is_it = |scored: &Scored| scored.evidence.document.id == evidence.document.id;
    if chosen.first().is_some_and(is_it) {
        return;
    }
    let lead = if let Some(at) = chosen.iter().position(is_it) {
        chosen.remove(at)
    } else {
        chosen.truncate(UNITS - 1);
        let terms = index.terms(&evidence.unit.words);
        Scored { evidence, score: 0.0, passage: 0, terms, speaks_to_it: true }
    };
    chosen.insert(0, lead);
}

/// What was answered before to a question that means the same: each question's words stand in the other.
pub(crate) fn same_question(
    question: &Understanding,
    passages: &[Passage],
    index: &Index,
) -> Option<Evidence> {
    let asked = index.terms(&question.text);
    let is_chinese = |text: &str| text.chars().any(is_han);
    let passage = passages.iter().take(ANSWERED_BEFORE).find(|passage| {
        let document = &passage.document;
        let is_answer = document.field("answer").is_some() && passage.superseded_by.is_none();
        let is_of_language = is_chinese(&document.title) == (question.language == Language::Chinese);
        is_answer && is_of_language && {
            let mut theirs = question::content_words(&document.title, index);
            theirs.retain(|word| !THE_THING.contains(&word.as_str()));
            let total: f32 = theirs.iter().map(|word| index.rarity(word)).sum();
            let shared: f32 =
                theirs.iter().map(|word| index.rarity(word) * question.share_said(word, &asked)).sum();
            let (ours, theirs) =
                (question.coverage(&index.terms(&document.title)), shared / total.max(f32::EPSILON));
            ours >= SAME_WORDS && theirs >= SAME_WORDS || ours >= ALL_WORDS && theirs >= HALF_OF_THEIRS
        }
    })?;
    let unit = units_with(&passage.document, &passage.chunk, 0).into_iter().next()?;
    Some(Evidence { document: passage.document.clone(), chunk: passage.chunk.clone(), unit })
}

/// A chunk that is read for an answer.
struct Source<'a> {
    document: &'a Arc<Document>,
    chunk: &'a Arc<Chunk>,
    /// Score of its passage as a share of the best one's.
    standing: f32,
    is_replaced: bool,
}

/// The best passages, and all of the sheet of the one model that is asked about: its table may stand far down the
/// list, because a table says little in words.
fn sources<'a>(question: &Understanding, passages: &'a [Passage], index: &'a Index) -> Vec<Source<'a>> {
    let best = passages.first().map_or(1.0, |passage| passage.score.max(f32::EPSILON));
    let near = passages.iter().take(PASSAGES).filter(|passage| passage.score >= 0.4 * best);
    let mut sources: Vec<Source<'a>> = near
        .map(|passage| Source {
            document: &passage.document,
            chunk: &passage.chunk,
            standing: passage.score / best,
            is_replaced: passage.superseded_by.is_some(),
        })
        .collect();
    let [model] = question.models.as_slice() else { return sources };
    let sheet = passages.iter().find(|passage| {
        let document = &passage.document;
        passage.superseded_by.is_none()
            && sheet_of(document, question.language).as_deref() == Some(model.as_str())
    });
    if let Some(sheet) = sheet {
        for chunk in index.chunks(&sheet.document.id) {
            if !sources.iter().any(|source| source.chunk.id == chunk.id) {
                sources.push(Source {
                    document: &sheet.document,
                    chunk,
                    standing: OWN_SHEET,
                    is_replaced: false,
                });
            }
        }
    }
    sources
}

/// What reps say aloud is quoted by the paragraph; half a quotation helps nobody.
fn whole_chars(kind: Kind) -> usize {
    if matches!(kind, Kind::Objection | Kind::Competitor) { 220 } else { 0 }
}

fn score(question: &Understanding, read: &[Source<'_>], index: &Index) -> Vec<Scored> {
    let mut scored = Vec::new();
    let near = Nearness::of(question, read, index);
    for (passage_idx, source) in read.iter().enumerate() {
        let document = source.document;
        let context =
            index.terms(&format!("{}\n{}", document.title, source.chunk.location.heading.join("\n")));
        let mut heading_terms = context;
        for unit in units_with(document, source.chunk, whole_chars(document.kind)) {
            if unit.form == Form::Heading {
                heading_terms.extend(index.terms(&unit.words));
                continue;
            }
            // What a template leaves open states nothing.
            if unit.words == document.title || unit.words.contains("{{") {
                continue;
            }
            let terms = index.terms(&unit.words);
            let meaning: f32 = question
                .words
                .iter()
                .map(|word| {
                    let own = word.stands_in(&terms);
                    // What a sheet says of its product it need not repeat in every row.
                    let is_model = question.models.contains(&word.text);
                    let context = match (is_model, question.wants_list) {
                        (true, _) => 1.0,
                        (false, true) => LISTED,
                        (false, false) => CONTEXT_WEIGHT,
                    };
                    word.rarity * own.max(context * word.stands_in(&heading_terms))
                })
                .sum();
            let total: f32 = question.words.iter().map(|word| word.rarity).sum::<f32>().max(f32::EPSILON);
            let has_figure = if question.wants_duration {
                states_duration(&unit.words)
            } else {
                unit.words.bytes().any(|b| b.is_ascii_digit())
            };
            // A row of a table is a figure with its name; in prose the figure may belong to something else.
            let figure = match (question.wants_figure && has_figure, unit.form) {
                (true, Form::Row) => 0.3,
                (true, _) => 0.15,
                (false, _) => 0.0,
            };
            let length = unit.words.chars().count();
            // A lead-in (`弱点三条：`) says nothing without what follows it.
            let stub = if length < 6 || unit.words.ends_with(['：', ':']) { 0.35 } else { 0.0 };
            // A row that only applies to the model is not the model's own.
            let names_it = |text: &str| question.models.iter().any(|model| names_model(text, model));
            let name = unit.words.split(['：', ':']).next().unwrap_or_default();
            let is_accessory = unit.form == Form::Row
                && !question.models.is_empty()
                && !is_about_any(question, document)
                && !names_it(name)
                && question.coverage(&index.terms(name)) <= 0.0;
            let stub = if is_accessory { stub + ACCESSORY_COST } else { stub };
            // The rows of a table stand in the order that its author chose, however long they are.
            let long =
                if unit.form == Form::Row { 0.0 } else { LENGTH_COST * (length as f32 / 200.0).min(1.0) };
            // A table is as near as its nearest part: which of its rows is meant, its words say.
            let part = if unit.form == Form::Row { &source.chunk.span } else { &unit.span };
            let nearness = near.of_part(passage_idx, part);
            let score = meaning / total + figure - stub - long + 0.6 * source.standing + nearness;
            let evidence = Evidence { document: document.clone(), chunk: source.chunk.clone(), unit };
            let asked = question.words.iter().filter(|word| !question.models.contains(&word.text));
            let speaks_to_it = asked
                .clone()
                .any(|word| word.stands_in(&terms) > 0.0 || word.stands_in(&heading_terms) > 0.0);
            scored.push(Scored { evidence, score, passage: passage_idx, terms, speaks_to_it });
        }
    }
    scored
}

/// How near the stretches of what is read are to the question, for what is said in other words.
struct Nearness {
    of_passage: Vec<Vec<(Range<usize>, f32)>>,
    best: f32,
}

impl Nearness {
    fn of(question: &Understanding, read: &[Source<'_>], index: &Index) -> Self {
        // Without a vector no stretch is nearer than another, and the words decide.
        let vector = index.question_vector(&question.text).unwrap_or_default();
        let of_source = |source: &Source<'_>| {
            if vector.is_empty() {
                Vec::new()
            } else {
                index.nearness(&vector, source.document, source.chunk)
            }
        };
        let of_passage: Vec<_> = read.iter().map(of_source).collect();
        let best = of_passage.iter().flatten().map(|(_, cosine)| *cosine).fold(0.0, f32::max);
        Self { of_passage, best }
    }

    /// What a part of a passage stands behind the nearest stretch of all, 0 or less.
    fn of_part(&self, passage: usize, span: &Range<usize>) -> f32 {
        let cosine = cosine_over(&self.of_passage[passage], span);
        cosine.map_or(0.0, |cosine| NEARNESS_WEIGHT * (cosine - self.best))
    }
}

/// Whether the document is about one of the models asked about and no other product.
fn is_about_any(question: &Understanding, document: &Document) -> bool {
    question.models.iter().any(|model| {
        names_model(&document.title, model)
            || document.profile.product.len() == 1 && is_about(document, model)
    })
}

/// The best units: the document of the best one leads, near-repetitions are left out, and where several documents
/// speak to the question at least three of them are heard, so that a rep sees whether they agree.
fn choose(question: &Understanding, read: &[Source<'_>], mut candidates: Vec<Scored>) -> Vec<Scored> {
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.passage.cmp(&b.passage)));
    // What only shares the model with the question answers something else.
    if candidates.first().is_some_and(|best| best.speaks_to_it) {
        candidates.retain(|candidate| candidate.speaks_to_it);
    }
    let best = candidates.first().map_or(0.0, |scored| scored.score);
    let wanted = if question.models.len() > 1 { UNITS + 2 } else { UNITS };
    let mut chosen: Vec<Scored> = Vec::new();
    let mut passed_over: Vec<Scored> = Vec::new();
    for candidate in candidates {
        let of_one = chosen.iter().filter(|c| c.passage == candidate.passage).count();
        let repeats = chosen.iter().any(|c| overlap(&c.terms, &candidate.terms) > 0.7);
        let is_old = read[candidate.passage].is_replaced && !chosen.is_empty();
        // A sentence in English under a Chinese answer adds nothing that its neighbours do not say.
        let is_foreign = question.language == Language::Chinese
            && !chosen.is_empty()
            && !candidate.evidence.document.title.chars().any(is_han);
        if is_old || repeats || is_foreign {
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
    // The best unit leads; what else its passage says follows in its order, then the other passages.
    if let Some((lead, others)) = chosen.split_first_mut() {
        others
            .sort_by_key(|unit| (unit.passage != lead.passage, unit.passage, unit.evidence.unit.span.start));
    }
    chosen
}

/// Share of the smaller set that stands in the other.
fn overlap(a: &HashSet<String>, b: &HashSet<String>) -> f32 {
    let smaller = a.len().min(b.len());
    if smaller == 0 { 0.0 } else { a.intersection(b).count() as f32 / smaller as f32 }
}

/// What a unit needs to be understood alone: a table row the product or document it is about, an answer to another
/// question that question.
pub(crate) fn label(evidence: &Evidence, is_same_question: bool) -> String {
    if evidence.document.field("answer").is_some() {
        let title = &evidence.document.title;
        let is_said = is_same_question || title.chars().count() > 40;
        return if is_said { String::new() } else { format!("「{}」", crate::draft::without_marks(title)) };
    }
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

/// How a colleague's answer ended, in Chinese and English.
const ENDINGS: [(&str, &str); 3] = [
    ("（同事答过，后来成交）", "(a colleague's answer; the deal was won) "),
    ("（同事答过，后来丢单）", "(a colleague's answer; the deal was lost) "),
    ("（同事答过）", "(a colleague's answer) "),
];

/// That a colleague answered a customer so, and how it ended; nothing for what is no Q&A history.
fn outcome(document: &Document, language: Language) -> &'static str {
    let ended = document.field("outcome").map(|field| field.value.trim().to_lowercase());
    let Some(ended) = ended.filter(|_| document.kind == Kind::Qa) else { return "" };
    let (chinese, english) = match ended.as_str() {
        "won" | "成交" => ENDINGS[0],
        "lost" | "丢单" => ENDINGS[1],
        _ => ENDINGS[2],
    };
    language.pick(chinese, english)
}

/// The text of a composed answer less what it says of how answers ended: no source says that to the letter, and a
/// model that repeated it would be held to one.
pub(crate) fn without_endings(text: &str) -> String {
    let mut text = text.to_owned();
    for (chinese, english) in ENDINGS {
        text = text.replace(chinese, "").replace(english, "");
    }
    text
}
