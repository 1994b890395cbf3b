//! What people do: customers and what was sent to them, conversations, feedback, gaps, wordings, keys and the audit trail.
//!
//! Everything lies in one file, `DATA/records.sqlite`, and this crate alone knows that it is a database; the others
//! see [`Records`] and plain structs. Unlike the index, the file cannot be made again from the knowledge folder, so
//! a commit is on the disk before the call returns, a damaged file is reported and left as it is, and a file of a
//! newer version is not touched.
//!
//! [`Records`] is `Send + Sync` and its calls block for as long as a disk takes: asynchronous callers put them on a
//! thread of their own.

mod audit;
mod backup;
mod channel_cards;
mod channels;
mod conversations;
mod curated;
mod customers;
mod feedback;
mod gaps;
mod import;
mod insights;
mod interactions;
mod keys;
mod personal;
mod phrases;
mod schema;
mod sign_in;
mod versions;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use audit::{Actor, AuditEntry};
pub use channels::{
    ChannelConversation, ChannelDelivery, ChannelDraft, ChannelEvent, ChannelMessage, ChannelPush,
    ChannelSettlement, NewChannelMessage, NewDelivery, NewDraft,
};
pub use conversations::{ASKED_ELSEWHERE, Asked, Conversation, ConversationQuery, Message, Role, Session};
pub use curated::{Asker, Curated, GapState, NewCurated, OpenGap, Verdict};
pub use customers::{Change, Customer, CustomerChange, CustomerProfile, ImportReport};
pub use feedback::{Feedback, FeedbackQuery, FeedbackState, JudgedAnswer, Rating};
pub use gaps::Gap;
pub use import::{ImportError, SheetOfCustomers, id_from_name, parse_customer_sheets, parse_customers};
pub use insights::{Span, Totals, UsedDocument};
pub use interactions::{Interaction, InteractionKind, NewInteraction};
pub use keys::{Key, KeyLimits, KeyRole, NewKey, UnknownRole, origin};
pub use personal::{Erased, PersonalData};
pub use phrases::{NewPhrase, Phrase, PhraseQuery, PhraseState};
use rusqlite::{Connection, Transaction, TransactionBehavior};
pub use sign_in::{Holder, Rep, SignIn, SignInError, TokenRefusal};
pub use versions::{NewVersion, Version, VersionLimits};

/// The records of one data folder.
///
/// Several processes may have the same file open; a writer waits up to five seconds for another one.
pub struct Records {
    writer: Mutex<Connection>,
    /// Readers do not wait for a writer's commit to reach the disk. Absent in memory, where a second connection
    /// would be a second database.
    reader: Option<Mutex<Connection>>,
}

impl Records {
    /// Opens the records at `path`, and makes the file and its folder where they are missing.
    ///
    /// # Errors
    /// [`RecordsError::Unreachable`] when the file or its folder cannot be made, opened or written,
    /// [`RecordsError::Damaged`] when the file is not a sound database of this program,
    /// [`RecordsError::Newer`] when a later version of this program has written it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, RecordsError> {
        let path = path.as_ref();
        let writer = schema::open_file(path)?;
        let reader = schema::connect(path)?;
        Ok(Self { writer: Mutex::new(writer), reader: Some(Mutex::new(reader)) })
    }

    /// Records that are gone when they are dropped, for evaluations and tests.
    ///
    /// # Errors
    /// When there is not enough memory.
    pub fn in_memory() -> Result<Self, RecordsError> {
        Ok(Self { writer: Mutex::new(schema::open_in_memory()?), reader: None })
    }

    /// The connection to read with.
    fn reading(&self) -> MutexGuard<'_, Connection> {
        lock(self.reader.as_ref().unwrap_or(&self.writer))
    }

    /// Runs `work` as one transaction: all of it is on the disk when this returns, or nothing of it.
    fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, RecordsError>,
    ) -> Result<T, RecordsError> {
        let mut connection = lock(&self.writer);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }

    /// Moves the log's content into the file and empties the log, so that what was erased stands in neither. Where
    /// another process reads at the moment this is left to `SQLite`, which does it when the last one closes.
    fn empty_log(&self) {
        let writer = lock(&self.writer);
        let _reader = self.reader.as_ref().map(lock);
        let _ = writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }
}

/// A panic while the lock was held has rolled its transaction back, so the connection is still good.
fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Milliseconds since 1970, as every time is stored.
fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// The stored time, or 1970 where someone has written a number into the file that is no time.
fn timestamp(ms: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

/// Why the records cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// The file or its folder cannot be made, opened or written.
    #[error("cannot open the records {path}: {reason}; check that the folder exists and may be written")]
    Unreachable {
        /// The database file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The file is not a sound database of this program. It is left as it is.
    #[error(
        "the records {path} are damaged: {reason}; move the file aside (nothing was changed or deleted) and put a \
         copy in its place, or start without it"
    )]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// The file was written by a later version of this program.
    #[error(
        "the records {path} have version {found}, this program knows up to {known}; run the newer flightdeck"
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// The file's version.
        found: i64,
        /// The last version that this program knows.
        known: i64,
    },
    /// A message was added to a conversation that does not exist.
    #[error("no such conversation: {0}")]
    UnknownSession(String),
    /// There is no customer of this id.
    #[error("no such customer: {0}")]
    UnknownCustomer(String),
    /// A customer was to be added under an id that another one has.
    #[error("there is a customer {0} already")]
    CustomerExists(String),
    /// There is no gap, opinion or row of this id.
    #[error("there is nothing to settle under {0}")]
    UnknownTask(String),
    /// Feedback was given on what is no answer.
    #[error("no such answer: {0}")]
    UnknownMessage(String),
    /// The backup cannot be written, or something stands in its place.
    #[error("cannot write the backup {path}: {reason}")]
    Backup {
        /// Where it was to be written.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The operating system gives no random bytes, so no key can be made.
    #[error("no random bytes from the operating system: {0}")]
    NoRandomness(String),
    /// The database failed while it was used: the disk is full, another program holds it, or it is damaged.
    #[error("records failed: {0}")]
    Database(String),
}

impl From<rusqlite::Error> for RecordsError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_can_be_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Records>();
    }

    #[test]
    fn a_panic_in_the_middle_of_a_write_rolls_it_back_and_blocks_nobody() {
        let records = Records::in_memory().unwrap();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            records.write::<()>(|transaction| {
                transaction.execute("INSERT INTO audit (at, action, subject) VALUES (0, 'a', 'b')", [])?;
                panic!("in the middle");
            })
        }));
        assert!(panicked.is_err());
        assert!(records.audit(10).unwrap().is_empty());
    }

    #[test]
    fn readers_see_what_was_committed() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::open(folder.path().join("records.sqlite")).unwrap();
        let id = records.start_session("internal", None, None).unwrap();
        assert!(records.session_exists(&id).unwrap());
    }
}
