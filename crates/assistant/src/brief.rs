//! A customer before the next meeting: who they are, what they asked, what they were sent, what to bring.
//!
//! What the knowledge says of a customer stands in the cases about them and in the Q&A history under their name, and
//! is cited. What the records say (their profile, what was sent) is the company's own note and carries no citation; it
//! is for the company only.

use std::collections::HashSet;
use std::sync::Arc;

use flightdeck_corpus::{Audience, Document, DocumentId, Kind};
use flightdeck_records::CustomerProfile;
use flightdeck_retrieval::{Index, fold_text};

use crate::cases;
use crate::draft::{Draft, without_marks};
use crate::engine::Asking;
use crate::question::{Language, Understanding};
use crate::units::{Evidence, Form, units};

/// Questions of theirs that are shown, the latest first.
const ASKED: usize = 4;
/// Sentences that say who they are.
const WHO: usize = 2;
/// Cases of their industry to bring.
const TO_BRING: usize = 2;

/// What the records know of a customer beside the profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Background {
    /// Titles of what they were sent, the latest first, with the day.
    pub sent: Vec<String>,
    /// What was asked about them before, the latest first.
    pub asked: Vec<String>,
}

/// The documents about the customer that the question or the profile names.
pub(crate) struct Known {
    cases: Vec<Arc<Document>>,
    history: Vec<Arc<Document>>,
}

impl Known {
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty() && self.history.is_empty()
    }
}

/// Finds what is known of the customer by name.
pub(crate) fn known(question: &Understanding, asking: &Asking<'_>) -> Known {
    let mut known = Known { cases: Vec::new(), history: Vec::new() };
    let said = fold_text(&question.text);
    let profile = question.customer.name.as_deref().map(fold_text).unwrap_or_default();
    let names = asking.names.customers_in(&format!("{said}\n{profile}"));
    if names.is_empty() {
        return known;
    }
    for document in asking.index.served(asking.audience, asking.day) {
        let is_theirs = |text: &str| {
            let text = fold_text(text);
            names.iter().any(|name| text.contains(name))
        };
        match document.kind {
            Kind::Case if is_theirs(&document.title) => known.cases.push(document.clone()),
            Kind::Qa if document.field("customer").is_some_and(|field| is_theirs(&field.value)) => {
                known.history.push(document.clone());
            }
            _ => {}
        }
    }
    let date = |document: &Arc<Document>| document.field("date").map(|field| field.value.clone());
    known.history.sort_by(|a, b| date(b).cmp(&date(a)).then_with(|| a.id.cmp(&b.id)));
    known
}

/// Writes the brief.
pub(crate) fn compose(question: &Understanding, known: &Known, asking: &Asking<'_>, draft: &mut Draft) {
    let language = question.language;
    let index = asking.index;
    let internal = asking.audience == Audience::Internal;
    if internal {
        profile(&question.customer, language, draft);
    }
    for case in &known.cases {
        draft.line().frame(&format!("**{}**", without_marks(&case.title))).line();
        for evidence in who(case, index) {
            draft.frame("- ").state(&evidence).line();
        }
        if let Some(result) = cases::result(question, case, index) {
            draft.frame(language.pick("- 结果：", "- Result: ")).state(&result).line();
        }
    }
    history(known, index, language, draft);
    if internal {
        background(asking.background, language, draft);
    }
    bring(question, known, asking, draft);
}

/// What the records say, in one line; figures are left to the record itself, since no source stands behind them here.
fn profile(customer: &CustomerProfile, language: Language, draft: &mut Draft) {
    let fields =
        [&customer.name, &customer.industry, &customer.company_size, &customer.region, &customer.stage];
    let said: Vec<&str> = fields.into_iter().flatten().map(String::as_str).collect();
    let said: Vec<&str> =
        said.into_iter().filter(|value| !value.bytes().any(|b| b.is_ascii_digit())).collect();
    if !said.is_empty() {
        draft.frame(language.pick("**客户档案**：", "**On record**: "));
        draft.frame(&without_marks(&said.join(" · "))).line();
    }
}

/// The first sentences of a case: they say who the customer is.
fn who(case: &Arc<Document>, index: &Index) -> Vec<Evidence> {
    let mut found = Vec::new();
    for chunk in index.chunks(&case.id) {
        for unit in units(case, chunk) {
            let is_sentence = unit.form != Form::Heading && unit.form != Form::Row;
            if is_sentence && unit.words.chars().count() >= 8 && found.len() < WHO {
                found.push(Evidence { document: case.clone(), chunk: chunk.clone(), unit });
            }
        }
    }
    found
}

/// What they asked and what they were told.
fn history(known: &Known, index: &Index, language: Language, draft: &mut Draft) {
    if known.history.is_empty() {
        return;
    }
    draft.line().frame(language.pick("**以前问过**", "**What they asked**")).line();
    for document in known.history.iter().take(ASKED) {
        let Some(chunk) = index.chunks(&document.id).first() else { continue };
        let Some(unit) = units(document, chunk).into_iter().find(|unit| unit.form != Form::Heading) else {
            continue;
        };
        let stage = ["stage", "outcome"].iter().filter_map(|name| document.field(name));
        let stage: Vec<&str> =
            stage.map(|field| field.value.trim()).filter(|value| !value.is_empty()).collect();
        draft.frame(&format!("- 「{}」", without_marks(&document.title)));
        if !stage.is_empty() {
            let stage = stage.join(" · ");
            draft.frame(&match language {
                Language::Chinese => format!("（{stage}）"),
                Language::English => format!(" ({stage}) "),
            });
        }
        draft.state(&Evidence { document: document.clone(), chunk: chunk.clone(), unit }).line();
    }
}

fn background(background: &Background, language: Language, draft: &mut Draft) {
    for (heading, entries) in [
        (language.pick("**发过的资料**", "**Already sent**"), &background.sent),
        (language.pick("**同事最近问过**", "**Colleagues asked lately**"), &background.asked),
    ] {
        if entries.is_empty() {
            continue;
        }
        draft.line().frame(heading).line();
        for entry in entries {
            draft.frame(&format!("- {}", without_marks(entry))).line();
        }
    }
}

/// Cases of the same industry that are not about the customer themselves.
fn bring(question: &Understanding, known: &Known, asking: &Asking<'_>, draft: &mut Draft) {
    let own: HashSet<&DocumentId> = known.cases.iter().map(|case| &case.id).collect();
    let mut industries: Vec<String> = known
        .cases
        .iter()
        .flat_map(|case| case.profile.industry.iter().map(|name| fold_text(name)))
        .collect();
    industries.extend(question.customer.industry.as_deref().map(fold_text));
    let fit = |document: &Document| {
        let theirs = document.profile.industry.iter().map(|name| fold_text(name));
        theirs.filter(|name| industries.iter().any(|own| own.contains(name) || name.contains(own))).count()
    };
    let served = asking.index.served(Audience::Customer, asking.day);
    let mut others: Vec<&Arc<Document>> = served
        .filter(|document| document.kind == Kind::Case && !own.contains(&document.id) && fit(document) > 0)
        .collect();
    others.sort_by(|a, b| fit(b).cmp(&fit(a)).then_with(|| a.id.cmp(&b.id)));
    let mut is_first = true;
    for case in others.into_iter().take(TO_BRING) {
        let Some(result) = cases::result(question, case, asking.index) else { continue };
        if is_first {
            let heading =
                question.language.pick("**可以带去的同行案例**", "**Cases of their industry to bring**");
            draft.line().frame(heading).line();
            is_first = false;
        }
        draft.frame(&format!("- {}：", without_marks(&case.title))).state(&result).line();
    }
}
