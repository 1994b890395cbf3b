//! What we know of a competitor, point by point, as the battle card has it. For the company only: a customer is never
//! served a battle card, so for them there is none.

use std::sync::Arc;

use flightdeck_corpus::{Audience, Document, Kind};
use flightdeck_retrieval::{Index, fold_text};

use crate::draft::{Draft, without_marks};
use crate::engine::Asking;
use crate::question::Understanding;
use crate::units::{Evidence, Form, TableRow, Unit, tables_whole, units_with};

/// Sections of a card that are shown, points of one section, and lines of one table, at most.
const SECTIONS: usize = 5;
const POINTS: usize = 6;
const LINES: usize = 10;
/// A paragraph up to this long is quoted whole.
const SPOKEN_CHARS: usize = 220;

/// Words of a question that ask for the card as a whole, beside the names in it.
const GENERAL: &[&str] = &[
    "比",
    "对比",
    "差",
    "差在",
    "区别",
    "差别",
    "差异",
    "优势",
    "优劣",
    "劣势",
    "弱点",
    "强项",
    "短板",
    "打法",
    "怎么打",
    "竞品",
    "战卡",
    "竞争",
    "对手",
    "竞争对手",
    "强",
    "弱",
    "赢",
    "输",
    "要点",
    "分析",
    "哪里",
    "哪点",
    "跟",
    "better",
    "worse",
    "compare",
    "compared",
    "versus",
    "vs",
    "against",
    "difference",
    "weakness",
    "strength",
    "battle",
    "card",
    "competitor",
    "key",
    "differences",
    "weaknesses",
    "strengths",
];

/// Characters of which any words weigh one against another: `比差`, `强弱`.
const WEIGHING: &str = "比差强弱优劣赢输跟好坏高低长短";

/// The card of the competitor that the question names, where it asks for no more than that.
pub(crate) fn card(question: &Understanding, asking: &Asking<'_>) -> Option<Arc<Document>> {
    let names = asking.names.competitors_in(&fold_text(&question.text));
    if names.is_empty() {
        return None;
    }
    let mut served = asking.index.served(asking.audience, asking.day);
    let card = served.find(|document| {
        let title = fold_text(&document.title);
        document.kind == Kind::Competitor
            && document.audience == Audience::Internal
            && names.iter().any(|name| title.contains(name))
    })?;
    let labels = format!("{}\n{}\n{}", card.title, card.profile.product.join(" "), names.join(" "));
    let labels = asking.index.terms(&labels);
    let is_general = question.words.iter().all(|word| {
        GENERAL.contains(&word.text.as_str())
            || word.text.chars().all(|c| WEIGHING.contains(c))
            || word.stands_in(&labels) >= 0.5
            || names.iter().any(|name| name.contains(word.text.as_str()) || word.text.contains(name))
    });
    is_general.then(|| card.clone())
}

/// Writes the card, section by section.
pub(crate) fn compose(card: &Arc<Document>, index: &Index, draft: &mut Draft) {
    draft.frame(&format!("**{}**", without_marks(&card.title))).line();
    let mut heading = String::new();
    let (mut n_sections, mut n_points) = (0, 0);
    let mut table: Option<Vec<String>> = None;
    for chunk in index.chunks(&card.id) {
        for unit in tables_whole(units_with(card, chunk, SPOKEN_CHARS)) {
            if unit.form == Form::Heading {
                heading = unit.words;
                n_points = 0;
                table = None;
                continue;
            }
            let is_row = unit.form == Form::Row;
            if n_points >= if is_row { LINES } else { POINTS } || n_sections > SECTIONS {
                continue;
            }
            if n_points == 0 {
                n_sections += 1;
                if n_sections > SECTIONS {
                    continue;
                }
                if n_sections > 1 {
                    draft.line().frame(&format!("\n**{}**", without_marks(&heading))).line();
                }
            }
            n_points += 1;
            let evidence = Evidence { document: card.clone(), chunk: chunk.clone(), unit };
            match evidence.unit.row.clone() {
                Some(row) if row.header.len() > 2 => {
                    let is_new = table.as_ref() != Some(&row.header);
                    line(&row, is_new, &evidence, draft);
                    table = Some(row.header);
                }
                _ => {
                    if table.take().is_some() {
                        draft.line().frame("\n");
                    }
                    draft.line().frame("- ").state(&evidence);
                }
            }
        }
    }
}

/// A line of the card's own table, its head before the first.
fn line(row: &TableRow, is_first: bool, evidence: &Evidence, draft: &mut Draft) {
    let cell = |words: &str| without_marks(&words.replace('|', "／"));
    if is_first {
        let head: Vec<String> = row.header.iter().map(|name| cell(name)).collect();
        draft.line().frame("\n");
        draft.frame(&format!("| {} |\n{}|\n", head.join(" | "), "|---".repeat(head.len())));
    }
    let words: Vec<String> = row.cells.iter().map(|words| cell(words)).collect();
    let Evidence { document, chunk, unit } = evidence;
    let Unit { span, .. } = unit;
    draft.line().frame("| ").state_as(&words.join(" | "), document, chunk, span.clone()).frame(" |");
}
