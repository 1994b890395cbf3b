//! Sending to webhooks, signed after the Standard Webhooks specification. The id of a message is its key, so that a
//! receiver knows a repetition.

use serde_json::{Value, json};

use super::{By, Payload, SendError, Sender};
use crate::protocol::webhook::Secrets;
use crate::{Delivery, pipeline};

impl Sender {
    pub(super) async fn webhook(
        &self,
        secrets: &[String],
        address: &str,
        delivery: &Delivery,
    ) -> Result<(), SendError> {
        let Some((kind, data)) = event(delivery) else { return Ok(()) };
        self.post_event(secrets, address, &delivery.idempotency, &kind, &data).await
    }

    pub(super) async fn webhook_test(&self, secrets: &[String], address: &str) -> Result<String, SendError> {
        let id = format!("ping-{}", pipeline::now_ms());
        self.post_event(secrets, address, &id, "ping", &json!({})).await?;
        Ok("对方已接收测试事件 (the receiver took a ping)".to_owned())
    }

    async fn post_event(
        &self,
        secrets: &[String],
        address: &str,
        id: &str,
        kind: &str,
        data: &Value,
    ) -> Result<(), SendError> {
        let secrets = Secrets::new(secrets).map_err(|error| SendError::Refused(error.to_string()))?;
        let now_s = pipeline::now_ms().div_euclid(1000);
        let body = json!({"type": kind, "timestamp": now_s, "data": data}).to_string().into_bytes();
        let headers = [
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", now_s.to_string()),
            ("webhook-signature", secrets.sign(id, now_s, &body)),
        ];
        match self.outward.post_bytes(address, &headers, body).await? {
            200..300 => Ok(()),
            status @ (408 | 409 | 425) => Err(SendError::later(format!("the receiver answered {status}"))),
            status => Err(SendError::Refused(format!(
                "the receiver answered {status}; check its address and secret"
            ))),
        }
    }
}

/// Kind and data of the event that tells it; `None` where there is nothing to tell.
fn event(delivery: &Delivery) -> Option<(String, Value)> {
    let conversation = &delivery.conversation;
    // The id as its sender knows it.
    let answers =
        delivery.message_id.strip_prefix(&format!("{conversation}/")).unwrap_or(&delivery.message_id);
    Some(match &delivery.outbound.payload {
        Payload::Text(text) => {
            let by = match delivery.outbound.by {
                By::Bot => "bot",
                By::Notice => "notice",
                By::Person => "person",
            };
            let data =
                json!({"conversation_id": conversation, "in_reply_to": answers, "text": text, "by": by});
            ("reply.created".to_owned(), data)
        }
        Payload::Menu(questions) => {
            let data =
                json!({"conversation_id": conversation, "in_reply_to": answers, "questions": questions});
            ("suggestions.created".to_owned(), data)
        }
        Payload::HandOver { reason, summary, suggestion } => {
            let data = json!({
                "conversation_id": conversation, "in_reply_to": answers, "reason": reason, "summary": summary,
                "suggested_reply": suggestion,
            });
            ("handover.requested".to_owned(), data)
        }
        Payload::Event { kind, data } => (kind.clone(), data.clone()),
        Payload::Opening | Payload::Closing => return None,
    })
}
