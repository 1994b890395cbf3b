//! Question sets, metrics and reports: how good are search and answers, in numbers that others can check.
//!
//! Everything here reads what the public interfaces give (an index, an assistant) and compares it with judgements
//! from files; nothing is measured that a user would not get. Printing belongs to the command line; the reports are
//! plain data that it turns into a table or JSON.

pub mod ablation;
pub mod answers;
pub mod bootstrap;
mod data;
pub mod figures;
mod latency;
pub mod metrics;
pub mod refusal;
pub mod retrieval;
mod trec;

use std::path::PathBuf;

pub use data::{
    Expectation, Passage, Qrels, Question, QuestionCustomer, Topic, read_expectations, read_passages,
    read_qrels, read_questions, read_topics,
};
use flightdeck_assistant::AssistantError;
use flightdeck_retrieval::RetrievalError;
pub use latency::Latency;
pub use trec::write_run;

/// Why an evaluation cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// A question set's file cannot be opened or read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A line of a file is not what the format says.
    #[error("{path} line {line}: {reason}")]
    BadLine {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What does not fit.
        reason: String,
    },
    /// A file holds nothing to evaluate with.
    #[error("{path}: {reason}")]
    Empty {
        /// The file.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// The ranking cannot be written.
    #[error("cannot write {path}: {source}")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Building or asking the index failed.
    #[error(transparent)]
    Retrieval(#[from] RetrievalError),
    /// The assistant failed.
    #[error(transparent)]
    Assistant(#[from] AssistantError),
    /// There is no index to ask.
    #[error("no index is loaded")]
    NoIndex,
}
