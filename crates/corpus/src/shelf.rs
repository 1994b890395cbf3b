//! The knowledge folder as somebody may change it from outside: one file at a time, whole or not at all.
//!
//! A path from outside is a claim. It must name a file that the folder would read, stay inside the folder whatever
//! links lie there, and what it replaces must be what the writer believes to replace. A file is written beside its
//! place under a hidden name and moved there, so that neither the indexer nor a person ever sees half of it.
//!
//! Old states are kept under their SHA-256 in a second folder. Which of them matter is for others to know.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};

use crate::folder::is_hidden;
use crate::readers::Format;
use crate::statement::{Statement, sidecar_with_statements, with_statements};

const MAX_PATH_CHARS: usize = 512;
const MAX_NAME_BYTES: usize = 200;
const MAX_DEPTH: usize = 16;

/// A file and what tells its state from any other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shelved {
    /// All of it.
    pub bytes: Vec<u8>,
    /// SHA-256 of the bytes, in hexadecimal.
    pub tag: String,
    /// Modification time in ns since 1970.
    pub modified_ns: i128,
}

/// What the writer believes to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Absent,
    /// A file of this tag.
    Tag(String),
}

/// The knowledge folder to be changed, and the folder of old states.
pub struct Shelf {
    root: PathBuf,
    kept: PathBuf,
    max_bytes: u64,
    /// Two writers of one file must not both find what they expect.
    turn: Mutex<()>,
}

/// Why a file was not read or changed. Nothing was changed by any of these.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// The path is none that may be used.
    #[error("{0}")]
    BadPath(&'static str),
    /// There is no such file.
    #[error("there is no such file")]
    Missing,
    /// A file was to be new and is there.
    #[error("there is a file of this name already")]
    Exists,
    /// The file is not what the writer believed.
    #[error("the file was changed in the meantime")]
    Changed,
    /// More bytes than are read.
    #[error("a file may have at most {0} bytes")]
    TooLarge(u64),
    /// What is said about this file cannot be changed without harm to what stands there.
    #[error("it cannot be changed without harm to what stands there: {0}")]
    Unsafe(&'static str),
    /// The system does not let us.
    #[error("cannot be read or written: {0}")]
    Io(#[from] io::Error),
}

impl Shelf {
    /// The folder `root`, whose old states lie in `kept`; files of at most `max_bytes`.
    pub fn new(root: impl Into<PathBuf>, kept: impl Into<PathBuf>, max_bytes: u64) -> Self {
        Self { root: root.into(), kept: kept.into(), max_bytes, turn: Mutex::new(()) }
    }

    /// Longest file that is taken, in bytes.
    pub fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// The file at `path`.
    ///
    /// # Errors
    /// As [`ShelfError`].
    pub fn read(&self, path: &str) -> Result<Shelved, ShelfError> {
        self.read_at(&self.place(path)?)
    }

    fn read_at(&self, place: &Path) -> Result<Shelved, ShelfError> {
        let metadata = match fs::symlink_metadata(place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ShelfError::Missing),
            Err(error) => return Err(error.into()),
            Ok(metadata) if !metadata.is_file() => return Err(ShelfError::BadPath("this is no plain file")),
            Ok(metadata) => metadata,
        };
        if metadata.len() > self.max_bytes {
            return Err(ShelfError::TooLarge(self.max_bytes));
        }
        let bytes = fs::read(place)?;
        let modified_ns = metadata.modified()?.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos());
        Ok(Shelved { tag: tag_of(&bytes), bytes, modified_ns: modified_ns.cast_signed() })
    }

    /// Puts `bytes` at `path` where what is there is as `expected`, and keeps them among the old states too. Folders
    /// are made where they are missing. Gives the tag and the file's modification time in ns since 1970.
    ///
    /// # Errors
    /// As [`ShelfError`].
    pub fn write(&self, path: &str, bytes: &[u8], expected: &Expected) -> Result<(String, i128), ShelfError> {
        if bytes.len() as u64 > self.max_bytes {
            return Err(ShelfError::TooLarge(self.max_bytes));
        }
        let place = self.place(path)?;
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_expected(&place, expected)?;
        let tag = self.keep(bytes)?;
        let folder = place.parent().ok_or(ShelfError::BadPath("this path has no folder"))?;
        fs::create_dir_all(folder)?;
        // The folders are there now; whether they lead outside can be said for sure.
        self.place(path)?;
        write_whole(&place, bytes, *expected == Expected::Absent)?;
        Ok((tag, self.read_at(&place)?.modified_ns))
    }

    /// Takes the file at `path` away where it is as `expected`; it stays among the old states. Gives what it was.
    ///
    /// # Errors
    /// As [`ShelfError`].
    pub fn remove(&self, path: &str, expected: &Expected) -> Result<Shelved, ShelfError> {
        let place = self.place(path)?;
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_expected(&place, expected)?;
        let shelved = self.read_at(&place)?;
        self.keep(&shelved.bytes)?;
        fs::remove_file(&place)?;
        Ok(shelved)
    }

    /// Says these things about the file at `path`: in its front matter where it can have one, else in the sidecar beside
    /// it. Gives the path of the file that was changed, with its tag and modification time.
    ///
    /// # Errors
    /// As [`ShelfError`].
    pub fn state(&self, path: &str, statements: &[Statement]) -> Result<(String, String, i128), ShelfError> {
        let shelved = self.read(path)?;
        let format = Format::of(path).ok_or(ShelfError::BadPath(UNREAD))?;
        let changed = with_statements(&shelved.bytes, format, statements).map_err(ShelfError::Unsafe)?;
        if let Some(changed) = changed {
            let (tag, modified) = self.write(path, &changed, &Expected::Tag(shelved.tag))?;
            return Ok((path.to_owned(), tag, modified));
        }
        let sidecar = [format!("{path}.yml"), format!("{path}.yaml")];
        for (idx, sidecar) in sidecar.iter().enumerate() {
            let (old, expected) = match self.read(sidecar) {
                Ok(shelved) => (shelved.bytes, Expected::Tag(shelved.tag)),
                Err(ShelfError::Missing) if idx == 1 => (Vec::new(), Expected::Absent),
                Err(ShelfError::Missing) => continue,
                Err(error) => return Err(error),
            };
            let changed = sidecar_with_statements(&old, statements).map_err(ShelfError::Unsafe)?;
            if changed.is_empty() && expected == Expected::Absent {
                return Ok((path.to_owned(), shelved.tag, shelved.modified_ns));
            }
            let (tag, modified) = self.write(sidecar, &changed, &expected)?;
            return Ok((sidecar.clone(), tag, modified));
        }
        Err(ShelfError::Missing)
    }

    /// Keeps these bytes among the old states; gives their tag.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn keep(&self, bytes: &[u8]) -> Result<String, ShelfError> {
        let tag = tag_of(bytes);
        let place = self.kept_place(&tag);
        if !place.is_file() {
            fs::create_dir_all(place.parent().unwrap_or(&self.kept))?;
            write_whole(&place, bytes, false)?;
        }
        Ok(tag)
    }

    /// The bytes of an old state.
    ///
    /// # Errors
    /// [`ShelfError::Missing`] where they are not kept, or are not what they were.
    pub fn kept(&self, tag: &str) -> Result<Vec<u8>, ShelfError> {
        if tag.len() != 64 || !tag.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ShelfError::Missing);
        }
        match fs::read(self.kept_place(tag)) {
            Ok(bytes) if tag_of(&bytes) == tag => Ok(bytes),
            Ok(_) => Err(ShelfError::Missing),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ShelfError::Missing),
            Err(error) => Err(error.into()),
        }
    }

    /// Lets an old state go. One that cannot be removed costs its room and nothing else.
    pub fn forget(&self, tag: &str) {
        let _ = fs::remove_file(self.kept_place(tag));
    }

    fn kept_place(&self, tag: &str) -> PathBuf {
        self.kept.join(tag.get(..2).unwrap_or("00")).join(tag)
    }

    fn is_expected(&self, place: &Path, expected: &Expected) -> Result<(), ShelfError> {
        match (self.read_at(place), expected) {
            (Err(ShelfError::Missing), Expected::Absent) => Ok(()),
            (Ok(_), Expected::Absent) => Err(ShelfError::Exists),
            (Ok(shelved), Expected::Tag(tag)) if shelved.tag == *tag => Ok(()),
            (Ok(_), Expected::Tag(_)) => Err(ShelfError::Changed),
            (Err(error), _) => Err(error),
        }
    }

    /// Where `path` lies, if it is a file that the folder would read and lies inside whatever links there are.
    fn place(&self, path: &str) -> Result<PathBuf, ShelfError> {
        check_path(path)?;
        let real_root = fs::canonicalize(&self.root)?;
        let mut place = real_root.clone();
        for part in path.split('/') {
            place.push(part);
            match fs::symlink_metadata(&place) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
                Ok(metadata) if metadata.is_symlink() => {
                    return Err(ShelfError::BadPath("links are not followed here; use the file's own place"));
                }
                Ok(_) => {}
            }
        }
        if place.is_dir() {
            return Err(ShelfError::BadPath("this is a folder"));
        }
        Ok(place)
    }
}

const UNREAD: &str = "files of this kind are not read; use Word, PowerPoint, Excel, PDF, HTML, Markdown, text, CSV, \
                      JSON, YAML or subtitles";

/// Whether a path from outside names a file that the folder would read.
fn check_path(path: &str) -> Result<(), ShelfError> {
    let bad = |reason| Err(ShelfError::BadPath(reason));
    if path.is_empty() || path.chars().count() > MAX_PATH_CHARS {
        return bad("a path has 1 to 512 characters");
    }
    let is_forbidden =
        |c: char| c.is_control() || matches!(c, '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|');
    if path.chars().any(is_forbidden) {
        return bad("a path has none of \\ : * ? \" < > | and no control characters");
    }
    let parts: Vec<&str> = path.split('/').collect();
    if parts.len() > MAX_DEPTH {
        return bad("a path has at most 16 parts");
    }
    for part in &parts {
        if part.is_empty() || matches!(*part, "." | "..") {
            return bad("a path is relative, without empty parts, `.` and `..`");
        }
        if part.trim() != *part || part.ends_with('.') || part.len() > MAX_NAME_BYTES {
            return bad("a name has at most 200 bytes, no space at its ends, and no dot at its end");
        }
        if is_hidden(part) || part.starts_with('_') {
            return bad("names that begin with . _ or ~ are not read as knowledge");
        }
    }
    let name = parts.last().copied().unwrap_or_default();
    if parts.len() == 1 && (name == "questions.jsonl" || name.eq_ignore_ascii_case("README.md")) {
        return bad("this name is not read as knowledge at the top of the folder");
    }
    if Format::of(name).is_none() {
        return bad(UNREAD);
    }
    Ok(())
}

/// Writes beside the place and moves there.
fn write_whole(place: &Path, bytes: &[u8], must_be_new: bool) -> io::Result<()> {
    let folder = place.parent().unwrap_or(Path::new("."));
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    // Hidden by its first character from the indexer and by its last from those who sort by name.
    let digest = tag_of(name.as_bytes());
    let temporary = folder.join(format!(".{}-{}.tmp", &digest[..16], std::process::id()));
    let written = (|| {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        if must_be_new && fs::hard_link(&temporary, place).is_ok() {
            return fs::remove_file(&temporary);
        }
        if must_be_new && place.exists() {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        fs::rename(&temporary, place)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    if let Ok(folder) = File::open(folder) {
        // The move itself must outlive a power cut; not every file system can sync a folder.
        let _ = folder.sync_all();
    }
    written
}

fn tag_of(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use crate::document::Status;

    use super::*;

    fn shelf() -> (tempfile::TempDir, Shelf) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("knowledge")).unwrap();
        let shelf = Shelf::new(dir.path().join("knowledge"), dir.path().join("kept"), 1000);
        (dir, shelf)
    }

    #[test]
    fn paths_that_lead_elsewhere_or_are_no_knowledge_are_refused() {
        let (_dir, shelf) = shelf();
        for path in [
            "",
            "../a.md",
            "a/../../b.md",
            "/etc/a.md",
            "a//b.md",
            "./a.md",
            "a\\b.md",
            "C:a.md",
            ".hidden.md",
            "a/.git/b.md",
            "_folder.yaml",
            "~$a.docx",
            "a.exe",
            "a",
            "a\u{0}.md",
            " a.md",
            "README.md",
        ] {
            let refused = shelf.write(path, b"x", &Expected::Absent);
            assert!(matches!(refused, Err(ShelfError::BadPath(_))), "{path}: {refused:?}");
        }
        let deep = "a/".repeat(20) + "b.md";
        assert!(matches!(shelf.write(&deep, b"x", &Expected::Absent), Err(ShelfError::BadPath(_))));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        let (dir, shelf) = shelf();
        let outside = dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("secret.md"), "秘密").unwrap();
        std::os::unix::fs::symlink(&outside, dir.path().join("knowledge/linked")).unwrap();
        std::os::unix::fs::symlink(outside.join("secret.md"), dir.path().join("knowledge/one.md")).unwrap();
        for path in ["linked/new.md", "linked/secret.md", "one.md"] {
            assert!(matches!(shelf.read(path), Err(ShelfError::BadPath(_))), "{path}");
            assert!(
                matches!(shelf.write(path, b"x", &Expected::Absent), Err(ShelfError::BadPath(_))),
                "{path}"
            );
        }
        assert_eq!(fs::read_to_string(outside.join("secret.md")).unwrap(), "秘密");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    }

    #[test]
    fn nothing_is_replaced_but_what_the_writer_believes_to_be_there() {
        let (dir, shelf) = shelf();
        let (tag, _) = shelf.write("产品/泵.md", "一".as_bytes(), &Expected::Absent).unwrap();
        assert!(matches!(shelf.write("产品/泵.md", b"x", &Expected::Absent), Err(ShelfError::Exists)));
        let (second, _) = shelf.write("产品/泵.md", "二".as_bytes(), &Expected::Tag(tag.clone())).unwrap();
        assert!(matches!(
            shelf.write("产品/泵.md", b"x", &Expected::Tag(tag.clone())),
            Err(ShelfError::Changed)
        ));
        assert!(matches!(shelf.remove("产品/泵.md", &Expected::Tag(tag.clone())), Err(ShelfError::Changed)));
        assert!(matches!(
            shelf.write("b.md", &[b'x'; 1001], &Expected::Absent),
            Err(ShelfError::TooLarge(1000))
        ));
        assert_eq!(shelf.read("产品/泵.md").unwrap().bytes, "二".as_bytes());
        assert_eq!(shelf.remove("产品/泵.md", &Expected::Tag(second.clone())).unwrap().tag, second);
        assert!(matches!(shelf.read("产品/泵.md"), Err(ShelfError::Missing)));
        assert_eq!(shelf.kept(&tag).unwrap(), "一".as_bytes());
        assert_eq!(shelf.kept(&second).unwrap(), "二".as_bytes());
        assert!(matches!(shelf.kept("../../etc"), Err(ShelfError::Missing)));
        let left = fs::read_dir(dir.path().join("knowledge/产品")).unwrap().count();
        assert_eq!(left, 0, "no temporary file stays");
    }

    #[test]
    fn a_status_goes_into_the_front_matter_or_beside_the_file() {
        let (_dir, shelf) = shelf();
        shelf.write("a.md", "# 甲\n".as_bytes(), &Expected::Absent).unwrap();
        assert_eq!(shelf.state("a.md", &[Status::Draft.into()]).unwrap().0, "a.md");
        assert_eq!(shelf.read("a.md").unwrap().bytes, "---\nstatus: draft\n---\n# 甲\n".as_bytes());
        shelf.write("b.csv", "问题,答案\n".as_bytes(), &Expected::Absent).unwrap();
        assert_eq!(shelf.state("b.csv", &[Status::Archived.into()]).unwrap().0, "b.csv.yaml");
        assert_eq!(shelf.read("b.csv.yaml").unwrap().bytes, b"status: archived\n");
        shelf.state("b.csv", &[Status::Published.into()]).unwrap();
        assert_eq!(shelf.read("b.csv.yaml").unwrap().bytes, b"status: published\n");
        assert_eq!(shelf.read("b.csv").unwrap().bytes, "问题,答案\n".as_bytes());
    }
}
