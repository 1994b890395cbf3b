//! One module per format: from bytes to what the file holds, knowing nothing of kinds or folders.
//!
//! Four shapes come out: prose, tables, records and cues. A new format is a variant of [`Format`], a match
//! arm in [`read`] or [`parse`], and a module that yields one of the shapes.
//!
//! What people type is read here and now ([`read`]); what programs pack, whose parsers a file can crash, goes
//! through [`parse`], in a process of its own where there is a [`Worker`].

mod archive;
mod csv;
mod flow;
mod html;
mod office;
mod pdf;
mod prose;
mod records;
mod subtitles;
mod xls;
mod xlsx;
mod xlsx_format;

pub(crate) use csv::records as csv_records;
pub(crate) use flow::{Flow, page_at};
pub(crate) use prose::{Front, Prose, read as read_prose};
pub(crate) use records::{Records, render_records};
pub(crate) use subtitles::Transcript;

use std::panic::{AssertUnwindSafe, catch_unwind};

use office_oxide::DocumentFormat;
use serde::{Deserialize, Serialize};

use crate::encoding::{Binary, decode};
use crate::problem::Problem;
use crate::worker::Worker;

/// What a file is, by the end of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Markdown,
    Text,
    Csv,
    Xlsx,
    Json,
    Jsonl,
    Yaml,
    Srt,
    Vtt,
    Html,
    Pdf,
    Docx,
    Pptx,
    Xls,
    Doc,
    Ppt,
}

impl Format {
    /// The format of a file of this name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let (_, extension) = name.rsplit_once('.')?;
        Some(match extension.to_ascii_lowercase().as_str() {
            "md" | "markdown" => Self::Markdown,
            "txt" | "text" => Self::Text,
            "csv" | "tsv" => Self::Csv,
            "xlsx" | "xlsm" => Self::Xlsx,
            "json" => Self::Json,
            "jsonl" | "ndjson" => Self::Jsonl,
            "yaml" | "yml" => Self::Yaml,
            "srt" => Self::Srt,
            "vtt" => Self::Vtt,
            "html" | "htm" => Self::Html,
            "pdf" => Self::Pdf,
            "docx" | "docm" => Self::Docx,
            "pptx" | "pptm" | "ppsx" => Self::Pptx,
            // WPS Office writes its own names over the same formats.
            "xls" | "et" => Self::Xls,
            "doc" | "wps" => Self::Doc,
            "ppt" | "dps" => Self::Ppt,
            _ => return None,
        })
    }

    /// The format's name in `extract`'s output.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Markdown => "markdown",
            Self::Text => "text",
            Self::Csv => "csv",
            Self::Xlsx => "xlsx",
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Yaml => "yaml",
            Self::Srt => "srt",
            Self::Vtt => "vtt",
            Self::Html => "html",
            Self::Pdf => "pdf",
            Self::Docx => "docx",
            Self::Pptx => "pptx",
            Self::Xls => "xls",
            Self::Doc => "doc",
            Self::Ppt => "ppt",
        }
    }

    /// Whether it holds rows or records, of which each may be a video with a transcript of its own.
    pub(crate) fn has_rows(self) -> bool {
        matches!(self, Self::Csv | Self::Xlsx | Self::Xls | Self::Json | Self::Jsonl | Self::Yaml)
    }

    /// Whether it is a transcript, which may belong to a video row of another file.
    pub(crate) fn is_transcript(self) -> bool {
        matches!(self, Self::Srt | Self::Vtt)
    }
}

/// What a file holds.
#[derive(Debug)]
pub(crate) enum Content {
    Prose(Prose),
    Tables(Vec<Table>),
    Records(Records),
    Cues(Transcript),
}

/// A file, read.
#[derive(Debug)]
pub(crate) struct Source {
    /// Of text formats.
    pub encoding: Option<&'static str>,
    pub content: Content,
    /// What was lost or doubtful, the rest being here.
    pub problems: Vec<Problem>,
}

/// A table of a sheet or a CSV file, its cells as a person sees them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Table {
    /// The sheet's name.
    pub name: Option<String>,
    /// Lines above the header: a sheet's headline and remarks.
    pub preface: Vec<Row>,
    pub header: Row,
    pub rows: Vec<Row>,
}

/// A row with the source lines (or sheet rows) it stands on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub cells: Vec<String>,
    pub lines: (u32, u32),
}

/// Reads the bytes of a file of `format`; `path` is only for the problems.
///
/// # Errors
/// The problem that keeps the whole file out.
pub(crate) fn read(
    path: &str,
    format: Format,
    bytes: &[u8],
    worker: Option<&Worker>,
) -> Result<Source, Problem> {
    if bytes.is_empty() {
        return Err(empty(path));
    }
    let apart = |bytes: &[u8]| match worker {
        Some(worker) => worker.read(path, format, bytes),
        None => parse(path, format, bytes),
    };
    let mut problems = Vec::new();
    let mut encoding = None;
    let mut text = || -> Result<String, Problem> {
        let decoded = decode(bytes).map_err(|Binary| binary(path))?;
        encoding = Some(decoded.encoding);
        if let Some(line) = decoded.lossy_line {
            problems.push(Problem::error(
                path,
                Some(line),
                "encoding",
                format!("some characters cannot be read as {}", decoded.encoding),
                format!("部分字符无法按 {} 解码", decoded.encoding),
            ));
        }
        if decoded.text.trim().is_empty() { Err(empty(path)) } else { Ok(decoded.text) }
    };
    let content = match format {
        Format::Markdown => Content::Prose(prose::read(text()?, true)),
        Format::Text => Content::Prose(prose::read(text()?, false)),
        Format::Csv => {
            let text = text()?;
            Content::Tables(csv::read(path, &text, &mut problems).into_iter().collect())
        }
        Format::Json => {
            let text = text()?;
            Content::Records(records::read_json(path, &text)?)
        }
        Format::Jsonl => {
            let text = text()?;
            Content::Records(records::read_jsonl(path, &text, &mut problems)?)
        }
        Format::Yaml => {
            let text = text()?;
            Content::Records(records::read_yaml(path, &text)?)
        }
        Format::Srt | Format::Vtt => {
            let text = text()?;
            Content::Cues(subtitles::read(path, &text, &mut problems)?)
        }
        Format::Html => {
            let page = prose::read(text()?, false);
            let mut source = Source::of(apart(page.text.as_bytes())?, encoding, page.front);
            problems.append(&mut source.problems);
            return Ok(Source { problems, ..source });
        }
        Format::Pdf | Format::Docx | Format::Pptx | Format::Xlsx | Format::Xls | Format::Doc => {
            return Ok(Source::of(apart(bytes)?, None, None));
        }
        Format::Ppt => return Err(old_slides(path)),
    };
    Ok(Source { encoding, content, problems })
}

pub(crate) fn empty(path: &str) -> Problem {
    Problem::error(path, None, "empty", "the file has no content", "文件没有内容")
}

/// The problem of an office file that is whole but has no words: somebody's pictures, or files packed into it.
pub(crate) fn wordless(path: &str) -> Problem {
    Problem::warning(
        path,
        None,
        "empty",
        "the file has no text of its own; pictures and embedded files are not read",
        "文件本身没有文字；图片和嵌入的文件不会被读取",
    )
}

fn binary(path: &str) -> Problem {
    Problem::error(
        path,
        None,
        "binary",
        "the file is named as text but holds binary data",
        "扩展名是文本格式，内容却是二进制数据",
    )
}

fn old_slides(path: &str) -> Problem {
    Problem::warning(
        path,
        None,
        "unsupported",
        "PowerPoint's format before 2007 is not read; save the file as PPTX",
        "不支持旧版 PowerPoint 格式（PPT），请另存为 PPTX",
    )
}

/// What [`parse`] makes of a file: plain data, because it may come from another process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Parsed {
    pub content: ParsedContent,
    pub problems: Vec<Problem>,
}

/// What such a file holds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ParsedContent {
    Flow(Flow),
    Tables(Vec<Table>),
}

impl Parsed {
    /// The same, its problems told of this file.
    pub(crate) fn at(mut self, path: &str) -> Self {
        self.problems = self.problems.into_iter().map(|problem| problem.at(path)).collect();
        self
    }
}

impl Source {
    fn of(parsed: Parsed, encoding: Option<&'static str>, front: Option<Front>) -> Self {
        let content = match parsed.content {
            ParsedContent::Tables(tables) => Content::Tables(tables),
            ParsedContent::Flow(flow) => Content::Prose(Prose::of_flow(flow, front)),
        };
        Self { encoding, content, problems: parsed.problems }
    }
}

/// A parser's stack: nested tables and lists are read by recursion.
const STACK_BYTES: usize = 64 << 20;

/// Reads a file whose parser it may crash, in this process, on a stack of its own.
///
/// # Errors
/// The problem that keeps the whole file out.
pub(crate) fn parse(path: &str, format: Format, bytes: &[u8]) -> Result<Parsed, Problem> {
    std::thread::scope(|scope| {
        let reading = AssertUnwindSafe(|| parse_here(path, format, bytes));
        let thread = std::thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, move || catch_unwind(reading).unwrap_or_else(|_| Err(crashed(path))));
        match thread {
            Ok(thread) => thread.join().unwrap_or_else(|_| Err(crashed(path))),
            Err(_) => Err(crashed(path)),
        }
    })
}

fn parse_here(path: &str, format: Format, bytes: &[u8]) -> Result<Parsed, Problem> {
    let mut problems = Vec::new();
    let told = &mut problems;
    let content = match format {
        Format::Xlsx => ParsedContent::Tables(xlsx::read(path, bytes, told)?),
        Format::Xls => ParsedContent::Tables(xls::read(path, bytes, told)?),
        Format::Docx => ParsedContent::Flow(office::read_word(path, bytes, DocumentFormat::Docx, told)?),
        Format::Doc => ParsedContent::Flow(office::read_word(path, bytes, DocumentFormat::Doc, told)?),
        Format::Pptx => ParsedContent::Flow(office::read_slides(path, bytes, told)?),
        Format::Pdf => ParsedContent::Flow(pdf::read(path, bytes, told)?),
        Format::Html => ParsedContent::Flow(html::read(path, &String::from_utf8_lossy(bytes))?),
        _ => return Err(binary(path)),
    };
    Ok(Parsed { content, problems })
}

/// The problem of a file at which its parser failed in a way that parsers should not.
pub(crate) fn crashed(path: &str) -> Problem {
    Problem::error(
        path,
        None,
        "crashed",
        "the file makes its parser fail; it is left out",
        "解析该文件时程序出错，未收录",
    )
}

/// The problem of a file whose structure is broken.
pub(crate) fn broken(path: &str, line: Option<u32>, what: &str, detail: &str) -> Problem {
    Problem::error(
        path,
        line,
        "unreadable",
        format!("not valid {what}: {detail}"),
        format!("不是有效的 {what}：{detail}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_may_have_transcripts_whatever_program_wrote_them() {
        for name in ["a.csv", "a.tsv", "a.xlsx", "a.xlsm", "a.xls", "a.et", "a.json", "a.jsonl", "a.yaml"] {
            assert!(Format::of(name).is_some_and(Format::has_rows), "{name}");
        }
        for name in ["a.md", "a.docx", "a.pdf", "a.srt"] {
            assert!(!Format::of(name).is_some_and(Format::has_rows), "{name}");
        }
    }
}
