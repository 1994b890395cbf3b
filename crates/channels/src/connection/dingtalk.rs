//! DingTalk's stream mode: JSON frames, each answered under its own id.

use std::time::Duration;

use reqwest::{Method, Url};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{Ends, Frame, Protocol};
use crate::protocol::{dingtalk, text_at};
use crate::receive::dingtalk_inbound;
use crate::{Account, Credentials, Outward, SendError};

/// What the robot wants to be told of.
const MESSAGES: &str = "/v1.0/im/bot/messages/get";
const PING_EVERY: Duration = Duration::from_mins(1);

/// One robot's stream.
pub(super) struct Stream {
    base_url: String,
    app_key: String,
    app_secret: String,
}

impl Stream {
    /// `None` for an account of another platform.
    pub fn new(account: &Account) -> Option<Self> {
        let Credentials::Dingtalk { app_key, app_secret, .. } = &account.credentials else { return None };
        Some(Self {
            base_url: account.base_url.clone(),
            app_key: app_key.clone(),
            app_secret: app_secret.clone(),
        })
    }
}

impl Protocol for Stream {
    async fn address(&mut self, outward: &Outward) -> Result<String, SendError> {
        let asked = json!({
            "clientId": self.app_key, "clientSecret": self.app_secret, "ua": "flightdeck",
            "subscriptions": [{"type": "CALLBACK", "topic": MESSAGES}],
        });
        let gateway = format!("{}/v1.0/gateway/connections/open", self.base_url);
        let answered = outward.call(Method::POST, &gateway, &[], Some(&asked)).await?;
        let (endpoint, ticket) = (text_at(&answered.body, "/endpoint"), text_at(&answered.body, "/ticket"));
        if endpoint.is_empty() || ticket.is_empty() {
            let (status, code) = (answered.status, text_at(&answered.body, "/code"));
            return Err(SendError::Refused(format!(
                "DingTalk gave no connection: {status} {code}; check app_key and app_secret"
            )));
        }
        let mut url = Url::parse(endpoint)
            .map_err(|error| SendError::Refused(format!("DingTalk's endpoint cannot be read: {error}")))?;
        url.query_pairs_mut().append_pair("ticket", ticket);
        Ok(url.into())
    }

    fn ping_every(&self) -> Duration {
        PING_EVERY
    }

    fn ping(&mut self) -> Message {
        Message::Ping(Vec::new().into())
    }

    fn read(&mut self, frame: Message) -> Frame {
        let Message::Text(text) = frame else { return Frame::default() };
        let Ok(frame) = serde_json::from_str::<Value>(&text) else {
            return Frame { rejected: Some("a frame is not JSON".to_owned()), ..Frame::default() };
        };
        let (topic, data) = (text_at(&frame, "/headers/topic"), text_at(&frame, "/data"));
        let answer = |data: &str| {
            let headers = json!({
                "messageId": text_at(&frame, "/headers/messageId"), "contentType": "application/json",
            });
            let answer = json!({"code": 200, "headers": headers, "message": "OK", "data": data});
            Some(Message::text(answer.to_string()))
        };
        match (text_at(&frame, "/type"), topic) {
            ("SYSTEM", "disconnect") => {
                Frame { acknowledgement: answer(data), ends: Some(Ends::Asked), ..Frame::default() }
            }
            // A ping must be answered with what it holds.
            ("SYSTEM", _) => Frame { acknowledgement: answer(data), ..Frame::default() },
            ("CALLBACK", MESSAGES) => {
                let acknowledgement = answer(&json!({"response": "OK"}).to_string());
                match dingtalk::parse(data.as_bytes()) {
                    Ok(message) => {
                        let messages = vec![dingtalk_inbound(message)];
                        Frame { messages, acknowledgement, ..Frame::default() }
                    }
                    // It would be no better the next time.
                    Err(rejected) => {
                        Frame { rejected: Some(rejected.to_string()), acknowledgement, ..Frame::default() }
                    }
                }
            }
            _ => {
                Frame { acknowledgement: answer(&json!({"response": "OK"}).to_string()), ..Frame::default() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Stream {
        Stream { base_url: String::new(), app_key: "k".to_owned(), app_secret: "s".to_owned() }
    }

    fn read(frame: &Value) -> (Frame, Value) {
        let read = stream().read(Message::text(frame.to_string()));
        let answer = match &read.acknowledgement {
            Some(Message::Text(text)) => serde_json::from_str(text).unwrap(),
            _ => Value::Null,
        };
        (read, answer)
    }

    #[test]
    fn a_ping_is_echoed_and_a_disconnect_is_the_last_frame() {
        let headers = json!({"topic": "ping", "messageId": "sys1"});
        let ping = json!({"type": "SYSTEM", "headers": headers, "data": "{\"opaque\": \"x\"}"});
        let (frame, answer) = read(&ping);
        assert!(frame.ends.is_none() && frame.messages.is_empty());
        assert_eq!(answer["data"], "{\"opaque\": \"x\"}");
        assert_eq!((&answer["code"], &answer["headers"]["messageId"]), (&json!(200), &json!("sys1")));
        let headers = json!({"topic": "disconnect", "messageId": "sys2"});
        let (frame, answer) = read(&json!({"type": "SYSTEM", "headers": headers, "data": "{}"}));
        assert!(matches!(frame.ends, Some(Ends::Asked)) && answer["headers"]["messageId"] == "sys2");
    }

    #[test]
    fn what_cannot_be_read_is_told_of_and_not_asked_for_again() {
        let headers = json!({"topic": MESSAGES, "messageId": "cb"});
        let (frame, answer) = read(&json!({"type": "CALLBACK", "headers": headers, "data": "{}"}));
        assert!(frame.messages.is_empty() && frame.rejected.is_some());
        assert_eq!(answer["code"], 200);
        let frame = stream().read(Message::text("{"));
        assert!(frame.acknowledgement.is_none() && frame.rejected.is_some());
    }
}
