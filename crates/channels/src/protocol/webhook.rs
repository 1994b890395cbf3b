//! The generic webhook, signed after the Standard Webhooks specification, in and out.
//!
//! A header may hold several signatures and a channel several secrets, so that a secret is changed without losing a
//! message: both sides take the old and the new one for a while.

use serde_json::Value;

use super::{Rejected, check_clock, parse_json, parse_time, seal, text_at};

/// How far a request's time may be from the clock, in s.
pub const TOLERANCE_S: i64 = 300;
const PREFIX: &str = "whsec_";

/// The headers `webhook-id`, `webhook-timestamp` and `webhook-signature`.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a> {
    /// Unique among messages; a repeated delivery has the same.
    pub id: &'a str,
    /// In s since 1970.
    pub timestamp: &'a str,
    /// `v1,` and base64; several stand apart by spaces.
    pub signatures: &'a str,
}

/// The secrets of one channel, the newest first.
pub struct Secrets(Vec<Vec<u8>>);

impl Secrets {
    /// From their texts: `whsec_` and base64 of 24 to 64 bytes.
    ///
    /// # Errors
    /// [`Rejected::Key`] when there is none or one is not of that form.
    pub fn new(texts: &[String]) -> Result<Self, Rejected> {
        let keys: Option<Vec<_>> = texts.iter().map(|text| key(text)).collect();
        let keys = keys.ok_or(Rejected::Key("secret is not whsec_ and base64 of 24 to 64 bytes"))?;
        if keys.is_empty() {
            return Err(Rejected::Key("secret is missing"));
        }
        Ok(Self(keys))
    }

    /// Checks a request: any of its signatures by any of the secrets will do.
    ///
    /// # Errors
    /// [`Rejected::Signature`] first, then [`Rejected::Clock`].
    pub fn verify(&self, headers: Headers<'_>, body: &[u8], now_s: i64) -> Result<(), Rejected> {
        if headers.id.is_empty() {
            return Err(Rejected::Missing("webhook-id header"));
        }
        let mut is_signed = false;
        for key in &self.0 {
            let expected = signature(key, headers.id, headers.timestamp, body);
            for signed in headers.signatures.split(' ') {
                // All are compared, so that the time taken does not tell which one was near.
                is_signed |= seal::equal(&expected, signed);
            }
        }
        if !is_signed {
            return Err(Rejected::Signature("secret"));
        }
        check_clock(parse_time(headers.timestamp)?, now_s, TOLERANCE_S)
    }

    /// The signatures of a message of ours by all secrets, for `webhook-signature`.
    pub fn sign(&self, id: &str, timestamp_s: i64, body: &[u8]) -> String {
        let timestamp = timestamp_s.to_string();
        let signatures: Vec<_> = self.0.iter().map(|key| signature(key, id, &timestamp, body)).collect();
        signatures.join(" ")
    }
}

fn key(text: &str) -> Option<Vec<u8>> {
    let bytes = seal::from_base64(text.trim().strip_prefix(PREFIX)?)?;
    (24..=64).contains(&bytes.len()).then_some(bytes)
}

fn signature(key: &[u8], id: &str, timestamp: &str, body: &[u8]) -> String {
    let mac = seal::hmac_sha256(key, &[id.as_bytes(), b".", timestamp.as_bytes(), b".", body]);
    format!("v1,{}", seal::to_base64(&mac))
}

/// What a verified body says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// `message.created`: someone wrote.
    Message(Message),
    /// `person.joined`: a person of the company has taken the conversation.
    PersonJoined {
        /// The conversation.
        conversation: String,
    },
    /// `person.left`: the bot may answer again.
    PersonLeft {
        /// The conversation.
        conversation: String,
    },
    /// Another type, which is taken and left.
    Other(String),
}

/// A message from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The conversation.
    pub conversation: String,
    /// Unique among the conversation's messages.
    pub id: String,
    /// Who wrote it; empty where it is not said.
    pub sender: String,
    /// `customer` or `internal`, as asked; it can only narrow what the channel allows. Empty where it is not said.
    pub audience: String,
    /// What was written.
    pub text: String,
}

/// What a verified body says: `{"type": …, "data": {…}}`.
///
/// # Errors
/// [`Rejected::Format`] when it is not JSON; [`Rejected::Missing`].
pub fn parse(body: &[u8]) -> Result<Event, Rejected> {
    let value = parse_json(body)?;
    let owned = |pointer: &str| text_at(&value, pointer).to_owned();
    let conversation = owned("/data/conversation_id");
    let kind = text_at(&value, "/type");
    if !matches!(kind, "message.created" | "person.joined" | "person.left") {
        return Ok(Event::Other(kind.to_owned()));
    }
    if conversation.is_empty() {
        return Err(Rejected::Missing("data.conversation_id"));
    }
    match kind {
        "person.joined" => Ok(Event::PersonJoined { conversation }),
        "person.left" => Ok(Event::PersonLeft { conversation }),
        _ => {
            let id = owned("/data/message_id");
            if id.is_empty() {
                return Err(Rejected::Missing("data.message_id"));
            }
            let sender = match value.pointer("/data/sender") {
                Some(Value::Object(sender)) => sender.get("id").and_then(Value::as_str).unwrap_or_default(),
                _ => text_at(&value, "/data/sender"),
            };
            Ok(Event::Message(Message {
                sender: sender.to_owned(),
                audience: owned("/data/audience"),
                text: owned("/data/text"),
                conversation,
                id,
            }))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret(byte: u8) -> String {
        format!("{PREFIX}{}", seal::to_base64(&[byte; 32]))
    }

    #[test]
    fn a_secret_is_changed_without_losing_a_message() {
        let (old, new) = (Secrets::new(&[secret(1)]).unwrap(), Secrets::new(&[secret(2)]).unwrap());
        let both = Secrets::new(&[secret(2), secret(1)]).unwrap();
        let body = b"{}";
        let check = |by: &Secrets, at: &Secrets| {
            let signatures = by.sign("m", 1000, body);
            at.verify(Headers { id: "m", timestamp: "1000", signatures: &signatures }, body, 1000)
        };
        for (by, at) in [(&old, &both), (&new, &both), (&both, &old), (&both, &new)] {
            assert_eq!(check(by, at), Ok(()));
        }
        assert_eq!(check(&old, &new), Err(Rejected::Signature("secret")));
    }

    #[test]
    fn id_time_body_and_clock_are_all_checked() {
        let secrets = Secrets::new(&[secret(1)]).unwrap();
        let signatures = secrets.sign("m", 1000, b"a");
        let headers = Headers { id: "m", timestamp: "1000", signatures: &signatures };
        assert_eq!(secrets.verify(headers, b"a", 1300), Ok(()));
        assert!(matches!(secrets.verify(headers, b"a", 1301), Err(Rejected::Clock { .. })));
        for (headers, body) in [
            (headers, &b"b"[..]),
            (Headers { id: "n", ..headers }, b"a"),
            (Headers { timestamp: "1001", ..headers }, b"a"),
            (Headers { signatures: "", ..headers }, b"a"),
            (Headers { signatures: "v1,", ..headers }, b"a"),
        ] {
            assert_eq!(secrets.verify(headers, body, 1000), Err(Rejected::Signature("secret")));
        }
    }

    #[test]
    fn a_secret_of_another_form_is_named_without_being_told() {
        for text in ["", "whsec_", "whsec_***", "plain-secret", "whsec_c2hvcnQ="] {
            let error = Secrets::new(&[text.to_owned()]).err().unwrap();
            assert!(matches!(error, Rejected::Key(_)));
            assert!(!error.to_string().contains("plain-secret"));
        }
        assert!(Secrets::new(&[]).is_err());
    }

    #[test]
    fn what_is_missing_is_named() {
        let body = |data: Value| json!({"type": "message.created", "data": data}).to_string();
        let parsed = |data: Value| parse(body(data).as_bytes());
        assert_eq!(parsed(json!({})), Err(Rejected::Missing("data.conversation_id")));
        assert_eq!(parsed(json!({"conversation_id": "c"})), Err(Rejected::Missing("data.message_id")));
        let message =
            parsed(json!({"conversation_id": "c", "message_id": "m", "sender": {"id": "s"}, "text": "t"}));
        assert!(matches!(message, Ok(Event::Message(Message { ref sender, .. })) if sender == "s"));
        assert_eq!(parse(b"{\"type\":\"x\"}"), Ok(Event::Other("x".to_owned())));
    }
}
