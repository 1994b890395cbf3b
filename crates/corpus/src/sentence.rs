//! Sentences, Chinese ones first.
//!
//! Used twice: chunks are cut where a sentence ends, and answers quote whole sentences. Unicode's own rules
//! cut "3.5 mm" and "No. 5" in the wrong places and know neither list items nor table rows, so the rules
//! are written out here. A line break always ends a sentence; a table row is one sentence.

use std::ops::Range;

/// The sentences of `text`, in order, without the white space around them.
///
/// Every character that is not white space lies in exactly one range; ranges fall on character boundaries
/// and do not overlap. Ends of lines, list items and table rows are ends of sentences; closing quotes and
/// brackets stay with the sentence they close; decimals (`3.5`), model numbers, abbreviations (`e.g.`,
/// `No. 5`) and web addresses are not cut. List markers and heading marks belong to their sentence.
pub fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        line_sentences(text, start..start + line.len(), &mut found);
        start += line.len();
    }
    found
}

fn line_sentences(text: &str, line: Range<usize>, found: &mut Vec<Range<usize>>) {
    let row = text[line.clone()].trim();
    if row.starts_with('|') && row.ends_with('|') && row.len() > 1 {
        push_trimmed(text, line, found);
        return;
    }
    let mut start = line.start;
    let mut at = line.start;
    while at < line.end {
        let character = text[at..].chars().next().expect("at lies on a character before the end");
        let next = at + character.len_utf8();
        if !is_terminator(character) {
            at = next;
            continue;
        }
        let end = run_end(text, next, line.end);
        if ends_sentence(text, start..line.end, at, end) {
            let end = closers_end(text, start, end, line.end);
            push_trimmed(text, start..end, found);
            start = end;
            at = end;
        } else {
            at = end;
        }
    }
    push_trimmed(text, start..line.end, found);
}

fn push_trimmed(text: &str, range: Range<usize>, found: &mut Vec<Range<usize>>) {
    let trimmed = trim(text, range);
    if !trimmed.is_empty() {
        found.push(trimmed);
    }
}

/// `range` without the white space at its ends; empty where there is nothing else.
pub(crate) fn trim(text: &str, range: Range<usize>) -> Range<usize> {
    let slice = &text[range.clone()];
    let start = range.start + (slice.len() - slice.trim_start().len());
    start..start + slice.trim().len()
}

fn is_terminator(character: char) -> bool {
    matches!(character, '。' | '！' | '？' | '；' | '…' | '｡' | '.' | '!' | '?' | ';')
}

/// Terminators that follow each other (`？！`, `……`, `...`) end one sentence together.
fn run_end(text: &str, mut at: usize, end: usize) -> usize {
    for character in text[at..end].chars() {
        if !is_terminator(character) {
            break;
        }
        at += character.len_utf8();
    }
    at
}

/// Closing quotes and brackets after the terminator, which belong to the sentence.
fn closers_end(text: &str, start: usize, mut at: usize, end: usize) -> usize {
    for character in text[at..end].chars() {
        let closes = match character {
            '”' | '’' | '」' | '』' | '）' | ')' | '】' | '》' | ']' | '〉' | '*' | '_' => true,
            // A straight quote closes where one is open in this sentence.
            '"' | '\'' => text[start..at].matches(character).count() % 2 == 1,
            _ => false,
        };
        // Markdown emphasis closes only what it opened; otherwise `**next**` would lose its first stars.
        let closes = closes
            && (!matches!(character, '*' | '_')
                || text[start..at].matches(character).count() % 2 == 1
                || text[start..at].contains("**") && text[start..at].matches("**").count() % 2 == 1);
        if !closes {
            break;
        }
        at += character.len_utf8();
    }
    at
}

/// Whether the terminators at `at..end` end the sentence that began at `sentence.start`.
fn ends_sentence(text: &str, sentence: Range<usize>, at: usize, end: usize) -> bool {
    let run = &text[at..end];
    let rest = &text[end..sentence.end];
    let last = run.chars().next_back().expect("a run has a terminator");
    if !run.is_ascii() {
        return true;
    }
    let after_closers = rest.trim_start_matches(['”', '’', '」', '』', '）', ')', '】', '"', '\'', '*']);
    let next = after_closers.chars().next();
    let at_break = next.is_none_or(char::is_whitespace);
    let before = &text[sentence.start..at];
    match last {
        '!' | '?' => at_break || (next.is_some_and(is_cjk) && !in_address(before)),
        ';' => at_break && !is_entity(before),
        _ if run.len() > 1 => at_break || next.is_some_and(is_cjk),
        _ => full_stop_ends(before, at_break, next, after_closers.trim_start().chars().next()),
    }
}

/// The rules for one ASCII full stop.
fn full_stop_ends(before: &str, at_break: bool, next: Option<char>, next_word: Option<char>) -> bool {
    if !at_break {
        // Some writers type `.` for `。`: it ends a sentence between Chinese characters.
        return next.is_some_and(is_cjk)
            && before
                .chars()
                .next_back()
                .is_some_and(|last| is_cjk(last) || matches!(last, '%' | '）' | ')'));
    }
    if next_word.is_none() {
        return true;
    }
    let word = before.rsplit([' ', '\t', '(', '（', '"', '“']).next().unwrap_or(before);
    let is_list_number = before.trim_start() == word
        && (word.chars().all(|c| c.is_ascii_digit()) || word.chars().count() == 1);
    let is_initial = word.chars().count() == 1 && word.chars().all(char::is_uppercase);
    if word.is_empty() || is_list_number || is_initial || is_abbreviation(word) {
        return false;
    }
    // A sentence does not go on in lower case: `approx. five` was no end.
    !next_word.is_some_and(char::is_lowercase)
}

fn is_abbreviation(word: &str) -> bool {
    const KNOWN: [&str; 30] = [
        "mr", "mrs", "ms", "dr", "prof", "no", "nos", "fig", "figs", "vs", "inc", "ltd", "co", "corp", "st",
        "e.g", "i.e", "cf", "approx", "min", "max", "dept", "est", "ca", "resp", "tel", "ext", "vol", "art",
        "pp",
    ];
    let lower = word.to_ascii_lowercase();
    // `U.S` and `p.m`: single letters with stops between them.
    let dotted = lower.contains('.') && lower.split('.').all(|part| part.chars().count() == 1);
    dotted || KNOWN.contains(&lower.as_str())
}

fn in_address(before: &str) -> bool {
    let word = before.rsplit(|c: char| c.is_whitespace() || is_cjk(c)).next().unwrap_or(before);
    word.contains("://") || word.starts_with("www.")
}

/// `&amp;` and its like.
fn is_entity(before: &str) -> bool {
    before.rsplit_once('&').is_some_and(|(_, name)| {
        !name.is_empty() && name.len() < 8 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '#')
    })
}

fn is_cjk(character: char) -> bool {
    matches!(character, '\u{2e80}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}' | '“' | '‘')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(text: &str) -> Vec<&str> {
        sentences(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn sentences_end_where_a_reader_stops() {
        let cases: &[(&str, &[&str])] = &[
            (
                "换型4分钟。回本9.5个月！真的？当然；没错",
                &["换型4分钟。", "回本9.5个月！", "真的？", "当然；", "没错"],
            ),
            (
                "他说“太贵了！”然后走了。（见附录。）好",
                &["他说“太贵了！”", "然后走了。", "（见附录。）", "好"],
            ),
            ("等等……我们再谈？！行。", &["等等……", "我们再谈？！", "行。"]),
            ("- 第一条\n- 第二条\n", &["- 第一条", "- 第二条"]),
            (
                "| 型号 | 备注。好 |\n| --- | --- |\n| LB-300S | 快！稳 |",
                &["| 型号 | 备注。好 |", "| --- | --- |", "| LB-300S | 快！稳 |"],
            ),
            ("Speed is 3.5 m/s. It runs LB-300S. Done!", &["Speed is 3.5 m/s.", "It runs LB-300S.", "Done!"]),
            (
                "See No. 5 and e.g. Fig. 3 by Dr. Li. Next.",
                &["See No. 5 and e.g. Fig. 3 by Dr. Li.", "Next."],
            ),
            ("访问 https://a.example/x?y=1!z 看看。好", &["访问 https://a.example/x?y=1!z 看看。", "好"]),
            ("1. 打开电源。2. 关闭", &["1. 打开电源。", "2. 关闭"]),
            ("精度99.7%.同时省电", &["精度99.7%.", "同时省电"]),
            ("He said \"stop.\" Then left.", &["He said \"stop.\"", "Then left."]),
            ("**免费的。** 以后收费", &["**免费的。**", "以后收费"]),
            ("A &amp; B", &["A &amp; B"]),
            ("  \n\n ", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(&split(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn sentences_cover_all_that_is_not_white_space_in_order(
            text in "([ \\n。！？；….!?;\"”’)）|*a-zA-Z0-9贴标机，%-]|[^\\x00]){0,80}"
        ) {
            let mut end = 0;
            for range in sentences(&text) {
                prop_assert!(range.start >= end && !range.is_empty());
                prop_assert!(text.is_char_boundary(range.start) && text.is_char_boundary(range.end));
                prop_assert!(text[end..range.start].trim().is_empty());
                prop_assert_eq!(text[range.clone()].trim(), &text[range.clone()]);
                end = range.end;
            }
            prop_assert!(text[end..].trim().is_empty());
        }
    }
}
