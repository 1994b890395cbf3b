//! What an answer is made of, and why a citation cannot lie.

use std::ops::Range;
use std::sync::Arc;

use flightdeck_corpus::{Document, Location};
use serde::{Deserialize, Serialize};

use crate::generate::Generation;
use crate::support::Signs;

/// What the person wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are the contract's own")]
pub enum Intent {
    FindCases,
    HandleObjection,
    RecommendVideos,
    FindTemplate,
    CustomerBrief,
    CompareCompetitor,
    ProductQuestion,
    ServiceQuestion,
    Other,
}

impl Intent {
    /// All intents, in the contract's order.
    pub const ALL: [Self; 9] = [
        Self::FindCases,
        Self::HandleObjection,
        Self::RecommendVideos,
        Self::FindTemplate,
        Self::CustomerBrief,
        Self::CompareCompetitor,
        Self::ProductQuestion,
        Self::ServiceQuestion,
        Self::Other,
    ];

    /// The intent that the contract calls so.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|intent| intent.name() == name)
    }

    /// The contract's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::FindCases => "find_cases",
            Self::HandleObjection => "handle_objection",
            Self::RecommendVideos => "recommend_videos",
            Self::FindTemplate => "find_template",
            Self::CustomerBrief => "customer_brief",
            Self::CompareCompetitor => "compare_competitor",
            Self::ProductQuestion => "product_question",
            Self::ServiceQuestion => "service_question",
            Self::Other => "other",
        }
    }
}

/// A sentence of a document, cut out to the letter, with its number in the answer.
#[derive(Clone, Debug)]
pub struct Citation {
    n: usize,
    document: Arc<Document>,
    span: Range<usize>,
    location: Location,
}

impl Citation {
    /// The citation numbered `n` of what stands at `span` of the document's text; `None` where the span is empty
    /// or does not lie on character boundaries inside the text.
    pub fn new(n: usize, document: Arc<Document>, span: Range<usize>, location: Location) -> Option<Self> {
        let quote = document.text.get(span.clone())?;
        if quote.trim().is_empty() {
            return None;
        }
        Some(Self { n, document, span, location })
    }

    /// The number in square brackets, from 1.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Where it is from.
    pub fn document(&self) -> &Arc<Document> {
        &self.document
    }

    /// The words themselves.
    pub fn quote(&self) -> &str {
        &self.document.text[self.span.clone()]
    }

    /// Byte range in the document's text.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Heading, lines and time of the quote.
    pub fn location(&self) -> &Location {
        &self.location
    }
}

/// Why an answer was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalReason {
    /// Nothing that this audience may see supports an answer.
    NotInKnowledge,
    /// The message is empty of content, or asks for something a sales assistant does not do.
    OutOfScope,
}

/// Whether the knowledge supports the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every statement is cited.
    Grounded,
    /// The knowledge does not support an answer; the text says so.
    Abstained(RefusalReason),
}

/// An answer: text with `[n]` marks, and the citations that the marks name.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What the person wanted, as understood.
    pub intent: Intent,
    /// Markdown; every `[n]` is in `citations` and every citation is used.
    pub text: String,
    /// In the order of their numbers.
    pub citations: Vec<Citation>,
    /// Grounded or abstained.
    pub outcome: Outcome,
    /// What to ask or do next, at most three.
    pub suggestions: Vec<String>,
    /// Who worded it: `extractive`, or a language model's name.
    pub generator: String,
    /// What a language model did for it; `None` where none was asked.
    pub generation: Option<Generation>,
    /// The question in full, where the message leant on the turns before it: `那精度呢？` after a question on a model.
    pub understood: Option<String>,
    /// How well the passages support an answer, 0 to 1.
    pub support: f32,
    /// What the support was judged by.
    pub signs: Signs,
}
