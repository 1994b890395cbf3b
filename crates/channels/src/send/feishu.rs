//! Sending to Feishu: a reply to the message, or a message to the chat.

use reqwest::Method;
use serde_json::json;

use super::{By, SendError, Sender, as_text, number_at};
use crate::outward::Answered;
use crate::protocol::{feishu, text_at};
use crate::{Account, Delivery};

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
        let message = text_at(reply, "/message");
        let path = if message.is_empty() {
            body["receive_id"] = reply["chat"].clone();
            "open-apis/im/v1/messages?receive_id_type=chat_id".to_owned()
        } else {
            format!("open-apis/im/v1/messages/{message}/reply")
        };
        let address = |_: &str| format!("{}/{path}", account.base_url);
        let is_expired = |answered: &Answered| {
            matches!(number_at(&answered.body, "/code"), Some(99_991_661 | 99_991_663 | 99_991_668))
        };
        let header = Some(("authorization", "Bearer "));
        judge(&self.call_with_token(account, Method::POST, address, header, &body, is_expired).await?)
    }
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
