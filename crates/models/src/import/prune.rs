//! Which vocabulary pieces to keep.
//!
//! The published vocabulary serves a hundred languages; its embedding table is three quarters of the model. Chinese
//! business text needs a third of it. Kept are:
//!
//! * every piece made of Han characters, digits, punctuation, symbols and marks only;
//! * every piece of one character, of whatever script: no character that was known becomes unknown;
//! * of the pieces with Latin or Greek letters: those the English and Portuguese vocabulary beside the source
//!   uses, those of up to three letters, and those at least as frequent as [`Rule::min_score`].
//!
//! Taking pieces away cannot change how a text is tokenised whose tokens are all kept: the segmentation with the
//! best sum stays available, every other loses options at most, and ties fall to the same candidate because the
//! order in which candidates are tried stays the same. Scores of unknown characters follow from the least score in
//! the vocabulary, so the importer checks that this piece is kept.

use std::collections::HashSet;

const MAX_SHORT_LETTERS: usize = 3;

/// What decides about Latin and Greek pieces.
pub(super) struct Rule<'a> {
    /// Pieces of the smaller vocabulary, if there is one.
    pub(super) hint: HashSet<&'a str>,
    /// Least score (a log probability) of a longer piece that is not in `hint`.
    pub(super) min_score: f32,
}

impl Rule<'_> {
    /// True for a piece to keep.
    pub(super) fn keeps(&self, piece: &str, score: f32) -> bool {
        let letters = || piece.chars().filter(|&character| character != '▁');
        if letters().count() <= 1 {
            return true;
        }
        let mut n_alphabetic = 0;
        for character in letters() {
            match kind(character) {
                Kind::Han | Kind::Other => {}
                Kind::Alphabet => n_alphabetic += 1,
                Kind::Foreign => return false,
            }
        }
        n_alphabetic == 0
            || letters().count() <= MAX_SHORT_LETTERS
            || score >= self.min_score
            || self.hint.contains(piece)
    }
}

enum Kind {
    Han,
    /// A letter of the Latin or Greek alphabets, with or without accents.
    Alphabet,
    /// No letter: digits, punctuation, symbols, marks.
    Other,
    /// A letter of any other script.
    Foreign,
}

fn kind(character: char) -> Kind {
    match u32::from(character) {
        // CJK radicals, ideographs with their extensions and compatibility forms, the ideographic zero.
        0x2e80..=0x2fdf
        | 0x3005
        | 0x3007
        | 0x3400..=0x4dbf
        | 0x4e00..=0x9fff
        | 0xf900..=0xfaff
        | 0x2_0000..=0x3_ffff => Kind::Han,
        // Combining marks used with the Latin alphabet, punctuation, symbols, CJK punctuation, emoji. Marks of other
        // scripts are in those scripts' blocks, which the last arm takes.
        0x0300..=0x036f
        | 0x2000..=0x2bff
        | 0x3000..=0x303f
        | 0x3200..=0x33ff
        | 0xfe00..=0xfe6f
        | 0xff00..=0xff65
        | 0x1_f000..=0x1_faff => Kind::Other,
        // Basic Latin to modifier letters, Greek, phonetic and additional Latin, extended Greek.
        0x0000..=0x02ff | 0x0370..=0x03ff | 0x1d00..=0x1dbf | 0x1e00..=0x1fff => {
            if character.is_alphabetic() { Kind::Alphabet } else { Kind::Other }
        }
        _ => Kind::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_kept_by_script_length_frequency_and_hint() {
        let rule = Rule { hint: HashSet::from(["▁palletizer"]), min_score: -12.5 };
        let rare = -14.0;
        for kept in [
            "▁",
            "的",
            "▁贴标机",
            "優惠",
            "①",
            "℃",
            "2024",
            "...",
            "e",
            "Ж",
            "の",
            "한",
            "▁α",
            "ß",
            "▁kg",
            "LB",
            "▁palletizer",
            "é",
            "--",
            "①②",
            "々",
            "▁(",
        ] {
            assert!(rule.keeps(kept, rare), "{kept}");
        }
        for pruned in ["▁valenciana", "これは", "▁машина", "회사", "▁μηχανή", "ค่า", "中の", "▁Łódź"]
        {
            assert!(!rule.keeps(pruned, rare), "{pruned}");
        }
        assert!(rule.keeps("▁Maschine", -12.0));
    }
}
