//! Matrices and activations in the forms the integer product wants.
//!
//! A matrix is cut into panels of two vectors' columns (one column per output). Within a panel, bytes lie in the
//! order of use: for every four inputs, four bytes of each column. A span of inputs of a column has its own scale. A
//! span of 32 takes the stored scales of `Q4_0` and `Q8_0`, and nothing is rounded again; longer ones, which leave
//! the sums in integers for longer, are rounded to whole bytes of the span's largest weight. Weights are stored as unsigned
//! bytes above a zero point, 8 for four-bit weights and 128 for others; the zero point's share of a product is the
//! zero point times the sum of the activations of the span, which is known before. For tiles, weights are signed and have
//! no zero point.
//!
//! Activations are signed bytes with a scale and a sum for each span: normalised and widened states have a few numbers far
//! larger than the rest, which take the bits of their own span only. In longer spans of states there is one almost
//! everywhere; there the numbers are rotated before they are rounded, which spreads each over several, and so are the weights
//! that they meet, which leaves the products what they are (S. Ashkboos et al., "`QuaRot`", 2024).

use super::buffer::Buffer;
use super::portable::Portable;
use super::rowwise::rotate;
use crate::bert::Linear;
use crate::weights::{BLOCK, Format, Matrix, f16_at};

/// Rows beyond the last that can be read, though nothing is expected there, so that a tile need not end with the rows.
const SPARE_ROWS: usize = 16;

/// Numbers of a row that share a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// How many: 32, or a multiple of it that divides the row.
    pub(crate) length: usize,
    /// Whether they are rotated before they are rounded; they are a power of two of [`STRIP`]s then.
    pub(super) rotated: bool,
}

impl Span {
    /// Numbers rounded as they are.
    pub(crate) fn plain(length: usize) -> Self {
        Self { length, rotated: false }
    }

    /// Numbers rotated first.
    ///
    /// # Panics
    /// When they are no power of two of [`STRIP`]s, or more than [`LONGEST_ROTATED`].
    pub(crate) fn rotated(length: usize) -> Self {
        let n_strips = length / STRIP;
        assert!(length.is_multiple_of(STRIP) && n_strips.is_power_of_two(), "strips are added up in pairs");
        assert!(length <= LONGEST_ROTATED, "they fit the memory for them");
        Self { length, rotated: true }
    }
}

/// Neighbouring numbers that a rotation treats alike: it adds up and takes from each other the strips of a span, as the rows of
/// a Hadamard matrix say, so that the first numbers of all strips are mixed, and the second ones, and so on.
pub(super) const STRIP: usize = 16;
/// Numbers of the longest span that is rotated.
pub(super) const LONGEST_ROTATED: usize = 128;

/// The form that an instruction set wants a matrix in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packing {
    /// Columns of a panel.
    pub(super) panel: usize,
    /// Whether bytes are signed rather than above a zero point.
    pub(super) signed: bool,
}

/// A matrix ready to be multiplied with, and what is added to the product.
pub(crate) struct PackedLinear {
    pub(super) n_inputs: usize,
    pub(super) n_outputs: usize,
    /// Columns of a panel.
    pub(super) panel: usize,
    /// Inputs that share a scale.
    pub(super) span: Span,
    /// True when weights are whole bytes, above 128; otherwise they are below 16, above 8.
    pub(super) wide: bool,
    /// What a weight of zero is stored as: nought where bytes are signed.
    pub(super) zero_point: u8,
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
    pub(crate) fn new(linears: &[&Linear], packing: Packing, span: Span) -> Self {
        let Packing { panel, signed } = packing;
        let n_inputs = linears[0].matrix.n_columns;
        let n_outputs: usize = linears.iter().map(|linear| linear.matrix.n_rows).sum();
        assert!(Self::fits(n_outputs, n_inputs, panel), "the caller has checked the shapes");
        let length = span.length;
        assert!(length.is_multiple_of(BLOCK) && n_inputs.is_multiple_of(length), "inputs are whole spans");
        let wide = length > BLOCK
            || span.rotated
            || linears.iter().any(|linear| linear.matrix.format != Format::Q4_0);
        let n_spans = n_inputs / length;
        let mut packed = Self {
            n_inputs,
            n_outputs,
            panel,
            span,
            wide,
            zero_point: if signed { 0 } else { zero_point(wide) },
            weights: Buffer::new(n_inputs * n_outputs),
            scales: Buffer::new(n_spans * n_outputs),
            bias: Buffer::new(n_outputs),
        };
        let above = zero_point(wide) - packed.zero_point;
        let weights = packed.weights.as_mut_slice();
        let scales = packed.scales.as_mut_slice();
        let mut column = 0;
        let (mut bytes, mut values) = (vec![0; length], vec![0.0; length]);
        for linear in linears {
            assert_eq!(linear.matrix.n_columns, n_inputs, "the matrices share their input");
            for row in 0..linear.matrix.n_rows {
                let (panel_idx, lane) = (column / panel, column % panel);
                for span_idx in 0..n_spans {
                    let place = Place { matrix: &linear.matrix, row, span_idx };
                    let scale = quantised_span(place, wide, span.rotated, &mut values, &mut bytes);
                    for byte in &mut bytes {
                        *byte = byte.wrapping_sub(above);
                    }
                    scales[(panel_idx * n_spans + span_idx) * panel + lane] = scale;
                    for (step, four) in bytes.chunks_exact(4).enumerate() {
                        let start = (panel_idx * n_inputs + span_idx * length + step * 4) * panel + lane * 4;
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

    /// Number of panels.
    pub(crate) fn n_panels(&self) -> usize {
        self.n_outputs / self.panel
    }
}

/// What zero is before bytes are made signed.
fn zero_point(wide: bool) -> u8 {
    if wide { 128 } else { 8 }
}

/// A span of a row.
#[derive(Clone, Copy)]
struct Place<'a> {
    matrix: &'a Matrix,
    row: usize,
    span_idx: usize,
}

/// Writes a span, as long as `out` and `values`, as unsigned bytes above the zero point and gives its scale; what is in
/// `values` then means nothing.
fn quantised_span(
    Place { matrix, row, span_idx }: Place<'_>,
    wide: bool,
    rotated: bool,
    values: &mut [f32],
    out: &mut [u8],
) -> f32 {
    let stored = matrix.row(row);
    match matrix.format {
        Format::Q4_0 if out.len() == BLOCK && !rotated => {
            let block = &stored[span_idx * crate::weights::Q4_0_BYTES..][..crate::weights::Q4_0_BYTES];
            let shift = if wide { 120 } else { 0 };
            for (idx, &byte) in block[2..].iter().enumerate() {
                out[idx] = (byte & 15) + shift;
                out[idx + BLOCK / 2] = (byte >> 4) + shift;
            }
            f16_at(block)
        }
        Format::Q8_0 if out.len() == BLOCK && !rotated => {
            let block = &stored[span_idx * crate::weights::Q8_0_BYTES..][..crate::weights::Q8_0_BYTES];
            for (byte, &stored) in out.iter_mut().zip(&block[2..]) {
                *byte = stored ^ 0x80;
            }
            f16_at(block)
        }
        _ => {
            let n_bytes = stored.len() / (matrix.n_columns / out.len());
            matrix.format.decode_row(&stored[span_idx * n_bytes..][..n_bytes], values);
            let mut share = 1.0;
            if rotated {
                // Of the product of two rotated spans, each strip has the share of one.
                rotate(Portable, values);
                share = STRIP as f32 / out.len() as f32;
            }
            let most = values.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
            let scale = most / 127.0;
            let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
            for (byte, value) in out.iter_mut().zip(values) {
                // Half of a four-bit block's numbers lie in the middle between two bytes: away from zero on either side, so
                // that they do not all go up.
                let steps = *value * inverse;
                *byte = ((steps + 0.5_f32.copysign(steps)) as i32 + 128) as u8;
            }
            scale * share
        }
    }
}

/// Rows of activations as signed bytes.
pub(crate) struct Activations {
    pub(super) n_columns: usize,
    /// Numbers that have a sum and a scale of their own.
    pub(super) span: Span,
    n_rows: usize,
    pub(super) values: Buffer<i8>,
    /// Per row, per span: the sum of its bytes.
    pub(super) sums: Buffer<i32>,
    /// Per row, per span: what a byte is to be multiplied with.
    pub(super) scales: Buffer<f32>,
}

impl Activations {
    /// No rows of `n_columns`, which must be whole spans of a multiple of 32.
    pub(crate) fn new(n_columns: usize, span: Span) -> Self {
        assert!(
            span.length.is_multiple_of(BLOCK) && n_columns.is_multiple_of(span.length),
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
            let n_spans = self.n_columns / self.span.length;
            self.values.grow((n_rows + SPARE_ROWS) * self.n_columns);
            self.sums.grow(n_rows * n_spans);
            self.scales.grow((n_rows + SPARE_ROWS) * n_spans);
            self.n_rows = n_rows;
        }
    }

    /// Rows there is room for.
    pub(super) fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Rows that can be read, whatever stands in those beyond [`Self::n_rows`].
    pub(super) fn n_readable_rows(&self) -> usize {
        if self.n_rows == 0 { 0 } else { self.n_rows + SPARE_ROWS }
    }
}
