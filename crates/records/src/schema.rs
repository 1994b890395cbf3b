//! Opening the database file and bringing it to the current version.
//!
//! The table `migrations` holds the numbers of those that have run; each runs in one transaction together with its
//! number, so a crash in between leaves the file as it was before. A number that is missing is made up for whatever
//! came after it: parts that do not touch each other may be added side by side. `user_version` is the highest number,
//! for programs that are older than the file. A migration that was released is never changed, only followed.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use crate::RecordsError;

/// "FDck": tells this program's files from other programs' databases.
const APPLICATION_ID: i64 = 0x4644_636B;

/// By number, rising.
const MIGRATIONS: [(i64, &str); 9] = [
    (1, include_str!("migrations/0001.sql")),
    (2, include_str!("migrations/0002.sql")),
    (3, include_str!("migrations/0003.sql")),
    (4, include_str!("migrations/0004.sql")),
    (5, include_str!("migrations/0005.sql")),
    (6, include_str!("migrations/0006.sql")),
    (7, include_str!("migrations/0007.sql")),
    (8, include_str!("migrations/0008.sql")),
    (9, include_str!("migrations/0009.sql")),
];

/// Opens, checks and migrates the file; makes it where it is missing.
pub(crate) fn open_file(path: &Path) -> Result<Connection, RecordsError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(|error| RecordsError::Unreachable {
            path: path.to_owned(),
            reason: format!("its folder cannot be made: {error}"),
        })?;
    }
    let mut connection = connect(path)?;
    check(&connection).map_err(|error| match error {
        Unsound::Sqlite(error) => on_open(path, &error),
        Unsound::Reason(reason) => RecordsError::Damaged { path: path.to_owned(), reason },
    })?;
    migrate(&mut connection, path)?;
    Ok(connection)
}

pub(crate) fn open_in_memory() -> Result<Connection, RecordsError> {
    let mut connection = Connection::open_in_memory()?;
    connection.pragma_update(None, "foreign_keys", true)?;
    migrate(&mut connection, Path::new(":memory:"))?;
    Ok(connection)
}

/// A connection with the settings that every connection needs.
pub(crate) fn connect(path: &Path) -> Result<Connection, RecordsError> {
    let configured = || -> rusqlite::Result<Connection> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // WAL's usual NORMAL may lose the last commits when the power fails; what people did is worth an fsync.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        // What is erased must not stay readable in the file's free pages.
        connection.pragma_update(None, "secure_delete", true)?;
        Ok(connection)
    };
    configured().map_err(|error| on_open(path, &error))
}

enum Unsound {
    Sqlite(rusqlite::Error),
    Reason(String),
}

impl From<rusqlite::Error> for Unsound {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Whether the file is sound and this program's own. A new, empty file is both.
fn check(connection: &Connection) -> Result<(), Unsound> {
    let n_objects: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if n_objects == 0 {
        return Ok(());
    }
    let application: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application != APPLICATION_ID {
        return Err(Unsound::Reason("it is another program's database".to_owned()));
    }
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(Unsound::Reason(verdict));
    }
    Ok(())
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), RecordsError> {
    let known = known_version();
    let current = version(connection)?;
    if current > known {
        return Err(RecordsError::Newer { path: path.to_owned(), found: current, known });
    }
    if missing(connection)?.is_empty() {
        return Ok(());
    }
    let migrated = (|| -> rusqlite::Result<()> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // What is missing is read again under the lock: another process may have migrated in the meantime.
        let missing = missing(&transaction)?;
        transaction
            .execute_batch("CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY) STRICT")?;
        for (number, migration) in MIGRATIONS {
            if missing.contains(&number) {
                transaction.execute_batch(migration)?;
            }
            transaction.execute("INSERT OR IGNORE INTO migrations (number) VALUES (?1)", [number])?;
        }
        transaction.pragma_update(None, "user_version", known)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.commit()
    })();
    migrated.map_err(|error| on_open(path, &error))
}

/// Numbers of the migrations that have not run. A file from before there was a table of them has run all up to its
/// version.
fn missing(connection: &Connection) -> rusqlite::Result<Vec<i64>> {
    let has_table: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'migrations')",
        [],
        |row| row.get(0),
    )?;
    let numbers = MIGRATIONS.iter().map(|(number, _)| *number);
    if !has_table {
        let current = version(connection)?;
        return Ok(numbers.filter(|number| *number > current).collect());
    }
    let mut statement = connection.prepare("SELECT number FROM migrations")?;
    let done: Vec<i64> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(numbers.filter(|number| !done.contains(number)).collect())
}

fn known_version() -> i64 {
    MIGRATIONS.iter().map(|(number, _)| *number).max().expect("there are migrations")
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// An error of opening, in the words of what a person can do about it.
fn on_open(path: &Path, error: &rusqlite::Error) -> RecordsError {
    let path = path.to_owned();
    let reason = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => RecordsError::Damaged { path, reason },
        _ => RecordsError::Unreachable { path, reason },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{KeyRole, Records, Role};

    #[test]
    fn opening_again_keeps_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/on/the/way/records.sqlite");
        let session = Records::open(&path).unwrap().start_session("customer", None, None).unwrap();
        assert!(Records::open(&path).unwrap().session_exists(&session).unwrap());
    }

    #[test]
    fn a_copy_taken_while_it_is_open_holds_what_was_committed() {
        // What a process that is killed leaves behind: the file and its log, never closed.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.sqlite");
        let records = Records::open(&path).unwrap();
        let session = records.start_session("internal", None, None).unwrap();
        for n in 0..50 {
            records
                .append_message(&session, Role::User, &format!("第 {n} 句"), &serde_json::Value::Null)
                .unwrap();
        }
        let after_kill = folder.path().join("after-kill");
        fs::create_dir(&after_kill).unwrap();
        for name in ["records.sqlite", "records.sqlite-wal"] {
            fs::copy(folder.path().join(name), after_kill.join(name)).unwrap();
        }
        let found = Records::open(after_kill.join("records.sqlite")).unwrap();
        assert_eq!(found.messages(&session).unwrap().len(), 50);
    }

    #[test]
    fn a_file_of_the_first_version_is_migrated_with_all_that_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.sqlite");
        {
            let first = connect(&path).unwrap();
            first.execute_batch(MIGRATIONS[0].1).unwrap();
            first
                .execute_batch(
                    "INSERT INTO sessions VALUES ('s', 'internal', NULL, 1000), ('empty', 'internal', NULL, 7);
                     INSERT INTO messages VALUES ('m', 's', 1, 'user', '保修多久？', 'null', 2000);",
                )
                .unwrap();
            first.pragma_update(None, "user_version", 1).unwrap();
            first.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        }
        let records = Records::open(&path).unwrap();
        assert_eq!(records.messages("s").unwrap().len(), 1);
        let updated = |id: &str| records.session(id).unwrap().unwrap().updated_at.as_millisecond();
        assert_eq!((updated("s"), updated("empty")), (2000, 7));
    }

    #[test]
    fn a_damaged_file_is_reported_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.sqlite");
        let garbage = "这不是数据库。".repeat(1000);
        fs::write(&path, &garbage).unwrap();
        let error = Records::open(&path).err().unwrap();
        assert!(matches!(error, RecordsError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("move the file aside"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), garbage.as_bytes());
    }

    #[test]
    fn a_file_with_overwritten_pages_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.sqlite");
        {
            let records = Records::open(&path).unwrap();
            for n in 0..200 {
                records.create_key(&format!("key {n}"), KeyRole::Rep).unwrap();
            }
        }
        let mut bytes = fs::read(&path).unwrap();
        let len = bytes.len();
        assert!(len > 16_384, "the test needs a file of several pages, not of {len} bytes");
        bytes[4096..].fill(0xA5);
        fs::write(&path, &bytes).unwrap();
        assert!(matches!(Records::open(&path), Err(RecordsError::Damaged { .. })));
        assert_eq!(fs::read(&path).unwrap().len(), len);
    }

    #[test]
    fn a_truncated_file_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.sqlite");
        drop(Records::open(&path).unwrap());
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(matches!(Records::open(&path), Err(RecordsError::Damaged { .. })));
    }

    #[test]
    fn another_programs_database_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.sqlite");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE notes (text TEXT)").unwrap();
        let error = Records::open(&path).err().unwrap();
        assert!(error.to_string().contains("another program"), "{error}");
    }

    #[test]
    fn a_file_of_a_newer_version_is_refused_and_not_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.sqlite");
        drop(Records::open(&path).unwrap());
        let newer = known_version() + 1;
        connect(&path).unwrap().pragma_update(None, "user_version", newer).unwrap();
        assert!(matches!(Records::open(&path), Err(RecordsError::Newer { found, .. }) if found == newer));
    }

    #[test]
    fn what_is_missing_is_made_up_for_whatever_came_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.sqlite");
        // As the first released version left a file: its number only, no table of numbers.
        let connection = connect(&path).unwrap();
        connection.execute_batch(MIGRATIONS[0].1).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        connection.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        drop(connection);
        let records = Records::open(&path).unwrap();
        assert!(records.channel_events("none", 1).unwrap().is_empty());
        drop(records);
        // As a program leaves it that knew a later part but not an earlier one.
        let connection = connect(&path).unwrap();
        connection
            .execute_batch("DROP TABLE channel_events; DELETE FROM migrations WHERE number = 3")
            .unwrap();
        for table in ["messages", "deliveries", "conversations", "cursors", "drafts"] {
            connection.execute_batch(&format!("DROP TABLE channel_{table}")).unwrap();
        }
        drop(connection);
        assert!(Records::open(&path).unwrap().channel_events("none", 1).unwrap().is_empty());
        // As a program leaves it that knew the third part and not the second.
        let path = folder.path().join("other.sqlite");
        let connection = connect(&path).unwrap();
        for number in [0, 2] {
            connection.execute_batch(MIGRATIONS[number].1).unwrap();
        }
        connection
            .execute_batch(
                "CREATE TABLE migrations (number INTEGER PRIMARY KEY) STRICT;
                 INSERT INTO migrations VALUES (1), (3)",
            )
            .unwrap();
        connection.pragma_update(None, "user_version", 3).unwrap();
        connection.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        drop(connection);
        assert!(Records::open(&path).unwrap().feedback_of("none", None).unwrap().is_none());
    }

    #[test]
    fn a_folder_in_the_place_of_the_file_is_an_error_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let error = Records::open(folder.path()).err().unwrap();
        assert!(matches!(error, RecordsError::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains(&folder.path().display().to_string()));
    }
}
