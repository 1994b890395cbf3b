//! What of the knowledge is used, and what came of it: counted from answers, timelines and customers.
//!
//! These are counts of what happened together, not of what caused what: a case sent to ten customers of whom three
//! bought is `3 of 10`. Whoever shows them shows how many there were.

use std::collections::BTreeMap;

use rusqlite::params;

use crate::{Records, RecordsError};

/// A stretch of time, from its first millisecond up to and without its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// When it begins.
    pub from: jiff::Timestamp,
    /// When it has ended.
    pub until: jiff::Timestamp,
}

/// How much there is to count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Answers given.
    pub answers: u64,
    /// Of those, refusals.
    pub refused: u64,
    /// Thumbs up.
    pub up: u64,
    /// Thumbs down.
    pub down: u64,
    /// Things sent to customers.
    pub sent: u64,
    /// Customers that something was sent to.
    pub reached: u64,
    /// Of those, the ones that have bought.
    pub reached_won: u64,
    /// All customers in the records.
    pub customers: u64,
    /// Of those, the ones that have bought.
    pub customers_won: u64,
}

/// What was done with one document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsedDocument {
    /// Answers that cite it.
    pub cited: u64,
    /// Of those, answers for customers.
    pub cited_for_customers: u64,
    /// Thumbs up for answers that cite it.
    pub up: u64,
    /// Thumbs down for answers that cite it.
    pub down: u64,
    /// How often it was sent.
    pub sent: u64,
    /// Customers that it was sent to.
    pub reached: u64,
    /// Of those, the ones that have bought.
    pub reached_won: u64,
}

/// Whether a customer's stage says that they have bought, in SQL.
const IS_WON: &str = "(stage LIKE '%成交%' OR stage LIKE '%赢单%' OR stage LIKE '%签约%' OR stage LIKE '%已签%'
    OR stage LIKE '%售后%' OR stage LIKE '%复购%' OR lower(stage) LIKE '%won%' OR lower(stage) LIKE '%signed%')
    AND stage NOT LIKE '%未%' AND stage NOT LIKE '%待%'";

impl Records {
    /// How much there is to count in a stretch of time. Customers are counted as they are now.
    ///
    /// # Errors
    /// When the database fails.
    pub fn totals(&self, span: Span) -> Result<Totals, RecordsError> {
        let connection = self.reading();
        let (from, until) = (span.from.as_millisecond(), span.until.as_millisecond());
        let count = |sql: &str, bounded: bool| -> Result<u64, RecordsError> {
            let mut statement = connection.prepare_cached(sql)?;
            let counted = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
            let n = if bounded {
                statement.query_row(params![from, until], counted)?
            } else {
                statement.query_row([], counted)?
            };
            Ok(n.unsigned_abs())
        };
        let answers = "FROM messages WHERE role = 'assistant' AND created_at >= ?1 AND created_at < ?2";
        let opinions = "FROM feedback WHERE updated_at >= ?1 AND updated_at < ?2";
        let sent = "FROM interactions WHERE kind = 'sent' AND at >= ?1 AND at < ?2";
        let reached = format!("SELECT DISTINCT customer_id {sent}");
        Ok(Totals {
            answers: count(&format!("SELECT count(*) {answers}"), true)?,
            refused: count(
                &format!("SELECT count(*) {answers} AND json_extract(details, '$.refused')"),
                true,
            )?,
            up: count(&format!("SELECT count(*) {opinions} AND rating = 'up'"), true)?,
            down: count(&format!("SELECT count(*) {opinions} AND rating = 'down'"), true)?,
            sent: count(&format!("SELECT count(*) {sent}"), true)?,
            reached: count(&format!("SELECT count(*) FROM ({reached})"), true)?,
            reached_won: count(
                &format!("SELECT count(*) FROM customers WHERE id IN ({reached}) AND {IS_WON}"),
                true,
            )?,
            customers: count("SELECT count(*) FROM customers", false)?,
            customers_won: count(&format!("SELECT count(*) FROM customers WHERE {IS_WON}"), false)?,
        })
    }

    /// What was done with each document in a stretch of time, by the document's id; those of which nothing was done are
    /// not there.
    ///
    /// # Errors
    /// When the database fails.
    pub fn used_documents(&self, span: Span) -> Result<BTreeMap<String, UsedDocument>, RecordsError> {
        let connection = self.reading();
        let bounds = params![span.from.as_millisecond(), span.until.as_millisecond()];
        let mut used: BTreeMap<String, UsedDocument> = BTreeMap::new();
        let number = |row: &rusqlite::Row<'_>, at: usize| -> rusqlite::Result<u64> {
            Ok(row.get::<_, i64>(at)?.unsigned_abs())
        };
        // An answer that cites a document twice cites it once.
        let mut cited = connection.prepare_cached(
            "WITH cited AS (
               SELECT DISTINCT messages.id AS message_id, session_id,
                      json_extract(citation.value, '$.document.id') AS document
               FROM messages, json_each(messages.details, '$.citations') AS citation
               WHERE role = 'assistant' AND created_at >= ?1 AND created_at < ?2)
             SELECT document, count(DISTINCT cited.message_id),
                    count(DISTINCT CASE WHEN sessions.audience = 'customer' THEN cited.message_id END),
                    count(CASE WHEN rating = 'up' THEN 1 END), count(CASE WHEN rating = 'down' THEN 1 END)
             FROM cited JOIN sessions ON sessions.id = session_id
                  LEFT JOIN feedback ON feedback.message_id = cited.message_id
             WHERE document IS NOT NULL GROUP BY document",
        )?;
        let rows = cited.query_map(bounds, |row| {
            Ok((
                row.get::<_, String>(0)?,
                [number(row, 1)?, number(row, 2)?, number(row, 3)?, number(row, 4)?],
            ))
        })?;
        for row in rows {
            let (document, [cited, cited_for_customers, up, down]) = row?;
            let entry = used.entry(document).or_default();
            *entry = UsedDocument { cited, cited_for_customers, up, down, ..UsedDocument::default() };
        }
        let mut sent = connection.prepare_cached(&format!(
            "SELECT document.value, count(*), count(DISTINCT customer_id),
                    count(DISTINCT CASE WHEN {IS_WON} THEN customer_id END)
             FROM interactions, json_each(interactions.documents) AS document
                  LEFT JOIN customers ON customers.id = customer_id
             WHERE interactions.kind = 'sent' AND interactions.at >= ?1 AND interactions.at < ?2
             GROUP BY document.value"
        ))?;
        let rows = sent.query_map(bounds, |row| {
            Ok((row.get::<_, String>(0)?, [number(row, 1)?, number(row, 2)?, number(row, 3)?]))
        })?;
        for row in rows {
            let (document, [sent, reached, reached_won]) = row?;
            let entry = used.entry(document).or_default();
            (entry.sent, entry.reached, entry.reached_won) = (sent, reached, reached_won);
        }
        Ok(used)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Customer, CustomerProfile, InteractionKind, NewInteraction, Rating, Role};

    fn ever() -> Span {
        Span { from: jiff::Timestamp::UNIX_EPOCH, until: jiff::Timestamp::MAX }
    }

    #[test]
    fn what_is_cited_and_sent_is_counted_once_an_answer_and_by_customers() {
        let records = Records::in_memory().unwrap();
        let session = records.start_session("customer", None, None).unwrap();
        let details = json!({"refused": false, "citations": [
            {"n": 1, "document": {"id": "case-1"}}, {"n": 2, "document": {"id": "case-1"}}, {"n": 3, "document": {"id": "faq#1"}},
        ]});
        let answer = records.append_message(&session, Role::Assistant, "有", &details).unwrap();
        records.give_feedback(&answer, Rating::Up, None, None, None).unwrap();
        let refused = json!({"refused": true, "citations": []});
        records.append_message(&session, Role::Assistant, "没有", &refused).unwrap();
        records.append_message(&session, Role::Assistant, "旧", &serde_json::Value::Null).unwrap();
        for (id, stage) in
            [("c-1", Some("已成交")), ("c-2", Some("报价")), ("c-3", Some("Won")), ("c-4", Some("未成交"))]
        {
            let profile = CustomerProfile { stage: stage.map(str::to_owned), ..CustomerProfile::default() };
            records.put_customer(&Customer::new(id, profile)).unwrap();
        }
        for id in ["c-1", "c-1", "c-2", "c-4"] {
            let sent = NewInteraction {
                kind: InteractionKind::Sent,
                text: "案例".to_owned(),
                message_id: None,
                documents: vec!["case-1".to_owned()],
                at: None,
            };
            records.add_interaction(id, sent, None).unwrap();
        }
        let used = records.used_documents(ever()).unwrap();
        let case = UsedDocument {
            cited: 1,
            cited_for_customers: 1,
            up: 1,
            down: 0,
            sent: 4,
            reached: 3,
            reached_won: 1,
        };
        assert_eq!(used["case-1"], case);
        assert_eq!((used["faq#1"].cited, used.len()), (1, 2));
        let totals = records.totals(ever()).unwrap();
        assert_eq!((totals.answers, totals.refused, totals.up, totals.sent), (3, 1, 1, 4));
        assert_eq!(
            (totals.reached, totals.reached_won, totals.customers, totals.customers_won),
            (3, 1, 4, 2)
        );
        let before = Span { from: jiff::Timestamp::UNIX_EPOCH, until: jiff::Timestamp::UNIX_EPOCH };
        assert!(records.used_documents(before).unwrap().is_empty());
        assert_eq!(records.totals(before).unwrap().answers, 0);
    }
}
