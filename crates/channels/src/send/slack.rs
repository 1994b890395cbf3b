//! Sending to Slack.

use reqwest::Method;
use serde_json::{Value, json};

use super::{SendError, Sender, as_text};
use crate::outward::Answered;
use crate::protocol::{slack, text_at};
use crate::{Account, Card, Delivery};

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
        judge(&self.slack_call(account, bot_token, "chat.postMessage", &body).await?)
    }

    /// Starts a message that streams, without a word in it: Slack itself shows that something comes. Its `ts`.
    pub(super) async fn slack_show(
        &self,
        account: &Account,
        bot_token: &str,
        delivery: &Delivery,
        card: &Card,
    ) -> Result<String, SendError> {
        if card.tries > 1 {
            // Slack knows no repetition: a second one would stand beside the first for ever.
            return Err(SendError::Refused("Slack did not say whether the stream was started".to_owned()));
        }
        let body = slack::start_body(&delivery.outbound.reply);
        let answered = self.slack_call(account, bot_token, "chat.startStream", &body).await?;
        judge(&answered)?;
        match text_at(&answered.body, "/ts") {
            "" => Err(SendError::Refused("Slack started a stream without a name".to_owned())),
            ts => Ok(ts.to_owned()),
        }
    }

    /// Stops the stream with the whole text in it: one request, so that one which comes again is known by the stream's
    /// end, where a text that was appended would be appended twice.
    pub(super) async fn slack_fill(
        &self,
        account: &Account,
        bot_token: &str,
        delivery: &Delivery,
        card: &Card,
        text: &str,
        is_again: bool,
    ) -> Result<(), SendError> {
        let channel = text_at(&delivery.outbound.reply, "/channel");
        let body = slack::stop_body(channel, &card.handle, text);
        let answered = self.slack_call(account, bot_token, "chat.stopStream", &body).await?;
        if is_again && text_at(&answered.body, "/error") == "message_not_in_streaming_state" {
            return Ok(());
        }
        judge(&answered)
    }

    async fn slack_call(
        &self,
        account: &Account,
        bot_token: &str,
        method: &str,
        body: &Value,
    ) -> Result<Answered, SendError> {
        let address = format!("{}/{method}", account.base_url);
        let headers = [("authorization", format!("Bearer {bot_token}"))];
        self.outward.call(Method::POST, &address, &headers, Some(body)).await
    }

    pub(super) async fn slack_test(&self, account: &Account, bot_token: &str) -> Result<String, SendError> {
        let answered = self.slack_call(account, bot_token, "auth.test", &json!({})).await?;
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
