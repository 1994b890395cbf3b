//! What is kept of an answer in the records, so that a conversation reads the same when it is opened again.
//!
//! A [`Citation`](crate::Citation) can only be built from a document that is at hand; what is kept is its copy, as it
//! was shown, and stays so when the document has changed since. Fields that an older record does not have are empty.

use flightdeck_corpus::{Audience, Kind, Location};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::answer::{Answer, Citation, Intent, Outcome, RefusalReason};

/// An answer as it was given; its text is the message's own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeptAnswer {
    /// What was wanted, as understood then.
    pub intent: Option<Intent>,
    /// Whether there was no answer.
    pub refused: bool,
    /// Why there was none.
    pub refusal_reason: Option<RefusalReason>,
    /// In the order of their numbers.
    pub citations: Vec<KeptCitation>,
    /// What to ask or do next.
    pub suggestions: Vec<String>,
    /// Who worded it.
    pub generator: String,
    /// The question in full, where the message leant on the turns before it.
    pub understood: Option<String>,
}

/// A citation as it was shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptCitation {
    /// The number in square brackets, from 1.
    pub n: usize,
    /// Where it is from.
    pub document: KeptDocument,
    /// The words themselves.
    pub quote: String,
    /// Heading, lines and time of the quote.
    pub location: Location,
}

/// What was shown of a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are the document's own")]
pub struct KeptDocument {
    pub id: String,
    pub kind: Kind,
    pub title: String,
    pub path: String,
    pub audience: Audience,
    pub link: Option<String>,
    #[serde(default)]
    pub date: Option<Date>,
    #[serde(default)]
    pub valid_until: Option<Date>,
}

impl From<&Citation> for KeptCitation {
    fn from(citation: &Citation) -> Self {
        let document = citation.document();
        Self {
            n: citation.n(),
            document: KeptDocument {
                id: document.id.to_string(),
                kind: document.kind,
                title: document.title.clone(),
                path: document.path.clone(),
                audience: document.audience,
                link: document.link.clone(),
                date: document.date(),
                valid_until: document.valid_until,
            },
            quote: citation.quote().to_owned(),
            location: citation.location().clone(),
        }
    }
}

impl KeptAnswer {
    /// What stands in a message's details.
    pub fn read(details: &Value) -> Self {
        Self::deserialize(details).unwrap_or_default()
    }
}

/// The details of the message that this answer becomes.
pub(crate) fn details(answer: &Answer) -> Value {
    let refusal_reason = match answer.outcome {
        Outcome::Grounded => None,
        Outcome::Abstained(reason) => Some(reason),
    };
    let kept = KeptAnswer {
        intent: Some(answer.intent),
        refused: refusal_reason.is_some(),
        refusal_reason,
        citations: answer.citations.iter().map(KeptCitation::from).collect(),
        suggestions: answer.suggestions.clone(),
        generator: answer.generator.clone(),
        understood: answer.understood.clone(),
    };
    let mut details = json!(kept);
    details["support"] = json!(answer.support);
    details
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_record_lacks_is_empty_and_what_is_no_answer_is_none() {
        let older = json!({"intent": "find_cases", "refused": false, "support": 0.4, "cited": ["case-1"],
                           "generator": "extractive"});
        let kept = KeptAnswer::read(&older);
        assert_eq!((kept.intent, kept.generator.as_str()), (Some(Intent::FindCases), "extractive"));
        assert!(kept.citations.is_empty());
        for nothing in [Value::Null, json!({"intent": "no such intent"}), json!([1])] {
            assert_eq!(KeptAnswer::read(&nothing), KeptAnswer::default());
        }
    }
}
