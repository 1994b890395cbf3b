//! The JSON of the knowledge folder, as those see it who look after it.

use flightdeck_corpus::{Audience, Kind};
use jiff::civil::Date;
use serde::Serialize;
use utoipa::ToSchema;

use super::{audience_schema, kind_schema};

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
