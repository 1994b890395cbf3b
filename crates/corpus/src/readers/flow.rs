//! Text with a structure that was not written as text: what Word, PowerPoint, PDF and HTML files come to.
//!
//! It is Markdown, because the outline reader knows that, but a file's words stand in it to the letter: a line
//! that only happens to look like a heading is escaped, and nothing else is touched. The text has no lines in
//! its file, so it carries no line numbers; pages (or slides) say where a passage stands.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::structure::{atx_heading, fence};

/// Most columns of a table: a sheet's or a grid's claim beyond it is not believed.
const MAX_COLUMNS: usize = 256;

/// Text, where its pages begin, and which parts are not for everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Flow {
    pub text: String,
    /// Byte offset at which each page or slide begins, and its number from 1, in order.
    pub pages: Vec<(usize, u32)>,
    /// Speaker notes and hidden slides: whole lines that must not reach a customer, in order.
    pub private: Vec<Range<usize>>,
    /// A title that stands outside the text.
    pub title: Option<String>,
}

/// A cell of a table as its author drew it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell {
    pub text: String,
    pub columns: usize,
    pub rows: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    Nothing,
    Paragraph,
    Item,
    Other,
}

/// Builds a [`Flow`] block by block.
#[derive(Debug)]
pub(crate) struct FlowWriter {
    flow: Flow,
    last: Last,
    private_from: Option<usize>,
}

impl FlowWriter {
    pub(crate) fn new() -> Self {
        Self { flow: Flow::default(), last: Last::Nothing, private_from: None }
    }

    /// What follows stands on this page.
    pub(crate) fn page(&mut self, number: u32) {
        self.flow.pages.push((self.flow.text.len(), number));
    }

    pub(crate) fn heading(&mut self, level: u8, text: &str) {
        let text = one_line(text);
        if text.is_empty() {
            return;
        }
        self.gap(Last::Other);
        self.push(&"#".repeat(usize::from(level.clamp(1, 6))));
        self.push(" ");
        self.push(&text);
    }

    pub(crate) fn paragraph(&mut self, text: &str) {
        let lines = clean_lines(text);
        if lines.is_empty() {
            return;
        }
        self.gap(Last::Paragraph);
        self.lines(&lines, "");
    }

    /// Goes on with a paragraph that a page's end has cut, with a space between where there must be one.
    /// False where the last block was no paragraph, or nothing was.
    pub(crate) fn go_on(&mut self, text: &str, page: u32) -> bool {
        let lines = clean_lines(text);
        if self.last != Last::Paragraph || lines.is_empty() {
            return false;
        }
        if ends_a_word(&self.flow.text) && lines[0].starts_with(is_word) {
            self.push(" ");
        }
        self.page(page);
        self.lines(&lines, "");
        true
    }

    /// A list item under `depth` others; `marker` is `-` or a number as the file shows it.
    pub(crate) fn item(&mut self, depth: usize, marker: &str, text: &str) {
        let lines = clean_lines(text);
        if lines.is_empty() {
            return;
        }
        self.gap(Last::Item);
        let indent = "  ".repeat(depth.min(12));
        self.push(&indent);
        self.push(marker);
        self.push(" ");
        self.lines(&lines, &format!("{indent}  "));
    }

    pub(crate) fn code(&mut self, text: &str) {
        let text = text.trim_matches('\n');
        if text.trim().is_empty() {
            return;
        }
        self.gap(Last::Other);
        let fence = if text.contains("```") { "~~~~" } else { "```" };
        self.push(&format!("{fence}\n{text}\n{fence}"));
    }

    /// A table, its rows as drawn: a cell over several rows is repeated in each, as a person reads it; header
    /// rows that belong together become one; a row that is one cell over the whole width, at the top, is a
    /// caption. `n_header_rows` is what the file says, 0 where it says nothing.
    pub(crate) fn table(&mut self, rows: &[Vec<Cell>], n_header_rows: usize) {
        let mut grid = grid(rows);
        let width = grid.iter().map(Vec::len).max().unwrap_or(0);
        grid.retain(|row| row.iter().any(|cell| !cell.text.is_empty()));
        if width == 0 || grid.is_empty() {
            return;
        }
        let mut n_captions = 0;
        while grid.len() > n_captions + 1 && width > 1 && is_caption(&grid[n_captions], width) {
            self.paragraph(&grid[n_captions][0].text.clone());
            n_captions += 1;
        }
        grid.drain(..n_captions);
        let n_header_rows = header_rows(&grid, n_header_rows.saturating_sub(n_captions));
        let header: Vec<String> =
            (0..width).map(|column| joined_header(&grid[..n_header_rows], column)).collect();
        self.gap(Last::Other);
        self.row(&header);
        self.push("\n|");
        self.push(&" --- |".repeat(width));
        for row in &grid[n_header_rows..] {
            self.push("\n");
            let cells: Vec<String> = (0..width)
                .map(|column| {
                    row.get(column)
                        .filter(|cell| cell.is_shown)
                        .map_or(String::new(), |cell| cell.text.clone())
                })
                .collect();
            self.row(&cells);
        }
    }

    /// What follows is not for customers, up to [`Self::end_private`]; these do not nest.
    pub(crate) fn begin_private(&mut self) {
        self.private_from = Some(self.flow.text.len());
    }

    /// What follows is for everybody again.
    pub(crate) fn end_private(&mut self) {
        let before = self.private_from.take().unwrap_or(self.flow.text.len());
        if self.flow.text.len() > before {
            // A private part ends where a new block begins.
            self.last = Last::Other;
            self.flow.private.push(before..self.flow.text.len());
        }
    }

    pub(crate) fn finish(mut self) -> Flow {
        if !self.flow.text.is_empty() {
            self.flow.text.push('\n');
        }
        self.flow.pages.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                earlier.1 = later.1;
            }
            same
        });
        self.flow
    }

    fn push(&mut self, text: &str) {
        self.flow.text.push_str(text);
    }

    /// The line ends between two blocks; the first block has none before it.
    fn gap(&mut self, next: Last) {
        let gap = match (self.last, next) {
            (Last::Nothing, _) => "",
            (Last::Item, Last::Item) => "\n",
            _ => "\n\n",
        };
        // The gap belongs to what stood before, so that a page and a private part begin with their words.
        let at = self.flow.text.len();
        self.push(gap);
        if let Some(page) = self.flow.pages.last_mut().filter(|page| page.0 == at) {
            page.0 += gap.len();
        }
        self.last = next;
    }

    fn lines(&mut self, lines: &[String], indent: &str) {
        for (idx, line) in lines.iter().enumerate() {
            if idx > 0 {
                self.push("\n");
                self.push(indent);
            }
            if looks_like_markup(line) {
                self.push("\\");
            }
            self.push(line);
        }
    }

    fn row(&mut self, cells: &[String]) {
        self.push("|");
        for cell in cells {
            self.push(" ");
            self.push(cell);
            self.push(" |");
        }
    }
}

impl Flow {
    /// The parts that are for everybody, and those that are not; both with their pages.
    pub(crate) fn split(self) -> (Self, Option<Self>) {
        if self.private.is_empty() {
            return (self, None);
        }
        let mut public = Self { title: self.title.clone(), ..Self::default() };
        let mut private = Self::default();
        let mut at = 0;
        for span in &self.private {
            public.take(&self, at..span.start);
            private.take(&self, span.clone());
            at = span.end;
        }
        public.take(&self, at..self.text.len());
        (public, Some(private))
    }

    fn take(&mut self, from: &Self, span: Range<usize>) {
        let words = from.text[span.clone()].trim_matches('\n');
        if words.is_empty() {
            return;
        }
        let start = span.start + from.text[span.clone()].len()
            - from.text[span.clone()].trim_start_matches('\n').len();
        if !self.text.is_empty() {
            self.text.push_str("\n\n");
        }
        let here = self.text.len();
        if let Some(page) = page_at(&from.pages, start) {
            self.pages.push((here, page));
        }
        let inside = from.pages.iter().filter(|(at, _)| *at > start && *at < start + words.len());
        self.pages.extend(inside.map(|(at, page)| (here + at - start, *page)));
        self.text.push_str(words);
    }
}

/// The page on which an offset stands; `None` before the first, and in files without pages.
pub(crate) fn page_at(pages: &[(usize, u32)], offset: usize) -> Option<u32> {
    let after = pages.partition_point(|(start, _)| *start <= offset);
    after.checked_sub(1).map(|idx| pages[idx].1)
}

/// A place of a table's grid.
#[derive(Clone, Debug, Default)]
struct Place {
    text: String,
    /// Whether a cell begins here, or comes down from a row above; not where one only reaches from the left.
    is_shown: bool,
    /// Columns of the cell that stands here.
    columns: usize,
    /// Rows that the cell still goes on below this one.
    below: usize,
}

fn grid(rows: &[Vec<Cell>]) -> Vec<Vec<Place>> {
    let mut grid: Vec<Vec<Place>> = Vec::with_capacity(rows.len());
    for cells in rows {
        let mut row: Vec<Option<Place>> = Vec::new();
        if let Some(above) = grid.last() {
            row.extend(
                above.iter().map(|place| {
                    (place.below > 0).then(|| Place { below: place.below - 1, ..place.clone() })
                }),
            );
        }
        let mut column = 0;
        for cell in cells {
            while row.get(column).is_some_and(Option::is_some) {
                column += 1;
            }
            if column >= MAX_COLUMNS {
                break;
            }
            let columns = cell.columns.clamp(1, MAX_COLUMNS - column);
            let text = one_line(&cell.text).replace('|', "｜");
            for idx in 0..columns {
                if row.len() <= column {
                    row.resize(column + 1, None);
                }
                let place = Place {
                    text: text.clone(),
                    is_shown: idx == 0,
                    columns,
                    below: cell.rows.saturating_sub(1),
                };
                row[column] = Some(place);
                column += 1;
            }
        }
        grid.push(row.into_iter().map(Option::unwrap_or_default).collect());
    }
    grid
}

fn is_caption(row: &[Place], width: usize) -> bool {
    row.first().is_some_and(|first| first.columns >= width && first.below == 0 && !first.text.is_empty())
}

/// How many rows make the header: as many as the file says, else one, else as many as its cells reach down;
/// cells that reach over several columns have the names of the columns under them.
fn header_rows(grid: &[Vec<Place>], said: usize) -> usize {
    let most = grid.len().saturating_sub(1).clamp(1, 3);
    if said > 0 {
        return said.min(most);
    }
    let first = &grid[0];
    let deepest = first.iter().map(|place| place.below + 1).max().unwrap_or(1);
    let is_wide = first.iter().any(|place| place.columns > 1);
    // A cell that reaches down all the table is a label at its side, not a header.
    if is_wide && deepest > 1 && deepest <= most { deepest } else { 1 }
}

fn joined_header(rows: &[Vec<Place>], column: usize) -> String {
    let mut names: Vec<&str> = Vec::new();
    for row in rows {
        if let Some(place) = row.get(column).filter(|place| rows.len() > 1 || place.is_shown) {
            let name = place.text.as_str();
            if !name.is_empty() && names.last() != Some(&name) {
                names.push(name);
            }
        }
    }
    names.join(" ")
}

fn clean_lines(text: &str) -> Vec<String> {
    text.split(['\n', '\u{b}', '\u{2028}', '\r']).map(clean).filter(|line| !line.is_empty()).collect()
}

/// One line of a file's words: ends trimmed, soft hyphens and control characters gone, tabs as spaces.
fn clean(line: &str) -> String {
    let kept: String = line
        .chars()
        .filter(|c| !matches!(c, '\u{ad}' | '\u{200b}' | '\u{feff}' | '\u{fffc}'))
        .map(|c| if c == '\t' || c == '\u{a0}' { ' ' } else { c })
        .filter(|c| !c.is_control())
        .collect();
    kept.trim().to_owned()
}

pub(crate) fn one_line(text: &str) -> String {
    clean_lines(text).join(" ")
}

fn looks_like_markup(line: &str) -> bool {
    let is_rule = line.len() >= 3 && (line.bytes().all(|b| b == b'-') || line.bytes().all(|b| b == b'='));
    is_rule || atx_heading(line).is_some() || fence(line).is_some()
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || (c.is_alphabetic() && (c as u32) < 0x2000)
}

fn ends_a_word(text: &str) -> bool {
    text.ends_with(|c| is_word(c) || matches!(c, ',' | ';' | ')'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(text: &str, columns: usize, rows: usize) -> Cell {
        Cell { text: text.to_owned(), columns, rows }
    }

    fn table(rows: &[Vec<Cell>]) -> String {
        let mut writer = FlowWriter::new();
        writer.table(rows, 0);
        writer.finish().text
    }

    #[test]
    fn a_header_in_two_rows_and_merged_cells_are_read_as_a_person_does() {
        let rows = [
            vec![cell("2026 年价格", 3, 1)],
            vec![cell("型号", 1, 2), cell("价格", 2, 1)],
            vec![cell("含税", 1, 1), cell("未税", 1, 1)],
            vec![cell("LB-300", 1, 2), cell("39800", 1, 1), cell("35000", 1, 1)],
            vec![cell("另|议", 2, 1)],
        ];
        assert_eq!(
            table(&rows),
            "2026 年价格\n\n| 型号 | 价格 含税 | 价格 未税 |\n| --- | --- | --- |\n| LB-300 | 39800 | 35000 |\n| LB-300 | 另｜议 |  |\n"
        );
    }

    #[test]
    fn words_that_look_like_markup_stay_words() {
        let mut writer = FlowWriter::new();
        writer.paragraph("# 不是标题\n---\n```\n#1 号机");
        writer.heading(2, "是\n标题");
        writer.item(1, "-", "甲\n乙");
        assert_eq!(
            writer.finish().text,
            "\\# 不是标题\n\\---\n\\```\n#1 号机\n\n## 是 标题\n\n  - 甲\n    乙\n"
        );
    }

    #[test]
    fn pages_begin_with_their_words_and_private_parts_can_be_taken_out() {
        let mut writer = FlowWriter::new();
        writer.page(1);
        writer.paragraph("第一页");
        writer.begin_private();
        writer.paragraph("备注");
        writer.end_private();
        writer.page(2);
        writer.heading(1, "第二页");
        let flow = writer.finish();
        let at = flow.text.find("# 第二页").expect("the second page");
        assert_eq!(flow.pages, [(0, 1), (at, 2)]);
        let (public, private) = flow.split();
        assert_eq!(public.text, "第一页\n\n# 第二页");
        assert_eq!(public.pages.last().map(|page| (&public.text[page.0..], page.1)), Some(("# 第二页", 2)));
        let private = private.expect("a private part");
        assert_eq!((private.text.as_str(), private.pages), ("备注", vec![(0, 1)]));
    }

    #[test]
    fn a_paragraph_goes_on_over_a_page() {
        let mut writer = FlowWriter::new();
        writer.page(1);
        writer.paragraph("质保期为十二");
        assert!(writer.go_on("个月。", 2));
        writer.heading(1, "题");
        assert!(!writer.go_on("x", 3));
        let flow = writer.finish();
        assert!(flow.text.starts_with("质保期为十二个月。"));
        assert_eq!(page_at(&flow.pages, "质保期为十二".len()), Some(2));
        assert_eq!(page_at(&flow.pages, 0), Some(1));
    }
}
