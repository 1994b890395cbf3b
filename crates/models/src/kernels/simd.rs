//! The operations on vectors that the kernels are written in, once for every instruction set.
//!
//! A kernel is a generic, always-inlined function over [`Simd`]; `super` calls it from one function per
//! instruction set that has the needed target features switched on, so that everything is compiled with them. A
//! value that implements [`Simd`] is the proof that this machine has the instructions: it is only made after
//! detection. To add an instruction set (NEON with dot products, say), implement this trait and list it in
//! `super::Isa`.

/// The height of the next tile where `n_left` rows are left: tiles of about the same height, since a last one of a row or two
/// would do little but wait for its weights.
pub(crate) fn tile_height(n_left: usize, most: usize) -> usize {
    n_left.div_ceil(n_left.div_ceil(most))
}

/// Vectors of one instruction set: `f32` lanes, and dot products of four bytes into each lane.
pub(crate) trait Simd: Copy + Send + Sync + 'static {
    /// Name for reports.
    const NAME: &'static str;
    /// Numbers in a vector.
    const LANES: usize;
    /// Whether [`Self::dot`] and [`Self::dot_bytes`] of whole bytes take the weights' zero point away themselves.
    const TAKES_ZERO_POINT: bool;
    /// Whether four products of bytes are added to a lane in one instruction.
    const BYTE_DOTS: bool;
    /// Rows of a register tile of bytes' products (it is two vectors wide).
    const TILE_ROWS: usize;
    /// Rows of a register tile of numbers' products.
    const FLOAT_TILE_ROWS: usize;
    /// A vector of `f32`.
    type F: Copy;
    /// A vector of weights: for each lane, four unsigned bytes.
    type W: Copy;
    /// Four signed activations, in every lane.
    type A: Copy;
    /// A vector of signed bytes: four in every lane.
    type B: Copy;
    /// Sums of products while a block of 32 is worked through.
    type Acc: Copy;

    /// The same number in every lane.
    fn splat(self, value: f32) -> Self::F;
    /// Reads a vector.
    ///
    /// # Safety
    /// `LANES` numbers can be read from `from`.
    unsafe fn load(self, from: *const f32) -> Self::F;
    /// Writes a vector.
    ///
    /// # Safety
    /// `LANES` numbers can be written to `to`.
    unsafe fn store(self, to: *mut f32, value: Self::F);
    /// `left + right`.
    fn add(self, left: Self::F, right: Self::F) -> Self::F;
    /// `left - right`.
    fn sub(self, left: Self::F, right: Self::F) -> Self::F;
    /// `left * right`.
    fn mul(self, left: Self::F, right: Self::F) -> Self::F;
    /// `left * right + add`.
    fn mul_add(self, left: Self::F, right: Self::F, add: Self::F) -> Self::F;
    /// The larger of each lane.
    fn max(self, left: Self::F, right: Self::F) -> Self::F;
    /// The smaller of each lane.
    fn min(self, left: Self::F, right: Self::F) -> Self::F;
    /// The sum of all lanes.
    fn sum(self, value: Self::F) -> f32;
    /// The largest lane.
    fn largest(self, value: Self::F) -> f32;
    /// The nearest whole number.
    fn round(self, value: Self::F) -> Self::F;
    /// `value * 2^exponent` for whole exponents from -126 to 127.
    fn scale_by_power(self, value: Self::F, exponent: Self::F) -> Self::F;
    /// Writes the lanes, which lie between -127 and 127, as the nearest bytes.
    ///
    /// # Safety
    /// `LANES` bytes can be written to `to`.
    unsafe fn store_bytes(self, to: *mut i8, value: Self::F);

    /// Asks for what lies at `from`, which is never read, to be brought nearer.
    fn prefetch(self, from: *const u8);

    /// Reads a vector of weights.
    ///
    /// # Safety
    /// `4 * LANES` bytes can be read from `from`.
    unsafe fn load_weights(self, from: *const u8) -> Self::W;
    /// Four activations in every lane.
    fn splat_activations(self, four: i32) -> Self::A;
    /// Starts the sums of a block. `correction` must be in the final sum once.
    fn start<const WIDE: bool>(self, correction: i32) -> Self::Acc;
    /// Adds four products to every lane. Weights are below 16, or any byte if `WIDE`.
    fn dot<const WIDE: bool>(self, acc: Self::Acc, weights: Self::W, activations: Self::A) -> Self::Acc;
    /// Reads a vector of signed bytes.
    ///
    /// # Safety
    /// `4 * LANES` bytes can be read from `from`.
    unsafe fn load_bytes(self, from: *const i8) -> Self::B;
    /// Adds four products to every lane: `bytes` with `weights`, which are any bytes above a zero point of 128.
    fn dot_bytes(self, acc: Self::Acc, weights: Self::W, bytes: Self::B) -> Self::Acc;
    /// The sum of all lanes.
    fn total(self, acc: Self::Acc) -> i32;
    /// The sums of a block, with `correction` in them once.
    fn finish<const WIDE: bool>(self, acc: Self::Acc, correction: i32) -> Self::F;
}
