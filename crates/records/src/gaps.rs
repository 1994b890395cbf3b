//! Questions that the knowledge could not answer: what marketing should write next.
//!
//! The same question in other spacing, case, width or punctuation counts up one row, so the list is ordered by how
//! often something is asked for and not by who types most. A gap is open until a row that was written for it answers
//! it when it is asked again, or until somebody says that it needs no answer; asked again in vain it opens again.

use rusqlite::params;
use serde::Serialize;
use unicode_normalization::UnicodeNormalization;

use crate::{Records, RecordsError, now_ms, timestamp};

/// A question without an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// As it was asked the first time.
    pub question: String,
    /// Who asked: `internal` or `customer`.
    pub audience: String,
    /// The contract's name of what was wanted, as understood the last time.
    pub intent: String,
    /// Why there was no answer the last time.
    pub reason: String,
    /// How often it was asked, from 1.
    pub count: u64,
    /// When it was asked first.
    pub first_at: jiff::Timestamp,
    /// When it was asked last.
    pub last_at: jiff::Timestamp,
    /// The conversation in which it was asked last.
    pub last_session: Option<String>,
}

impl Records {
    /// Notes a question that could not be answered; the same question from the same audience counts up.
    ///
    /// # Errors
    /// When the database fails.
    pub fn record_gap(
        &self,
        question: &str,
        audience: &str,
        intent: &str,
        reason: &str,
        session_id: Option<&str>,
    ) -> Result<(), RecordsError> {
        self.write(|transaction| {
            let now = now_ms();
            let id: i64 = transaction.query_row(
                "INSERT INTO gaps (normalised, audience, question, intent, reason, count, first_at, last_at, last_session)
                 VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?6, ?7)
                 ON CONFLICT (normalised, audience) DO UPDATE SET
                   count = count + 1, intent = excluded.intent, reason = excluded.reason,
                   last_at = excluded.last_at, last_session = excluded.last_session,
                   state = CASE state WHEN 'closed' THEN 'open' ELSE state END,
                   why = CASE state WHEN 'closed' THEN 'asked_again' ELSE why END
                 RETURNING id",
                params![normalised(question), audience, question.trim(), intent, reason, now, session_id],
                |row| row.get(0),
            )?;
            transaction.execute(
                "INSERT INTO gap_askers (gap_id, asker, count, last_at)
                 VALUES (?1, coalesce((SELECT owner FROM sessions WHERE id = ?2), ''), 1, ?3)
                 ON CONFLICT (gap_id, asker) DO UPDATE SET count = count + 1, last_at = excluded.last_at",
                params![id, session_id, now],
            )?;
            Ok(())
        })
    }

    /// The gaps asked for most, the latest first among equals, at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn gaps(&self, limit: usize) -> Result<Vec<Gap>, RecordsError> {
        let connection = self.reading();
        let mut statement = connection.prepare_cached(
            "SELECT question, audience, intent, reason, count, first_at, last_at, last_session
             FROM gaps WHERE state IN ('open', 'waiting')
             ORDER BY count DESC, last_at DESC, id DESC LIMIT ?1",
        )?;
        let rows = statement.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
            Ok(Gap {
                question: row.get(0)?,
                audience: row.get(1)?,
                intent: row.get(2)?,
                reason: row.get(3)?,
                count: row.get::<_, i64>(4)?.unsigned_abs(),
                first_at: timestamp(row.get(5)?),
                last_at: timestamp(row.get(6)?),
                last_session: row.get(7)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// Letters and digits only, in one width and case; a question without any stays as it is.
pub(crate) fn normalised(question: &str) -> String {
    let bare: String =
        question.nfkc().flat_map(char::to_lowercase).filter(|letter| letter.is_alphanumeric()).collect();
    if bare.is_empty() { question.trim().to_owned() } else { bare }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_question_counts_up_whatever_its_width_case_and_punctuation() {
        let records = Records::in_memory().unwrap();
        for question in ["LB-300S 能贴锥形瓶吗？", "ＬＢ-300s能贴锥形瓶吗?", " lb300s 能贴锥形瓶吗"]
        {
            records
                .record_gap(question, "internal", "product_question", "not_in_knowledge", Some("s"))
                .unwrap();
        }
        records.record_gap("有没有越南案例", "internal", "find_cases", "not_in_knowledge", None).unwrap();

        let gaps = records.gaps(10).unwrap();
        let counts: Vec<_> = gaps.iter().map(|gap| (gap.question.as_str(), gap.count)).collect();
        assert_eq!(counts, [("LB-300S 能贴锥形瓶吗？", 3), ("有没有越南案例", 1)]);
        assert!(gaps[0].first_at <= gaps[0].last_at);
        assert_eq!(records.gaps(1).unwrap().len(), 1);
    }

    #[test]
    fn a_customers_question_and_a_reps_are_two_gaps() {
        let records = Records::in_memory().unwrap();
        for audience in ["internal", "customer"] {
            records.record_gap("底价多少", audience, "other", "not_in_knowledge", None).unwrap();
        }
        assert_eq!(records.gaps(10).unwrap().len(), 2);
    }

    #[test]
    fn questions_without_letters_do_not_fall_together() {
        assert_ne!(normalised("？？？"), normalised("👍"));
    }
}
