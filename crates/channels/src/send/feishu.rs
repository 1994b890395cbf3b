//! Sending to Feishu: a reply to the message, or a message to the chat.

use reqwest::Method;
use serde_json::{Value, json};

use super::cards::card_key;
use super::{By, SendError, Sender, as_text, number_at};
use crate::outward::Answered;
use crate::protocol::{feishu, text_at};
use crate::receive::digest;
use crate::{Account, Card, Delivery, wording};

impl Sender {
    pub(super) async fn feishu_token(
        &self,
        account: &Account,
        app_id: &str,
        app_secret: &str,
    ) -> Result<(String, u64), SendError> {
        let address = format!("{}/open-apis/auth/v3/tenant_access_token/internal", account.base_url);
        let body = json!({"app_id": app_id, "app_secret": app_secret});
        let answered = self.outward.call(Method::POST, &address, &[], Some(&body)).await?;
        judge(&answered)?;
        let token = text_at(&answered.body, "/tenant_access_token").to_owned();
        if token.is_empty() {
            return Err(SendError::later("Feishu gave no token"));
        }
        Ok((token, number_at(&answered.body, "/expire").unwrap_or(7200).unsigned_abs()))
    }

    pub(super) async fn feishu(&self, account: &Account, delivery: &Delivery) -> Result<(), SendError> {
        let Some(text) = as_text(&delivery.outbound.payload) else { return Ok(()) };
        let reply = &delivery.outbound.reply;
        let mut body = match delivery.outbound.by {
            By::Person => feishu::text_body(&text, &delivery.idempotency),
            By::Bot | By::Notice => feishu::card_body(&text, &delivery.idempotency),
        };
        let path = addressed(reply, &mut body);
        judge(&self.feishu_call(account, Method::POST, &path, &body).await?)
    }

    /// Makes a card that nobody sees yet; its id.
    pub(super) async fn feishu_card(&self, account: &Account) -> Result<String, SendError> {
        let card = feishu::card(wording::LOOKING, true).to_string();
        let body = json!({"type": "card_json", "data": card});
        let answered = self.feishu_call(account, Method::POST, "open-apis/cardkit/v1/cards", &body).await?;
        judge(&answered)?;
        match text_at(&answered.body, "/data/card_id") {
            "" => Err(SendError::later("Feishu gave no card")),
            id => Ok(id.to_owned()),
        }
    }

    /// Replies with the card.
    pub(super) async fn feishu_show(
        &self,
        account: &Account,
        delivery: &Delivery,
        card: &Card,
    ) -> Result<(), SendError> {
        let mut body = feishu::card_entity_body(&card.handle, &card_key(delivery));
        let path = addressed(&delivery.outbound.reply, &mut body);
        judge(&self.feishu_call(account, Method::POST, &path, &body).await?)
    }

    /// Writes the text into the card and ends its streaming.
    pub(super) async fn feishu_fill(
        &self,
        account: &Account,
        card: &Card,
        text: &str,
        key: &str,
    ) -> Result<(), SendError> {
        let mut steps = since_begun(card)..;
        let id = &card.handle;
        let mut step = async |method: Method, path: String, what: &str, mut body: Value| {
            let sequence = steps.next().unwrap_or(i64::from(i32::MAX));
            // A text that was written is known when it comes again. Opening and closing must be done each time.
            let nth = if what == "content" { String::new() } else { sequence.to_string() };
            body["uuid"] = json!(digest(&[id, key, what, &nth]));
            body["sequence"] = json!(sequence);
            judge_card(&self.feishu_call(account, method, &path, &body).await?)
        };
        let content = format!("open-apis/cardkit/v1/cards/{id}/elements/{}/content", feishu::ANSWER_ELEMENT);
        let settings = format!("open-apis/cardkit/v1/cards/{id}/settings");
        let text = json!({"content": feishu::calling_nobody(text)});
        let streaming = |is_streaming: bool| {
            let settings = json!({"config": {"streaming_mode": is_streaming}}).to_string();
            json!({"settings": settings})
        };
        if step(Method::PUT, content.clone(), "content", text.clone()).await? == Filled::Closed {
            // Feishu ends the streaming of a card that nothing was written into for long.
            step(Method::PATCH, settings.clone(), "reopen", streaming(true)).await?;
            if step(Method::PUT, content, "content again", text).await? == Filled::Closed {
                return Err(SendError::Refused("Feishu does not open the card again".to_owned()));
            }
        }
        match step(Method::PATCH, settings, "settings", streaming(false)).await {
            // The text is there; what Feishu does not let end, it ends by itself.
            Ok(_) | Err(SendError::Refused(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Writes the beginning of a text into the card; the reader's program shows what is new letter by letter.
    pub(super) async fn feishu_grow(
        &self,
        account: &Account,
        card: &Card,
        text: &str,
    ) -> Result<(), SendError> {
        let path =
            format!("open-apis/cardkit/v1/cards/{}/elements/{}/content", card.handle, feishu::ANSWER_ELEMENT);
        let body = json!({
            "content": feishu::calling_nobody(text), "uuid": digest(&[&card.handle, "so far", text]),
            "sequence": since_begun(card),
        });
        judge(&self.feishu_call(account, Method::PUT, &path, &body).await?)
    }

    async fn feishu_call(
        &self,
        account: &Account,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Answered, SendError> {
        let address = |_: &str| format!("{}/{path}", account.base_url);
        let is_expired = |answered: &Answered| {
            matches!(number_at(&answered.body, "/code"), Some(99_991_661 | 99_991_663 | 99_991_668))
        };
        let header = Some(("authorization", "Bearer "));
        self.call_with_token(account, method, address, header, body, is_expired).await
    }
}

/// Requests that filling a card may take.
const MAX_STEPS: i64 = 8;

/// Numbers of changes must rise; the time since the card was made does, over a restart too. In ms.
fn since_begun(card: &Card) -> i64 {
    (crate::pipeline::now_ms() - card.begun_ms).clamp(1, i64::from(i32::MAX) - MAX_STEPS)
}

/// What became of a step of filling a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filled {
    /// It was done.
    Done,
    /// The card does not stream any more.
    Closed,
}

fn judge_card(answered: &Answered) -> Result<Filled, SendError> {
    match number_at(&answered.body, "/code") {
        Some(200_850 | 300_309) => Ok(Filled::Closed),
        _ => judge(answered).map(|()| Filled::Done),
    }
}

/// Where a message goes: a reply, or a message to the chat, which the body then names.
fn addressed(reply: &Value, body: &mut Value) -> String {
    let message = text_at(reply, "/message");
    if message.is_empty() {
        body["receive_id"] = reply["chat"].clone();
        return "open-apis/im/v1/messages?receive_id_type=chat_id".to_owned();
    }
    format!("open-apis/im/v1/messages/{message}/reply")
}

fn judge(answered: &Answered) -> Result<(), SendError> {
    match number_at(&answered.body, "/code") {
        Some(0) => Ok(()),
        Some(code @ (99_991_400 | 99_991_402 | 11_020 | 11_021 | 11_232 | 230_020)) => {
            Err(SendError::later(format!("Feishu is busy: code {code}")))
        }
        Some(code @ (99_991_661 | 99_991_663 | 99_991_668)) => {
            Err(SendError::later(format!("Feishu does not take the token: code {code}")))
        }
        Some(code) => {
            let said: String = text_at(&answered.body, "/msg").chars().take(120).collect();
            Err(SendError::Refused(format!(
                "Feishu says code {code} ({said}); check the app's id, secret and rights"
            )))
        }
        None => Err(SendError::later(format!("Feishu answered {} without a code", answered.status))),
    }
}
