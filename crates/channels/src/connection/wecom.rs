//! The line of WeCom's smart robot: JSON frames, each answered under its own id, in both directions.
//!
//! A robot has one line. Who subscribes anew takes it from whoever had it, who is told and must not take it back at
//! once: two programs with the same secret would go on for ever.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{Ends, Frame, Protocol};
use crate::protocol::seal::{hex, random};
use crate::protocol::text_at;
use crate::protocol::wecom::robot::{self, Callback};
use crate::receive::{robot_feedback, robot_inbound};
use crate::{Account, Credentials, Outward, SendError};

const PING_EVERY: Duration = Duration::from_secs(30);

/// One robot's line.
pub(super) struct RobotLine {
    address: String,
    bot_id: String,
    secret: String,
    /// Names this connection's frames.
    nonce: String,
    n_pings: u64,
}

impl RobotLine {
    /// `None` for an account of another platform.
    pub fn new(account: &Account) -> Option<Self> {
        let Credentials::WecomRobotLine { bot_id, secret } = &account.credentials else { return None };
        // `https` becomes `wss`, `http` becomes `ws`.
        let address = account.base_url.replacen("http", "ws", 1);
        let (bot_id, secret) = (bot_id.clone(), secret.clone());
        Some(Self { address, bot_id, secret, nonce: String::new(), n_pings: 0 })
    }

    fn subscription(&self) -> String {
        format!("aibot_subscribe_{}", self.nonce)
    }
}

impl Protocol for RobotLine {
    async fn address(&mut self, _: &Outward) -> Result<String, SendError> {
        let nonce = random::<8>().map_err(|error| SendError::later(error.to_string()))?;
        (self.nonce, self.n_pings) = (hex(&nonce), 0);
        Ok(self.address.clone())
    }

    fn greeting(&self) -> Option<Message> {
        let body = json!({"bot_id": self.bot_id, "secret": self.secret});
        Some(frame("aibot_subscribe", &self.subscription(), &body))
    }

    fn takes_orders(&self) -> bool {
        true
    }

    fn ping_every(&self) -> Duration {
        PING_EVERY
    }

    fn ping(&mut self) -> Message {
        self.n_pings += 1;
        let id = format!("ping_{}_{}", self.nonce, self.n_pings);
        Message::text(json!({"cmd": "ping", "headers": {"req_id": id}}).to_string())
    }

    fn read(&mut self, frame: Message) -> Frame {
        let Message::Text(text) = frame else { return Frame::default() };
        let Ok(frame) = serde_json::from_str::<Value>(&text) else {
            return Frame { rejected: Some("a frame is not JSON".to_owned()), ..Frame::default() };
        };
        let id = text_at(&frame, "/headers/req_id").to_owned();
        match text_at(&frame, "/cmd") {
            "" if id == self.subscription() => subscribed(&frame),
            "" => Frame { answer: Some((id, frame)), ..Frame::default() },
            "aibot_msg_callback" | "aibot_event_callback" => called_back(&id, &frame["body"]),
            _ => Frame::default(),
        }
    }
}

fn frame(command: &str, id: &str, body: &Value) -> Message {
    Message::text(json!({"cmd": command, "headers": {"req_id": id}, "body": body}).to_string())
}

fn subscribed(frame: &Value) -> Frame {
    if frame["errcode"] == 0 {
        return Frame { is_ready: true, ..Frame::default() };
    }
    let said: String = text_at(frame, "/errmsg").chars().take(120).collect();
    let reason = format!(
        "WeCom does not take the robot: errcode {} ({said}); check bot_id and secret of this channel",
        frame["errcode"]
    );
    Frame { ends: Some(Ends::Refused(reason)), ..Frame::default() }
}

fn called_back(id: &str, body: &Value) -> Frame {
    let callback = match robot::parse(&body.to_string()) {
        Ok(callback) => callback,
        Err(error) => return Frame { rejected: Some(error.to_string()), ..Frame::default() },
    };
    match callback {
        Callback::Message { id: message, from, chat, text, .. } => {
            let is_group = chat.is_some();
            let to = chat.clone().unwrap_or_else(|| from.clone());
            let reply = json!({"req_id": id, "chat": to, "chat_type": if is_group { 2 } else { 1 }});
            let messages = vec![robot_inbound(message, from, chat, text, reply)];
            Frame { messages, ..Frame::default() }
        }
        Callback::Feedback { id, feedback_id, is_good, text } => {
            Frame { messages: vec![robot_feedback(id, feedback_id, is_good, text)], ..Frame::default() }
        }
        Callback::Other { kind, .. } if kind == "disconnected_event" => {
            Frame { ends: Some(Ends::Displaced), ..Frame::default() }
        }
        Callback::Other { .. } | Callback::Refresh { .. } => Frame::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Content;

    fn line() -> RobotLine {
        let text = |text: &str| text.to_owned();
        RobotLine {
            address: text("ws://h"),
            bot_id: text("B"),
            secret: text("S"),
            nonce: text("n"),
            n_pings: 0,
        }
    }

    fn read(frame: &Value) -> Frame {
        line().read(Message::text(frame.to_string()))
    }

    #[test]
    fn it_is_ready_once_the_subscription_is_taken() {
        let Some(Message::Text(greeting)) = line().greeting() else { panic!("a text") };
        let greeting: Value = serde_json::from_str(&greeting).unwrap();
        assert_eq!(greeting["body"], json!({"bot_id": "B", "secret": "S"}));
        let id = greeting["headers"]["req_id"].clone();
        let answered = |code: i64| read(&json!({"headers": {"req_id": id}, "errcode": code, "errmsg": "m"}));
        assert!(answered(0).is_ready);
        let refused = answered(853_000);
        assert!(
            !refused.is_ready && matches!(refused.ends, Some(Ends::Refused(why)) if why.contains("bot_id"))
        );
        // What belongs to another frame is its answer.
        let other = read(&json!({"headers": {"req_id": "r"}, "errcode": 0}));
        assert!(!other.is_ready && other.answer.is_some_and(|(id, _)| id == "r"));
    }

    #[test]
    fn a_message_is_answered_under_its_own_id_or_to_its_chat() {
        let said = |chat: &str| {
            let body = json!({"msgid": "M", "chatid": "C", "chattype": chat, "from": {"userid": "u"},
                "msgtype": "text", "text": {"content": "@助手 交期？"}});
            let frame = json!({"cmd": "aibot_msg_callback", "headers": {"req_id": "r"}, "body": body});
            read(&frame).messages.remove(0)
        };
        let (group, single) = (said("group"), said("single"));
        assert_eq!(group.reply, json!({"req_id": "r", "chat": "C", "chat_type": 2}));
        assert_eq!(group.content, Content::Text("交期？".to_owned()));
        assert_eq!(single.reply, json!({"req_id": "r", "chat": "u", "chat_type": 1}));
        assert_eq!((group.conversation.as_str(), single.conversation.as_str()), ("C", "u"));
    }

    #[test]
    fn another_client_ends_it() {
        let body = json!({"msgid": "E", "msgtype": "event", "event": {"eventtype": "disconnected_event"}});
        let frame = json!({"cmd": "aibot_event_callback", "headers": {"req_id": "e"}, "body": body});
        assert!(matches!(read(&frame).ends, Some(Ends::Displaced)));
        assert!(line().read(Message::text("{")).rejected.is_some());
    }
}
