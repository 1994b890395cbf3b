//! The sentences of a model's text while it is still coming, their citation marks, and the marks of Markdown lines.

use crate::units::{self, Form};

/// Longest label before a colon, in characters.
const LABEL_CHARS: usize = 24;

/// Where the first sentence of `text` ends, its closing marks and citation marks included; `None` while it may still
/// go on. A line break always ends one.
pub(crate) fn next_sentence(text: &str) -> Option<usize> {
    let mut at = 0;
    while let Some(letter) = text[at..].chars().next() {
        let next = at + letter.len_utf8();
        match letter {
            '\n' => return Some(next),
            '。' | '！' | '？' | '；' | '!' | '?' => return trail(text, next),
            // A stop inside a figure or an abbreviation ends nothing; what follows it decides.
            '.' => {
                let end = trail(text, next)?;
                let goes_on =
                    text[next..].starts_with(|c: char| !c.is_whitespace() && !"[【［”\"')）*".contains(c));
                let follows = text[end..].chars().next().unwrap_or('\n');
                // The number of a list's entry belongs to the entry.
                let is_number = number_of_entry(&text[..next]);
                if !goes_on && !is_number && !follows.is_ascii_digit() && !follows.is_lowercase() {
                    return Some(end);
                }
                at = next;
            }
            _ => at = next,
        }
    }
    None
}

/// Whether `text` is no more than the number before a list's entry: `1.`, `**12.`.
fn number_of_entry(text: &str) -> bool {
    let number = text.trim_start_matches([' ', '\t', '*', '#', '>']).trim_end_matches('.');
    (1..=2).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit())
}

/// The end of the closing marks, citation marks and blanks that begin at `from`, a line break included; `None` where
/// the text ends before something else has come.
fn trail(text: &str, from: usize) -> Option<usize> {
    let mut end = from;
    loop {
        let rest = &text[end..];
        let letter = rest.chars().next()?;
        if letter == '\n' {
            return Some(end + 1);
        }
        if letter == ' ' || "”’」』）》)\"'*。！？；!?".contains(letter) {
            end += letter.len_utf8();
        } else if let Some((length, _)) = marks::at(rest) {
            end += length;
        } else if "[【［".contains(letter) && !rest.contains([']', '】', '］']) && rest.len() < 24 {
            // It may become a mark.
            return None;
        } else {
            return Some(end);
        }
    }
}

/// The list mark at the start of a line, in one form, and the rest. Heading and quotation marks are dropped.
pub(crate) fn list_mark(line: &str) -> (&str, &str) {
    let line = line.trim_start().trim_start_matches(['#', '>']).trim_start();
    let (length, form) = units::list_mark(line);
    let (mark, rest) = line.split_at(length);
    match form {
        Form::ListItem if mark.starts_with(|c: char| c.is_ascii_digit()) => (mark, rest.trim_start()),
        Form::ListItem => ("- ", rest.trim_start()),
        _ => ("", line),
    }
}

/// A short label with its colon, and what follows it. The colon of a time or a ratio (`13:00`) makes none.
pub(crate) fn label(words: &str) -> Option<(&str, &str)> {
    let (at, colon) = words.char_indices().find(|&(at, c)| match c {
        '：' => true,
        ':' => !words[..at].ends_with(|c: char| c.is_ascii_digit()),
        _ => false,
    })?;
    let head = &words[..at];
    let rest = words[at + colon.len_utf8()..].trim_start_matches(['*', ' ']);
    (head.chars().count() <= LABEL_CHARS && !rest.is_empty()).then_some((head, rest))
}

/// `words` without emphasis that begins or ends outside of them.
pub(crate) fn without_emphasis(words: &str) -> String {
    if words.matches("**").count().is_multiple_of(2) { words.to_owned() } else { words.replace("**", "") }
}

/// Citation marks: `[2]`, `[1][3]`, `[1, 3]`, and in the brackets that Chinese models like, `【2】`.
pub(crate) mod marks {
    /// Words, and the mark behind them if there is one.
    #[derive(Debug, PartialEq, Eq)]
    pub(crate) struct Part<'t> {
        pub words: &'t str,
        pub mark: Option<usize>,
    }

    /// The length of the mark at the start of `text`, and its numbers.
    pub(crate) fn at(text: &str) -> Option<(usize, Vec<usize>)> {
        let open = text.chars().next().filter(|c| matches!(c, '[' | '【' | '［'))?;
        let inside = &text[open.len_utf8()..];
        let close = inside.find([']', '】', '］'])?;
        let length = open.len_utf8() + close + inside[close..].chars().next().map_or(0, char::len_utf8);
        let numbers: Option<Vec<usize>> = inside[..close]
            .split([',', '，', '、', ' '])
            .filter(|part| !part.is_empty())
            .map(|part| if part.len() <= 3 { part.parse().ok() } else { None })
            .collect();
        numbers.filter(|numbers| !numbers.is_empty()).map(|numbers| (length, numbers))
    }

    /// `text` without its marks, and their numbers in order.
    pub(crate) fn taken_out(text: &str) -> (String, Vec<usize>) {
        let (mut words, mut numbers) = (String::new(), Vec::new());
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            if let Some((length, found)) = at(rest) {
                numbers.extend(found);
                rest = &rest[length..];
            } else {
                words.push(letter);
                rest = &rest[letter.len_utf8()..];
            }
        }
        (words, numbers)
    }

    /// A text of ours, whose marks are all `[n]`, cut behind each of them.
    pub(crate) fn split(text: &str) -> Vec<Part<'_>> {
        let mut parts = Vec::new();
        let (mut start, mut from) = (0, 0);
        while let Some(open) = text[from..].find('[') {
            let open = from + open;
            match at(&text[open..]) {
                Some((length, numbers)) => {
                    parts.push(Part { words: &text[start..open], mark: numbers.first().copied() });
                    start = open + length;
                    from = start;
                }
                None => from = open + 1,
            }
        }
        if start < text.len() {
            parts.push(Part { words: &text[start..], mark: None });
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All sentences, whether the text comes whole or letter by letter.
    fn cut(text: &str) -> Vec<String> {
        let whole = cut_in(text, text.chars().count());
        for size in 1..8 {
            assert_eq!(cut_in(text, size), whole, "in pieces of {size}");
        }
        whole
    }

    fn cut_in(text: &str, size: usize) -> Vec<String> {
        let letters: Vec<char> = text.chars().collect();
        let (mut unread, mut found) = (String::new(), Vec::new());
        for piece in letters.chunks(size.max(1)) {
            unread.extend(piece);
            while let Some(end) = next_sentence(&unread) {
                found.push(unread.drain(..end).collect());
            }
        }
        found.push(unread);
        found
    }

    #[test]
    fn sentences_keep_their_marks_however_the_text_comes() {
        assert_eq!(
            cut("保修 24 个月。[1][2] 精度 ±0.5 mm！”【3】\n- LB-300S is No. 5, v1.2. [4] Next. e.g. this"),
            [
                "保修 24 个月。[1][2] ",
                "精度 ±0.5 mm！”【3】\n",
                "- LB-300S is No. 5, v1.2. [4] ",
                "Next. e.g. this"
            ]
        );
        assert_eq!(cut("一。[备注] 二。"), ["一。", "[备注] 二。"]);
        assert_eq!(cut("1. 甲。[1]\n**12. Next** one"), ["1. 甲。[1]\n", "**12. Next** one"]);
        assert_eq!(cut("一。\n\n二"), ["一。\n", "\n", "二"]);
    }

    #[test]
    fn marks_are_read_in_every_form() {
        let (words, numbers) = marks::taken_out("保修[1]24 个月【2】，见[1, 3]与[附录]。");
        assert_eq!((words.as_str(), numbers), ("保修24 个月，见与[附录]。", vec![1, 2, 1, 3]));
        let parts = marks::split("甲[1]乙[x][2]丙");
        assert_eq!(parts.iter().map(|part| part.mark).collect::<Vec<_>>(), [Some(1), Some(2), None]);
        assert_eq!(parts.iter().map(|part| part.words).collect::<String>(), "甲乙[x]丙");
    }

    #[test]
    fn lines_lose_their_marks_and_labels_are_found() {
        assert_eq!(list_mark("* 甲"), ("- ", "甲"));
        assert_eq!(list_mark("1、速度"), ("1、", "速度"));
        assert_eq!(list_mark("+ 乙"), ("- ", "乙"));
        assert_eq!(list_mark("2. 乙"), ("2. ", "乙"));
        assert_eq!(list_mark("## 丙"), ("", "丙"));
        assert_eq!(list_mark("3.5 mm"), ("", "3.5 mm"));
        assert_eq!(label("**可以这样说**：您说得对。"), Some(("**可以这样说**", "您说得对。")));
        assert_eq!(label("https://example.com"), Some(("https", "//example.com")));
        assert_eq!(label("没有"), None);
        assert_eq!(label("跳到 00:15"), None);
    }
}
