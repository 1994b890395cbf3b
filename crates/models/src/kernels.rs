//! The hot path in integers and vectors, one implementation per instruction set, chosen at run time.
//!
//! The only unsafe code of the project is in this module and below it. It is of three kinds: intrinsics, which need
//! nothing but that the machine has them; reads and writes through pointers in the inner loops, whose ranges the
//! functions around them assert; and the calls from here into functions compiled for an instruction set.
//!
//! What is rounded: weights to a byte, where longer spans of them share a scale than are stored; activations to a byte before each
//! product, with one scale a span; queries and keys likewise, where there are byte dot products; attention's exponential and GELU to
//! polynomials whose errors are stated where they are defined.
#![allow(unsafe_code)]
// The forced inlining is what carries the target features from the entry points below into the generic kernels.
#![allow(clippy::inline_always)]
// In a register tile the row is the name of a register in several arrays at once, not an element to visit.
#![allow(clippy::needless_range_loop)]
// Intrinsics are meant to be brought in together.
#![allow(clippy::wildcard_imports)]

/// Calls a function with the number of a tile's rows as a constant.
macro_rules! of_height {
    ($n_rows:expr, $m:ident => $call:expr) => {
        of_height!($n_rows, $m => $call, 1 2 3 4 5 6 7 8 9 10 11 12)
    };
    ($n_rows:expr, $m:ident => $call:expr, $($height:literal)*) => {
        match $n_rows {
            $($height => {
                const $m: usize = $height;
                $call
            })*
            _ => unreachable!("no instruction set has registers for more rows"),
        }
    };
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx;
mod attention;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod buffer;
mod bytes;
mod matmul;
mod pack;
mod portable;
mod rowwise;
mod simd;

use std::ops::Range;

pub(crate) use attention::{Head, Scratch};
pub(crate) use buffer::Buffer;
pub(crate) use bytes::{LINE, ZERO_POINT};
pub(crate) use matmul::Layout;
pub(crate) use pack::{Activations, PackedLinear, Packing, Span};
pub(crate) use rowwise::Blocks;

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use self::amx::Amx;
#[cfg(target_arch = "x86_64")]
use self::avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use self::avx512::Avx512;
use self::portable::Portable;
use self::simd::Simd;
use crate::bert::Norm;
use crate::weights::BLOCK;

/// Inputs that share a scale where sums are formed by byte dot products.
const LONGEST_SPAN: usize = 64;

/// An instruction set that this machine has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Isa {
    /// AMX tiles of bytes, and AVX-512 with VNNI for all that is no product of matrices.
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    Amx(Amx),
    /// AVX-512 with VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    /// AVX2 with AVX-VNNI.
    #[cfg(target_arch = "x86_64")]
    AvxVnni(Avx2<true>),
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2<false>),
    /// Plain Rust.
    Portable(Portable),
}

impl Isa {
    /// All that this machine has, fastest first; the last is always the portable one.
    pub(crate) fn available() -> Vec<Self> {
        let mut available = Vec::new();
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        available.extend(Amx::detect().map(Self::Amx));
        #[cfg(target_arch = "x86_64")]
        {
            available.extend(Avx512::detect().map(Self::Avx512));
            available.extend(Avx2::<true>::detect().map(Self::AvxVnni));
            available.extend(Avx2::<false>::detect().map(Self::Avx2));
        }
        available.push(Self::Portable(Portable));
        available
    }

    /// Name for reports.
    pub(crate) fn name(self) -> &'static str {
        fn name<S: Simd>(_: S) -> &'static str {
            S::NAME
        }
        match self {
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Amx(_) => Amx::NAME,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => name(simd),
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni(simd) => name(simd),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(simd) => name(simd),
            Self::Portable(simd) => name(simd),
        }
    }

    /// Inputs that share a scale in products with `n_inputs` of about the same size. With byte dot products, sums stay in
    /// integers over many inputs; without them they are widened after every 32 anyway.
    pub(crate) fn span(self, n_inputs: usize) -> Span {
        let mut length = match self {
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Amx(_) => amx::LONGEST_SPAN,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) | Self::AvxVnni(_) => LONGEST_SPAN,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => BLOCK,
            Self::Portable(_) => BLOCK,
        };
        while !n_inputs.is_multiple_of(length) && length > BLOCK {
            length /= 2;
        }
        Span::plain(length)
    }

    /// The same for the numbers of a state, a few of which are far larger than the rest: with 128 that are rounded as they
    /// are, the mean cosine to f32 over the golden texts of the default model is 0.9997, rotated first it is 0.9999, as it
    /// is with 32.
    pub(crate) fn state_span(self, n_inputs: usize) -> Span {
        let span = self.span(n_inputs);
        if span.length > BLOCK { Span::rotated(span.length) } else { span }
    }

    /// The form that matrices are to be packed in.
    pub(crate) fn packing(self) -> Packing {
        let signed = match self {
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Amx(_) => true,
            _ => false,
        };
        Packing { panel: self.panel(), signed }
    }

    /// Columns of a panel, two vectors.
    pub(crate) fn panel(self) -> usize {
        fn panel<S: Simd>(_: S) -> usize {
            2 * S::LANES
        }
        match self {
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Amx(amx) => panel(amx.vectors()),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => panel(simd),
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni(simd) => panel(simd),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(simd) => panel(simd),
            Self::Portable(simd) => panel(simd),
        }
    }
}

/// Defines a function that runs a generic kernel compiled for the given instruction set; on AMX, as on AVX-512 unless
/// there is one for tiles.
macro_rules! entry_point {
    (
        $(#[$doc:meta])* $name:ident => $kernel:path $(, on tiles $tiles:path)?,
        ($($argument:ident: $kind:ty),* $(,)?)
    ) => {
        $(#[$doc])*
        pub(crate) fn $name(isa: Isa, $($argument: $kind),*) {
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
            fn amx(simd: Amx, $($argument: $kind),*) {
                entry_point!(@amx simd, [$($tiles)?] $kernel, ($($argument),*));
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
            fn avx512(simd: Avx512, $($argument: $kind),*) {
                $kernel(simd, $($argument),*);
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,avxvnni")]
            fn avx_vnni(simd: Avx2<true>, $($argument: $kind),*) {
                $kernel(simd, $($argument),*);
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2(simd: Avx2<false>, $($argument: $kind),*) {
                $kernel(simd, $($argument),*);
            }
            match isa {
                // SAFETY: the value is only made where these features were detected, with AVX-512.
                #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
                Isa::Amx(simd) => unsafe { amx(simd, $($argument),*) },
                // SAFETY: the value is only made where these features were detected (FMA and AVX2 come with AVX-512).
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512(simd) => unsafe { avx512(simd, $($argument),*) },
                // SAFETY: the value is only made where these features were detected.
                #[cfg(target_arch = "x86_64")]
                Isa::AvxVnni(simd) => unsafe { avx_vnni(simd, $($argument),*) },
                // SAFETY: the value is only made where these features were detected.
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2(simd) => unsafe { avx2(simd, $($argument),*) },
                Isa::Portable(simd) => $kernel(simd, $($argument),*),
            }
        }
    };
    (@amx $simd:ident, [] $kernel:path, ($($argument:ident),*)) => { $kernel($simd.vectors(), $($argument),*) };
    (@amx $simd:ident, [$tiles:path] $kernel:path, ($($argument:ident),*)) => { $tiles($simd, $($argument),*) };
}

entry_point!(
    /// `out = input[rows] * weights[panels] + bias`; the ranges' firsts are row and column 0 of `out`.
    linear => matmul::matmul::<_, false>, on tiles amx::matmul::<false>,
    (
        input: &Activations,
        rows: Range<usize>,
        weights: &PackedLinear,
        panels: Range<usize>,
        out: &mut [f32],
        layout: Layout,
    )
);

entry_point!(
    /// As [`linear`], followed by GELU.
    linear_gelu => matmul::matmul::<_, true>, on tiles amx::matmul::<true>,
    (
        input: &Activations,
        rows: Range<usize>,
        weights: &PackedLinear,
        panels: Range<usize>,
        out: &mut [f32],
        layout: Layout,
    )
);

entry_point!(
    /// Layer normalisation of `state` plus `add`, kept in `state` and as bytes in `out` from `out_row` on.
    normalise => rowwise::normalise,
    (
        state: &mut [f32],
        add: Option<Blocks<'_>>,
        norm: &Norm,
        epsilon: f32,
        out: &mut Activations,
        out_row: usize,
    )
);

entry_point!(
    /// Rounds rows to bytes, into the rows `out_rows` of `out`.
    quantise => rowwise::quantise,
    (values: Blocks<'_>, out: &mut Activations, out_rows: Range<usize>)
);

entry_point!(
    /// Turns queries or keys of consecutive tokens, `size` numbers each, by rotary positions' cosines and sines.
    turn => rowwise::turn,
    (rows: &mut [f32], size: usize, cosines: &[f32], sines: &[f32])
);

entry_point!(
    /// Multiplies each number with the one of `factors` at its place.
    multiply_each => rowwise::multiply_each,
    (values: &mut [f32], factors: &[f32])
);

entry_point!(
    /// Attention of one text and one head; the rows of `out` are `out_stride` apart.
    attend => attention::attend, on tiles amx::attend,
    (head: Head<'_>, scratch: &mut Scratch, out: &mut [f32], out_stride: usize)
);

entry_point!(
    /// The products of one row of signed bytes with rows of bytes above a zero point of 128.
    byte_products => bytes::products,
    (question: &[i8], rows: &[u8], ids: &[u32], out: &mut [i32])
);

#[cfg(test)]
mod tests;
