//! Matrices and activations in the forms the integer product wants.
//!
//! A matrix is cut into panels of two vectors' columns (one column per output). Within a panel, bytes lie in the
//! order of use: for every four inputs, four bytes of each column. Each block of 32 inputs of a column has its own
//! scale, which for `Q4_0` and `Q8_0` is the stored one: nothing is rounded again. Weights are stored as unsigned
//! bytes above a zero point, 8 for four-bit weights and 128 for others; the zero point's share of a product is the
//! zero point times the sum of the activations of the block, which is known before.
//!
//! Activations are signed bytes with one scale per token or per block of 32, and the sum of each block.

use super::buffer::Buffer;
use crate::bert::Linear;
use crate::weights::{BLOCK, Format, Matrix, f16_at};

/// A matrix ready to be multiplied with, and what is added to the product.
pub(crate) struct PackedLinear {
    pub(super) n_inputs: usize,
    pub(super) n_outputs: usize,
    /// Columns of a panel.
    pub(super) panel: usize,
    /// True when weights are whole bytes, above 128; otherwise they are below 16, above 8.
    pub(super) wide: bool,
    pub(super) weights: Buffer<u8>,
    /// Per panel, per block of inputs, per column.
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
    /// When a shape does not fit (see [`Self::fits`]).
    pub(crate) fn new(linears: &[&Linear], panel: usize) -> Self {
        let n_inputs = linears[0].matrix.n_columns;
        let n_outputs: usize = linears.iter().map(|linear| linear.matrix.n_rows).sum();
        assert!(Self::fits(n_outputs, n_inputs, panel), "the caller has checked the shapes");
        let wide = linears.iter().any(|linear| linear.matrix.format != Format::Q4_0);
        let n_blocks = n_inputs / BLOCK;
        let mut packed = Self {
            n_inputs,
            n_outputs,
            panel,
            wide,
            weights: Buffer::new(n_inputs * n_outputs),
            scales: Buffer::new(n_blocks * n_outputs),
            bias: Buffer::new(n_outputs),
        };
        let weights = packed.weights.as_mut_slice();
        let scales = packed.scales.as_mut_slice();
        let mut column = 0;
        let mut block = [0; BLOCK];
        for linear in linears {
            assert_eq!(linear.matrix.n_columns, n_inputs, "the matrices share their input");
            for row in 0..linear.matrix.n_rows {
                let (panel_idx, lane) = (column / panel, column % panel);
                for block_idx in 0..n_blocks {
                    let scale = quantised_block(&linear.matrix, row, block_idx, wide, &mut block);
                    scales[(panel_idx * n_blocks + block_idx) * panel + lane] = scale;
                    for (step, four) in block.chunks_exact(4).enumerate() {
                        let start = (panel_idx * n_inputs + block_idx * BLOCK + step * 4) * panel + lane * 4;
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

/// Writes a block of a row as unsigned bytes above the zero point and gives its scale.
fn quantised_block(matrix: &Matrix, row: usize, block_idx: usize, wide: bool, out: &mut [u8; BLOCK]) -> f32 {
    let stored = matrix.row(row);
    match matrix.format {
        Format::Q4_0 => {
            let block = &stored[block_idx * crate::weights::Q4_0_BYTES..][..crate::weights::Q4_0_BYTES];
            let shift = if wide { 120 } else { 0 };
            for (idx, &byte) in block[2..].iter().enumerate() {
                out[idx] = (byte & 15) + shift;
                out[idx + BLOCK / 2] = (byte >> 4) + shift;
            }
            f16_at(block)
        }
        Format::Q8_0 => {
            let block = &stored[block_idx * crate::weights::Q8_0_BYTES..][..crate::weights::Q8_0_BYTES];
            for (byte, &stored) in out.iter_mut().zip(&block[2..]) {
                *byte = stored ^ 0x80;
            }
            f16_at(block)
        }
        Format::F32 | Format::F16 | Format::Bf16 => {
            let n_bytes = stored.len() / matrix.n_columns * BLOCK;
            let mut values = [0.0; BLOCK];
            matrix.format.decode_row(&stored[block_idx * n_bytes..][..n_bytes], &mut values);
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

/// What shares a scale when activations are rounded to bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scaling {
    /// All numbers of a token.
    Row,
    /// Each 32 numbers of a token: nearer to `f32` where a few numbers are much larger than the others, for one more
    /// multiplication per block of a product.
    Block,
}

/// Rows of activations as signed bytes.
pub(crate) struct Activations {
    pub(super) n_columns: usize,
    pub(super) scaling: Scaling,
    n_rows: usize,
    pub(super) values: Buffer<i8>,
    /// Per row, per block of 32: the sum of its bytes.
    pub(super) sums: Buffer<i32>,
    /// Per row, and per block of 32 if those have their own: what a byte is to be multiplied with.
    pub(super) scales: Buffer<f32>,
}

impl Activations {
    /// No rows of `n_columns`, which must be a multiple of 32.
    pub(crate) fn new(n_columns: usize, scaling: Scaling) -> Self {
        assert!(n_columns.is_multiple_of(BLOCK), "the caller has checked the sizes");
        Self {
            n_columns,
            scaling,
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
            self.sums.grow(n_rows * self.n_columns / BLOCK);
            self.scales.grow(n_rows * self.n_scales());
            self.n_rows = n_rows;
        }
    }

    /// Scales of a row.
    pub(super) fn n_scales(&self) -> usize {
        match self.scaling {
            Scaling::Row => 1,
            Scaling::Block => self.n_columns / BLOCK,
        }
    }

    /// Rows there is room for.
    pub(super) fn n_rows(&self) -> usize {
        self.n_rows
    }
}
