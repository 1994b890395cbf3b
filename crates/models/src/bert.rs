//! The weights of a BERT-family encoder under their Hugging Face names, independent of how they are computed with.

use std::path::Path;

use crate::encoder::Tokens;
use crate::manifest::{Architecture, Manifest, Purpose};
use crate::rotary::Rotary;
use crate::weights::{Matrix, Weights};
use crate::{ModelError, gte};

/// Sizes of a network.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    pub(crate) hidden: usize,
    pub(crate) n_layers: usize,
    pub(crate) n_heads: usize,
    pub(crate) feed_forward: usize,
    pub(crate) n_positions: usize,
    pub(crate) epsilon: f32,
}

impl Config {
    pub(crate) fn head_size(&self) -> usize {
        self.hidden / self.n_heads
    }
}

/// A matrix with one row per output, and what is added to the outputs.
pub(crate) struct Linear {
    pub(crate) matrix: Matrix,
    pub(crate) bias: Vec<f32>,
}

/// Layer normalisation: what the normalised values are multiplied with, and what is added then.
pub(crate) struct Norm {
    pub(crate) gain: Vec<f32>,
    pub(crate) bias: Vec<f32>,
}

/// One layer of the encoder.
pub(crate) struct Layer {
    pub(crate) query: Linear,
    pub(crate) key: Linear,
    pub(crate) value: Linear,
    pub(crate) attention_output: Linear,
    pub(crate) attention_norm: Norm,
    /// Followed by GELU.
    pub(crate) intermediate: Linear,
    /// What that is multiplied with, in networks with gates.
    pub(crate) factor: Option<Linear>,
    pub(crate) output: Linear,
    pub(crate) output_norm: Norm,
}

/// What turns token ids into the first layer's input.
pub(crate) struct Embeddings {
    words: Matrix,
    /// Position vectors with the first token type's vector added, from the family's first position on. Where positions
    /// are rotary it is the type's vector alone, for all of them.
    positions: Vec<f32>,
    /// The same with the second type's vector, which only pairs of texts use; empty where a model does not tell them
    /// apart.
    second_positions: Vec<f32>,
    pub(crate) norm: Norm,
    hidden: usize,
}

impl Embeddings {
    /// Writes the sums of a text's vectors, before normalisation. `out` is `[n_tokens, hidden]`.
    pub(crate) fn write(&self, text: Tokens<'_>, out: &mut [f32]) {
        let hidden = self.hidden;
        for (position, (&id, row)) in text.ids.iter().zip(out.chunks_exact_mut(hidden)).enumerate() {
            let is_second = position >= text.second_from && !self.second_positions.is_empty();
            let positions = if is_second { &self.second_positions } else { &self.positions };
            self.words.decode_row(id as usize, row);
            let at = position * hidden % positions.len();
            for (value, add) in row.iter_mut().zip(&positions[at..at + hidden]) {
                *value += add;
            }
        }
    }

    /// Number of tokens with a vector.
    pub(crate) fn n_words(&self) -> usize {
        self.words.n_rows
    }
}

/// What makes one number of the first token's vector: a dense layer, its hyperbolic tangent, and a row.
pub(crate) struct ScoreHead {
    pub(crate) dense: Linear,
    pub(crate) out: Linear,
}

/// An opened model file with its sizes.
pub(crate) struct Bert {
    pub(crate) config: Config,
    weights: Weights,
    architecture: Architecture,
    purpose: Purpose,
    max_tokens: usize,
    /// What published files put before every name: nothing, `bert.`, `roberta.` or `new.`.
    prefix: &'static str,
    position_offset: usize,
    /// Frequencies of rotary positions; `None` where positions have vectors.
    frequencies: Option<Vec<f64>>,
}

impl Bert {
    /// Opens the weights of a model's folder and checks that their sizes fit the manifest.
    ///
    /// # Errors
    /// [`ModelError::Missing`] or [`ModelError::Damaged`].
    pub(crate) fn open(dir: &Path, manifest: &Manifest) -> Result<Self, ModelError> {
        let weights = Weights::open(&dir.join(&manifest.weights))?;
        let prefix = ["", "bert.", "roberta.", "new."]
            .into_iter()
            .find(|prefix| weights.has(&format!("{prefix}embeddings.word_embeddings.weight")))
            .ok_or_else(|| weights.damaged("there are no word embeddings in it".to_owned()))?;
        let (config, frequencies) = match manifest.architecture {
            Architecture::Gte => {
                let (config, frequencies) = gte::read_config(dir, &weights, prefix)?;
                (config, Some(frequencies))
            }
            _ => (read_config(dir, &weights, prefix)?, None),
        };
        let position_offset = manifest.architecture.position_offset();
        let plausible = config.hidden == manifest.dimension
            && config.n_heads > 0
            && config.hidden.is_multiple_of(config.n_heads)
            && config.n_layers > 0
            && config.feed_forward > 0
            && config.epsilon.is_finite()
            && config.epsilon >= 0.0
            && (frequencies.is_none() || config.head_size().is_multiple_of(2))
            && manifest.max_tokens + position_offset <= config.n_positions;
        if !plausible {
            return Err(weights.damaged(format!("its sizes do not fit the manifest: {config:?}")));
        }
        let Manifest { architecture, purpose, max_tokens, .. } = *manifest;
        Ok(Self { config, weights, architecture, purpose, max_tokens, prefix, position_offset, frequencies })
    }

    /// What queries and keys are turned by, for the longest input; `None` where positions have vectors.
    pub(crate) fn rotary(&self) -> Option<Rotary> {
        self.frequencies.as_ref().map(|frequencies| Rotary::new(frequencies, self.max_tokens))
    }

    /// Reads the embedding tables.
    pub(crate) fn embeddings(&self) -> Result<Embeddings, ModelError> {
        let hidden = self.config.hidden;
        let name = |part: &str| format!("{}embeddings.{part}", self.prefix);
        let words = self.weights.matrix(&name("word_embeddings.weight"), None, hidden)?;
        let types = self.weights.matrix(&name("token_type_embeddings.weight"), None, hidden)?;
        let positions = if self.frequencies.is_some() {
            vec![0.0; hidden]
        } else {
            let n_positions = Some(self.config.n_positions);
            let stored = self.weights.matrix(&name("position_embeddings.weight"), n_positions, hidden)?;
            stored.decode().split_off(self.position_offset * hidden)
        };
        let of_type = |idx: usize| {
            let mut type_vector = vec![0.0; hidden];
            types.decode_row(idx, &mut type_vector);
            let mut positions = positions.clone();
            for row in positions.chunks_exact_mut(hidden) {
                for (value, add) in row.iter_mut().zip(&type_vector) {
                    *value += add;
                }
            }
            positions
        };
        let tells_apart = self.purpose == Purpose::Rerank && types.n_rows > 1;
        let second_positions = if tells_apart { of_type(1) } else { Vec::new() };
        let norm = self.weights.norm(&name("LayerNorm"), hidden)?;
        Ok(Embeddings { words, positions: of_type(0), second_positions, norm, hidden })
    }

    /// Reads what makes the score of a reranker.
    pub(crate) fn score_head(&self) -> Result<ScoreHead, ModelError> {
        let hidden = self.config.hidden;
        let (dense, out) = match self.architecture {
            Architecture::XlmRoberta => ("classifier.dense".to_owned(), "classifier.out_proj"),
            Architecture::Bert | Architecture::Gte | Architecture::Qwen3 => {
                (format!("{}pooler.dense", self.prefix), "classifier")
            }
        };
        let weights = &self.weights;
        Ok(ScoreHead { dense: weights.linear(&dense, hidden, hidden)?, out: weights.linear(out, 1, hidden)? })
    }

    /// Reads one layer.
    pub(crate) fn layer(&self, idx: usize) -> Result<Layer, ModelError> {
        let Config { hidden, feed_forward, .. } = self.config;
        let (at, weights) = (format!("{}encoder.layer.{idx}", self.prefix), &self.weights);
        if self.architecture == Architecture::Gte {
            return gte::layer(weights, &at, &self.config);
        }
        let name = |part: &str| format!("{at}.{part}");
        Ok(Layer {
            query: weights.linear(&name("attention.self.query"), hidden, hidden)?,
            key: weights.linear(&name("attention.self.key"), hidden, hidden)?,
            value: weights.linear(&name("attention.self.value"), hidden, hidden)?,
            attention_output: weights.linear(&name("attention.output.dense"), hidden, hidden)?,
            attention_norm: weights.norm(&name("attention.output.LayerNorm"), hidden)?,
            intermediate: weights.linear(&name("intermediate.dense"), feed_forward, hidden)?,
            factor: None,
            output: weights.linear(&name("output.dense"), hidden, feed_forward)?,
            output_norm: weights.norm(&name("output.LayerNorm"), hidden)?,
        })
    }
}

/// What a layer is made of.
impl Weights {
    /// A product with what is added to it: `NAME.weight` and `NAME.bias`.
    pub(crate) fn linear(&self, name: &str, n_rows: usize, n_columns: usize) -> Result<Linear, ModelError> {
        Ok(Linear {
            matrix: self.matrix(&format!("{name}.weight"), Some(n_rows), n_columns)?,
            bias: self.vector(&format!("{name}.bias"), n_rows)?,
        })
    }

    /// A normalisation of states of `hidden` numbers.
    pub(crate) fn norm(&self, name: &str, hidden: usize) -> Result<Norm, ModelError> {
        Ok(Norm {
            gain: self.vector(&format!("{name}.weight"), hidden)?,
            bias: self.vector(&format!("{name}.bias"), hidden)?,
        })
    }
}

/// Sizes from the GGUF metadata, or from the `config.json` beside safetensors.
fn read_config(dir: &Path, weights: &Weights, prefix: &str) -> Result<Config, ModelError> {
    let shape = weights.shape(&format!("{prefix}embeddings.position_embeddings.weight"))?;
    let &[n_positions, hidden] = shape else {
        return Err(weights.damaged(format!("the position embeddings have the shape {shape:?}")));
    };
    if weights.is_gguf() {
        let number = |key: &str| {
            weights.number(key).ok_or_else(|| weights.damaged(format!("its metadata has no number {key}")))
        };
        return Ok(Config {
            hidden,
            n_layers: number("bert.block_count")? as usize,
            n_heads: number("bert.attention.head_count")? as usize,
            feed_forward: number("bert.feed_forward_length")? as usize,
            n_positions,
            epsilon: number("bert.attention.layer_norm_epsilon")? as f32,
        });
    }
    let path = dir.join("config.json");
    let file: File = serde_json::from_slice(&crate::manifest::read(&path)?)
        .map_err(|error| ModelError::Damaged { path, reason: error.to_string() })?;
    Ok(Config {
        hidden,
        n_layers: file.num_hidden_layers,
        n_heads: file.num_attention_heads,
        feed_forward: file.intermediate_size,
        n_positions,
        epsilon: file.layer_norm_eps,
    })
}

/// What matters of a Hugging Face `config.json`.
#[derive(serde::Deserialize)]
struct File {
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    layer_norm_eps: f32,
}
