//! Attention of one text and one head on tiles.
//!
//! As in [`crate::kernels::attention`], scores are formed from bytes; the weighted values are formed from numbers of 16 bits with
//! the range of `f32` (bfloat16), added up in `f32`. A weight or a value is off by at most a 256th of itself then, which
//! over all of a text's keys is less than what the bytes of the scores are off by.

use std::arch::asm;
use std::arch::x86_64::*;

use super::{Amx, COLUMNS, ROW_BYTES, ROWS, Shapes, Tiles};
use crate::kernels::attention::{self, Head, Scratch, keys_as_bytes};
use crate::kernels::avx512::Avx512;
use crate::kernels::rowwise::{largest_magnitude, to_bytes};
use crate::kernels::simd::{Simd, tile_height};

/// Keys that a step of the weighted values takes: two of 16 bits in each place of a tile's row.
const KEYS: usize = ROW_BYTES / 2;

/// `2^x` on [-0.5, 0.5], coefficients from the highest power down; off by at most a 10,000th.
const EXP2_COEFFICIENTS: [f32; 4] = [5.517_167e-2, 0.242_611_15, 0.693_261, 0.999_928_1];

/// A tile's rows of weighted values, either half of a pair of vectors.
#[repr(C, align(64))]
struct Sums([[[f32; COLUMNS]; ROWS]; 2]);

/// As [`attention::attend`].
///
/// # Panics
/// When the sizes do not fit each other.
#[inline(always)]
pub(in crate::kernels) fn attend(
    amx: Amx,
    head: Head<'_>,
    scratch: &mut Scratch,
    out: &mut [f32],
    out_stride: usize,
) {
    let size = head.size;
    let simd = amx.vectors();
    if size != ROW_BYTES / 2 && size != ROW_BYTES {
        // A head's bytes are not one tile's row.
        return attention::attend(simd, head, scratch, out, out_stride);
    }
    let n_tokens = head.n_tokens(out, out_stride);
    let n_padded = n_tokens.next_multiple_of(KEYS);
    let height = tile_height(n_tokens, ROWS);
    keys_as_bytes(simd, head, n_padded, 0, scratch);
    value_pairs(head, n_padded, scratch);
    scratch.scores.grow(ROWS * n_padded);
    scratch.weights.grow(ROWS * n_padded);
    scratch.query_bytes.grow(ROWS * size);
    // Sums, queries, keys, weights, values.
    let [of_sums, of_values] = [(height, 4 * COLUMNS), (KEYS / 2, 4 * COLUMNS)];
    let tiles = Tiles::of(
        amx,
        &Shapes::new(&[
            of_sums,
            of_sums,
            (height, size),
            (size / 4, 4 * COLUMNS),
            (height, ROW_BYTES),
            of_values,
            of_values,
        ]),
    );
    for row in (0..n_tokens).step_by(height) {
        let n_rows = height.min(n_tokens - row);
        let mut factors = [0.0; ROWS];
        let queries = head.queries[row * size..].chunks_exact(size).take(n_rows);
        let bytes = scratch.query_bytes.as_mut_slice().chunks_exact_mut(size);
        for ((factor, query), bytes) in factors.iter_mut().zip(queries).zip(bytes) {
            let scale = largest_magnitude(simd, query) * (1.0 / 127.0);
            to_bytes(simd, query, scale, bytes);
            *factor = scale * head.factor();
        }
        // SAFETY: the tiles have their shapes; scores, weights and the queries' bytes have room for the highest tile,
        // there are `n_padded` keys and values, and `out` has room for the rows.
        unsafe {
            form_scores(scratch, size, n_padded);
            let inverse = soften(simd, scratch, (n_rows, n_tokens, n_padded), factors);
            for column in (0..size).step_by(2 * COLUMNS) {
                let mut sums = Sums([[[0.0; COLUMNS]; ROWS]; 2]);
                form_values(scratch, size, n_padded, column, &mut sums);
                for m in 0..n_rows {
                    for half in 0..2 {
                        let value = simd.load(sums.0[half][m].as_ptr());
                        let out = out.as_mut_ptr().add((row + m) * out_stride + column + half * COLUMNS);
                        simd.store(out, simd.mul(value, simd.splat(inverse[m])));
                    }
                }
            }
        }
    }
    drop(tiles);
}

/// Rounds the values to 16 bits, those of two neighbouring keys in one place: `[n_padded / 2, size]`, zeros after the last
/// key.
#[inline(always)]
fn value_pairs(head: Head<'_>, n_padded: usize, scratch: &mut Scratch) {
    let size = head.size;
    scratch.value_pairs.grow(n_padded / 2 * size);
    let mut rows = scratch.value_pairs.as_mut_slice()[..n_padded / 2 * size].chunks_exact_mut(size);
    let upper = |value: f32| value.to_bits().wrapping_add(0x8000) & 0xffff_0000;
    let pairs = head.values.chunks(2 * size);
    for (pair, row) in pairs.zip(&mut rows) {
        let (first, second) = pair.split_at(size);
        for (place, value) in row.iter_mut().zip(first) {
            *place = upper(*value) >> 16;
        }
        for (place, value) in row.iter_mut().zip(second) {
            *place |= upper(*value);
        }
    }
    for row in rows {
        row.fill(0);
    }
}

/// Writes the integer products of a tile of queries with all keys where the scores go.
///
/// # Safety
/// Tiles 0 and 1 hold sums, 2 queries of `size` bytes, 3 keys; `scratch` has the queries' bytes, `[size / 4, n_padded]` of the
/// keys and room for the scores of the highest tile; `n_padded` is whole [`KEYS`], at least one.
#[inline(always)]
unsafe fn form_scores(scratch: &mut Scratch, size: usize, n_padded: usize) {
    // SAFETY: as promised. Tiles are used by nothing else, and no value is expected in them after this.
    unsafe {
        asm!(
            "tileloadd tmm2, [{queries} + {size} * 1]",
            "2:",
            "tilezero tmm0",
            "tileloadd tmm3, [{keys} + {stride} * 1]",
            "tdpbssd tmm0, tmm2, tmm3",
            "tilestored [{scores} + {stride} * 1], tmm0",
            "tilezero tmm1",
            "tileloadd tmm3, [{keys} + {stride} * 1 + 64]",
            "tdpbssd tmm1, tmm2, tmm3",
            "tilestored [{scores} + {stride} * 1 + 64], tmm1",
            "add {keys}, 128",
            "add {scores}, 128",
            "dec {left}",
            "jnz 2b",
            queries = in(reg) scratch.query_bytes.as_slice().as_ptr(),
            size = in(reg) size,
            keys = inout(reg) scratch.key_bytes.as_slice().as_ptr() => _,
            scores = inout(reg) scratch.scores.as_mut_slice().as_mut_ptr() => _,
            stride = in(reg) 4 * n_padded,
            left = inout(reg) n_padded / KEYS => _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            options(nostack),
        );
    }
}

/// Turns the products of `n_rows` queries into powers of two of at most one, of 16 bits, none after the last key, and gives
/// the inverse of each query's sum.
///
/// # Safety
/// `scratch` has `[n_rows, n_padded]` integer products where the scores go, room for as many weights, and the scales of
/// `n_padded` keys, which is whole vectors.
#[inline(always)]
unsafe fn soften(
    simd: Avx512,
    scratch: &mut Scratch,
    (n_rows, n_tokens, n_padded): (usize, usize, usize),
    factors: [f32; ROWS],
) -> [f32; ROWS] {
    let mut inverse = [0.0; ROWS];
    let scales = scratch.key_scales.as_slice().as_ptr();
    // SAFETY: rows are below `n_rows`, keys below `n_padded` in steps of a vector; AVX-512 is there, as `simd` proves.
    unsafe {
        for m in 0..n_rows {
            let scores = scratch.scores.as_mut_slice().as_mut_ptr().add(m * n_padded);
            let weights = scratch.weights.as_mut_slice().as_mut_ptr().add(m * n_padded);
            let mut most = simd.splat(attention::NOT_A_KEY);
            for key in (0..n_padded).step_by(COLUMNS) {
                let product = simd.finish::<true>(_mm512_loadu_si512(scores.add(key).cast()), 0);
                let mut score = simd.mul(product, simd.load(scales.add(key)));
                if key + COLUMNS > n_tokens {
                    let n_keys = n_tokens.saturating_sub(key);
                    score = _mm512_mask_mov_ps(simd.splat(attention::NOT_A_KEY), (1 << n_keys) - 1, score);
                }
                most = simd.max(most, score);
                simd.store(scores.add(key), score);
            }
            let shift = simd.splat(-simd.largest(most) * factors[m]);
            let factor = simd.splat(factors[m]);
            let mut sum = simd.splat(0.0);
            for key in (0..n_padded).step_by(COLUMNS) {
                let weight = short_exp2(simd, simd.mul_add(simd.load(scores.add(key)), factor, shift));
                sum = simd.add(sum, weight);
                let rounded = _mm512_add_epi32(_mm512_castps_si512(weight), _mm512_set1_epi32(0x8000));
                let shorts = _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(rounded));
                _mm256_storeu_si256(weights.add(key).cast(), shorts);
            }
            inverse[m] = 1.0 / simd.sum(sum);
        }
    }
    inverse
}

/// `2^value` for values up to 0, none below the least normal number; off by at most a 10,000th of itself, which the rounding
/// to 16 bits hides.
///
/// # Safety
/// None but that AVX-512 is there, as `simd` proves.
#[inline(always)]
unsafe fn short_exp2(simd: Avx512, value: __m512) -> __m512 {
    // Added to a number, it leaves the nearest whole one in the last bits.
    let magic = simd.splat(12_582_912.0);
    let value = simd.max(value, simd.splat(-126.0));
    let shifted = simd.add(value, magic);
    let fraction = simd.sub(value, simd.sub(shifted, magic));
    let mut polynomial = simd.splat(EXP2_COEFFICIENTS[0]);
    for coefficient in &EXP2_COEFFICIENTS[1..] {
        polynomial = simd.mul_add(polynomial, fraction, simd.splat(*coefficient));
    }
    // SAFETY: AVX-512 is there.
    unsafe {
        let exponent = _mm512_slli_epi32::<23>(_mm512_castps_si512(shifted));
        _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(polynomial), exponent))
    }
}

/// Writes the values of all keys, weighted, for two vectors of a head's numbers from `column` on.
///
/// # Safety
/// Tiles 0 and 1 hold sums, 4 weights, 5 and 6 values; `scratch` has the weights of the highest tile and `[n_padded / 2,
/// size]` pairs of values; `n_padded` is whole [`KEYS`], at least one, and `column` a multiple of two vectors.
#[inline(always)]
unsafe fn form_values(scratch: &Scratch, size: usize, n_padded: usize, column: usize, sums: &mut Sums) {
    // SAFETY: as promised. Tiles are used by nothing else, and no value is expected in them after this.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "2:",
            "tileloadd tmm4, [{weights} + {weights_stride} * 1]",
            "tileloadd tmm5, [{values} + {values_stride} * 1]",
            "tdpbf16ps tmm0, tmm4, tmm5",
            "tileloadd tmm6, [{values} + {values_stride} * 1 + 64]",
            "tdpbf16ps tmm1, tmm4, tmm6",
            "add {weights}, 64",
            "add {values}, {step}",
            "dec {left}",
            "jnz 2b",
            "tilestored [{sums} + {line} * 1], tmm0",
            "tilestored [{sums} + {line} * 1 + {half}], tmm1",
            weights = inout(reg) scratch.weights.as_slice().as_ptr() => _,
            weights_stride = in(reg) 2 * n_padded,
            values = inout(reg) scratch.value_pairs.as_slice().as_ptr().add(column) => _,
            values_stride = in(reg) 4 * size,
            step = in(reg) 4 * size * (KEYS / 2),
            left = inout(reg) n_padded / KEYS => _,
            sums = in(reg) sums,
            line = in(reg) 4 * COLUMNS,
            half = const 4 * COLUMNS * ROWS,
            out("tmm0") _, out("tmm1") _, out("tmm4") _, out("tmm5") _, out("tmm6") _,
            options(nostack),
        );
    }
}
