//! 话术: wordings that a rep keeps to use again, and those that were found good enough for everybody.
//!
//! A rep sees their own and the shared ones. To share one they offer it; somebody who curates the knowledge approves
//! it or hands it back. A wording that is changed after it was approved is another wording, so it is on offer again.

use std::str::FromStr;

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use serde_json::json;
use uuid::Uuid;

use crate::audit::{self, Actor};
use crate::{Records, RecordsError, now_ms, timestamp};

/// For whom a wording is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PhraseState {
    /// For the rep who keeps it.
    Own,
    /// On offer to those who curate, still for the rep alone.
    Offered,
    /// For everybody.
    Shared,
}

impl PhraseState {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Own, Self::Offered, Self::Shared];

    /// As JSON and the database spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Offered => "offered",
            Self::Shared => "shared",
        }
    }
}

impl FromStr for PhraseState {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|state| state.name() == name).ok_or(())
    }
}

/// A wording to be kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewPhrase {
    /// The words.
    pub text: String,
    /// What they answer.
    pub question: Option<String>,
    /// Ids of the documents that they stand on.
    pub documents: Vec<String>,
}

/// A wording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phrase {
    /// UUID version 7.
    pub id: String,
    /// Id of whoever keeps it; empty for this machine.
    pub owner: String,
    /// Their name; `None` for this machine.
    pub author: Option<String>,
    /// The words.
    pub text: String,
    /// What they answer.
    pub question: Option<String>,
    /// Ids of the documents that they stand on.
    pub documents: Vec<String>,
    /// For whom it is.
    pub state: PhraseState,
    /// Who has approved it, where it is shared.
    pub approved_by: Option<String>,
    /// When it was last changed.
    pub updated_at: jiff::Timestamp,
}

/// Which wordings are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhraseQuery<'q> {
    /// Whose own ones count as own; empty for this machine.
    pub owner: &'q str,
    /// Whether those on offer of others are seen, by who curates.
    pub sees_offers: bool,
    /// Words that the text or the question holds, apart by blanks.
    pub words: &'q str,
    /// Only these.
    pub state: Option<PhraseState>,
    /// Begin behind this one.
    pub after: Option<&'q str>,
    /// At most so many.
    pub limit: usize,
}

const COLUMNS: &str = "id, owner, author, text, question, documents, state, approved_by, updated_at";

/// The id under which somebody's wordings are kept.
fn owner_id(actor: Option<&Actor>) -> &str {
    actor.map_or("", |actor| &actor.id)
}

impl Records {
    /// Keeps a wording for `actor`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn keep_phrase(&self, new: NewPhrase, actor: Option<&Actor>) -> Result<Phrase, RecordsError> {
        let updated_ms = now_ms();
        let phrase = Phrase {
            id: Uuid::now_v7().to_string(),
            owner: owner_id(actor).to_owned(),
            author: actor.map(|actor| actor.name.clone()),
            text: new.text,
            question: new.question,
            documents: new.documents,
            state: PhraseState::Own,
            approved_by: None,
            updated_at: timestamp(updated_ms),
        };
        self.write(|transaction| {
            transaction.execute(
                &format!("INSERT INTO phrases ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, NULL, ?8)"),
                params![
                    phrase.id,
                    phrase.owner,
                    phrase.author,
                    phrase.text,
                    phrase.question,
                    json!(phrase.documents).to_string(),
                    phrase.state.name(),
                    updated_ms,
                ],
            )?;
            Ok(())
        })?;
        Ok(phrase)
    }

    /// The wordings that a query sees, the latest first; `None` where `after` names none.
    ///
    /// # Errors
    /// When the database fails.
    pub fn phrases(&self, query: &PhraseQuery<'_>) -> Result<Option<Vec<Phrase>>, RecordsError> {
        let connection = self.reading();
        let begin = match query.after {
            None => (i64::MAX, String::new()),
            Some(id) => match find(&connection, id)? {
                Some(phrase) => (phrase.updated_at.as_millisecond(), phrase.id),
                None => return Ok(None),
            },
        };
        let words: Vec<String> = query.words.split_whitespace().map(str::to_lowercase).collect();
        let mut sql = format!(
            "SELECT {COLUMNS} FROM phrases WHERE (updated_at, id) < (?1, ?2)
             AND (owner = ?3 OR state = 'shared' OR (?4 AND state = 'offered'))
             AND (?5 IS NULL OR state = ?5)"
        );
        let state = query.state.map(PhraseState::name);
        let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
        let mut values: Vec<&dyn ToSql> =
            vec![&begin.0, &begin.1, &query.owner, &query.sees_offers, &state, &limit];
        for word in &words {
            values.push(word);
            sql.push_str(&format!(
                " AND instr(lower(text || ' ' || coalesce(question, '')), ?{}) > 0",
                values.len()
            ));
        }
        sql.push_str(" ORDER BY updated_at DESC, id DESC LIMIT ?6");
        let mut statement = connection.prepare(&sql)?;
        let rows = statement.query_map(values.as_slice(), phrase)?;
        Ok(Some(rows.collect::<Result<_, _>>()?))
    }

    /// A wording by its id.
    ///
    /// # Errors
    /// When the database fails.
    pub fn phrase(&self, id: &str) -> Result<Option<Phrase>, RecordsError> {
        find(&self.reading(), id)
    }

    /// Changes the words; what was shared is on offer again. `None` where there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub fn reword_phrase(&self, id: &str, text: &str) -> Result<Option<Phrase>, RecordsError> {
        self.write(|transaction| {
            transaction.execute(
                "UPDATE phrases SET text = ?2, updated_at = ?3, approved_by = NULL,
                   state = CASE state WHEN 'shared' THEN 'offered' ELSE state END
                 WHERE id = ?1",
                params![id, text, now_ms()],
            )?;
            find(transaction, id)
        })
    }

    /// Says for whom a wording is. Sharing one and handing one back leave an audit line. `None` where there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_phrase_state(
        &self,
        id: &str,
        state: PhraseState,
        actor: Option<&Actor>,
    ) -> Result<Option<Phrase>, RecordsError> {
        self.write(|transaction| {
            let Some(before) = find(transaction, id)? else { return Ok(None) };
            let approved_by = actor.map(|actor| &actor.name).filter(|_| state == PhraseState::Shared);
            transaction.execute(
                "UPDATE phrases SET state = ?2, approved_by = ?3, updated_at = ?4 WHERE id = ?1",
                params![id, state.name(), approved_by, now_ms()],
            )?;
            let is_owner = before.owner == owner_id(actor);
            match state {
                PhraseState::Shared => {
                    audit::note_by(
                        transaction,
                        actor,
                        "phrase.share",
                        id,
                        &json!({"author": before.author}),
                    )?;
                }
                PhraseState::Own if !is_owner => {
                    audit::note_by(
                        transaction,
                        actor,
                        "phrase.decline",
                        id,
                        &json!({"author": before.author}),
                    )?;
                }
                _ => {}
            }
            find(transaction, id)
        })
    }

    /// Forgets a wording. Whether there was one.
    ///
    /// # Errors
    /// When the database fails.
    pub fn delete_phrase(&self, id: &str, actor: Option<&Actor>) -> Result<bool, RecordsError> {
        self.write(|transaction| {
            let Some(before) = find(transaction, id)? else { return Ok(false) };
            transaction.execute("DELETE FROM phrases WHERE id = ?1", [id])?;
            // What everybody could use does not go without a trace.
            if before.state == PhraseState::Shared || before.owner != owner_id(actor) {
                audit::note_by(transaction, actor, "phrase.delete", id, &json!({"author": before.author}))?;
            }
            Ok(true)
        })
    }
}

fn find(connection: &Connection, id: &str) -> Result<Option<Phrase>, RecordsError> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM phrases WHERE id = ?1"))?;
    Ok(statement.query_row([id], phrase).optional()?)
}

fn phrase(row: &Row<'_>) -> rusqlite::Result<Phrase> {
    let state: String = row.get(6)?;
    Ok(Phrase {
        id: row.get(0)?,
        owner: row.get(1)?,
        author: row.get(2)?,
        text: row.get(3)?,
        question: row.get(4)?,
        documents: serde_json::from_str(&row.get::<_, String>(5)?).unwrap_or_default(),
        // The table lets only the states' names in; the narrowest stands for any other.
        state: state.parse().unwrap_or(PhraseState::Own),
        approved_by: row.get(7)?,
        updated_at: timestamp(row.get(8)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actor(id: &str) -> Actor {
        Actor { id: id.to_owned(), name: id.to_uppercase() }
    }

    fn kept(records: &Records, text: &str, by: &Actor) -> Phrase {
        let new = NewPhrase { text: text.to_owned(), ..NewPhrase::default() };
        records.keep_phrase(new, Some(by)).unwrap()
    }

    fn seen(records: &Records, by: &Actor, sees_offers: bool, words: &str) -> Vec<String> {
        let query = PhraseQuery { owner: &by.id, sees_offers, words, state: None, after: None, limit: 10 };
        records.phrases(&query).unwrap().unwrap().into_iter().map(|phrase| phrase.text).collect()
    }

    #[test]
    fn a_rep_sees_their_own_and_the_shared_ones_and_a_curator_also_what_is_offered() {
        let records = Records::in_memory().unwrap();
        let (one, two, curator) = (actor("one"), actor("two"), actor("curator"));
        let first = kept(&records, "LB-300S 每分钟 300 瓶。", &one);
        kept(&records, "保修 18 个月。", &one);
        assert_eq!(seen(&records, &one, false, "").len(), 2);
        assert_eq!(seen(&records, &one, false, "lb-300s 300"), ["LB-300S 每分钟 300 瓶。"]);
        assert!(seen(&records, &two, false, "").is_empty() && seen(&records, &curator, true, "").is_empty());

        records.set_phrase_state(&first.id, PhraseState::Offered, Some(&one)).unwrap();
        assert_eq!(seen(&records, &curator, true, "").len(), 1);
        assert!(seen(&records, &two, false, "").is_empty());
        let shared =
            records.set_phrase_state(&first.id, PhraseState::Shared, Some(&curator)).unwrap().unwrap();
        assert_eq!(shared.approved_by.as_deref(), Some("CURATOR"));
        assert_eq!(seen(&records, &two, false, ""), ["LB-300S 每分钟 300 瓶。"]);
        assert_eq!(records.audit(1).unwrap()[0].action, "phrase.share");
    }

    #[test]
    fn a_shared_wording_that_is_changed_is_on_offer_again() {
        let records = Records::in_memory().unwrap();
        let one = actor("one");
        let phrase = kept(&records, "好", &one);
        let reworded = records.reword_phrase(&phrase.id, "更好").unwrap().unwrap();
        assert_eq!((reworded.text.as_str(), reworded.state), ("更好", PhraseState::Own));
        records.set_phrase_state(&phrase.id, PhraseState::Shared, Some(&actor("c"))).unwrap();
        let reworded = records.reword_phrase(&phrase.id, "最好").unwrap().unwrap();
        assert_eq!((reworded.state, reworded.approved_by), (PhraseState::Offered, None));
        assert_eq!(records.reword_phrase("nobody", "x").unwrap(), None);
    }

    #[test]
    fn a_list_goes_on_behind_its_last_one_and_what_was_forgotten_is_gone() {
        let records = Records::in_memory().unwrap();
        let one = actor("one");
        for n in 0..5 {
            kept(&records, &n.to_string(), &one);
        }
        let page = |after: Option<&str>| {
            let query =
                PhraseQuery { owner: "one", sees_offers: false, words: "", state: None, after, limit: 3 };
            records.phrases(&query).unwrap()
        };
        let first = page(None).unwrap();
        let second = page(Some(&first[2].id)).unwrap();
        let texts: Vec<_> = first.iter().chain(&second).map(|phrase| phrase.text.as_str()).collect();
        assert_eq!(texts, ["4", "3", "2", "1", "0"]);
        assert_eq!(page(Some("nobody")), None);
        assert!(records.delete_phrase(&first[0].id, Some(&one)).unwrap());
        assert!(!records.delete_phrase(&first[0].id, Some(&one)).unwrap());
        assert!(records.audit(1).unwrap().is_empty(), "one's own business");
        records.delete_phrase(&first[1].id, Some(&actor("c"))).unwrap();
        assert_eq!(records.audit(1).unwrap()[0].action, "phrase.delete");
    }
}
