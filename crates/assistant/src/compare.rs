//! Models side by side: a table of what a source says of each, every figure cited.
//!
//! A source that compares the models itself is quoted row by row. Where there is none, the rows of the models' own
//! sheets are joined by their names; a row that only one sheet has says nothing about a difference and is left out.

use std::sync::Arc;

use flightdeck_corpus::{Audience, Chunk, Document};
use flightdeck_retrieval::{Index, Passage, fold_text};
use jiff::civil::Date;

use crate::draft::{Draft, without_marks};
use crate::facts::same_question;
use crate::products::sheet_of;
use crate::question::{Understanding, models};
use crate::support::names_model;
use crate::units::{Evidence, Form, tables_whole, units};

/// Rows of the table, at most.
const ROWS: usize = 12;

/// What one source says of one model.
struct Cell {
    words: String,
    evidence: Evidence,
}

/// A line of the table: what is compared, and a cell for each model.
struct Line {
    name: String,
    cells: Vec<Option<Cell>>,
    /// Share of the question that the line's name speaks to.
    asked: f32,
}

/// Writes the comparison; `false`, with nothing written, where fewer than two lines can be compared.
pub(crate) fn compose(
    question: &Understanding,
    passages: &[Passage],
    index: &Index,
    audience: Audience,
    day: Date,
    draft: &mut Draft,
) -> bool {
    let compared = &question.models;
    if compared.len() < 2 || compared.len() > 4 {
        return false;
    }
    let mut lines = from_one_table(question, index, audience, day);
    if lines.len() < 2 {
        lines = from_sheets(question, index, audience, day);
    }
    // What is asked about stands alone where the question names it.
    let names_something = question.words.iter().any(|word| {
        !compared.contains(&word.text) && !ASKS.iter().any(|ask| ask.contains(word.text.as_str()))
    });
    if lines.iter().any(|line| line.asked > 0.0) {
        lines.retain(|line| line.asked > 0.0);
    } else if names_something || lines.len() < 2 {
        return false;
    }
    lines.truncate(ROWS);
    if let Some(evidence) = same_question(question, passages, index) {
        draft.state(&evidence).line().frame("\n");
    }
    let names = compared.iter().map(|model| shown(model, &question.text));
    let head: Vec<String> = names.collect();
    draft.line().frame(&format!("| | {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len() + 1)));
    for line in &lines {
        draft.frame(&format!("| {} |", in_cell(&line.name)));
        for cell in &line.cells {
            draft.frame(" ");
            match cell {
                Some(cell) => {
                    let Evidence { document, chunk, unit } = &cell.evidence;
                    draft.state_as(&in_cell(&cell.words), document, chunk, unit.span.clone());
                }
                None => {
                    draft.frame("—");
                }
            }
            draft.frame(" |");
        }
        draft.frame("\n");
    }
    true
}

/// A model's number as the question spells it.
fn shown(model: &str, text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let mut runs = text.split(|c: char| !is_part(c));
    let run = runs.find(|run| run.replace('-', "").eq_ignore_ascii_case(model));
    run.unwrap_or(model).to_uppercase()
}

/// Words that do not end their cell.
fn in_cell(words: &str) -> String {
    without_marks(&words.replace('|', "／").replace('\n', " "))
}

/// The rows of the first table whose columns name all the models.
fn from_one_table(question: &Understanding, index: &Index, audience: Audience, day: Date) -> Vec<Line> {
    for document in index.served(audience, day) {
        if index.superseded_by(&document.id, audience, day).is_some() {
            continue;
        }
        let mut lines = Vec::new();
        for chunk in index.chunks(&document.id) {
            for unit in tables_whole(units(document, chunk)) {
                let Some(row) = &unit.row else { continue };
                let column = |model: &String| row.header.iter().position(|name| is_model(name, model));
                let columns: Option<Vec<usize>> = question.models.iter().map(column).collect();
                let Some(columns) = columns else { continue };
                let Some(name) = row.cells.first().filter(|name| !name.trim().is_empty()) else { continue };
                let cells = columns.iter().map(|at| {
                    let words = row.cells.get(*at).filter(|words| !words.trim().is_empty())?.clone();
                    Some(Cell { words, evidence: evidence(document, chunk, &unit) })
                });
                let cells: Vec<Option<Cell>> = cells.collect();
                lines.push(Line { asked: asked(question, name, index), name: name.clone(), cells });
            }
        }
        if lines.len() >= 2 {
            return lines;
        }
    }
    Vec::new()
}

fn is_model(cell: &str, model: &str) -> bool {
    models(&fold_text(cell)).as_slice() == [model.to_owned()]
}

/// The rows that the sheets of the models have in common.
fn from_sheets(question: &Understanding, index: &Index, audience: Audience, day: Date) -> Vec<Line> {
    let mut sheets: Vec<Vec<(String, Cell)>> = Vec::new();
    for model in &question.models {
        let sheet = index.served(audience, day).find(|document| {
            sheet_of(document, question.language).as_deref() == Some(model.as_str())
                && index.superseded_by(&document.id, audience, day).is_none()
        });
        let Some(sheet) = sheet else { return Vec::new() };
        sheets.push(rows(sheet, index));
    }
    let Some((first, others)) = sheets.split_first_mut() else { return Vec::new() };
    let mut lines = Vec::new();
    for (name, cell) in first.drain(..) {
        let mut cells = vec![Some(cell)];
        for other in &mut *others {
            let at = other.iter().position(|(theirs, _)| is_same_attribute(theirs, &name));
            cells.push(at.map(|at| other.swap_remove(at).1));
        }
        if cells.iter().flatten().count() > 1 {
            lines.push(Line { asked: asked(question, &name, index), name, cells });
        }
    }
    lines
}

/// Attributes and values of a sheet's tables: the last cell of a row and the one before it.
fn rows(sheet: &Arc<Document>, index: &Index) -> Vec<(String, Cell)> {
    let mut rows = Vec::new();
    for chunk in index.chunks(&sheet.id) {
        for unit in units(sheet, chunk).into_iter().filter(|unit| unit.form == Form::Row) {
            let Some(row) = &unit.row else { continue };
            let ([name, value] | [_, name, value]) = row.cells.as_slice() else { continue };
            if name.trim().is_empty() || value.trim().is_empty() {
                continue;
            }
            let cell = Cell { words: value.clone(), evidence: evidence(sheet, chunk, &unit) };
            rows.push((name.clone(), cell));
        }
    }
    rows
}

fn evidence(document: &Arc<Document>, chunk: &Arc<Chunk>, unit: &crate::units::Unit) -> Evidence {
    Evidence { document: document.clone(), chunk: chunk.clone(), unit: unit.clone() }
}

/// Whether two sheets mean the same by their rows' names: `最高速度` and `速度` do.
fn is_same_attribute(a: &str, b: &str) -> bool {
    let (a, b) = (fold_text(a), fold_text(b));
    let (a, b) = (a.trim(), b.trim());
    a == b || (a.chars().count().min(b.chars().count()) >= 2 && (a.ends_with(b) || b.ends_with(a)))
}

/// Share of the question beyond its models that a row's name speaks to.
fn asked(question: &Understanding, name: &str, index: &Index) -> f32 {
    let terms = index.terms(name);
    let words = question.words.iter().filter(|word| !question.models.contains(&word.text));
    words.map(|word| word.stands_in(&terms)).filter(|share| *share >= 0.8).sum()
}

/// Words that ask how things differ.
const ASKS: &[&str] = &[
    "区别",
    "差别",
    "差异",
    "不同",
    "对比",
    "比较",
    "哪个好",
    "哪款好",
    "怎么选",
    "选哪",
    "哪个合适",
    "哪款合适",
    "哪台合适",
    "差在",
    "相比",
    "还是",
    "各自",
    "分别",
    "versus",
    " vs ",
    "differences",
    "compare",
    "comparison",
    "which",
];

/// Whether the question asks how models differ, rather than something that several share.
pub(crate) fn is_asked(question: &Understanding) -> bool {
    let folded = fold_text(&question.text);
    question.models.len() >= 2
        && question.models.iter().all(|model| names_model(&question.text, model))
        && (ASKS.iter().any(|word| folded.contains(word)) || folded.contains("difference"))
}
