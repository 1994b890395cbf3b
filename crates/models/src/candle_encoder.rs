//! The encoder on candle in `f32`: the plain form of the network, the yardstick for the kernels, and what runs
//! where no kernel fits a model's sizes.
//!
//! Every text is computed by itself, so that there is no padding and a text's vector has the same bits whatever
//! it is batched with.

use candle_core::{D, Device, Tensor};

use crate::ModelError;
use crate::bert::{Bert, Config, Embeddings, Linear, Norm};
use crate::encoder::{Encoder, Gate, Tokens};
use crate::manifest::Pooling;
use crate::rotary::Rotary;

/// The network with its matrices as `f32`.
pub(crate) struct CandleEncoder {
    config: Config,
    embeddings: Embeddings,
    rotary: Option<Rotary>,
    layers: Vec<LayerTensors>,
    pooling: Pooling,
}

struct LayerTensors {
    query: LinearTensors,
    key: LinearTensors,
    value: LinearTensors,
    attention_output: LinearTensors,
    attention_norm: NormTensors,
    intermediate: LinearTensors,
    factor: Option<LinearTensors>,
    output: LinearTensors,
    output_norm: NormTensors,
}

struct LinearTensors {
    /// One column per output.
    matrix: Tensor,
    bias: Tensor,
}

struct NormTensors {
    gain: Tensor,
    bias: Tensor,
}

impl CandleEncoder {
    /// Reads all layers.
    ///
    /// # Errors
    /// [`ModelError::Damaged`] when a tensor does not fit.
    pub(crate) fn new(bert: &Bert, pooling: Pooling) -> Result<Self, ModelError> {
        let layers = (0..bert.config.n_layers)
            .map(|idx| {
                let layer = bert.layer(idx)?;
                Ok(LayerTensors {
                    query: linear(&layer.query).map_err(failed)?,
                    key: linear(&layer.key).map_err(failed)?,
                    value: linear(&layer.value).map_err(failed)?,
                    attention_output: linear(&layer.attention_output).map_err(failed)?,
                    attention_norm: norm(&layer.attention_norm).map_err(failed)?,
                    intermediate: linear(&layer.intermediate).map_err(failed)?,
                    factor: layer.factor.as_ref().map(linear).transpose().map_err(failed)?,
                    output: linear(&layer.output).map_err(failed)?,
                    output_norm: norm(&layer.output_norm).map_err(failed)?,
                })
            })
            .collect::<Result<_, ModelError>>()?;
        let (config, embeddings) = (bert.config.clone(), bert.embeddings()?);
        Ok(Self { config, embeddings, rotary: bert.rotary(), layers, pooling })
    }

    /// `None` when the gate ended it.
    fn encode_one(&self, text: Tokens<'_>, gate: &dyn Gate) -> candle_core::Result<Option<Vec<f32>>> {
        let (n_tokens, hidden) = (text.ids.len(), self.config.hidden);
        let mut input = vec![0.0; n_tokens * hidden];
        self.embeddings.write(text, &mut input);
        let input = Tensor::from_vec(input, (n_tokens, hidden), &Device::Cpu)?;
        let mut state = self.normalise(&input, &norm(&self.embeddings.norm)?)?;
        for layer in &self.layers {
            if !gate.pass() {
                return Ok(None);
            }
            let attended = self.attention(&state, layer)?;
            let attended = layer.attention_output.forward(&attended)?;
            state = self.normalise(&(state + attended)?, &layer.attention_norm)?;
            let mut widened = layer.intermediate.forward(&state)?.gelu_erf()?;
            if let Some(factor) = &layer.factor {
                widened = (widened * factor.forward(&state)?)?;
            }
            let narrowed = layer.output.forward(&widened)?;
            state = self.normalise(&(state + narrowed)?, &layer.output_norm)?;
        }
        let pooled = match self.pooling {
            Pooling::Mean => state.mean(0)?,
            Pooling::Cls => state.get(0)?,
            Pooling::Last => state.get(n_tokens - 1)?,
        };
        pooled.to_vec1().map(Some)
    }

    fn attention(&self, state: &Tensor, layer: &LayerTensors) -> candle_core::Result<Tensor> {
        let (n_tokens, hidden) = state.dims2()?;
        let (n_heads, head_size) = (self.config.n_heads, self.config.head_size());
        let heads = |linear: &LinearTensors| {
            linear.forward(state)?.reshape((n_tokens, n_heads, head_size))?.transpose(0, 1)?.contiguous()
        };
        let (mut query, mut key) = (heads(&layer.query)?, heads(&layer.key)?);
        if let Some(rotary) = &self.rotary {
            (query, key) = (rotary.turn(&query)?, rotary.turn(&key)?);
        }
        let scores = (query / (head_size as f64).sqrt())?.matmul(&key.transpose(1, 2)?)?;
        let weights = candle_nn::ops::softmax_last_dim(&scores)?;
        weights.matmul(&heads(&layer.value)?)?.transpose(0, 1)?.reshape((n_tokens, hidden))
    }

    fn normalise(&self, input: &Tensor, norm: &NormTensors) -> candle_core::Result<Tensor> {
        let centred = input.broadcast_sub(&input.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let deviation = (variance + f64::from(self.config.epsilon))?.sqrt()?;
        centred.broadcast_div(&deviation)?.broadcast_mul(&norm.gain)?.broadcast_add(&norm.bias)
    }
}

impl Encoder for CandleEncoder {
    fn kernel(&self) -> &'static str {
        "candle-f32"
    }

    fn n_words(&self) -> usize {
        self.embeddings.n_words()
    }

    fn encode(&self, texts: &[Tokens<'_>], gate: &dyn Gate) -> Result<Vec<Vec<f32>>, ModelError> {
        let encoded = texts.iter().map(|text| self.encode_one(*text, gate).map_err(failed));
        encoded.map(|vector| vector?.ok_or(ModelError::Cancelled)).collect()
    }
}

impl LinearTensors {
    fn forward(&self, input: &Tensor) -> candle_core::Result<Tensor> {
        input.matmul(&self.matrix)?.broadcast_add(&self.bias)
    }
}

fn linear(linear: &Linear) -> candle_core::Result<LinearTensors> {
    let shape = (linear.matrix.n_rows, linear.matrix.n_columns);
    let matrix = Tensor::from_vec(linear.matrix.decode(), shape, &Device::Cpu)?;
    Ok(LinearTensors {
        matrix: matrix.t()?.contiguous()?,
        bias: Tensor::from_slice(&linear.bias, linear.bias.len(), &Device::Cpu)?,
    })
}

fn norm(norm: &Norm) -> candle_core::Result<NormTensors> {
    Ok(NormTensors {
        gain: Tensor::from_slice(&norm.gain, norm.gain.len(), &Device::Cpu)?,
        bias: Tensor::from_slice(&norm.bias, norm.bias.len(), &Device::Cpu)?,
    })
}

fn failed(error: impl std::fmt::Display) -> ModelError {
    ModelError::Failed(error.to_string())
}
