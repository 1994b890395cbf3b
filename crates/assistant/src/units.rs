//! What an answer is built from: sentences, list items and table rows of a passage, each with its span.

use std::ops::Range;
use std::sync::Arc;

use flightdeck_corpus::{Chunk, Document, Location, sentences};

/// A quotable piece of a document, as it will read in an answer.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    /// Bytes of the document's text: the quote.
    pub span: Range<usize>,
    /// The words for the answer: the quote without list and heading marks, a table row joined to its header.
    pub words: String,
    /// What it is.
    pub form: Form,
    /// The cells, of a table's row.
    pub row: Option<TableRow>,
}

/// A row of a table, cell by cell.
#[derive(Clone, Debug)]
pub(crate) struct TableRow {
    /// The names of the columns.
    pub header: Vec<String>,
    /// The row's own cells; a short row has fewer than the header.
    pub cells: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Sentence,
    ListItem,
    Row,
    Heading,
}

/// The units of a chunk, in order. The answer of a FAQ or Q&A row is one unit; the question is none.
pub(crate) fn units(document: &Document, chunk: &Chunk) -> Vec<Unit> {
    units_with(document, chunk, 0)
}

/// As [`units`], but a paragraph of at most `whole_chars` characters is not cut into sentences: what a rep is to
/// say aloud only makes sense whole.
pub(crate) fn units_with(document: &Document, chunk: &Chunk, whole_chars: usize) -> Vec<Unit> {
    if let Some(answer) = document.field("answer").and_then(|field| field.span.clone()) {
        let words = document.text[answer.clone()].trim().to_owned();
        return vec![Unit { span: answer, words, form: Form::Sentence, row: None }];
    }
    let mut units = Vec::new();
    let mut header: Option<Header> = chunk.table_header.as_ref().and_then(|span| {
        let line = document.text[span.clone()].lines().next()?;
        Some(Header { start: span.start, cells: cells(line) })
    });
    let text = chunk.text(document);
    let mut line_start = chunk.span.start;
    let mut in_table = header.is_some();
    for line in text.split_inclusive('\n') {
        let at = line_start..line_start + line.len();
        line_start = at.end;
        let trimmed = line.trim();
        if trimmed.starts_with('|') && trimmed.len() > 1 {
            if is_separator(trimmed) {
                in_table = true;
                continue;
            }
            let row = cells(trimmed);
            match &header {
                Some(header) if in_table => {
                    // A figure in a column's name stands above the row; the quote then begins there.
                    let has_figure = |cell: &String| cell.bytes().any(|b| b.is_ascii_digit());
                    let from_header = header.cells.iter().skip(1).any(has_figure);
                    let at = if from_header { header.start..at.end } else { at };
                    units.push(Unit {
                        span: trim(&document.text, at),
                        words: row_words(&header.cells, &row),
                        form: Form::Row,
                        row: Some(TableRow { header: header.cells.clone(), cells: row }),
                    });
                }
                _ => {
                    header = Some(Header { start: at.start, cells: row });
                    // Tables rendered from spreadsheets have no separator line.
                    in_table = true;
                }
            }
            continue;
        }
        header = None;
        in_table = false;
        push_prose(document, at, whole_chars, &mut units);
    }
    units
}

/// The same units, but every row of a table stands on the whole table: what is shown as a table is quoted as one.
pub(crate) fn tables_whole(mut units: Vec<Unit>) -> Vec<Unit> {
    let mut first = 0;
    while first < units.len() {
        let header = |unit: &Unit| unit.row.as_ref().map(|row| row.header.clone());
        let same = units[first..]
            .iter()
            .take_while(|unit| unit.row.is_some() && header(unit) == header(&units[first]));
        let n_rows = same.count();
        if n_rows > 1 {
            let start = units[first].span.start;
            let end = units[first + n_rows - 1].span.end;
            for unit in &mut units[first..first + n_rows] {
                unit.span = start..end;
            }
        }
        first += n_rows.max(1);
    }
    units
}

/// The header of the table that is being read.
struct Header {
    /// Where its line starts in the document's text.
    start: usize,
    cells: Vec<String>,
}

fn push_prose(document: &Document, line: Range<usize>, whole_chars: usize, units: &mut Vec<Unit>) {
    let text = &document.text[line.clone()];
    let trimmed = text.trim();
    if trimmed.is_empty() || trimmed.chars().all(|c| matches!(c, '-' | '*' | '_' | '=' | ' ')) {
        return;
    }
    if let Some(title) = trimmed.strip_prefix('#') {
        let words = title.trim_start_matches('#').trim().to_owned();
        units.push(Unit { span: trim(&document.text, line), words, form: Form::Heading, row: None });
        return;
    }
    let (mark, form) = list_mark(trimmed);
    let indent = text.len() - text.trim_start().len();
    let body = line.start + indent + mark..line.start + indent + trimmed.len();
    // A list item is one thought, however many sentences it has, unless it is long.
    let longest_whole = if form == Form::ListItem { whole_chars.max(160) } else { whole_chars };
    if longest_whole > 0 {
        let words = plain(&document.text[body.clone()]);
        if words.chars().count() <= longest_whole {
            if !words.is_empty() {
                units.push(Unit { span: trim(&document.text, body), words, form, row: None });
            }
            return;
        }
    }
    for sentence in sentences(&document.text[body.clone()]) {
        let span = trim(&document.text, body.start + sentence.start..body.start + sentence.end);
        let words = plain(&document.text[span.clone()]);
        if !words.is_empty() {
            units.push(Unit { span, words, form, row: None });
        }
    }
}

/// Bytes of a list or quote mark at the start of a line, and what the line is.
pub(crate) fn list_mark(line: &str) -> (usize, Form) {
    for mark in ["- [ ] ", "- [x] ", "- ", "* ", "+ ", "• ", "· ", "● ", "> "] {
        if line.starts_with(mark) {
            return (mark.len(), if mark == "> " { Form::Sentence } else { Form::ListItem });
        }
    }
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    if (1..=2).contains(&digits) {
        for mark in [". ", "、", ") ", "）", "．"] {
            if line[digits..].starts_with(mark) {
                return (digits + mark.len(), Form::ListItem);
            }
        }
    }
    (0, Form::Sentence)
}

/// Markdown emphasis and code marks out; the words themselves stay as they are.
fn plain(text: &str) -> String {
    let text = text.replace("**", "").replace('`', "");
    // What joined the item to the next one in its list joins it to nothing in an answer.
    text.trim().trim_start_matches(['—', '–']).trim_end_matches(['；', ';', '，', '、']).trim().to_owned()
}

fn is_separator(line: &str) -> bool {
    line.contains('-') && line.chars().all(|c| matches!(c, '|' | '-' | ':' | ' '))
}

/// The cells of a table line, trimmed; `\|` stands for a bar.
fn cells(line: &str) -> Vec<String> {
    let line = line.trim().trim_start_matches('|');
    let mut cells = vec![String::new()];
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.peek() == Some(&'|') => {
                chars.next();
                cells.last_mut().expect("there is always a cell").push('|');
            }
            '|' => cells.push(String::new()),
            _ => cells.last_mut().expect("there is always a cell").push(c),
        }
    }
    if cells.last().is_some_and(|cell| cell.trim().is_empty()) {
        cells.pop();
    }
    cells.iter().map(|cell| plain(cell)).collect()
}

/// A row in words: the first cell names it; a lone second cell is its value, more are named by their columns.
fn row_words(header: &[String], row: &[String]) -> String {
    let Some((name, values)) = row.split_first() else { return String::new() };
    let filled: Vec<(usize, &String)> = values
        .iter()
        .enumerate()
        .filter(|(_, value)| !value.is_empty() && value.as_str() != "-" && value.as_str() != "—")
        .collect();
    let is_fact_sheet = header.len() <= 3
        && header.get(1).is_some_and(|h| {
            [
                "参数",
                "数值",
                "值",
                "规格",
                "内容",
                "说明",
                "value",
                "specification",
                "动作",
                "details",
                "標準",
                "标准",
            ]
            .iter()
            .any(|word| h.to_lowercase().contains(word))
        });
    let mut words = name.clone();
    for (nth, (column, value)) in filled.iter().enumerate() {
        let label = header.get(column + 1).map(String::as_str).unwrap_or_default();
        let joint = if nth == 0 { "：" } else { "，" };
        if is_fact_sheet || label.is_empty() {
            if nth == 0 {
                words.push_str(joint);
                words.push_str(value);
            } else {
                words.push_str(&format!("（{value}）"));
            }
        } else {
            words.push_str(&format!("{joint}{label} {value}"));
        }
    }
    words
}

pub(crate) fn trim(text: &str, span: Range<usize>) -> Range<usize> {
    let part = &text[span.clone()];
    let start = span.start + (part.len() - part.trim_start().len());
    start..(span.start + part.trim_end().len()).max(start)
}

/// The best cosine among the stretches of a chunk that a part of it lies over.
pub(crate) fn cosine_over(stretches: &[(Range<usize>, f32)], part: &Range<usize>) -> Option<f32> {
    let over = stretches.iter().filter(|(stretch, _)| stretch.start < part.end && part.start < stretch.end);
    over.map(|(_, cosine)| *cosine).max_by(f32::total_cmp)
}

/// Where a unit stands: the chunk's place, with lines narrowed to the unit's own where text lines are file lines.
pub(crate) fn location(document: &Document, chunk: &Chunk, span: &Range<usize>) -> Location {
    let mut location = chunk.location.clone();
    // A chunk may reach over several pages; the quote stands on one.
    location.page = document.page_at(span.start).or(location.page);
    let is_line_based = document.fields.is_empty()
        && [".md", ".markdown", ".txt"].iter().any(|ending| document.path.to_lowercase().ends_with(ending));
    if is_line_based && let Some(first) = location.line_start {
        let lines = |span: Range<usize>| document.text[span].matches('\n').count() as u32;
        // A quote that takes in the header of a cut table begins above its chunk.
        let start = if span.start >= chunk.span.start {
            first + lines(chunk.span.start..span.start)
        } else {
            first.saturating_sub(lines(span.start..chunk.span.start)).max(1)
        };
        location.line_start = Some(start);
        location.line_end = Some(start + lines(span.clone()));
    }
    location
}

/// A unit together with where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Evidence {
    pub document: Arc<Document>,
    pub chunk: Arc<Chunk>,
    pub unit: Unit,
}

#[cfg(test)]
mod tests {
    use flightdeck_corpus::Kind;

    use super::*;

    fn read(text: &str) -> (Document, Vec<Unit>) {
        let document = Document::new("d", Kind::Product, "d", "products/d.md", text);
        let chunk = Chunk {
            id: "d#1".into(),
            document: document.id.clone(),
            span: 0..text.len(),
            table_header: None,
            location: Location { line_start: Some(5), line_end: Some(20), ..Location::default() },
        };
        let units = units(&document, &chunk);
        for unit in &units {
            assert!(
                document.text.get(unit.span.clone()).is_some_and(|quote| !quote.trim().is_empty()),
                "{unit:?}"
            );
        }
        (document, units)
    }

    fn words(text: &str) -> Vec<String> {
        read(text).1.into_iter().filter(|unit| unit.form != Form::Heading).map(|unit| unit.words).collect()
    }

    #[test]
    fn a_fact_sheet_row_reads_as_name_and_value() {
        let table = "| 项目 | 参数 | 备注 |\n| --- | --- | --- |\n| 最高速度 | 300 瓶/分钟 | 500 mL 圆瓶 |\n| 精度 | ±0.5 mm | |\n";
        assert_eq!(words(table), ["最高速度：300 瓶/分钟（500 mL 圆瓶）", "精度：±0.5 mm"]);
    }

    #[test]
    fn a_comparison_row_names_its_columns() {
        let table = "| 指标 | 改造前 | 改造后 |\n|---|---|---|\n| 换型 | 35 分钟 | 4 分钟 |\n";
        assert_eq!(words(table), ["换型：改造前 35 分钟，改造后 4 分钟"]);
    }

    #[test]
    fn a_figure_in_a_columns_name_is_part_of_the_quote() {
        let (document, units) =
            read("| 机型 | 12 期 | 24 期 |\n| --- | --- | --- |\n| LB-300S | 20,737 元 | 10,668 元 |\n");
        assert!(document.text[units[0].span.clone()].contains("24 期"), "{units:?}");
    }

    #[test]
    fn list_items_lose_their_marks_and_joints_and_sentences_stay_apart() {
        assert_eq!(
            words("- **算停机**：少 46 小时；\n2. 第二步\n\n一句话。第二句！\n"),
            ["算停机：少 46 小时", "第二步", "一句话。", "第二句！"]
        );
    }

    #[test]
    fn a_units_lines_are_its_own() {
        let (document, units) = read("# 标题\n\n第一句。\n\n- 项目一\n");
        let chunk = Chunk {
            id: "d#1".into(),
            document: document.id.clone(),
            span: 0..document.text.len(),
            table_header: None,
            location: Location { line_start: Some(5), line_end: Some(9), ..Location::default() },
        };
        let lines: Vec<_> =
            units.iter().map(|unit| location(&document, &chunk, &unit.span).line_start).collect();
        assert_eq!(lines, [Some(5), Some(7), Some(9)]);
    }

    #[test]
    fn a_quote_that_begins_above_its_chunk_has_the_lines_it_begins_on() {
        let (document, _) = read("| 机型 | 24 期 |\n| --- | --- |\n| A | 1 元 |\n| B | 2 元 |\n");
        let row = document.text.find("| B").expect("the row is there");
        let chunk = Chunk {
            id: "d#2".into(),
            document: document.id.clone(),
            span: row..document.text.len(),
            table_header: Some(0..row - "| A | 1 元 |\n".len()),
            location: Location { line_start: Some(13), line_end: Some(13), ..Location::default() },
        };
        let unit = &units(&document, &chunk)[0];
        assert_eq!(unit.span.start, 0, "{unit:?}");
        let place = location(&document, &chunk, &unit.span);
        assert_eq!((place.line_start, place.line_end), (Some(10), Some(13)));
    }
}
