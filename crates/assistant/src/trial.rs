//! One question tried out: the answer that would be given, and why, from the search to the judgement.
//!
//! Nothing is recorded. The answer comes from the same code as every answer; the passages are searched for once more to
//! learn the reasons of their order, which is the same.

use std::collections::HashMap;

use flightdeck_corpus::{ChunkId, Kind};
use flightdeck_retrieval::{Explained, RetrievalError};

use crate::answer::{Answer, Intent};
use crate::dialogue::Meaning;
use crate::engine::{self, Asking};
use crate::plan::{self, Ranking};
use crate::{cases, support};

/// An answer that was not given, with its reasons.
#[derive(Clone, Debug)]
pub struct Trial {
    /// What would have been answered.
    pub answer: Answer,
    /// The least support of an answer that is given.
    pub threshold: f32,
    /// The search behind it; `None` where the message asks for nothing that is searched for.
    pub searched: Option<Searched>,
}

/// The search behind an answer.
#[derive(Clone, Debug)]
pub struct Searched {
    /// What was searched for: the question, and for some intents what is known of the customer.
    pub text: String,
    /// The kinds that may answer; all where it is empty.
    pub only: Vec<Kind>,
    /// Passages as the search gives them.
    pub explained: Explained,
    /// The first passages in the order in which the answer uses them.
    pub passages: Vec<Weighed>,
}

/// A passage after the intent has had its say.
#[derive(Clone, Debug, PartialEq)]
pub struct Weighed {
    /// Its place in [`Explained::passages`].
    pub found: usize,
    /// What the search's score is multiplied with, and why.
    pub factors: Vec<(Factor, f32)>,
    /// The product.
    pub score: f32,
    /// How well the case fits the customer, where cases are looked for: then it goes before the score.
    pub case_fit: Option<f32>,
}

/// Why a score is changed after the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Factor {
    /// The kind of document suits what is wanted, or does not.
    Kind,
    /// It speaks of the model that was named, or of others.
    Model,
    /// It is in the reader's language, or is not.
    Language,
}

impl Factor {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Kind, Self::Model, Self::Language];

    /// For programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Model => "model",
            Self::Language => "language",
        }
    }
}

/// Answers `text` and says why.
///
/// # Errors
/// When the search fails.
pub(crate) fn run(
    text: &str,
    asking: &Asking<'_>,
    ranking: Ranking,
    top_k: usize,
) -> Result<Trial, RetrievalError> {
    let index = asking.index;
    let mut searched = None;
    let composed = engine::answer_by(&Meaning::of(text), asking, ranking, &mut |question, used| {
        let who_and_when = (asking.audience, asking.day);
        let query = plan::query(question, who_and_when, (index, ranking.mode));
        let settings = ranking.settings.unwrap_or(index.settings());
        searched = Some(index.explain_with(&query, settings).map(|explained| {
            let found: HashMap<&ChunkId, usize> =
                explained.passages.iter().enumerate().map(|(i, found)| (&found.chunk.id, i)).collect();
            let fits = (question.intent == Intent::FindCases).then(|| cases::fits_of(question, used));
            let weighed = used.iter().take(top_k).filter_map(|passage| {
                Some(Weighed {
                    found: *found.get(&passage.chunk.id)?,
                    factors: plan::factors(question, passage).to_vec(),
                    score: passage.score,
                    case_fit: fits.as_ref().and_then(|fits| fits.get(&passage.document.id).copied()),
                })
            });
            let passages = weighed.collect();
            Searched { text: query.text.clone(), only: query.filters.kind.clone(), passages, explained }
        }));
    })?;
    let searched = searched.transpose()?;
    Ok(Trial { answer: composed.answer, threshold: support::THRESHOLD, searched })
}
