//! Qwen3 decoders as embedders: what the last token's state is after all layers.
//!
//! Pre-normalised layers with root-mean-square norms, rotary positions, fewer heads for keys and values than for
//! queries, norms on queries and keys, and a gated feed-forward part. Computed with candle in `f32`, one text at a time:
//! the integer kernels know the encoders' layers (normalisation after the sum, GELU, biases) and would need others for
//! these. Only weights in safetensors are read.

use std::path::Path;

use candle_core::{D, Device, Tensor};

use crate::ModelError;
use crate::encoder::{Encoder, Gate, Tokens};
use crate::manifest::{Manifest, Pooling};
use crate::rotary::Rotary;
use crate::weights::{Matrix, Weights};

/// What matters of the `config.json`.
#[derive(Debug, serde::Deserialize)]
struct Config {
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: usize,
    head_dim: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    rms_norm_eps: f64,
    rope_theta: f64,
}

/// The network with its matrices as `f32`.
pub(crate) struct Qwen3Encoder {
    config: Config,
    words: Matrix,
    /// Of the rotary positions.
    frequencies: Vec<f64>,
    layers: Vec<Layer>,
    norm: Tensor,
    pooling: Pooling,
}

/// Matrices have one column an output.
struct Layer {
    input_norm: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_norm: Tensor,
    key_norm: Tensor,
    attention_output: Tensor,
    feed_forward_norm: Tensor,
    gate: Tensor,
    up: Tensor,
    down: Tensor,
}

impl Qwen3Encoder {
    /// Reads all of it, and checks that its sizes fit the manifest.
    ///
    /// # Errors
    /// [`ModelError::Missing`] or [`ModelError::Damaged`].
    pub(crate) fn open(dir: &Path, manifest: &Manifest) -> Result<Self, ModelError> {
        let weights = Weights::open(&dir.join(&manifest.weights))?;
        if weights.is_gguf() {
            return Err(weights.damaged("this family is read from safetensors only".to_owned()));
        }
        let path = dir.join("config.json");
        let config: Config = serde_json::from_slice(&crate::manifest::read(&path)?)
            .map_err(|error| ModelError::Damaged { path, reason: error.to_string() })?;
        let plausible = config.hidden_size == manifest.dimension
            && config.num_hidden_layers > 0
            && config.num_key_value_heads > 0
            && config.num_attention_heads > 0
            && config.num_attention_heads.is_multiple_of(config.num_key_value_heads)
            && config.head_dim > 0
            && config.head_dim.is_multiple_of(2)
            && config.rms_norm_eps.is_finite()
            && config.rms_norm_eps >= 0.0
            && config.rope_theta > 0.0
            && manifest.max_tokens <= config.max_position_embeddings;
        if !plausible {
            return Err(weights.damaged(format!("its sizes do not fit the manifest: {config:?}")));
        }
        let prefix = ["", "model."]
            .into_iter()
            .find(|prefix| weights.has(&format!("{prefix}embed_tokens.weight")))
            .ok_or_else(|| weights.damaged("there are no word embeddings in it".to_owned()))?;
        let words = weights.matrix(&format!("{prefix}embed_tokens.weight"), None, config.hidden_size)?;
        let layers = (0..config.num_hidden_layers)
            .map(|idx| read_layer(&weights, &config, &format!("{prefix}layers.{idx}.")))
            .collect::<Result<_, _>>()?;
        let norm = vector(&weights, &format!("{prefix}norm.weight"), config.hidden_size)?;
        let frequencies = Rotary::frequencies(config.head_dim, config.rope_theta);
        Ok(Self { config, words, frequencies, layers, norm, pooling: manifest.pooling })
    }

    /// `None` when the gate ended it.
    fn encode_one(&self, ids: &[u32], gate: &dyn Gate) -> candle_core::Result<Option<Vec<f32>>> {
        let (n_tokens, hidden) = (ids.len(), self.config.hidden_size);
        let mut input = vec![0.0; n_tokens * hidden];
        for (&id, row) in ids.iter().zip(input.chunks_exact_mut(hidden)) {
            self.words.decode_row(id as usize, row);
        }
        let mut state = Tensor::from_vec(input, (n_tokens, hidden), &Device::Cpu)?;
        let rotary = Rotary::new(&self.frequencies, n_tokens);
        let mask = causal_mask(n_tokens)?;
        for layer in &self.layers {
            if !gate.pass() {
                return Ok(None);
            }
            let normed = self.normalise(&state, &layer.input_norm)?;
            let attended = self.attention(&normed, layer, &rotary, &mask)?;
            state = (state + attended.matmul(&layer.attention_output)?)?;
            let normed = self.normalise(&state, &layer.feed_forward_norm)?;
            let gated = normed.matmul(&layer.gate)?.silu()?;
            let widened = (gated * normed.matmul(&layer.up)?)?;
            state = (state + widened.matmul(&layer.down)?)?;
        }
        let state = self.normalise(&state, &self.norm)?;
        let pooled = match self.pooling {
            Pooling::Mean => state.mean(0)?,
            Pooling::Cls => state.get(0)?,
            Pooling::Last => state.get(n_tokens - 1)?,
        };
        pooled.to_vec1().map(Some)
    }

    fn attention(
        &self,
        state: &Tensor,
        layer: &Layer,
        rotary: &Rotary,
        mask: &Tensor,
    ) -> candle_core::Result<Tensor> {
        let (n_tokens, _) = state.dims2()?;
        let Config { num_attention_heads: n_heads, num_key_value_heads: n_groups, head_dim: size, .. } =
            self.config;
        let heads = |matrix: &Tensor, n: usize| state.matmul(matrix)?.reshape((n_tokens, n, size));
        let by_head = |heads: Tensor| heads.transpose(0, 1)?.contiguous();
        let query = by_head(self.normalise(&heads(&layer.query, n_heads)?, &layer.query_norm)?)?;
        let key = by_head(self.normalise(&heads(&layer.key, n_groups)?, &layer.key_norm)?)?;
        let value = by_head(heads(&layer.value, n_groups)?)?;
        let query = (rotary.turn(&query)? / (size as f64).sqrt())?;
        let key = rotary.turn(&key)?;
        let share = n_heads / n_groups;
        // One group of heads at a time: all scores of a long text together would take gigabytes.
        let attended = (0..n_groups)
            .map(|group| {
                let queries = query.narrow(0, group * share, share)?.reshape((share * n_tokens, size))?;
                let scores = queries.matmul(&key.get(group)?.t()?)?.reshape((share, n_tokens, n_tokens))?;
                let weights = candle_nn::ops::softmax_last_dim(&scores.broadcast_add(mask)?)?;
                let weights = weights.reshape((share * n_tokens, n_tokens))?;
                weights.matmul(&value.get(group)?)?.reshape((share, n_tokens, size))
            })
            .collect::<candle_core::Result<Vec<_>>>()?;
        Tensor::cat(&attended, 0)?.transpose(0, 1)?.contiguous()?.reshape((n_tokens, n_heads * size))
    }

    /// Root-mean-square normalisation over the last dimension.
    fn normalise(&self, input: &Tensor, gain: &Tensor) -> candle_core::Result<Tensor> {
        let mean_square = input.sqr()?.mean_keepdim(D::Minus1)?;
        input.broadcast_div(&(mean_square + self.config.rms_norm_eps)?.sqrt()?)?.broadcast_mul(gain)
    }
}

impl Encoder for Qwen3Encoder {
    fn kernel(&self) -> &'static str {
        "candle-f32"
    }

    fn n_words(&self) -> usize {
        self.words.n_rows
    }

    fn encode(&self, texts: &[Tokens<'_>], gate: &dyn Gate) -> Result<Vec<Vec<f32>>, ModelError> {
        let failed = |error: candle_core::Error| ModelError::Failed(error.to_string());
        let encoded = texts.iter().map(|text| self.encode_one(text.ids, gate).map_err(failed));
        encoded.map(|vector| vector?.ok_or(ModelError::Cancelled)).collect()
    }
}

/// `[n_tokens, n_tokens]`: 0 for a token and what stands before it, minus infinity for what comes after.
fn causal_mask(n_tokens: usize) -> candle_core::Result<Tensor> {
    let mask = (0..n_tokens)
        .flat_map(|of| (0..n_tokens).map(move |at| if at > of { f32::NEG_INFINITY } else { 0.0 }))
        .collect();
    Tensor::from_vec(mask, (n_tokens, n_tokens), &Device::Cpu)
}

fn read_layer(weights: &Weights, config: &Config, at: &str) -> Result<Layer, ModelError> {
    let Config { hidden_size: hidden, intermediate_size: wide, head_dim: size, .. } = *config;
    let queries = config.num_attention_heads * size;
    let keys = config.num_key_value_heads * size;
    let linear =
        |name: &str, outputs, inputs| matrix(weights, &format!("{at}{name}.weight"), outputs, inputs);
    let norm = |name: &str, n| vector(weights, &format!("{at}{name}.weight"), n);
    Ok(Layer {
        input_norm: norm("input_layernorm", hidden)?,
        query: linear("self_attn.q_proj", queries, hidden)?,
        key: linear("self_attn.k_proj", keys, hidden)?,
        value: linear("self_attn.v_proj", keys, hidden)?,
        query_norm: norm("self_attn.q_norm", size)?,
        key_norm: norm("self_attn.k_norm", size)?,
        attention_output: linear("self_attn.o_proj", hidden, queries)?,
        feed_forward_norm: norm("post_attention_layernorm", hidden)?,
        gate: linear("mlp.gate_proj", wide, hidden)?,
        up: linear("mlp.up_proj", wide, hidden)?,
        down: linear("mlp.down_proj", hidden, wide)?,
    })
}

fn matrix(weights: &Weights, name: &str, outputs: usize, inputs: usize) -> Result<Tensor, ModelError> {
    let stored = weights.matrix(name, Some(outputs), inputs)?;
    Tensor::from_vec(stored.decode(), (outputs, inputs), &Device::Cpu)
        .and_then(|matrix| matrix.t()?.contiguous())
        .map_err(|error| weights.damaged(error.to_string()))
}

fn vector(weights: &Weights, name: &str, n: usize) -> Result<Tensor, ModelError> {
    Tensor::from_vec(weights.vector(name, n)?, n, &Device::Cpu)
        .map_err(|error| weights.damaged(error.to_string()))
}
