//! Slack's Socket Mode: the events of the Events API, each in an envelope that is acknowledged by its id.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{Ends, Frame, Protocol};
use crate::protocol::{slack, text_at};
use crate::receive::slack_inbound;
use crate::{Account, Credentials, Outward, SendError};

/// Slack sends pings of its own more often than this.
const PING_EVERY: Duration = Duration::from_secs(30);

/// One app's socket.
pub(super) struct SocketMode {
    base_url: String,
    app_token: String,
}

impl SocketMode {
    /// `None` for an account of another platform.
    pub fn new(account: &Account) -> Option<Self> {
        let Credentials::Slack { app_token, .. } = &account.credentials else { return None };
        Some(Self { base_url: account.base_url.clone(), app_token: app_token.clone() })
    }
}

impl Protocol for SocketMode {
    async fn address(&mut self, outward: &Outward) -> Result<String, SendError> {
        let address = format!("{}/apps.connections.open", self.base_url);
        let headers = [("authorization", format!("Bearer {}", self.app_token))];
        let answered = outward.call(Method::POST, &address, &headers, Some(&json!({}))).await?;
        let url = text_at(&answered.body, "/url");
        if answered.body["ok"] != true || url.is_empty() {
            let error: String = text_at(&answered.body, "/error").chars().take(80).collect();
            return Err(SendError::Refused(format!(
                "Slack gave no connection: {error}; check app_token, and that Socket Mode is on"
            )));
        }
        Ok(url.to_owned())
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
        let envelope = text_at(&frame, "/envelope_id");
        let acknowledgement =
            (!envelope.is_empty()).then(|| Message::text(json!({"envelope_id": envelope}).to_string()));
        match text_at(&frame, "/type") {
            "disconnect" => Frame { acknowledgement, ends: Some(Ends::Asked), ..Frame::default() },
            "events_api" => match slack::parse(frame["payload"].to_string().as_bytes()) {
                Ok(slack::Event::Message(message)) => {
                    Frame { messages: vec![slack_inbound(message)], acknowledgement, ..Frame::default() }
                }
                Ok(_) => Frame { acknowledgement, ..Frame::default() },
                // It would be no better the next time.
                Err(error) => {
                    Frame { rejected: Some(error.to_string()), acknowledgement, ..Frame::default() }
                }
            },
            _ => Frame { acknowledgement, ..Frame::default() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(frame: &Value) -> Frame {
        let mut socket = SocketMode { base_url: String::new(), app_token: "xapp".to_owned() };
        socket.read(Message::text(frame.to_string()))
    }

    #[test]
    fn an_envelope_is_acknowledged_by_its_id_and_a_disconnect_is_the_last_frame() {
        let event = json!({"type": "message", "channel_type": "im", "user": "U", "channel": "D", "ts": "1.2",
            "text": "交期？"});
        let payload = json!({"type": "event_callback", "event_id": "Ev", "team_id": "T", "event": event});
        let frame = read(&json!({"type": "events_api", "envelope_id": "e1", "payload": payload}));
        assert_eq!(frame.messages[0].message_id, "Ev");
        assert_eq!(frame.acknowledgement, Some(Message::text(json!({"envelope_id": "e1"}).to_string())));
        let last = read(&json!({"type": "disconnect", "reason": "refresh_requested"}));
        assert!(last.acknowledgement.is_none() && matches!(last.ends, Some(Ends::Asked)));
        assert!(read(&json!({"type": "hello", "num_connections": 1})).acknowledgement.is_none());
    }

    #[test]
    fn what_cannot_be_read_is_told_of_and_not_asked_for_again() {
        let payload = json!({"type": "event_callback", "event": {"type": "app_mention"}});
        let frame = read(&json!({"type": "events_api", "envelope_id": "e", "payload": payload}));
        assert!(frame.messages.is_empty() && frame.rejected.is_some() && frame.acknowledgement.is_some());
    }
}
