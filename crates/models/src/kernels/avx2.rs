//! The kernels' operations with AVX2 and FMA, with or without byte dot products (AVX-VNNI).
//!
//! Without them, `vpmaddubsw` multiplies unsigned by signed bytes and adds pairs into 16 bits. Weights below 16 times
//! activations up to 127 leave room for a whole block of 32 in those 16 bits (8 * 2 * 15 * 127 = 30,480), so they
//! are widened once a block. Weights of a whole byte would overflow: there the weight's zero point is taken away
//! first, its sign is moved to the activation, and every step is widened.

use std::arch::x86_64::*;

use super::simd::Simd;

/// The proof that this machine has AVX2 and FMA, and AVX-VNNI if `VNNI`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2<const VNNI: bool>(());

impl Avx2<false> {
    /// Looks for the instructions.
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
    }
}

impl Avx2<true> {
    /// Looks for the instructions.
    pub(crate) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("avxvnni");
        found.then_some(Self(()))
    }
}

/// Runs intrinsics that need nothing but the instructions.
macro_rules! have {
    ($operation:expr) => {
        // SAFETY: `self` is only made by `detect`, so this machine has the instructions.
        unsafe { $operation }
    };
}

impl<const VNNI: bool> Simd for Avx2<VNNI> {
    const NAME: &'static str = if VNNI { "avx-vnni" } else { "avx2" };
    const LANES: usize = 8;
    const TAKES_ZERO_POINT: bool = !VNNI;
    const BYTE_DOTS: bool = VNNI;
    const TILE_ROWS: usize = if VNNI { 6 } else { 3 };
    const FLOAT_TILE_ROWS: usize = 3;
    type F = __m256;
    type W = __m256i;
    type A = __m256i;
    type B = __m256i;
    type Acc = __m256i;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::F {
        have!(_mm256_set1_ps(value))
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::F {
        // SAFETY: as above, and the caller promises that the numbers can be read.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: Self::F) {
        // SAFETY: as above, and the caller promises that the numbers can be written.
        unsafe { _mm256_storeu_ps(to, value) }
    }

    #[inline(always)]
    fn add(self, left: Self::F, right: Self::F) -> Self::F {
        have!(_mm256_add_ps(left, right))
    }

    #[inline(always)]
    fn sub(self, left: Self::F, right: Self::F) -> Self::F {
        have!(_mm256_sub_ps(left, right))
    }

    #[inline(always)]
    fn mul(self, left: Self::F, right: Self::F) -> Self::F {
        have!(_mm256_mul_ps(left, right))
    }

    #[inline(always)]
    fn mul_add(self, left: Self::F, right: Self::F, add: Self::F) -> Self::F {
        have!(_mm256_fmadd_ps(left, right, add))
    }

    #[inline(always)]
    fn max(self, left: Self::F, right: Self::F) -> Self::F {
        have!(_mm256_max_ps(left, right))
    }

    #[inline(always)]
    fn min(self, left: Self::F, right: Self::F) -> Self::F {
        have!(_mm256_min_ps(left, right))
    }

    #[inline(always)]
    fn sum(self, value: Self::F) -> f32 {
        let mut lanes = [0.0; 8];
        // SAFETY: the array has room for the vector.
        unsafe { self.store(lanes.as_mut_ptr(), value) };
        let (low, high) = lanes.split_at(4);
        let pair = |idx: usize| low[idx] + high[idx];
        (pair(0) + pair(2)) + (pair(1) + pair(3))
    }

    #[inline(always)]
    fn largest(self, value: Self::F) -> f32 {
        let mut lanes = [0.0; 8];
        // SAFETY: the array has room for the vector.
        unsafe { self.store(lanes.as_mut_ptr(), value) };
        lanes.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }

    #[inline(always)]
    fn round(self, value: Self::F) -> Self::F {
        have!(_mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(value))
    }

    #[inline(always)]
    fn scale_by_power(self, value: Self::F, exponent: Self::F) -> Self::F {
        have!({
            let biased = _mm256_add_epi32(_mm256_cvtps_epi32(exponent), _mm256_set1_epi32(127));
            _mm256_mul_ps(value, _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased)))
        })
    }

    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut i8, value: Self::F) {
        // SAFETY: as above, and the caller promises that the eight bytes can be written.
        unsafe {
            let whole = _mm256_cvtps_epi32(value);
            let halves = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256::<1>(whole));
            _mm_storel_epi64(to.cast(), _mm_packs_epi16(halves, halves));
        }
    }

    #[inline(always)]
    fn prefetch(self, from: *const u8) {
        have!(_mm_prefetch::<_MM_HINT_T0>(from.cast()));
    }

    #[inline(always)]
    unsafe fn load_weights(self, from: *const u8) -> Self::W {
        // SAFETY: as above, and the caller promises that the bytes can be read.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    fn splat_activations(self, four: i32) -> Self::A {
        have!(_mm256_set1_epi32(four))
    }

    #[inline(always)]
    fn start<const WIDE: bool>(self, correction: i32) -> Self::Acc {
        // Sums of 16 bits have no room for it, and signed weights need none.
        if VNNI { have!(_mm256_set1_epi32(correction)) } else { have!(_mm256_setzero_si256()) }
    }

    #[inline(always)]
    fn dot<const WIDE: bool>(self, acc: Self::Acc, weights: Self::W, activations: Self::A) -> Self::Acc {
        if VNNI {
            have!(_mm256_dpbusd_avx_epi32(acc, weights, activations))
        } else if WIDE {
            have!({
                let signed = _mm256_xor_si256(weights, _mm256_set1_epi8(-128));
                let pairs =
                    _mm256_maddubs_epi16(_mm256_abs_epi8(signed), _mm256_sign_epi8(activations, signed));
                _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
            })
        } else {
            have!(_mm256_add_epi16(acc, _mm256_maddubs_epi16(weights, activations)))
        }
    }

    #[inline(always)]
    unsafe fn load_bytes(self, from: *const i8) -> Self::B {
        // SAFETY: as above, and the caller promises that the bytes can be read.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    fn dot_bytes(self, acc: Self::Acc, weights: Self::W, bytes: Self::B) -> Self::Acc {
        self.dot::<true>(acc, weights, bytes)
    }

    #[inline(always)]
    fn total(self, acc: Self::Acc) -> i32 {
        have!({
            let halves = _mm_add_epi32(_mm256_castsi256_si128(acc), _mm256_extracti128_si256::<1>(acc));
            let pairs = _mm_add_epi32(halves, _mm_shuffle_epi32::<0b00_00_11_10>(halves));
            _mm_cvtsi128_si32(_mm_add_epi32(pairs, _mm_shuffle_epi32::<0b00_00_00_01>(pairs)))
        })
    }

    #[inline(always)]
    fn finish<const WIDE: bool>(self, acc: Self::Acc, correction: i32) -> Self::F {
        if VNNI || WIDE {
            have!(_mm256_cvtepi32_ps(acc))
        } else {
            have!({
                let sums = _mm256_madd_epi16(acc, _mm256_set1_epi16(1));
                _mm256_cvtepi32_ps(_mm256_add_epi32(sums, _mm256_set1_epi32(correction)))
            })
        }
    }
}
