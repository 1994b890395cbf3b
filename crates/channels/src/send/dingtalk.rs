//! Sending to DingTalk: to the address that came with the message while it is good, else through the robot's API.

use std::time::Duration;

use reqwest::{Method, Url};
use serde_json::{Value, json};

use super::{SendError, Sender, as_text, number_at};
use crate::outward::Answered;
use crate::protocol::{dingtalk, text_at};
use crate::receive::digest;
use crate::{Account, Card, Delivery, wording};

/// How long before its end the address of a message is not used any more, in ms.
const EARLY_MS: i64 = 60_000;

impl Sender {
    pub(super) async fn dingtalk_token(
        &self,
        account: &Account,
        app_key: &str,
        app_secret: &str,
    ) -> Result<(String, u64), SendError> {
        let address = format!("{}/v1.0/oauth2/accessToken", account.base_url);
        let body = json!({"appKey": app_key, "appSecret": app_secret});
        let answered = self.outward.call(Method::POST, &address, &[], Some(&body)).await?;
        judge(&answered)?;
        let token = text_at(&answered.body, "/accessToken").to_owned();
        if token.is_empty() {
            return Err(SendError::Refused(
                "DingTalk gave no token; check app_key and app_secret".to_owned(),
            ));
        }
        Ok((token, number_at(&answered.body, "/expireIn").unwrap_or(7200).unsigned_abs()))
    }

    pub(super) async fn dingtalk(
        &self,
        account: &Account,
        robot_code: &str,
        delivery: &Delivery,
    ) -> Result<(), SendError> {
        let Some(text) = as_text(&delivery.outbound.payload) else { return Ok(()) };
        let reply = &delivery.outbound.reply;
        let text = dingtalk::broken(&text);
        let title = "回复";
        let session = text_at(reply, "/session_webhook");
        let until_ms = number_at(reply, "/expires_ms").unwrap_or(0);
        if until_ms - EARLY_MS > crate::pipeline::now_ms() && is_own(session, &account.base_url) {
            let body = dingtalk::markdown_body(title, &text);
            return judge(&self.outward.call(Method::POST, session, &[], Some(&body)).await?);
        }
        let parameters = json!({"title": title, "text": text}).to_string();
        let mut body = json!({"robotCode": robot_code, "msgKey": "sampleMarkdown", "msgParam": parameters});
        let path = if reply["group"] == true {
            body["openConversationId"] = reply["conversation"].clone();
            "groupMessages/send"
        } else {
            body["userIds"] = json!([reply["user"]]);
            "oToMessages/batchSend"
        };
        judge(&self.dingtalk_call(account, Method::POST, &format!("robot/{path}"), &body).await?)
    }

    /// Delivers a card of this template, and variable, that waits for its text.
    pub(super) async fn dingtalk_show(
        &self,
        account: &Account,
        robot_code: &str,
        (template, variable): (&str, &str),
        delivery: &Delivery,
        card: &Card,
    ) -> Result<(), SendError> {
        let body = dingtalk::card_body(
            template,
            variable,
            &card.handle,
            robot_code,
            &delivery.outbound.reply,
            wording::LOOKING,
        );
        let answered =
            self.dingtalk_call(account, Method::POST, "card/instances/createAndDeliver", &body).await?;
        match judge(&answered) {
            // It may be there since the first time; filling it shows whether it is.
            Err(SendError::Refused(_)) if card.tries > 1 => Ok(()),
            judged => judged,
        }
    }

    /// Writes the text into the card's variable and ends its streaming.
    pub(super) async fn dingtalk_fill(
        &self,
        account: &Account,
        variable: &str,
        card: &Card,
        text: &str,
        key: &str,
    ) -> Result<(), SendError> {
        let body =
            dingtalk::streaming_body(&card.handle, &digest(&[&card.handle, key]), variable, text, true);
        self.dingtalk_stream(account, body).await
    }

    /// Writes the beginning of a text into the card's variable.
    pub(super) async fn dingtalk_grow(
        &self,
        account: &Account,
        variable: &str,
        card: &Card,
        text: &str,
    ) -> Result<(), SendError> {
        let guid = digest(&[&card.handle, "so far", text]);
        let body = dingtalk::streaming_body(&card.handle, &guid, variable, text, false);
        self.dingtalk_stream(account, body).await
    }

    async fn dingtalk_stream(&self, account: &Account, body: Option<Value>) -> Result<(), SendError> {
        let body =
            body.ok_or_else(|| SendError::Refused("the text is too long for a card of DingTalk".to_owned()))?;
        judge(&self.dingtalk_call(account, Method::PUT, "card/streaming", &body).await?)
    }

    async fn dingtalk_call(
        &self,
        account: &Account,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Answered, SendError> {
        let address = |_: &str| format!("{}/v1.0/{path}", account.base_url);
        let header = Some(("x-acs-dingtalk-access-token", ""));
        let is_expired = |answered: &Answered| {
            let code = text_at(&answered.body, "/code");
            answered.status == 401 || code == "InvalidAuthentication" || code == "invalidAccessToken"
        };
        self.call_with_token(account, method, address, header, body, is_expired).await
    }
}

/// Whether the address is one of DingTalk's own, or of the base address that the settings name.
fn is_own(address: &str, base: &str) -> bool {
    let (Ok(url), Ok(base)) = (Url::parse(address), Url::parse(base)) else { return false };
    let same =
        url.host_str() == base.host_str() && url.port_or_known_default() == base.port_or_known_default();
    same || (url.scheme() == "https" && url.host_str().is_some_and(dingtalk::is_reply_host))
}

fn judge(answered: &Answered) -> Result<(), SendError> {
    let body = &answered.body;
    // What the front says to an address that it has banned.
    if number_at(body, "/status") == Some(1111) {
        let wait_s = number_at(body, "/wait").unwrap_or(5).clamp(1, 600).unsigned_abs();
        return Err(SendError::Later {
            after: Some(Duration::from_secs(wait_s)),
            reason: "DingTalk has banned this address for a while".to_owned(),
        });
    }
    let old_code = number_at(body, "/errcode").unwrap_or(0);
    let code = match body.get("code") {
        Some(Value::String(code)) => code.clone(),
        Some(code) if !code.is_null() => code.to_string(),
        _ if old_code != 0 => old_code.to_string(),
        _ => String::new(),
    };
    if answered.status < 300 && (code.is_empty() || code == "0") {
        return Ok(());
    }
    let is_busy = matches!(
        code.as_str(),
        "90002" | "90018" | "130101" | "410100" | "ServiceUnavailable" | "systemError"
    ) || code.contains("Throttl")
        // `Forbidden.AccessDenied.QpsLimitForApi` and its kin.
        || code.to_ascii_lowercase().contains("qps");
    if is_busy || answered.status == 401 {
        return Err(SendError::later(format!("DingTalk says {code}")));
    }
    let status = answered.status;
    Err(SendError::Refused(format!("DingTalk answered {status} {code}; look the code up on DingTalk's page")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limited_rate_is_waited_for_and_a_wrong_key_is_not() {
        let judged = |status, body| judge(&Answered { status, body });
        for code in ["Forbidden.AccessDenied.QpsLimitForApi", "Throttling.Api", "90002"] {
            let answer = judged(403, json!({"code": code, "message": "too many"}));
            assert!(matches!(answer, Err(SendError::Later { .. })), "{code}: {answer:?}");
        }
        let wait = Some(Duration::from_secs(5));
        let banned = judged(200, json!({"status": 1111, "wait": 5}));
        assert!(matches!(banned, Err(SendError::Later { after, .. }) if after == wait), "{banned:?}");
        let wrong = judged(400, json!({"code": "invalidClientIdOrSecret"}));
        assert!(matches!(wrong, Err(SendError::Refused(_))), "{wrong:?}");
        assert_eq!(judged(200, json!({"errcode": 0})), Ok(()));
    }

    #[test]
    fn an_address_that_came_with_a_message_is_used_only_when_it_is_dingtalks() {
        let base = "https://api.dingtalk.com";
        assert!(is_own("https://oapi.dingtalk.com/robot/sendBySession?session=x", base));
        for address in [
            "http://oapi.dingtalk.com/x",
            "https://evil.example/oapi.dingtalk.com",
            "",
            "https://169.254.169.254/",
        ] {
            assert!(!is_own(address, base), "{address}");
        }
        assert!(is_own("http://127.0.0.1:9/s", "http://127.0.0.1:9"));
        assert!(!is_own("http://127.0.0.1:8/s", "http://127.0.0.1:9"));
    }
}
