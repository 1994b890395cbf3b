//! Prose, and Markdown and plain text as such: front matter off the top, the rest to the letter.
//!
//! The splitter is our own because those at hand lose the data behind a byte order mark with CRLF (both are
//! gone by the time the text comes here). What looks like front matter and is not closed or not YAML is
//! kept as such, so that the caller can fail closed.

use std::ops::Range;

use super::flow::Flow;
use crate::node::{Node, SyntaxError, parse_yaml};

/// Running text.
#[derive(Debug, Default)]
pub(crate) struct Prose {
    /// The text after the front matter, to the letter but for line ends, which are LF.
    pub text: String,
    /// Line of the file on which `text` begins; `None` where the file has no lines.
    pub first_line: Option<u32>,
    pub front: Option<Front>,
    pub is_markdown: bool,
    /// As in [`Flow`].
    pub pages: Vec<(usize, u32)>,
    /// As in [`Flow`].
    pub private: Vec<Range<usize>>,
    /// As in [`Flow`].
    pub title: Option<String>,
}

impl Prose {
    pub(crate) fn of_flow(flow: Flow, front: Option<Front>) -> Self {
        let Flow { text, pages, private, title } = flow;
        Self { text, first_line: None, front, is_markdown: true, pages, private, title }
    }
}

/// Front matter, or why it cannot be read.
#[derive(Debug)]
pub(crate) enum Front {
    Keys(Vec<(String, Node)>),
    Broken(SyntaxError),
}

pub(crate) fn read(text: String, is_markdown: bool) -> Prose {
    let Some((yaml_start, first_line)) = opening(&text) else {
        return Prose { text, first_line: Some(1), is_markdown, ..Prose::default() };
    };
    let mut offset = yaml_start;
    for (line, row) in (first_line..).zip(text[yaml_start..].split_inclusive('\n')) {
        let row_start = offset;
        offset += row.len();
        if matches!(row.trim_end(), "---" | "...") {
            let front = parse(&text[yaml_start..row_start], first_line);
            return Prose {
                text: text[offset..].to_owned(),
                first_line: Some(line + 1),
                front: Some(front),
                is_markdown,
                ..Prose::default()
            };
        }
    }
    let error =
        SyntaxError { line: first_line - 1, message: "front matter is not closed by `---`".to_owned() };
    Prose { text, first_line: Some(1), front: Some(Front::Broken(error)), is_markdown, ..Prose::default() }
}

/// Where the front matter's YAML begins (offset and line), if the text opens with some: `---`, and then
/// something that is no ordinary paragraph under a rule.
fn opening(text: &str) -> Option<(usize, u32)> {
    let mut offset = 0;
    let mut lines = text.split_inclusive('\n');
    let mut line = 1;
    loop {
        let row = lines.next()?;
        offset += row.len();
        line += 1;
        match row.trim_end() {
            "" => {}
            "---" => break,
            _ => return None,
        }
    }
    let first = lines.next()?.trim();
    let looks_like_key = first.is_empty()
        || first.starts_with('#')
        || first == "---"
        || first.find([':', '：']).is_some_and(|at| {
            at > 0 && at < 40 && !first.starts_with(['-', '|', '*', '>', '!']) && !first[..at].contains(' ')
        });
    looks_like_key.then_some((offset, line))
}

fn parse(yaml: &str, first_line: u32) -> Front {
    let before = first_line - 1;
    match parse_yaml(yaml) {
        Err(error) => Front::Broken(SyntaxError { line: error.line + before, ..error }),
        Ok(documents) => match documents.into_iter().next().map(|node| (node.lines, node.value)) {
            None | Some((_, crate::node::Value::Null)) => Front::Keys(Vec::new()),
            Some((_, crate::node::Value::Map(mut entries))) => {
                for (_, node) in &mut entries {
                    node.lines.0 += before;
                    node.lines.1 += before;
                }
                Front::Keys(entries)
            }
            Some((lines, _)) => Front::Broken(SyntaxError {
                line: lines.0 + before,
                message: "front matter is not a list of `key: value` lines".to_owned(),
            }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Option<Vec<String>> {
        match read(text.to_owned(), true).front? {
            Front::Keys(entries) => Some(entries.into_iter().map(|(key, _)| key).collect()),
            Front::Broken(error) => Some(vec![format!("broken at {}", error.line)]),
        }
    }

    #[test]
    fn front_matter_is_taken_off_and_lines_go_on_counting() {
        let prose = read("---\nid: x\ntitle: 甲\n---\n\n# 甲\n".to_owned(), true);
        assert_eq!((prose.text.as_str(), prose.first_line), ("\n# 甲\n", Some(5)));
    }

    #[test]
    fn front_matter_is_told_from_a_rule() {
        assert_eq!(keys("---\n第一段，没有字段。\n---\n"), None);
        assert_eq!(keys("# 题\n---\nid: x\n---\n"), None);
        assert_eq!(keys("---\n---\n正文"), Some(vec![]));
        assert_eq!(keys("\n---\n# 备注\nid: x\n...\n正文"), Some(vec!["id".to_owned()]));
    }

    #[test]
    fn broken_front_matter_says_where() {
        assert_eq!(
            keys("---\nid: x\naudience: [customer\n---\n正文").map(|keys| keys[0].starts_with("broken")),
            Some(true)
        );
        assert_eq!(keys("---\naudience：customer\n---\n正文"), Some(vec!["broken at 2".to_owned()]));
        assert_eq!(keys("---\nid: x\n正文"), Some(vec!["broken at 1".to_owned()]));
        assert_eq!(keys("---\nid: x\nid: y\n---\n正文"), Some(vec!["broken at 3".to_owned()]));
    }
}
