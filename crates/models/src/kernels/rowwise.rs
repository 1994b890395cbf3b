//! What is done to rows of numbers between the products: normalisation, activation, rounding to bytes.

use std::ops::Range;

use super::pack::{Activations, LONGEST_ROTATED, STRIP};
use super::simd::Simd;
use crate::bert::Norm;
use crate::weights::BLOCK;

/// Beyond this many standard deviations the error function counts as 1, and GELU as the number or as zero.
const GELU_END: f32 = 4.4;
/// `erf(x / sqrt(2)) = x * p(x^2)` up to [`GELU_END`], where it is exactly 1: coefficients of `p` from the highest
/// power down. Fitted so that GELU is off by at most 4.2e-5 anywhere, far below the rounding to bytes that follows.
const GELU_COEFFICIENTS: [f32; 9] = [
    7.138_847e-11,
    -7.508_088e-9,
    3.481_691e-7,
    -9.449_73e-6,
    1.685_86e-4,
    -2.109_985e-3,
    1.928_606e-2,
    -0.132_152_9,
    0.797_523_2,
];

/// `2^x` on [-0.5, 0.5], coefficients from the highest power down; off by at most 7.6e-8.
const EXP2_COEFFICIENTS: [f32; 6] =
    [1.340_998_8e-3, 9.676_016e-3, 5.550_297_4e-2, 0.240_221_08, 0.693_147_24, 1.0];

/// `x * P(X <= x)` for a standard normal `X`.
#[inline(always)]
pub(super) fn gelu<S: Simd>(simd: S, value: S::F) -> S::F {
    let end = simd.splat(GELU_END);
    let clamped = simd.min(simd.max(value, simd.splat(-GELU_END)), end);
    let square = simd.mul(clamped, clamped);
    let mut polynomial = simd.splat(GELU_COEFFICIENTS[0]);
    for coefficient in &GELU_COEFFICIENTS[1..] {
        polynomial = simd.mul_add(polynomial, square, simd.splat(*coefficient));
    }
    let half = simd.mul(value, simd.splat(0.5));
    simd.mul_add(simd.mul(half, clamped), polynomial, half)
}

/// `2^value` for values from about -126 to 0.
#[inline(always)]
pub(super) fn exp2<S: Simd>(simd: S, value: S::F) -> S::F {
    let value = simd.max(value, simd.splat(-126.0));
    let whole = simd.round(value);
    let fraction = simd.sub(value, whole);
    let mut polynomial = simd.splat(EXP2_COEFFICIENTS[0]);
    for coefficient in &EXP2_COEFFICIENTS[1..] {
        polynomial = simd.mul_add(polynomial, fraction, simd.splat(*coefficient));
    }
    simd.scale_by_power(polynomial, whole)
}

/// Numbers in rows, whose columns may lie in several blocks of equal width, one block of all rows after the other. That
/// is how two threads leave a product each has computed half the columns of.
#[derive(Clone, Copy)]
pub(crate) struct Blocks<'a> {
    /// The numbers.
    pub(crate) values: &'a [f32],
    /// Rows.
    pub(crate) n_rows: usize,
    /// Columns of a block, a multiple of 32.
    pub(crate) block_columns: usize,
}

impl Blocks<'_> {
    /// True when there are `n_rows` rows of `n_columns` numbers in whole vectors of `lanes`.
    fn fits(&self, n_rows: usize, n_columns: usize, lanes: usize) -> bool {
        self.n_rows == n_rows
            && self.values.len() == n_rows * n_columns
            && self.block_columns > 0
            && n_columns.is_multiple_of(self.block_columns)
            && self.block_columns.is_multiple_of(lanes.max(BLOCK))
    }

    /// Where a row's part of a block starts.
    #[inline(always)]
    fn start(&self, block: usize, row: usize) -> usize {
        (block * self.n_rows + row) * self.block_columns
    }
}

/// Normalises each row of `state` after adding the row of `add` (if there is one) to it, leaves it in `state` and
/// as bytes in `out` from row `out_row` on.
///
/// # Panics
/// When the sizes do not fit each other.
#[inline(always)]
pub(super) fn normalise<S: Simd>(
    simd: S,
    state: &mut [f32],
    add: Option<Blocks<'_>>,
    norm: &Norm,
    epsilon: f32,
    out: &mut Activations,
    out_row: usize,
) {
    let n_columns = out.n_columns;
    let n_rows = state.len() / n_columns;
    assert!(
        n_columns.is_multiple_of(S::LANES) && state.len() == n_rows * n_columns,
        "rows are whole vectors"
    );
    assert!(norm.gain.len() == n_columns && norm.bias.len() == n_columns, "the norm has a number per column");
    assert!(
        add.is_none_or(|add| add.fits(n_rows, n_columns, S::LANES)),
        "there is a row to add for every row"
    );
    assert!(out_row + n_rows <= out.n_rows(), "there is room for the bytes");
    let inverse_size = 1.0 / n_columns as f32;
    for row in 0..n_rows {
        let offset = row * n_columns;
        // SAFETY: rows are whole vectors and `row` is one of them, by the assertions above; the same holds for the
        // rows of `add` and for gain and bias.
        unsafe {
            let values = state.as_mut_ptr().add(offset);
            if let Some(add) = add {
                for block in 0..n_columns / add.block_columns {
                    let from = add.values.as_ptr().add(add.start(block, row));
                    let to = values.add(block * add.block_columns);
                    for column in (0..add.block_columns).step_by(S::LANES) {
                        let value = simd.add(simd.load(to.add(column)), simd.load(from.add(column)));
                        simd.store(to.add(column), value);
                    }
                }
            }
            let mut sum = simd.splat(0.0);
            for column in (0..n_columns).step_by(S::LANES) {
                sum = simd.add(sum, simd.load(values.add(column)));
            }
            let mean = simd.splat(simd.sum(sum) * inverse_size);
            let mut squares = simd.splat(0.0);
            for column in (0..n_columns).step_by(S::LANES) {
                let centred = simd.sub(simd.load(values.add(column)), mean);
                squares = simd.mul_add(centred, centred, squares);
            }
            let variance = simd.sum(squares) * inverse_size;
            let factor = simd.splat(1.0 / (variance + epsilon).sqrt());
            for column in (0..n_columns).step_by(S::LANES) {
                let centred = simd.sub(simd.load(values.add(column)), mean);
                let gain = simd.load(norm.gain.as_ptr().add(column));
                let bias = simd.load(norm.bias.as_ptr().add(column));
                simd.store(values.add(column), simd.mul_add(simd.mul(centred, factor), gain, bias));
            }
        }
        let values =
            Blocks { values: &state[offset..offset + n_columns], n_rows: 1, block_columns: n_columns };
        quantise_row(simd, values, 0, out, out_row + row);
    }
}

/// Turns rows of `size` numbers: number `i` with number `i + size / 2`, by the angle whose cosine and sine stand at place
/// `i` of the row's `size / 2`.
///
/// # Panics
/// When the sizes do not fit each other.
#[inline(always)]
pub(super) fn turn<S: Simd>(simd: S, rows: &mut [f32], size: usize, cosines: &[f32], sines: &[f32]) {
    let half = size / 2;
    assert!(
        size == 2 * half && half > 0 && half.is_multiple_of(S::LANES),
        "halves of rows are whole vectors"
    );
    assert!(
        rows.len() == 2 * cosines.len() && cosines.len() == sines.len() && rows.len().is_multiple_of(size),
        "there is an angle for every two numbers"
    );
    for (row, angles) in rows.chunks_exact_mut(size).zip((0..cosines.len()).step_by(half)) {
        let (first, second) = row.split_at_mut(half);
        for column in (0..half).step_by(S::LANES) {
            // SAFETY: `first` and `second` are `half` numbers, which are whole vectors, and so are the angles' from
            // `angles` on, by the assertions above; `column` is the start of a vector.
            unsafe {
                let (left, right) = (first.as_mut_ptr().add(column), second.as_mut_ptr().add(column));
                let along = simd.load(cosines.as_ptr().add(angles + column));
                let across = simd.load(sines.as_ptr().add(angles + column));
                let (one, other) = (simd.load(left), simd.load(right));
                simd.store(left, simd.sub(simd.mul(one, along), simd.mul(other, across)));
                simd.store(right, simd.mul_add(other, along, simd.mul(one, across)));
            }
        }
    }
}

/// Multiplies each of `values` with the one of `factors` at its place.
///
/// # Panics
/// When there are not as many, or no whole vectors of them.
#[inline(always)]
pub(super) fn multiply_each<S: Simd>(simd: S, values: &mut [f32], factors: &[f32]) {
    assert!(
        values.len() == factors.len() && values.len().is_multiple_of(S::LANES),
        "there is a factor for every number, in whole vectors"
    );
    for column in (0..values.len()).step_by(S::LANES) {
        // SAFETY: both are whole vectors of the same length, and `column` is the start of one.
        unsafe {
            let value = values.as_mut_ptr().add(column);
            simd.store(value, simd.mul(simd.load(value), simd.load(factors.as_ptr().add(column))));
        }
    }
}

/// Rounds rows of `values` to bytes, into the rows `out_rows` of `out`.
///
/// # Panics
/// When the sizes do not fit each other.
#[inline(always)]
pub(super) fn quantise<S: Simd>(simd: S, values: Blocks<'_>, out: &mut Activations, out_rows: Range<usize>) {
    assert!(out_rows.end <= out.n_rows(), "there is room for the bytes");
    assert!(
        values.fits(out_rows.len(), out.n_columns, S::LANES),
        "there is a row of numbers for every row of bytes"
    );
    for row in 0..values.n_rows {
        quantise_row(simd, values, row, out, out_rows.start + row);
    }
}

/// The largest number of a span becomes 127 or -127. The caller has checked that `values` has the row.
#[inline(always)]
fn quantise_row<S: Simd>(simd: S, values: Blocks<'_>, row: usize, out: &mut Activations, out_row: usize) {
    let (n_columns, span, rotated) = (out.n_columns, out.span.length, out.span.rotated);
    let n_parts = n_columns / values.block_columns;
    assert!(values.values.len() >= values.start(n_parts - 1, row) + values.block_columns, "the row is there");
    assert!(values.block_columns.is_multiple_of(span), "no span lies across two blocks of columns");
    let bytes = &mut out.values.as_mut_slice()[out_row * n_columns..(out_row + 1) * n_columns];
    let places = out_row * n_columns / span..(out_row + 1) * n_columns / span;
    let sums = &mut out.sums.as_mut_slice()[places.clone()];
    let scales = &mut out.scales.as_mut_slice()[places];
    let part = |idx: usize| &values.values[values.start(idx, row)..][..values.block_columns];
    let values = (0..n_parts).flat_map(|idx| part(idx).chunks_exact(span));
    let mut turned = [0.0; LONGEST_ROTATED];
    for (((values, bytes), sum), scale) in values.zip(bytes.chunks_exact_mut(span)).zip(sums).zip(scales) {
        let values = if rotated {
            let turned = &mut turned[..span];
            turned.copy_from_slice(values);
            rotate(simd, turned);
            turned
        } else {
            values
        };
        *scale = largest_magnitude(simd, values) * (1.0 / 127.0);
        to_bytes(simd, values, *scale, bytes);
        *sum = bytes.iter().map(|&byte| i32::from(byte)).sum();
    }
}

/// Rotates a span's numbers and multiplies them with the square root of the number of its strips.
#[inline(always)]
pub(super) fn rotate<S: Simd>(simd: S, values: &mut [f32]) {
    assert!(
        values.len().is_multiple_of(2 * STRIP) && STRIP.is_multiple_of(S::LANES),
        "strips in pairs, whole vectors"
    );
    let mut distance = STRIP;
    while distance < values.len() {
        for pair in values.chunks_exact_mut(2 * distance) {
            let (left, right) = pair.split_at_mut(distance);
            for column in (0..distance).step_by(S::LANES) {
                // SAFETY: both are `distance` numbers, which are whole vectors, and `column` is the start of one.
                unsafe {
                    let (left, right) = (left.as_mut_ptr().add(column), right.as_mut_ptr().add(column));
                    let (first, second) = (simd.load(left), simd.load(right));
                    simd.store(left, simd.add(first, second));
                    simd.store(right, simd.sub(first, second));
                }
            }
        }
        distance *= 2;
    }
}

/// The largest magnitude among whole vectors of numbers.
#[inline(always)]
pub(super) fn largest_magnitude<S: Simd>(simd: S, values: &[f32]) -> f32 {
    assert!(values.len().is_multiple_of(S::LANES), "rows and blocks are whole vectors");
    let zero = simd.splat(0.0);
    let mut most = zero;
    for column in (0..values.len()).step_by(S::LANES) {
        // SAFETY: `values` is whole vectors, and `column` is the start of one.
        let value = unsafe { simd.load(values.as_ptr().add(column)) };
        most = simd.max(most, simd.max(value, simd.sub(zero, value)));
    }
    simd.largest(most)
}

/// Divides whole vectors of numbers by `scale`, at least their largest magnitude / 127, and rounds them.
#[inline(always)]
pub(super) fn to_bytes<S: Simd>(simd: S, values: &[f32], scale: f32, bytes: &mut [i8]) {
    assert!(values.len() == bytes.len() && values.len().is_multiple_of(S::LANES), "a byte for every number");
    let inverse = simd.splat(if scale > 0.0 { 1.0 / scale } else { 0.0 });
    let (least, most) = (simd.splat(-127.0), simd.splat(127.0));
    for column in (0..values.len()).step_by(S::LANES) {
        // SAFETY: both are whole vectors of the same length, and `column` is the start of one.
        unsafe {
            let value = simd.mul(simd.load(values.as_ptr().add(column)), inverse);
            // The limits turn what is not a number into one; the vector still shows it by the scale.
            simd.store_bytes(bytes.as_mut_ptr().add(column), simd.min(simd.max(value, least), most));
        }
    }
}
