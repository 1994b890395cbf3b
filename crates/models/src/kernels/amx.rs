//! AMX: products of whole tiles of rows.
//!
//! One instruction multiplies 16 rows of 64 bytes with 64 rows of 16 columns, which takes AVX-512 some 256 byte dot
//! products. All that is no product of matrices is done as with AVX-512. The intrinsics for tiles are not stable yet, so they
//! are written as assembly.

mod attention;
mod matmul;

use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count};

pub(super) use self::attention::attend;
pub(super) use self::matmul::{LONGEST_SPAN, matmul};
use super::avx512::Avx512;

/// Rows of a tile, at most.
const ROWS: usize = 16;
/// Sums in a row of a tile.
const COLUMNS: usize = 16;
/// Bytes of a row of a tile, at most.
const ROW_BYTES: usize = 64;

/// The proof that this machine has AMX and AVX-512, and that this process may use them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Amx(Avx512);

impl Amx {
    /// Name for reports.
    pub(super) const NAME: &'static str = "amx";

    /// Looks for the instructions and asks the system for the tiles' memory.
    pub(crate) fn detect() -> Option<Self> {
        let vectors = Avx512::detect()?;
        (has_tiles() && may_use_tiles()).then_some(Self(vectors))
    }

    /// What is done in vectors.
    pub(super) fn vectors(self) -> Avx512 {
        self.0
    }
}

/// Whether the processor has tiles, of bytes and of numbers of 16 bits.
fn has_tiles() -> bool {
    const SHORTS: u32 = 1 << 22;
    const TILES: u32 = 1 << 24;
    const BYTES: u32 = 1 << 25;
    let asked = SHORTS | TILES | BYTES;
    __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & asked == asked
}

/// Asks Linux for permission, which holds for all threads of the process; it is refused where the system does not know of
/// tiles, or a thread's stack for signals has no room for them.
fn may_use_tiles() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_long = 18;
    // SAFETY: the call takes two numbers and touches no memory of ours.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

/// The shapes of the tiles, as the processor reads them.
#[repr(C, align(64))]
struct Shapes {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

impl Shapes {
    /// Rows and bytes of a row, tile by tile.
    ///
    /// # Panics
    /// When a tile is larger than tiles are.
    fn new(tiles: &[(usize, usize)]) -> Self {
        let mut shapes =
            Self { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
        assert!(tiles.len() <= 8, "there are eight tiles");
        for (tile, &(rows, bytes)) in tiles.iter().enumerate() {
            assert!(rows <= ROWS && bytes <= ROW_BYTES, "a tile has 16 rows of 64 bytes");
            shapes.rows[tile] = rows as u8;
            shapes.row_bytes[tile] = bytes as u16;
        }
        shapes
    }
}

/// Tiles of this thread in the shapes asked for, until it is dropped.
struct Tiles(());

impl Tiles {
    /// Gives the tiles their shapes. `amx` proves that there are any.
    fn of(_amx: Amx, shapes: &Shapes) -> Self {
        // SAFETY: there are tiles, and `Shapes` are within their limits.
        unsafe { asm!("ldtilecfg [{shapes}]", shapes = in(reg) shapes, options(nostack, readonly)) };
        Self(())
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: there are tiles, as for `of`, and nothing reads them any more.
        unsafe { asm!("tilerelease", options(nomem, nostack)) };
    }
}
