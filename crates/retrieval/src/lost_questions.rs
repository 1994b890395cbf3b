//! FAQ questions that no longer lead to their own answer: another document has come to stand before it.

use flightdeck_corpus::{Document, Kind, Problem, Severity};
use jiff::civil::Date;

use crate::{Filters, Index, Mode, Query, RetrievalError};

/// An answer behind this place is not what a customer would be given.
const WITHIN: usize = 3;
/// Every question costs a search; a thousand take some seconds.
const MOST_QUESTIONS: usize = 2000;

/// A problem of the code `faq_not_found` for every FAQ row that is served on `day` and is not among the first three
/// passages found for its own question. `go_on` is asked before each; `false` ends the search with what was found.
///
/// # Errors
/// When a search fails.
pub fn lost_questions(
    index: &Index,
    day: Date,
    go_on: &dyn Fn() -> bool,
) -> Result<Vec<Problem>, RetrievalError> {
    let mut lost = Vec::new();
    let rows = index.documents().filter(|document| document.kind == Kind::Faq && document.is_served_on(day));
    for document in rows.take(MOST_QUESTIONS) {
        let Some(question) = document.field("question").filter(|field| !field.value.trim().is_empty()) else {
            continue;
        };
        if !go_on() {
            break;
        }
        let query = Query {
            text: question.value.clone(),
            audience: document.audience,
            day,
            filters: Filters::default(),
            mode: Mode::Hybrid,
            top_k: WITHIN,
        };
        let found = index.search_fused(&query)?;
        let says_the_same = |other: &Document| {
            other.id == document.id
                || other.field("answer").map(|field| field.value.trim())
                    == document.field("answer").map(|field| field.value.trim())
        };
        if found.iter().any(|passage| says_the_same(&passage.document)) {
            continue;
        }
        let first = found.first().map(|passage| passage.document.title.clone()).unwrap_or_default();
        let line = index.chunks(&document.id).first().and_then(|chunk| chunk.location.line_start);
        let asked = question.value.trim();
        lost.push(Problem {
            path: document.path.clone(),
            line,
            severity: Severity::Warning,
            code: "faq_not_found".to_owned(),
            message: format!("the question `{asked}` does not lead to its own answer; `{first}` comes first"),
            message_zh: format!("问“{asked}”找不到它自己的答案，先找到的是“{first}”"),
        });
    }
    Ok(lost)
}
