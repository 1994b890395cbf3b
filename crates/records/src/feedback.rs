//! What people think of answers: a thumb, why, and what the answer should have been.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::audit::{self, Actor};
use crate::{Records, RecordsError, now_ms, timestamp};

/// The thumb.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names are the contract's own")]
pub enum Rating {
    Up,
    Down,
}

impl Rating {
    /// As JSON and the database spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// One person's opinion of one answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Feedback {
    /// UUID version 7.
    pub id: String,
    /// The answer.
    pub message_id: String,
    /// Name of the key that it was given with; `None` for this machine.
    pub actor: Option<String>,
    /// The thumb.
    pub rating: Rating,
    /// Why.
    pub reason: Option<String>,
    /// What the answer should have been; for the curators to look at, never taken as knowledge by itself.
    pub correction: Option<String>,
    /// When it was last given.
    pub updated_at: jiff::Timestamp,
}

/// What curators have made of an opinion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeedbackState {
    /// Nobody has looked at it.
    Open,
    /// A row of the knowledge came of it.
    Approved,
    /// Nothing is to come of it.
    Dismissed,
}

impl FeedbackState {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Open, Self::Approved, Self::Dismissed];

    /// As JSON and the database spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved => "approved",
            Self::Dismissed => "dismissed",
        }
    }

    fn from_name(name: &str) -> Self {
        Self::ALL.into_iter().find(|state| state.name() == name).unwrap_or(Self::Open)
    }
}

/// An opinion with the answer that it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JudgedAnswer {
    /// The opinion.
    pub feedback: Feedback,
    /// The question as it was asked; empty where the answer had none.
    pub question: String,
    /// The answer.
    pub answer: String,
    /// The conversation.
    pub session_id: String,
    /// Who saw the answer: `internal` or `customer`.
    pub audience: String,
    /// What curators have made of it.
    pub state: FeedbackState,
    /// Who of them, and the row that came of it.
    pub settled_by: Option<String>,
    /// The document that came of it.
    pub document_id: Option<String>,
}

/// Which opinions are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedbackQuery<'q> {
    /// Only these thumbs.
    pub rating: Option<Rating>,
    /// Only those that say what the answer should have been.
    pub corrected: bool,
    /// Only those of which curators have made this.
    pub state: Option<FeedbackState>,
    /// Begin behind this opinion.
    pub after: Option<&'q str>,
    /// At most so many.
    pub limit: usize,
}

const COLUMNS: &str = "id, message_id, actor, rating, reason, correction, updated_at";

impl Records {
    /// Takes down what `actor` thinks of an answer; a later opinion of the same actor replaces the one before.
    ///
    /// # Errors
    /// [`RecordsError::UnknownMessage`] when there is no such answer; when the database fails.
    pub fn give_feedback(
        &self,
        message_id: &str,
        rating: Rating,
        reason: Option<&str>,
        correction: Option<&str>,
        actor: Option<&Actor>,
    ) -> Result<Feedback, RecordsError> {
        let actor_id = actor.map_or("", |actor| &actor.id);
        self.write(|transaction| {
            let is_answer = transaction
                .prepare_cached("SELECT 1 FROM messages WHERE id = ?1 AND role = 'assistant'")?
                .exists([message_id])?;
            if !is_answer {
                return Err(RecordsError::UnknownMessage(message_id.to_owned()));
            }
            transaction.execute(
                "INSERT INTO feedback (id, message_id, actor_id, actor, rating, reason, correction, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (message_id, actor_id) DO UPDATE SET
                   actor = excluded.actor, rating = excluded.rating, reason = excluded.reason,
                   correction = excluded.correction, updated_at = excluded.updated_at,
                   state = 'open', curated_id = NULL, settled_by = NULL, settled_at = NULL",
                params![
                    Uuid::now_v7().to_string(),
                    message_id,
                    actor_id,
                    actor.map(|actor| &actor.name),
                    rating.name(),
                    reason,
                    correction,
                    now_ms(),
                ],
            )?;
            let details = json!({"rating": rating, "corrected": correction.is_some()});
            audit::note_by(transaction, actor, "feedback.give", message_id, &details)?;
            let found = by_actor(transaction, message_id, actor_id)?;
            Ok(found.expect("it was written above"))
        })
    }

    /// What this actor thinks of an answer, if they have said so.
    ///
    /// # Errors
    /// When the database fails.
    pub fn feedback_of(
        &self,
        message_id: &str,
        actor: Option<&Actor>,
    ) -> Result<Option<Feedback>, RecordsError> {
        by_actor(&self.reading(), message_id, actor.map_or("", |actor| &actor.id))
    }

    /// What was thought of answers, the latest first, for those who curate the knowledge; `None` where
    /// [`FeedbackQuery::after`] names none.
    ///
    /// # Errors
    /// When the database fails.
    pub fn feedback(&self, query: &FeedbackQuery<'_>) -> Result<Option<Vec<JudgedAnswer>>, RecordsError> {
        let connection = self.reading();
        let begin = match query.after {
            None => (i64::MAX, String::new()),
            Some(id) => {
                let mut statement =
                    connection.prepare_cached("SELECT updated_at, id FROM feedback WHERE id = ?1")?;
                match statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()? {
                    Some(begin) => begin,
                    None => return Ok(None),
                }
            }
        };
        let mut statement = connection.prepare_cached(
            "SELECT feedback.id, message_id, actor, rating, reason, correction, updated_at,
                    coalesce((SELECT text FROM messages AS questions
                              WHERE questions.id = judged.answers
                                 OR (judged.answers IS NULL AND questions.role = 'user'
                                     AND questions.session_id = judged.session_id
                                     AND questions.position = judged.position - 1)), ''),
                    judged.text, judged.session_id,
                    (SELECT audience FROM sessions WHERE id = judged.session_id),
                    feedback.state, settled_by,
                    (SELECT document_id FROM curated WHERE id = curated_id)
             FROM feedback JOIN messages AS judged ON judged.id = message_id
             WHERE (updated_at, feedback.id) < (?1, ?2)
               AND (?3 IS NULL OR rating = ?3) AND (NOT ?4 OR correction IS NOT NULL)
               AND (?6 IS NULL OR feedback.state = ?6)
             ORDER BY updated_at DESC, feedback.id DESC LIMIT ?5",
        )?;
        let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
        let (rating, state) = (query.rating.map(Rating::name), query.state.map(FeedbackState::name));
        let wanted = params![begin.0, begin.1, rating, query.corrected, limit, state];
        let rows = statement.query_map(wanted, |row| {
            Ok(JudgedAnswer {
                feedback: feedback(row)?,
                question: row.get(7)?,
                answer: row.get(8)?,
                session_id: row.get(9)?,
                audience: row.get(10)?,
                state: FeedbackState::from_name(&row.get::<_, String>(11)?),
                settled_by: row.get(12)?,
                document_id: row.get(13)?,
            })
        })?;
        Ok(Some(rows.collect::<Result<_, _>>()?))
    }
}

/// Says what became of an opinion; `false` where there is none of this id.
pub(crate) fn settle(
    transaction: &Connection,
    id: &str,
    state: FeedbackState,
    curated_id: Option<&str>,
    actor: Option<&Actor>,
) -> Result<bool, RecordsError> {
    let n_changed = transaction.execute(
        "UPDATE feedback SET state = ?2, curated_id = ?3, settled_by = ?4, settled_at = ?5 WHERE id = ?1",
        params![id, state.name(), curated_id, actor.map(|actor| &actor.name), now_ms()],
    )?;
    Ok(n_changed > 0)
}

fn by_actor(
    connection: &Connection,
    message_id: &str,
    actor_id: &str,
) -> Result<Option<Feedback>, RecordsError> {
    let mut statement = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM feedback WHERE message_id = ?1 AND actor_id = ?2"))?;
    Ok(statement.query_row([message_id, actor_id], feedback).optional()?)
}

/// All opinions on the answers of a conversation.
pub(crate) fn of_session(connection: &Connection, session_id: &str) -> Result<Vec<Feedback>, RecordsError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM feedback
         WHERE message_id IN (SELECT id FROM messages WHERE session_id = ?1) ORDER BY updated_at, id"
    ))?;
    let rows = statement.query_map([session_id], feedback)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn feedback(row: &Row<'_>) -> rusqlite::Result<Feedback> {
    let rating: String = row.get(3)?;
    Ok(Feedback {
        id: row.get(0)?,
        message_id: row.get(1)?,
        actor: row.get(2)?,
        // The table lets only two names in.
        rating: if rating == Rating::Up.name() { Rating::Up } else { Rating::Down },
        reason: row.get(4)?,
        correction: row.get(5)?,
        updated_at: timestamp(row.get(6)?),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::Role;

    #[test]
    fn a_second_thought_replaces_the_first_and_another_person_has_their_own() {
        let records = Records::in_memory().unwrap();
        let session = records.start_session("internal", None, None).unwrap();
        records.append_message(&session, Role::User, "保修多久？", &Value::Null).unwrap();
        let answer = records.append_message(&session, Role::Assistant, "18 个月。", &Value::Null).unwrap();
        let rep = Actor { id: "k1".to_owned(), name: "陈立航".to_owned() };
        records.give_feedback(&answer, Rating::Up, None, None, Some(&rep)).unwrap();
        let first = records.feedback_of(&answer, Some(&rep)).unwrap().unwrap();
        let changed = records
            .give_feedback(&answer, Rating::Down, Some("outdated"), Some("现在是 24 个月"), Some(&rep))
            .unwrap();
        assert_eq!((changed.id == first.id, changed.rating), (true, Rating::Down));
        records.give_feedback(&answer, Rating::Up, None, None, None).unwrap();
        assert_eq!(records.feedback_of(&answer, None).unwrap().unwrap().rating, Rating::Up);
        assert_eq!(of_session(&records.reading(), &session).unwrap().len(), 2);
        let audit = records.audit(1).unwrap();
        assert_eq!((audit[0].action.as_str(), audit[0].subject.as_str()), ("feedback.give", answer.as_str()));
    }

    #[test]
    fn curators_read_the_latest_first_with_question_and_answer() {
        let records = Records::in_memory().unwrap();
        let session = records.start_session("internal", None, None).unwrap();
        let mut answers = Vec::new();
        for question in ["保修多久？", "多少钱？", "多快？"] {
            records.append_message(&session, Role::User, question, &Value::Null).unwrap();
            let text = format!("答：{question}");
            answers.push(records.append_message(&session, Role::Assistant, &text, &Value::Null).unwrap());
        }
        records.give_feedback(&answers[0], Rating::Down, None, Some("24 个月"), None).unwrap();
        records.give_feedback(&answers[1], Rating::Up, None, None, None).unwrap();
        records.give_feedback(&answers[2], Rating::Down, Some("missing"), None, None).unwrap();
        let list = |query: &FeedbackQuery<'_>| -> Vec<String> {
            let found = records.feedback(query).unwrap().unwrap();
            found.into_iter().map(|judged| judged.question).collect()
        };
        let all = FeedbackQuery { limit: 10, ..FeedbackQuery::default() };
        assert_eq!(list(&all), ["多快？", "多少钱？", "保修多久？"]);
        assert_eq!(list(&FeedbackQuery { rating: Some(Rating::Up), ..all.clone() }), ["多少钱？"]);
        assert_eq!(list(&FeedbackQuery { corrected: true, ..all.clone() }), ["保修多久？"]);
        let first = &records.feedback(&FeedbackQuery { limit: 1, ..all.clone() }).unwrap().unwrap()[0];
        assert_eq!((first.answer.as_str(), &first.session_id), ("答：多快？", &session));
        let behind = FeedbackQuery { after: Some(&first.feedback.id), ..all.clone() };
        assert_eq!(list(&behind).len(), 2);
        assert_eq!(records.feedback(&FeedbackQuery { after: Some("nobody"), ..all }).unwrap(), None);
    }

    #[test]
    fn only_an_answer_can_be_judged() {
        let records = Records::in_memory().unwrap();
        let session = records.start_session("internal", None, None).unwrap();
        let question = records.append_message(&session, Role::User, "保修多久？", &Value::Null).unwrap();
        for id in [question.as_str(), "nobody"] {
            let error = records.give_feedback(id, Rating::Up, None, None, None).unwrap_err();
            assert!(matches!(error, RecordsError::UnknownMessage(_)), "{error}");
        }
    }
}
