//! Why a passage stands where it stands, and why another does not stand there at all.
//!
//! Nothing here ranks. The numbers are those of the search itself: [`Reasons::words`] add up to the lexical score, the
//! two shares to the fused score, and what changed that score afterwards leads to [`crate::Passage::score`], to the
//! bit; a test holds them to it. What was left out is found by ranking once more as if everybody might see everything.

use std::fmt;

use flightdeck_corpus::{Document, DocumentId, Kind, Status};
use jiff::civil::Date;

use crate::filter::{may_see, passes_list};
use crate::fusion::Balance;
use crate::query::{Passage, Query};

/// How many documents that were left out are named at most.
pub(crate) const MAX_LEFT_OUT: usize = 10;

/// A search and the reasons for what it found.
#[derive(Clone, Debug)]
pub struct Explained {
    /// As the search gives them.
    pub passages: Vec<Passage>,
    /// For each passage, in the same order.
    pub reasons: Vec<Reasons>,
    /// The question as it was read, where that is not as it was written.
    pub read_as: Option<String>,
    /// What was looked up, words of the question before their synonyms.
    pub words: Vec<AskedWord>,
    /// How much each side had to say.
    pub balance: Balance,
    /// Documents that would have stood among the passages and do not, best first.
    pub left_out: Vec<LeftOut>,
}

/// A word that was looked up.
#[derive(Clone, Debug, PartialEq)]
pub struct AskedWord {
    /// Folded.
    pub text: String,
    /// What sort of term it is.
    pub sort: WordSort,
    /// Whether it is not in the question but means the same as a word that is.
    pub is_synonym: bool,
    /// Inverse document frequency in nats: high for a word that few passages have.
    pub rarity: f32,
    /// What one standing in a text of average length adds to the lexical score.
    pub weight: f32,
    /// Passages that have it.
    pub n_chunks: usize,
}

/// Sorts of terms; they weigh differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WordSort {
    /// A word, or a part of a model number.
    Word,
    /// A whole model number, or a number with its unit.
    Code,
    /// Two neighbouring Chinese characters.
    Pair,
}

impl WordSort {
    /// All sorts.
    pub const ALL: [Self; 3] = [Self::Word, Self::Code, Self::Pair];

    /// For programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Word => "word",
            Self::Code => "code",
            Self::Pair => "pair",
        }
    }
}

/// The parts of a passage in which words are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// What is quoted.
    Text,
    /// Title and headings.
    Title,
    /// Keywords, tags and profile.
    Keywords,
}

impl Place {
    /// In the order in which the index holds them.
    pub const ALL: [Self; 3] = [Self::Text, Self::Title, Self::Keywords];

    /// For programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Title => "title",
            Self::Keywords => "keywords",
        }
    }
}

/// A word of the question that stands in a passage, where it counts most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WordHit {
    /// Its place in [`Explained::words`].
    pub word: usize,
    /// Where it stands.
    pub place: Place,
    /// How often it stands there, saturated and held against the length of the text; 1 in a title or among keywords.
    pub count: f32,
    /// What the place counts for.
    pub place_weight: f32,
    /// What it adds to the lexical score.
    pub adds: f32,
}

/// Why one passage has its score.
#[derive(Clone, Debug, PartialEq)]
pub struct Reasons {
    /// In the order of [`Explained::words`]; their sum is the lexical score.
    pub words: Vec<WordHit>,
    /// Cosine of question and passage as a whole.
    pub whole: Option<f32>,
    /// Cosine of question and the nearest few sentences; `None` for a passage that is no longer than that.
    pub best_window: Option<f32>,
    /// What the few sentences count for against the whole.
    pub window_share: f32,
    /// What the lexical side adds to the score.
    pub lexical_share: f32,
    /// What the dense side adds to the score.
    pub dense_share: f32,
    /// Logit of a cross-encoder; `None` where none read the passage.
    pub rerank: Option<f32>,
    /// What became of the sum of the shares afterwards, in order.
    pub changes: Vec<ScoreChange>,
}

/// Something that changed a score after the fusion.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreChange {
    /// Why.
    pub because: ChangeReason,
    /// The score before.
    pub before: f32,
    /// The score afterwards.
    pub after: f32,
}

/// Why a score was changed after the fusion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeReason {
    /// A cross-encoder read question and passage together.
    Reranked,
    /// The document is replaced by this one, and stands behind it.
    ReplacedBy(DocumentId),
    /// Others of its document stand before it, and the list is to show more than one source.
    Repetition,
}

/// A document that would have been among the passages.
#[derive(Clone, Debug)]
pub struct LeftOut {
    /// The document.
    pub document: std::sync::Arc<Document>,
    /// Where its best passage would have stood.
    pub would_rank: usize,
    /// The score that it would have had.
    pub would_score: f32,
    /// Every reason that holds, never none.
    pub because: Vec<Because>,
}

/// Why a document is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// It is internal, and a customer asks.
    Audience,
    /// It is a draft.
    Draft,
    /// It is archived.
    Archived,
    /// It holds only from this day on.
    NotYetValid(Date),
    /// This was its last day.
    Expired(Date),
    /// Only other kinds are asked for; this is its own.
    Kind(Kind),
    /// It is for other industries.
    Industry,
    /// It is about other products.
    Product,
    /// It has none of the tags.
    Tag,
    /// Others of its document stand before this passage, and those of other documents go first.
    Repetition,
}

impl Because {
    /// Names of all reasons, for programs.
    pub const NAMES: [&'static str; 10] = [
        "audience",
        "draft",
        "archived",
        "not_yet_valid",
        "expired",
        "kind",
        "industry",
        "product",
        "tag",
        "repetition",
    ];

    /// For programs.
    pub fn name(self) -> &'static str {
        let place = match self {
            Self::Audience => 0,
            Self::Draft => 1,
            Self::Archived => 2,
            Self::NotYetValid(_) => 3,
            Self::Expired(_) => 4,
            Self::Kind(_) => 5,
            Self::Industry => 6,
            Self::Product => 7,
            Self::Tag => 8,
            Self::Repetition => 9,
        };
        Self::NAMES[place]
    }

    /// Whether whoever asked may know of the document: only what they narrowed themselves hides it.
    pub fn is_by_filter(self) -> bool {
        matches!(self, Self::Kind(_) | Self::Industry | Self::Product | Self::Tag | Self::Repetition)
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotYetValid(day) | Self::Expired(day) => write!(f, "{} {day}", self.name()),
            Self::Kind(kind) => write!(f, "kind {}", kind.name()),
            _ => f.write_str(self.name()),
        }
    }
}

/// Why `query` does not find `document`; empty where it may.
pub(crate) fn hidden_because(document: &Document, query: &Query) -> Vec<Because> {
    let mut because = Vec::new();
    if !may_see(document, query.audience, query.day) {
        if !query.audience.may_see(document.audience) {
            because.push(Because::Audience);
        }
        match document.status {
            Status::Published => {}
            Status::Draft => because.push(Because::Draft),
            Status::Archived => because.push(Because::Archived),
        }
        let too_early = document.valid_from.filter(|from| *from > query.day);
        let too_late = document.valid_until.filter(|until| *until < query.day);
        because.extend(too_early.map(Because::NotYetValid));
        because.extend(too_late.map(Because::Expired));
    }
    let filters = &query.filters;
    if !filters.kind.is_empty() && !filters.kind.contains(&document.kind) {
        because.push(Because::Kind(document.kind));
    }
    for (wanted, values, reason) in [
        (&filters.industry, &document.profile.industry, Because::Industry),
        (&filters.product, &document.profile.product, Because::Product),
        (&filters.tag, &document.tags, Because::Tag),
    ] {
        if !passes_list(wanted, values) {
            because.push(reason);
        }
    }
    because
}
