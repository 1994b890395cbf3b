//! Queues, conversations and the event log of chat platforms, as plain rows.
//!
//! What a message or a delivery *is* lies in JSON that only its writer understands; here it has an order, a state
//! and a time at which it is due. Whatever belongs together is one transaction: a message and the cursor behind it,
//! an answer and the end of the question that it answers.

use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{Records, RecordsError, now_ms, timestamp};

/// What came in from one account, in one go.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelPush {
    /// The account.
    pub account: String,
    /// In the order in which they were said.
    pub messages: Vec<NewChannelMessage>,
    /// Where the next pull begins; `None` leaves it.
    pub cursor: Option<String>,
}

/// A message that may be new.
#[derive(Clone, Debug, PartialEq)]
pub struct NewChannelMessage {
    /// The conversation.
    pub conversation: String,
    /// The platform's id.
    pub message_id: String,
    /// What it says.
    pub body: Value,
    /// Whether it is to be worked on; else it is only remembered, to know it when it comes again.
    pub waits: bool,
    /// That a person has taken the conversation, or has left it.
    pub person: Option<bool>,
    /// How to reach the conversation from now on.
    pub reply: Option<Value>,
}

/// A message that waits.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelMessage {
    /// Rises in the order of arrival.
    pub id: i64,
    /// The account.
    pub account: String,
    /// The conversation.
    pub conversation: String,
    /// The platform's id.
    pub message_id: String,
    /// What it says.
    pub body: Value,
    /// How often it was tried.
    pub attempts: u32,
    /// When it came, in ms since 1970.
    pub received_ms: i64,
}

/// What is to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct NewDelivery {
    /// The account.
    pub account: String,
    /// The conversation.
    pub conversation: String,
    /// Unique; the same one again is not taken.
    pub idempotency: String,
    /// The message that it answers; empty where there is none.
    pub message_id: String,
    /// What to send.
    pub body: Value,
    /// Not before, in ms since 1970.
    pub due_ms: i64,
}

/// A delivery.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChannelDelivery {
    /// Rises in the order of making.
    pub id: i64,
    /// The account.
    pub account: String,
    /// The conversation.
    pub conversation: String,
    /// Names it to the platform.
    pub idempotency: String,
    /// The message that it answers.
    pub message_id: String,
    /// What to send.
    pub body: Value,
    /// `waiting`, `sending`, `sent`, `dropped`, `failed`.
    pub state: String,
    /// How often sending was begun.
    pub attempts: u32,
    /// Why it failed the last time.
    pub error: Option<String>,
    /// When it was made.
    pub created_at: jiff::Timestamp,
}

/// What a person is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDraft {
    /// Why a person is asked.
    pub reason: String,
    /// What was asked.
    pub question: String,
    /// Where the conversation stands.
    pub summary: String,
    /// What could be answered; empty where nothing could.
    pub reply: String,
}

/// A draft that a person may send, change or dismiss.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChannelDraft {
    /// Rises in the order of making.
    pub id: i64,
    /// The conversation.
    pub conversation: String,
    /// Why a person is asked.
    pub reason: String,
    /// What was asked.
    pub question: String,
    /// Where the conversation stands.
    pub summary: String,
    /// What could be answered; empty where nothing could.
    pub reply: String,
    /// When it was made.
    pub created_at: jiff::Timestamp,
}

/// How the work on a message ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChannelSettlement {
    /// What is to be sent.
    pub deliveries: Vec<NewDelivery>,
    /// What a person is asked to do.
    pub draft: Option<NewDraft>,
    /// The assistant's conversation from now on; `None` leaves it.
    pub session_id: Option<String>,
    /// Whether a person has the conversation from now on; `None` leaves it.
    pub person: Option<bool>,
    /// Whether it could not be done.
    pub failed: bool,
    /// For the event log: kind and details.
    pub event: Option<(String, Value)>,
}

/// Where a conversation stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ChannelConversation {
    /// The platform's name for it.
    pub conversation: String,
    /// `auto`, `suggest`, `off`; `None` as the account's settings say.
    pub mode: Option<String>,
    /// The assistant's conversation.
    pub session_id: Option<String>,
    /// Since when a person has it.
    pub person_since: Option<jiff::Timestamp>,
    /// How to reach it.
    #[serde(skip)]
    pub reply: Option<Value>,
}

/// An entry of the event log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChannelEvent {
    /// Rises in the order of writing.
    pub id: i64,
    /// When it was.
    pub at: jiff::Timestamp,
    /// The conversation, where it is about one.
    pub conversation: Option<String>,
    /// `received`, `rejected`, `sent`, `hand_over`, …
    pub kind: String,
    /// More about it; never a secret and never what was said.
    pub details: Value,
}

const MESSAGE: &str =
    "SELECT id, account, conversation, message_id, body, attempts, received_at FROM channel_messages";
const DELIVERY: &str = "SELECT id, account, conversation, idempotency, message_id, body, state, attempts, error, \
                        created_at FROM channel_deliveries";

impl Records {
    /// Takes what came in, all of it or nothing. For each push the number of messages that were new.
    ///
    /// # Errors
    /// When the database fails.
    pub fn push_channel_messages(&self, pushes: &[ChannelPush]) -> Result<Vec<usize>, RecordsError> {
        self.write(|transaction| pushes.iter().map(|push| take(transaction, push)).collect())
    }

    /// Of each conversation the first message that waits, where it is due; oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn waiting_channel_messages(
        &self,
        now_ms: i64,
        limit: usize,
    ) -> Result<Vec<ChannelMessage>, RecordsError> {
        let connection = self.reading();
        let mut statement = connection.prepare_cached(&format!(
            "{MESSAGE} WHERE due_at <= ?1 AND id IN (SELECT min(id) FROM channel_messages
               WHERE state = 'waiting' GROUP BY account, conversation) ORDER BY id LIMIT ?2"
        ))?;
        let rows = statement.query_map(params![now_ms, limit_of(limit)], message)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Of each conversation the first delivery that waits, where it is due; oldest first. Of an account no more than
    /// make `per_account` with those that are being sent.
    ///
    /// # Errors
    /// When the database fails.
    pub fn waiting_channel_deliveries(
        &self,
        now_ms: i64,
        limit: usize,
        per_account: usize,
    ) -> Result<Vec<ChannelDelivery>, RecordsError> {
        let connection = self.reading();
        let mut statement = connection.prepare_cached(&format!(
            "WITH sending AS (SELECT account, count(*) AS n FROM channel_deliveries
                 WHERE state IN ('waiting', 'sending') AND state = 'sending' GROUP BY account),
               due AS (SELECT id, account, row_number() OVER (PARTITION BY account ORDER BY id) AS place
                 FROM channel_deliveries WHERE state = 'waiting' AND due_at <= ?1 AND id IN
                   (SELECT min(id) FROM channel_deliveries WHERE state IN ('waiting', 'sending')
                    GROUP BY account, conversation))
             {DELIVERY} WHERE id IN (SELECT due.id FROM due LEFT JOIN sending USING (account)
               WHERE due.place + coalesce(sending.n, 0) <= ?3) ORDER BY id LIMIT ?2"
        ))?;
        let rows = statement.query_map(params![now_ms, limit_of(limit), limit_of(per_account)], delivery)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// When the next message or delivery falls due after `after_ms`, in ms since 1970; `None` when nothing does.
    ///
    /// # Errors
    /// When the database fails.
    pub fn next_channel_due(&self, after_ms: i64) -> Result<Option<i64>, RecordsError> {
        let connection = self.reading();
        let mut statement = connection.prepare_cached(
            "SELECT min(due_at) FROM (
               SELECT due_at FROM channel_messages WHERE id IN
                 (SELECT min(id) FROM channel_messages WHERE state = 'waiting' GROUP BY account, conversation)
               UNION ALL
               SELECT due_at FROM channel_deliveries WHERE state = 'waiting' AND id IN
                 (SELECT min(id) FROM channel_deliveries WHERE state IN ('waiting', 'sending')
                  GROUP BY account, conversation)) WHERE due_at > ?1",
        )?;
        Ok(statement.query_row([after_ms], |row| row.get(0))?)
    }

    /// Ends the work on a message. Nothing happens where it has ended before; whether it was still waiting.
    ///
    /// # Errors
    /// When the database fails.
    pub fn settle_channel_message(
        &self,
        id: i64,
        settlement: &ChannelSettlement,
    ) -> Result<bool, RecordsError> {
        self.write(|transaction| {
            let ended: Option<(String, String)> = transaction
                .query_row(
                    "UPDATE channel_messages SET state = ?2 WHERE id = ?1 AND state = 'waiting'
                     RETURNING account, conversation",
                    params![id, if settlement.failed { "failed" } else { "done" }],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()?;
            let Some((account, conversation)) = ended else { return Ok(false) };
            for delivery in &settlement.deliveries {
                insert_delivery(transaction, delivery)?;
            }
            if let Some(draft) = &settlement.draft {
                transaction.execute(
                    "INSERT INTO channel_drafts
                       (account, conversation, reason, question, summary, reply, state, created_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'open', ?7)",
                    params![
                        account,
                        conversation,
                        draft.reason,
                        draft.question,
                        draft.summary,
                        draft.reply,
                        now_ms()
                    ],
                )?;
            }
            if let Some(session) = &settlement.session_id {
                upsert(transaction, &account, &conversation)?;
                transaction.execute(
                    "UPDATE channel_conversations SET session_id = ?3 WHERE account = ?1 AND conversation = ?2",
                    params![account, conversation, session],
                )?;
            }
            if let Some(person) = settlement.person {
                set_person(transaction, &account, &conversation, person)?;
            }
            if let Some((kind, details)) = &settlement.event {
                log(transaction, &account, Some(&conversation), kind, details)?;
            }
            Ok(true)
        })
    }

    /// Leaves a message for later.
    ///
    /// # Errors
    /// When the database fails.
    pub fn postpone_channel_message(&self, id: i64, due_ms: i64) -> Result<(), RecordsError> {
        self.write(|transaction| {
            transaction.execute(
                "UPDATE channel_messages SET attempts = attempts + 1, due_at = ?2
                 WHERE id = ?1 AND state = 'waiting'",
                params![id, due_ms],
            )?;
            Ok(())
        })
    }

    /// Adds a delivery; whether it was new.
    ///
    /// # Errors
    /// When the database fails.
    pub fn add_channel_delivery(&self, delivery: &NewDelivery) -> Result<bool, RecordsError> {
        self.write(|transaction| insert_delivery(transaction, delivery))
    }

    /// Notes that sending begins; false where the delivery does not wait (any more).
    ///
    /// # Errors
    /// When the database fails.
    pub fn begin_channel_delivery(&self, id: i64) -> Result<bool, RecordsError> {
        self.write(|transaction| {
            let n = transaction.execute(
                "UPDATE channel_deliveries SET state = 'sending', attempts = attempts + 1
                 WHERE id = ?1 AND state = 'waiting'",
                [id],
            )?;
            Ok(n > 0)
        })
    }

    /// Ends a delivery as `sent`, `dropped` or `failed`, with a line in the event log of that kind; false where it
    /// has ended before.
    ///
    /// # Errors
    /// When the database fails, or `state` is none of the three.
    pub fn end_channel_delivery(
        &self,
        id: i64,
        state: &str,
        error: Option<&str>,
    ) -> Result<bool, RecordsError> {
        self.write(|transaction| {
            let ended: Option<(String, String, u32)> = transaction
                .query_row(
                    "UPDATE channel_deliveries SET state = ?2, error = ?3, ended_at = ?4
                     WHERE id = ?1 AND state IN ('waiting', 'sending') RETURNING account, conversation, attempts",
                    params![id, state, error, now_ms()],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
                )
                .optional()?;
            let Some((account, conversation, attempts)) = ended else { return Ok(false) };
            let details = json!({"delivery": id, "attempts": attempts, "error": error});
            log(transaction, &account, Some(&conversation), state, &details)?;
            Ok(true)
        })
    }

    /// Leaves a delivery for later.
    ///
    /// # Errors
    /// When the database fails.
    pub fn postpone_channel_delivery(
        &self,
        id: i64,
        due_ms: i64,
        error: Option<&str>,
    ) -> Result<(), RecordsError> {
        self.write(|transaction| {
            transaction.execute(
                "UPDATE channel_deliveries SET state = 'waiting', due_at = ?2, error = coalesce(?3, error)
                 WHERE id = ?1 AND state IN ('waiting', 'sending')",
                params![id, due_ms, error],
            )?;
            Ok(())
        })
    }

    /// Lets deliveries wait again that were being sent when the program ended; how many there were.
    ///
    /// # Errors
    /// When the database fails.
    pub fn resume_channel_deliveries(&self) -> Result<usize, RecordsError> {
        self.write(|transaction| {
            let sql = "UPDATE channel_deliveries SET state = 'waiting' WHERE state = 'sending'";
            Ok(transaction.execute(sql, [])?)
        })
    }

    /// Lets a delivery that failed or was dropped wait again; whether there was one in this account.
    ///
    /// # Errors
    /// When the database fails.
    pub fn redeliver(&self, account: &str, id: i64) -> Result<bool, RecordsError> {
        self.write(|transaction| {
            let n = transaction.execute(
                "UPDATE channel_deliveries SET state = 'waiting', attempts = 0, due_at = ?3, ended_at = NULL
                 WHERE id = ?1 AND account = ?2 AND state IN ('failed', 'dropped')",
                params![id, account, now_ms()],
            )?;
            Ok(n > 0)
        })
    }

    /// Whether a message still waits.
    ///
    /// # Errors
    /// When the database fails.
    pub fn channel_message_waits(&self, account: &str, message_id: &str) -> Result<bool, RecordsError> {
        let connection = self.reading();
        let mut statement = connection.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM channel_messages
               WHERE account = ?1 AND message_id = ?2 AND state = 'waiting')",
        )?;
        Ok(statement.query_row(params![account, message_id], |row| row.get(0))?)
    }

    /// The deliveries that answer a message, in their order, whatever their state.
    ///
    /// # Errors
    /// When the database fails.
    pub fn channel_answers(
        &self,
        account: &str,
        message_id: &str,
    ) -> Result<Vec<ChannelDelivery>, RecordsError> {
        let connection = self.reading();
        let mut statement = connection
            .prepare_cached(&format!("{DELIVERY} WHERE account = ?1 AND message_id = ?2 ORDER BY id"))?;
        let rows = statement.query_map(params![account, message_id], delivery)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The last deliveries of an account, newest first; only those of `state` where one is given.
    ///
    /// # Errors
    /// When the database fails.
    pub fn channel_deliveries(
        &self,
        account: &str,
        state: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ChannelDelivery>, RecordsError> {
        let connection = self.reading();
        let mut statement = connection.prepare_cached(&format!(
            "{DELIVERY} WHERE account = ?1 AND (?2 IS NULL OR state = ?2) ORDER BY id DESC LIMIT ?3"
        ))?;
        let rows = statement.query_map(params![account, state, limit_of(limit)], delivery)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Where a conversation stands; the default where nothing is known of it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn channel_conversation(
        &self,
        account: &str,
        conversation: &str,
    ) -> Result<ChannelConversation, RecordsError> {
        let connection = self.reading();
        let mut statement = connection.prepare_cached(
            "SELECT conversation, mode, session_id, person_since, reply FROM channel_conversations
             WHERE account = ?1 AND conversation = ?2",
        )?;
        let found = statement.query_row(params![account, conversation], standing).optional()?;
        Ok(found.unwrap_or_else(|| ChannelConversation {
            conversation: conversation.to_owned(),
            ..ChannelConversation::default()
        }))
    }

    /// The conversations of an account, the latest first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn channel_conversations(
        &self,
        account: &str,
        limit: usize,
    ) -> Result<Vec<ChannelConversation>, RecordsError> {
        let connection = self.reading();
        let mut statement = connection.prepare_cached(
            "SELECT conversation, mode, session_id, person_since, reply FROM channel_conversations
             WHERE account = ?1 ORDER BY updated_at DESC, conversation LIMIT ?2",
        )?;
        let rows = statement.query_map(params![account, limit_of(limit)], standing)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Switches a conversation's mode: `auto`, `suggest` or `off`; `None` goes back to the account's.
    ///
    /// # Errors
    /// When the database fails, or `mode` is none of the three.
    pub fn set_channel_mode(
        &self,
        account: &str,
        conversation: &str,
        mode: Option<&str>,
    ) -> Result<(), RecordsError> {
        self.write(|transaction| {
            upsert(transaction, account, conversation)?;
            transaction.execute(
                "UPDATE channel_conversations SET mode = ?3, updated_at = ?4
                 WHERE account = ?1 AND conversation = ?2",
                params![account, conversation, mode, now_ms()],
            )?;
            log(transaction, account, Some(conversation), "mode", &json!({"mode": mode}))
        })
    }

    /// Notes that a person has a conversation, or has left it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_channel_person(
        &self,
        account: &str,
        conversation: &str,
        present: bool,
    ) -> Result<(), RecordsError> {
        self.write(|transaction| set_person(transaction, account, conversation, present))
    }

    /// Where the next pull of an account begins; empty before the first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn channel_cursor(&self, account: &str) -> Result<String, RecordsError> {
        let connection = self.reading();
        let mut statement =
            connection.prepare_cached("SELECT cursor FROM channel_cursors WHERE account = ?1")?;
        Ok(statement.query_row([account], |row| row.get(0)).optional()?.unwrap_or_default())
    }

    /// The bodies of a conversation's last messages, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn recent_channel_messages(
        &self,
        account: &str,
        conversation: &str,
        limit: usize,
    ) -> Result<Vec<Value>, RecordsError> {
        let connection = self.reading();
        let mut statement = connection.prepare_cached(
            "SELECT body FROM channel_messages WHERE account = ?1 AND conversation = ?2
             ORDER BY id DESC LIMIT ?3",
        )?;
        let rows =
            statement.query_map(params![account, conversation, limit_of(limit)], |row| json_at(row, 0))?;
        let mut bodies: Vec<Value> = rows.collect::<Result<_, _>>()?;
        bodies.reverse();
        Ok(bodies)
    }

    /// What people are asked to do in an account, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn channel_drafts(&self, account: &str, limit: usize) -> Result<Vec<ChannelDraft>, RecordsError> {
        let connection = self.reading();
        let mut statement = connection.prepare_cached(
            "SELECT id, conversation, reason, question, summary, reply, created_at FROM channel_drafts
             WHERE account = ?1 AND state = 'open' ORDER BY id DESC LIMIT ?2",
        )?;
        let rows = statement.query_map(params![account, limit_of(limit)], |row| {
            Ok(ChannelDraft {
                id: row.get(0)?,
                conversation: row.get(1)?,
                reason: row.get(2)?,
                question: row.get(3)?,
                summary: row.get(4)?,
                reply: row.get(5)?,
                created_at: timestamp(row.get(6)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Sends what a person wrote, and closes the draft that it came from; whether the draft was open. Without a draft
    /// it is sent in any case.
    ///
    /// # Errors
    /// When the database fails.
    pub fn send_as_person(&self, draft: Option<i64>, delivery: &NewDelivery) -> Result<bool, RecordsError> {
        self.write(|transaction| {
            if let Some(id) = draft {
                let n = transaction.execute(
                    "UPDATE channel_drafts SET state = 'sent'
                     WHERE id = ?1 AND account = ?2 AND conversation = ?3 AND state = 'open'",
                    params![id, delivery.account, delivery.conversation],
                )?;
                if n == 0 {
                    return Ok(false);
                }
            }
            insert_delivery(transaction, delivery)
        })
    }

    /// Writes a line into the event log.
    ///
    /// # Errors
    /// When the database fails.
    pub fn log_channel_event(
        &self,
        account: &str,
        conversation: Option<&str>,
        kind: &str,
        details: &Value,
    ) -> Result<(), RecordsError> {
        self.write(|transaction| log(transaction, account, conversation, kind, details))
    }

    /// The last events of an account, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn channel_events(&self, account: &str, limit: usize) -> Result<Vec<ChannelEvent>, RecordsError> {
        let connection = self.reading();
        let mut statement = connection.prepare_cached(
            "SELECT id, at, conversation, kind, details FROM channel_events
             WHERE account = ?1 ORDER BY id DESC LIMIT ?2",
        )?;
        let rows = statement.query_map(params![account, limit_of(limit)], |row| {
            Ok(ChannelEvent {
                id: row.get(0)?,
                at: timestamp(row.get(1)?),
                conversation: row.get(2)?,
                kind: row.get(3)?,
                details: json_at(row, 4)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Forgets messages, deliveries and events that ended before this time, in ms since 1970, and drafts from before
    /// it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn prune_channels(&self, before_ms: i64) -> Result<(), RecordsError> {
        self.write(|transaction| {
            for sql in [
                "DELETE FROM channel_messages WHERE received_at < ?1 AND state <> 'waiting'",
                "DELETE FROM channel_deliveries WHERE created_at < ?1 AND state IN ('sent', 'dropped', 'failed')",
                "DELETE FROM channel_drafts WHERE created_at < ?1",
                "DELETE FROM channel_events WHERE at < ?1",
                "DELETE FROM channel_cards WHERE updated_at < ?1",
            ] {
                transaction.execute(sql, [before_ms])?;
            }
            Ok(())
        })
    }
}

fn take(transaction: &Transaction<'_>, push: &ChannelPush) -> Result<usize, RecordsError> {
    let now = now_ms();
    let account = &push.account;
    let mut n_new = 0;
    for message in &push.messages {
        let conversation = &message.conversation;
        let n = transaction
            .prepare_cached(
                "INSERT OR IGNORE INTO channel_messages
                   (account, conversation, message_id, body, state, due_at, received_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
            )?
            .execute(params![
                account,
                conversation,
                message.message_id,
                message.body.to_string(),
                if message.waits { "waiting" } else { "done" },
                now
            ])?;
        if n == 0 {
            continue;
        }
        n_new += 1;
        if let Some(person) = message.person {
            set_person(transaction, account, conversation, person)?;
        }
        if let Some(reply) = &message.reply {
            transaction
                .prepare_cached(
                    "INSERT INTO channel_conversations (account, conversation, reply, updated_at)
                     VALUES (?1, ?2, ?3, ?4) ON CONFLICT (account, conversation)
                     DO UPDATE SET reply = excluded.reply, updated_at = excluded.updated_at",
                )?
                .execute(params![account, conversation, reply.to_string(), now])?;
        }
        let details = json!({"message": message.message_id});
        let kind = match message.person {
            Some(true) => "person_joined",
            Some(false) => "person_left",
            None if message.waits => "received",
            None => "noted",
        };
        log(transaction, account, Some(conversation), kind, &details)?;
    }
    if let Some(cursor) = &push.cursor {
        transaction.execute(
            "INSERT INTO channel_cursors (account, cursor, updated_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (account) DO UPDATE SET cursor = excluded.cursor, updated_at = excluded.updated_at",
            params![account, cursor, now],
        )?;
    }
    Ok(n_new)
}

fn insert_delivery(transaction: &Transaction<'_>, delivery: &NewDelivery) -> Result<bool, RecordsError> {
    let n = transaction.execute(
        "INSERT OR IGNORE INTO channel_deliveries
           (account, conversation, idempotency, message_id, body, state, due_at, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, 'waiting', ?6, ?7)",
        params![
            delivery.account,
            delivery.conversation,
            delivery.idempotency,
            delivery.message_id,
            delivery.body.to_string(),
            delivery.due_ms,
            now_ms()
        ],
    )?;
    Ok(n > 0)
}

fn upsert(transaction: &Transaction<'_>, account: &str, conversation: &str) -> Result<(), RecordsError> {
    transaction.execute(
        "INSERT OR IGNORE INTO channel_conversations (account, conversation, updated_at) VALUES (?1, ?2, ?3)",
        params![account, conversation, now_ms()],
    )?;
    Ok(())
}

fn set_person(
    transaction: &Transaction<'_>,
    account: &str,
    conversation: &str,
    present: bool,
) -> Result<(), RecordsError> {
    upsert(transaction, account, conversation)?;
    transaction.execute(
        "UPDATE channel_conversations SET updated_at = ?3,
           person_since = CASE WHEN ?4 THEN coalesce(person_since, ?3) ELSE NULL END
         WHERE account = ?1 AND conversation = ?2",
        params![account, conversation, now_ms(), present],
    )?;
    Ok(())
}

fn log(
    transaction: &Transaction<'_>,
    account: &str,
    conversation: Option<&str>,
    kind: &str,
    details: &Value,
) -> Result<(), RecordsError> {
    transaction
        .prepare_cached(
            "INSERT INTO channel_events (at, account, conversation, kind, details) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![now_ms(), account, conversation, kind, details.to_string()])?;
    Ok(())
}

fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn json_at(row: &Row<'_>, column: usize) -> rusqlite::Result<Value> {
    Ok(serde_json::from_str(&row.get::<_, String>(column)?).unwrap_or(Value::Null))
}

fn message(row: &Row<'_>) -> rusqlite::Result<ChannelMessage> {
    Ok(ChannelMessage {
        id: row.get(0)?,
        account: row.get(1)?,
        conversation: row.get(2)?,
        message_id: row.get(3)?,
        body: json_at(row, 4)?,
        attempts: row.get(5)?,
        received_ms: row.get(6)?,
    })
}

fn delivery(row: &Row<'_>) -> rusqlite::Result<ChannelDelivery> {
    Ok(ChannelDelivery {
        id: row.get(0)?,
        account: row.get(1)?,
        conversation: row.get(2)?,
        idempotency: row.get(3)?,
        message_id: row.get(4)?,
        body: json_at(row, 5)?,
        state: row.get(6)?,
        attempts: row.get(7)?,
        error: row.get(8)?,
        created_at: timestamp(row.get(9)?),
    })
}

fn standing(row: &Row<'_>) -> rusqlite::Result<ChannelConversation> {
    let reply: Option<String> = row.get(4)?;
    Ok(ChannelConversation {
        conversation: row.get(0)?,
        mode: row.get(1)?,
        session_id: row.get(2)?,
        person_since: row.get::<_, Option<i64>>(3)?.map(timestamp),
        reply: reply.and_then(|text| serde_json::from_str(&text).ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(conversation: &str, id: &str) -> NewChannelMessage {
        NewChannelMessage {
            conversation: conversation.to_owned(),
            message_id: id.to_owned(),
            body: json!({"text": id}),
            waits: true,
            person: None,
            reply: Some(json!({"to": conversation})),
        }
    }

    fn push(messages: Vec<NewChannelMessage>) -> ChannelPush {
        ChannelPush { account: "a".to_owned(), messages, cursor: None }
    }

    fn to_send(idempotency: &str) -> NewDelivery {
        NewDelivery {
            account: "a".to_owned(),
            conversation: "c".to_owned(),
            idempotency: idempotency.to_owned(),
            message_id: "m".to_owned(),
            body: json!({}),
            due_ms: 0,
        }
    }

    #[test]
    fn a_message_that_comes_twice_is_taken_once_and_a_conversation_goes_in_order() {
        let records = Records::in_memory().unwrap();
        let first = push(vec![new("c", "1"), new("c", "2"), new("d", "3")]);
        assert_eq!(records.push_channel_messages(&[first.clone(), first]).unwrap(), [3, 0]);
        let waiting = records.waiting_channel_messages(i64::MAX, 10).unwrap();
        let ids: Vec<_> = waiting.iter().map(|message| message.message_id.as_str()).collect();
        assert_eq!(ids, ["1", "3"], "2 waits for 1");
        assert!(records.settle_channel_message(waiting[0].id, &ChannelSettlement::default()).unwrap());
        assert!(!records.settle_channel_message(waiting[0].id, &ChannelSettlement::default()).unwrap());
        assert_eq!(records.waiting_channel_messages(i64::MAX, 10).unwrap()[0].message_id, "2");
        assert_eq!(records.channel_conversation("a", "d").unwrap().reply, Some(json!({"to": "d"})));
    }

    #[test]
    fn an_answer_and_the_end_of_its_question_are_one() {
        let records = Records::in_memory().unwrap();
        records.push_channel_messages(&[push(vec![new("c", "m")])]).unwrap();
        let id = records.waiting_channel_messages(i64::MAX, 1).unwrap()[0].id;
        let settlement = ChannelSettlement {
            deliveries: vec![to_send("k1"), to_send("k1"), to_send("k2")],
            person: Some(true),
            session_id: Some("s".to_owned()),
            event: Some(("hand_over".to_owned(), json!({"reason": "asked"}))),
            ..ChannelSettlement::default()
        };
        records.settle_channel_message(id, &settlement).unwrap();
        assert_eq!(records.channel_answers("a", "m").unwrap().len(), 2, "one key is one delivery");
        let standing = records.channel_conversation("a", "c").unwrap();
        assert!(standing.person_since.is_some());
        assert_eq!(standing.session_id.as_deref(), Some("s"));
        assert_eq!(records.channel_events("a", 1).unwrap()[0].kind, "hand_over");
    }

    #[test]
    fn a_delivery_is_sent_by_one_and_waits_again_after_a_crash() {
        let records = Records::in_memory().unwrap();
        records.add_channel_delivery(&to_send("k1")).unwrap();
        records.add_channel_delivery(&to_send("k2")).unwrap();
        let due = records.waiting_channel_deliveries(i64::MAX, 10, 10).unwrap();
        assert_eq!(due.len(), 1, "the second waits for the first");
        assert!(records.begin_channel_delivery(due[0].id).unwrap());
        assert!(!records.begin_channel_delivery(due[0].id).unwrap());
        assert!(records.waiting_channel_deliveries(i64::MAX, 10, 10).unwrap().is_empty());
        assert_eq!(records.resume_channel_deliveries().unwrap(), 1);
        let due = records.waiting_channel_deliveries(i64::MAX, 10, 10).unwrap();
        assert_eq!(due[0].attempts, 1, "it was tried once");
        assert!(records.end_channel_delivery(due[0].id, "failed", Some("no")).unwrap());
        assert!(records.redeliver("a", due[0].id).unwrap());
        assert!(!records.redeliver("b", due[0].id).unwrap());
    }

    #[test]
    fn an_account_whose_deliveries_do_not_end_holds_up_itself_alone() {
        let records = Records::in_memory().unwrap();
        let add = |account: &str, n: i32| {
            let delivery = NewDelivery {
                account: account.to_owned(),
                conversation: format!("c{n}"),
                ..to_send(&format!("{account} {n}"))
            };
            records.add_channel_delivery(&delivery).unwrap();
        };
        (0..9).for_each(|n| add("a", n));
        add("b", 0);
        let due = |limit: usize| -> Vec<String> {
            let due = records.waiting_channel_deliveries(i64::MAX, limit, 3).unwrap();
            due.into_iter().map(|delivery| delivery.idempotency).collect()
        };
        assert_eq!(due(10), ["a 0", "a 1", "a 2", "b 0"]);
        assert!(records.begin_channel_delivery(1).unwrap() && records.begin_channel_delivery(2).unwrap());
        assert_eq!(due(10), ["a 2", "b 0"]);
        assert!(records.begin_channel_delivery(3).unwrap());
        assert_eq!(due(1), ["b 0"], "however little is looked at");
        assert!(records.end_channel_delivery(2, "sent", None).unwrap());
        assert_eq!(due(10), ["a 3", "b 0"]);
    }

    #[test]
    fn a_cursor_moves_with_what_was_pulled() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.sqlite");
        let records = Records::open(&path).unwrap();
        assert_eq!(records.channel_cursor("a").unwrap(), "");
        let pulled = ChannelPush { cursor: Some("c1".to_owned()), ..push(vec![new("c", "1")]) };
        records.push_channel_messages(&[pulled]).unwrap();
        drop(records);
        let records = Records::open(&path).unwrap();
        assert_eq!(records.channel_cursor("a").unwrap(), "c1");
        assert!(records.next_channel_due(0).unwrap().is_some());
    }

    #[test]
    fn a_draft_is_sent_once() {
        let records = Records::in_memory().unwrap();
        records.push_channel_messages(&[push(vec![new("c", "m")])]).unwrap();
        let draft = NewDraft {
            reason: "suggest".to_owned(),
            question: "q".to_owned(),
            summary: String::new(),
            reply: "r".to_owned(),
        };
        let settlement = ChannelSettlement { draft: Some(draft), ..ChannelSettlement::default() };
        records.settle_channel_message(1, &settlement).unwrap();
        let id = records.channel_drafts("a", 10).unwrap()[0].id;
        assert!(records.send_as_person(Some(id), &to_send("p1")).unwrap());
        assert!(!records.send_as_person(Some(id), &to_send("p2")).unwrap());
        assert!(records.channel_drafts("a", 10).unwrap().is_empty());
    }
}
