//! How far the cards are that answers on chat platforms are shown in. What a card *is* lies in JSON that only its
//! writer understands.

use rusqlite::{OptionalExtension, params};
use serde_json::Value;

use crate::{Records, RecordsError, now_ms};

impl Records {
    /// The card of the answer to a message; `None` where none was begun.
    ///
    /// # Errors
    /// When the database fails.
    pub fn channel_card(&self, account: &str, message_id: &str) -> Result<Option<Value>, RecordsError> {
        let connection = self.reading();
        let mut statement = connection
            .prepare_cached("SELECT body FROM channel_cards WHERE account = ?1 AND message_id = ?2")?;
        let body: Option<String> =
            statement.query_row(params![account, message_id], |row| row.get(0)).optional()?;
        Ok(body.and_then(|body| serde_json::from_str(&body).ok()))
    }

    /// Notes how far the card of the answer to a message is.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_channel_card(
        &self,
        account: &str,
        message_id: &str,
        card: &Value,
    ) -> Result<(), RecordsError> {
        self.write(|transaction| {
            transaction.execute(
                "INSERT INTO channel_cards (account, message_id, body, updated_at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (account, message_id)
                 DO UPDATE SET body = excluded.body, updated_at = excluded.updated_at",
                params![account, message_id, card.to_string(), now_ms()],
            )?;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_card_is_what_was_noted_last_until_it_is_old() {
        let records = Records::in_memory().unwrap();
        assert_eq!(records.channel_card("a", "m").unwrap(), None);
        for state in ["begun", "filled"] {
            records.set_channel_card("a", "m", &json!({"state": state})).unwrap();
        }
        assert_eq!(records.channel_card("a", "m").unwrap(), Some(json!({"state": "filled"})));
        assert_eq!(records.channel_card("b", "m").unwrap(), None);
        records.prune_channels(i64::MAX).unwrap();
        assert_eq!(records.channel_card("a", "m").unwrap(), None);
    }
}
