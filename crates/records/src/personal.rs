//! What the records hold of one customer: all of it handed out, or all of it gone.
//!
//! Of one customer are the record, the timeline, the conversations that were led about them with all that was thought
//! of the answers, what chat platforms sent and took in those, what webhooks are to be told of them, and the gaps that
//! only those conversations asked for. What remains after an erasure is the line
//! of the audit trail that says that it happened, which names the id and nothing else.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::Serialize;
use serde_json::json;

use crate::audit::{self, Actor};
use crate::conversations::{self, Message, Session};
use crate::customers::{self, Customer};
use crate::feedback::{self, Feedback};
use crate::gaps::normalised;
use crate::interactions::{self, Interaction};
use crate::{Records, RecordsError};

/// All that the records hold of one customer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PersonalData {
    /// The record.
    pub customer: Customer,
    /// The timeline, oldest first.
    pub interactions: Vec<Interaction>,
    /// The conversations about them with their messages and what was thought of the answers, oldest first.
    pub conversations: Vec<(Session, Vec<Message>, Vec<Feedback>)>,
}

/// How much was erased.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// Entries of the timeline.
    pub interactions: usize,
    /// Conversations.
    pub conversations: usize,
    /// Messages of those, on chat platforms too.
    pub messages: usize,
}

impl Records {
    /// All that the records hold of a customer; `None` where there is no such customer. Leaves an audit line: whoever
    /// carries personal data away is named.
    ///
    /// # Errors
    /// When the database fails.
    pub fn export_customer(
        &self,
        id: &str,
        actor: Option<&Actor>,
    ) -> Result<Option<PersonalData>, RecordsError> {
        self.write(|transaction| {
            let Some(customer) = customers::find(transaction, id)? else { return Ok(None) };
            let sessions = conversations::about_customer(transaction, id)?;
            let conversations = sessions.into_iter().map(|session| {
                let messages = conversations::messages(transaction, &session.id)?;
                let opinions = feedback::of_session(transaction, &session.id)?;
                Ok((session, messages, opinions))
            });
            let data = PersonalData {
                customer,
                interactions: interactions::of_customer(transaction, id)?,
                conversations: conversations.collect::<Result<_, RecordsError>>()?,
            };
            audit::note_by(transaction, actor, "customer.export", id, &json!(null))?;
            Ok(Some(data))
        })
    }

    /// Erases a customer and all that the records hold of them; `None` where there was nothing. The file keeps no
    /// trace of it in free pages or in its log; copies made before do, and are the keeper's to erase.
    ///
    /// # Errors
    /// When the database fails.
    pub fn erase_customer(&self, id: &str, actor: Option<&Actor>) -> Result<Option<Erased>, RecordsError> {
        let erased = self.write(|transaction| {
            let sessions = conversations::about_customer(transaction, id)?;
            for session in &sessions {
                forget_gaps(transaction, &session.id)?;
            }
            let of_customer = "SELECT id FROM sessions WHERE customer_id = ?1";
            let mut n_messages = forget_channels(transaction, id)?;
            n_messages += transaction
                .execute(&format!("DELETE FROM messages WHERE session_id IN ({of_customer})"), [id])?;
            let erased = Erased {
                messages: n_messages,
                conversations: transaction.execute("DELETE FROM sessions WHERE customer_id = ?1", [id])?,
                interactions: transaction.execute("DELETE FROM interactions WHERE customer_id = ?1", [id])?,
            };
            let n_customers = transaction.execute("DELETE FROM customers WHERE id = ?1", [id])?;
            if n_customers == 0 && erased == Erased::default() {
                return Ok(None);
            }
            audit::note_by(transaction, actor, "customer.erase", id, &json!(erased))?;
            Ok(Some(erased))
        })?;
        if erased.is_some() {
            self.empty_log();
        }
        Ok(erased)
    }
}

/// Empties the tables of the chat platforms of the conversations about a customer, and the queue of what webhooks are
/// told of them. How many messages there were.
fn forget_channels(transaction: &Transaction<'_>, customer_id: &str) -> Result<usize, RecordsError> {
    let sessions = "SELECT id FROM sessions WHERE customer_id = ?1";
    transaction.execute(
        &format!(
            "DELETE FROM channel_deliveries WHERE account LIKE 'hook:%' AND EXISTS
               (SELECT 1 FROM messages WHERE session_id IN ({sessions}) AND instr(channel_deliveries.body, id) > 0)"
        ),
        [customer_id],
    )?;
    let theirs =
        format!("SELECT account, conversation FROM channel_conversations WHERE session_id IN ({sessions})");
    transaction.execute(
        &format!(
            "DELETE FROM channel_cards WHERE (account, message_id) IN (SELECT account, message_id
               FROM channel_messages WHERE (account, conversation) IN ({theirs}))"
        ),
        [customer_id],
    )?;
    let mut n_messages = 0;
    for table in ["messages", "deliveries", "drafts", "events"] {
        let sql = format!("DELETE FROM channel_{table} WHERE (account, conversation) IN ({theirs})");
        let n_rows = transaction.execute(&sql, [customer_id])?;
        if table == "messages" {
            n_messages = n_rows;
        }
    }
    let conversations = format!("DELETE FROM channel_conversations WHERE session_id IN ({sessions})");
    transaction.execute(&conversations, [customer_id])?;
    Ok(n_messages)
}

/// Takes a conversation's questions out of the gaps: one that nobody else has asked goes, another counts less.
fn forget_gaps(transaction: &Transaction<'_>, session_id: &str) -> Result<(), RecordsError> {
    let audience = conversations::find(transaction, session_id)?.map(|session| session.audience);
    let mut asked: HashMap<String, i64> = HashMap::new();
    for message in conversations::messages(transaction, session_id)? {
        *asked.entry(normalised(&message.text)).or_default() += 1;
    }
    for (question, times) in asked {
        let left: Option<i64> = count(transaction, &question, audience.as_deref())?.map(|n| n - times);
        match left {
            None => {}
            Some(1..) => {
                transaction.execute(
                    "UPDATE gaps SET count = count - ?3,
                       last_session = CASE WHEN last_session = ?4 THEN NULL ELSE last_session END
                     WHERE normalised = ?1 AND audience = ?2",
                    params![question, audience, times, session_id],
                )?;
            }
            Some(_) => {
                transaction.execute(
                    "DELETE FROM gaps WHERE normalised = ?1 AND audience = ?2",
                    params![question, audience],
                )?;
            }
        }
    }
    Ok(())
}

fn count(
    connection: &Connection,
    normalised: &str,
    audience: Option<&str>,
) -> Result<Option<i64>, RecordsError> {
    let mut statement =
        connection.prepare_cached("SELECT count FROM gaps WHERE normalised = ?1 AND audience = ?2")?;
    Ok(statement.query_row(params![normalised, audience], |row| row.get(0)).optional()?)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{
        ChannelPush, ChannelSettlement, CustomerProfile, InteractionKind, NewChannelMessage, NewDelivery,
        NewDraft, NewInteraction, Rating, Role,
    };

    /// A customer with a timeline and a conversation, in which one question was a gap that another customer has too.
    fn filled(records: &Records) -> String {
        let profile = CustomerProfile { name: Some("华睿饮料".to_owned()), ..CustomerProfile::default() };
        records.put_customer(&Customer::new("c-1", profile)).unwrap();
        records.put_customer(&Customer::new("c-2", CustomerProfile::default())).unwrap();
        let sent = NewInteraction {
            kind: InteractionKind::Sent,
            text: "张工您好，资料见附件".to_owned(),
            message_id: None,
            documents: Vec::new(),
            at: None,
        };
        records.add_interaction("c-1", sent, None).unwrap();
        let session = records.start_session("internal", Some("c-1"), None).unwrap();
        let other = records.start_session("internal", Some("c-2"), None).unwrap();
        for question in ["张工的线能提速吗？", "有越南案例吗？"] {
            records.append_message(&session, Role::User, question, &Value::Null).unwrap();
            let answer = records.append_message(&session, Role::Assistant, "没有。", &Value::Null).unwrap();
            records.give_feedback(&answer, Rating::Down, None, Some("其实有"), None).unwrap();
            records.record_gap(question, "internal", "other", "not_in_knowledge", Some(&session)).unwrap();
        }
        records.append_message(&other, Role::User, "有越南案例吗", &Value::Null).unwrap();
        records.record_gap("有越南案例吗", "internal", "other", "not_in_knowledge", Some(&other)).unwrap();
        session
    }

    #[test]
    fn an_export_holds_all_and_names_who_took_it() {
        let records = Records::in_memory().unwrap();
        filled(&records);
        let actor = Actor { id: "k".to_owned(), name: "数据专员".to_owned() };
        let data = records.export_customer("c-1", Some(&actor)).unwrap().unwrap();
        assert_eq!(data.customer.profile.name.as_deref(), Some("华睿饮料"));
        assert_eq!(data.interactions.len(), 1);
        let (_, messages, opinions) = &data.conversations[0];
        assert_eq!((messages.len(), opinions.len()), (4, 2));
        let entry = &records.audit(1).unwrap()[0];
        assert_eq!(
            (entry.action.as_str(), entry.subject.as_str(), entry.actor.as_deref()),
            ("customer.export", "c-1", Some("数据专员"))
        );
        assert_eq!(records.export_customer("c-9", None).unwrap(), None);
    }

    #[test]
    fn what_is_erased_is_gone_to_the_last_byte_and_others_keep_theirs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.sqlite");
        let records = Records::open(&path).unwrap();
        let session = filled(&records);
        let erased = records.erase_customer("c-1", None).unwrap().unwrap();
        assert_eq!(erased, Erased { interactions: 1, conversations: 1, messages: 4 });
        assert!(records.customer("c-1").unwrap().is_none() && records.messages(&session).unwrap().is_empty());
        let gaps = records.gaps(10).unwrap();
        assert_eq!(gaps.len(), 1);
        assert_eq!((gaps[0].question.as_str(), gaps[0].count), ("有越南案例吗？", 1));
        assert!(records.customer("c-2").unwrap().is_some());
        let audit = records.audit(1).unwrap();
        assert_eq!((audit[0].action.as_str(), audit[0].subject.as_str()), ("customer.erase", "c-1"));
        assert_eq!(records.erase_customer("c-1", None).unwrap(), None);

        for name in ["records.sqlite", "records.sqlite-wal"] {
            let Ok(bytes) = std::fs::read(folder.path().join(name)) else { continue };
            for words in ["华睿饮料", "张工"] {
                let found = bytes.windows(words.len()).any(|window| window == words.as_bytes());
                assert!(!found, "{words} is still in {name}");
            }
        }
    }

    #[test]
    fn what_chat_platforms_sent_and_webhooks_are_told_goes_with_the_customer() {
        let records = Records::in_memory().unwrap();
        let session = filled(&records);
        let answer = records.messages(&session).unwrap().pop().unwrap().id;
        let delivery = |account: &str, conversation: &str, body: Value| NewDelivery {
            account: account.to_owned(),
            conversation: conversation.to_owned(),
            idempotency: format!("{account} {conversation}"),
            message_id: String::new(),
            body,
            due_ms: 0,
        };
        for (conversation, text, session_id) in
            [("theirs", "张工的线", Some(session.clone())), ("other", "别人", None)]
        {
            let message = NewChannelMessage {
                conversation: conversation.to_owned(),
                message_id: conversation.to_owned(),
                body: json!({"text": text}),
                waits: true,
                person: None,
                reply: None,
            };
            let push = ChannelPush { account: "kf".to_owned(), messages: vec![message], cursor: None };
            records.push_channel_messages(&[push]).unwrap();
            let waiting = records.waiting_channel_messages(i64::MAX, 10).unwrap();
            let draft = NewDraft {
                reason: "suggest".to_owned(),
                question: text.to_owned(),
                summary: String::new(),
                reply: String::new(),
            };
            let settlement = ChannelSettlement {
                deliveries: vec![delivery("kf", conversation, json!({"text": text}))],
                draft: Some(draft),
                session_id,
                event: Some(("answered".to_owned(), json!({"text": text}))),
                ..ChannelSettlement::default()
            };
            records.settle_channel_message(waiting[0].id, &settlement).unwrap();
            records.set_channel_card("kf", conversation, &json!({"handle": conversation})).unwrap();
        }
        let told = json!({"question": "张工的线能提速吗？", "message_id": answer});
        records.add_channel_delivery(&delivery("hook:crm", "1", told)).unwrap();
        records.add_channel_delivery(&delivery("hook:crm", "2", json!({"message_id": "another"}))).unwrap();

        assert_eq!(records.erase_customer("c-1", None).unwrap().unwrap().messages, 5);
        let left = |conversation: &str| {
            let recent = records.recent_channel_messages("kf", conversation, 10).unwrap().len();
            (recent, records.channel_conversation("kf", conversation).unwrap().session_id)
        };
        assert_eq!((left("theirs"), left("other").0), ((0, None), 1));
        let waiting = records.waiting_channel_deliveries(i64::MAX, 10, 10).unwrap();
        let mut deliveries: Vec<_> =
            waiting.iter().map(|row| (row.account.as_str(), row.conversation.as_str())).collect();
        deliveries.sort_unstable();
        assert_eq!(deliveries, [("hook:crm", "2"), ("kf", "other")]);
        let card = |message: &str| records.channel_card("kf", message).unwrap();
        assert_eq!((card("theirs"), card("other")), (None, Some(json!({"handle": "other"}))));
        let events = records.channel_events("kf", 10).unwrap();
        assert!(events.iter().all(|event| event.conversation.as_deref() != Some("theirs")));
    }
}
