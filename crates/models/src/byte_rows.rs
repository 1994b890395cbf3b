//! Vectors as bytes, and exact products with many of them at a time.
//!
//! What a vector index scans is bytes, one scale a row: a quarter of `f32`, and a scan is as fast as memory. Its
//! products are exact in the bytes; what is lost is the rounding to them, whose size [`ByteQuestion::deviation`] tells,
//! so that the caller can look at the few rows that matter again, in finer numbers.

use crate::kernels::{Isa, LINE, ZERO_POINT, byte_products};

/// The largest byte, on either side of zero.
const LARGEST: f32 = 127.0;

/// Bytes that a row of `dimension` numbers takes: whole cache lines.
pub fn row_bytes(dimension: usize) -> usize {
    dimension.next_multiple_of(LINE)
}

/// Appends a row's bytes to `rows`, as many as [`row_bytes`] says, and returns its scale: what a byte less 128 is to be
/// multiplied with.
pub fn push_row(vector: &[f32], rows: &mut Vec<u8>) -> f32 {
    let scale = scale_of(vector);
    let first = rows.len();
    rows.extend(vector.iter().map(|value| (rounded(*value, scale) as i8).cast_unsigned() ^ ZERO_POINT));
    rows.resize(first + row_bytes(vector.len()), ZERO_POINT);
    scale
}

fn scale_of(vector: &[f32]) -> f32 {
    vector.iter().fold(0.0_f32, |largest, value| largest.max(value.abs())).max(f32::MIN_POSITIVE) / LARGEST
}

fn rounded(value: f32, scale: f32) -> f32 {
    (value / scale).round().clamp(-LARGEST, LARGEST)
}

/// A question as bytes, to be multiplied with rows.
#[derive(Debug, Clone)]
pub struct ByteQuestion {
    bytes: Vec<i8>,
    scale: f32,
}

impl ByteQuestion {
    /// Rounds a vector.
    pub fn new(vector: &[f32]) -> Self {
        let scale = scale_of(vector);
        let mut bytes: Vec<i8> = vector.iter().map(|value| rounded(*value, scale) as i8).collect();
        bytes.resize(row_bytes(vector.len()), 0);
        Self { bytes, scale }
    }

    /// A row that [`push_row`] made, with the scale it returned, as a question.
    pub fn of_row(row: &[u8], scale: f32) -> Self {
        Self { bytes: row.iter().map(|byte| (byte ^ ZERO_POINT).cast_signed()).collect(), scale }
    }

    /// What a product of bytes is to be multiplied with, besides the row's scale.
    pub fn scale(&self) -> f32 {
        self.scale
    }

    /// Standard deviation of what rounding adds to the dot product with a unit vector whose scale is at most
    /// `row_scale`: each number of either is off by an even draw from a step, so the variance is a twelfth of the
    /// squared steps, times the squared length of the other vector, which is 1.
    pub fn deviation(&self, row_scale: f32) -> f32 {
        ((self.scale * self.scale + row_scale * row_scale) / 12.0).sqrt()
    }
}

/// A way to multiply bytes that this machine has.
#[derive(Debug, Clone, Copy)]
pub struct ByteKernel(Isa);

impl ByteKernel {
    /// The fastest.
    pub fn new() -> Self {
        Self::available()[0]
    }

    /// All that this machine has, fastest first; the last is plain Rust.
    pub fn available() -> Vec<Self> {
        Isa::available().into_iter().map(Self).collect()
    }

    /// Name for reports.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// Writes to `out` the products of the question's bytes with the rows `ids` of `rows`.
    ///
    /// # Panics
    /// When a row is not there or `out` is not as long as `ids`.
    pub fn products(self, question: &ByteQuestion, rows: &[u8], ids: &[u32], out: &mut [i32]) {
        byte_products(self.0, &question.bytes, rows, ids, out);
    }
}

impl Default for ByteKernel {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_stay_within_what_rounding_may_add() {
        let vector = |seed: usize| -> Vec<f32> {
            let values: Vec<f32> =
                (0..100).map(|i| (((i + 1) * (seed + 3) * 7919) % 1009) as f32 - 504.0).collect();
            let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
            values.iter().map(|value| value / length).collect()
        };
        let question = vector(0);
        let asked = ByteQuestion::new(&question);
        let mut rows = Vec::new();
        let scales: Vec<f32> = (1..20).map(|seed| push_row(&vector(seed), &mut rows)).collect();
        let ids: Vec<u32> = (0..19).collect();
        for kernel in ByteKernel::available() {
            let mut products = vec![0; ids.len()];
            kernel.products(&asked, &rows, &ids, &mut products);
            for (idx, product) in products.iter().enumerate() {
                let dot = |row: &[f32]| question.iter().zip(row).map(|(a, b)| a * b).sum::<f32>();
                let exact = dot(&vector(idx + 1));
                let found = *product as f32 * asked.scale() * scales[idx];
                assert!((found - exact).abs() < 5.0 * asked.deviation(scales[idx]), "{found} for {exact}");
            }
        }
    }

    #[test]
    fn a_row_of_zeros_is_zeros() {
        let mut rows = Vec::new();
        assert!(push_row(&[0.0; 3], &mut rows) > 0.0);
        assert_eq!(rows, vec![ZERO_POINT; row_bytes(3)]);
    }
}
