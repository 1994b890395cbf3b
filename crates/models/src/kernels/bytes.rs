//! Products of bytes with bytes: one question with many rows.
//!
//! A scan reads each row once, so its speed is that of memory; what the arithmetic must do is keep up. Four rows go
//! together, so that the instructions of one need not wait for those of another.

use super::simd::Simd;

/// What every row's length is a multiple of, in bytes: the longest vector.
pub(crate) const LINE: usize = 64;
/// A row's weight of zero.
pub(crate) const ZERO_POINT: u8 = 128;
/// Rows in work at the same time.
const TOGETHER: usize = 4;

/// Writes to `out` the exact products of `question` with the rows `ids` of `rows`, which are as long as it is and lie
/// one after the other. Bytes of rows are 1 to 255, [`ZERO_POINT`] for zero.
///
/// # Panics
/// When a row does not exist or the sizes do not fit each other.
#[inline(always)]
pub(super) fn products<S: Simd>(simd: S, question: &[i8], rows: &[u8], ids: &[u32], out: &mut [i32]) {
    let length = question.len();
    assert!(length > 0 && length.is_multiple_of(LINE), "rows are whole lines");
    assert!(ids.len() == out.len(), "a product for every row");
    let n_rows = rows.len() / length;
    assert!(ids.iter().all(|&id| (id as usize) < n_rows), "every row is there");
    let correction = if S::TAKES_ZERO_POINT {
        0
    } else {
        i32::from(ZERO_POINT) * question.iter().map(|&byte| i32::from(byte)).sum::<i32>()
    };
    let whole = ids.len() - ids.len() % TOGETHER;
    for first in (0..whole).step_by(TOGETHER) {
        // SAFETY: the assertions above hold for every row and every product.
        unsafe { some::<S, TOGETHER>(simd, question, rows, ids, first, correction, out) }
    }
    for first in whole..ids.len() {
        // SAFETY: as above.
        unsafe { some::<S, 1>(simd, question, rows, ids, first, correction, out) }
    }
}

/// `N` products from `first` on.
///
/// # Safety
/// `ids` and `out` have the `N` entries from `first` on, `rows` has the rows, and their length is a multiple of
/// [`LINE`], which every vector's is a divisor of.
#[inline(always)]
unsafe fn some<S: Simd, const N: usize>(
    simd: S,
    question: &[i8],
    rows: &[u8],
    ids: &[u32],
    first: usize,
    correction: i32,
    out: &mut [i32],
) {
    let length = question.len();
    // SAFETY: by the promises above, every offset lies within its row.
    unsafe {
        let mut places = [rows.as_ptr(); N];
        for n in 0..N {
            places[n] = rows.as_ptr().add(*ids.get_unchecked(first + n) as usize * length);
        }
        let mut acc = [simd.start::<true>(0); N];
        for offset in (0..length).step_by(4 * S::LANES) {
            let bytes = simd.load_bytes(question.as_ptr().add(offset));
            for n in 0..N {
                acc[n] = simd.dot_bytes(acc[n], simd.load_weights(places[n].add(offset)), bytes);
            }
        }
        for n in 0..N {
            *out.get_unchecked_mut(first + n) = simd.total(acc[n]) - correction;
        }
    }
}
