//! Attention of one text and one head, in `f32`.
//!
//! Keys are laid out with one vector lane per key, so that the scores of a tile of queries form in registers; the
//! weighted values form with one lane per number of the head. A text's tokens see each other only, so there is no
//! mask and no padding beyond the last vector of keys.

use super::buffer::Buffer;
use super::rowwise::exp2;
use super::simd::Simd;

/// Below every score, yet far from the end of the range.
const NOT_A_KEY: f32 = -1e30;

/// Memory that the work on a head needs.
pub(crate) struct Scratch {
    /// Keys, one column per token.
    keys: Buffer<f32>,
    /// Scores of a tile of queries.
    scores: Buffer<f32>,
}

impl Scratch {
    /// Empty; grows with the texts.
    pub(crate) fn new() -> Self {
        Self { keys: Buffer::new(0), scores: Buffer::new(0) }
    }
}

/// The queries, keys and values of one head, `[n_tokens, head_size]` each.
#[derive(Clone, Copy)]
pub(crate) struct Head<'a> {
    /// Queries.
    pub(crate) queries: &'a [f32],
    /// Keys.
    pub(crate) keys: &'a [f32],
    /// Values.
    pub(crate) values: &'a [f32],
    /// Numbers per token, a multiple of two vectors.
    pub(crate) size: usize,
}

/// Writes `softmax(Q K^T / sqrt(size)) V` to `out`, whose rows are `out_stride` apart.
///
/// # Panics
/// When the sizes do not fit each other.
#[inline(always)]
pub(super) fn attend<S: Simd>(
    simd: S,
    head: Head<'_>,
    scratch: &mut Scratch,
    out: &mut [f32],
    out_stride: usize,
) {
    let size = head.size;
    let n_tokens = head.queries.len() / size;
    let tile_columns = 2 * S::LANES;
    assert!(size.is_multiple_of(tile_columns) && n_tokens > 0, "a head is whole pairs of vectors");
    assert!(
        head.keys.len() == n_tokens * size && head.values.len() == n_tokens * size,
        "queries, keys and values are of the same tokens"
    );
    assert!(out.len() >= (n_tokens - 1) * out_stride + size, "the output has room");
    let n_padded = n_tokens.next_multiple_of(tile_columns);
    scratch.keys.grow(size * n_padded);
    scratch.scores.grow(S::TILE_ROWS * n_padded);
    let keys = scratch.keys.as_mut_slice();
    for (token, key) in head.keys.chunks_exact(size).enumerate() {
        for (idx, &value) in key.iter().enumerate() {
            keys[idx * n_padded + token] = value;
        }
    }
    for idx in 0..size {
        keys[idx * n_padded + n_tokens..(idx + 1) * n_padded].fill(0.0);
    }
    let work = Work {
        head,
        keys,
        n_tokens,
        n_padded,
        // Base-2 logarithm of e: the exponential is computed as a power of two.
        factor: std::f32::consts::LOG2_E / (size as f32).sqrt(),
        out_stride,
    };
    let scores = scratch.scores.as_mut_slice();
    let mut row = 0;
    while row < n_tokens {
        let n_rows = (n_tokens - row).min(S::TILE_ROWS);
        // SAFETY: the assertions and sizes above hold for every tile of rows.
        unsafe {
            match n_rows {
                1 => tile::<S, 1>(simd, work, row, scores, out),
                2 => tile::<S, 2>(simd, work, row, scores, out),
                3 => tile::<S, 3>(simd, work, row, scores, out),
                4 => tile::<S, 4>(simd, work, row, scores, out),
                5 => tile::<S, 5>(simd, work, row, scores, out),
                _ => tile::<S, 6>(simd, work, row, scores, out),
            }
        }
        row += n_rows;
    }
}

#[derive(Clone, Copy)]
struct Work<'a> {
    head: Head<'a>,
    keys: &'a [f32],
    n_tokens: usize,
    n_padded: usize,
    factor: f32,
    out_stride: usize,
}

/// `M` queries from `row` on.
///
/// # Safety
/// The rows exist; `work.keys` is `[size, n_padded]`, `scores` at least `[M, n_padded]`, `n_padded` a multiple of two
/// vectors and at least `n_tokens`, `out` has room for the rows.
#[inline(always)]
unsafe fn tile<S: Simd, const M: usize>(
    simd: S,
    work: Work<'_>,
    row: usize,
    scores: &mut [f32],
    out: &mut [f32],
) {
    if M > S::TILE_ROWS {
        return;
    }
    let Work { head, keys, n_tokens, n_padded, factor, out_stride } = work;
    let size = head.size;
    // SAFETY: by the promises above every offset below lies within its slice: rows below `n_tokens`, keys below
    // `n_padded` in steps of two vectors, numbers of a head below `size` in steps of two vectors.
    unsafe {
        let queries = head.queries.as_ptr().add(row * size);
        let scores = scores.as_mut_ptr();
        for key in (0..n_padded).step_by(2 * S::LANES) {
            let mut acc = [[simd.splat(0.0); 2]; M];
            for idx in 0..size {
                let place = keys.as_ptr().add(idx * n_padded + key);
                let (left, right) = (simd.load(place), simd.load(place.add(S::LANES)));
                for m in 0..M {
                    let query = simd.splat(*queries.add(m * size + idx));
                    acc[m][0] = simd.mul_add(query, left, acc[m][0]);
                    acc[m][1] = simd.mul_add(query, right, acc[m][1]);
                }
            }
            for m in 0..M {
                simd.store(scores.add(m * n_padded + key), acc[m][0]);
                simd.store(scores.add(m * n_padded + key + S::LANES), acc[m][1]);
            }
        }
        let mut inverse = [0.0; M];
        for m in 0..M {
            let scores = scores.add(m * n_padded);
            for key in n_tokens..n_padded {
                *scores.add(key) = NOT_A_KEY;
            }
            let mut most = simd.splat(NOT_A_KEY);
            for key in (0..n_padded).step_by(S::LANES) {
                most = simd.max(most, simd.load(scores.add(key)));
            }
            let factor = simd.splat(factor);
            let shift = simd.mul(simd.splat(-simd.largest(most)), factor);
            let mut sum = simd.splat(0.0);
            for key in (0..n_padded).step_by(S::LANES) {
                let weight = exp2(simd, simd.mul_add(simd.load(scores.add(key)), factor, shift));
                simd.store(scores.add(key), weight);
                sum = simd.add(sum, weight);
            }
            inverse[m] = 1.0 / simd.sum(sum);
        }
        for idx in (0..size).step_by(2 * S::LANES) {
            let mut acc = [[simd.splat(0.0); 2]; M];
            let values = head.values.as_ptr().add(idx);
            for key in 0..n_tokens {
                let place = values.add(key * size);
                let (left, right) = (simd.load(place), simd.load(place.add(S::LANES)));
                for m in 0..M {
                    let weight = simd.splat(*scores.add(m * n_padded + key));
                    acc[m][0] = simd.mul_add(weight, left, acc[m][0]);
                    acc[m][1] = simd.mul_add(weight, right, acc[m][1]);
                }
            }
            for m in 0..M {
                let scale = simd.splat(inverse[m]);
                let out = out.as_mut_ptr().add((row + m) * out_stride + idx);
                simd.store(out, simd.mul(acc[m][0], scale));
                simd.store(out.add(S::LANES), simd.mul(acc[m][1], scale));
            }
        }
    }
}
