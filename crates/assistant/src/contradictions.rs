//! Other documents that give another figure for what an answer states: shown beside it, the newest first.

use std::cmp::Reverse;
use std::collections::HashSet;

use flightdeck_corpus::stated_figures;
use flightdeck_retrieval::{Index, Passage};

use crate::draft::{Draft, without_marks};
use crate::question::Language;
use crate::units::{Evidence, units};

/// Rows of other documents among the passages that say another number of the same product and attribute as the row
/// `lead`; none where one document replaces the other, since then it is known which holds.
pub(crate) fn of(lead: &Evidence, passages: &[Passage], index: &Index) -> Vec<Evidence> {
    let (row, document) = (&lead.unit.span, &lead.document);
    if lead.unit.row.is_none() {
        return Vec::new();
    }
    let stated = stated_figures(document);
    let ours: Vec<_> =
        stated.iter().filter(|figure| figure.row.start < row.end && row.start < figure.row.end).collect();
    if ours.is_empty() {
        return Vec::new();
    }
    let mut found: Vec<Evidence> = Vec::new();
    // A document's tables are read once, however many of its passages are there.
    let mut seen = HashSet::from([&document.id]);
    for passage in passages.iter().filter(|passage| passage.superseded_by.is_none()) {
        let other = &passage.document;
        let is_replaced = other.supersedes.contains(&document.id) || document.supersedes.contains(&other.id);
        if !seen.insert(&other.id) || is_replaced {
            continue;
        }
        let theirs = stated_figures(other);
        let Some(figure) = theirs.iter().find(|theirs| ours.iter().any(|ours| ours.contradicts(theirs)))
        else {
            continue;
        };
        let rows = index.chunks(&other.id).iter().flat_map(|chunk| {
            let units = units(other, chunk).into_iter().filter(|unit| unit.row.is_some());
            units.map(|unit| Evidence { document: other.clone(), chunk: chunk.clone(), unit })
        });
        found.extend(rows.into_iter().find(|evidence| {
            evidence.unit.span.start < figure.row.end && figure.row.start < evidence.unit.span.end
        }));
    }
    found.sort_by_key(|evidence| Reverse(evidence.document.date()));
    found
}

/// States them below the answer, each under its document's title and day.
pub(crate) fn state(others: &[Evidence], language: Language, draft: &mut Draft) {
    if others.is_empty() {
        return;
    }
    let is_chinese = language == Language::Chinese;
    draft.line().frame(if is_chinese {
        "\n**资料说法不一，引用前请先核对**："
    } else {
        "\n**The sources differ; check before you quote**:"
    });
    for other in others {
        let title = without_marks(&other.document.title);
        let day = other.document.date().map(|day| format!(" ({day})")).unwrap_or_default();
        draft.line().frame("- ");
        draft.frame(&if is_chinese { format!("《{title}》{day}：") } else { format!("{title}{day}: ") });
        draft.state(other);
    }
}
