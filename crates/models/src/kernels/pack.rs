//! Matrices and activations in the forms the integer product wants.
//!
//! A matrix is cut into panels of two vectors' columns (one column per output). Within a panel, bytes lie in the
//! order of use: for every four inputs, four bytes of each column. A span of inputs of a column has its own scale. A
//! span of 32 takes the stored scales of `Q4_0` and `Q8_0`, and nothing is rounded again; longer ones, which leave
//! the sums in integers for longer, are rounded to whole bytes of the span's largest weight. Weights are stored as unsigned
//! bytes above a zero point, 8 for four-bit weights and 128 for others; the zero point's share of a product is the
//! zero point times the sum of the activations of the span, which is known before.
//!
//! Activations are signed bytes with a scale and a sum for each span: normalised and widened states have a few numbers far
//! larger than the rest, which take the bits of their own span only.

use super::buffer::Buffer;
use crate::bert::Linear;
use crate::weights::{BLOCK, Format, Matrix, f16_at};

/// A matrix ready to be multiplied with, and what is added to the product.
pub(crate) struct PackedLinear {
    pub(super) n_inputs: usize,
    pub(super) n_outputs: usize,
    /// Columns of a panel.
    pub(super) panel: usize,
    /// Inputs that share a scale: 32, or a multiple of it that divides `n_inputs`.
    pub(super) span: usize,
    /// True when weights are whole bytes, above 128; otherwise they are below 16, above 8.
    pub(super) wide: bool,
    pub(super) weights: Buffer<u8>,
    /// Per panel, per span of inputs, per column.
    pub(super) scales: Buffer<f32>,
    pub(super) bias: Buffer<f32>,
}

impl PackedLinear {
    /// True when a matrix of this shape can be packed for panels of `panel` columns.
    pub(crate) fn fits(n_outputs: usize, n_inputs: usize, panel: usize) -> bool {
        n_inputs > 0 && n_inputs.is_multiple_of(BLOCK) && n_outputs > 0 && n_outputs.is_multiple_of(panel)
    }

    /// Packs matrices that share their input as one, their outputs in order.
    ///
    /// # Panics
    /// When a shape does not fit (see [`Self::fits`]), or spans do not divide the inputs.
    pub(crate) fn new(linears: &[&Linear], panel: usize, span: usize) -> Self {
        let n_inputs = linears[0].matrix.n_columns;
        let n_outputs: usize = linears.iter().map(|linear| linear.matrix.n_rows).sum();
        assert!(Self::fits(n_outputs, n_inputs, panel), "the caller has checked the shapes");
        assert!(span.is_multiple_of(BLOCK) && n_inputs.is_multiple_of(span), "inputs are whole spans");
        let wide = span > BLOCK || linears.iter().any(|linear| linear.matrix.format != Format::Q4_0);
        let n_spans = n_inputs / span;
        let mut packed = Self {
            n_inputs,
            n_outputs,
            panel,
            span,
            wide,
            weights: Buffer::new(n_inputs * n_outputs),
            scales: Buffer::new(n_spans * n_outputs),
            bias: Buffer::new(n_outputs),
        };
        let weights = packed.weights.as_mut_slice();
        let scales = packed.scales.as_mut_slice();
        let mut column = 0;
        let mut bytes = vec![0; span];
        for linear in linears {
            assert_eq!(linear.matrix.n_columns, n_inputs, "the matrices share their input");
            for row in 0..linear.matrix.n_rows {
                let (panel_idx, lane) = (column / panel, column % panel);
                for span_idx in 0..n_spans {
                    let scale = quantised_span(&linear.matrix, row, span_idx, wide, &mut bytes);
                    scales[(panel_idx * n_spans + span_idx) * panel + lane] = scale;
                    for (step, four) in bytes.chunks_exact(4).enumerate() {
                        let start = (panel_idx * n_inputs + span_idx * span + step * 4) * panel + lane * 4;
                        weights[start..start + 4].copy_from_slice(four);
                    }
                }
                column += 1;
            }
        }
        let mut bias = packed.bias.as_mut_slice();
        for linear in linears {
            let (here, rest) = bias.split_at_mut(linear.bias.len());
            here.copy_from_slice(&linear.bias);
            bias = rest;
        }
        packed
    }

    /// What a weight of zero is stored as.
    pub(super) fn zero_point(&self) -> i32 {
        if self.wide { 128 } else { 8 }
    }

    /// Number of panels.
    pub(crate) fn n_panels(&self) -> usize {
        self.n_outputs / self.panel
    }
}

/// Writes a span of a row, as long as `out`, as unsigned bytes above the zero point and gives its scale.
fn quantised_span(matrix: &Matrix, row: usize, span_idx: usize, wide: bool, out: &mut [u8]) -> f32 {
    let stored = matrix.row(row);
    match matrix.format {
        Format::Q4_0 if out.len() == BLOCK => {
            let block = &stored[span_idx * crate::weights::Q4_0_BYTES..][..crate::weights::Q4_0_BYTES];
            let shift = if wide { 120 } else { 0 };
            for (idx, &byte) in block[2..].iter().enumerate() {
                out[idx] = (byte & 15) + shift;
                out[idx + BLOCK / 2] = (byte >> 4) + shift;
            }
            f16_at(block)
        }
        Format::Q8_0 if out.len() == BLOCK => {
            let block = &stored[span_idx * crate::weights::Q8_0_BYTES..][..crate::weights::Q8_0_BYTES];
            for (byte, &stored) in out.iter_mut().zip(&block[2..]) {
                *byte = stored ^ 0x80;
            }
            f16_at(block)
        }
        _ => {
            let n_bytes = stored.len() / (matrix.n_columns / out.len());
            let mut values = vec![0.0; out.len()];
            matrix.format.decode_row(&stored[span_idx * n_bytes..][..n_bytes], &mut values);
            let most = values.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
            let scale = most / 127.0;
            let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
            for (byte, value) in out.iter_mut().zip(values) {
                *byte = ((value * inverse).round() as i32 + 128) as u8;
            }
            scale
        }
    }
}

/// Rows of activations as signed bytes.
pub(crate) struct Activations {
    pub(super) n_columns: usize,
    /// Numbers that have a sum and a scale of their own.
    pub(super) span: usize,
    n_rows: usize,
    pub(super) values: Buffer<i8>,
    /// Per row, per span: the sum of its bytes.
    pub(super) sums: Buffer<i32>,
    /// Per row, per span: what a byte is to be multiplied with.
    pub(super) scales: Buffer<f32>,
}

impl Activations {
    /// No rows of `n_columns`, which must be whole spans of a multiple of 32.
    pub(crate) fn new(n_columns: usize, span: usize) -> Self {
        assert!(
            span.is_multiple_of(BLOCK) && n_columns.is_multiple_of(span),
            "the caller has checked the sizes"
        );
        Self {
            n_columns,
            span,
            n_rows: 0,
            values: Buffer::new(0),
            sums: Buffer::new(0),
            scales: Buffer::new(0),
        }
    }

    /// Makes room for at least `n_rows`.
    pub(crate) fn grow(&mut self, n_rows: usize) {
        if n_rows > self.n_rows {
            self.values.grow(n_rows * self.n_columns);
            self.sums.grow(n_rows * self.n_columns / self.span);
            self.scales.grow(n_rows * self.n_columns / self.span);
            self.n_rows = n_rows;
        }
    }

    /// Rows there is room for.
    pub(super) fn n_rows(&self) -> usize {
        self.n_rows
    }
}
