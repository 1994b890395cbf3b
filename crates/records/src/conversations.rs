//! Conversations and their messages, in the order in which they were said.

use rusqlite::{OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{Records, RecordsError, now_ms, timestamp};

/// Who said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The rep or the customer.
    User,
    /// Flightdeck.
    Assistant,
}

impl Role {
    /// As JSON and the database spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// A conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Session {
    /// UUID version 7.
    pub id: String,
    /// For whom it was started; what was said to the company must not go on with a customer.
    pub audience: String,
    /// The customer that it is about, where one was named.
    pub customer_id: Option<String>,
    /// When it was started.
    pub created_at: jiff::Timestamp,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Message {
    /// UUID version 7.
    pub id: String,
    /// Who said it.
    pub role: Role,
    /// What was said.
    pub text: String,
    /// What belongs to it: intent, citations, refusal; `null` where there is nothing.
    pub details: Value,
    /// When it was said.
    pub created_at: jiff::Timestamp,
}

impl Records {
    /// Starts a conversation for `audience` (`internal` or `customer`) and returns its id.
    ///
    /// # Errors
    /// When the database fails.
    pub fn start_session(&self, audience: &str, customer_id: Option<&str>) -> Result<String, RecordsError> {
        let id = Uuid::now_v7().to_string();
        self.write(|transaction| {
            transaction.execute(
                "INSERT INTO sessions (id, audience, customer_id, created_at) VALUES (?1, ?2, ?3, ?4)",
                params![id, audience, customer_id, now_ms()],
            )?;
            Ok(())
        })?;
        Ok(id)
    }

    /// Whether there is a conversation of this id.
    ///
    /// # Errors
    /// When the database fails.
    pub fn session_exists(&self, id: &str) -> Result<bool, RecordsError> {
        Ok(self.session(id)?.is_some())
    }

    /// The conversation of this id.
    ///
    /// # Errors
    /// When the database fails.
    pub fn session(&self, id: &str) -> Result<Option<Session>, RecordsError> {
        let connection = self.reading();
        let mut statement = connection
            .prepare_cached("SELECT id, audience, customer_id, created_at FROM sessions WHERE id = ?1")?;
        let session = statement.query_row([id], |row| {
            Ok(Session {
                id: row.get(0)?,
                audience: row.get(1)?,
                customer_id: row.get(2)?,
                created_at: timestamp(row.get(3)?),
            })
        });
        Ok(session.optional()?)
    }

    /// Adds a message to the end of a conversation and returns the message's id.
    ///
    /// # Errors
    /// [`RecordsError::UnknownSession`] when there is no such conversation; when the database fails.
    pub fn append_message(
        &self,
        session_id: &str,
        role: Role,
        text: &str,
        details: &Value,
    ) -> Result<String, RecordsError> {
        let id = Self::new_message_id();
        self.append_message_as(&id, session_id, role, text, details)?;
        Ok(id)
    }

    /// An id for a message that is still to be written, so that it can be named before.
    pub fn new_message_id() -> String {
        Uuid::now_v7().to_string()
    }

    /// As [`Records::append_message`], under an id from [`Records::new_message_id`].
    ///
    /// # Errors
    /// As [`Records::append_message`].
    pub fn append_message_as(
        &self,
        id: &str,
        session_id: &str,
        role: Role,
        text: &str,
        details: &Value,
    ) -> Result<(), RecordsError> {
        self.write(|transaction| {
            let n_inserted = transaction.execute(
                "INSERT INTO messages (id, session_id, position, role, text, details, created_at)
                 SELECT ?1, id, (SELECT coalesce(max(position), 0) + 1 FROM messages WHERE session_id = ?2),
                        ?3, ?4, ?5, ?6
                 FROM sessions WHERE id = ?2",
                params![id, session_id, role.name(), text, details.to_string(), now_ms()],
            )?;
            if n_inserted == 0 {
                return Err(RecordsError::UnknownSession(session_id.to_owned()));
            }
            Ok(())
        })
    }

    /// The messages of a conversation, oldest first; empty where there is no such conversation.
    ///
    /// # Errors
    /// When the database fails.
    pub fn messages(&self, session_id: &str) -> Result<Vec<Message>, RecordsError> {
        let connection = self.reading();
        let mut statement = connection.prepare_cached(
            "SELECT id, role, text, details, created_at FROM messages WHERE session_id = ?1 ORDER BY position",
        )?;
        let rows = statement.query_map([session_id], message)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    let role: String = row.get(1)?;
    Ok(Message {
        id: row.get(0)?,
        // The table lets only two names in.
        role: if role == Role::User.name() { Role::User } else { Role::Assistant },
        text: row.get(2)?,
        details: serde_json::from_str(&row.get::<_, String>(3)?).unwrap_or(Value::Null),
        created_at: timestamp(row.get(4)?),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_come_back_in_the_order_in_which_they_were_said() {
        let records = Records::in_memory().unwrap();
        let session = records.start_session("internal", Some("c-102")).unwrap();
        let details = json!({"intent": "find_cases", "citations": [1, 2]});
        records.append_message(&session, Role::User, "有饮料厂的案例吗？", &Value::Null).unwrap();
        let id = records.append_message(&session, Role::Assistant, "有[1][2]。", &details).unwrap();
        records.append_message(&session, Role::User, "发我", &Value::Null).unwrap();

        let messages = records.messages(&session).unwrap();
        let said: Vec<_> = messages.iter().map(|message| (message.role, message.text.as_str())).collect();
        assert_eq!(
            said,
            [(Role::User, "有饮料厂的案例吗？"), (Role::Assistant, "有[1][2]。"), (Role::User, "发我")]
        );
        assert_eq!((&messages[1].id, &messages[1].details), (&id, &details));
    }

    #[test]
    fn a_session_remembers_its_audience_and_customer() {
        let records = Records::in_memory().unwrap();
        let id = records.start_session("customer", Some("c-102")).unwrap();
        let session = records.session(&id).unwrap().unwrap();
        assert_eq!((session.audience.as_str(), session.customer_id.as_deref()), ("customer", Some("c-102")));
        assert_eq!(Uuid::parse_str(&id).unwrap().get_version_num(), 7);
    }

    #[test]
    fn nothing_is_added_to_a_conversation_that_does_not_exist() {
        let records = Records::in_memory().unwrap();
        assert!(!records.session_exists("nobody").unwrap());
        let error = records.append_message("nobody", Role::User, "你好", &Value::Null).unwrap_err();
        assert!(matches!(error, RecordsError::UnknownSession(_)));
        assert!(records.messages("nobody").unwrap().is_empty());
    }

    #[test]
    fn conversations_do_not_mix_when_many_write_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::open(folder.path().join("records.sqlite")).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let session = records.start_session("internal", None).unwrap();
                    for n in 0..10 {
                        records
                            .append_message(&session, Role::User, &format!("{session} {n}"), &Value::Null)
                            .unwrap();
                    }
                    let texts: Vec<_> =
                        records.messages(&session).unwrap().into_iter().map(|message| message.text).collect();
                    let expected: Vec<_> = (0..10).map(|n| format!("{session} {n}")).collect();
                    assert_eq!(texts, expected);
                });
            }
        });
    }
}
