//! What is reported about a file: severity, a stable code, and a sentence in each of two languages.
//!
//! A problem is data, not an error: the rest of the folder is read all the same. Codes are the contract
//! with programs; the sentences are for the person who keeps the folder.

use serde::{Deserialize, Serialize};

/// How bad a problem is: errors make `check` fail, warnings are worth a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Severity {
    Warning,
    Error,
}

/// Something wrong with one file of the knowledge folder; everything else is indexed all the same.
///
/// An error means that the file, or a part of it, is not indexed or not shown as its author meant;
/// a warning means that everything is there and a person should look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Path relative to the knowledge folder.
    pub path: String,
    /// 1-based line or sheet row, where it is known.
    pub line: Option<u32>,
    /// Error or warning.
    pub severity: Severity,
    /// A stable word for programs: `unreadable`, `encoding`, `front_matter`, `duplicate_id`, `empty`, `binary`,
    /// `too_large`, `unsupported`, `unknown_key`, `bad_value`, `bad_audience`, `bad_date`, `bad_row`,
    /// `orphan_sidecar`, `folder_defaults`, `outside_link`, `unknown_supersedes`, `duplicate_row`,
    /// `no_columns`, `transcript`, `synonyms`, `crashed`, `timeout`, `memory`, `encrypted`, `scanned`, `incomplete`,
    /// and those of [`crate::findings`].
    pub code: String,
    /// What is wrong, in English, lower case.
    pub message: String,
    /// The same for a Chinese reader.
    pub message_zh: String,
}

impl Problem {
    /// A problem that keeps (a part of) the file out of the index.
    pub(crate) fn error(
        path: &str,
        line: Option<u32>,
        code: &str,
        message: impl Into<String>,
        message_zh: impl Into<String>,
    ) -> Self {
        Self {
            path: path.to_owned(),
            line,
            severity: Severity::Error,
            code: code.to_owned(),
            message: message.into(),
            message_zh: message_zh.into(),
        }
    }

    /// A problem that leaves the file in the index.
    pub(crate) fn warning(
        path: &str,
        line: Option<u32>,
        code: &str,
        message: impl Into<String>,
        message_zh: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Warning, ..Self::error(path, line, code, message, message_zh) }
    }

    /// The same problem, of this file.
    pub(crate) fn at(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }
}
