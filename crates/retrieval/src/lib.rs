//! The on-disk index and search over it: lexical, dense and hybrid.
//!
//! The index is a sequence of immutable generations under `DATA/index/`; a reader sees one whole generation, a
//! writer swaps the pointer last. Audience, validity and filters are turned into one set of allowed chunks before
//! either side ranks anything, so what was filtered out cannot surface later.

mod analysis;
mod cache;
mod dense;
mod explain;
mod filter;
mod fusion;
mod generation;
mod graph;
mod highlight;
mod index;
mod lexical;
mod lost_questions;
mod query;
mod rerank;
mod rows;
mod sealed;
mod spelling;
mod spread;
mod store;
mod text;
mod vector_set;
mod windows;
mod zones;

use std::path::{Path, PathBuf};

pub use dense::VectorSettings;
pub use explain::{
    AskedWord, Because, ChangeReason, Explained, LeftOut, Place, Reasons, ScoreChange, WordHit, WordSort,
};
pub use fusion::{Balance, FusionBy, FusionSettings};
pub use index::{Index, Summary};
pub use lexical::LexicalSettings;
pub use lost_questions::lost_questions;
pub use query::{Filters, Mode, Passage, Query, Scores};
pub use rerank::{Reranking, while_wanted};
use serde::{Deserialize, Serialize};
pub use store::{Access, Progress, Store, UpdateReport};
pub use text::{fold_text, is_han};
pub use vector_set::{RowFilter, VectorSet};

/// Everything about an index that a user may set and that a generation depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// What the lexical score is made of.
    pub lexical: LexicalSettings,
    /// How the two sides are joined.
    pub fusion: FusionSettings,
    /// When the graph is built and used.
    pub vectors: VectorSettings,
}

/// Why the index cannot be searched or updated.
#[derive(Debug, thiserror::Error)]
pub enum RetrievalError {
    /// Another process holds the data folder for writing.
    #[error("data folder is in use by another flightdeck: {0}")]
    Locked(PathBuf),
    /// An update was asked of a store that was opened for reading.
    #[error("the index was opened for reading only")]
    ReadOnly,
    /// A file or folder of the index cannot be read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// `read`, `write`, `create`, …
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of the index is not what it should be.
    #[error("index is damaged: {path}: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// The knowledge folder cannot be read.
    #[error(transparent)]
    Corpus(#[from] flightdeck_corpus::CorpusError),
    /// The embedding model failed.
    #[error(transparent)]
    Model(#[from] flightdeck_models::ModelError),
    /// The caller stopped the update.
    #[error("cancelled")]
    Cancelled,
    /// The full-text engine failed.
    #[error("full-text index failed: {0}")]
    FullText(#[source] tantivy::TantivyError),
}

impl RetrievalError {
    /// For `map_err`: names the action and the path of a failed file operation.
    fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
