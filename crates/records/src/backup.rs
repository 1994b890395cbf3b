//! A copy of the records that is whole, taken while they are in use.
//!
//! `SQLite`'s online backup reads all pages of one moment, whoever writes meanwhile; copying the file by hand could
//! catch half of a commit. The copy is written beside its place, checked, and only then put into it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use crate::{Records, RecordsError};

impl Records {
    /// Writes a copy of everything to `target`, a single file that can take the place of the records. Returns its
    /// size in bytes.
    ///
    /// # Errors
    /// [`RecordsError::Backup`] when there is something at `target` already, or it cannot be written.
    pub fn back_up(&self, target: &Path) -> Result<u64, RecordsError> {
        let failed = |reason: String| RecordsError::Backup { path: target.to_owned(), reason };
        if target.exists() {
            return Err(failed("a file is there already; name another one".to_owned()));
        }
        let unfinished = beside(target);
        let written = self.copy_to(&unfinished).map_err(failed).and_then(|()| {
            put_in_place(&unfinished, target)
                .and_then(|()| Ok(fs::metadata(target)?.len()))
                .map_err(|error| failed(error.to_string()))
        });
        // Gone already where all went well.
        let _ = fs::remove_file(&unfinished);
        written
    }

    fn copy_to(&self, path: &Path) -> Result<(), String> {
        // Left over from a backup that was killed.
        let _ = fs::remove_file(path);
        let mut copy = Connection::open(path).map_err(|error| error.to_string())?;
        // In one step: between two, a commit would make it start over, and under steady writes it would never end.
        let all_pages = -1;
        let copied = Backup::new(&self.reading(), &mut copy).and_then(|backup| backup.step(all_pages));
        match copied.map_err(|error| error.to_string())? {
            StepResult::Done => {}
            _ => return Err("the records are locked".to_owned()),
        }
        // A single file is easier to carry than a file and its log.
        copy.pragma_update(None, "journal_mode", "DELETE").map_err(|error| error.to_string())?;
        let verdict: String = copy
            .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
            .map_err(|error| error.to_string())?;
        if verdict != "ok" {
            return Err(verdict);
        }
        drop(copy);
        fs::File::open(path).and_then(|file| file.sync_all()).map_err(|error| error.to_string())
    }
}

/// A rename would replace what somebody has put there meanwhile, a link does not; some file systems have no links.
fn put_in_place(from: &Path, target: &Path) -> io::Result<()> {
    match fs::hard_link(from, target) {
        Err(_) if target.exists() => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(from, target),
        Ok(()) => Ok(()),
    }
}

fn beside(target: &Path) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".unfinished");
    target.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{KeyRole, Role};

    #[test]
    fn a_backup_taken_while_others_write_is_whole_and_opens_as_records() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::open(folder.path().join("records.sqlite")).unwrap();
        let session = records.start_session("internal", None, None).unwrap();
        records.create_key("陈立航", KeyRole::Rep).unwrap();
        records.append_message(&session, Role::User, "之前", &serde_json::Value::Null).unwrap();
        let target = folder.path().join("backup.sqlite");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..50 {
                    records
                        .append_message(&session, Role::User, &format!("第 {n} 句"), &serde_json::Value::Null)
                        .unwrap();
                }
            });
            let bytes = records.back_up(&target).unwrap();
            assert_eq!(bytes, fs::metadata(&target).unwrap().len());
        });
        let copy = Records::open(&target).unwrap();
        let messages = copy.messages(&session).unwrap();
        assert_eq!(messages[0].text, "之前");
        assert!(copy.has_keys().unwrap());
        let names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| name.contains("unfinished"))
            .collect();
        assert!(names.is_empty(), "{names:?}");
    }

    #[test]
    fn what_stands_in_the_place_of_a_backup_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("backup.sqlite");
        fs::write(&target, "something else").unwrap();
        let error = Records::in_memory().unwrap().back_up(&target).unwrap_err();
        assert!(matches!(error, RecordsError::Backup { .. }), "{error}");
        assert_eq!(fs::read(&target).unwrap(), b"something else");
        let nowhere = folder.path().join("no/such/folder/backup.sqlite");
        assert!(Records::in_memory().unwrap().back_up(&nowhere).is_err());
    }
}
