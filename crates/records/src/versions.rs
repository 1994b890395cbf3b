//! What the files of the knowledge folder were, and who or what changed them.
//!
//! A row for every state of a file; its bytes lie elsewhere under their SHA-256, so that equal states share them. This
//! crate says which states are kept; whoever holds the bytes removes those that [`Records::bound_versions`] lets go.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde_json::json;

use crate::audit::note_by;
use crate::{Actor, Records, RecordsError, now_ms, timestamp};

/// One state of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Version {
    /// Rising in time.
    pub id: i64,
    /// The file, relative to the knowledge folder.
    pub path: String,
    /// Under which the bytes lie, in hexadecimal.
    pub sha256: String,
    /// Their number.
    pub bytes: u64,
    /// The file's modification time when it was read, in ns since 1970, as text; tells an unchanged file unread.
    pub modified: String,
    /// When this state was made or found.
    pub at: jiff::Timestamp,
    /// Name of the key that made it; `None` for the folder itself, or for this machine while there are no keys.
    pub actor: Option<String>,
    /// `found` or `removed` in the folder; `write`, `upload`, `publish`, `draft`, `archive`, `restore`, `delete` here.
    pub action: String,
}

/// A state to be noted.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the names are those of `Version`")]
pub struct NewVersion<'a> {
    pub path: &'a str,
    pub sha256: &'a str,
    pub bytes: u64,
    pub modified: &'a str,
    pub action: &'a str,
}

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionLimits {
    /// States of one file; the last one always is.
    pub per_file: usize,
    /// Bytes of all states together, equal ones once. The last state of each file is kept even so.
    pub total_bytes: u64,
}

const COLUMNS: &str = "id, path, sha256, bytes, modified, at, actor, action";

impl Records {
    /// Notes a state of a file and gives its id. What somebody did here gets a line in the audit trail; what was found
    /// in the folder has nobody to name.
    ///
    /// # Errors
    /// When the database fails.
    pub fn add_version(&self, version: NewVersion<'_>, actor: Option<&Actor>) -> Result<i64, RecordsError> {
        self.write(|transaction| add(transaction, version, actor))
    }

    /// Notes what was found in the folder, all of it or nothing.
    ///
    /// # Errors
    /// When the database fails.
    pub fn add_found_versions(&self, versions: &[NewVersion<'_>]) -> Result<(), RecordsError> {
        self.write(|transaction| {
            versions.iter().try_for_each(|version| add(transaction, *version, None).map(drop))
        })
    }

    /// The states of a file that are kept, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn versions(&self, path: &str) -> Result<Vec<Version>, RecordsError> {
        let connection = self.reading();
        let sql = format!("SELECT {COLUMNS} FROM versions WHERE path = ?1 ORDER BY id DESC");
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map([path], version_of)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The state of this id.
    ///
    /// # Errors
    /// When the database fails.
    pub fn version(&self, id: i64) -> Result<Option<Version>, RecordsError> {
        let sql = format!("SELECT {COLUMNS} FROM versions WHERE id = ?1");
        Ok(self.reading().query_row(&sql, [id], version_of).optional()?)
    }

    /// What a file was at a time: its last state before it, or else its first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn version_at(&self, path: &str, at: jiff::Timestamp) -> Result<Option<Version>, RecordsError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM versions WHERE path = ?1 ORDER BY at > ?2, abs(at - ?2), id DESC LIMIT 1"
        );
        let found = self.reading().query_row(&sql, params![path, at.as_millisecond()], version_of);
        Ok(found.optional()?)
    }

    /// The last state of every file, in order of path; of those that are gone too.
    ///
    /// # Errors
    /// When the database fails.
    pub fn last_versions(&self) -> Result<Vec<Version>, RecordsError> {
        let connection = self.reading();
        let sql = format!(
            "SELECT {COLUMNS} FROM versions WHERE id IN (SELECT max(id) FROM versions GROUP BY path) ORDER BY path"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map([], version_of)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Forgets the oldest states until `limits` hold, and gives the SHA-256 of all bytes that nothing refers to now.
    ///
    /// # Errors
    /// When the database fails.
    pub fn bound_versions(&self, limits: VersionLimits) -> Result<Vec<String>, RecordsError> {
        self.write(|transaction| {
            let mut doomed: Vec<(i64, String)> = {
                let mut statement = transaction.prepare_cached(
                    "SELECT id, sha256 FROM (SELECT id, sha256, row_number() OVER (PARTITION BY path ORDER BY id DESC)
                       AS age FROM versions) WHERE age > max(?1, 1)",
                )?;
                let per_file = i64::try_from(limits.per_file).unwrap_or(i64::MAX);
                let rows = statement.query_map([per_file], |row| Ok((row.get(0)?, row.get(1)?)))?;
                rows.collect::<Result<_, _>>()?
            };
            forget(transaction, &doomed)?;
            while total(transaction)? > limits.total_bytes {
                let oldest = transaction
                    .query_row(
                        "SELECT id, sha256 FROM versions WHERE id NOT IN (SELECT max(id) FROM versions GROUP BY path)
                         ORDER BY id LIMIT 1",
                        [],
                        |row| Ok((row.get(0)?, row.get(1)?)),
                    )
                    .optional()?;
                let Some(oldest) = oldest else { break };
                forget(transaction, std::slice::from_ref(&oldest))?;
                doomed.push(oldest);
            }
            let mut free: Vec<String> = doomed.into_iter().map(|(_, sha256)| sha256).collect();
            free.sort();
            free.dedup();
            let mut used = transaction.prepare_cached("SELECT 1 FROM versions WHERE sha256 = ?1 LIMIT 1")?;
            let mut unused = Vec::new();
            for sha256 in free {
                if !used.exists([&sha256])? {
                    unused.push(sha256);
                }
            }
            Ok(unused)
        })
    }
}

fn add(connection: &Connection, version: NewVersion<'_>, actor: Option<&Actor>) -> Result<i64, RecordsError> {
    let NewVersion { path, sha256, bytes, modified, action } = version;
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    let name = actor.map(|actor| &actor.name);
    connection
        .prepare_cached(
            "INSERT INTO versions (path, sha256, bytes, modified, at, actor, action)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![path, sha256, bytes, modified, now_ms(), name, action])?;
    let id = connection.last_insert_rowid();
    if !matches!(action, "found" | "removed") {
        let details = json!({"version": id, "sha256": sha256});
        note_by(connection, actor, &format!("knowledge.{action}"), path, &details)?;
    }
    Ok(id)
}

fn forget(connection: &Connection, doomed: &[(i64, String)]) -> Result<(), RecordsError> {
    let mut statement = connection.prepare_cached("DELETE FROM versions WHERE id = ?1")?;
    for (id, _) in doomed {
        statement.execute([id])?;
    }
    Ok(())
}

fn total(connection: &Connection) -> Result<u64, RecordsError> {
    let sql =
        "SELECT coalesce(sum(bytes), 0) FROM (SELECT max(bytes) AS bytes FROM versions GROUP BY sha256)";
    Ok(connection.query_row(sql, [], |row| row.get::<_, i64>(0))?.unsigned_abs())
}

fn version_of(row: &Row<'_>) -> rusqlite::Result<Version> {
    Ok(Version {
        id: row.get(0)?,
        path: row.get(1)?,
        sha256: row.get(2)?,
        bytes: row.get::<_, i64>(3)?.unsigned_abs(),
        modified: row.get(4)?,
        at: timestamp(row.get(5)?),
        actor: row.get(6)?,
        action: row.get(7)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new<'a>(path: &'a str, sha256: &'a str, action: &'a str) -> NewVersion<'a> {
        NewVersion { path, sha256, bytes: 100, modified: "1", action }
    }

    #[test]
    fn states_are_listed_newest_first_and_only_what_people_do_is_audited() {
        let records = Records::in_memory().unwrap();
        let actor = Actor { id: "k".to_owned(), name: "市场部".to_owned() };
        records.add_version(new("a.md", "one", "found"), None).unwrap();
        let second = records.add_version(new("a.md", "two", "write"), Some(&actor)).unwrap();
        records.add_version(new("b.md", "one", "found"), None).unwrap();
        let versions = records.versions("a.md").unwrap();
        assert_eq!(versions.iter().map(|v| v.sha256.as_str()).collect::<Vec<_>>(), ["two", "one"]);
        assert_eq!(versions[0].actor.as_deref(), Some("市场部"));
        assert_eq!(records.version(second).unwrap().as_ref(), Some(&versions[0]));
        assert_eq!(records.last_versions().unwrap().len(), 2);
        let audit = records.audit(10).unwrap();
        assert_eq!(audit.len(), 1);
        assert_eq!((audit[0].action.as_str(), audit[0].subject.as_str()), ("knowledge.write", "a.md"));
    }

    #[test]
    fn what_a_file_was_at_a_time_is_its_last_state_before_it_or_its_first() {
        let records = Records::in_memory().unwrap();
        records.add_version(new("a.md", "one", "found"), None).unwrap();
        let before = jiff::Timestamp::UNIX_EPOCH;
        let later = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(60);
        assert_eq!(records.version_at("a.md", before).unwrap().unwrap().sha256, "one");
        records.add_version(new("a.md", "two", "found"), None).unwrap();
        assert_eq!(records.version_at("a.md", later).unwrap().unwrap().sha256, "two");
        assert_eq!(records.version_at("none.md", later).unwrap(), None);
    }

    #[test]
    fn the_oldest_go_first_the_last_of_a_file_never_and_shared_bytes_stay() {
        let records = Records::in_memory().unwrap();
        for sha256 in ["one", "two", "three", "four"] {
            records.add_version(new("a.md", sha256, "found"), None).unwrap();
        }
        records.add_version(new("b.md", "one", "found"), None).unwrap();
        let limits = VersionLimits { per_file: 2, total_bytes: 10_000 };
        assert_eq!(records.bound_versions(limits).unwrap(), ["two"], "`one` is b.md's too");
        assert_eq!(records.versions("a.md").unwrap().len(), 2);
        let tight = VersionLimits { per_file: 2, total_bytes: 0 };
        assert_eq!(records.bound_versions(tight).unwrap(), ["three"]);
        assert_eq!(records.last_versions().unwrap().len(), 2);
    }
}
