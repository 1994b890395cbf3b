//! What curators make of gaps and opinions: rows of the knowledge, and whether those rows answer.
//!
//! The row itself is a line of a table in the knowledge folder; here stands only who wrote it, for what, and what came
//! of it. A gap with a row waits until the row is in the index and the question has been asked again.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::json;

use crate::audit::{self, Actor};
use crate::feedback::{self, FeedbackState};
use crate::{Records, RecordsError, now_ms, timestamp};

/// Where a gap stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapState {
    /// Nothing answers it.
    Open,
    /// A row was written and has not been tried yet.
    Waiting,
    /// It was asked again and answered.
    Closed,
    /// It needs no answer.
    Dismissed,
}

impl GapState {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Open, Self::Waiting, Self::Closed, Self::Dismissed];

    /// As JSON and the database spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Waiting => "waiting",
            Self::Closed => "closed",
            Self::Dismissed => "dismissed",
        }
    }
}

/// A gap as curators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenGap {
    /// Names it in lists.
    pub id: i64,
    /// As it was asked the first time.
    pub question: String,
    /// Who asked: `internal` or `customer`.
    pub audience: String,
    /// What was wanted, as understood the last time.
    pub intent: String,
    /// Why there was no answer the last time.
    pub reason: String,
    /// How often it was asked.
    pub count: u64,
    /// When first.
    pub first_at: jiff::Timestamp,
    /// When last.
    pub last_at: jiff::Timestamp,
    /// Where it stands.
    pub state: GapState,
    /// Why it is still open although there is a row.
    pub why: Option<String>,
    /// When it was tried last.
    pub checked_at: Option<jiff::Timestamp>,
    /// The row that is to answer it.
    pub row: Option<Curated>,
    /// Who asked, most first.
    pub askers: Vec<Asker>,
}

/// Somebody who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// Name of the key; `None` for this machine, and where the key is gone.
    pub name: Option<String>,
    /// How often.
    pub count: u64,
}

/// A row that was written in the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Curated {
    /// Names it in the records.
    pub id: String,
    /// The document that it becomes in the index.
    pub document_id: String,
    /// The table's path in the knowledge folder.
    pub path: String,
    /// Its question.
    pub question: String,
    /// Its answer.
    pub answer: String,
    /// Who may see it: `internal` or `customer`.
    pub audience: String,
    /// Name of the key that it was written with; `None` for this machine.
    pub author: Option<String>,
    /// When it was written.
    pub written_at: jiff::Timestamp,
}

/// A row that is about to be written, and what it settles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewCurated {
    /// The document that it becomes in the index; a row of the same document before it is replaced.
    pub document_id: String,
    /// The table's path in the knowledge folder.
    pub path: String,
    /// Its question.
    pub question: String,
    /// Its answer.
    pub answer: String,
    /// Who may see it: `internal` or `customer`.
    pub audience: String,
    /// The gaps that it is to answer.
    pub gaps: Vec<i64>,
    /// The opinion that it comes from.
    pub feedback: Option<String>,
}

/// What came of asking again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The gap.
    pub gap: i64,
    /// `None` where it is answered, else why not.
    pub why: Option<String>,
}

const GAP_COLUMNS: &str = "gaps.id, gaps.question, gaps.audience, intent, reason, count, first_at, last_at, state, why,
    checked_at, curated.id, document_id, path, curated.question, answer, curated.audience, author, written_at";

impl Records {
    /// The gaps in one of these states, those asked for most first, at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn gaps_in(&self, states: &[GapState], limit: usize) -> Result<Vec<OpenGap>, RecordsError> {
        let connection = self.reading();
        let states: Vec<&str> = states.iter().map(|state| state.name()).collect();
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {GAP_COLUMNS} FROM gaps LEFT JOIN curated ON curated.id = curated_id
             WHERE state IN (SELECT value FROM json_each(?1))
             ORDER BY count DESC, last_at DESC, gaps.id DESC LIMIT ?2"
        ))?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![json!(states).to_string(), limit], gap)?;
        let mut gaps: Vec<OpenGap> = rows.collect::<Result<_, _>>()?;
        let mut askers = connection.prepare_cached(
            "SELECT keys.name, sum(count) FROM gap_askers LEFT JOIN keys ON keys.id = asker
             WHERE gap_id = ?1 GROUP BY keys.name ORDER BY sum(count) DESC, keys.name",
        )?;
        for gap in &mut gaps {
            let rows = askers.query_map([gap.id], |row| {
                Ok(Asker { name: row.get(0)?, count: row.get::<_, i64>(1)?.unsigned_abs() })
            })?;
            gap.askers = rows.collect::<Result<_, _>>()?;
        }
        Ok(gaps)
    }

    /// The gaps that have a row and are not closed: those to ask again.
    ///
    /// # Errors
    /// When the database fails.
    pub fn gaps_with_rows(&self) -> Result<Vec<OpenGap>, RecordsError> {
        let gaps = self.gaps_in(&[GapState::Open, GapState::Waiting], usize::MAX)?;
        Ok(gaps.into_iter().filter(|gap| gap.row.is_some()).collect())
    }

    /// Notes a row that was written to the knowledge folder, and that gaps wait for it or that an opinion is settled by
    /// it.
    ///
    /// # Errors
    /// [`RecordsError::UnknownTask`] when a gap or the opinion does not exist; when the database fails.
    pub fn put_curated(&self, new: &NewCurated, actor: Option<&Actor>) -> Result<Curated, RecordsError> {
        self.write(|transaction| {
            let row = Curated {
                id: new.document_id.clone(),
                document_id: new.document_id.clone(),
                path: new.path.clone(),
                question: new.question.clone(),
                answer: new.answer.clone(),
                audience: new.audience.clone(),
                author: actor.map(|actor| actor.name.clone()),
                written_at: timestamp(now_ms()),
            };
            transaction.execute(
                "INSERT INTO curated (id, document_id, path, question, answer, audience, author, written_at)
                 VALUES (?1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (id) DO UPDATE SET path = excluded.path, question = excluded.question,
                   answer = excluded.answer, audience = excluded.audience, author = excluded.author,
                   written_at = excluded.written_at",
                params![
                    row.id,
                    row.path,
                    row.question,
                    row.answer,
                    row.audience,
                    row.author,
                    row.written_at.as_millisecond(),
                ],
            )?;
            for gap in &new.gaps {
                let n_changed = transaction.execute(
                    "UPDATE gaps SET state = 'waiting', curated_id = ?2, why = NULL, checked_at = NULL WHERE id = ?1",
                    params![gap, row.id],
                )?;
                if n_changed == 0 {
                    return Err(RecordsError::UnknownTask(gap.to_string()));
                }
            }
            if let Some(id) = &new.feedback
                && !feedback::settle(transaction, id, FeedbackState::Approved, Some(&row.id), actor)?
            {
                return Err(RecordsError::UnknownTask(id.clone()));
            }
            let details = json!({"path": row.path, "audience": row.audience, "gaps": new.gaps,
                                 "feedback": new.feedback});
            audit::note_by(transaction, actor, "row.write", &row.document_id, &details)?;
            Ok(row)
        })
    }

    /// Whether all of these gaps exist.
    ///
    /// # Errors
    /// When the database fails.
    pub fn has_gaps(&self, ids: &[i64]) -> Result<bool, RecordsError> {
        let connection = self.reading();
        let mut statement = connection.prepare_cached("SELECT 1 FROM gaps WHERE id = ?1")?;
        for id in ids {
            if !statement.exists([id])? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Says that gaps need no answer, or, with `open`, that they need one after all.
    ///
    /// # Errors
    /// [`RecordsError::UnknownTask`] when one does not exist; when the database fails.
    pub fn settle_gaps(&self, ids: &[i64], open: bool, actor: Option<&Actor>) -> Result<(), RecordsError> {
        let state = if open { GapState::Open } else { GapState::Dismissed };
        self.write(|transaction| {
            for id in ids {
                let n_changed = transaction
                    .execute("UPDATE gaps SET state = ?2 WHERE id = ?1", params![id, state.name()])?;
                if n_changed == 0 {
                    return Err(RecordsError::UnknownTask(id.to_string()));
                }
                let details = json!({"state": state.name()});
                audit::note_by(transaction, actor, "gap.settle", &id.to_string(), &details)?;
            }
            Ok(())
        })
    }

    /// Writes down what came of asking again: an answered gap is closed, another is open with the reason. A gap whose
    /// row has changed in the meantime, or that was settled otherwise, is left alone.
    ///
    /// # Errors
    /// When the database fails.
    pub fn record_verdicts(&self, verdicts: &[(Verdict, String)]) -> Result<(), RecordsError> {
        self.write(|transaction| {
            for (Verdict { gap, why }, row) in verdicts {
                let state = if why.is_none() { GapState::Closed } else { GapState::Open };
                transaction.execute(
                    "UPDATE gaps SET state = ?3, why = ?4, checked_at = ?5
                     WHERE id = ?1 AND curated_id = ?2 AND state IN ('open', 'waiting')",
                    params![gap, row, state.name(), why, now_ms()],
                )?;
            }
            Ok(())
        })
    }

    /// Says that nothing is to come of an opinion, or, with `open`, that something is after all.
    ///
    /// # Errors
    /// [`RecordsError::UnknownTask`] when there is none of this id; when the database fails.
    pub fn settle_feedback(&self, id: &str, open: bool, actor: Option<&Actor>) -> Result<(), RecordsError> {
        let state = if open { FeedbackState::Open } else { FeedbackState::Dismissed };
        self.write(|transaction| {
            if !feedback::settle(transaction, id, state, None, actor)? {
                return Err(RecordsError::UnknownTask(id.to_owned()));
            }
            audit::note_by(transaction, actor, "feedback.settle", id, &json!({"state": state.name()}))
        })
    }

    /// Whether there is an opinion of this id.
    ///
    /// # Errors
    /// When the database fails.
    pub fn has_feedback(&self, id: &str) -> Result<bool, RecordsError> {
        has_feedback(&self.reading(), id)
    }
}

fn has_feedback(connection: &Connection, id: &str) -> Result<bool, RecordsError> {
    let mut statement = connection.prepare_cached("SELECT id FROM feedback WHERE id = ?1")?;
    Ok(statement.query_row([id], |row| row.get::<_, String>(0)).optional()?.is_some())
}

fn gap(row: &Row<'_>) -> rusqlite::Result<OpenGap> {
    let state: String = row.get(8)?;
    let curated = match row.get::<_, Option<String>>(11)? {
        None => None,
        Some(id) => Some(Curated {
            id,
            document_id: row.get(12)?,
            path: row.get(13)?,
            question: row.get(14)?,
            answer: row.get(15)?,
            audience: row.get(16)?,
            author: row.get(17)?,
            written_at: timestamp(row.get(18)?),
        }),
    };
    Ok(OpenGap {
        id: row.get(0)?,
        question: row.get(1)?,
        audience: row.get(2)?,
        intent: row.get(3)?,
        reason: row.get(4)?,
        count: row.get::<_, i64>(5)?.unsigned_abs(),
        first_at: timestamp(row.get(6)?),
        last_at: timestamp(row.get(7)?),
        state: GapState::ALL.into_iter().find(|known| known.name() == state).unwrap_or(GapState::Open),
        why: row.get(9)?,
        checked_at: row.get::<_, Option<i64>>(10)?.map(timestamp),
        row: curated,
        askers: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FeedbackQuery, KeyRole, Rating, Role};

    fn asked(records: &Records, question: &str, owner: Option<&str>) {
        let session = records.start_session("internal", None, owner).unwrap();
        records.record_gap(question, "internal", "other", "not_in_knowledge", Some(&session)).unwrap();
    }

    fn row(gaps: Vec<i64>) -> NewCurated {
        NewCurated {
            document_id: "faqs/console#r1".to_owned(),
            path: "faqs/console.csv".to_owned(),
            question: "有越南案例吗".to_owned(),
            answer: "有，胡志明市一家饮料厂。".to_owned(),
            audience: "internal".to_owned(),
            gaps,
            feedback: None,
        }
    }

    #[test]
    fn a_gap_knows_who_asked_and_closes_only_when_it_is_answered() {
        let records = Records::in_memory().unwrap();
        let (key, _) = records.create_key("陈立航", KeyRole::Rep).unwrap();
        asked(&records, "有越南案例吗", Some(&key.id));
        asked(&records, "有越南案例吗？", Some(&key.id));
        asked(&records, "有越南案例吗", None);
        let gaps = |states: &[GapState]| records.gaps_in(states, 10).unwrap();
        let found = gaps(&[GapState::Open]);
        assert_eq!(found[0].count, 3);
        let askers: Vec<_> = found[0].askers.iter().map(|who| (who.name.as_deref(), who.count)).collect();
        assert_eq!(askers, [(Some("陈立航"), 2), (None, 1)]);

        let actor = Actor { id: "k".to_owned(), name: "林知夏".to_owned() };
        let id = found[0].id;
        let written = records.put_curated(&row(vec![id]), Some(&actor)).unwrap();
        assert_eq!(gaps(&[GapState::Waiting])[0].row.as_ref(), Some(&written));
        let verdict = |why: Option<&str>| {
            let verdict = Verdict { gap: id, why: why.map(str::to_owned) };
            records.record_verdicts(&[(verdict, written.id.clone())]).unwrap();
        };
        verdict(Some("still_refused"));
        let still = gaps(&[GapState::Open]);
        assert_eq!(
            (still[0].why.as_deref(), records.gaps_with_rows().unwrap().len()),
            (Some("still_refused"), 1)
        );
        verdict(None);
        assert_eq!((gaps(&[GapState::Closed]).len(), records.gaps(10).unwrap().len()), (1, 0));

        asked(&records, "有越南案例吗", None);
        assert_eq!(gaps(&[GapState::Open])[0].why.as_deref(), Some("asked_again"), "it opens again");
        records.settle_gaps(&[id], false, Some(&actor)).unwrap();
        asked(&records, "有越南案例吗", None);
        assert_eq!(gaps(&[GapState::Dismissed])[0].count, 5, "what needs no answer stays away");
        let audit = records.audit(5).unwrap();
        let actions: Vec<_> = audit.iter().map(|entry| entry.action.as_str()).collect();
        assert_eq!(&actions[..2], ["gap.settle", "row.write"]);
        assert!(matches!(records.settle_gaps(&[99], false, None), Err(RecordsError::UnknownTask(_))));
    }

    #[test]
    fn an_opinion_is_settled_once_and_a_new_one_opens_it_again() {
        let records = Records::in_memory().unwrap();
        let session = records.start_session("customer", None, None).unwrap();
        records.append_message(&session, Role::User, "保修多久", &serde_json::Value::Null).unwrap();
        let answer =
            records.append_message(&session, Role::Assistant, "12 个月", &serde_json::Value::Null).unwrap();
        let given = records.give_feedback(&answer, Rating::Down, None, Some("24 个月"), None).unwrap();
        let state = || {
            let query = FeedbackQuery { limit: 1, ..FeedbackQuery::default() };
            let judged = records.feedback(&query).unwrap().unwrap().remove(0);
            (judged.state, judged.document_id, judged.audience)
        };
        let settled = NewCurated { feedback: Some(given.id.clone()), ..row(Vec::new()) };
        records.put_curated(&settled, None).unwrap();
        let approved = (FeedbackState::Approved, Some("faqs/console#r1".to_owned()), "customer".to_owned());
        assert_eq!(state(), approved);
        records.settle_feedback(&given.id, false, None).unwrap();
        assert_eq!(state().0, FeedbackState::Dismissed);
        records.give_feedback(&answer, Rating::Down, None, Some("36 个月"), None).unwrap();
        assert_eq!(state().0, FeedbackState::Open);
        assert!(records.settle_feedback("nobody", false, None).is_err());
    }
}
