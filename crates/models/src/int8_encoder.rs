//! The encoder on the integer kernels.
//!
//! A group of whole texts goes through a layer together, token after token without padding. Products and
//! normalisation take the tokens in portions that stay in the second-level cache with the layer's weights;
//! attention takes one text and one head at a time. Nothing that is done to a token depends on its neighbours in
//! the group other than those of its own text, so a text's vector has the same bits in every group.

use std::sync::{Mutex, PoisonError};

use crate::ModelError;
use crate::bert::{Bert, Config, Embeddings, Norm};
use crate::encoder::{Encoder, Gate, OpenGate, Tokens};
use crate::kernels::{
    Activations, Blocks, Buffer, Head, Isa, Layout, PackedLinear, Scratch, attend, linear, linear_gelu,
    multiply_each, normalise, quantise, turn,
};
use crate::manifest::Pooling;
use crate::rotary::Rotary;

/// Tokens that go through the feed-forward part together: their widened activations (half a megabyte for 1,536
/// numbers a token) should stay in the second-level cache beside the weights.
const PORTION: usize = 96;

/// The network with its matrices packed for an instruction set.
pub(crate) struct Int8Encoder {
    isa: Isa,
    config: Config,
    embeddings: Embeddings,
    rotary: Option<Rotary>,
    layers: Vec<PackedLayer>,
    pooling: Pooling,
    /// Memory of threads that are not computing now.
    idle: Mutex<Vec<Workspace>>,
}

struct PackedLayer {
    /// Queries, keys and values in one, in this order.
    query_key_value: PackedLinear,
    attention_output: PackedLinear,
    attention_norm: Norm,
    /// Followed by GELU.
    intermediate: PackedLinear,
    /// What that is multiplied with, in networks with gates.
    factor: Option<PackedLinear>,
    output: PackedLinear,
    output_norm: Norm,
}

/// What computing a group needs besides the weights; grows to the largest group seen.
struct Workspace {
    /// `[n_tokens, hidden]`: the state, and as bytes.
    state: Buffer<f32>,
    state_bytes: Activations,
    /// `[3 * n_heads, n_tokens, head_size]`: queries, keys, values by head.
    heads: Buffer<f32>,
    /// `[n_tokens, hidden]`: what attention gives.
    attended: Buffer<f32>,
    /// `[PORTION, hidden]` as bytes, `[PORTION, hidden]` and `[PORTION, feed_forward]`.
    portion_bytes: Activations,
    portion: Buffer<f32>,
    wide: Buffer<f32>,
    /// `[PORTION, feed_forward]`: what `wide` is multiplied with, in networks with gates.
    factors: Buffer<f32>,
    wide_bytes: Activations,
    scratch: Scratch,
}

impl Int8Encoder {
    /// Packs all layers, or `None` when the model's sizes do not suit the instruction set's vectors.
    ///
    /// # Errors
    /// [`ModelError::Damaged`] when a tensor does not fit.
    pub(crate) fn new(bert: &Bert, pooling: Pooling, isa: Isa) -> Result<Option<Self>, ModelError> {
        let config = bert.config.clone();
        let (panel, packing) = (isa.panel(), isa.packing());
        let suitable = PackedLinear::fits(config.hidden, config.hidden, panel)
            && PackedLinear::fits(config.feed_forward, config.hidden, panel)
            && PackedLinear::fits(config.hidden, config.feed_forward, panel)
            && config.head_size().is_multiple_of(panel);
        if !suitable {
            return Ok(None);
        }
        let (narrow, wide) = (isa.state_span(config.hidden), isa.span(config.feed_forward));
        let layers = (0..config.n_layers)
            .map(|idx| {
                let layer = bert.layer(idx)?;
                Ok(PackedLayer {
                    query_key_value: PackedLinear::new(
                        &[&layer.query, &layer.key, &layer.value],
                        packing,
                        narrow,
                    ),
                    attention_output: PackedLinear::new(&[&layer.attention_output], packing, narrow),
                    attention_norm: layer.attention_norm,
                    intermediate: PackedLinear::new(&[&layer.intermediate], packing, narrow),
                    factor: layer.factor.map(|factor| PackedLinear::new(&[&factor], packing, narrow)),
                    output: PackedLinear::new(&[&layer.output], packing, wide),
                    output_norm: layer.output_norm,
                })
            })
            .collect::<Result<_, ModelError>>()?;
        let (embeddings, rotary) = (bert.embeddings()?, bert.rotary());
        Ok(Some(Self { isa, config, embeddings, rotary, layers, pooling, idle: Mutex::new(Vec::new()) }))
    }

    fn workspace(&self, n_tokens: usize) -> Workspace {
        let Config { hidden, feed_forward, .. } = self.config;
        let (narrow, wide) = (self.isa.state_span(hidden), self.isa.span(feed_forward));
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut workspace = idle.unwrap_or_else(|| Workspace {
            state: Buffer::new(0),
            state_bytes: Activations::new(hidden, narrow),
            heads: Buffer::new(0),
            attended: Buffer::new(0),
            portion_bytes: Activations::new(hidden, narrow),
            portion: Buffer::new(0),
            wide: Buffer::new(0),
            factors: Buffer::new(0),
            wide_bytes: Activations::new(feed_forward, wide),
            scratch: Scratch::new(),
        });
        let n_portion = n_tokens.min(PORTION);
        workspace.state.grow(n_tokens * hidden);
        workspace.state_bytes.grow(n_tokens);
        workspace.heads.grow(3 * n_tokens * hidden);
        workspace.attended.grow(n_tokens * hidden);
        workspace.portion_bytes.grow(n_portion);
        workspace.portion.grow(n_portion * hidden);
        workspace.wide.grow(n_portion * feed_forward);
        if self.layers.iter().any(|layer| layer.factor.is_some()) {
            workspace.factors.grow(n_portion * feed_forward);
        }
        workspace.wide_bytes.grow(n_portion);
        workspace
    }

    /// Writes the first layer's input.
    fn embed(&self, texts: &[Tokens<'_>], workspace: &mut Workspace) {
        let hidden = self.config.hidden;
        let n_tokens: usize = texts.iter().map(|text| text.ids.len()).sum();
        let state = &mut workspace.state.as_mut_slice()[..n_tokens * hidden];
        let mut rest = &mut *state;
        for text in texts {
            let (rows, following) = rest.split_at_mut(text.ids.len() * hidden);
            self.embeddings.write(*text, rows);
            rest = following;
        }
        let bytes = &mut workspace.state_bytes;
        normalise(self.isa, state, None, &self.embeddings.norm, self.config.epsilon, bytes, 0);
    }

    fn attention(&self, layer: &PackedLayer, group: Group<'_>, workspace: &mut Workspace) {
        let (hidden, size) = (self.config.hidden, self.config.head_size());
        let n_tokens = group.n_tokens;
        let heads = &mut workspace.heads.as_mut_slice()[..3 * n_tokens * hidden];
        let product =
            Product { input: &workspace.state_bytes, n_rows: n_tokens, weights: &layer.query_key_value };
        self.multiply(product, heads, Some(size), false, group.split);
        if let Some(rotary) = &self.rotary {
            // The first two of three parts: queries and keys.
            let mut rest = &mut heads[..2 * n_tokens * hidden];
            while !rest.is_empty() {
                for text in group.texts {
                    let (rows, following) = rest.split_at_mut(text.ids.len() * size);
                    let (cosines, sines) = rotary.first(text.ids.len());
                    turn(self.isa, rows, size, cosines, sines);
                    rest = following;
                }
            }
        }
        let (queries, rest) = heads.split_at(n_tokens * hidden);
        let (keys, values) = rest.split_at(n_tokens * hidden);
        let attended = &mut workspace.attended.as_mut_slice()[..n_tokens * hidden];
        for head in 0..self.config.n_heads {
            let mut first = 0;
            for text in group.texts {
                let n_own = text.ids.len();
                let range = (head * n_tokens + first) * size..(head * n_tokens + first + n_own) * size;
                let work = Head {
                    queries: &queries[range.clone()],
                    keys: &keys[range.clone()],
                    values: &values[range],
                    size,
                };
                let out = &mut attended[first * hidden + head * size..];
                attend(self.isa, work, &mut workspace.scratch, out, hidden);
                first += n_own;
            }
        }
    }

    /// What follows attention, for `n_rows` tokens from `first` on.
    fn feed_forward(
        &self,
        layer: &PackedLayer,
        first: usize,
        n_rows: usize,
        split: bool,
        workspace: &mut Workspace,
    ) {
        let Config { hidden, feed_forward, epsilon, .. } = self.config;
        let Workspace {
            state, state_bytes, attended, portion_bytes, portion, wide, factors, wide_bytes, ..
        } = workspace;
        let isa = self.isa;
        let tokens = first * hidden..(first + n_rows) * hidden;
        let state = &mut state.as_mut_slice()[tokens.clone()];
        let portion = &mut portion.as_mut_slice()[..n_rows * hidden];
        let wide = &mut wide.as_mut_slice()[..n_rows * feed_forward];

        let values = &attended.as_slice()[tokens];
        quantise(isa, Blocks { values, n_rows, block_columns: hidden }, portion_bytes, 0..n_rows);
        let product = Product { input: portion_bytes, n_rows, weights: &layer.attention_output };
        let block_columns = self.multiply(product, portion, None, false, split);
        let add = Blocks { values: portion, n_rows, block_columns };
        normalise(isa, state, Some(add), &layer.attention_norm, epsilon, portion_bytes, 0);

        let product = Product { input: portion_bytes, n_rows, weights: &layer.intermediate };
        let block_columns = self.multiply(product, wide, None, true, split);
        if let Some(weights) = &layer.factor {
            let factors = &mut factors.as_mut_slice()[..n_rows * feed_forward];
            let product = Product { input: portion_bytes, n_rows, weights };
            self.multiply(product, factors, Some(block_columns), false, split);
            multiply_each(isa, wide, factors);
        }
        quantise(isa, Blocks { values: wide, n_rows, block_columns }, wide_bytes, 0..n_rows);
        let product = Product { input: wide_bytes, n_rows, weights: &layer.output };
        let block_columns = self.multiply(product, portion, None, false, split);
        let add = Blocks { values: portion, n_rows, block_columns };
        normalise(isa, state, Some(add), &layer.output_norm, epsilon, state_bytes, first);
    }

    /// Multiplies all panels; with `split`, in two halves at the same time. Columns lie in blocks of the number
    /// returned, which is `block_columns` if that is given.
    fn multiply(
        &self,
        product: Product<'_>,
        out: &mut [f32],
        block_columns: Option<usize>,
        gelu: bool,
        split: bool,
    ) -> usize {
        let Product { input, n_rows, weights } = product;
        let (n_panels, panel) = (weights.n_panels(), self.isa.panel());
        let half = n_panels / 2;
        let whole_blocks = block_columns.is_none_or(|columns| (half * panel).is_multiple_of(columns));
        // After GELU, spans of numbers are rounded, none of which may lie across the cut.
        let whole_roundings = !gelu || (half * panel).is_multiple_of(self.isa.span(n_panels * panel).length);
        let split = split && n_panels.is_multiple_of(2) && whole_blocks && whole_roundings;
        let columns = block_columns.unwrap_or(if split { half * panel } else { n_panels * panel });
        let layout = Layout { row_stride: columns, block_columns: columns, block_stride: n_rows * columns };
        let run = |panels: std::ops::Range<usize>, out: &mut [f32]| {
            if gelu {
                linear_gelu(self.isa, input, 0..n_rows, weights, panels, out, layout);
            } else {
                linear(self.isa, input, 0..n_rows, weights, panels, out, layout);
            }
        };
        if split {
            let (left, right) = out.split_at_mut(half * panel * n_rows);
            rayon::join(|| run(0..half, left), || run(half..n_panels, right));
        } else {
            run(0..n_panels, out);
        }
        columns
    }

    fn run(&self, texts: &[Tokens<'_>], split: bool, gate: &dyn Gate) -> Result<Vec<Vec<f32>>, ModelError> {
        let n_tokens: usize = texts.iter().map(|text| text.ids.len()).sum();
        let mut workspace = self.workspace(n_tokens);
        self.embed(texts, &mut workspace);
        for layer in &self.layers {
            if !gate.pass() {
                return Err(ModelError::Cancelled);
            }
            self.attention(layer, Group { texts, n_tokens, split }, &mut workspace);
            for first in (0..n_tokens).step_by(PORTION) {
                self.feed_forward(layer, first, PORTION.min(n_tokens - first), split, &mut workspace);
            }
        }
        let vectors = self.pool(texts, &workspace.state.as_slice()[..n_tokens * self.config.hidden]);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(workspace);
        Ok(vectors)
    }

    /// One vector per text from the last layer's state.
    fn pool(&self, texts: &[Tokens<'_>], state: &[f32]) -> Vec<Vec<f32>> {
        let hidden = self.config.hidden;
        let mut rest = state;
        texts
            .iter()
            .map(|text| {
                let n_own = text.ids.len();
                let (tokens, following) = rest.split_at(n_own * hidden);
                rest = following;
                match self.pooling {
                    Pooling::Cls => tokens[..hidden].to_vec(),
                    Pooling::Last => tokens[(n_own - 1) * hidden..].to_vec(),
                    Pooling::Mean => {
                        let mut mean = vec![0.0; hidden];
                        for token in tokens.chunks_exact(hidden) {
                            for (sum, value) in mean.iter_mut().zip(token) {
                                *sum += value;
                            }
                        }
                        let inverse = 1.0 / n_own as f32;
                        for sum in &mut mean {
                            *sum *= inverse;
                        }
                        mean
                    }
                }
            })
            .collect()
    }
}

impl Encoder for Int8Encoder {
    fn kernel(&self) -> &'static str {
        self.isa.name()
    }

    fn n_words(&self) -> usize {
        self.embeddings.n_words()
    }

    fn encode(&self, texts: &[Tokens<'_>], gate: &dyn Gate) -> Result<Vec<Vec<f32>>, ModelError> {
        self.run(texts, false, gate)
    }

    fn encode_question(&self, ids: &[u32]) -> Result<Vec<f32>, ModelError> {
        Ok(self.run(&[Tokens::single(ids)], true, &OpenGate)?.concat())
    }
}

/// Texts that go through the network together.
#[derive(Clone, Copy)]
struct Group<'a> {
    texts: &'a [Tokens<'a>],
    n_tokens: usize,
    /// Whether two threads of the current pool share every product.
    split: bool,
}

/// A product to form: the first `n_rows` of `input` with all of `weights`.
#[derive(Clone, Copy)]
struct Product<'a> {
    input: &'a Activations,
    n_rows: usize,
    weights: &'a PackedLinear,
}
