//! The folder as a whole: what reading it yields, and why it may not be readable at all.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::document::{Chunk, Document};
use crate::problem::Problem;

/// One file as it lies in the folder: what tells whether it has to be read again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Path relative to the knowledge folder, `/` between parts.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// Modification time in ns since 1970.
    pub modified_ns: i128,
}

/// The whole folder, read.
#[derive(Clone, Debug, Default)]
pub struct Corpus {
    /// In order of path, then of row; ids are unique (of two with one id both are left out and reported).
    pub documents: Vec<Document>,
    /// In the order of `documents`, then of position. Drafts and expired documents are chunked too:
    /// whether something is served on a given day is the reader's question, not the file's.
    pub chunks: Vec<Chunk>,
    /// In order of path.
    pub problems: Vec<Problem>,
    /// Groups of words that mean the same, from `_synonyms.txt` (one group a line, `,` or `，` between words, `#` comments).
    pub synonyms: Vec<Vec<String>>,
    /// Every file that was looked at, sidecars and `_` files included, in order of path.
    pub sources: Vec<SourceFile>,
}

/// Why a folder cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// The folder is not there.
    #[error("knowledge folder not found: {0}")]
    FolderMissing(PathBuf),
    /// The folder, or the file asked for by name, cannot be opened.
    #[error("cannot read {path}")]
    Unreadable {
        /// What was to be read.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}
