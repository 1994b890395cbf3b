//! What a reader hands on: documents, their chunks, and what went wrong on the way.
//!
//! A [`Document`] owns the text that was extracted; a [`Chunk`] is a view of it by byte span, so a quote
//! can always be checked against the text it claims to come from. Nothing here knows about scores.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::readers::page_at;

/// Stable name of a document: its `id`, else its path without the extension; rows are `FILE-ID#ROW-ID`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DocumentId(pub Arc<str>);

/// Stable name of a chunk: `DOCUMENT-ID#ORDINAL`, ordinals count from 1 inside a document.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChunkId(pub Arc<str>);

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for DocumentId {
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

impl From<&str> for ChunkId {
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

/// What a document is for; the kinds of the knowledge format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names are the format's own, described there")]
pub enum Kind {
    Product,
    Case,
    Faq,
    Qa,
    Video,
    Objection,
    Template,
    Service,
    Company,
    Competitor,
}

impl Kind {
    /// All kinds, in the order of the format's table.
    pub const ALL: [Self; 10] = [
        Self::Product,
        Self::Case,
        Self::Faq,
        Self::Qa,
        Self::Video,
        Self::Objection,
        Self::Template,
        Self::Service,
        Self::Company,
        Self::Competitor,
    ];

    /// The kind's name as front matter, filters and JSON spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Product => "product",
            Self::Case => "case",
            Self::Faq => "faq",
            Self::Qa => "qa",
            Self::Video => "video",
            Self::Objection => "objection",
            Self::Template => "template",
            Self::Service => "service",
            Self::Company => "company",
            Self::Competitor => "competitor",
        }
    }

    /// The kind's name for a Chinese reader.
    pub fn chinese_name(self) -> &'static str {
        match self {
            Self::Product => "产品资料",
            Self::Case => "客户案例",
            Self::Faq => "常见问题",
            Self::Qa => "问答记录",
            Self::Video => "视频",
            Self::Objection => "异议处理",
            Self::Template => "模板",
            Self::Service => "服务",
            Self::Company => "公司资料",
            Self::Competitor => "竞品对比",
        }
    }

    /// The kind called `name`, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The kind that a folder of this name gives to what lies in it.
    pub fn from_folder(folder: &str) -> Option<Self> {
        Some(match folder {
            "products" => Self::Product,
            "cases" => Self::Case,
            "faqs" => Self::Faq,
            "qa-history" => Self::Qa,
            "videos" => Self::Video,
            "objections" => Self::Objection,
            "templates" => Self::Template,
            "service" => Self::Service,
            "company" => Self::Company,
            "competitors" => Self::Competitor,
            _ => return None,
        })
    }
}

/// Who may see a document. Ordered: what a customer may see, the company may see too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Audience {
    /// Anybody, customers included.
    Customer,
    /// The company's own people only; what nobody marked is this.
    #[default]
    Internal,
}

impl Audience {
    /// Whether a reader of this audience may see a document of `audience`.
    pub fn may_see(self, audience: Self) -> bool {
        audience <= self
    }
}

/// Where a document is in its life; only `Published` is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names are the format's own")]
pub enum Status {
    #[default]
    Published,
    Draft,
    Archived,
}

/// Whom and what a document is about; for a case, the customer's profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names are the format's own")]
pub struct Profile {
    pub industry: Vec<String>,
    pub product: Vec<String>,
    pub scenario: Vec<String>,
    pub company_size: Option<String>,
    pub region: Option<String>,
}

/// One cell of a table row, with the span of its value in the document's text where it has one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// The column's canonical English name (`question`, `answer`, `views` …), else the header as written.
    pub name: String,
    /// The value as a person sees it.
    pub value: String,
    /// Where the value stands in [`Document::text`], in bytes; `None` where it is not part of the text.
    pub span: Option<Range<usize>>,
}

/// One source of knowledge: a file, or one row of a FAQ, Q&A or video table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Stable and unique in the corpus.
    pub id: DocumentId,
    /// What it is for.
    pub kind: Kind,
    /// Front matter's title, else the first heading, else the question (rows), else the file name.
    pub title: String,
    /// Path relative to the knowledge folder, `/` between parts, extension included.
    pub path: String,
    /// Fail-closed: `Internal` unless marked.
    pub audience: Audience,
    /// Only `Published` is served.
    pub status: Status,
    /// Whom and what it is about.
    pub profile: Profile,
    /// Free labels.
    pub tags: Vec<String>,
    /// Words that customers use and the text does not.
    pub keywords: Vec<String>,
    /// First day it holds.
    pub valid_from: Option<Date>,
    /// Last day it holds.
    pub valid_until: Option<Date>,
    /// Documents that this one replaces.
    pub supersedes: Vec<DocumentId>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// What a rep can send to a customer.
    pub link: Option<String>,
    /// Front-matter keys and table columns outside the format, as text.
    pub attributes: BTreeMap<String, String>,
    /// The cells of a FAQ, Q&A or video row, in column order; empty for whole files.
    pub fields: Vec<Field>,
    /// Byte offset in the text at which each page or slide begins, with its number from 1, in order; empty for
    /// files without pages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pages: Vec<(usize, u32)>,
    /// The extracted text. Every chunk's span is a byte range of it; quotes are cut from it to the letter.
    pub text: String,
}

impl Document {
    /// A published document with nothing but its text; internal, as everything is that nobody marked.
    pub fn new(id: &str, kind: Kind, title: &str, path: &str, text: &str) -> Self {
        Self {
            id: id.into(),
            kind,
            title: title.to_owned(),
            path: path.to_owned(),
            audience: Audience::default(),
            status: Status::default(),
            profile: Profile::default(),
            tags: Vec::new(),
            keywords: Vec::new(),
            valid_from: None,
            valid_until: None,
            supersedes: Vec::new(),
            owner: None,
            link: None,
            attributes: BTreeMap::new(),
            fields: Vec::new(),
            pages: Vec::new(),
            text: text.to_owned(),
        }
    }

    /// From when it is: its first day, or for a row the day it was published or said; `None` where nothing says so.
    pub fn date(&self) -> Option<Date> {
        let of_row = || {
            let field = self.field("published_at").or_else(|| self.field("date"))?;
            field.value.trim().get(..10)?.replace(['/', '.'], "-").parse().ok()
        };
        self.valid_from.or_else(of_row)
    }

    /// Whether it is served on `day`: published, begun and not past its last day.
    pub fn is_served_on(&self, day: Date) -> bool {
        self.status == Status::Published
            && self.valid_from.is_none_or(|from| from <= day)
            && self.valid_until.is_none_or(|until| day <= until)
    }

    /// The page or slide on which a byte of the text stands.
    pub fn page_at(&self, offset: usize) -> Option<u32> {
        page_at(&self.pages, offset)
    }

    /// The row's cell in the column of this canonical name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// Where a chunk stands, as a person would look it up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// Headings from the outermost to the nearest, without markup; for a sheet its name.
    pub heading: Vec<String>,
    /// Page or slide, from 1.
    pub page: Option<u32>,
    /// First line (or sheet row) in the source file, from 1.
    pub line_start: Option<u32>,
    /// Last line (or sheet row), inclusive.
    pub line_end: Option<u32>,
    /// Start in a recording, in ms.
    pub start_ms: Option<u64>,
    /// End in a recording, in ms.
    pub end_ms: Option<u64>,
}

/// A stretch of a document that is searched, ranked and quoted as one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Stable while the document's structure before it stays.
    pub id: ChunkId,
    /// The document it is cut from.
    pub document: DocumentId,
    /// Byte range of [`Document::text`], on character boundaries.
    pub span: Range<usize>,
    /// The header row(s) of the table this chunk continues, when they lie outside `span`.
    pub table_header: Option<Range<usize>>,
    /// Where it stands.
    pub location: Location,
}

impl Chunk {
    /// The chunk's own words.
    pub fn text<'d>(&self, document: &'d Document) -> &'d str {
        &document.text[self.span.clone()]
    }

    /// What a person is shown and a search looks at: the table header where one was cut off, then the words.
    pub fn shown(&self, document: &Document) -> String {
        match &self.table_header {
            Some(header) => {
                format!("{}\n{}", document.text[header.clone()].trim_end(), self.text(document))
            }
            None => self.text(document).to_owned(),
        }
    }
}
