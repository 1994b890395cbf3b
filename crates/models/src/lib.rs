//! Neural models: texts in, vectors or other texts out. Knows strings and tensors, never documents.
//!
//! # Using it
//!
//! ```no_run
//! use std::path::Path;
//!
//! let model = flightdeck_models::load(Path::new("models/multilingual-e5-small"), 2)?;
//! let question = model.embed_query("换线要多长时间？")?;
//! let passages = model.embed_passages(&["换线时间由45分钟缩短至8分钟。"], &|_| true)?;
//! let similarity: f32 = question.iter().zip(&passages[0]).map(|(left, right)| left * right).sum();
//! # Ok::<(), flightdeck_models::ModelError>(())
//! ```
//!
//! # A model's folder
//!
//! `manifest.toml` ([`Manifest`]) says what the model is, where it came from, how it was made, and the size and
//! SHA-256 of every file; beside it lie the weights (GGUF or safetensors with Hugging Face tensor names), a
//! `tokenizer.json` and the licence. [`import()`] makes the default model's folder, [`verify`] checks one, [`list`]
//! lists them.
//!
//! # How a vector comes about
//!
//! * `tokenizer`: the prefix and the text become token ids. For the default model's family by a lean reader of
//!   `tokenizer.json`, for others by the `tokenizers` crate.
//! * `local`: texts are grouped into work items of some hundred tokens, longest first, for a bounded pool of threads.
//!   `schedule`: a question is computed at once, and passages pause between two layers while it is. Vectors of
//!   recent questions are remembered.
//! * `int8_encoder` on `kernels`: the network in integers on AMX, AVX-512 VNNI, AVX-VNNI, AVX2 or plain Rust;
//!   `candle_encoder`: the same in `f32` on candle, the yardstick and the fallback. Neither pads: a text's vector has
//!   the same bits whatever it is batched with.
//! * `qwen3`: decoders as embedders, on candle.
//! * Pooling (mean, first or last token) and scaling to unit length.
//!
//! `reranker` reads a question and a passage together on the same networks and kernels, and gives one score.
//!
//! `byte_rows` multiplies one vector with many on the same kernels, for a vector index.
//!
//! # Where unsafe code is
//!
//! In `kernels` and below, nowhere else in the project.

mod bert;
mod breaker;
mod byte_rows;
mod candle_encoder;
mod catalog;
mod chat_tokenizer;
mod encoder;
mod event_stream;
mod generator;
mod gte;
mod http_embedder;
mod http_generator;
mod hub;
mod import;
mod int8_encoder;
mod kernels;
mod local;
mod local_generator;
mod manifest;
mod memory;
mod qwen3;
mod reranker;
mod rotary;
mod schedule;
mod tokenizer;
mod weights;

use std::path::PathBuf;

pub use byte_rows::{ByteKernel, ByteQuestion, push_row, row_bytes};
pub use catalog::{CatalogModel, catalog};
pub use generator::{Finish, GenerateError, Generated, Generator, Listener, Prompt, Usage};
pub use http_embedder::{EmbeddingProtocol, HttpEmbedder, HttpEmbedderSettings};
pub use http_generator::{HttpGenerator, HttpSettings, Prices, ProxySettings, Secret, SetupError};
pub use hub::{HubSettings, MayAsk, PullError, Pulled, Trust, pull};
pub use import::{ImportOptions, ImportReport, import};
pub use local::{Kernel, LoadOptions, LocalEmbedder, UnknownKernel, check_weights, load, load_with};
pub use local_generator::{LocalGenerator, LocalSettings};
pub use manifest::{
    Architecture, FileEntry, ListedModel, MANIFEST_FILE, Manifest, Pooling, Purpose, Source, list, verify,
};
pub use memory::{cpu_time, peak_memory_bytes};
pub use reranker::{LocalReranker, load_reranker};
pub use schedule::HeldBack;

/// Turns texts into unit vectors of one dimension; more similar texts have a larger dot product.
pub trait Embedder: Send + Sync {
    /// Names weights, pooling and prefixes: vectors of equal ids may be compared and cached, others may not.
    fn id(&self) -> &str;
    /// The model's name alone, for people: its id up to the `@`.
    fn name(&self) -> &str {
        let id = self.id();
        id.split_once('@').map_or(id, |(name, _)| name)
    }
    /// Length of every vector.
    fn dimension(&self) -> usize;
    /// Longest input in tokens, special tokens and prefix included; what is longer is cut.
    fn max_tokens(&self) -> usize;
    /// Tokens of `text`, without prefix and special tokens.
    fn count_tokens(&self, text: &str) -> usize;
    /// Name of the way it computes, for reports.
    fn kernel(&self) -> &'static str {
        "none"
    }
    /// Makes passages that are being embedded wait until what comes back is dropped, for work on a question that is done
    /// elsewhere; `None` where nothing here would be in its way.
    fn hold_passages(&self) -> Option<HeldBack<'_>> {
        None
    }
    /// The unit vector of a question (query prefix added).
    ///
    /// # Errors
    /// As [`ModelError`].
    fn embed_query(&self, text: &str) -> Result<Vec<f32>, ModelError>;
    /// The unit vectors of passages (passage prefix added), in the order given. `progress` is told how many are
    /// done, from any thread; when it returns `false` the work stops with [`ModelError::Cancelled`].
    ///
    /// # Errors
    /// As [`ModelError`].
    fn embed_passages(
        &self,
        texts: &[&str],
        progress: &(dyn Fn(usize) -> bool + Sync),
    ) -> Result<Vec<Vec<f32>>, ModelError>;
}

/// Says how well passages answer a question, reading both together.
pub trait Reranker: Send + Sync {
    /// Names weights and use, as [`Embedder::id`] does.
    fn id(&self) -> &str;
    /// The model's name alone, for people: its id up to the `@`.
    fn name(&self) -> &str {
        let id = self.id();
        id.split_once('@').map_or(id, |(name, _)| name)
    }
    /// Name of the way it computes, for reports.
    fn kernel(&self) -> &'static str {
        "none"
    }
    /// One logit a passage, in the order given: larger is better, below 0 is less likely an answer than not.
    /// `going_on` is asked again and again, from any thread; when it returns `false` the work stops with
    /// [`ModelError::Cancelled`].
    ///
    /// # Errors
    /// As [`ModelError`].
    fn score(
        &self,
        question: &str,
        passages: &[&str],
        going_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<Vec<f32>, ModelError>;
}

/// Why a model cannot be loaded or used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file of the model is missing.
    #[error("model file not found: {0}")]
    Missing(PathBuf),
    /// A file is there and not what its manifest says.
    #[error("model file is damaged: {path}: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// The caller stopped the work.
    #[error("cancelled")]
    Cancelled,
    /// The computation itself failed.
    #[error("model failed: {0}")]
    Failed(String),
}
