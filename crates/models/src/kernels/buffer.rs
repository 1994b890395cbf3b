//! Memory whose start is aligned to a cache line, so that a vector never lies across two.

use bytemuck::{Pod, Zeroable};

/// Bytes that memory moves at a time.
pub(super) const LINE: usize = 64;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; LINE]);

/// Numbers in aligned memory, all zero at first.
pub(crate) struct Buffer<T> {
    lines: Vec<Line>,
    length: usize,
    kind: std::marker::PhantomData<T>,
}

impl<T: Pod> Buffer<T> {
    /// `length` zeros.
    pub(crate) fn new(length: usize) -> Self {
        let mut buffer = Self { lines: Vec::new(), length: 0, kind: std::marker::PhantomData };
        buffer.grow(length);
        buffer
    }

    /// Makes room for at least `length` numbers; what was there may stay or be zero.
    pub(crate) fn grow(&mut self, length: usize) {
        if length > self.length {
            self.lines.resize((length * size_of::<T>()).div_ceil(LINE), Line::zeroed());
            self.length = length;
        }
    }

    /// The numbers.
    pub(crate) fn as_slice(&self) -> &[T] {
        &bytemuck::cast_slice(&self.lines)[..self.length]
    }

    /// The numbers, to change.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.length]
    }
}
