//! A customer's timeline: what was sent to them, and what happened with them otherwise.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::audit::{self, Actor};
use crate::{Records, RecordsError, now_ms, timestamp};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InteractionKind {
    /// Something was sent to the customer.
    Sent,
    /// A call.
    Call,
    /// A meeting or a visit.
    Meeting,
    /// A mail from the customer or to them.
    Email,
    /// A message in a chat.
    Chat,
    /// Anything worth keeping.
    Note,
}

impl InteractionKind {
    /// All kinds.
    pub const ALL: [Self; 6] = [Self::Sent, Self::Call, Self::Meeting, Self::Email, Self::Chat, Self::Note];

    /// As JSON and the database spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Call => "call",
            Self::Meeting => "meeting",
            Self::Email => "email",
            Self::Chat => "chat",
            Self::Note => "note",
        }
    }
}

/// Something to be put on a customer's timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewInteraction {
    /// What happened.
    pub kind: InteractionKind,
    /// In words: for what was sent, the words themselves.
    pub text: String,
    /// The answer that it was made from.
    pub message_id: Option<String>,
    /// Ids of the documents that it stands on.
    pub documents: Vec<String>,
    /// When it happened; now where nothing is said.
    pub at: Option<jiff::Timestamp>,
}

/// An entry of a customer's timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Interaction {
    /// UUID version 7.
    pub id: String,
    /// The customer.
    pub customer_id: String,
    /// What happened.
    pub kind: InteractionKind,
    /// In words.
    pub text: String,
    /// The answer that it was made from.
    pub message_id: Option<String>,
    /// Ids of the documents that it stands on.
    pub documents: Vec<String>,
    /// Name of the key that it was entered with; `None` for this machine.
    pub actor: Option<String>,
    /// When it happened.
    pub at: jiff::Timestamp,
}

const COLUMNS: &str = "id, customer_id, kind, text, message_id, documents, actor, at";

impl Records {
    /// Puts an entry on a customer's timeline.
    ///
    /// # Errors
    /// [`RecordsError::UnknownCustomer`] when there is none of this id; when the database fails.
    pub fn add_interaction(
        &self,
        customer_id: &str,
        new: NewInteraction,
        actor: Option<&Actor>,
    ) -> Result<Interaction, RecordsError> {
        let at_ms = new.at.map_or_else(now_ms, jiff::Timestamp::as_millisecond);
        let interaction = Interaction {
            id: Uuid::now_v7().to_string(),
            customer_id: customer_id.to_owned(),
            kind: new.kind,
            text: new.text,
            message_id: new.message_id,
            documents: new.documents,
            actor: actor.map(|actor| actor.name.clone()),
            at: timestamp(at_ms),
        };
        self.write(|transaction| {
            let n_inserted = transaction.execute(
                &format!(
                    "INSERT INTO interactions ({COLUMNS})
                     SELECT ?1, id, ?3, ?4, ?5, ?6, ?7, ?8 FROM customers WHERE id = ?2"
                ),
                params![
                    interaction.id,
                    customer_id,
                    interaction.kind.name(),
                    interaction.text,
                    interaction.message_id,
                    json!(interaction.documents).to_string(),
                    interaction.actor,
                    at_ms,
                ],
            )?;
            if n_inserted == 0 {
                return Err(RecordsError::UnknownCustomer(customer_id.to_owned()));
            }
            let details = json!({"id": interaction.id, "kind": interaction.kind});
            audit::note_by(transaction, actor, "interaction.add", customer_id, &details)
        })?;
        Ok(interaction)
    }

    /// A customer's timeline, newest first, at most `limit` entries from the one after `after` on; `None` where
    /// `after` names no entry of this customer.
    ///
    /// # Errors
    /// When the database fails.
    pub fn interactions(
        &self,
        customer_id: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Option<Vec<Interaction>>, RecordsError> {
        let connection = self.reading();
        let begin = match after {
            None => (i64::MAX, String::new()),
            Some(id) => {
                let mut statement = connection
                    .prepare_cached("SELECT at, id FROM interactions WHERE id = ?1 AND customer_id = ?2")?;
                let found = statement.query_row([id, customer_id], |row| Ok((row.get(0)?, row.get(1)?)));
                match found.optional()? {
                    Some(begin) => begin,
                    None => return Ok(None),
                }
            }
        };
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM interactions WHERE customer_id = ?1 AND (at, id) < (?2, ?3)
             ORDER BY at DESC, id DESC LIMIT ?4"
        ))?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![customer_id, begin.0, begin.1, limit], interaction)?;
        Ok(Some(rows.collect::<Result<_, _>>()?))
    }
}

/// All entries of a customer's timeline, oldest first.
pub(crate) fn of_customer(
    connection: &Connection,
    customer_id: &str,
) -> Result<Vec<Interaction>, RecordsError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM interactions WHERE customer_id = ?1 ORDER BY at, id"
    ))?;
    let rows = statement.query_map([customer_id], interaction)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn interaction(row: &Row<'_>) -> rusqlite::Result<Interaction> {
    let kind: String = row.get(2)?;
    Ok(Interaction {
        id: row.get(0)?,
        customer_id: row.get(1)?,
        // A kind of a later version is at least something that happened.
        kind: InteractionKind::ALL
            .into_iter()
            .find(|known| known.name() == kind)
            .unwrap_or(InteractionKind::Note),
        text: row.get(3)?,
        message_id: row.get(4)?,
        documents: serde_json::from_str(&row.get::<_, String>(5)?).unwrap_or_default(),
        actor: row.get(6)?,
        at: timestamp(row.get(7)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Customer, CustomerProfile};

    fn note(text: &str, at: Option<i64>) -> NewInteraction {
        NewInteraction {
            kind: InteractionKind::Note,
            text: text.to_owned(),
            message_id: None,
            documents: vec!["case-1".to_owned()],
            at: at.map(timestamp),
        }
    }

    #[test]
    fn a_timeline_is_read_newest_first_and_page_by_page() {
        let records = Records::in_memory().unwrap();
        let customer = Customer::new("c-1", CustomerProfile::default());
        records.put_customer(&customer).unwrap();
        for (text, at) in [("三月", 3000), ("一月", 1000), ("二月", 2000), ("二月又", 2000)] {
            records.add_interaction("c-1", note(text, Some(at)), None).unwrap();
        }
        let page = |after: Option<&str>| records.interactions("c-1", after, 2).unwrap().unwrap();
        let texts =
            |page: &[Interaction]| -> Vec<String> { page.iter().map(|entry| entry.text.clone()).collect() };
        let first = page(None);
        let second = page(Some(&first[1].id));
        assert_eq!([texts(&first), texts(&second)], [["三月", "二月又"], ["二月", "一月"]]);
        assert!(page(Some(&second[1].id)).is_empty());
        assert_eq!(records.interactions("c-1", Some("nobody"), 2).unwrap(), None);
        assert_eq!(first[0].documents, ["case-1"]);
    }

    #[test]
    fn nothing_happens_with_a_customer_that_does_not_exist() {
        let records = Records::in_memory().unwrap();
        let error = records.add_interaction("c-9", note("你好", None), None).unwrap_err();
        assert!(matches!(error, RecordsError::UnknownCustomer(_)), "{error}");
        assert!(records.audit(1).unwrap().is_empty());
    }
}
