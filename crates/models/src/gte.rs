//! What is different in gte's encoders ("new" in their `config.json`): the names of their tensors, rotary positions, and
//! gates in the feed-forward part. The order of a layer's steps is BERT's.

use std::path::Path;

use crate::ModelError;
use crate::bert::{Config, Layer, Linear};
use crate::rotary::Rotary;
use crate::weights::{Matrix, Weights};

/// What matters of the `config.json`.
#[derive(Debug, serde::Deserialize)]
struct File {
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    layer_norm_eps: f32,
    hidden_act: String,
    layer_norm_type: String,
    position_embedding_type: String,
    rope_theta: f64,
    rope_scaling: Option<Scaling>,
    #[serde(default)]
    logn_attention_scale: bool,
}

/// How the angles of more positions are made than a network was first trained for.
#[derive(Debug, serde::Deserialize)]
struct Scaling {
    #[serde(rename = "type")]
    kind: String,
    factor: f64,
    mixed_b: Option<f64>,
}

/// Sizes and the frequencies of the positions.
pub(crate) fn read_config(
    dir: &Path,
    weights: &Weights,
    prefix: &str,
) -> Result<(Config, Vec<f64>), ModelError> {
    if weights.is_gguf() {
        return Err(weights.damaged("this family is read from safetensors only".to_owned()));
    }
    let shape = weights.shape(&format!("{prefix}embeddings.word_embeddings.weight"))?;
    let &[_, hidden] = shape else {
        return Err(weights.damaged(format!("the word embeddings have the shape {shape:?}")));
    };
    let path = dir.join("config.json");
    let damaged = |reason: String| ModelError::Damaged { path: path.clone(), reason };
    let file: File =
        serde_json::from_slice(&crate::manifest::read(&path)?).map_err(|error| damaged(error.to_string()))?;
    let scaling = file.rope_scaling.as_ref();
    let known = file.hidden_act == "gelu"
        && file.layer_norm_type == "layer_norm"
        && file.position_embedding_type == "rope"
        && file.rope_theta > 0.0
        && !file.logn_attention_scale
        && scaling
            .is_none_or(|scaling| scaling.kind == "ntk" && scaling.factor > 0.0 && scaling.mixed_b.is_none());
    if !known {
        return Err(damaged(format!("this variant of gte's encoder is not known: {file:?}")));
    }
    let config = Config {
        hidden,
        n_layers: file.num_hidden_layers,
        n_heads: file.num_attention_heads,
        feed_forward: file.intermediate_size,
        n_positions: file.max_position_embeddings,
        epsilon: file.layer_norm_eps,
    };
    let size = hidden.checked_div(config.n_heads).unwrap_or(0);
    let factor = scaling.map_or(1.0, |scaling| scaling.factor);
    // A larger base stretches low frequencies most; the division makes the lowest turn `factor` times slower.
    let slower = factor.powf(2.0 / size as f64);
    let frequencies = Rotary::frequencies(size, file.rope_theta * factor);
    Ok((config, frequencies.into_iter().map(|own| own / slower).collect()))
}

/// Reads the layer whose tensors' names begin with `at`.
pub(crate) fn layer(weights: &Weights, at: &str, config: &Config) -> Result<Layer, ModelError> {
    let Config { hidden, feed_forward, .. } = *config;
    let name = |part: &str| format!("{at}.{part}");
    let Linear { matrix, bias } = weights.linear(&name("attention.qkv_proj"), 3 * hidden, hidden)?;
    let third = |idx: usize| {
        let rows = idx * hidden..(idx + 1) * hidden;
        Linear { bias: bias[rows.clone()].to_vec(), matrix: matrix.rows(rows) }
    };
    let up_gate: Matrix = weights.matrix(&name("mlp.up_gate_proj.weight"), Some(2 * feed_forward), hidden)?;
    let unbiased = |matrix| Linear { matrix, bias: vec![0.0; feed_forward] };
    Ok(Layer {
        query: third(0),
        key: third(1),
        value: third(2),
        attention_output: weights.linear(&name("attention.o_proj"), hidden, hidden)?,
        attention_norm: weights.norm(&name("attn_ln"), hidden)?,
        intermediate: unbiased(up_gate.rows(feed_forward..2 * feed_forward)),
        factor: Some(unbiased(up_gate.rows(0..feed_forward))),
        output: weights.linear(&name("mlp.down_proj"), hidden, feed_forward)?,
        output_norm: weights.norm(&name("mlp_ln"), hidden)?,
    })
}
