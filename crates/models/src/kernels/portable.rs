//! The kernels' operations in plain Rust, for machines without an instruction set of their own here.

use super::simd::Simd;

const LANES: usize = 8;

/// Plain Rust; always available.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Portable;

#[inline(always)]
fn each(left: [f32; LANES], right: [f32; LANES], operation: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    let mut result = left;
    for (value, right) in result.iter_mut().zip(right) {
        *value = operation(*value, right);
    }
    result
}

impl Simd for Portable {
    const NAME: &'static str = "portable-int8";
    const LANES: usize = LANES;
    const TAKES_ZERO_POINT: bool = false;
    const BYTE_DOTS: bool = false;
    const TILE_ROWS: usize = 2;
    const FLOAT_TILE_ROWS: usize = 2;
    type F = [f32; LANES];
    type W = [u8; 4 * LANES];
    type A = [i8; 4];
    type B = [i8; 4 * LANES];
    type Acc = [i32; LANES];

    #[inline(always)]
    fn splat(self, value: f32) -> Self::F {
        [value; LANES]
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::F {
        // SAFETY: the caller promises that these numbers can be read; the address need not be aligned to the array.
        unsafe { from.cast::<Self::F>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: Self::F) {
        // SAFETY: the caller promises that these numbers can be written.
        unsafe { to.cast::<Self::F>().write_unaligned(value) }
    }

    #[inline(always)]
    fn add(self, left: Self::F, right: Self::F) -> Self::F {
        each(left, right, |left, right| left + right)
    }

    #[inline(always)]
    fn sub(self, left: Self::F, right: Self::F) -> Self::F {
        each(left, right, |left, right| left - right)
    }

    #[inline(always)]
    fn mul(self, left: Self::F, right: Self::F) -> Self::F {
        each(left, right, |left, right| left * right)
    }

    #[inline(always)]
    fn mul_add(self, left: Self::F, right: Self::F, add: Self::F) -> Self::F {
        // Not `f32::mul_add`: without the instruction that is a slow library call.
        each(each(left, right, |left, right| left * right), add, |product, add| product + add)
    }

    #[inline(always)]
    fn max(self, left: Self::F, right: Self::F) -> Self::F {
        each(left, right, |left, right| if left > right { left } else { right })
    }

    #[inline(always)]
    fn min(self, left: Self::F, right: Self::F) -> Self::F {
        each(left, right, |left, right| if left < right { left } else { right })
    }

    #[inline(always)]
    fn sum(self, value: Self::F) -> f32 {
        value.iter().sum()
    }

    #[inline(always)]
    fn largest(self, value: Self::F) -> f32 {
        value.into_iter().fold(f32::NEG_INFINITY, |most, value| if value > most { value } else { most })
    }

    #[inline(always)]
    fn round(self, value: Self::F) -> Self::F {
        // Adding and taking away 1.5 * 2^23 leaves the nearest whole number for what is within 2^22 of zero, which
        // holds for all that is rounded here; `f32::round` would be a library call.
        const MAGIC: f32 = 12_582_912.0;
        each(value, value, |value, _| (value + MAGIC) - MAGIC)
    }

    #[inline(always)]
    fn scale_by_power(self, value: Self::F, exponent: Self::F) -> Self::F {
        each(value, exponent, |value, exponent| {
            value * f32::from_bits(((exponent as i32 + 127) << 23).cast_unsigned())
        })
    }

    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut i8, value: Self::F) {
        let mut bytes = [0; LANES];
        for (byte, value) in bytes.iter_mut().zip(self.round(value)) {
            *byte = value as i8;
        }
        // SAFETY: the caller promises that these bytes can be written.
        unsafe { to.cast::<[i8; LANES]>().write_unaligned(bytes) }
    }

    #[inline(always)]
    fn prefetch(self, _from: *const u8) {}

    #[inline(always)]
    unsafe fn load_weights(self, from: *const u8) -> Self::W {
        // SAFETY: the caller promises that these bytes can be read.
        unsafe { from.cast::<Self::W>().read_unaligned() }
    }

    #[inline(always)]
    fn splat_activations(self, four: i32) -> Self::A {
        four.to_ne_bytes().map(u8::cast_signed)
    }

    #[inline(always)]
    fn start<const WIDE: bool>(self, correction: i32) -> Self::Acc {
        [correction; LANES]
    }

    #[inline(always)]
    fn dot<const WIDE: bool>(self, acc: Self::Acc, weights: Self::W, activations: Self::A) -> Self::Acc {
        let mut acc = acc;
        for (lane, sum) in acc.iter_mut().enumerate() {
            for (idx, activation) in activations.iter().enumerate() {
                *sum += i32::from(i16::from(weights[4 * lane + idx]) * i16::from(*activation));
            }
        }
        acc
    }

    #[inline(always)]
    unsafe fn load_bytes(self, from: *const i8) -> Self::B {
        // SAFETY: the caller promises that these bytes can be read.
        unsafe { from.cast::<Self::B>().read_unaligned() }
    }

    #[inline(always)]
    fn dot_bytes(self, acc: Self::Acc, weights: Self::W, bytes: Self::B) -> Self::Acc {
        let mut acc = acc;
        for (lane, sum) in acc.iter_mut().enumerate() {
            for idx in 4 * lane..4 * lane + 4 {
                *sum += i32::from(i16::from(weights[idx]) * i16::from(bytes[idx]));
            }
        }
        acc
    }

    #[inline(always)]
    fn total(self, acc: Self::Acc) -> i32 {
        acc.iter().sum()
    }

    #[inline(always)]
    fn finish<const WIDE: bool>(self, acc: Self::Acc, _correction: i32) -> Self::F {
        acc.map(|sum| sum as f32)
    }
}
