//! What changed between two texts, sentence by sentence.
//!
//! Lines alone are too long for Chinese prose, where a paragraph is one line; words alone make a puzzle. So long lines
//! are cut into sentences, and whole sentences are what is the same, gone or new.

use std::ops::Range;

use serde::Serialize;
use utoipa::ToSchema;

/// Lines longer than this, in characters, are compared sentence by sentence.
const LONG: usize = 60;
/// Beyond this many comparisons a stretch counts as replaced as a whole.
const MOST_COMPARISONS: usize = 4_000_000;
/// Equal pieces shown before and after a change.
const AROUND: usize = 2;

/// What became of a piece of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Fate {
    /// It stands in both.
    Same,
    /// Only in the older one.
    Removed,
    /// Only in the newer one.
    Added,
    /// Pieces that stand in both, left out here; the text says how many.
    Skipped,
}

/// A piece of text and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Piece {
    pub fate: Fate,
    pub text: String,
}

/// The pieces of `old` and `new` in order, long equal stretches shortened.
pub(crate) fn difference(old: &str, new: &str) -> Vec<Piece> {
    let (old, new) = (pieces(old), pieces(new));
    let n_before = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (&old[n_before..], &new[n_before..]);
    let n_after = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let old_middle = &old_rest[..old_rest.len() - n_after];
    let new_middle = &new_rest[..new_rest.len() - n_after];
    let mut fates: Vec<(Fate, &str)> = old[..n_before].iter().map(|text| (Fate::Same, *text)).collect();
    compare(old_middle, new_middle, &mut fates);
    fates.extend(old[old.len() - n_after..].iter().map(|text| (Fate::Same, *text)));
    shortened(&fates)
}

fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        if line.chars().count() <= LONG || line.trim_start().starts_with('|') {
            pieces.push(line);
            continue;
        }
        let sentences: Vec<Range<usize>> = flightdeck_corpus::sentences(line);
        pieces.extend(sentences.into_iter().map(|span| line[span].trim()).filter(|piece| !piece.is_empty()));
    }
    pieces
}

/// The longest common subsequence, by the textbook.
fn compare<'t>(old: &[&'t str], new: &[&'t str], fates: &mut Vec<(Fate, &'t str)>) {
    if old.len().saturating_mul(new.len()) > MOST_COMPARISONS {
        fates.extend(old.iter().map(|text| (Fate::Removed, *text)));
        fates.extend(new.iter().map(|text| (Fate::Added, *text)));
        return;
    }
    let width = new.len() + 1;
    let mut longest = vec![0_u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            longest[i * width + j] = if old[i] == new[j] {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            fates.push((Fate::Same, old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len()
            || (i < old.len() && longest[(i + 1) * width + j] >= longest[i * width + j + 1])
        {
            fates.push((Fate::Removed, old[i]));
            i += 1;
        } else {
            fates.push((Fate::Added, new[j]));
            j += 1;
        }
    }
}

fn shortened(fates: &[(Fate, &str)]) -> Vec<Piece> {
    let changes: Vec<usize> = (0..fates.len()).filter(|idx| fates[*idx].0 != Fate::Same).collect();
    let mut shown = vec![false; fates.len()];
    for at in changes {
        let around = at.saturating_sub(AROUND)..(at + AROUND + 1).min(fates.len());
        shown[around].fill(true);
    }
    let mut pieces: Vec<Piece> = Vec::new();
    let mut n_skipped = 0;
    for (idx, (fate, text)) in fates.iter().enumerate() {
        if shown[idx] {
            if n_skipped > 0 {
                pieces.push(Piece { fate: Fate::Skipped, text: n_skipped.to_string() });
                n_skipped = 0;
            }
            pieces.push(Piece { fate: *fate, text: (*text).to_owned() });
        } else {
            n_skipped += 1;
        }
    }
    if n_skipped > 0 {
        pieces.push(Piece { fate: Fate::Skipped, text: n_skipped.to_string() });
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(old: &str, new: &str) -> Vec<String> {
        let sign = |fate| match fate {
            Fate::Same => ' ',
            Fate::Removed => '-',
            Fate::Added => '+',
            Fate::Skipped => '@',
        };
        difference(old, new).iter().map(|piece| format!("{}{}", sign(piece.fate), piece.text)).collect()
    }

    #[test]
    fn sentences_of_a_long_line_are_compared_one_by_one() {
        let (a, b, c) = (
            "本机适合饮料、日化和食品行业的圆瓶贴标，可与灌装线直接连接。",
            "最高速度为每分钟三百瓶，换型时间十五分钟。",
            "整机保修二十四个月，易损件除外。",
        );
        let (old, new) = (format!("{a}{b}{c}"), format!("{a}{}{c}", b.replace("十五", "十二")));
        assert_eq!(
            shown(&old, &new),
            [format!(" {a}"), format!("-{b}"), format!("+{}", b.replace("十五", "十二")), format!(" {c}")]
        );
    }

    #[test]
    fn long_equal_stretches_are_shortened_and_equal_texts_are_all_one() {
        let lines = |middle: &str| format!("一\n二\n三\n四\n{middle}\n六\n七\n八\n九\n");
        assert_eq!(shown(&lines("五"), &lines("5")), ["@2", " 三", " 四", "-五", "+5", " 六", " 七", "@2"]);
        assert_eq!(shown("一\n二\n", "一\n二\n"), ["@2"]);
        assert_eq!(shown("", "一\n"), ["+一"]);
        assert_eq!(shown("一\n", ""), ["-一"]);
    }
}
