//! A trie over characters in one hash table, for finding every vocabulary piece that starts at a place.
//!
//! The table maps (node, character) to the next node. Building it from 76,000 pieces takes some ten milliseconds
//! and five megabytes, which is why the model starts fast; a double array would look up a little faster and take
//! far longer to build at every start.

use rustc_hash::FxHashMap;

const NO_PIECE: u32 = u32::MAX;

/// The pieces of a vocabulary by prefix.
pub(crate) struct Trie {
    children: FxHashMap<u64, u32>,
    piece_of_node: Vec<u32>,
}

impl Trie {
    /// A trie of `pieces`; a piece's id is its place in the slice. Of equal pieces the last wins.
    pub(crate) fn new<'a>(pieces: impl ExactSizeIterator<Item = &'a str>) -> Self {
        let mut trie = Self { children: FxHashMap::default(), piece_of_node: vec![NO_PIECE] };
        trie.children.reserve(pieces.len() * 2);
        for (id, piece) in pieces.enumerate() {
            let mut node = 0;
            for character in piece.chars() {
                let next = trie.piece_of_node.len() as u32;
                let child = *trie.children.entry(key(node, character)).or_insert(next);
                if child == next {
                    trie.piece_of_node.push(NO_PIECE);
                }
                node = child;
            }
            trie.piece_of_node[node as usize] = id as u32;
        }
        trie.children.shrink_to_fit();
        trie
    }

    /// Calls `found(n_characters, id)` for every piece that `characters` starts with, shortest first.
    pub(crate) fn prefixes(&self, characters: &[char], mut found: impl FnMut(usize, u32)) {
        let mut node = 0;
        for (idx, &character) in characters.iter().enumerate() {
            let Some(&child) = self.children.get(&key(node, character)) else { return };
            node = child;
            let piece = self.piece_of_node[node as usize];
            if piece != NO_PIECE {
                found(idx + 1, piece);
            }
        }
    }
}

fn key(node: u32, character: char) -> u64 {
    u64::from(node) << 21 | u64::from(u32::from(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_prefixes_are_found_shortest_first() {
        let trie = Trie::new(["a", "abc", "b", "ab", "贴标机", "贴"].into_iter());
        let find = |text: &str| {
            let characters: Vec<char> = text.chars().collect();
            let mut found = Vec::new();
            trie.prefixes(&characters, |n, id| found.push((n, id)));
            found
        };
        assert_eq!(find("abcd"), [(1, 0), (2, 3), (3, 1)]);
        assert_eq!(find("贴标机"), [(1, 5), (3, 4)]);
        assert_eq!(find("贴标"), [(1, 5)]);
        assert!(find("x").is_empty());
        assert!(find("").is_empty());
    }
}
