//! The nearest template: which it is, what it holds, and where to start.

use flightdeck_retrieval::{Index, Passage};

use crate::draft::{Draft, without_marks};
use crate::question::{Language, Understanding};
use crate::units::{Evidence, Form, units};

/// Templates shown, at most.
const TEMPLATES: usize = 3;
/// A second template is shown when its score is at least this share of the first's.
const NEAR: f32 = 0.7;

/// Writes the nearest templates.
pub(crate) fn compose(question: &Understanding, passages: &[Passage], index: &Index, draft: &mut Draft) {
    let zh = question.language == Language::Chinese;
    let mut found: Vec<&Passage> = Vec::new();
    for passage in passages {
        if !found.iter().any(|known| known.document.id == passage.document.id) {
            found.push(passage);
        }
    }
    let best = found.first().map_or(0.0, |passage| passage.score);
    let near = found.into_iter().filter(|passage| passage.score >= NEAR * best).take(TEMPLATES);
    for (nth, passage) in near.enumerate() {
        let document = &passage.document;
        draft.line().frame(if nth == 0 { "" } else { "\n" });
        draft.frame(&format!("**{}. {}**", nth + 1, without_marks(&document.title)));
        draft.frame(&if zh { format!("（{}）", document.path) } else { format!(" ({})", document.path) });
        let mut headings: Vec<String> = Vec::new();
        for chunk in index.chunks(&document.id) {
            for unit in units(document, chunk).into_iter().filter(|unit| unit.form == Form::Heading) {
                // The list is not cited, so it may hold no figures.
                let has_figure = unit.words.bytes().any(|b| b.is_ascii_digit());
                if !has_figure && unit.words != document.title && !headings.contains(&unit.words) {
                    headings.push(without_marks(&unit.words));
                }
            }
        }
        if headings.len() > 1 {
            headings.truncate(8);
            let list = headings.join(if zh { "、" } else { ", " });
            draft.line().frame(&if zh {
                format!("- 结构：{list}")
            } else {
                format!("- Sections: {list}")
            });
        }
        for evidence in opening(question, passage, index, if nth == 0 { 3 } else { 1 }) {
            draft.line().frame("- ").state(&evidence);
        }
        if let Some(link) = &document.link {
            draft.line().frame(&if zh { format!("- 链接：{link}") } else { format!("- Link: {link}") });
        }
    }
}

/// The units of the passage found that say most of what was asked, in their order; at least the first.
fn opening(question: &Understanding, passage: &Passage, index: &Index, n: usize) -> Vec<Evidence> {
    let document = &passage.document;
    let mut scored: Vec<(f32, usize, Evidence)> = units(document, &passage.chunk)
        .into_iter()
        .filter(|unit| unit.form != Form::Heading)
        .enumerate()
        .map(|(i, unit)| {
            let coverage = question.coverage(&index.terms(&unit.words));
            (coverage, i, Evidence { document: document.clone(), chunk: passage.chunk.clone(), unit })
        })
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    scored.truncate(n);
    scored.sort_by_key(|(_, place, _)| *place);
    scored.into_iter().map(|(_, _, evidence)| evidence).collect()
}
