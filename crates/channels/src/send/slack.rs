//! Sending to Slack.

use reqwest::Method;
use serde_json::json;

use super::{SendError, Sender, as_text};
use crate::outward::Answered;
use crate::protocol::{slack, text_at};
use crate::{Account, Delivery};

impl Sender {
    pub(super) async fn slack(
        &self,
        account: &Account,
        bot_token: &str,
        delivery: &Delivery,
    ) -> Result<(), SendError> {
        let Some(text) = as_text(&delivery.outbound.payload) else { return Ok(()) };
        let reply = &delivery.outbound.reply;
        let body = slack::post_body(text_at(reply, "/channel"), text_at(reply, "/thread_ts"), &text);
        let address = format!("{}/chat.postMessage", account.base_url);
        let headers = [("authorization", format!("Bearer {bot_token}"))];
        judge(&self.outward.call(Method::POST, &address, &headers, Some(&body)).await?)
    }

    pub(super) async fn slack_test(&self, account: &Account, bot_token: &str) -> Result<String, SendError> {
        let address = format!("{}/auth.test", account.base_url);
        let headers = [("authorization", format!("Bearer {bot_token}"))];
        let answered = self.outward.call(Method::POST, &address, &headers, Some(&json!({}))).await?;
        judge(&answered)?;
        let team: String = text_at(&answered.body, "/team").chars().take(80).collect();
        Ok(format!("平台已确认凭据有效 (the token is good for {team})"))
    }
}

fn judge(answered: &Answered) -> Result<(), SendError> {
    if answered.body["ok"] == true {
        return Ok(());
    }
    match text_at(&answered.body, "/error") {
        error @ ("" | "ratelimited" | "internal_error" | "fatal_error" | "service_unavailable") => {
            Err(SendError::later(format!("Slack is busy: {error}")))
        }
        error @ ("invalid_auth" | "not_authed" | "token_revoked" | "token_expired" | "account_inactive") => {
            Err(SendError::Refused(format!("Slack says {error}; check bot_token of this channel")))
        }
        error => {
            let error: String = error.chars().take(80).collect();
            Err(SendError::Refused(format!("Slack says {error}")))
        }
    }
}
