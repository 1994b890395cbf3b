//! Conversations and their messages, in the order in which they were said.

use rusqlite::{Connection, OptionalExtension, Row, params};
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
    /// Id of the key that it was started with; `None` for this machine without keys.
    pub owner: Option<String>,
    /// When it was started.
    pub created_at: jiff::Timestamp,
    /// When something was said in it last.
    pub updated_at: jiff::Timestamp,
}

/// A conversation as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Conversation {
    /// The conversation.
    pub session: Session,
    /// Name of the key that it was started with.
    pub owner_name: Option<String>,
    /// Name of the customer that it is about.
    pub customer_name: Option<String>,
    /// What was said first.
    pub title: String,
    /// A message that holds the words searched for, whole; `None` where nothing was searched for.
    pub found: Option<String>,
    /// How many messages it has, from 1.
    pub n_messages: u64,
}

/// Which conversations are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConversationQuery<'q> {
    /// Words that a message holds; all conversations when it is empty.
    pub words: &'q str,
    /// The customer that they are about.
    pub customer_id: Option<&'q str>,
    /// Only those of this owner, a key's id.
    pub owner: Option<&'q str>,
    /// Begin behind this conversation.
    pub after: Option<&'q str>,
    /// At most so many.
    pub limit: usize,
}

/// A question that was asked before under the same request id.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The conversation in which it was asked.
    pub session: Session,
    /// Its words.
    pub question: String,
    /// The answer that it got, if it got one.
    pub answer: Option<Message>,
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
    /// Starts a conversation for `audience` (`internal` or `customer`) and returns its id. `owner` is the id of the
    /// key that it is started with.
    ///
    /// # Errors
    /// When the database fails.
    pub fn start_session(
        &self,
        audience: &str,
        customer_id: Option<&str>,
        owner: Option<&str>,
    ) -> Result<String, RecordsError> {
        let id = Uuid::now_v7().to_string();
        self.write(|transaction| {
            transaction.execute(
                "INSERT INTO sessions (id, audience, customer_id, owner, created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
                params![id, audience, customer_id, owner, now_ms()],
            )?;
            Ok(())
        })?;
        Ok(id)
    }

    /// Says which customer a conversation is about, where that was not known yet. Whether it was not.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_session_customer(&self, id: &str, customer_id: &str) -> Result<bool, RecordsError> {
        self.write(|transaction| {
            let n_changed = transaction.execute(
                "UPDATE sessions SET customer_id = ?2 WHERE id = ?1 AND customer_id IS NULL",
                [id, customer_id],
            )?;
            Ok(n_changed > 0)
        })
    }

    /// Starts a conversation in which these questions were asked elsewhere, and returns its id. They are noted with
    /// [`ASKED_ELSEWHERE`] and have no answers here.
    ///
    /// # Errors
    /// When the database fails.
    pub fn start_session_after(
        &self,
        audience: &str,
        owner: Option<&str>,
        questions: &[&str],
    ) -> Result<String, RecordsError> {
        let session_id = Uuid::now_v7().to_string();
        let details = serde_json::json!({ ASKED_ELSEWHERE: true });
        self.write(|transaction| {
            transaction.execute(
                "INSERT INTO sessions (id, audience, customer_id, owner, created_at, updated_at)
                 VALUES (?1, ?2, NULL, ?3, ?4, ?4)",
                params![session_id, audience, owner, now_ms()],
            )?;
            for text in questions {
                let id = Self::new_message_id();
                let (role, details) = (Role::User, &details);
                let message = NewMessage { id: &id, role, text, details, request_key: None, answers: None };
                append(transaction, &session_id, &message)?;
            }
            Ok(())
        })?;
        Ok(session_id)
    }

    /// The owner's conversation that ends with this answer to the last of these questions, and in which they and no
    /// others were asked; the latest of several. Blanks around a text do not count. It is about no customer.
    ///
    /// # Errors
    /// When the database fails.
    pub fn session_that_ends(
        &self,
        audience: &str,
        owner: Option<&str>,
        questions: &[&str],
        answer: &str,
    ) -> Result<Option<String>, RecordsError> {
        /// Refusals begin alike; beyond these a conversation counts as another one.
        const LOOKED_AT: i64 = 50;
        let connection = self.reading();
        let mut statement = connection.prepare_cached(
            "SELECT sessions.id FROM messages JOIN sessions ON sessions.id = messages.session_id
             WHERE messages.role = 'assistant' AND substr(messages.text, 1, 40) = substr(?1, 1, 40)
               AND sessions.audience = ?2 AND sessions.owner IS ?3 AND sessions.customer_id IS NULL
               AND messages.position =
                 (SELECT max(position) FROM messages AS others WHERE others.session_id = sessions.id)
             ORDER BY sessions.updated_at DESC, sessions.id DESC LIMIT ?4",
        )?;
        let wanted = params![answer.trim(), audience, owner, LOOKED_AT];
        let candidates: Vec<String> =
            statement.query_map(wanted, |row| row.get(0))?.collect::<Result<_, _>>()?;
        for id in candidates {
            let messages = messages(&connection, &id)?;
            let asked = messages.iter().filter(|message| message.role == Role::User);
            let is_last = messages.last().is_some_and(|last| last.text.trim() == answer.trim());
            if is_last
                && asked.map(|message| message.text.trim()).eq(questions.iter().map(|text| text.trim()))
            {
                return Ok(Some(id));
            }
        }
        Ok(None)
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
        find(&self.reading(), id)
    }

    /// Conversations with something said in them, the one with the latest message first; `None` where
    /// [`ConversationQuery::after`] names none.
    ///
    /// Words are looked for in every message in turn, without an index: a word of two Chinese letters is the rule,
    /// and indexes over three letters do not find it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn conversations(
        &self,
        query: &ConversationQuery<'_>,
    ) -> Result<Option<Vec<Conversation>>, RecordsError> {
        let connection = self.reading();
        let begin = match query.after {
            None => (i64::MAX, String::new()),
            Some(id) => match find(&connection, id)? {
                Some(session) => (session.updated_at.as_millisecond(), session.id),
                None => return Ok(None),
            },
        };
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {SESSION_COLUMNS}, keys.name, customers.name,
                    (SELECT text FROM messages WHERE session_id = sessions.id ORDER BY position LIMIT 1) AS title,
                    CASE WHEN ?1 = '' THEN NULL ELSE
                      (SELECT text FROM messages
                       WHERE session_id = sessions.id AND instr(lower(text), lower(?1)) > 0
                       ORDER BY position LIMIT 1) END AS found,
                    (SELECT count(*) FROM messages WHERE session_id = sessions.id)
             FROM sessions
             LEFT JOIN keys ON keys.id = sessions.owner
             LEFT JOIN customers ON customers.id = sessions.customer_id
             WHERE (sessions.updated_at, sessions.id) < (?2, ?3)
               AND (?4 IS NULL OR sessions.customer_id = ?4)
               AND (?5 IS NULL OR sessions.owner = ?5)
               AND title IS NOT NULL AND (?1 = '' OR found IS NOT NULL)
             ORDER BY sessions.updated_at DESC, sessions.id DESC LIMIT ?6"
        ))?;
        let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
        let wanted = params![query.words.trim(), begin.0, begin.1, query.customer_id, query.owner, limit];
        let rows = statement.query_map(wanted, |row| {
            Ok(Conversation {
                session: session(row)?,
                owner_name: row.get(6)?,
                customer_name: row.get(7)?,
                title: row.get(8)?,
                found: row.get(9)?,
                n_messages: row.get::<_, i64>(10)?.unsigned_abs(),
            })
        })?;
        Ok(Some(rows.collect::<Result<_, _>>()?))
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
        let message = NewMessage { id: &id, role, text, details, request_key: None, answers: None };
        self.write(|transaction| append(transaction, session_id, &message))?;
        Ok(id)
    }

    /// An id for a message that is still to be written, so that it can be named before.
    pub fn new_message_id() -> String {
        Uuid::now_v7().to_string()
    }

    /// Adds the answer to a question, once: where it has one already, nothing is added. Returns the id of the answer
    /// that is there in any case; `id` comes from [`Records::new_message_id`].
    ///
    /// # Errors
    /// As [`Records::append_message`].
    pub fn append_answer(
        &self,
        id: &str,
        session_id: &str,
        question_id: &str,
        text: &str,
        details: &Value,
    ) -> Result<String, RecordsError> {
        let answers = Some(question_id);
        let message = NewMessage { id, role: Role::Assistant, text, details, request_key: None, answers };
        self.write(|transaction| {
            if let Some(given) = answer_to(transaction, question_id)? {
                return Ok(given.id);
            }
            append(transaction, session_id, &message)?;
            Ok(id.to_owned())
        })
    }

    /// Adds a question to the end of a conversation, once: where the same owner has asked under the same
    /// `request_id` before, nothing is added. Returns the message's id, of the one that is there in any case.
    ///
    /// # Errors
    /// [`RecordsError::UnknownSession`] when there is no such conversation; when the database fails.
    pub fn append_question(
        &self,
        session_id: &str,
        text: &str,
        owner: Option<&str>,
        request_id: Option<&str>,
    ) -> Result<String, RecordsError> {
        let request_key = request_id.map(|id| request_key(owner, id));
        self.write(|transaction| {
            if let Some(key) = &request_key
                && let Some((message_id, _)) = by_request(transaction, key)?
            {
                return Ok(message_id);
            }
            let id = Self::new_message_id();
            let message = NewMessage {
                id: &id,
                role: Role::User,
                text,
                details: &Value::Null,
                request_key: request_key.as_deref(),
                answers: None,
            };
            append(transaction, session_id, &message)?;
            Ok(id)
        })
    }

    /// The question that `owner` has asked under this `request_id` before.
    ///
    /// # Errors
    /// When the database fails.
    pub fn asked_before(&self, owner: Option<&str>, request_id: &str) -> Result<Option<Asked>, RecordsError> {
        let connection = self.reading();
        let Some((question_id, session_id)) = by_request(&connection, &request_key(owner, request_id))?
        else {
            return Ok(None);
        };
        let Some(session) = find(&connection, &session_id)? else { return Ok(None) };
        let question = connection
            .prepare_cached("SELECT text FROM messages WHERE id = ?1")?
            .query_row([&question_id], |row| row.get(0))?;
        let answer = answer_to(&connection, &question_id)?;
        Ok(Some(Asked { session, question, answer }))
    }

    /// The conversation that a message belongs to.
    ///
    /// # Errors
    /// When the database fails.
    pub fn session_of_message(&self, message_id: &str) -> Result<Option<Session>, RecordsError> {
        let connection = self.reading();
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {SESSION_COLUMNS} FROM sessions
             WHERE id = (SELECT session_id FROM messages WHERE id = ?1)"
        ))?;
        Ok(statement.query_row([message_id], session).optional()?)
    }

    /// The messages of a conversation, oldest first; empty where there is no such conversation.
    ///
    /// # Errors
    /// When the database fails.
    pub fn messages(&self, session_id: &str) -> Result<Vec<Message>, RecordsError> {
        messages(&self.reading(), session_id)
    }

    /// The last `n` messages of a conversation, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn last_messages(&self, session_id: &str, n: usize) -> Result<Vec<Message>, RecordsError> {
        let connection = self.reading();
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {MESSAGE_COLUMNS} FROM messages WHERE session_id = ?1 ORDER BY position DESC LIMIT ?2"
        ))?;
        let rows = statement.query_map((session_id, i64::try_from(n).unwrap_or(i64::MAX)), message)?;
        let mut messages: Vec<Message> = rows.collect::<Result<_, _>>()?;
        messages.reverse();
        Ok(messages)
    }
}

/// In the details of a question that was not asked here but told by the program that asks the next one.
pub const ASKED_ELSEWHERE: &str = "asked_elsewhere";

const SESSION_COLUMNS: &str = "sessions.id, sessions.audience, sessions.customer_id, sessions.owner, \
                               sessions.created_at, sessions.updated_at";
const MESSAGE_COLUMNS: &str = "id, role, text, details, created_at";

pub(crate) fn find(connection: &Connection, id: &str) -> Result<Option<Session>, RecordsError> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {SESSION_COLUMNS} FROM sessions WHERE id = ?1"))?;
    Ok(statement.query_row([id], session).optional()?)
}

/// The conversations about a customer, oldest first.
pub(crate) fn about_customer(
    connection: &Connection,
    customer_id: &str,
) -> Result<Vec<Session>, RecordsError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {SESSION_COLUMNS} FROM sessions WHERE customer_id = ?1 ORDER BY created_at, id"
    ))?;
    let rows = statement.query_map([customer_id], session)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(crate) fn messages(connection: &Connection, session_id: &str) -> Result<Vec<Message>, RecordsError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {MESSAGE_COLUMNS} FROM messages WHERE session_id = ?1 ORDER BY position"
    ))?;
    let rows = statement.query_map([session_id], message)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A message that is to be added.
struct NewMessage<'m> {
    id: &'m str,
    role: Role,
    text: &'m str,
    details: &'m Value,
    request_key: Option<&'m str>,
    answers: Option<&'m str>,
}

fn append(connection: &Connection, session_id: &str, message: &NewMessage<'_>) -> Result<(), RecordsError> {
    let now = now_ms();
    let n_inserted = connection.execute(
        "INSERT INTO messages (id, session_id, position, role, text, details, request_key, answers, created_at)
         SELECT ?1, id, (SELECT coalesce(max(position), 0) + 1 FROM messages WHERE session_id = ?2),
                ?3, ?4, ?5, ?6, ?7, ?8
         FROM sessions WHERE id = ?2",
        params![
            message.id,
            session_id,
            message.role.name(),
            message.text,
            message.details.to_string(),
            message.request_key,
            message.answers,
            now,
        ],
    )?;
    if n_inserted == 0 {
        return Err(RecordsError::UnknownSession(session_id.to_owned()));
    }
    connection.execute("UPDATE sessions SET updated_at = ?2 WHERE id = ?1", params![session_id, now])?;
    Ok(())
}

fn answer_to(connection: &Connection, question_id: &str) -> Result<Option<Message>, RecordsError> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {MESSAGE_COLUMNS} FROM messages WHERE answers = ?1"))?;
    Ok(statement.query_row([question_id], message).optional()?)
}

/// One owner's request ids say nothing about another's.
fn request_key(owner: Option<&str>, request_id: &str) -> String {
    format!("{} {request_id}", owner.unwrap_or_default())
}

/// The question that was asked under this key, and its conversation.
fn by_request(connection: &Connection, key: &str) -> Result<Option<(String, String)>, RecordsError> {
    let mut statement =
        connection.prepare_cached("SELECT id, session_id FROM messages WHERE request_key = ?1")?;
    Ok(statement.query_row([key], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

fn session(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: row.get(0)?,
        audience: row.get(1)?,
        customer_id: row.get(2)?,
        owner: row.get(3)?,
        created_at: timestamp(row.get(4)?),
        updated_at: timestamp(row.get(5)?),
    })
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
        let session = records.start_session("internal", Some("c-102"), None).unwrap();
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
        let id = records.start_session("customer", Some("c-102"), None).unwrap();
        let session = records.session(&id).unwrap().unwrap();
        assert_eq!((session.audience.as_str(), session.customer_id.as_deref()), ("customer", Some("c-102")));
        assert_eq!(Uuid::parse_str(&id).unwrap().get_version_num(), 7);
        assert!(!records.set_session_customer(&id, "c-103").unwrap(), "it stays about whom it is about");
        let unnamed = records.start_session("internal", None, None).unwrap();
        assert!(records.set_session_customer(&unnamed, "c-102").unwrap());
        assert_eq!(records.session(&unnamed).unwrap().unwrap().customer_id.as_deref(), Some("c-102"));
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
    fn conversations_are_listed_latest_first_and_found_by_what_was_said() {
        let records = Records::in_memory().unwrap();
        let (key, _) = records.create_key("陈立航", crate::KeyRole::Rep).unwrap();
        let mut ids = Vec::new();
        for (question, owner) in
            [("LB-300S 多快？", None), ("保修多久？", Some(&*key.id)), ("有案例吗", None)]
        {
            let id = records.start_session("internal", Some("c-1"), owner).unwrap();
            records.append_message(&id, Role::User, question, &Value::Null).unwrap();
            records.append_message(&id, Role::Assistant, "好的，贴标机……", &Value::Null).unwrap();
            ids.push(id);
        }
        records.start_session("internal", None, None).unwrap();
        let all = ConversationQuery { limit: 10, ..ConversationQuery::default() };
        let list = |query: &ConversationQuery<'_>| -> Vec<String> {
            let found = records.conversations(query).unwrap().unwrap();
            found.into_iter().map(|conversation| conversation.session.id).collect()
        };
        // Those said in within one millisecond are ordered by their ids, which go up with time.
        let [first, second, third] = [&ids[0], &ids[1], &ids[2]];
        assert_eq!(list(&all), [third.as_str(), second, first], "an empty one is not shown");
        assert_eq!(list(&ConversationQuery { limit: 2, ..all.clone() }), [third.as_str(), second]);
        assert_eq!(list(&ConversationQuery { after: Some(second), ..all.clone() }), [first.as_str()]);
        assert_eq!(list(&ConversationQuery { words: "lb-300s", ..all.clone() }), [first.as_str()]);
        assert_eq!(list(&ConversationQuery { words: "贴标", ..all.clone() }).len(), 3);
        assert_eq!(list(&ConversationQuery { words: "%", ..all.clone() }), [""; 0]);
        assert_eq!(list(&ConversationQuery { owner: Some(&key.id), ..all.clone() }), [second.as_str()]);
        assert_eq!(list(&ConversationQuery { customer_id: Some("c-2"), ..all.clone() }), [""; 0]);
        let nowhere = ConversationQuery { after: Some("nobody"), ..all.clone() };
        assert_eq!(records.conversations(&nowhere).unwrap(), None);
        let found = &records.conversations(&ConversationQuery { words: "保修", ..all }).unwrap().unwrap()[0];
        assert_eq!((found.title.as_str(), found.found.as_deref()), ("保修多久？", Some("保修多久？")));
        assert_eq!((found.owner_name.as_deref(), found.n_messages), (Some("陈立航"), 2));
    }

    #[test]
    fn a_question_that_is_sent_again_is_the_one_that_is_there() {
        let records = Records::in_memory().unwrap();
        let session = records.start_session("internal", None, Some("k")).unwrap();
        assert_eq!(records.asked_before(Some("k"), "r1").unwrap(), None);
        let id = records.append_question(&session, "保修多久？", Some("k"), Some("r1")).unwrap();
        assert_eq!(records.append_question(&session, "保修多久？", Some("k"), Some("r1")).unwrap(), id);
        let asked = records.asked_before(Some("k"), "r1").unwrap().unwrap();
        assert_eq!((asked.session.id.as_str(), asked.question.as_str()), (session.as_str(), "保修多久？"));
        assert_eq!(asked.answer, None);
        // Something else may be said before the answer is there, and it may come twice.
        records.append_question(&session, "多少钱？", Some("k"), None).unwrap();
        let answer = |text: &str| {
            let new = Records::new_message_id();
            records.append_answer(&new, &session, &id, text, &Value::Null).unwrap()
        };
        let first = answer("18 个月");
        assert_eq!(answer("一年半"), first);
        let asked = records.asked_before(Some("k"), "r1").unwrap().unwrap();
        assert_eq!(asked.answer.unwrap().text, "18 个月");
        assert_eq!(records.messages(&session).unwrap().len(), 3);
        assert_eq!(records.asked_before(Some("other"), "r1").unwrap(), None, "ids are each owner's own");
        records.append_question(&session, "保修多久？", Some("k"), None).unwrap();
        records.append_question(&session, "保修多久？", Some("k"), None).unwrap();
        assert_eq!(records.messages(&session).unwrap().len(), 5);
    }

    #[test]
    fn conversations_do_not_mix_when_many_write_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::open(folder.path().join("records.sqlite")).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let session = records.start_session("internal", None, None).unwrap();
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
