//! Who changed what: a row for every change that gives access or changes what is known of people, and for every
//! export of it. Rows are only ever added.

use rusqlite::{Connection, params};
use serde::Serialize;
use serde_json::Value;

use crate::{Records, RecordsError, now_ms, timestamp};

/// Who does something: a key to the HTTP interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The key's id.
    pub id: String,
    /// The key's name.
    pub name: String,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditEntry {
    /// When it was done.
    pub at: jiff::Timestamp,
    /// Name of the key that it was done with; `None` for this machine's command line.
    pub actor: Option<String>,
    /// `key.create`, `key.revoke`, `customers.import`, `customer.create`, `customer.change`, `customer.export`,
    /// `customer.erase`, `interaction.add`, `feedback.give`, `feedback.settle`, `gap.settle`, `row.write`, `rep.sign_in`,
    /// `phrase.share`, `phrase.decline`, `phrase.delete`.
    pub action: String,
    /// What it was done to: the id of a key, a customer or a message, a file's name.
    pub subject: String,
    /// More about it; never a secret.
    pub details: Value,
}

impl Records {
    /// The last changes, newest first, at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn audit(&self, limit: usize) -> Result<Vec<AuditEntry>, RecordsError> {
        let connection = self.reading();
        let mut statement = connection.prepare_cached(
            "SELECT at, actor, action, subject, details FROM audit ORDER BY id DESC LIMIT ?1",
        )?;
        let rows = statement.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
            Ok(AuditEntry {
                at: timestamp(row.get(0)?),
                actor: row.get(1)?,
                action: row.get(2)?,
                subject: row.get(3)?,
                details: serde_json::from_str(&row.get::<_, String>(4)?).unwrap_or(Value::Null),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// Adds a row for this machine's command line; part of the transaction that makes the change, so neither is there
/// without the other.
pub(crate) fn note(
    connection: &Connection,
    action: &str,
    subject: &str,
    details: &Value,
) -> Result<(), RecordsError> {
    note_by(connection, None, action, subject, details)
}

/// As [`note`], for the holder of a key; `None` is this machine.
pub(crate) fn note_by(
    connection: &Connection,
    actor: Option<&Actor>,
    action: &str,
    subject: &str,
    details: &Value,
) -> Result<(), RecordsError> {
    connection.execute(
        "INSERT INTO audit (at, actor, action, subject, details) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![now_ms(), actor.map(|actor| &actor.name), action, subject, details.to_string()],
    )?;
    Ok(())
}
