//! Smart robots by webhook: JSON outside, JSON inside, and replies as a stream that WeCom comes back for.
//!
//! The first answer opens a stream; WeCom then asks for it again and again, and every answer holds the whole text so
//! far. One that says `finish` ends it.

use serde_json::{Value, json};

use super::super::{Rejected, parse_json, text_at};
use super::crypt::Crypt;

/// Longest content of a stream, in bytes of UTF-8.
pub const MAX_CONTENT_BYTES: usize = 20_480;

/// What a callback says, decrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Callback {
    /// A person wrote to the robot.
    Message {
        /// Unique among the messages.
        id: String,
        /// The person's user id.
        from: String,
        /// The group; `None` where the person wrote to the robot alone.
        chat: Option<String>,
        /// What was written, the mention of the robot taken off; a voice message as WeCom heard it.
        text: String,
        /// Takes one reply outside the stream; empty where WeCom gave none.
        response_url: String,
    },
    /// WeCom asks how far a stream is.
    Refresh {
        /// The stream's id, as the first answer gave it.
        stream_id: String,
    },
    /// A person judged an answer.
    Feedback {
        /// Unique among the messages.
        id: String,
        /// The id given with the answer.
        feedback_id: String,
        /// Whether it was good; `None` where the judgement was taken back.
        is_good: Option<bool>,
        /// The person's words.
        text: String,
    },
    /// Something else; the message's type or the event's.
    Other {
        /// Unique among the messages.
        id: String,
        /// `image`, `file`, `enter_chat`, …
        kind: String,
    },
}

/// What stands in a request's `encrypt`.
///
/// # Errors
/// [`Rejected::Format`] when the body is not JSON, [`Rejected::Missing`] when it has no such field.
pub fn encrypted_part(body: &[u8]) -> Result<String, Rejected> {
    let encrypt = parse_json(body)?.get("encrypt").and_then(Value::as_str).map(str::to_owned);
    encrypt.ok_or(Rejected::Missing("encrypt field"))
}

/// What the decrypted JSON says.
///
/// # Errors
/// [`Rejected::Format`] when it is not JSON; [`Rejected::Missing`].
pub fn parse(plain: &str) -> Result<Callback, Rejected> {
    let value = parse_json(plain.as_bytes())?;
    let owned = |pointer: &str| text_at(&value, pointer).to_owned();
    let id = owned("/msgid");
    let kind = text_at(&value, "/msgtype");
    match kind {
        "" => Err(Rejected::Missing("msgtype")),
        "stream" => Ok(Callback::Refresh { stream_id: owned("/stream/id") }),
        "event" if text_at(&value, "/event/eventtype") == "feedback_event" => Ok(Callback::Feedback {
            id,
            feedback_id: owned("/event/feedback_event/id"),
            is_good: match value.pointer("/event/feedback_event/type").and_then(Value::as_i64) {
                Some(1) => Some(true),
                Some(2) => Some(false),
                _ => None,
            },
            text: owned("/event/feedback_event/content"),
        }),
        "event" => Ok(Callback::Other { id, kind: owned("/event/eventtype") }),
        "text" | "voice" | "mixed" => {
            let from = owned("/from/userid");
            if id.is_empty() || from.is_empty() {
                return Err(Rejected::Missing("msgid or from.userid"));
            }
            let is_group = text_at(&value, "/chattype") == "group";
            let text = match kind {
                "mixed" => mixed_text(&value),
                kind => owned(&format!("/{kind}/content")),
            };
            let text = if is_group { without_mention(&text) } else { text.trim() };
            Ok(Callback::Message {
                from,
                chat: is_group.then(|| owned("/chatid")),
                text: text.to_owned(),
                response_url: owned("/response_url"),
                id,
            })
        }
        other => Ok(Callback::Other { id, kind: other.to_owned() }),
    }
}

fn mixed_text(value: &Value) -> String {
    let items = value.pointer("/mixed/msg_item").and_then(Value::as_array);
    let texts = items.into_iter().flatten().map(|item| text_at(item, "/text/content"));
    texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")
}

/// In a group every message to the robot begins with its name.
fn without_mention(text: &str) -> &str {
    let text = text.trim();
    match text.strip_prefix('@') {
        Some(rest) => rest.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim()),
        None => text,
    }
}

/// A part of a streamed answer, before it is encrypted: the whole text so far.
pub fn stream_reply(stream_id: &str, content: &str, is_finished: bool, feedback_id: Option<&str>) -> Value {
    let mut stream = json!({"id": stream_id, "finish": is_finished, "content": content});
    if let Some(id) = feedback_id {
        stream["feedback"] = json!({"id": id});
    }
    json!({"msgtype": "stream", "stream": stream})
}

/// A reply as the body of an answer. `nonce` must be the callback's own; the time is in s since 1970.
///
/// # Errors
/// As [`Crypt::seal`].
pub fn envelope(crypt: &Crypt, plain: &Value, timestamp_s: i64, nonce: &str) -> Result<Value, Rejected> {
    Ok(signed(crypt, &crypt.seal(&plain.to_string())?, timestamp_s, nonce))
}

/// The envelope around what is encrypted already; for comparing with recorded samples.
pub fn signed(crypt: &Crypt, encrypt: &str, timestamp_s: i64, nonce: &str) -> Value {
    let signature = crypt.signature(&timestamp_s.to_string(), nonce, encrypt);
    json!({"encrypt": encrypt, "msgsignature": signature, "timestamp": timestamp_s, "nonce": nonce})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_robots_name_is_taken_off_in_a_group_only() {
        let message = |chat: &str| {
            let plain = json!({"msgid": "m", "chattype": chat, "chatid": "c", "msgtype": "text",
                               "from": {"userid": "u"}, "text": {"content": "@助手 交期？"}});
            let Ok(Callback::Message { text, chat, .. }) = parse(&plain.to_string()) else {
                panic!("a message")
            };
            (text, chat)
        };
        assert_eq!(message("group"), ("交期？".to_owned(), Some("c".to_owned())));
        assert_eq!(message("single"), ("@助手 交期？".to_owned(), None));
    }

    #[test]
    fn broken_json_is_a_clear_error() {
        assert!(matches!(parse("{\"msgid\": :x}"), Err(Rejected::Format(_))));
        assert_eq!(parse("{}"), Err(Rejected::Missing("msgtype")));
        assert!(encrypted_part(b"{}").is_err());
    }
}
