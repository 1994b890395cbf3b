//! Texts to token ids, from a `tokenizer.json`.
//!
//! Two ways behind one type: the lean Unigram reader for the default model's family, and the `tokenizers` crate
//! for every other kind (BERT's `WordPiece` and whatever a model brings).

mod charsmap;
mod trie;
mod unigram;

use std::path::Path;

pub(crate) use charsmap::build as build_charsmap;
use tokenizers::Tokenizer as GeneralTokenizer;
use unigram::Unigram;

use crate::ModelError;

/// The tokeniser of a model.
pub(crate) enum Tokenizer {
    /// The lean reader.
    Unigram(Box<Unigram>),
    /// The general one.
    General(Box<GeneralTokenizer>),
}

impl Tokenizer {
    /// Reads `tokenizer.json`.
    ///
    /// # Errors
    /// [`ModelError::Missing`] or [`ModelError::Damaged`].
    pub(crate) fn open(path: &Path) -> Result<Self, ModelError> {
        let json = crate::manifest::read(path)?;
        let damaged = |reason: String| ModelError::Damaged { path: path.to_owned(), reason };
        if let Some(unigram) = Unigram::from_json(&json).map_err(damaged)? {
            return Ok(Self::Unigram(Box::new(unigram)));
        }
        let mut general = GeneralTokenizer::from_bytes(&json).map_err(|error| damaged(error.to_string()))?;
        // Files in the wild carry the padding and truncation of their training run; both are done here instead.
        general.with_padding(None);
        general.with_truncation(None).map_err(|error| damaged(error.to_string()))?;
        Ok(Self::General(Box::new(general)))
    }

    /// One more than the largest id this tokeniser gives.
    pub(crate) fn n_pieces(&self) -> usize {
        match self {
            Self::Unigram(unigram) => unigram.n_pieces(),
            Self::General(general) => general.get_vocab_size(true),
        }
    }

    /// The ids of `text` with special tokens, cut to `max_tokens` in all; the closing special tokens stay.
    ///
    /// # Errors
    /// [`ModelError::Failed`] when the general tokeniser fails.
    pub(crate) fn encode(&self, text: &str, max_tokens: usize) -> Result<Vec<u32>, ModelError> {
        match self {
            Self::Unigram(unigram) => {
                let n_special = unigram.prefix().len() + unigram.suffix().len();
                let content = unigram.encode(text, max_tokens.saturating_sub(n_special));
                Ok([unigram.prefix(), &content, unigram.suffix()].concat())
            }
            Self::General(general) => {
                let encoding = general.encode_fast(text, true).map_err(failed)?;
                let mut ids = encoding.get_ids().to_vec();
                if ids.len() > max_tokens {
                    let closing = encoding
                        .get_special_tokens_mask()
                        .iter()
                        .rev()
                        .take_while(|&&mask| mask == 1)
                        .count();
                    let closing = closing.min(max_tokens);
                    let tail = ids.split_off(ids.len() - closing);
                    ids.truncate(max_tokens - closing);
                    ids.extend(tail);
                }
                Ok(ids)
            }
        }
    }

    /// The ids of `text` without special tokens, the first `limit` of them.
    ///
    /// # Errors
    /// [`ModelError::Failed`] when the general tokeniser fails.
    pub(crate) fn content(&self, text: &str, limit: usize) -> Result<Vec<u32>, ModelError> {
        match self {
            Self::Unigram(unigram) => Ok(unigram.encode(text, limit)),
            Self::General(general) => {
                let mut ids = general.encode_fast(text, false).map_err(failed)?.get_ids().to_vec();
                ids.truncate(limit);
                Ok(ids)
            }
        }
    }

    /// The special tokens before a text, and those after it.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub(crate) fn special_ids(&self) -> Result<(Vec<u32>, Vec<u32>), ModelError> {
        match self {
            Self::Unigram(unigram) => Ok((unigram.prefix().to_vec(), unigram.suffix().to_vec())),
            Self::General(general) => {
                let encoding = general.encode_fast("a", true).map_err(failed)?;
                let (ids, mask) = (encoding.get_ids(), encoding.get_special_tokens_mask());
                let n_before = mask.iter().take_while(|&&mask| mask == 1).count();
                let n_after = mask[n_before..].iter().rev().take_while(|&&mask| mask == 1).count();
                Ok((ids[..n_before].to_vec(), ids[ids.len() - n_after..].to_vec()))
            }
        }
    }

    /// Number of tokens of `text` without special tokens. A text that the general tokeniser refuses counts its
    /// characters, which is never fewer.
    pub(crate) fn count(&self, text: &str) -> usize {
        match self {
            Self::Unigram(unigram) => unigram.count(text),
            Self::General(general) => general
                .encode_fast(text, false)
                .map_or_else(|_| text.chars().count(), |encoding| encoding.len()),
        }
    }
}

fn failed(error: impl std::fmt::Display) -> ModelError {
    ModelError::Failed(error.to_string())
}
