//! The integer matrix product, with what follows it while the sums are still in registers.
//!
//! For each panel of columns and each tile of rows, the sums of a span of inputs are formed as integers, turned
//! into `f32` and added up with the scales of the span's weights and activations. Then come the bias and, if asked
//! for, GELU. Every output is formed by the same operations in the same order whatever tile its row falls into, so that a
//! token's vector does not depend on its neighbours.

use std::ops::Range;

use super::buffer::LINE;
use super::pack::{Activations, PackedLinear};
use super::rowwise::gelu;
use super::simd::{Simd, tile_height};
use crate::weights::BLOCK;

/// Steps of four inputs in a block.
const STEPS: usize = BLOCK / 4;

/// Where the product goes: row `r`, column `c` to
/// `c / block_columns * block_stride + c % block_columns + r * row_stride`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// From one row to the next.
    pub(crate) row_stride: usize,
    /// Columns that lie side by side; a multiple of the panel.
    pub(crate) block_columns: usize,
    /// From one block of columns to the next.
    pub(crate) block_stride: usize,
}

impl Layout {
    /// Row after row of `n_columns`.
    #[cfg(test)]
    pub(crate) fn rows(n_columns: usize) -> Self {
        Self { row_stride: n_columns, block_columns: n_columns, block_stride: 0 }
    }

    /// Where a column's first number goes.
    pub(super) fn start(&self, column: usize) -> usize {
        column / self.block_columns * self.block_stride + column % self.block_columns
    }
}

/// Whether there is anything to compute; what is asked of the sizes by every product.
///
/// # Panics
/// When the sizes do not fit each other, or the weights are not packed in panels of `panel` columns.
pub(super) fn fits(
    input: &Activations,
    rows: &Range<usize>,
    weights: &PackedLinear,
    panels: &Range<usize>,
    panel: usize,
    out: &[f32],
    layout: Layout,
) -> bool {
    assert!(weights.panel == panel && panels.end <= weights.n_panels(), "packed for these vectors");
    assert!(input.n_columns == weights.n_inputs && rows.end <= input.n_rows(), "the input fits the weights");
    assert!(input.span == weights.span, "sums of activations are of the weights' spans");
    assert!(layout.block_columns.is_multiple_of(panel), "a panel's columns lie side by side");
    if rows.is_empty() || panels.is_empty() {
        return false;
    }
    let last_panel = layout.start((panels.len() - 1) * panel);
    assert!(last_panel + (rows.len() - 1) * layout.row_stride + panel <= out.len(), "the output has room");
    true
}

/// `out = act(input[rows] * weights[panels] + bias)`; `out`'s row 0 and column 0 are the first of the ranges.
///
/// # Panics
/// When the sizes do not fit each other.
#[inline(always)]
pub(super) fn matmul<S: Simd, const GELU: bool>(
    simd: S,
    input: &Activations,
    rows: Range<usize>,
    weights: &PackedLinear,
    panels: Range<usize>,
    out: &mut [f32],
    layout: Layout,
) {
    let panel = 2 * S::LANES;
    assert!(weights.zero_point > 0, "packed as unsigned bytes");
    if !fits(input, &rows, weights, &panels, panel, out, layout) {
        return;
    }
    for panel_idx in panels.clone() {
        let out_start = layout.start((panel_idx - panels.start) * panel);
        let mut row = rows.start;
        while row < rows.end {
            let n_rows = tile_height(rows.end - row, S::TILE_ROWS);
            let place = Place {
                row,
                panel_idx,
                out_start: out_start + (row - rows.start) * layout.row_stride,
                fetch_next: row == rows.start,
            };
            let out = &mut *out;
            // SAFETY: the assertions above cover rows, panels and the places written for every tile.
            unsafe {
                if weights.wide {
                    of_height!(n_rows, M => tile::<S, M, true, GELU>(simd, input, weights, place, out, layout));
                } else {
                    of_height!(n_rows, M => tile::<S, M, false, GELU>(simd, input, weights, place, out, layout));
                }
            }
            row += n_rows;
        }
    }
}

/// Which tile to compute and where it goes.
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    panel_idx: usize,
    out_start: usize,
    /// Whether to bring the next panel's weights nearer meanwhile.
    fetch_next: bool,
}

/// One register tile: `M` rows by two vectors of columns.
///
/// # Safety
/// `input` has the rows from `place.row` on, `weights` the panel, and `out` room for the tile.
#[inline(always)]
unsafe fn tile<S: Simd, const M: usize, const WIDE: bool, const GELU: bool>(
    simd: S,
    input: &Activations,
    weights: &PackedLinear,
    place: Place,
    out: &mut [f32],
    layout: Layout,
) {
    if M > S::TILE_ROWS {
        return;
    }
    let panel = 2 * S::LANES;
    let n_spans = weights.n_inputs / weights.span.length;
    let blocks_in_span = weights.span.length / BLOCK;
    let zero_point = i32::from(weights.zero_point);
    // SAFETY: the caller promises that the row, the panel and the tile's output exist; within them every offset
    // below stays inside by the sizes that `PackedLinear` and `Activations` were built with: a panel has
    // `n_inputs * panel` bytes and `n_spans * panel` scales, a row `n_inputs` bytes, `n_spans` sums and as many scales.
    unsafe {
        let mut panel_bytes =
            weights.weights.as_slice().as_ptr().add(place.panel_idx * weights.n_inputs * panel);
        let mut scales = weights.scales.as_slice().as_ptr().add(place.panel_idx * n_spans * panel);
        let mut values = input.values.as_slice().as_ptr().add(place.row * input.n_columns);
        let sums = input.sums.as_slice().as_ptr().add(place.row * n_spans);
        let token_scales = input.scales.as_slice().as_ptr().add(place.row * n_spans);
        let mut total = [[simd.splat(0.0); 2]; M];
        for span in 0..n_spans {
            if place.fetch_next {
                // Nothing is read: beyond the last panel the address may point anywhere.
                let next = panel_bytes.wrapping_add(weights.n_inputs * panel);
                for line in (0..weights.span.length * panel).step_by(LINE) {
                    simd.prefetch(next.wrapping_add(line));
                }
            }
            let mut acc = [[simd.start::<WIDE>(0); 2]; M];
            let mut correction = [0; M];
            for m in 0..M {
                correction[m] = -zero_point * *sums.add(m * n_spans + span);
                acc[m] = [simd.start::<WIDE>(correction[m]); 2];
            }
            for _ in 0..blocks_in_span {
                for step in 0..STEPS {
                    let left = simd.load_weights(panel_bytes);
                    let right = simd.load_weights(panel_bytes.add(4 * S::LANES));
                    panel_bytes = panel_bytes.add(4 * panel);
                    for m in 0..M {
                        let four = values.add(m * input.n_columns + step * 4).cast::<[u8; 4]>();
                        let four = simd.splat_activations(i32::from_ne_bytes(four.read()));
                        acc[m][0] = simd.dot::<WIDE>(acc[m][0], left, four);
                        acc[m][1] = simd.dot::<WIDE>(acc[m][1], right, four);
                    }
                }
                values = values.add(BLOCK);
            }
            let (left, right) = (simd.load(scales), simd.load(scales.add(S::LANES)));
            scales = scales.add(panel);
            for m in 0..M {
                let mut sums = [
                    simd.finish::<WIDE>(acc[m][0], correction[m]),
                    simd.finish::<WIDE>(acc[m][1], correction[m]),
                ];
                let scale = simd.splat(*token_scales.add(m * n_spans + span));
                sums = [simd.mul(sums[0], scale), simd.mul(sums[1], scale)];
                total[m] =
                    [simd.mul_add(sums[0], left, total[m][0]), simd.mul_add(sums[1], right, total[m][1])];
            }
        }
        let bias = weights.bias.as_slice().as_ptr().add(place.panel_idx * panel);
        let out = out.as_mut_ptr().add(place.out_start);
        for m in 0..M {
            for half in 0..2 {
                let mut value = simd.add(total[m][half], simd.load(bias.add(half * S::LANES)));
                if GELU {
                    value = gelu(simd, value);
                }
                simd.store(out.add(m * layout.row_stride + half * S::LANES), value);
            }
        }
    }
}
