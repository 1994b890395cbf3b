//! One module per format: from bytes to what the file holds, knowing nothing of kinds or folders.
//!
//! Four shapes come out: prose, tables, records and cues. A new format is a variant of [`Format`], a match
//! arm in [`read`], and a module that yields one of the shapes.

mod csv;
mod prose;
mod records;
mod subtitles;
mod xlsx;
mod xlsx_format;

pub(crate) use prose::{Front, Prose};
pub(crate) use records::{Records, render_records};
pub(crate) use subtitles::Transcript;

use crate::encoding::{Binary, decode};
use crate::problem::Problem;

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
            "docx" => Self::Docx,
            "pptx" => Self::Pptx,
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
        }
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    /// The sheet's name.
    pub name: Option<String>,
    /// Lines above the header: a sheet's headline and remarks.
    pub preface: Vec<Row>,
    pub header: Row,
    pub rows: Vec<Row>,
}

/// A row with the source lines (or sheet rows) it stands on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Row {
    pub cells: Vec<String>,
    pub lines: (u32, u32),
}

/// Reads the bytes of a file of `format`; `path` is only for the problems.
///
/// # Errors
/// The problem that keeps the whole file out.
pub(crate) fn read(path: &str, format: Format, bytes: &[u8]) -> Result<Source, Problem> {
    if bytes.is_empty() {
        return Err(empty(path));
    }
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
        Format::Xlsx => Content::Tables(xlsx::read(path, bytes, &mut problems)?),
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
        Format::Html => return Err(not_yet(path, "HTML")),
        Format::Pdf => return Err(not_yet(path, "PDF")),
        Format::Docx => return Err(not_yet(path, "Word")),
        Format::Pptx => return Err(not_yet(path, "PowerPoint")),
    };
    Ok(Source { encoding, content, problems })
}

pub(crate) fn empty(path: &str) -> Problem {
    Problem::error(path, None, "empty", "the file has no content", "文件没有内容")
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

fn not_yet(path: &str, what: &str) -> Problem {
    Problem::warning(
        path,
        None,
        "unsupported",
        format!("{what} files are not readable yet; the file is not indexed"),
        format!("暂不支持读取 {what} 文件，该文件未收录"),
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
