//! The JSON of the knowledge folder, as those see it who look after it.

use flightdeck_corpus::{Audience, Kind, Problem, Severity, Status};
use flightdeck_records::Version;
use jiff::civil::Date;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Location, audience_schema, kind_schema};
use crate::difference::Piece;

/// Where a file is in its life. Ordered by how much it wants attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FileState {
    /// It answers questions.
    Served,
    /// Put away by somebody.
    Archived,
    /// Its first day is still to come.
    Scheduled,
    /// Not published yet.
    Draft,
    /// Served, and its last day is near.
    Expiring,
    /// Its last day is over.
    Expired,
    /// It cannot be read.
    Error,
}

pub(crate) const STATES: [(&str, FileState); 7] = [
    ("served", FileState::Served),
    ("archived", FileState::Archived),
    ("scheduled", FileState::Scheduled),
    ("draft", FileState::Draft),
    ("expiring", FileState::Expiring),
    ("expired", FileState::Expired),
    ("error", FileState::Error),
];

/// Knowledge files.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FileList {
    pub files: Vec<FileItem>,
}

/// One file of the knowledge folder.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FileItem {
    /// Relative to the knowledge folder.
    #[schema(example = "cases/huarui.md")]
    pub path: String,
    /// Its title; of a table of rows its name.
    pub title: String,
    #[schema(schema_with = kind_schema)]
    pub kind: Kind,
    /// Internal as soon as one row is.
    #[schema(schema_with = audience_schema)]
    pub audience: Audience,
    pub state: FileState,
    /// Documents in it: one, or the rows of a table.
    pub documents: usize,
    /// Passages that a search can find.
    pub passages: usize,
    /// Who answers for it.
    pub owner: Option<String>,
    /// The first last day in it.
    #[schema(value_type = Option<String>, format = Date)]
    pub valid_until: Option<Date>,
}

/// One file with what the assistant makes of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FileReply {
    #[serde(flatten)]
    pub file: FileItem,
    /// The `etag` of the file as it lies in the folder; null where it cannot be read.
    pub tag: Option<String>,
    /// Bytes of the file.
    pub bytes: u64,
    /// Whether it can be edited as text.
    pub is_text: bool,
    /// Whether the index has this state of the file; if not, ask again in a second.
    pub is_indexed: bool,
    /// What is wrong with it.
    pub problems: Vec<ProblemItem>,
    /// Its documents, at most 200.
    pub contents: Vec<DocumentView>,
}

/// A document as the assistant sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DocumentView {
    pub id: String,
    pub title: String,
    #[schema(schema_with = audience_schema)]
    pub audience: Audience,
    pub state: FileState,
    pub link: Option<String>,
    pub industry: Vec<String>,
    pub product: Vec<String>,
    pub tags: Vec<String>,
    pub keywords: Vec<String>,
    #[schema(value_type = Option<String>, format = Date)]
    pub valid_from: Option<Date>,
    #[schema(value_type = Option<String>, format = Date)]
    pub valid_until: Option<Date>,
    /// What it is found and quoted by.
    pub passages: Vec<PassageView>,
}

/// A stretch of a document that is found and quoted as one.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PassageView {
    pub id: String,
    pub text: String,
    pub location: Location,
}

/// Something wrong with a file, and what to do about it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ProblemItem {
    pub path: String,
    /// Line, or sheet row, from 1.
    pub line: Option<u32>,
    /// `error` (it is not in the index as meant) or `warning` (somebody should look).
    #[schema(value_type = String)]
    pub severity: Severity,
    /// A stable word for programs.
    #[schema(example = "dead_link")]
    pub code: String,
    pub message: String,
    pub message_zh: String,
    pub advice: &'static str,
    pub advice_zh: &'static str,
}

impl From<&Problem> for ProblemItem {
    fn from(problem: &Problem) -> Self {
        let (advice, advice_zh) = flightdeck_corpus::advice(&problem.code);
        let Problem { path, line, severity, code, message, message_zh } = problem.clone();
        Self { path, line, severity, code, message, message_zh, advice, advice_zh }
    }
}

/// How the knowledge fares.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KnowledgeHealth {
    pub indexing: IndexingView,
    pub documents: usize,
    pub passages: usize,
    /// What is wrong, errors first, then in order of path.
    pub problems: Vec<ProblemItem>,
    /// Whether the search for what is wrong still runs; then `problems` is of the state before.
    pub is_checking: bool,
    /// What expires within 30 days or has expired, by owner; the one without an owner last.
    pub expiring: Vec<ExpiringView>,
}

/// What the index is doing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IndexingView {
    /// `idle`, `reading`, `embedding` or `writing`.
    pub step: &'static str,
    /// Of `embedding`: texts done.
    pub done: usize,
    /// Of `embedding`: texts to do.
    pub total: usize,
    /// Why the last update failed.
    pub error: Option<String>,
}

/// What of an owner's expires.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExpiringView {
    pub owner: Option<String>,
    pub documents: Vec<ExpiringDocument>,
}

/// A document that expires.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExpiringDocument {
    pub id: String,
    pub title: String,
    pub path: String,
    #[schema(value_type = String, format = Date)]
    pub valid_until: Date,
    /// Whether that day is over.
    pub is_over: bool,
}

/// What was changed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChangedReply {
    pub path: String,
    /// The file's `etag` now; null once it is deleted.
    pub tag: Option<String>,
}

pub(crate) const STATUSES: [(&str, Status); 3] =
    [("published", Status::Published), ("draft", Status::Draft), ("archived", Status::Archived)];

/// Where a file shall be in its life.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "only its description is used")]
pub(crate) struct StatusRequest {
    /// `published`, `draft` or `archived`.
    #[schema(example = "archived")]
    pub status: String,
}

/// Which state shall come back.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "only its description is used")]
pub(crate) struct RestoreRequest {
    /// The version's id.
    pub version: i64,
}

/// The states that a file was in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VersionList {
    pub versions: Vec<VersionItem>,
}

/// A state that a file was in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VersionItem {
    pub id: i64,
    /// The file's `etag` in this state.
    pub tag: String,
    pub bytes: u64,
    #[schema(value_type = String, format = DateTime)]
    pub at: jiff::Timestamp,
    /// The key that made it; null for the folder, and for this machine while there are no keys.
    pub actor: Option<String>,
    /// `found` or `removed` in the folder; `upload`, `write`, `describe`, `publish`, `draft`, `archive`, `restore`, `delete` here.
    #[schema(example = "write")]
    pub action: String,
}

impl From<Version> for VersionItem {
    fn from(version: Version) -> Self {
        let Version { id, sha256, bytes, at, actor, action, .. } = version;
        Self { id, tag: sha256, bytes, at, actor, action }
    }
}

/// What changed between two states.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DifferenceReply {
    pub pieces: Vec<Piece>,
}
