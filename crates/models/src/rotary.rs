//! Rotary positions: what says where in a text a token stands by turning its queries and keys.

use candle_core::{D, Device, Tensor};

/// Cosines and sines of the angles of each position. Number `i` of a head turns with number `i + half`.
pub(crate) struct Rotary {
    /// Half the size of a head.
    half: usize,
    /// `[n_positions, half]`.
    cosines: Vec<f32>,
    /// `[n_positions, half]`.
    sines: Vec<f32>,
}

impl Rotary {
    /// Angles of positions up to `n_positions`; each of `frequencies`, in radians a position, is that of one pair of a
    /// head's numbers.
    pub(crate) fn new(frequencies: &[f64], n_positions: usize) -> Self {
        let angles = (0..n_positions)
            .flat_map(|position| frequencies.iter().map(move |frequency| position as f64 * frequency));
        let (cosines, sines) = angles.map(|angle| (angle.cos() as f32, angle.sin() as f32)).unzip();
        Self { half: frequencies.len(), cosines, sines }
    }

    /// Frequencies that fall from 1 to nearly `1 / theta`, for heads of `size` numbers.
    pub(crate) fn frequencies(size: usize, theta: f64) -> Vec<f64> {
        (0..size / 2).map(|i| theta.powf(-2.0 * i as f64 / size as f64)).collect()
    }

    /// Cosines and sines of the first `n_tokens` positions, each `[n_tokens, half]`.
    pub(crate) fn first(&self, n_tokens: usize) -> (&[f32], &[f32]) {
        let end = n_tokens * self.half;
        (&self.cosines[..end], &self.sines[..end])
    }

    /// Turns queries or keys, `[n_heads, n_tokens, size]`.
    pub(crate) fn turn(&self, heads: &Tensor) -> candle_core::Result<Tensor> {
        let (_, n_tokens, _) = heads.dims3()?;
        let (cosines, sines) = self.first(n_tokens);
        let cosines = Tensor::from_slice(cosines, (n_tokens, self.half), &Device::Cpu)?;
        let sines = Tensor::from_slice(sines, (n_tokens, self.half), &Device::Cpu)?;
        let (first, second) =
            (heads.narrow(D::Minus1, 0, self.half)?, heads.narrow(D::Minus1, self.half, self.half)?);
        let turned_first = (first.broadcast_mul(&cosines)? - second.broadcast_mul(&sines)?)?;
        let turned_second = (second.broadcast_mul(&cosines)? + first.broadcast_mul(&sines)?)?;
        Tensor::cat(&[turned_first, turned_second], D::Minus1)
    }
}
