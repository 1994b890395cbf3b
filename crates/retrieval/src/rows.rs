//! Vector rows as a generation keeps them: bytes to scan, numbers of 16 bits to look again.
//!
//! A scan reads every row, so rows are bytes with one scale each, a quarter of `f32`; the few that come near are compared
//! again by whole numbers of 16 bits with the same scale in finer steps. Their rounding moves a cosine by some 2e-6,
//! where half floats of the same size move it by 1e-5, which was seen in one place of a thousand. Both files are mapped by the
//! full-text engine's reader: a generation is sealed and never changes, opening one copies nothing, and what is not
//! scanned need not be in memory.

use std::path::Path;

use flightdeck_models::{ByteKernel, ByteQuestion, push_row, row_bytes};
use tantivy::directory::{Directory, OwnedBytes};

use crate::sealed::SealedDirectory;

const BYTES: &str = "vectors.u8";
const SCALES: &str = "vectors.scales";
const SHORTS: &str = "vectors.i16";
/// Fine steps in a coarse one: 127 of these are the largest number of 16 bits.
const FINE: f32 = 258.0;
/// Rows whose products are formed together: enough to make the call cheap, few enough to stay in the first cache.
const TOGETHER: usize = 512;
/// Rows from which two threads share a scan; below it starting a thread costs more than it saves.
const SHARED_FROM: usize = 150_000;
/// Rounding is allowed for up to so many standard deviations, on either of two rows that are compared.
const DEVIATIONS: f32 = 4.0;

/// Rows as they are to be written.
#[derive(Default)]
pub(crate) struct EncodedRows {
    n_rows: usize,
    bytes: Vec<u8>,
    scales: Vec<u8>,
    shorts: Vec<u8>,
}

impl EncodedRows {
    /// The rows of `[n, dimension]` numbers.
    pub fn of(rows: &[f32], dimension: usize) -> Self {
        let mut encoded = Self::default();
        for row in rows.chunks_exact(dimension.max(1)) {
            encoded.push(row);
        }
        encoded
    }

    /// Appends a row.
    pub fn push(&mut self, row: &[f32]) {
        let scale = push_row(row, &mut self.bytes);
        self.scales.extend(scale.to_le_bytes());
        // 127 * 258 = 32,766, so the conversion cuts nothing off.
        self.shorts
            .extend(row.iter().flat_map(|value| ((value / scale * FINE).round() as i16).to_le_bytes()));
        self.n_rows += 1;
    }

    /// Appends a row of another generation as it stands there.
    pub fn push_from(&mut self, rows: &Rows, row: u32) {
        let (row, n_bytes) = (row as usize, row_bytes(rows.dimension));
        self.bytes.extend_from_slice(&rows.bytes[row * n_bytes..][..n_bytes]);
        self.scales.extend(rows.scales[row].to_le_bytes());
        self.shorts.extend_from_slice(&rows.shorts[row * rows.dimension * 2..][..rows.dimension * 2]);
        self.n_rows += 1;
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.n_rows
    }

    /// The files of a generation that hold them.
    pub fn files(&self) -> [(&'static str, &[u8]); 3] {
        [(BYTES, &self.bytes), (SCALES, &self.scales), (SHORTS, &self.shorts)]
    }
}

/// The rows of an open generation.
pub(crate) struct Rows {
    dimension: usize,
    bytes: OwnedBytes,
    scales: Vec<f32>,
    largest_scale: f32,
    shorts: OwnedBytes,
    kernel: ByteKernel,
}

impl Rows {
    /// Opens the files of [`EncodedRows::files`]; an error says what does not fit.
    pub fn open(dir: &Path, dimension: usize) -> Result<Self, String> {
        let folder = SealedDirectory::open(dir).map_err(|error| error.to_string())?;
        let mapped = |name: &str| -> Result<OwnedBytes, String> {
            let file = folder.get_file_handle(Path::new(name)).map_err(|error| error.to_string())?;
            file.read_bytes(0..file.len()).map_err(|error| format!("{name}: {error}"))
        };
        let scales: Vec<f32> = mapped(SCALES)?
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().expect("chunks of four")))
            .collect();
        let (bytes, shorts) = (mapped(BYTES)?, mapped(SHORTS)?);
        let n_rows = scales.len();
        if bytes.len() != n_rows * row_bytes(dimension) || shorts.len() != n_rows * dimension * 2 {
            return Err("its parts are not of the same number of rows".to_owned());
        }
        let largest_scale = scales.iter().fold(0.0_f32, |largest, scale| largest.max(*scale));
        Ok(Self { dimension, bytes, scales, largest_scale, shorts, kernel: ByteKernel::new() })
    }

    pub fn len(&self) -> usize {
        self.scales.len()
    }

    /// The dot product of a vector and a row in its fine steps, added up in a fixed order.
    pub fn similarity(&self, question: &[f32], row: u32) -> f32 {
        const LANES: usize = 16;
        let n_bytes = self.dimension * 2;
        let shorts = &self.shorts[row as usize * n_bytes..][..n_bytes];
        let number = |pair: &[u8]| f32::from(i16::from_le_bytes([pair[0], pair[1]]));
        let mut sums = [0.0_f32; LANES];
        let (blocks, pairs) = (question.chunks_exact(LANES), shorts.chunks_exact(2 * LANES));
        let rest = blocks.remainder().iter().zip(pairs.remainder().chunks_exact(2));
        let rest: f32 = rest.map(|(value, pair)| value * number(pair)).sum();
        for (values, pairs) in blocks.zip(pairs) {
            for (lane, sum) in sums.iter_mut().enumerate() {
                *sum += values[lane] * number(&pairs[2 * lane..2 * lane + 2]);
            }
        }
        (sums.iter().sum::<f32>() + rest) * (self.scales[row as usize] / FINE)
    }

    /// The `limit` rows of the set `words` (one bit a row) nearest to the question, and those that rounding to bytes
    /// may have put behind them; in no order.
    pub fn near(&self, question: &[f32], words: &[u64], limit: usize) -> Vec<u32> {
        let asked = ByteQuestion::new(question);
        let margin = 2.0 * DEVIATIONS * asked.deviation(self.largest_scale);
        let scan = |words: &[u64], first_word: usize| {
            let mut nearest = Nearest::new(limit, margin);
            self.scan(&asked, words, first_word, &mut nearest);
            nearest.finish()
        };
        let found = if self.len() >= SHARED_FROM {
            let (low, high) = words.split_at(words.len() / 2);
            std::thread::scope(|scope| {
                let other = scope.spawn(|| scan(high, low.len()));
                let mut found = scan(low, 0);
                found.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
                let mut nearest = Nearest::new(limit, margin);
                for (row, score) in found {
                    nearest.push(row, score);
                }
                nearest.finish()
            })
        } else {
            scan(words, 0)
        };
        found.into_iter().map(|(row, _)| row).collect()
    }

    fn scan(&self, asked: &ByteQuestion, words: &[u64], first_word: usize, nearest: &mut Nearest) {
        let mut products = [0; TOGETHER];
        let mut ids: Vec<u32> = Vec::with_capacity(TOGETHER);
        let mut flush = |ids: &mut Vec<u32>| {
            let products = &mut products[..ids.len()];
            self.kernel.products(asked, &self.bytes, ids, products);
            for (&row, &product) in ids.iter().zip(&*products) {
                nearest.push(row, product as f32 * (asked.scale() * self.scales[row as usize]));
            }
            ids.clear();
        };
        for (idx, &word) in words.iter().enumerate() {
            let first = ((first_word + idx) * 64) as u32;
            if ids.len() + 64 > TOGETHER {
                flush(&mut ids);
            }
            if word == u64::MAX {
                ids.extend(first..first + 64);
            } else {
                let mut rest = word;
                while rest != 0 {
                    ids.push(first + rest.trailing_zeros());
                    rest &= rest - 1;
                }
            }
        }
        flush(&mut ids);
    }

    /// A row as a question, to compare it with others.
    pub fn question(&self, row: u32) -> ByteQuestion {
        let n_bytes = row_bytes(self.dimension);
        ByteQuestion::of_row(&self.bytes[row as usize * n_bytes..][..n_bytes], self.scales[row as usize])
    }

    /// Replaces `scores` by the products of the question with each of the rows `ids`, as exact as bytes are.
    pub fn scores(&self, asked: &ByteQuestion, ids: &[u32], scores: &mut Vec<f32>) {
        const AT_ONCE: usize = 64;
        scores.clear();
        let mut products = [0; AT_ONCE];
        for ids in ids.chunks(AT_ONCE) {
            let products = &mut products[..ids.len()];
            self.kernel.products(asked, &self.bytes, ids, products);
            scores.extend(
                ids.iter()
                    .zip(products)
                    .map(|(&row, product)| *product as f32 * (asked.scale() * self.scales[row as usize])),
            );
        }
    }
}

/// The best scores so far, and what lies within a margin behind them.
struct Nearest {
    limit: usize,
    margin: f32,
    floor: f32,
    found: Vec<(u32, f32)>,
    full: usize,
}

impl Nearest {
    fn new(limit: usize, margin: f32) -> Self {
        Self { limit, margin, floor: f32::NEG_INFINITY, found: Vec::new(), full: 4 * limit + 64 }
    }

    fn push(&mut self, row: u32, score: f32) {
        if score >= self.floor {
            self.found.push((row, score));
            if self.found.len() >= self.full {
                self.prune();
            }
        }
    }

    fn prune(&mut self) {
        if self.limit == 0 {
            self.found.clear();
        } else if self.found.len() > self.limit {
            let (_, last, _) = self.found.select_nth_unstable_by(self.limit - 1, |a, b| b.1.total_cmp(&a.1));
            self.floor = last.1 - self.margin;
            let floor = self.floor;
            self.found.retain(|(_, score)| *score >= floor);
            self.full = 2 * self.found.len() + 4 * self.limit + 64;
        }
    }

    fn finish(mut self) -> Vec<(u32, f32)> {
        self.prune();
        self.found
    }
}
