//! What lies in the knowledge folder, and what each file is for.
//!
//! Names decide: `_folder.yaml` gives defaults, `NAME.EXT.yaml` beside `NAME.EXT` tells about it, other
//! names with `_`, `.` or `~$` in front and what editors leave behind are not knowledge. Links are followed
//! only to targets inside the folder, so that a stray link cannot publish somebody's home directory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::corpus::{CorpusError, SourceFile};
use crate::problem::Problem;
use crate::readers::Format;

/// Deepest nesting of folders that is walked: a loop of links ends here at the latest.
const MAX_DEPTH: usize = 32;

/// A file as found, with the path by which it can be opened.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub source: SourceFile,
    pub full: PathBuf,
}

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Knowledge(Format),
    FolderDefaults,
    Synonyms,
    Sidecar,
    OrphanSidecar,
    /// Of a format that nobody reads.
    Unknown,
    /// Not knowledge by its name.
    Ignored,
}

/// All files below `root`, in order of path.
pub(crate) fn scan(root: &Path, problems: &mut Vec<Problem>) -> Result<Vec<Entry>, CorpusError> {
    let unreadable = |source: io::Error| CorpusError::Unreadable { path: root.to_owned(), source };
    match fs::metadata(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(CorpusError::FolderMissing(root.to_owned()));
        }
        Err(error) => return Err(unreadable(error)),
        Ok(metadata) if !metadata.is_dir() => return Err(CorpusError::FolderMissing(root.to_owned())),
        Ok(_) => {}
    }
    let real_root = fs::canonicalize(root).map_err(unreadable)?;
    fs::read_dir(root).map_err(unreadable)?;
    let mut walk = Walk { real_root, found: BTreeMap::new(), problems };
    walk.folder(root, "", 0);
    Ok(walk.found.into_values().collect())
}

struct Walk<'p> {
    real_root: PathBuf,
    found: BTreeMap<String, Entry>,
    problems: &'p mut Vec<Problem>,
}

impl Walk<'_> {
    fn folder(&mut self, full: &Path, path: &str, depth: usize) {
        let entries = match fs::read_dir(full) {
            Ok(entries) => entries,
            Err(error) => return self.unreadable(path, &error),
        };
        for entry in entries {
            match entry {
                Ok(entry) => self.entry(&entry, path, depth),
                Err(error) => self.unreadable(path, &error),
            }
        }
    }

    fn entry(&mut self, entry: &fs::DirEntry, folder: &str, depth: usize) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_hidden(&name) {
            return;
        }
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        let full = entry.path();
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        if is_link {
            match fs::canonicalize(&full) {
                Err(error) => return self.unreadable(&path, &error),
                Ok(target) if !target.starts_with(&self.real_root) => {
                    self.problems.push(Problem::warning(
                        &path,
                        None,
                        "outside_link",
                        "this link leads outside the knowledge folder and is not followed",
                        "该链接指向知识库文件夹之外，未读取",
                    ));
                    return;
                }
                Ok(_) => {}
            }
        }
        let metadata = match fs::metadata(&full) {
            Ok(metadata) => metadata,
            Err(error) => return self.unreadable(&path, &error),
        };
        if metadata.is_dir() {
            // A folder that is a link would be read twice, or for ever.
            if !name.starts_with('_') && !is_link && depth < MAX_DEPTH {
                self.folder(&full, &path, depth + 1);
            }
        } else if metadata.is_file() {
            let modified_ns =
                metadata.modified().ok().map_or(0, |time| match time.duration_since(UNIX_EPOCH) {
                    Ok(after) => after.as_nanos().cast_signed(),
                    Err(before) => -before.duration().as_nanos().cast_signed(),
                });
            let source = SourceFile { path: path.clone(), size: metadata.len(), modified_ns };
            self.found.insert(path, Entry { source, full });
        }
    }

    fn unreadable(&mut self, path: &str, error: &io::Error) {
        self.problems.push(unreadable(path, error));
    }
}

/// The problem of a file or folder that the system does not let us read.
pub(crate) fn unreadable(path: &str, error: &io::Error) -> Problem {
    Problem::error(path, None, "unreadable", format!("cannot be read: {error}"), format!("无法读取：{error}"))
}

/// Hidden files, and what editors and systems leave behind.
pub(crate) fn is_hidden(name: &str) -> bool {
    let lower = name.to_lowercase();
    name.starts_with(['.', '~'])
        || name.ends_with('~')
        || (name.starts_with('#') && name.ends_with('#'))
        || [".swp", ".swo", ".swx", ".tmp", ".part", ".crdownload"].iter().any(|end| lower.ends_with(end))
        || matches!(lower.as_str(), "thumbs.db" | "desktop.ini")
}

/// What the file at `path` is for; `siblings` are all paths of the folder.
pub(crate) fn role(path: &str, siblings: &BTreeSet<&str>) -> Role {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_at_root = name.len() == path.len();
    if matches!(name, "_folder.yaml" | "_folder.yml") {
        return Role::FolderDefaults;
    }
    if is_at_root && name == "_synonyms.txt" {
        return Role::Synonyms;
    }
    if name.starts_with('_') {
        return Role::Ignored;
    }
    if is_at_root && (name == "questions.jsonl" || name.eq_ignore_ascii_case("README.md")) {
        return Role::Ignored;
    }
    if let Some(target) = sidecar_target(path) {
        if siblings.contains(target) {
            return Role::Sidecar;
        }
        if Format::of(target).is_some() {
            return Role::OrphanSidecar;
        }
    }
    Format::of(name).map_or(Role::Unknown, Role::Knowledge)
}

/// The file that a sidecar of this path would be about.
pub(crate) fn sidecar_target(path: &str) -> Option<&str> {
    path.strip_suffix(".yaml").or_else(|| path.strip_suffix(".yml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_decide_what_a_file_is_for() {
        let paths = BTreeSet::from(["a/x.csv", "a/x.csv.yaml", "a/y.csv.yaml", "a/v1.2.yaml"]);
        for (path, expected) in [
            ("a/x.csv", Role::Knowledge(Format::Csv)),
            ("a/x.csv.yaml", Role::Sidecar),
            ("a/y.csv.yaml", Role::OrphanSidecar),
            ("a/v1.2.yaml", Role::Knowledge(Format::Yaml)),
            ("a/_folder.yaml", Role::FolderDefaults),
            ("_synonyms.txt", Role::Synonyms),
            ("a/_synonyms.txt", Role::Ignored),
            ("questions.jsonl", Role::Ignored),
            ("a/questions.jsonl", Role::Knowledge(Format::Jsonl)),
            ("README.md", Role::Ignored),
            ("a/README.md", Role::Knowledge(Format::Markdown)),
            ("a/x.PDF", Role::Knowledge(Format::Pdf)),
            ("a/x.png", Role::Unknown),
            ("LICENSE", Role::Unknown),
        ] {
            assert_eq!(role(path, &paths), expected, "{path}");
        }
    }

    #[test]
    fn what_editors_leave_behind_is_hidden() {
        for name in [".DS_Store", "~$价格.xlsx", "a.md~", "#a.md#", ".a.md.swp", "a.md.swp", "x.tmp"] {
            assert!(is_hidden(name), "{name}");
        }
        assert!(!is_hidden("价格.xlsx"));
    }
}
