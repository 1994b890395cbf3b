//! Word and PowerPoint files.
//!
//! The library reads the formats; what of a document counts is decided here. Comments, the template's own
//! words, running heads and deleted or hidden text are not the document. Notes stand after the paragraph that
//! refers to them; speaker notes and hidden slides are kept, but as private parts. Slides are pages.

use std::collections::HashSet;
use std::io::Cursor;

use office_oxide::ir::{Element, InlineContent, List, Note, Section, Table as OfficeTable, inline_to_text};
use office_oxide::options::ParseOptions;
use office_oxide::{Document, DocumentFormat, DocumentIR};

use super::archive::claims;
use super::flow::{Cell, Flow, FlowWriter, one_line};
use super::{broken, wordless};
use crate::problem::Problem;

/// Most bytes of structure that a file may unpack to; pictures and films are not counted.
const MAX_XML_BYTES: u64 = 128 << 20;
/// Most characters of text that are taken from one file.
const MAX_TEXT_CHARS: usize = 16 << 20;
/// The style of a document's title, which has no place in the outline; older Chinese files give it its shown name.
const TITLE_STYLES: [&str; 2] = ["Title", "标题"];
/// The library's name for the section of the master's own words.
const MASTER_SECTION: &str = "Master & Layout Text";

/// Opens a document whatever its name says, as long as the bytes are one of these formats.
pub(crate) fn open(
    path: &str,
    bytes: &[u8],
    format: DocumentFormat,
    what: &str,
) -> Result<Document, Problem> {
    let is_compound = bytes.starts_with(b"\xD0\xCF\x11\xE0");
    let is_archive = bytes.starts_with(b"PK");
    if is_compound && contains_utf16(bytes, "EncryptedPackage") {
        return Err(encrypted(path));
    }
    // A file saved under the other generation's name is read as what it is.
    let format = match format {
        DocumentFormat::Docx if is_compound => DocumentFormat::Doc,
        DocumentFormat::Doc if is_archive => DocumentFormat::Docx,
        other => other,
    };
    let is_legacy = matches!(format, DocumentFormat::Doc | DocumentFormat::Xls);
    if !(if is_legacy { is_compound } else { is_archive }) {
        return Err(broken(path, None, what, "the content is of another format"));
    }
    if is_archive {
        let claims =
            claims(bytes).ok_or_else(|| broken(path, None, what, "the file is not a complete archive"))?;
        if claims.unpacked_xml > MAX_XML_BYTES {
            let unpacked = claims.unpacked_xml;
            return Err(Problem::error(
                path,
                None,
                "too_large",
                format!("the file unpacks to {unpacked} bytes of text; it is left out"),
                format!("文件解压后的文本有 {unpacked} 字节，过大，未收录"),
            ));
        }
    }
    let mut options = ParseOptions::default();
    options.limits.part_bytes = MAX_XML_BYTES;
    options.limits.package_bytes = 4 * MAX_XML_BYTES;
    options.limits.text_chars = MAX_TEXT_CHARS;
    Document::from_reader_with(Cursor::new(bytes.to_vec()), format, &options).map_err(|error| {
        let detail = error.to_string();
        let lower = detail.to_lowercase();
        if ["password", "encrypt", "protected"].iter().any(|word| lower.contains(word)) {
            encrypted(path)
        } else {
            broken(path, None, what, &detail)
        }
    })
}

/// The problem of a file that asks for a password.
pub(crate) fn encrypted(path: &str) -> Problem {
    Problem::error(
        path,
        None,
        "encrypted",
        "the file is protected by a password; save it without one",
        "文件有密码保护，无法读取；请另存为不加密的文件",
    )
}

fn contains_utf16(bytes: &[u8], name: &str) -> bool {
    let wanted: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

pub(crate) fn read_word(
    path: &str,
    bytes: &[u8],
    format: DocumentFormat,
    problems: &mut Vec<Problem>,
) -> Result<Flow, Problem> {
    let ir = open(path, bytes, format, "Word")?.to_ir();
    let reported = losses(path, &ir, problems);
    let mut writer = Writer { flow: FlowWriter::new(), notes: notes(&ir), told: HashSet::new(), reported };
    for section in &ir.sections {
        writer.elements(&section.elements, 0);
    }
    writer.remaining_notes();
    finish(path, writer)
}

pub(crate) fn read_slides(path: &str, bytes: &[u8], problems: &mut Vec<Problem>) -> Result<Flow, Problem> {
    let ir = open(path, bytes, DocumentFormat::Pptx, "PowerPoint")?.to_ir();
    let reported = losses(path, &ir, problems);
    // What stands among a slide's elements as a note is a comment on it.
    let mut writer = Writer { flow: FlowWriter::new(), notes: Vec::new(), told: HashSet::new(), reported };
    for (section, number) in ir.sections.iter().zip(1..) {
        if section.title.as_deref() == Some(MASTER_SECTION) && number as usize == ir.sections.len() {
            continue;
        }
        writer.flow.page(number);
        if section.hidden {
            writer.private(|writer| writer.slide(section));
        } else {
            writer.slide(section);
        }
        if let Some(notes) = &section.speaker_notes {
            writer.private(|writer| writer.elements(notes, 0));
        }
    }
    finish(path, writer)
}

fn finish(path: &str, writer: Writer<'_>) -> Result<Flow, Problem> {
    let flow = writer.flow.finish();
    if flow.text.trim().is_empty() { Err(wordless(path)) } else { Ok(flow) }
}

/// Says what the library could not read, and returns its own lines about that, which are not the document's.
fn losses(path: &str, ir: &DocumentIR, problems: &mut Vec<Problem>) -> HashSet<String> {
    let warnings = &ir.metadata.warnings;
    if ir.metadata.text_truncated {
        let detail = warnings.first().map_or("the text is cut", String::as_str);
        problems.push(Problem::error(
            path,
            None,
            "incomplete",
            format!("a part of the file cannot be read and is missing: {detail}"),
            format!("文件有一部分无法读取，内容不完整：{detail}"),
        ));
    }
    warnings.iter().map(|warning| one_line(&format!("[{warning}]"))).collect()
}

/// The foot- and endnotes of a document, with the number that their reference carries.
fn notes(ir: &DocumentIR) -> Vec<(bool, u32, &Note)> {
    let is_comment = |note: &Note| note.marker.as_deref().is_some_and(|marker| marker.starts_with("Comment"));
    ir.sections
        .iter()
        .flat_map(|section| &section.elements)
        .filter_map(|element| match element {
            Element::Footnote(note) => Some((true, note.id, note)),
            Element::Endnote(note) if !is_comment(note) => Some((false, note.id, note)),
            _ => None,
        })
        .collect()
}

struct Writer<'d> {
    flow: FlowWriter,
    /// Whether a footnote, its id, and itself.
    notes: Vec<(bool, u32, &'d Note)>,
    told: HashSet<(bool, u32)>,
    reported: HashSet<String>,
}

impl<'d> Writer<'d> {
    fn private(&mut self, write: impl FnOnce(&mut Self)) {
        self.flow.begin_private();
        write(self);
        self.flow.end_private();
    }

    fn slide(&mut self, section: &'d Section) {
        let has_heading = section.elements.iter().any(|element| matches!(element, Element::Heading(_)));
        if let Some(title) = section.title.as_deref().filter(|_| !has_heading) {
            self.flow.heading(2, title);
        }
        self.elements(&section.elements, 0);
    }

    fn elements(&mut self, elements: &'d [Element], depth: usize) {
        for element in elements {
            self.element(element, depth);
        }
    }

    fn element(&mut self, element: &'d Element, depth: usize) {
        match element {
            Element::Heading(heading) => {
                self.flow.heading(heading.clamped_level(), &inline_to_text(&heading.content));
                self.notes_of(&heading.content);
            }
            Element::Paragraph(paragraph) => {
                let text = self.inline(&paragraph.content);
                if paragraph.style.as_deref().is_some_and(|style| TITLE_STYLES.contains(&style)) {
                    self.flow.heading(1, &text);
                } else if !self.reported.contains(&one_line(&text)) {
                    self.flow.paragraph(&text);
                }
                self.notes_of(&paragraph.content);
            }
            Element::Table(table) => self.table(table),
            Element::List(list) => self.list(list, depth),
            Element::TextBox(text_box) => self.elements(&text_box.content, depth),
            Element::CodeBlock(code) => self.flow.code(&code.content),
            _ => {}
        }
    }

    fn list(&mut self, list: &'d List, depth: usize) {
        for (item, number) in list.items.iter().zip(list.start_number.unwrap_or(1)..) {
            let marker =
                if list.ordered { format!("{number}{}", list.ordered_delimiter()) } else { "-".to_owned() };
            let mut is_first = true;
            for element in &item.content {
                match element {
                    Element::Paragraph(paragraph) => {
                        let text = self.inline(&paragraph.content);
                        self.flow.item(depth, if is_first { &marker } else { "-" }, &text);
                        self.notes_of(&paragraph.content);
                    }
                    other => self.element(other, depth + 1),
                }
                is_first = false;
            }
            if let Some(nested) = &item.nested {
                self.list(nested, depth + 1);
            }
        }
    }

    fn table(&mut self, table: &'d OfficeTable) {
        let n_header_rows = table.rows.iter().take_while(|row| row.is_header).count();
        let rows: Vec<Vec<Cell>> = table
            .rows
            .iter()
            .map(|row| {
                row.cells
                    .iter()
                    .map(|cell| {
                        let mut words = Vec::new();
                        self.words(&cell.content, &mut words);
                        Cell {
                            text: words.join(" "),
                            columns: cell.col_span as usize,
                            rows: cell.row_span as usize,
                        }
                    })
                    .collect()
            })
            .collect();
        if let Some(caption) = &table.caption {
            self.flow.paragraph(caption);
        }
        self.flow.table(&rows, if n_header_rows > 1 { n_header_rows } else { 0 });
        for cell in table.rows.iter().flat_map(|row| &row.cells) {
            for element in &cell.content {
                if let Element::Paragraph(paragraph) = element {
                    self.notes_of(&paragraph.content);
                }
            }
        }
    }

    /// The words of a cell, whatever stands in it.
    fn words(&self, elements: &[Element], words: &mut Vec<String>) {
        for element in elements {
            match element {
                Element::Heading(heading) => words.push(inline_to_text(&heading.content)),
                Element::Paragraph(paragraph) => words.push(self.inline(&paragraph.content)),
                Element::TextBox(text_box) => self.words(&text_box.content, words),
                Element::CodeBlock(code) => words.push(code.content.clone()),
                Element::Table(table) => {
                    for cell in table.rows.iter().flat_map(|row| &row.cells) {
                        self.words(&cell.content, words);
                    }
                }
                Element::List(list) => self.words_of_list(list, words),
                _ => {}
            }
        }
        words.retain(|word| !word.trim().is_empty());
    }

    fn words_of_list(&self, list: &List, words: &mut Vec<String>) {
        for item in &list.items {
            self.words(&item.content, words);
            if let Some(nested) = &item.nested {
                self.words_of_list(nested, words);
            }
        }
    }

    fn inline(&self, content: &[InlineContent]) -> String {
        let mut text = String::new();
        for piece in content {
            match piece {
                InlineContent::Text(span) => text.push_str(&span.text),
                InlineContent::LineBreak => text.push('\n'),
                InlineContent::FootnoteRef(reference) => self.mark(true, reference.note_id, &mut text),
                InlineContent::EndnoteRef(reference) => self.mark(false, reference.note_id, &mut text),
                _ => {}
            }
        }
        text
    }

    fn mark(&self, is_footnote: bool, id: u32, text: &mut String) {
        if let Some(number) = self.number(is_footnote, id) {
            text.push_str(&format!("[{number}]"));
        }
    }

    fn number(&self, is_footnote: bool, id: u32) -> Option<usize> {
        let position = self.notes.iter().position(|(foot, note, _)| (*foot, *note) == (is_footnote, id))?;
        Some(position + 1)
    }

    /// Writes the notes that some words refer to, each once.
    fn notes_of(&mut self, content: &[InlineContent]) {
        for piece in content {
            let (is_footnote, id) = match piece {
                InlineContent::FootnoteRef(reference) => (true, reference.note_id),
                InlineContent::EndnoteRef(reference) => (false, reference.note_id),
                _ => continue,
            };
            self.note(is_footnote, id);
        }
    }

    fn note(&mut self, is_footnote: bool, id: u32) {
        let Some(number) = self.number(is_footnote, id) else { return };
        if !self.told.insert((is_footnote, id)) {
            return;
        }
        let mut words = Vec::new();
        self.words(&self.notes[number - 1].2.content, &mut words);
        if !words.is_empty() {
            self.flow.paragraph(&format!("[{number}] {}", words.join(" ")));
        }
    }

    fn remaining_notes(&mut self) {
        let left: Vec<(bool, u32)> = self.notes.iter().map(|(foot, id, _)| (*foot, *id)).collect();
        for (is_footnote, id) in left {
            self.note(is_footnote, id);
        }
    }
}
