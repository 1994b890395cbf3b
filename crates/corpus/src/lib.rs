//! From a folder of files to documents and chunks.
//!
//! The crate reads, normalises and splits; it does no machine learning and no network. How long a chunk is,
//! in the model's tokens, is measured by a counter that the caller passes in.
//!
//! In the order in which a file travels: [`Reader`] finds it (`folder`), `encoding` makes text of its bytes,
//! `readers` make prose, tables, records or cues of the text, `build` lays metadata over it (`meta`) and
//! makes documents, `structure` and `sentence` find where it may be cut, and `chunking` cuts it.
//!
//! What programs pack (Office files, PDF, HTML) is read by a [`Worker`], a process of its own, because such
//! a file can take its parser's process with it.
//!
//! Text is kept to the letter but for its line ends, which become LF, and its byte order mark, which goes;
//! line numbers are those of the source file either way. Files without lines have page or slide numbers.

mod build;
mod chunking;
mod columns;
mod context;
mod corpus;
mod document;
mod encoding;
mod extract;
mod findings;
mod folder;
mod kept_table;
mod lines;
mod meta;
mod node;
mod problem;
mod reader;
mod readers;
mod sentence;
mod shelf;
mod stated_figures;
mod statement;
mod structure;
mod worker;

pub use context::{context_header, heading_below_title};
pub use corpus::{Corpus, CorpusError, SourceFile};
pub use document::{Audience, Chunk, ChunkId, Document, DocumentId, Field, Kind, Location, Profile, Status};
pub use extract::{Extracted, ExtractedSection, ExtractedTable, documents_of, extract};
pub use findings::{FindingSettings, advice, findings};
pub use kept_table::{KeptPlace, KeptRow, KeptTableError, keep_row};
pub use problem::{Problem, Severity};
pub use reader::Reader;
pub use sentence::sentences;
use serde::{Deserialize, Serialize};
pub use shelf::{Expected, Shelf, ShelfError, Shelved};
pub use stated_figures::{StatedFigure, stated_figures};
pub use statement::{Says, Statement};
pub use structure::{Heading, headings};
pub use worker::{Limits as ReadLimits, Worker, serve as serve_reading};

/// Counts a text's tokens as the embedding model will see them.
pub type CountTokens<'a> = &'a (dyn Fn(&str) -> usize + Sync);

/// Limits of reading and splitting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Longest chunk, in the model's tokens, its context header not counted.
    pub max_chunk_tokens: usize,
    /// Chunks shorter than this join a neighbour under the same heading, in tokens.
    pub min_chunk_tokens: usize,
    /// Largest file that is read, in bytes.
    pub max_file_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_chunk_tokens: 320, min_chunk_tokens: 24, max_file_bytes: 64 << 20 }
    }
}
