//! Folding: one spelling for what a person reads as the same.
//!
//! Case, full and half width, compatibility forms (`㎡`, `①`) and Traditional against Simplified characters are
//! folded one character at a time, so that every folded byte still knows the original bytes it came from: a match
//! found in folded text can be marked in the text a person sees. Phrase-level differences (軟體, 软件) are left to
//! synonyms, because a phrase conversion would lose that mapping.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;

/// Pairs of a Traditional character and its Simplified one, made with opencc-fmmseg's `t2s` over all Han
/// characters of the basic plane; the test below holds the table against that library.
static TRADITIONAL: &str = include_str!("../data/traditional.txt");

static SIMPLIFIED: LazyLock<HashMap<char, char>> = LazyLock::new(|| {
    let mut pairs = TRADITIONAL.chars().filter(|c| !c.is_whitespace());
    let mut table = HashMap::new();
    while let (Some(traditional), Some(simplified)) = (pairs.next(), pairs.next()) {
        table.insert(traditional, simplified);
    }
    table
});

/// Folded text that remembers where each of its bytes came from.
pub(crate) struct Folded {
    /// The folded text.
    pub text: String,
    /// For every byte of `text`, the original bytes of the character that it came from.
    origin: Vec<(u32, u32)>,
}

impl Folded {
    /// The original byte range behind a non-empty folded byte range.
    pub fn original(&self, folded: Range<usize>) -> Range<usize> {
        let (start, _) = self.origin[folded.start];
        let (_, end) = self.origin[folded.end - 1];
        start as usize..end as usize
    }
}

/// Folds `text` and keeps the mapping.
pub(crate) fn fold(text: &str) -> Folded {
    let mut folded =
        Folded { text: String::with_capacity(text.len()), origin: Vec::with_capacity(text.len()) };
    for (start, c) in text.char_indices() {
        let from = (start as u32, (start + c.len_utf8()) as u32);
        fold_char(c, &mut |part| {
            folded.text.push(part);
            folded.origin.extend(std::iter::repeat_n(from, part.len_utf8()));
        });
    }
    folded
}

/// `text` in Simplified characters, otherwise as it is: the model knows both scripts, but most documents are in this
/// one, and a question in the other would stand a little further from all of them.
pub(crate) fn simplified(text: &str) -> String {
    text.chars().map(|c| SIMPLIFIED.get(&c).copied().unwrap_or(c)).collect()
}

/// Folds `text` where the mapping is not needed.
pub fn fold_text(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.chars() {
        fold_char(c, &mut |part| folded.push(part));
    }
    folded
}

fn fold_char(c: char, push: &mut impl FnMut(char)) {
    if c.is_ascii() {
        push(c.to_ascii_lowercase());
    } else if is_han(c) {
        push(SIMPLIFIED.get(&c).copied().unwrap_or(c));
    } else {
        for compatible in std::iter::once(c).nfkc() {
            for lower in compatible.to_lowercase() {
                push(SIMPLIFIED.get(&lower).copied().unwrap_or(lower));
            }
        }
    }
}

/// Whether `c` is a Chinese character (CJK ideographs of all blocks in use).
pub fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3134F}' | '〇')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn width_case_script_and_compatibility_forms_fold_to_one_spelling() {
        for (written, folded) in [
            ("ＬＢ－３００Ｓ", "lb-300s"),
            ("貼標機換線", "贴标机换线"),
            ("㎡ ① ℃ ㎏", "m2 1 °c kg"),
            ("Größe", "größe"),
            ("價格～優惠", "价格~优惠"),
        ] {
            assert_eq!(fold_text(written), folded);
        }
    }

    #[test]
    fn every_folded_byte_knows_its_original_bytes() {
        let text = "ＬＢ 換線㎡x";
        let folded = fold(text);
        let at = folded.text.find("换线").expect("folded text holds the word");
        assert_eq!(&text[folded.original(at..at + "换线".len())], "換線");
        let at = folded.text.find("m2").expect("folded text holds the unit");
        assert_eq!(&text[folded.original(at..at + 1)], "㎡");
    }

    #[test]
    fn the_table_is_what_opencc_makes_of_each_character() {
        let opencc = opencc_fmmseg::OpenCC::new();
        let mut expected = String::new();
        for c in '\u{4E00}'..='\u{9FFF}' {
            let written = c.to_string();
            let simplified = opencc.t2s(&written, false);
            if simplified != written && simplified.chars().count() == 1 {
                expected.push_str(&written);
                expected.push_str(&simplified);
                expected.push('\n');
            }
        }
        if std::env::var_os("FLIGHTDECK_WRITE_TABLES").is_some() {
            std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/data/traditional.txt"), &expected)
                .expect("the source tree is writable");
        } else {
            assert!(expected == TRADITIONAL, "run with FLIGHTDECK_WRITE_TABLES=1 to write the table anew");
        }
    }
}
