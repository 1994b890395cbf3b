//! Words typed by sound: `保秀` for `保修`, `贴标鸡` for `贴标机`.
//!
//! Chinese is typed by pinyin, so a slip is mostly another word of the same sound. A stretch of the question that no
//! document knows and that sounds like a word of the knowledge is read as that word. Only stretches that hold
//! something unknown are looked at, and at least one character must be right, so a question that is spelled well
//! stays as it is.

use std::collections::HashMap;

use pinyin::ToPinyin;

use crate::text::is_han;

/// Longest word that is put right, in characters.
const LONGEST: usize = 5;

/// The knowledge's words by their sound.
#[derive(Default)]
pub(crate) struct Spelling {
    /// From sound to the most frequent word of it, with its number of chunks.
    by_sound: HashMap<String, (String, u64)>,
}

impl Spelling {
    /// From words with the number of chunks they stand in.
    pub fn new(words: impl IntoIterator<Item = (String, u64)>) -> Self {
        let mut by_sound: HashMap<String, (String, u64)> = HashMap::new();
        for (word, frequency) in words {
            let length = word.chars().count();
            if !(2..=LONGEST).contains(&length) || !word.chars().all(is_han) {
                continue;
            }
            let Some(sound) = sound(word.chars()) else { continue };
            let known = by_sound.entry(sound).or_default();
            // Equal frequencies fall to the smaller word, so that the same index corrects the same way every time.
            if frequency > known.1 || (frequency == known.1 && word < known.0) {
                *known = (word, frequency);
            }
        }
        Self { by_sound }
    }

    /// The question with its slips put right; `None` where there are none. `is_known` says whether a stretch of
    /// text is a word of the knowledge, `unknown` which characters belong to words that are not, and `boundary` (one
    /// longer than the question) before which characters a word may begin or end.
    pub fn corrected(
        &self,
        question: &[char],
        unknown: &[bool],
        boundary: &[bool],
        is_known: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let mut corrected = String::new();
        let mut changed = false;
        let mut at = 0;
        'next: while at < question.len() {
            for length in (2..=LONGEST.min(question.len() - at)).rev() {
                let stretch = &question[at..at + length];
                if !boundary[at]
                    || !boundary[at + length]
                    || !stretch.iter().all(|c| is_han(*c))
                    || !unknown[at..at + length].contains(&true)
                {
                    continue;
                }
                let written: String = stretch.iter().collect();
                if is_known(&written) {
                    corrected.push_str(&written);
                    at += length;
                    continue 'next;
                }
                let Some((word, _)) = sound(stretch.iter().copied()).and_then(|s| self.by_sound.get(&s))
                else {
                    continue;
                };
                let right = word.chars().zip(stretch).filter(|(a, b)| a == *b).count();
                // Who slips keeps at least half: `同行好` is not 同型号.
                if 2 * right >= length && *word != written {
                    corrected.push_str(word);
                    changed = true;
                    at += length;
                    continue 'next;
                }
            }
            corrected.push(question[at]);
            at += 1;
        }
        changed.then_some(corrected)
    }
}

/// Pinyin without tones, with the pairs that many speakers and input methods do not keep apart made one.
fn sound(chars: impl Iterator<Item = char>) -> Option<String> {
    let mut sound = String::new();
    for c in chars {
        let plain = c.to_pinyin()?.plain();
        let plain = match plain.get(..2) {
            Some("zh") => format!("z{}", &plain[2..]),
            Some("ch") => format!("c{}", &plain[2..]),
            Some("sh") => format!("s{}", &plain[2..]),
            _ => plain.to_owned(),
        };
        let plain = match plain.strip_suffix('g') {
            Some(front) if front.ends_with("in") || front.ends_with("en") || front.ends_with("an") => {
                front.to_owned()
            }
            _ => plain,
        };
        sound.push_str(&plain);
        sound.push('\'');
    }
    Some(sound)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(question: &str, unknown: &str, expected: Option<&str>) {
        let words = ["保修", "贴标机", "备件", "以旧换新", "太贵", "同型号"];
        let spelling = Spelling::new(words.map(|word| (word.to_owned(), 3)));
        let chars: Vec<char> = question.chars().collect();
        let unknown: Vec<bool> = chars.iter().map(|c| unknown.contains(*c)).collect();
        let is_known = |word: &str| words.contains(&word);
        assert_eq!(
            spelling.corrected(&chars, &unknown, &vec![true; chars.len() + 1], is_known).as_deref(),
            expected,
            "{question}"
        );
    }

    #[test]
    fn slips_of_the_same_sound_are_put_right() {
        check("保秀多久", "保秀", Some("保修多久"));
        check("贴标鸡卡瓶", "鸡", Some("贴标机卡瓶"));
        check("以旧焕新怎么算", "以旧焕新", Some("以旧换新怎么算"));
        check("嫌太桂了", "桂", Some("嫌太贵了"));
    }

    #[test]
    fn what_is_spelled_well_stays() {
        check("保修多久", "", None);
        check("备件 保修", "备", None);
        check("比同行好在哪", "同行好", None);
    }
}
