//! PDF pages: the library finds the text, its order and its tables; here pages become one flow.
//!
//! Running heads and feet, which say on every page what was said before, are left out; a paragraph that a
//! page's end cuts is one paragraph; radicals that browsers print in place of ideographs are put back. A page
//! that is a picture has no text, and that is said.

use std::collections::{HashMap, HashSet};

use unicode_normalization::UnicodeNormalization;
use unpdf::{Block, Document, Error, InlineContent, Page, Paragraph, ParseOptions};

use super::broken;
use super::flow::{Cell, Flow, FlowWriter, one_line};
use super::office::encrypted;
use crate::problem::Problem;

/// A line in the same place on this many pages, and on more than half of them, is a running head.
const RUNNING_PAGES: usize = 3;

pub(crate) fn read(path: &str, bytes: &[u8], problems: &mut Vec<Problem>) -> Result<Flow, Problem> {
    let options = ParseOptions::new().lenient().with_resources(false).sequential();
    let document = unpdf::parse_bytes_with_options(bytes, options).map_err(|error| match error {
        Error::Encrypted | Error::InvalidPassword => encrypted(path),
        Error::UnknownFormat => broken(path, None, "PDF", "the content is of another format"),
        other => broken(path, None, "PDF", &other.to_string()),
    })?;
    let running = running_lines(&document);
    let mut flow = FlowWriter::new();
    let mut cut = false;
    for page in &document.pages {
        let mut is_first = true;
        let n_blocks = page.elements.len();
        for (idx, block) in page.elements.iter().enumerate() {
            let at_edge = idx < 2 || idx + 2 >= n_blocks;
            if at_edge && running.contains(&key(block)) {
                continue;
            }
            let goes_on = is_first
                && cut
                && matches!(block, Block::Paragraph(paragraph)
                    if is_plain(paragraph) && flow.go_on(&words(paragraph), page.number));
            if !goes_on {
                if is_first {
                    flow.page(page.number);
                }
                write(&mut flow, block);
            }
            is_first = false;
            cut = is_cut(block);
        }
    }
    let flow = flow.finish();
    report(path, &document, flow.text.trim().is_empty(), problems)?;
    Ok(flow)
}

fn write(flow: &mut FlowWriter, block: &Block) {
    match block {
        Block::Paragraph(paragraph) => {
            let text = words(paragraph);
            if let Some(level) = paragraph.style.heading_level {
                flow.heading(level, &text);
            } else if let Some(list) = &paragraph.style.list_info {
                let marker = list.item_number.map_or_else(|| "-".to_owned(), |number| format!("{number}."));
                flow.item(usize::from(list.level), &marker, &text);
            } else {
                flow.paragraph(&text);
            }
        }
        Block::Table(table) => {
            let rows: Vec<Vec<Cell>> = table
                .rows
                .iter()
                .map(|row| {
                    row.cells
                        .iter()
                        .map(|cell| {
                            let text: Vec<String> = cell.content.iter().map(words).collect();
                            Cell {
                                text: text.join(" "),
                                columns: cell.colspan.into(),
                                rows: cell.rowspan.into(),
                            }
                        })
                        .collect()
                })
                .collect();
            flow.table(&rows, if table.header_rows > 1 { table.header_rows.into() } else { 0 });
        }
        Block::Code { content } => flow.code(&ideographs(content)),
        Block::Raw { content } => flow.paragraph(&ideographs(content)),
        _ => {}
    }
}

fn words(paragraph: &Paragraph) -> String {
    let mut text = String::new();
    for piece in &paragraph.content {
        match piece {
            InlineContent::Text(run) => text.push_str(&run.text),
            InlineContent::Link { text: label, .. } => text.push_str(label),
            InlineContent::LineBreak => text.push('\n'),
            InlineContent::Image { .. } => {}
        }
    }
    ideographs(&text)
}

fn is_plain(paragraph: &Paragraph) -> bool {
    paragraph.style.heading_level.is_none() && paragraph.style.list_info.is_none()
}

/// Whether a sentence is still open at the end of a page's last block.
fn is_cut(block: &Block) -> bool {
    let Block::Paragraph(paragraph) = block else { return false };
    let text = words(paragraph);
    let last = text.trim_end().chars().next_back();
    is_plain(paragraph)
        && text.chars().count() > 12
        && last.is_some_and(|c| c.is_alphanumeric() || matches!(c, '，' | '、' | ',' | '；'))
}

/// What a block says, page numbers aside; empty for what is no short paragraph.
fn key(block: &Block) -> String {
    let Block::Paragraph(paragraph) = block else { return String::new() };
    let text = one_line(&words(paragraph));
    if text.chars().count() > 80 {
        return String::new();
    }
    text.chars().filter(|c| !c.is_numeric() && !c.is_whitespace()).collect()
}

/// The lines at the edges of pages that come back on most of them.
fn running_lines(document: &Document) -> HashSet<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for page in &document.pages {
        let n_blocks = page.elements.len();
        let edges = page.elements.iter().enumerate().filter(|(idx, _)| *idx < 2 || idx + 2 >= n_blocks);
        let mut here: Vec<String> =
            edges.map(|(_, block)| key(block)).filter(|key| !key.is_empty()).collect();
        here.sort_unstable();
        here.dedup();
        for key in here {
            *seen.entry(key).or_default() += 1;
        }
    }
    let is_running = |n: &usize| *n >= RUNNING_PAGES && *n * 2 > document.pages.len();
    seen.into_iter().filter(|(_, n)| is_running(n)).map(|(key, _)| key).collect()
}

/// Says what is missing: pages without text, text that no font explains, pages that could not be reached.
fn report(
    path: &str,
    document: &Document,
    nothing: bool,
    problems: &mut Vec<Problem>,
) -> Result<(), Problem> {
    let is_picture = |page: &&Page| {
        page.plain_text().trim().is_empty() && (page.image_op_count > 0 || page.ocr_text_suppressed)
    };
    let pictures: Vec<String> =
        document.pages.iter().filter(is_picture).map(|page| page.number.to_string()).collect();
    let suppressed: usize = document.pages.iter().map(|page| page.suppressed_text_runs).sum();
    if nothing {
        if !pictures.is_empty() {
            return Err(Problem::error(
                path,
                None,
                "scanned",
                "scanned, needs OCR: the pages are pictures without text; the file is left out",
                "扫描件，需要 OCR：页面只有图片、没有文字层，未收录",
            ));
        }
        if suppressed > 0 {
            return Err(unexplained(path, suppressed));
        }
        return Err(if document.pages.is_empty() {
            broken(path, None, "PDF", "no page can be read")
        } else {
            super::empty(path)
        });
    }
    if !pictures.is_empty() {
        let list = pictures.join(", ");
        problems.push(Problem::warning(
            path,
            None,
            "scanned",
            format!("scanned, needs OCR: pages without text: {list}"),
            format!("部分页面是扫描图片，需要 OCR，未收录的页：{list}"),
        ));
    }
    if suppressed > 0 {
        problems.push(unexplained(path, suppressed));
    }
    let quality = &document.extraction_quality;
    if quality.pages_incomplete || quality.undecodable_content_streams > 0 {
        problems.push(Problem::error(
            path,
            None,
            "incomplete",
            "the file is damaged; some of its pages or their content cannot be read",
            "文件已损坏，部分页面或内容无法读取",
        ));
    }
    Ok(())
}

fn unexplained(path: &str, n_runs: usize) -> Problem {
    Problem::error(
        path,
        None,
        "incomplete",
        format!(
            "{n_runs} pieces of text use a font that does not say which characters it shows; they are missing"
        ),
        format!("有 {n_runs} 处文字所用字体未提供字符编码，无法读取，内容不完整"),
    )
}

/// Puts ideographs in the place of the radicals that look like them, which some programs print (Unicode's
/// `EquivalentUnifiedIdeograph`; NFKC knows the Kangxi block only).
fn ideographs(text: &str) -> String {
    if !text.chars().any(is_radical) {
        return text.to_owned();
    }
    text.chars()
        .map(|c| match c {
            '\u{2F00}'..='\u{2FD5}' => c.nfkc().next().unwrap_or(c),
            _ => SUPPLEMENT.iter().find(|(radical, _)| *radical == c).map_or(c, |(_, ideograph)| *ideograph),
        })
        .collect()
}

fn is_radical(c: char) -> bool {
    matches!(c, '\u{2E80}'..='\u{2FD5}')
}

/// The CJK Radicals Supplement, where it has an equal among the ideographs.
const SUPPLEMENT: [(char, char); 60] = [
    ('⺁', '厂'),
    ('⺄', '乙'),
    ('⺅', '亻'),
    ('⺇', '几'),
    ('⺈', '刀'),
    ('⺉', '刂'),
    ('⺋', '㔾'),
    ('⺌', '小'),
    ('⺍', '小'),
    ('⺎', '尢'),
    ('⺐', '尣'),
    ('⺒', '巳'),
    ('⺓', '幺'),
    ('⺔', '彑'),
    ('⺖', '忄'),
    ('⺗', '㣺'),
    ('⺘', '扌'),
    ('⺙', '攵'),
    ('⺛', '旡'),
    ('⺜', '日'),
    ('⺝', '月'),
    ('⺞', '歺'),
    ('⺟', '母'),
    ('⺠', '民'),
    ('⺡', '氵'),
    ('⺢', '氺'),
    ('⺣', '灬'),
    ('⺦', '丬'),
    ('⺨', '犭'),
    ('⺩', '王'),
    ('⺫', '罒'),
    ('⺬', '示'),
    ('⺭', '礻'),
    ('⺮', '竹'),
    ('⺯', '糹'),
    ('⺰', '纟'),
    ('⺶', '羊'),
    ('⺷', '羊'),
    ('⺹', '耂'),
    ('⺺', '聿'),
    ('⺼', '肉'),
    ('⻀', '艹'),
    ('⻁', '虎'),
    ('⻂', '衤'),
    ('⻃', '西'),
    ('⻄', '西'),
    ('⻅', '见'),
    ('⻆', '角'),
    ('⻉', '贝'),
    ('⻋', '车'),
    ('⻌', '辶'),
    ('⻏', '阝'),
    ('⻑', '長'),
    ('⻓', '长'),
    ('⻔', '门'),
    ('⻘', '青'),
    ('⻙', '韦'),
    ('⻚', '页'),
    ('⻛', '风'),
    ('⻝', '食'),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn radicals_become_ideographs() {
        assert_eq!(ideographs("⼀般化学⽅程式，⻅⻓⺠ LB-300"), "一般化学方程式，见长民 LB-300");
    }
}
