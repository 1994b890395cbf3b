//! What is asked of the index, and what comes back.

use std::ops::Range;
use std::sync::Arc;

use flightdeck_corpus::{Audience, Chunk, Document, DocumentId, Kind};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::highlight::Marker;

/// Which sides of the index answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Words and vectors, fused.
    #[default]
    Hybrid,
    /// Words only.
    Lexical,
    /// Vectors only.
    Vector,
}

/// Narrows a search. Inside a list any match counts, lists are joined by "and", an empty list lets all pass.
/// Industry, product and tag match when the document's value contains the filter's or the other way round,
/// after normalisation (case, width, Traditional to Simplified).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names are the document's own")]
pub struct Filters {
    pub kind: Vec<Kind>,
    pub industry: Vec<String>,
    pub product: Vec<String>,
    pub tag: Vec<String>,
}

/// A search: the words and who asks. Audience and day are part of every query and have no default.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// The question, as written.
    pub text: String,
    /// Who will see what is found.
    pub audience: Audience,
    /// Only what is served on this day is found.
    pub day: Date,
    /// Further narrowing.
    pub filters: Filters,
    /// Which sides answer.
    pub mode: Mode,
    /// How many passages at most.
    pub top_k: usize,
}

/// What each side found, before fusion; `None` where a side did not find the passage or was not asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// BM25 over all fields, 0 and up.
    pub lexical: Option<f32>,
    /// How near question and passage are, -1 to 1: a mean of the passage's cosine and its best window's.
    pub vector: Option<f32>,
    /// Cosine of question and passage as a whole, -1 to 1; `None` where the question was not embedded.
    pub whole: Option<f32>,
    /// Logit of a cross-encoder, larger is better; `None` where none read the passage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerank: Option<f32>,
}

/// A chunk with its score and why.
#[derive(Clone, Debug)]
pub struct Passage {
    /// From 1, best first; equal scores are in order of chunk id.
    pub rank: usize,
    /// Fused score, higher is better; comparable inside one search only.
    pub score: f32,
    /// The sides' own scores.
    pub scores: Scores,
    /// The chunk.
    pub chunk: Arc<Chunk>,
    /// The document that it is cut from.
    pub document: Arc<Document>,
    /// The served document that replaces this one, if any: then this passage stands behind it.
    pub superseded_by: Option<DocumentId>,
    /// What the question looked for, to mark it in the passage when somebody asks.
    pub(crate) marker: Arc<Marker>,
}

impl Passage {
    /// Byte ranges of [`Chunk::shown`] that match words of the question, in order, not overlapping. They are
    /// computed here and not in the search, because most passages of a long list are never shown.
    pub fn matches(&self) -> Vec<Range<usize>> {
        self.marker.spans(&self.chunk.shown(&self.document))
    }

    /// The shown text, or its densest stretch of about `max_chars` characters, as HTML text: escaped, matches
    /// between `<mark>` and `</mark>`, `…` where something was left out.
    pub fn highlight(&self, max_chars: usize) -> String {
        let shown = self.chunk.shown(&self.document);
        crate::highlight::render(&shown, &self.marker.spans(&shown), max_chars)
    }
}
