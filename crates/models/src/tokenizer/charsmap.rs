//! `SentencePiece`'s "precompiled" normalisation map: a double-array trie from UTF-8 keys to replacement texts.
//!
//! The map is what makes token ids right on everyday Chinese text: it is *not* NFKC. XLM-R's keeps `～` (U+FF5E)
//! as it is, deletes control characters and turns zero-width ones into spaces. The layout is that of darts-clone
//! as `SentencePiece` stores it: `u32` size of the trie in bytes, the trie as little-endian `u32` units, then the
//! replacement texts, each ended by a NUL. A unit holds, from the low bits up: the label (8 bits), "has a leaf"
//! (bit 8), "offset is in steps of 256" (bit 9) and the offset to its children (bits 10 to 30); a leaf is marked
//! by bit 31 and holds the position of its replacement.

use std::collections::BTreeMap;

const HAS_LEAF: u32 = 1 << 8;
const WIDE_OFFSET: u32 = 1 << 9;
const LEAF: u32 = 1 << 31;
const MAX_NARROW_OFFSET: usize = 1 << 21;

/// A normalisation map that is ready for look-ups.
pub(crate) struct Charsmap {
    units: Vec<u32>,
    replacements: String,
}

impl Charsmap {
    /// Reads the bytes that [`build`] or `SentencePiece` made. `None` where they are cut short or not UTF-8.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (size, rest) = bytes.split_first_chunk::<4>()?;
        let (trie, replacements) = rest.split_at_checked(u32::from_le_bytes(*size) as usize)?;
        let units: Vec<u32> = trie
            .chunks_exact(4)
            .map(|unit| u32::from_le_bytes([unit[0], unit[1], unit[2], unit[3]]))
            .collect();
        if units.is_empty() {
            return None;
        }
        Some(Self { units, replacements: String::from_utf8(replacements.to_vec()).ok()? })
    }

    /// The longest key at the start of `text`: its length in bytes and what replaces it.
    pub(crate) fn longest_match(&self, text: &str) -> Option<(usize, &str)> {
        let mut found = None;
        let mut unit = *self.units.first()?;
        let mut position = offset_of(unit);
        for (idx, &byte) in text.as_bytes().iter().enumerate() {
            position ^= byte as usize;
            let Some(&next) = self.units.get(position) else { break };
            unit = next;
            if byte == 0 || unit & (LEAF | 0xff) != u32::from(byte) {
                break;
            }
            position ^= offset_of(unit);
            if unit & HAS_LEAF != 0
                && let Some(&leaf) = self.units.get(position)
            {
                found = Some((idx + 1, (leaf & !LEAF) as usize));
            }
        }
        let (length, start) = found?;
        if !text.is_char_boundary(length) {
            return None;
        }
        let rest = self.replacements.get(start..)?;
        Some((length, rest.split('\0').next().unwrap_or(rest)))
    }
}

fn offset_of(unit: u32) -> usize {
    ((unit >> 10) << ((unit & WIDE_OFFSET) >> 6)) as usize
}

/// One node of the plain trie the double array is made of.
#[derive(Default)]
struct Node {
    children: BTreeMap<u8, Node>,
    leaf: Option<u32>,
}

/// Writes a map in the layout described above. Keys must not be empty nor hold a NUL.
pub(crate) fn build(map: &BTreeMap<String, String>) -> Vec<u8> {
    let mut replacements = String::new();
    let mut starts: BTreeMap<&str, u32> = BTreeMap::new();
    let mut root = Node::default();
    for (key, replacement) in map {
        let start = *starts.entry(replacement).or_insert_with(|| {
            let start = replacements.len() as u32;
            replacements.push_str(replacement);
            replacements.push('\0');
            start
        });
        let mut node = &mut root;
        for &byte in key.as_bytes() {
            node = node.children.entry(byte).or_default();
        }
        node.leaf = Some(start);
    }
    let mut array = DoubleArray::default();
    array.place(&root, 0, 0);
    let mut bytes = Vec::with_capacity(4 + array.units.len() * 4 + replacements.len());
    bytes.extend_from_slice(&((array.units.len() * 4) as u32).to_le_bytes());
    for unit in &array.units {
        bytes.extend_from_slice(&unit.to_le_bytes());
    }
    bytes.extend_from_slice(replacements.as_bytes());
    bytes
}

/// The double array while it grows. Two nodes never share a base: otherwise the children of one would be found
/// under the other, since a unit's label is all that a look-up checks.
#[derive(Default)]
struct DoubleArray {
    units: Vec<u32>,
    taken: Vec<bool>,
    base_taken: Vec<bool>,
}

impl DoubleArray {
    fn place(&mut self, node: &Node, position: usize, label: u8) {
        self.reserve(position);
        self.taken[position] = true;
        let mut unit = u32::from(label);
        if !node.children.is_empty() || node.leaf.is_some() {
            let base = self.free_base(node, position);
            self.base_taken[base] = true;
            unit |= encode_offset(position ^ base);
            for &child_label in node.children.keys() {
                self.reserve(base ^ child_label as usize);
                self.taken[base ^ child_label as usize] = true;
            }
            if let Some(start) = node.leaf {
                unit |= HAS_LEAF;
                self.taken[base] = true;
                self.units[base] = LEAF | start;
            }
            for (&child_label, child) in &node.children {
                self.place(child, base ^ child_label as usize, child_label);
            }
        }
        self.units[position] = unit;
    }

    fn free_base(&mut self, node: &Node, position: usize) -> usize {
        (1..MAX_NARROW_OFFSET)
            .find(|&base| {
                self.reserve(base);
                !self.base_taken[base]
                    && (position ^ base) < MAX_NARROW_OFFSET
                    && (node.leaf.is_none() || !self.taken[base])
                    && node.children.keys().all(|&label| !self.taken[base ^ label as usize])
            })
            .expect("a map of single characters is far smaller than the offsets allow")
    }

    /// Makes the whole block of 256 units that `position` lies in exist.
    fn reserve(&mut self, position: usize) {
        let needed = (position | 0xff) + 1;
        if self.units.len() < needed {
            self.units.resize(needed, 0);
            self.taken.resize(needed, false);
            self.base_taken.resize(needed, false);
        }
    }
}

fn encode_offset(offset: usize) -> u32 {
    assert!(offset < MAX_NARROW_OFFSET, "the search accepts no base whose offset needs the wide form");
    (offset as u32) << 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_finds_its_replacement_and_nothing_else_matches() {
        let map: BTreeMap<String, String> =
            [("Ａ", "A"), ("㎡", "m2"), ("\u{1}", ""), ("…", "..."), ("é", "é"), ("e", "E")]
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect();
        let charsmap = Charsmap::parse(&build(&map)).expect("the bytes were just built");
        for (key, value) in &map {
            assert_eq!(charsmap.longest_match(key), Some((key.len(), value.as_str())));
        }
        for other in ["～", "a", "中", "Ｂ", "", "\u{2}"] {
            assert_eq!(charsmap.longest_match(other), None, "{other:?}");
        }
    }

    #[test]
    fn damaged_bytes_are_refused_or_match_nothing() {
        assert!(Charsmap::parse(&[1, 2]).is_none());
        assert!(Charsmap::parse(&[255, 0, 0, 0, 1]).is_none());
        let mut bytes = build(&[("中".to_owned(), "x".to_owned())].into());
        for idx in 4..bytes.len() {
            bytes[idx] ^= 0xff;
            if let Some(charsmap) = Charsmap::parse(&bytes) {
                let _ = charsmap.longest_match("中文");
            }
            bytes[idx] ^= 0xff;
        }
    }
}
