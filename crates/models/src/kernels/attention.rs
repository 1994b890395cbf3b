//! Attention of one text and one head.
//!
//! Keys are laid out with one vector lane per key, so that the scores of a tile of queries form in registers; the
//! weighted values form with one lane per number of the head. A text's tokens see each other only, so there is no
//! mask and no padding beyond the last vector of keys.
//!
//! Where there are byte dot products, the scores are formed by them: each query and each key is rounded to bytes with
//! a scale of its own. Before that the keys' mean is taken from every key, which shifts all scores of a query alike,
//! so that softmax does not see it, while what all keys share takes no part of the range of a byte any more (J. Zhang
//! et al., "`SageAttention`", 2024). Softmax and the weighted values are in `f32`.

use super::buffer::Buffer;
use super::bytes::ZERO_POINT;
use super::rowwise::{exp2, largest_magnitude, to_bytes};
use super::simd::{Simd, tile_height};

/// Below every score, yet far from the end of the range.
pub(super) const NOT_A_KEY: f32 = -1e30;

/// Memory that the work on a head needs.
pub(crate) struct Scratch {
    /// Keys, one column per token: numbers, or four bytes in each place.
    keys: Buffer<f32>,
    pub(super) key_bytes: Buffer<u32>,
    /// What a key's bytes are to be multiplied with.
    pub(super) key_scales: Buffer<f32>,
    /// A key less the mean, and its bytes.
    key: Buffer<f32>,
    row_bytes: Buffer<i8>,
    /// The queries of a tile as bytes.
    pub(super) query_bytes: Buffer<i8>,
    /// Scores of a tile of queries.
    pub(super) scores: Buffer<f32>,
    /// The same after softmax, and the values of two keys in one place, as numbers of 16 bits.
    pub(super) weights: Buffer<u16>,
    pub(super) value_pairs: Buffer<u32>,
}

impl Scratch {
    /// Empty; grows with the texts.
    pub(crate) fn new() -> Self {
        Self {
            keys: Buffer::new(0),
            key_bytes: Buffer::new(0),
            key_scales: Buffer::new(0),
            key: Buffer::new(0),
            row_bytes: Buffer::new(0),
            query_bytes: Buffer::new(0),
            scores: Buffer::new(0),
            weights: Buffer::new(0),
            value_pairs: Buffer::new(0),
        }
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

impl Head<'_> {
    /// Number of tokens, at least one.
    ///
    /// # Panics
    /// When queries, keys and values are not of the same tokens, or `out` has no room for them.
    pub(super) fn n_tokens(&self, out: &[f32], out_stride: usize) -> usize {
        let n_tokens = self.queries.len() / self.size;
        assert!(n_tokens > 0, "there is a text");
        assert!(
            [self.queries, self.keys, self.values].iter().all(|part| part.len() == n_tokens * self.size),
            "queries, keys and values are of the same tokens"
        );
        assert!(out.len() >= (n_tokens - 1) * out_stride + self.size, "the output has room");
        n_tokens
    }

    /// What scores are to be multiplied with: the base-2 logarithm of e among it, as the exponential is computed as a power
    /// of two.
    pub(super) fn factor(&self) -> f32 {
        std::f32::consts::LOG2_E / (self.size as f32).sqrt()
    }
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
    let n_tokens = head.n_tokens(out, out_stride);
    let tile_columns = 2 * S::LANES;
    assert!(size.is_multiple_of(tile_columns), "a head is whole pairs of vectors");
    let n_padded = n_tokens.next_multiple_of(tile_columns);
    scratch.scores.grow(S::TILE_ROWS * n_padded);
    if S::BYTE_DOTS {
        keys_as_bytes(simd, head, n_padded, ZERO_POINT, scratch);
        scratch.query_bytes.grow(S::TILE_ROWS * size);
    } else {
        scratch.keys.grow(size * n_padded);
        for (idx, column) in scratch.keys.as_mut_slice().chunks_exact_mut(n_padded).take(size).enumerate() {
            for (value, key) in column.iter_mut().zip(head.keys.chunks_exact(size)) {
                *value = key[idx];
            }
            column[n_tokens..].fill(0.0);
        }
    }
    let work = Work {
        head,
        keys: scratch.keys.as_slice(),
        key_bytes: scratch.key_bytes.as_slice(),
        key_scales: scratch.key_scales.as_slice(),
        n_tokens,
        n_padded,
        factor: head.factor(),
        out_stride,
    };
    let scores = scratch.scores.as_mut_slice();
    let query_bytes = scratch.query_bytes.as_mut_slice();
    let mut row = 0;
    while row < n_tokens {
        let n_rows = tile_height(n_tokens - row, S::TILE_ROWS);
        // SAFETY: the assertions and sizes above hold for every tile of rows.
        unsafe {
            if S::BYTE_DOTS {
                of_height!(n_rows, M => scores_of_bytes::<S, M>(simd, work, row, query_bytes, scores));
            } else {
                of_height!(n_rows, M => scores_of_numbers::<S, M>(simd, work, row, scores));
            }
            let mut done = 0;
            while done < n_rows {
                let n_rows = tile_height(n_rows - done, S::FLOAT_TILE_ROWS);
                let scores = &scores[done * n_padded..];
                of_height!(n_rows, M => weighted::<S, M>(simd, work, row + done, scores, out));
                done += n_rows;
            }
        }
        row += n_rows;
    }
}

/// Rounds the keys, less their mean, to bytes above a zero point, which may be none, four numbers of a key in one place:
/// `[size / 4, n_padded]`, zeros after the last key.
#[inline(always)]
pub(super) fn keys_as_bytes<S: Simd>(
    simd: S,
    head: Head<'_>,
    n_padded: usize,
    zero_point: u8,
    scratch: &mut Scratch,
) {
    let size = head.size;
    let n_tokens = head.keys.len() / size;
    scratch.key.grow(2 * size);
    scratch.row_bytes.grow(n_tokens * size);
    scratch.key_scales.grow(n_padded);
    scratch.key_bytes.grow(size / 4 * n_padded);
    let (mean, key) = scratch.key.as_mut_slice()[..2 * size].split_at_mut(size);
    let bytes = &mut scratch.row_bytes.as_mut_slice()[..n_tokens * size];
    let scales = &mut scratch.key_scales.as_mut_slice()[..n_padded];
    mean.fill(0.0);
    for key in head.keys.chunks_exact(size) {
        for (sum, value) in mean.iter_mut().zip(key) {
            *sum += value;
        }
    }
    let share = 1.0 / n_tokens as f32;
    for value in &mut *mean {
        *value *= share;
    }
    let rows = head.keys.chunks_exact(size).zip(bytes.chunks_exact_mut(size));
    for ((values, bytes), scale) in rows.zip(&mut *scales) {
        for ((value, from), mean) in key.iter_mut().zip(values).zip(&*mean) {
            *value = from - mean;
        }
        *scale = largest_magnitude(simd, key) * (1.0 / 127.0);
        to_bytes(simd, key, *scale, bytes);
    }
    scales[n_tokens..].fill(0.0);
    let fours: &[u32] = bytemuck::cast_slice(bytes);
    let columns = scratch.key_bytes.as_mut_slice().chunks_exact_mut(n_padded).take(size / 4);
    for (idx, column) in columns.enumerate() {
        for (place, key) in column.iter_mut().zip(fours.chunks_exact(size / 4)) {
            *place = key[idx] ^ u32::from_ne_bytes([zero_point; 4]);
        }
        column[n_tokens..].fill(0);
    }
}

#[derive(Clone, Copy)]
struct Work<'a> {
    head: Head<'a>,
    keys: &'a [f32],
    key_bytes: &'a [u32],
    key_scales: &'a [f32],
    n_tokens: usize,
    n_padded: usize,
    factor: f32,
    out_stride: usize,
}

/// Turns the first `n_tokens` products of each of `M` queries, which are to be multiplied with `factors`, into powers of
/// two of at most one, and those after them into none at all.
///
/// # Safety
/// `scores` is at least `[M, n_padded]`, `n_padded` a multiple of a vector and at least `n_tokens`.
#[inline(always)]
unsafe fn soften<S: Simd, const M: usize>(simd: S, work: Work<'_>, factors: [f32; M], scores: *mut f32) {
    let Work { n_tokens, n_padded, .. } = work;
    // SAFETY: rows are below `M`, keys below `n_padded` in steps of a vector.
    unsafe {
        for (m, factor) in factors.into_iter().enumerate() {
            let scores = scores.add(m * n_padded);
            for key in n_tokens..n_padded {
                *scores.add(key) = NOT_A_KEY;
            }
            let mut most = simd.splat(NOT_A_KEY);
            for key in (0..n_padded).step_by(S::LANES) {
                most = simd.max(most, simd.load(scores.add(key)));
            }
            let shift = simd.splat(-simd.largest(most) * factor);
            let factor = simd.splat(factor);
            for key in (0..n_padded).step_by(S::LANES) {
                let weight = exp2(simd, simd.mul_add(simd.load(scores.add(key)), factor, shift));
                simd.store(scores.add(key), weight);
            }
        }
    }
}

/// The values of all keys, weighted with the scores of `M` queries from `row` on, the first of `scores` being that
/// row's.
///
/// # Safety
/// The rows exist; `scores` is at least `[M, n_padded]`, `out` has room for the rows.
#[inline(always)]
unsafe fn weighted<S: Simd, const M: usize>(
    simd: S,
    work: Work<'_>,
    row: usize,
    scores: &[f32],
    out: &mut [f32],
) {
    if M > S::FLOAT_TILE_ROWS {
        return;
    }
    let Work { head, n_tokens, n_padded, out_stride, .. } = work;
    let size = head.size;
    // SAFETY: rows are below `n_tokens`, keys below `n_padded` in steps of a vector, numbers of a head below `size` in
    // steps of two vectors.
    unsafe {
        let scores = scores.as_ptr();
        let mut inverse = [0.0; M];
        for m in 0..M {
            let mut sum = simd.splat(0.0);
            for key in (0..n_padded).step_by(S::LANES) {
                sum = simd.add(sum, simd.load(scores.add(m * n_padded + key)));
            }
            inverse[m] = 1.0 / simd.sum(sum);
        }
        for idx in (0..size).step_by(2 * S::LANES) {
            let values = head.values.as_ptr().add(idx);
            let acc = product::<S, M>(simd, (scores, n_padded), (values, size), n_tokens);
            for m in 0..M {
                let scale = simd.splat(inverse[m]);
                let out = out.as_mut_ptr().add((row + m) * out_stride + idx);
                simd.store(out, simd.mul(acc[m][0], scale));
                simd.store(out.add(S::LANES), simd.mul(acc[m][1], scale));
            }
        }
    }
}

/// The product of `M` rows of `n` numbers with `n` rows of two vectors; rows lie as far apart as their stride says.
///
/// # Safety
/// All of them can be read.
#[inline(always)]
unsafe fn product<S: Simd, const M: usize>(
    simd: S,
    (left, left_stride): (*const f32, usize),
    (right, right_stride): (*const f32, usize),
    n: usize,
) -> [[S::F; 2]; M] {
    let mut acc = [[simd.splat(0.0); 2]; M];
    for idx in 0..n {
        // SAFETY: the caller's promise.
        unsafe {
            let place = right.add(idx * right_stride);
            let columns = [simd.load(place), simd.load(place.add(S::LANES))];
            for m in 0..M {
                let number = simd.splat(*left.add(m * left_stride + idx));
                acc[m][0] = simd.mul_add(number, columns[0], acc[m][0]);
                acc[m][1] = simd.mul_add(number, columns[1], acc[m][1]);
            }
        }
    }
    acc
}

/// The softmax of `M` queries' products with all keys, save for the division by their sums.
///
/// # Safety
/// The rows exist; `work.keys` is `[size, n_padded]`, `scores` at least `[M, n_padded]`, `n_padded` a multiple of two
/// vectors and at least `n_tokens`.
#[inline(always)]
unsafe fn scores_of_numbers<S: Simd, const M: usize>(
    simd: S,
    work: Work<'_>,
    row: usize,
    scores: &mut [f32],
) {
    if M > S::TILE_ROWS {
        return;
    }
    let (size, n_padded) = (work.head.size, work.n_padded);
    // SAFETY: rows are below `n_tokens`, keys below `n_padded` in steps of two vectors, numbers of a head below `size`.
    unsafe {
        let queries = work.head.queries.as_ptr().add(row * size);
        let scores = scores.as_mut_ptr();
        for key in (0..n_padded).step_by(2 * S::LANES) {
            let acc = product::<S, M>(simd, (queries, size), (work.keys.as_ptr().add(key), n_padded), size);
            for m in 0..M {
                simd.store(scores.add(m * n_padded + key), acc[m][0]);
                simd.store(scores.add(m * n_padded + key + S::LANES), acc[m][1]);
            }
        }
        soften(simd, work, [work.factor; M], scores);
    }
}

/// As [`scores_of_numbers`], from bytes.
///
/// # Safety
/// As for [`scores_of_numbers`], but `work.key_bytes` is `[size / 4, n_padded]`, `work.key_scales` `[n_padded]`, and
/// `query_bytes` at least `[M, size]`.
#[inline(always)]
unsafe fn scores_of_bytes<S: Simd, const M: usize>(
    simd: S,
    work: Work<'_>,
    row: usize,
    query_bytes: &mut [i8],
    scores: &mut [f32],
) {
    if M > S::TILE_ROWS {
        return;
    }
    let (size, n_padded) = (work.head.size, work.n_padded);
    let mut factors = [0.0; M];
    let mut corrections = [0; M];
    let queries = work.head.queries[row * size..].chunks_exact(size).zip(query_bytes.chunks_exact_mut(size));
    for ((factor, correction), (query, bytes)) in factors.iter_mut().zip(&mut corrections).zip(queries) {
        let scale = largest_magnitude(simd, query) * (1.0 / 127.0);
        to_bytes(simd, query, scale, bytes);
        *correction = -i32::from(ZERO_POINT) * bytes.iter().map(|&byte| i32::from(byte)).sum::<i32>();
        *factor = scale * work.factor;
    }
    // SAFETY: keys are below `n_padded` in steps of two vectors, fours of a head's bytes below `size / 4`.
    unsafe {
        let queries = query_bytes.as_ptr();
        let scores = scores.as_mut_ptr();
        for key in (0..n_padded).step_by(2 * S::LANES) {
            let mut acc = [[simd.start::<true>(0); 2]; M];
            for m in 0..M {
                acc[m] = [simd.start::<true>(corrections[m]); 2];
            }
            for four in 0..size / 4 {
                let place = work.key_bytes.as_ptr().add(four * n_padded + key).cast::<u8>();
                let (left, right) = (simd.load_weights(place), simd.load_weights(place.add(4 * S::LANES)));
                for m in 0..M {
                    let query = queries.add(m * size + four * 4).cast::<[u8; 4]>();
                    let query = simd.splat_activations(i32::from_ne_bytes(query.read()));
                    acc[m][0] = simd.dot::<true>(acc[m][0], left, query);
                    acc[m][1] = simd.dot::<true>(acc[m][1], right, query);
                }
            }
            for half in 0..2 {
                let place = key + half * S::LANES;
                let scale = simd.load(work.key_scales.as_ptr().add(place));
                for m in 0..M {
                    let score = simd.finish::<true>(acc[m][half], corrections[m]);
                    simd.store(scores.add(m * n_padded + place), simd.mul(score, scale));
                }
            }
        }
        soften(simd, work, factors, scores);
    }
}
