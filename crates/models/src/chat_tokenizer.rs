//! Texts to tokens and back for chat models in GGUF files, from the vocabulary that the file brings.
//!
//! Tokens with a meaning of their own (the beginning and end of a message) are put in by number. No text can spell
//! one: the tokeniser of the text does not know them, so `<|im_end|>` in a document is seven signs like any others.

use std::path::Path;

use candle_core::quantized::gguf_file::{Content, Value};
use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{SplitDelimiterBehavior, Tokenizer};

use crate::ModelError;
use crate::generator::Prompt;

/// How Qwen cuts a text before pairs of bytes are joined.
const CUTS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The kind of token that stands for no text, in `tokenizer.ggml.token_type`.
const CONTROL: i64 = 3;

/// Between these a model thinks aloud.
const THOUGHT: [&str; 2] = ["<think>", "</think>"];
/// Stands in the template of a model that can be told not to.
const SWITCH: &str = "enable_thinking";

/// The tokeniser of a chat model whose messages stand between `<|im_start|>` and `<|im_end|>`.
pub(crate) struct ChatTokenizer {
    tokenizer: Tokenizer,
    start: u32,
    end: u32,
    /// For each token, whether an answer ends there.
    ends: Vec<bool>,
    /// A thought that is over already, put before the answer of a model that would think aloud first.
    no_thought: Vec<u32>,
}

impl ChatTokenizer {
    /// The tokeniser that `content`, read from `path`, describes.
    ///
    /// # Errors
    /// [`ModelError::Damaged`] when it describes none, or one of another kind.
    pub fn from_gguf(content: &Content, path: &Path) -> Result<Self, ModelError> {
        let damaged = |reason: String| ModelError::Damaged { path: path.to_owned(), reason };
        let list = |key: &str| {
            let value = content.metadata.get(key).ok_or_else(|| damaged(format!("it has no {key}")))?;
            value.to_vec().map_err(|error| damaged(format!("{key}: {error}")))
        };
        let texts = |key: &str| -> Result<Vec<String>, ModelError> {
            let text = |value: &Value| value.to_string().cloned();
            list(key)?
                .iter()
                .map(text)
                .collect::<Result<_, _>>()
                .map_err(|error| damaged(format!("{key}: {error}")))
        };
        let tokens = texts("tokenizer.ggml.tokens")?;
        let merges: Option<Vec<(String, String)>> = texts("tokenizer.ggml.merges")?
            .iter()
            .map(|pair| pair.split_once(' ').map(|(left, right)| (left.to_owned(), right.to_owned())))
            .collect();
        let merges =
            merges.ok_or_else(|| damaged("tokenizer.ggml.merges holds what is no pair".to_owned()))?;
        let kinds = list("tokenizer.ggml.token_type")?;
        let is_control = |n: usize| {
            let kind = kinds.get(n);
            kind.and_then(|kind| kind.to_i32().map(i64::from).or_else(|_| kind.to_u32().map(i64::from)).ok())
                == Some(CONTROL)
        };
        let ends = (0..)
            .zip(&tokens)
            .map(|(n, token)| is_control(n) && !THOUGHT.contains(&token.as_str()))
            .collect();
        let known =
            |name: &str| tokens.iter().position(|token| token == name).and_then(|n| u32::try_from(n).ok());
        let id = |name: &str| known(name).ok_or_else(|| damaged(format!("it has no token {name}")));
        let (start, end) = (id("<|im_start|>")?, id("<|im_end|>")?);
        let template =
            content.metadata.get("tokenizer.chat_template").and_then(|value| value.to_string().ok());
        let thought = template
            .filter(|template| template.contains(SWITCH))
            .and_then(|_| Some([known(THOUGHT[0])?, known(THOUGHT[1])?]));
        let vocab: Vocab = (0..).zip(tokens).map(|(n, token)| (token, n)).collect();
        let failed = |error: tokenizers::Error| damaged(format!("its tokeniser: {error}"));
        let bpe = BPE::builder().vocab_and_merges(vocab, merges).build().map_err(failed)?;
        let cuts = SplitPattern::Regex(CUTS.to_owned());
        let cuts = Split::new(cuts, SplitDelimiterBehavior::Isolated, false).map_err(failed)?;
        let cuts = Sequence::new(vec![cuts.into(), ByteLevel::new(false, false, false).into()]);
        let mut tokenizer = Tokenizer::new(bpe);
        tokenizer.with_normalizer(Some(NFC)).map_err(failed)?;
        tokenizer.with_pre_tokenizer(Some(cuts)).with_decoder(Some(ByteLevel::default()));
        let mut made = Self { tokenizer, start, end, ends, no_thought: Vec::new() };
        for mark in thought.into_iter().flatten() {
            made.no_thought.push(mark);
            made.no_thought.extend(made.encode("\n\n")?);
        }
        Ok(made)
    }

    /// The tokens of a text.
    ///
    /// # Errors
    /// When the vocabulary lacks a byte.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        let encoded = self.tokenizer.encode_fast(text, false);
        encoded
            .map(|encoded| encoded.get_ids().to_vec())
            .map_err(|error| ModelError::Failed(error.to_string()))
    }

    /// The tokens of a prompt, up to where the answer begins.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn chat(&self, prompt: &Prompt) -> Result<Vec<u32>, ModelError> {
        let mut ids = Vec::new();
        for (role, text) in [("system", &prompt.system), ("user", &prompt.user)] {
            ids.push(self.start);
            ids.extend(self.encode(&format!("{role}\n{text}"))?);
            ids.push(self.end);
            ids.extend(self.encode("\n")?);
        }
        ids.push(self.start);
        ids.extend(self.encode("assistant\n")?);
        ids.extend(&self.no_thought);
        Ok(ids)
    }

    /// Whether an answer ends at this token.
    pub fn is_end(&self, id: u32) -> bool {
        self.ends.get(id as usize).is_none_or(|ends| *ends)
    }

    /// What turns tokens into text one by one; a character comes with the last of its bytes.
    pub fn texts(&self) -> impl FnMut(u32) -> Result<String, ModelError> {
        let mut stream = self.tokenizer.decode_stream(false);
        move |id| {
            let text = stream.step(id).map_err(|error| ModelError::Failed(error.to_string()))?;
            Ok(text.unwrap_or_default())
        }
    }
}
