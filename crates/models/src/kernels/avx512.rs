//! The kernels' operations with AVX-512 and its byte dot products (VNNI).

use std::arch::x86_64::*;

use super::simd::Simd;

/// The proof that this machine has AVX-512 with VNNI.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// Looks for the instructions.
    pub(crate) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni");
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

impl Simd for Avx512 {
    const NAME: &'static str = "avx512-vnni";
    const LANES: usize = 16;
    const TAKES_ZERO_POINT: bool = false;
    const BYTE_DOTS: bool = true;
    const TILE_ROWS: usize = 6;
    const FLOAT_TILE_ROWS: usize = 6;
    type F = __m512;
    type W = __m512i;
    type A = __m512i;
    type B = __m512i;
    type Acc = __m512i;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::F {
        have!(_mm512_set1_ps(value))
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::F {
        // SAFETY: as above, and the caller promises that the numbers can be read.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: Self::F) {
        // SAFETY: as above, and the caller promises that the numbers can be written.
        unsafe { _mm512_storeu_ps(to, value) }
    }

    #[inline(always)]
    fn add(self, left: Self::F, right: Self::F) -> Self::F {
        have!(_mm512_add_ps(left, right))
    }

    #[inline(always)]
    fn sub(self, left: Self::F, right: Self::F) -> Self::F {
        have!(_mm512_sub_ps(left, right))
    }

    #[inline(always)]
    fn mul(self, left: Self::F, right: Self::F) -> Self::F {
        have!(_mm512_mul_ps(left, right))
    }

    #[inline(always)]
    fn mul_add(self, left: Self::F, right: Self::F, add: Self::F) -> Self::F {
        have!(_mm512_fmadd_ps(left, right, add))
    }

    #[inline(always)]
    fn max(self, left: Self::F, right: Self::F) -> Self::F {
        have!(_mm512_max_ps(left, right))
    }

    #[inline(always)]
    fn min(self, left: Self::F, right: Self::F) -> Self::F {
        have!(_mm512_min_ps(left, right))
    }

    #[inline(always)]
    fn sum(self, value: Self::F) -> f32 {
        have!(_mm512_reduce_add_ps(value))
    }

    #[inline(always)]
    fn largest(self, value: Self::F) -> f32 {
        have!(_mm512_reduce_max_ps(value))
    }

    #[inline(always)]
    fn round(self, value: Self::F) -> Self::F {
        have!(_mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(value))
    }

    #[inline(always)]
    fn scale_by_power(self, value: Self::F, exponent: Self::F) -> Self::F {
        have!(_mm512_scalef_ps(value, exponent))
    }

    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut i8, value: Self::F) {
        // SAFETY: as above, and the caller promises that the bytes can be written.
        unsafe { _mm_storeu_si128(to.cast(), _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(value))) }
    }

    #[inline(always)]
    fn prefetch(self, from: *const u8) {
        have!(_mm_prefetch::<_MM_HINT_T0>(from.cast()));
    }

    #[inline(always)]
    unsafe fn load_weights(self, from: *const u8) -> Self::W {
        // SAFETY: as above, and the caller promises that the bytes can be read.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    fn splat_activations(self, four: i32) -> Self::A {
        have!(_mm512_set1_epi32(four))
    }

    #[inline(always)]
    fn start<const WIDE: bool>(self, correction: i32) -> Self::Acc {
        have!(_mm512_set1_epi32(correction))
    }

    #[inline(always)]
    fn dot<const WIDE: bool>(self, acc: Self::Acc, weights: Self::W, activations: Self::A) -> Self::Acc {
        have!(_mm512_dpbusd_epi32(acc, weights, activations))
    }

    #[inline(always)]
    unsafe fn load_bytes(self, from: *const i8) -> Self::B {
        // SAFETY: as above, and the caller promises that the bytes can be read.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    fn dot_bytes(self, acc: Self::Acc, weights: Self::W, bytes: Self::B) -> Self::Acc {
        have!(_mm512_dpbusd_epi32(acc, weights, bytes))
    }

    #[inline(always)]
    fn total(self, acc: Self::Acc) -> i32 {
        have!(_mm512_reduce_add_epi32(acc))
    }

    #[inline(always)]
    fn finish<const WIDE: bool>(self, acc: Self::Acc, _correction: i32) -> Self::F {
        have!(_mm512_cvtepi32_ps(acc))
    }
}
