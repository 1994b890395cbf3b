//! What the reader makes of one file on its own, for `flightdeck extract`.
//!
//! The same readers and the same texts as in the index, without the folder round it: no defaults, no
//! sidecar, no transcripts of videos. The folder's name still says what kind of table it is.

use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::build::{Built, Setting, build};
use crate::chunking::Layout;
use crate::corpus::CorpusError;
use crate::document::Document;
use crate::lines::LineIndex;
use crate::meta::Meta;
use crate::problem::Problem;
use crate::readers::{Content, Format, Source, Table, read};
use crate::structure::{Shape, sections};
use crate::{Settings, Worker};

/// What a reader makes of one file, for `flightdeck extract`.
#[derive(Clone, Debug, Serialize)]
pub struct Extracted {
    /// The file's name.
    pub path: String,
    /// `markdown`, `text`, `csv`, `xlsx`, `json`, `jsonl`, `yaml`, `srt`, `vtt`, `html`, `pdf`, `docx`, `pptx`,
    /// `xls`, `doc`, `ppt`; `unknown` where the name says none.
    pub format: String,
    /// Encoding that was detected, e.g. `UTF-8`, `GB18030`; `None` for binary formats.
    pub encoding: Option<String>,
    /// All text; the texts of the rows' documents are parts of it.
    pub text: String,
    /// Headings with level, byte offset and line.
    pub sections: Vec<ExtractedSection>,
    /// Tables with sheet or heading, header and rows as text.
    pub tables: Vec<ExtractedTable>,
    /// Pages or slides; empty for formats without.
    pub pages: Vec<u32>,
    /// What was lost or doubtful.
    pub warnings: Vec<Problem>,
}

/// A heading found in a file.
#[derive(Clone, Debug, Serialize)]
pub struct ExtractedSection {
    /// 1 is the outermost.
    pub level: u8,
    /// Without markup.
    pub title: String,
    /// Byte offset in the extracted text.
    pub offset: usize,
    /// 1-based line in the file.
    pub line: Option<u32>,
}

/// A table found in a file.
#[derive(Clone, Debug, Serialize)]
pub struct ExtractedTable {
    /// Sheet name or nearest heading.
    pub name: Option<String>,
    /// Column names.
    pub header: Vec<String>,
    /// Cells as a person sees them.
    pub rows: Vec<Vec<String>>,
}

/// Reads one file, what can crash its parser in `worker`'s process. What cannot be made of it is in [`Extracted::warnings`].
///
/// # Errors
/// [`CorpusError::Unreadable`] where the file cannot be opened.
pub fn extract(path: &Path, worker: Option<&Worker>) -> Result<Extracted, CorpusError> {
    let unreadable = |source| CorpusError::Unreadable { path: path.to_owned(), source };
    let shown = path.to_string_lossy().replace('\\', "/");
    let mut extracted = Extracted {
        format: Format::of(&shown).map_or("unknown", Format::name).to_owned(),
        path: shown.clone(),
        encoding: None,
        text: String::new(),
        sections: Vec::new(),
        tables: Vec::new(),
        pages: Vec::new(),
        warnings: Vec::new(),
    };
    let size = fs::metadata(path).map_err(unreadable)?.len();
    if size > Settings::default().max_file_bytes {
        let (message, message_zh) =
            (format!("the file has {size} bytes"), format!("文件有 {size} 字节，过大"));
        extracted.warnings.push(Problem::error(&shown, None, "too_large", message, message_zh));
        return Ok(extracted);
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    let Some(format) = Format::of(&shown) else {
        let (message, message_zh) = ("not a format of the knowledge folder", "不支持的文件格式");
        extracted.warnings.push(Problem::warning(&shown, None, "unsupported", message, message_zh));
        return Ok(extracted);
    };
    match read(&shown, format, &bytes, worker) {
        Ok(source) => fill(&mut extracted, &shown, source),
        Err(problem) => extracted.warnings.push(problem),
    }
    Ok(extracted)
}

/// The documents of a file that has these bytes, read on its own: without defaults, sidecar and transcripts. For texts
/// of other days than today's.
///
/// # Errors
/// What is wrong with the file.
pub fn documents_of(path: &str, bytes: &[u8], worker: Option<&Worker>) -> Result<Vec<Document>, Problem> {
    let Some(format) = Format::of(path) else {
        let (message, message_zh) = ("not a format of the knowledge folder", "不支持的文件格式");
        return Err(Problem::warning(path, None, "unsupported", message, message_zh));
    };
    let source = read(path, format, bytes, worker)?;
    let given = Meta::default();
    let mut setting = Setting { path, given: &given, transcript: &mut |_| None };
    Ok(build(source, &mut setting, &mut Vec::new()).into_iter().map(|built| built.document).collect())
}

fn fill(extracted: &mut Extracted, path: &str, mut source: Source) {
    extracted.encoding = source.encoding.map(str::to_owned);
    extracted.warnings.append(&mut source.problems);
    match &source.content {
        Content::Tables(tables) => extracted.tables.extend(tables.iter().map(table)),
        Content::Records(records) => extracted.tables.extend(records.table().iter().map(table)),
        Content::Prose(_) | Content::Cues(_) => {}
    }
    let is_prose = matches!(source.content, Content::Prose(_));
    let given = Meta::default();
    let mut setting = Setting { path, given: &given, transcript: &mut |_| None };
    for built in build(source, &mut setting, &mut extracted.warnings) {
        if !extracted.text.is_empty() {
            extracted.text.push_str("\n\n");
        }
        outline(extracted, &built, is_prose);
        extracted.pages.extend(built.document.pages.iter().map(|(_, page)| *page));
        extracted.text.push_str(&built.document.text);
    }
}

fn table(table: &Table) -> ExtractedTable {
    ExtractedTable {
        name: table.name.clone(),
        header: table.header.cells.clone(),
        rows: table.rows.iter().map(|row| row.cells.clone()).collect(),
    }
}

/// The headings of a document that is about to be appended, and of prose the tables.
fn outline(extracted: &mut Extracted, built: &Built, with_tables: bool) {
    let Layout::Outline(markup) = built.layout else { return };
    let text = &built.document.text;
    let index = LineIndex::new(text);
    let before = extracted.text.len();
    for section in sections(text, markup) {
        for block in &section.blocks {
            match &block.shape {
                Shape::Heading => {
                    let line = index.line_at(block.span.start);
                    extracted.sections.push(ExtractedSection {
                        level: section.level,
                        title: section.heading.last().cloned().unwrap_or_default(),
                        offset: before + block.span.start,
                        line: built.lines.source(line, line).map(|lines| lines.0),
                    });
                }
                Shape::Table { header } if with_tables => {
                    let head = text[header.clone()].lines().next().unwrap_or_default();
                    extracted.tables.push(ExtractedTable {
                        name: section.heading.last().cloned(),
                        header: cells(head),
                        rows: text[header.end..block.span.end].lines().map(cells).collect(),
                    });
                }
                _ => {}
            }
        }
    }
}

fn cells(row: &str) -> Vec<String> {
    let row = row.trim();
    let row = row.strip_prefix('|').unwrap_or(row);
    let row = row.strip_suffix('|').unwrap_or(row);
    row.split('|').map(|cell| cell.trim().to_owned()).collect()
}
