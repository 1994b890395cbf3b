//! The outline of a text: sections under headings, and in them paragraphs, lists, code and tables.
//!
//! Only spans are kept, so whatever is made of the outline can be quoted from the text. This is not a
//! Markdown renderer: it knows the block structure that matters to splitting, and reads what marketing
//! people really type (`##标题` without a space, tables without outer pipes).

use std::ops::Range;

/// A heading with what stands under it, up to the next heading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    /// 1 is the outermost; 0 is what stands before the first heading.
    pub level: u8,
    /// Headings from the outermost to this one, without markup.
    pub heading: Vec<String>,
    /// The heading's line and all below it; sections tile the text.
    pub span: Range<usize>,
    pub blocks: Vec<Block>,
}

impl Section {
    /// Whether there is nothing under the heading.
    pub(crate) fn is_heading_only(&self) -> bool {
        self.level > 0 && self.blocks.iter().all(|block| block.shape == Shape::Heading)
    }
}

/// Where a text's heading stands, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heading {
    /// Byte offset of its line.
    pub start: usize,
    /// 1 is the outermost.
    pub level: u8,
    /// Without markup.
    pub words: String,
}

/// The headings of a Markdown text, in order.
pub fn headings(text: &str) -> Vec<Heading> {
    let sections = sections(text, Markup::Markdown).into_iter().filter(|section| section.level > 0);
    sections
        .map(|Section { level, mut heading, span, .. }| Heading {
            start: span.start,
            level,
            words: heading.pop().unwrap_or_default(),
        })
        .collect()
}

/// A run of lines of one shape, blank lines around it not included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub span: Range<usize>,
    pub shape: Shape,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Heading,
    Paragraph,
    Code,
    /// With the span of the header row and the rule under it; the rows follow line by line.
    Table {
        header: Range<usize>,
    },
}

/// Which conventions the text follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Markup {
    Markdown,
    /// Headings are lines such as `一、概述` and `【参数】`.
    Plain,
}

struct Line<'t> {
    span: Range<usize>,
    text: &'t str,
}

/// The sections of `text`, tiling it; one without a heading where it has none.
pub(crate) fn sections(text: &str, markup: Markup) -> Vec<Section> {
    let mut offset = 0;
    let lines: Vec<Line<'_>> = text
        .split_inclusive('\n')
        .map(|line| {
            let span = offset..offset + line.len();
            offset = span.end;
            Line { span, text: line.trim_end() }
        })
        .collect();
    let mut outline = Outline::new();
    let mut at = 0;
    while at < lines.len() {
        at = outline.take(&lines, at, markup);
    }
    outline.finish(text.len())
}

struct Outline {
    sections: Vec<Section>,
    /// Level and title of the headings that are open.
    path: Vec<(u8, String)>,
}

impl Outline {
    fn new() -> Self {
        let first = Section { level: 0, heading: Vec::new(), span: 0..0, blocks: Vec::new() };
        Self { sections: vec![first], path: Vec::new() }
    }

    fn finish(mut self, length: usize) -> Vec<Section> {
        self.last().span.end = length;
        self.sections.retain(|section| section.level > 0 || !section.blocks.is_empty());
        if let Some(first) = self.sections.first_mut() {
            first.span.start = 0;
        }
        self.sections
    }

    fn last(&mut self) -> &mut Section {
        self.sections.last_mut().expect("an outline begins with a section")
    }

    fn block(&mut self, span: Range<usize>, shape: Shape) {
        self.last().blocks.push(Block { span, shape });
    }

    fn heading(&mut self, level: u8, title: String, span: Range<usize>) {
        self.last().span.end = span.start;
        self.path.retain(|(open, _)| *open < level);
        self.path.push((level, title));
        let heading =
            self.path.iter().map(|(_, title)| title.clone()).filter(|title| !title.is_empty()).collect();
        let blocks = vec![Block { span: span.clone(), shape: Shape::Heading }];
        self.sections.push(Section { level, heading, span, blocks });
    }

    /// Takes the block that begins on line `at`; returns the line after it.
    fn take(&mut self, lines: &[Line<'_>], at: usize, markup: Markup) -> usize {
        let line = &lines[at];
        if line.text.trim().is_empty() {
            return at + 1;
        }
        if markup == Markup::Plain {
            if let Some(title) = plain_heading(line.text) {
                self.heading(1, title, line.span.clone());
                return at + 1;
            }
            let end = paragraph_end(lines, at, |line| plain_heading(line).is_some());
            self.block(joined(lines, at, end), Shape::Paragraph);
            return end;
        }
        if let Some(fence) = fence(line.text) {
            let close = (at + 1..lines.len()).find(|&other| {
                lines[other].text.trim_start().starts_with(fence)
                    && lines[other].text.trim().trim_start_matches(&fence[..1]).is_empty()
            });
            let end = close.map_or(lines.len(), |close| close + 1);
            self.block(joined(lines, at, end), Shape::Code);
            return end;
        }
        if let Some((level, title)) = atx_heading(line.text) {
            self.heading(level, title, line.span.clone());
            return at + 1;
        }
        if is_table_at(lines, at) {
            let end = (at + 2..lines.len())
                .find(|&row| !lines[row].text.contains('|') || lines[row].text.trim().is_empty())
                .unwrap_or(lines.len());
            self.block(joined(lines, at, end), Shape::Table { header: joined(lines, at, at + 2) });
            return end;
        }
        if let Some(level) = setext_level(lines, at) {
            let span = line.span.start..lines[at + 1].span.end;
            self.heading(level, without_markup(line.text), span);
            return at + 2;
        }
        let mut end = at + 1;
        while end < lines.len()
            && !lines[end].text.trim().is_empty()
            && atx_heading(lines[end].text).is_none()
            && fence(lines[end].text).is_none()
            && !is_table_at(lines, end)
        {
            end += 1;
        }
        self.block(joined(lines, at, end), Shape::Paragraph);
        end
    }
}

fn joined(lines: &[Line<'_>], first: usize, end: usize) -> Range<usize> {
    lines[first].span.start..lines[end - 1].span.end
}

fn paragraph_end(lines: &[Line<'_>], at: usize, stops: impl Fn(&str) -> bool) -> usize {
    (at + 1..lines.len())
        .find(|&line| lines[line].text.trim().is_empty() || stops(lines[line].text))
        .unwrap_or(lines.len())
}

pub(crate) fn fence(line: &str) -> Option<&'static str> {
    ["```", "~~~"].into_iter().find(|fence| line.trim_start().starts_with(fence))
}

/// `# 标题`; with two marks or more also `##标题`, which Markdown refuses and people write.
pub(crate) fn atx_heading(line: &str) -> Option<(u8, String)> {
    if line.len() - line.trim_start_matches(' ').len() > 3 {
        return None;
    }
    let trimmed = line.trim_start();
    let level = trimmed.bytes().take_while(|&byte| byte == b'#').count();
    let rest = &trimmed[level..];
    let is_heading =
        matches!(level, 1..=6) && (rest.is_empty() || rest.starts_with([' ', '\t', '\u{3000}']) || level > 1);
    is_heading.then(|| (level as u8, without_markup(rest.trim().trim_end_matches('#'))))
}

fn setext_level(lines: &[Line<'_>], at: usize) -> Option<u8> {
    let rule = lines.get(at + 1)?.text.trim();
    let title = lines[at].text.trim();
    if rule.len() < 3 || title.starts_with(['-', '*', '|', '>', '+']) {
        return None;
    }
    match rule.as_bytes()[0] {
        b'=' if rule.bytes().all(|byte| byte == b'=') => Some(1),
        b'-' if rule.bytes().all(|byte| byte == b'-') => Some(2),
        _ => None,
    }
}

/// Whether a table's header stands on line `at`: a row, and under it a rule of as many columns.
fn is_table_at(lines: &[Line<'_>], at: usize) -> bool {
    let Some(rule) = lines.get(at + 1) else { return false };
    let rule = rule.text.trim();
    lines[at].text.contains('|')
        && rule.contains('-')
        && rule.contains('|')
        && rule.split('|').filter(|cell| !cell.trim().is_empty()).all(|cell| {
            let cell = cell.trim().trim_start_matches(':').trim_end_matches(':');
            !cell.is_empty() && cell.bytes().all(|byte| byte == b'-')
        })
}

/// `一、概述`, `第二章 安装`, `【参数】` on a line of their own.
fn plain_heading(line: &str) -> Option<String> {
    let line = line.trim();
    let n_characters = line.chars().count();
    if n_characters > 40 || line.ends_with(['。', '；', '，', '！', '、', ',', ';']) {
        return None;
    }
    if let Some(inner) = line.strip_prefix('【').and_then(|rest| rest.strip_suffix('】')) {
        return (!inner.contains('】')).then(|| inner.to_owned());
    }
    let numeral = |c: char| "一二三四五六七八九十百".contains(c);
    let is_numbered = line.trim_start_matches(numeral).starts_with('、') && line.starts_with(numeral);
    let is_chapter = line.strip_prefix('第').is_some_and(|rest| {
        let rest = rest.trim_start_matches(|c: char| numeral(c) || c.is_ascii_digit());
        rest.starts_with(['章', '节', '部']) && n_characters > 3
    });
    (is_numbered || is_chapter).then(|| line.to_owned())
}

/// A heading's words: no emphasis, code marks, links or anchors.
pub(crate) fn without_markup(title: &str) -> String {
    let mut out = String::new();
    let mut rest = title.trim();
    if let Some(at) = rest.rfind("{#").filter(|_| rest.ends_with('}')) {
        rest = rest[..at].trim_end();
    }
    while let Some(at) = rest.find('[') {
        let is_image = rest[..at].ends_with('!');
        let label_end = rest[at..].find("](").map(|end| at + end);
        let link_end = label_end.and_then(|end| rest[end..].find(')').map(|close| end + close));
        let (Some(label_end), Some(link_end)) = (label_end, link_end) else { break };
        out.push_str(&rest[..at - usize::from(is_image)]);
        if !is_image {
            out.push_str(&rest[at + 1..label_end]);
        }
        rest = &rest[link_end + 1..];
    }
    out.push_str(rest);
    let out = out.replace("**", "").replace("__", "").replace('`', "");
    let out = out.trim();
    let out = out.strip_prefix('*').and_then(|inner| inner.strip_suffix('*')).unwrap_or(out);
    out.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(text: &str, markup: Markup) -> Vec<(u8, String, usize)> {
        sections(text, markup)
            .into_iter()
            .map(|section| (section.level, section.heading.join(">"), section.blocks.len()))
            .collect()
    }

    #[test]
    fn sections_follow_headings_as_people_write_them() {
        let text = "前言\n\n# 甲 #\n段\n##乙\n```\n# 不是标题\n```\n丙\n===\n段\n\n丁\n---\n#话题 不是标题\n";
        assert_eq!(
            outline(text, Markup::Markdown),
            [
                (0, String::new(), 1),
                (1, "甲".to_owned(), 2),
                (2, "甲>乙".to_owned(), 2),
                (1, "丙".to_owned(), 2),
                (2, "丙>丁".to_owned(), 2),
            ]
        );
    }

    #[test]
    fn tables_are_told_from_text_with_bars() {
        let text = "型号 | 速度\n--- | ---\nLB-150 | 150\nLB-300S | 300\n\n甲 | 乙 不是表格\n";
        let sections = sections(text, Markup::Markdown);
        let blocks = &sections[0].blocks;
        assert!(
            matches!(&blocks[0].shape, Shape::Table { header } if &text[header.clone()] == "型号 | 速度\n--- | ---\n")
        );
        assert_eq!(blocks[1].shape, Shape::Paragraph);
    }

    #[test]
    fn plain_text_has_chinese_headings() {
        let text = "标题行\n\n一、产品概述\n内容。\n【参数】\n第二章 安装\n一、这一句以句号结尾。\n";
        assert_eq!(
            outline(text, Markup::Plain),
            [
                (0, String::new(), 1),
                (1, "一、产品概述".to_owned(), 2),
                (1, "参数".to_owned(), 1),
                (1, "第二章 安装".to_owned(), 2)
            ]
        );
    }

    #[test]
    fn headings_are_found_as_people_write_them() {
        let text = "前言\n# 太贵 #\n##证据\n```\n# 不是\n```\n";
        let found: Vec<(usize, u8, String)> =
            headings(text).into_iter().map(|heading| (heading.start, heading.level, heading.words)).collect();
        let second = text.find("##证据").unwrap();
        assert_eq!(found, [(7, 1, "太贵".to_owned()), (second, 2, "证据".to_owned())]);
    }

    #[test]
    fn headings_lose_their_markup() {
        for (written, plain) in [
            ("**太贵了** `LB-300S`", "太贵了 LB-300S"),
            ("[手册](https://a.example/x)与![图](y)说明 {#anchor}", "手册与说明"),
            ("*强调*", "强调"),
            ("[未闭合", "[未闭合"),
        ] {
            assert_eq!(without_markup(written), plain);
        }
    }
}
