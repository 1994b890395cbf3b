//! The pipeline's storage in the records' database: the pipeline's types on one side, plain rows on the other.

use std::sync::Arc;

use flightdeck_channels::send::Outbound;
use flightdeck_channels::{
    Card, Conversation, Delivery, Ended, Inbound, Mode, Push, Queued, Settlement, Store, StoreError,
};
use flightdeck_records::{
    ChannelDelivery, ChannelPush, ChannelSettlement, NewChannelMessage, NewDelivery, NewDraft, Records,
    RecordsError,
};
use serde::Serialize;
use serde_json::Value;

/// The queue in this database.
pub(crate) struct Queue(pub Arc<Records>);

#[allow(clippy::needless_pass_by_value, reason = "it is passed to `map_err` as it is")]
fn failed(error: RecordsError) -> StoreError {
    StoreError(error.to_string())
}

fn to_json(value: &impl Serialize) -> Result<Value, StoreError> {
    serde_json::to_value(value).map_err(|error| StoreError(error.to_string()))
}

fn from_json<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, StoreError> {
    serde_json::from_value(value).map_err(|error| StoreError(format!("a stored message: {error}")))
}

fn row(delivery: &Delivery) -> Result<NewDelivery, StoreError> {
    Ok(NewDelivery {
        account: delivery.account.clone(),
        conversation: delivery.conversation.clone(),
        idempotency: delivery.idempotency.clone(),
        message_id: delivery.message_id.clone(),
        body: to_json(&delivery.outbound)?,
        due_ms: delivery.due_ms,
    })
}

fn delivery(row: ChannelDelivery) -> Result<Delivery, StoreError> {
    let outbound: Outbound = from_json(row.body)?;
    Ok(Delivery {
        id: row.id,
        account: row.account,
        conversation: row.conversation,
        idempotency: row.idempotency,
        message_id: row.message_id,
        outbound,
        attempts: row.attempts,
        is_lost: matches!(row.state.as_str(), "dropped" | "failed"),
        due_ms: 0,
    })
}

impl Store for Queue {
    fn push(&self, pushes: &[Push]) -> Result<Vec<usize>, StoreError> {
        let rows: Result<Vec<_>, _> = pushes.iter().map(push).collect();
        self.0.push_channel_messages(&rows?).map_err(failed)
    }

    fn waiting_messages(&self, now_ms: i64, limit: usize) -> Result<Vec<Queued>, StoreError> {
        let mut queued = Vec::new();
        for row in self.0.waiting_channel_messages(now_ms, limit).map_err(failed)? {
            match from_json(row.body) {
                Ok(inbound) => queued.push(Queued {
                    id: row.id,
                    account: row.account,
                    inbound,
                    attempts: row.attempts,
                    received_ms: row.received_ms,
                }),
                Err(error) => {
                    // One row that cannot be read must not hold up all others.
                    tracing::error!(id = row.id, %error, "a waiting message cannot be read and is given up");
                    let settlement = ChannelSettlement { failed: true, ..ChannelSettlement::default() };
                    self.0.settle_channel_message(row.id, &settlement).map_err(failed)?;
                }
            }
        }
        Ok(queued)
    }

    fn waiting_deliveries(
        &self,
        now_ms: i64,
        limit: usize,
        per_account: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        let mut waiting = Vec::new();
        for row in self.0.waiting_channel_deliveries(now_ms, limit, per_account).map_err(failed)? {
            let id = row.id;
            match delivery(row) {
                Ok(delivery) => waiting.push(delivery),
                Err(error) => {
                    tracing::error!(id, %error, "a waiting delivery cannot be read and is given up");
                    let reason = Some("it cannot be read");
                    self.0.end_channel_delivery(id, Ended::Failed.name(), reason).map_err(failed)?;
                }
            }
        }
        Ok(waiting)
    }

    fn next_due(&self, after_ms: i64) -> Result<Option<i64>, StoreError> {
        self.0.next_channel_due(after_ms).map_err(failed)
    }

    fn settle(&self, id: i64, settlement: &Settlement) -> Result<bool, StoreError> {
        let deliveries: Result<Vec<_>, _> = settlement.deliveries.iter().map(row).collect();
        let settlement = ChannelSettlement {
            deliveries: deliveries?,
            draft: settlement.draft.as_ref().map(|draft| NewDraft {
                reason: draft.reason.clone(),
                question: draft.question.clone(),
                summary: draft.summary.clone(),
                reply: draft.reply.clone(),
            }),
            session_id: settlement.session_id.clone(),
            person: settlement.person,
            failed: settlement.failed,
            event: settlement.event.clone().map(|(kind, details)| (kind.to_owned(), details)),
        };
        self.0.settle_channel_message(id, &settlement).map_err(failed)
    }

    fn postpone_message(&self, id: i64, due_ms: i64) -> Result<(), StoreError> {
        self.0.postpone_channel_message(id, due_ms).map_err(failed)
    }

    fn add_delivery(&self, delivery: &Delivery) -> Result<bool, StoreError> {
        self.0.add_channel_delivery(&row(delivery)?).map_err(failed)
    }

    fn begin_delivery(&self, id: i64) -> Result<bool, StoreError> {
        self.0.begin_channel_delivery(id).map_err(failed)
    }

    fn end_delivery(&self, id: i64, ended: Ended, error: Option<&str>) -> Result<bool, StoreError> {
        self.0.end_channel_delivery(id, ended.name(), error).map_err(failed)
    }

    fn postpone_delivery(&self, id: i64, due_ms: i64, error: Option<&str>) -> Result<(), StoreError> {
        self.0.postpone_channel_delivery(id, due_ms, error).map_err(failed)
    }

    fn resume(&self) -> Result<usize, StoreError> {
        self.0.resume_channel_deliveries().map_err(failed)
    }

    fn is_waiting(&self, account: &str, message_id: &str) -> Result<bool, StoreError> {
        self.0.channel_message_waits(account, message_id).map_err(failed)
    }

    fn answers(&self, account: &str, message_id: &str) -> Result<Vec<Delivery>, StoreError> {
        let rows = self.0.channel_answers(account, message_id).map_err(failed)?;
        rows.into_iter().map(delivery).collect()
    }

    fn card(&self, account: &str, message_id: &str) -> Result<Option<Card>, StoreError> {
        self.0.channel_card(account, message_id).map_err(failed)?.map(from_json).transpose()
    }

    fn set_card(&self, account: &str, message_id: &str, card: &Card) -> Result<(), StoreError> {
        self.0.set_channel_card(account, message_id, &to_json(card)?).map_err(failed)
    }

    fn conversation(&self, account: &str, conversation: &str) -> Result<Conversation, StoreError> {
        let row = self.0.channel_conversation(account, conversation).map_err(failed)?;
        Ok(Conversation {
            mode: row.mode.as_deref().and_then(Mode::from_name),
            session_id: row.session_id,
            has_person: row.person_since.is_some(),
            reply: row.reply,
        })
    }

    fn set_person(&self, account: &str, conversation: &str, present: bool) -> Result<(), StoreError> {
        self.0.set_channel_person(account, conversation, present).map_err(failed)
    }

    fn cursor(&self, account: &str) -> Result<String, StoreError> {
        self.0.channel_cursor(account).map_err(failed)
    }

    fn recent(&self, account: &str, conversation: &str, limit: usize) -> Result<Vec<Inbound>, StoreError> {
        let rows = self.0.recent_channel_messages(account, conversation, limit).map_err(failed)?;
        rows.into_iter().map(from_json).collect()
    }

    fn send_as_person(&self, draft: Option<i64>, delivery: &Delivery) -> Result<bool, StoreError> {
        self.0.send_as_person(draft, &row(delivery)?).map_err(failed)
    }

    fn log(
        &self,
        account: &str,
        conversation: Option<&str>,
        kind: &str,
        details: &Value,
    ) -> Result<(), StoreError> {
        self.0.log_channel_event(account, conversation, kind, details).map_err(failed)
    }

    fn prune(&self, before_ms: i64) -> Result<(), StoreError> {
        self.0.prune_channels(before_ms).map_err(failed)
    }
}

fn push(push: &Push) -> Result<ChannelPush, StoreError> {
    let messages = push.messages.iter().map(|inbound| {
        Ok(NewChannelMessage {
            conversation: inbound.conversation.clone(),
            message_id: inbound.message_id.clone(),
            body: to_json(inbound)?,
            waits: inbound.content.waits(),
            person: inbound.content.person(),
            // A sign that a person came or went says nothing of how to answer.
            reply: Some(inbound.reply.clone()).filter(|reply| !reply.is_null()),
        })
    });
    let messages: Result<Vec<_>, StoreError> = messages.collect();
    Ok(ChannelPush { account: push.account.clone(), messages: messages?, cursor: push.cursor.clone() })
}
