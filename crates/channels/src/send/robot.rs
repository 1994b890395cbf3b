//! Sending to WeCom's smart robot over its line: an answer in the stream of its message, anything else to the chat.

use serde_json::{Value, json};

use super::{SendError, Sender, as_text};
use crate::outward::Answered;
use crate::protocol::text_at;
use crate::protocol::wecom::robot;
use crate::{Account, Card, Delivery, wording};

impl Sender {
    /// Says it in the chat. WeCom lets this through where somebody has written there before.
    pub(super) async fn robot_line(&self, account: &Account, delivery: &Delivery) -> Result<(), SendError> {
        let Some(text) = as_text(&delivery.outbound.payload) else { return Ok(()) };
        let reply = &delivery.outbound.reply;
        let body = json!({
            "chatid": reply["chat"], "chat_type": reply["chat_type"], "msgtype": "markdown",
            "markdown": {"content": text},
        });
        let id = format!("aibot_send_msg_{}", delivery.idempotency);
        self.over_line(account, "aibot_send_msg", &id, &body).await
    }

    /// The first frame of the stream. What readers think of the answer comes under the id that it carries.
    pub(super) async fn robot_show(
        &self,
        account: &Account,
        delivery: &Delivery,
        card: &Card,
    ) -> Result<(), SendError> {
        let body = robot::stream_reply(&card.handle, wording::LOOKING, false, Some(&card.handle));
        self.respond(account, delivery, &body).await
    }

    pub(super) async fn robot_grow(
        &self,
        account: &Account,
        delivery: &Delivery,
        card: &Card,
        text: &str,
    ) -> Result<(), SendError> {
        if text.len() > robot::MAX_CONTENT_BYTES {
            return Err(SendError::Refused("the text is too long for a stream".to_owned()));
        }
        self.respond(account, delivery, &robot::stream_reply(&card.handle, text, false, None)).await
    }

    /// The same stream again replaces what it showed. A message that came over an earlier line is answered too where
    /// WeCom still knows its id.
    pub(super) async fn robot_fill(
        &self,
        account: &Account,
        delivery: &Delivery,
        card: &Card,
        text: &str,
    ) -> Result<(), SendError> {
        let body = robot::stream_reply(&card.handle, text, true, None);
        self.respond(account, delivery, &body).await
    }

    async fn respond(&self, account: &Account, delivery: &Delivery, body: &Value) -> Result<(), SendError> {
        let id = text_at(&delivery.outbound.reply, "/req_id");
        if id.is_empty() {
            return Err(SendError::Refused("the message did not come over this line".to_owned()));
        }
        self.over_line(account, "aibot_respond_msg", id, body).await
    }

    async fn over_line(
        &self,
        account: &Account,
        command: &str,
        id: &str,
        body: &Value,
    ) -> Result<(), SendError> {
        let frame = json!({"cmd": command, "headers": {"req_id": id}, "body": body});
        let body = self.lines.ask(&account.id, &frame).await?;
        super::wecom::judge(&Answered { status: 200, body })
    }
}
