//! The integer product on tiles, with what follows it in AVX-512.
//!
//! To scale sums is what costs here: a tile's must be written to memory and read back row by row. So spans are
//! longer than elsewhere, and the sums of a few spans are formed before they are read, in memory that stays in the
//! first-level cache. What is rounded is rounded in the same order as in [`crate::kernels::matmul`]: over the same spans,
//! the results have the same bits as those of AVX-512.
//!
//! Panels are as for AVX-512, but their bytes are signed, so that there is no zero point to take away from sums.

use std::arch::asm;
use std::arch::x86_64::_mm512_load_si512;
use std::ops::Range;

use super::{Amx, COLUMNS, ROW_BYTES, ROWS, Shapes, Tiles};
use crate::kernels::avx512::Avx512;
use crate::kernels::buffer::LINE;
use crate::kernels::matmul::{Layout, fits};
use crate::kernels::pack::{Activations, PackedLinear};
use crate::kernels::rowwise::gelu;
use crate::kernels::simd::{Simd, tile_height};
use crate::weights::BLOCK;

/// Inputs that share a scale: with spans of 32 or 64, products take more than twice the time.
pub(in crate::kernels) const LONGEST_SPAN: usize = 128;
/// Spans whose sums are formed before they are read.
const IN_WORK: usize = 4;

/// The sums of some spans, for either half of a panel.
#[repr(C, align(64))]
struct Sums([[[[i32; COLUMNS]; ROWS]; 2]; IN_WORK]);

/// As [`crate::kernels::matmul::matmul`].
///
/// # Panics
/// When the sizes do not fit each other.
#[inline(always)]
pub(in crate::kernels) fn matmul<const GELU: bool>(
    amx: Amx,
    input: &Activations,
    rows: Range<usize>,
    weights: &PackedLinear,
    panels: Range<usize>,
    out: &mut [f32],
    layout: Layout,
) {
    let panel = 2 * COLUMNS;
    assert!(weights.zero_point == 0, "packed as signed bytes");
    if !fits(input, &rows, weights, &panels, panel, out, layout) {
        return;
    }
    let height = tile_height(rows.len(), ROWS);
    let n_read = rows.len().next_multiple_of(height);
    assert!(rows.start + n_read <= input.n_readable_rows(), "the last tile can be read");
    let step = if weights.span.length.is_multiple_of(ROW_BYTES) { ROW_BYTES } else { BLOCK };
    let mut sums = Sums([[[[0; COLUMNS]; ROWS]; 2]; IN_WORK]);
    // Two tiles of sums, one of activations, two of weights.
    let [of_sums, of_weights] = [(height, 4 * COLUMNS), (step / 4, 4 * COLUMNS)];
    let tiles = Tiles::of(amx, &Shapes::new(&[of_sums, of_sums, (height, step), of_weights, of_weights]));
    for panel_idx in panels.clone() {
        let out_start = layout.start((panel_idx - panels.start) * panel);
        for row in rows.clone().step_by(height) {
            let place = Place {
                row,
                n_rows: height.min(rows.end - row),
                panel_idx,
                step,
                fetch_next: row == rows.start,
            };
            let out = &mut out[out_start + (row - rows.start) * layout.row_stride..];
            // SAFETY: the tiles have their shapes, and the assertions above cover rows, panels and the places written.
            unsafe { tile::<GELU>(amx.vectors(), input, weights, place, &mut sums, out, layout.row_stride) };
        }
    }
    drop(tiles);
}

/// Which tile to compute.
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    /// Rows to be written; a tile may have more.
    n_rows: usize,
    panel_idx: usize,
    /// Inputs of a step.
    step: usize,
    /// Whether to bring the next panel's weights nearer meanwhile.
    fetch_next: bool,
}

/// A tile of rows by two vectors of columns, written to the start of `out`.
///
/// # Safety
/// The tiles have the shapes of `place.step` and of at least `place.n_rows` rows, which can be read from `place.row` on;
/// `weights` has the panel, and `out` room for the rows.
#[inline(always)]
unsafe fn tile<const GELU: bool>(
    simd: Avx512,
    input: &Activations,
    weights: &PackedLinear,
    place: Place,
    sums: &mut Sums,
    out: &mut [f32],
    row_stride: usize,
) {
    let panel = 2 * COLUMNS;
    let span = weights.span.length;
    let n_spans = weights.n_inputs / span;
    // SAFETY: as in `kernels::matmul::tile`: a panel has `n_inputs * panel` bytes and `n_spans * panel` scales, a row
    // `n_inputs` bytes and `n_spans` scales; the sums of a span have room for the highest tile of either half.
    unsafe {
        let panel_bytes = weights.weights.as_slice().as_ptr().add(place.panel_idx * weights.n_inputs * panel);
        let scales = weights.scales.as_slice().as_ptr().add(place.panel_idx * n_spans * panel);
        let bias = weights.bias.as_slice().as_ptr().add(place.panel_idx * panel);
        let values = input.values.as_slice().as_ptr().add(place.row * input.n_columns);
        let token_scales = input.scales.as_slice().as_ptr().add(place.row * n_spans);
        let out = out.as_mut_ptr();
        for first in (0..n_spans).step_by(IN_WORK) {
            let end = n_spans.min(first + IN_WORK);
            for (idx, sums) in (first..end).zip(&mut sums.0) {
                let bytes = panel_bytes.add(idx * span * panel);
                if place.fetch_next {
                    // Nothing is read: beyond the last panel the address may point anywhere.
                    let next = bytes.wrapping_add(weights.n_inputs * panel);
                    for line in (0..span * panel).step_by(LINE) {
                        simd.prefetch(next.wrapping_add(line));
                    }
                }
                let sums = sums.as_mut_ptr().cast();
                sums_of_span(values.add(idx * span), input.n_columns, bytes, span, place.step, sums);
            }
            let stretch = Stretch { n_rows: place.n_rows, row_stride, first, n_spans };
            of_height!(end - first, N => add_up::<N, GELU>(simd, sums, token_scales, scales, bias, out, stretch));
        }
    }
}

/// Which sums are read, and where they go.
#[derive(Clone, Copy)]
struct Stretch {
    n_rows: usize,
    row_stride: usize,
    /// The first span whose sums they are, of so many.
    first: usize,
    n_spans: usize,
}

/// Adds the sums of `N` spans, scaled, to what `out` holds of those before them, and the bias after the last.
///
/// # Safety
/// `scales` has `[n_spans, 2, COLUMNS]` numbers, `bias` `[2, COLUMNS]`, `token_scales` `[n_rows, n_spans]`, and `out` has
/// room for the rows.
#[inline(always)]
unsafe fn add_up<const N: usize, const GELU: bool>(
    simd: Avx512,
    sums: &Sums,
    token_scales: *const f32,
    scales: *const f32,
    bias: *const f32,
    out: *mut f32,
    stretch: Stretch,
) {
    if N > IN_WORK {
        return;
    }
    let Stretch { n_rows, row_stride, first, n_spans } = stretch;
    // SAFETY: rows are below `n_rows`, spans below `n_spans`, and a half has `COLUMNS` columns.
    unsafe {
        for half in 0..2 {
            let mut span_scales = [simd.splat(0.0); N];
            for n in 0..N {
                span_scales[n] = simd.load(scales.add((2 * (first + n) + half) * COLUMNS));
            }
            let bias = simd.load(bias.add(half * COLUMNS));
            for m in 0..n_rows {
                let out = out.add(m * row_stride + half * COLUMNS);
                let token_scales = token_scales.add(m * n_spans + first);
                let mut total = if first == 0 { simd.splat(0.0) } else { simd.load(out) };
                for n in 0..N {
                    let sum = _mm512_load_si512(sums.0[n][half].get_unchecked(m).as_ptr().cast());
                    let product = simd.mul(simd.finish::<true>(sum, 0), simd.splat(*token_scales.add(n)));
                    total = simd.mul_add(product, span_scales[n], total);
                }
                if first + N == n_spans {
                    total = simd.add(total, bias);
                    if GELU {
                        total = gelu(simd, total);
                    }
                }
                simd.store(out, total);
            }
        }
    }
}

/// Writes the sums of `span` products, `step` of them at a time, for a tile of rows that lie `row_bytes` apart and both
/// halves of a panel: `[2, ROWS, COLUMNS]`.
///
/// # Safety
/// The tiles have their shapes, all of their rows can be read and written, and `span` is whole steps, at least one.
#[inline(always)]
unsafe fn sums_of_span(
    values: *const i8,
    row_bytes: usize,
    weights: *const u8,
    span: usize,
    step: usize,
    sums: *mut i32,
) {
    // SAFETY: as promised. Tiles are used by nothing else, and no value is expected in them after this.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "2:",
            "tileloadd tmm2, [{values} + {row_bytes} * 1]",
            "tileloadd tmm3, [{weights} + {panel_stride} * 1]",
            "tdpbssd tmm0, tmm2, tmm3",
            "tileloadd tmm4, [{weights} + {panel_stride} * 1 + 64]",
            "tdpbssd tmm1, tmm2, tmm4",
            "add {values}, {step}",
            "add {weights}, {step_bytes}",
            "sub {left}, {step}",
            "jnz 2b",
            "tilestored [{sums} + {line} * 1], tmm0",
            "tilestored [{sums} + {line} * 1 + {half}], tmm1",
            values = inout(reg) values => _,
            weights = inout(reg) weights => _,
            left = inout(reg) span => _,
            row_bytes = in(reg) row_bytes,
            panel_stride = in(reg) 4 * 2 * COLUMNS,
            step = in(reg) step,
            step_bytes = in(reg) step * 2 * COLUMNS,
            sums = in(reg) sums,
            line = in(reg) 4 * COLUMNS,
            half = const 4 * COLUMNS * ROWS,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _, out("tmm4") _,
            options(nostack),
        );
    }
}
