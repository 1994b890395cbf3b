//! Feishu and Lark: signed and encrypted events, the address check, and the bodies of replies and cards.

use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::{Rejected, check_clock, parse_json, parse_time, seal, text_at};

/// How far a request's time may be from the clock, in s.
pub const TOLERANCE_S: i64 = 300;
/// The element of a card that the answer stands in.
pub const ANSWER_ELEMENT: &str = "answer_md";

/// The headers that sign a request.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a> {
    /// `X-Lark-Request-Timestamp`, in s.
    pub timestamp: &'a str,
    /// `X-Lark-Request-Nonce`.
    pub nonce: &'a str,
    /// `X-Lark-Signature`.
    pub signature: &'a str,
}

/// The secrets of one app.
#[derive(Clone, Copy)]
pub struct Secrets<'a> {
    /// Encrypt Key; empty where the app has none.
    pub encrypt_key: &'a str,
    /// Verification Token.
    pub verification_token: &'a str,
}

/// What a request says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Feishu checks the address: answer with [`challenge_reply`].
    Challenge(String),
    /// Someone wrote.
    Message(Message),
    /// Someone pressed a button on a card.
    CardAction {
        /// Unique among events.
        id: String,
        /// The person's open id.
        from: String,
        /// The chat.
        chat: String,
        /// What the button holds.
        value: Value,
    },
    /// An event of another type.
    Other {
        /// Unique among events.
        id: String,
        /// Its type.
        kind: String,
    },
}

/// A message to the bot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Unique among events.
    pub event_id: String,
    /// Unique among messages; replies name it.
    pub id: String,
    /// The chat.
    pub chat: String,
    /// Whether several people are in it.
    pub is_group: bool,
    /// The sender's open id.
    pub from: String,
    /// Whether a person wrote it; an app's messages are never answered.
    pub is_person: bool,
    /// Open ids of those who are mentioned.
    pub mentioned: Vec<String>,
    /// What was written. Mentions of [`Message::mentioned`] stand as `@name`; see [`Message::text_for`].
    pub text: String,
    /// The names in the order of `mentioned`.
    names: Vec<String>,
    /// When it was written, in ms since 1970.
    pub created_at_ms: i64,
}

impl Message {
    /// The text with the mention of the bot itself taken out.
    pub fn text_for(&self, bot_open_id: &str) -> String {
        let own = self.mentioned.iter().position(|id| id == bot_open_id);
        let name = own.and_then(|idx| self.names.get(idx)).filter(|name| !name.is_empty());
        let text = name.map_or_else(|| self.text.clone(), |name| self.text.replace(&format!("@{name}"), ""));
        text.trim().to_owned()
    }
}

/// The signature over a request: 64 hexadecimal digits.
pub fn signature(timestamp: &str, nonce: &str, encrypt_key: &str, body: &[u8]) -> String {
    let mut sha = Sha256::new();
    for part in [timestamp.as_bytes(), nonce.as_bytes(), encrypt_key.as_bytes(), body] {
        sha.update(part);
    }
    seal::hex(&sha.finalize())
}

/// The signature over an old message card's callback: 40 hexadecimal digits.
pub fn card_signature(timestamp: &str, nonce: &str, verification_token: &str, body: &[u8]) -> String {
    let mut sha = Sha1::new();
    for part in [timestamp.as_bytes(), nonce.as_bytes(), verification_token.as_bytes(), body] {
        sha.update(part);
    }
    seal::hex(&sha.finalize())
}

/// The signature of a group's custom bot: base64. Here the key is the time and the secret, and the message is empty.
pub fn custom_bot_sign(timestamp_s: &str, secret: &str) -> String {
    seal::to_base64(&seal::hmac_sha256(format!("{timestamp_s}\n{secret}").as_bytes(), &[]))
}

/// Decrypts what stands in `encrypt`.
///
/// # Errors
/// [`Rejected::Format`], [`Rejected::Padding`] when the key is another one, or [`Rejected::Utf8`].
pub fn decrypt(encrypt_key: &str, encrypt: &str) -> Result<String, Rejected> {
    let sealed =
        seal::from_base64(encrypt).ok_or_else(|| Rejected::format("the encrypted part is not base64"))?;
    let (iv, sealed) =
        sealed.split_first_chunk().ok_or_else(|| Rejected::format("the encrypted part is too short"))?;
    let plain = seal::decrypt(&key_of(encrypt_key), iv, sealed.to_vec(), seal::BLOCK as u8)?;
    String::from_utf8(plain).map_err(|_| Rejected::Utf8)
}

/// Encrypts as Feishu does, for tests and test clients.
pub fn encrypt_with(encrypt_key: &str, plain: &str, iv: &[u8; 16]) -> String {
    let sealed = seal::encrypt(&key_of(encrypt_key), iv, plain.as_bytes().to_vec(), seal::BLOCK);
    seal::to_base64(&[&iv[..], &sealed].concat())
}

fn key_of(encrypt_key: &str) -> [u8; 32] {
    Sha256::digest(encrypt_key.as_bytes()).into()
}

/// Verifies, decrypts and reads a request.
///
/// An app with an Encrypt Key must sign everything but the address check, which may come unsigned; the Verification
/// Token is asked of all.
///
/// # Errors
/// As [`Rejected`] tells apart.
pub fn open(
    secrets: Secrets<'_>,
    headers: Option<Headers<'_>>,
    body: &[u8],
    now_s: i64,
) -> Result<Event, Rejected> {
    if secrets.verification_token.is_empty() {
        return Err(Rejected::Key("Verification Token is empty"));
    }
    if let (false, Some(headers)) = (secrets.encrypt_key.is_empty(), headers) {
        let expected = signature(headers.timestamp, headers.nonce, secrets.encrypt_key, body);
        if !seal::equal(&expected, headers.signature) {
            return Err(Rejected::Signature("Encrypt Key"));
        }
        check_clock(parse_time(headers.timestamp)?, now_s, TOLERANCE_S)?;
    }
    let outer = parse_json(body)?;
    let plain = match (outer.get("encrypt").and_then(Value::as_str), secrets.encrypt_key) {
        (Some(_), "") => return Err(Rejected::Key("Encrypt Key is empty, but the platform encrypts")),
        (Some(encrypt), key) => parse_json(decrypt(key, encrypt)?.as_bytes())?,
        (None, "") => outer,
        (None, _) => return Err(Rejected::Missing("encrypt field, though this channel has an Encrypt Key")),
    };
    let is_challenge = text_at(&plain, "/type") == "url_verification";
    let token = if is_challenge { text_at(&plain, "/token") } else { text_at(&plain, "/header/token") };
    if !seal::equal(token, secrets.verification_token) {
        return Err(Rejected::Token);
    }
    if is_challenge {
        return Ok(Event::Challenge(text_at(&plain, "/challenge").to_owned()));
    }
    if headers.is_none() && !secrets.encrypt_key.is_empty() {
        return Err(Rejected::Missing("X-Lark-Signature header"));
    }
    parse(&plain)
}

/// What a decrypted event, or the payload of a long connection's frame, says.
///
/// # Errors
/// [`Rejected::Missing`] or [`Rejected::Format`].
pub fn parse(value: &Value) -> Result<Event, Rejected> {
    let owned = |pointer: &str| text_at(value, pointer).to_owned();
    let id = owned("/header/event_id");
    if id.is_empty() {
        return Err(Rejected::Missing("header.event_id"));
    }
    match text_at(value, "/header/event_type") {
        "im.message.receive_v1" => message(value, id).map(Event::Message),
        "card.action.trigger" => Ok(Event::CardAction {
            id,
            from: owned("/event/operator/open_id"),
            chat: owned("/event/context/open_chat_id"),
            value: value.pointer("/event/action/value").cloned().unwrap_or(Value::Null),
        }),
        kind => Ok(Event::Other { id, kind: kind.to_owned() }),
    }
}

fn message(value: &Value, event_id: String) -> Result<Message, Rejected> {
    let owned = |pointer: &str| text_at(value, pointer).to_owned();
    let (id, chat) = (owned("/event/message/message_id"), owned("/event/message/chat_id"));
    if id.is_empty() || chat.is_empty() {
        return Err(Rejected::Missing("message_id or chat_id"));
    }
    let content = parse_json(text_at(value, "/event/message/content").as_bytes())?;
    let mentions = value.pointer("/event/message/mentions").and_then(Value::as_array);
    let mentions: Vec<_> = mentions.into_iter().flatten().collect();
    let mut text = match text_at(value, "/event/message/message_type") {
        "text" => text_at(&content, "/text").to_owned(),
        "post" => post_text(&content),
        _ => String::new(),
    };
    for mention in &mentions {
        let key = text_at(mention, "/key");
        if !key.is_empty() {
            text = text.replace(key, &format!("@{}", text_at(mention, "/name")));
        }
    }
    let each = |pointer: &str| mentions.iter().map(|mention| text_at(mention, pointer).to_owned()).collect();
    Ok(Message {
        is_group: text_at(value, "/event/message/chat_type") != "p2p",
        from: owned("/event/sender/sender_id/open_id"),
        is_person: text_at(value, "/event/sender/sender_type") == "user",
        mentioned: each("/id/open_id"),
        names: each("/name"),
        created_at_ms: text_at(value, "/event/message/create_time").parse().unwrap_or(0),
        event_id,
        id,
        chat,
        text,
    })
}

/// A rich text as lines: its title, then its paragraphs.
fn post_text(content: &Value) -> String {
    let mut lines = vec![text_at(content, "/title").to_owned()];
    for paragraph in content.get("content").and_then(Value::as_array).into_iter().flatten() {
        let parts = paragraph.as_array().into_iter().flatten();
        lines.push(
            parts
                .map(|part| match text_at(part, "/tag") {
                    "at" => text_at(part, "/user_id"),
                    _ => text_at(part, "/text"),
                })
                .collect(),
        );
    }
    lines.retain(|line: &String| !line.trim().is_empty());
    lines.join("\n")
}

/// A frame of the long connection: the fields of the protobuf message `pbbp2.Frame` that are used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WireFrame {
    /// `SeqID`.
    pub sequence: u64,
    /// `LogID`.
    pub log: u64,
    /// The app's number at the gateway.
    pub service: i32,
    /// [`WireFrame::CONTROL`] or [`WireFrame::DATA`].
    pub method: i32,
    /// Names and values, in their order.
    pub headers: Vec<(String, String)>,
    /// The event as JSON, or a part of it.
    pub payload: Vec<u8>,
}

impl WireFrame {
    /// The method of pings and pongs.
    pub const CONTROL: i32 = 0;
    /// The method of events.
    pub const DATA: i32 = 1;

    /// What shows the gateway that this side lives.
    pub fn ping(service: i32) -> Self {
        let headers = vec![("type".to_owned(), "ping".to_owned())];
        Self { service, method: Self::CONTROL, headers, ..Self::default() }
    }

    /// A header's value; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// The same frame with the time that was taken, in ms, and this payload.
    pub fn acknowledge(&self, took_ms: u64, payload: Vec<u8>) -> Self {
        let mut frame = Self { payload, ..self.clone() };
        frame.headers.push(("biz_rt".to_owned(), took_ms.to_string()));
        frame
    }

    /// As protobuf writes it.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_number(&mut bytes, 1, self.sequence);
        put_number(&mut bytes, 2, self.log);
        // Protobuf writes negative numbers as long ones.
        put_number(&mut bytes, 3, i64::from(self.service) as u64);
        put_number(&mut bytes, 4, i64::from(self.method) as u64);
        for (name, value) in &self.headers {
            let mut header = Vec::new();
            put_bytes(&mut header, 1, name.as_bytes());
            put_bytes(&mut header, 2, value.as_bytes());
            put_bytes(&mut bytes, 5, &header);
        }
        if !self.payload.is_empty() {
            put_bytes(&mut bytes, 8, &self.payload);
        }
        bytes
    }

    /// From protobuf's bytes; fields of other numbers are left out.
    ///
    /// # Errors
    /// [`Rejected::Format`] where they break off or are of another form.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, Rejected> {
        let mut frame = Self::default();
        while let Some((number, field)) = take_field(&mut bytes)? {
            match (number, field) {
                (1, Field::Number(value)) => frame.sequence = value,
                (2, Field::Number(value)) => frame.log = value,
                (3, Field::Number(value)) => frame.service = value as i32,
                (4, Field::Number(value)) => frame.method = value as i32,
                (5, Field::Bytes(mut header)) => {
                    let (mut name, mut value) = (String::new(), String::new());
                    while let Some((number, field)) = take_field(&mut header)? {
                        let Field::Bytes(text) = field else { continue };
                        let text = String::from_utf8_lossy(text).into_owned();
                        match number {
                            1 => name = text,
                            2 => value = text,
                            _ => {}
                        }
                    }
                    frame.headers.push((name, value));
                }
                (8, Field::Bytes(payload)) => frame.payload = payload.to_vec(),
                _ => {}
            }
        }
        Ok(frame)
    }
}

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Other,
}

fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value > 0x7F {
        bytes.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn put_number(bytes: &mut Vec<u8>, number: u64, value: u64) {
    put_varint(bytes, number << 3);
    put_varint(bytes, value);
}

fn put_bytes(bytes: &mut Vec<u8>, number: u64, value: &[u8]) {
    put_varint(bytes, (number << 3) | 2);
    put_varint(bytes, value.len() as u64);
    bytes.extend_from_slice(value);
}

fn take<'a>(bytes: &mut &'a [u8], n: usize) -> Result<&'a [u8], Rejected> {
    let (taken, rest) = bytes.split_at_checked(n).ok_or_else(|| Rejected::format("the frame breaks off"))?;
    *bytes = rest;
    Ok(taken)
}

fn take_varint(bytes: &mut &[u8]) -> Result<u64, Rejected> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Rejected::format("a number of the frame is too long"))
}

/// The next field and its number; `None` at the end.
fn take_field<'a>(bytes: &mut &'a [u8]) -> Result<Option<(u64, Field<'a>)>, Rejected> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let key = take_varint(bytes)?;
    let field = match key & 7 {
        0 => Field::Number(take_varint(bytes)?),
        1 => take(bytes, 8).map(|_| Field::Other)?,
        2 => {
            let length = usize::try_from(take_varint(bytes)?).unwrap_or(usize::MAX);
            Field::Bytes(take(bytes, length)?)
        }
        5 => take(bytes, 4).map(|_| Field::Other)?,
        _ => return Err(Rejected::format("the frame holds a field of an unknown form")),
    };
    Ok(Some((key >> 3, field)))
}

/// The answer to the address check.
pub fn challenge_reply(challenge: &str) -> Value {
    json!({"challenge": challenge})
}

/// The body of a reply in plain text. `uuid` makes sending it again harmless for an hour.
pub fn text_body(text: &str, uuid: &str) -> Value {
    // `<at …>` inside a text would call people.
    let text = text.replace('<', "＜");
    json!({"msg_type": "text", "content": json!({"text": text}).to_string(), "uuid": uuid})
}

/// The body of a reply with a card that holds Markdown.
pub fn card_body(markdown: &str, uuid: &str) -> Value {
    json!({"msg_type": "interactive", "content": card(markdown, false).to_string(), "uuid": uuid})
}

/// The body of a reply with a card that was made before.
pub fn card_entity_body(card_id: &str, uuid: &str) -> Value {
    let content = json!({"type": "card", "data": {"card_id": card_id}});
    json!({"msg_type": "interactive", "content": content.to_string(), "uuid": uuid})
}

/// Markdown without what would call people.
pub fn calling_nobody(markdown: &str) -> String {
    markdown.replace("<at", "＜at")
}

/// A card (JSON 2.0) with one Markdown element; `is_streaming` while its text still grows.
pub fn card(markdown: &str, is_streaming: bool) -> Value {
    let summary = if is_streaming { "[生成中]" } else { "" };
    let markdown = calling_nobody(markdown);
    json!({"schema": "2.0",
           "config": {"streaming_mode": is_streaming, "update_multi": true, "summary": {"content": summary}},
           "body": {"elements": [{"tag": "markdown", "content": markdown, "element_id": ANSWER_ELEMENT}]}})
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRETS: Secrets<'_> = Secrets { encrypt_key: "key", verification_token: "token" };

    fn request(plain: &Value) -> String {
        json!({"encrypt": encrypt_with("key", &plain.to_string(), &[3; 16])}).to_string()
    }

    #[test]
    fn everything_but_the_address_check_must_be_signed() {
        let challenge = request(&json!({"type": "url_verification", "token": "token", "challenge": "c"}));
        assert_eq!(open(SECRETS, None, challenge.as_bytes(), 0), Ok(Event::Challenge("c".to_owned())));
        let event = json!({"header": {"event_id": "e", "event_type": "x", "token": "token"}});
        let body = request(&event);
        assert!(matches!(open(SECRETS, None, body.as_bytes(), 0), Err(Rejected::Missing(_))));
        let signed = signature("1000", "n", "key", body.as_bytes());
        let headers = Headers { timestamp: "1000", nonce: "n", signature: &signed };
        assert!(matches!(open(SECRETS, Some(headers), body.as_bytes(), 1100), Ok(Event::Other { .. })));
        assert!(matches!(open(SECRETS, Some(headers), body.as_bytes(), 2000), Err(Rejected::Clock { .. })));
        let plain = event.to_string();
        assert!(matches!(open(SECRETS, None, plain.as_bytes(), 0), Err(Rejected::Missing(_))));
    }

    #[test]
    fn a_wrong_key_is_a_wrong_key_and_a_missing_one_is_named() {
        let body = request(&json!({"type": "url_verification", "token": "token", "challenge": "c"}));
        let other = Secrets { encrypt_key: "other", ..SECRETS };
        assert_eq!(open(other, None, body.as_bytes(), 0), Err(Rejected::Padding));
        let none = Secrets { encrypt_key: "", ..SECRETS };
        assert!(matches!(open(none, None, body.as_bytes(), 0), Err(Rejected::Key(_))));
    }

    #[test]
    fn an_answer_calls_nobody() {
        let body = text_body("<at user_id=\"all\">所有人</at>", "u").to_string();
        assert!(!body.contains("<at"), "{body}");
        assert!(!card_body("<at id=all></at>", "u").to_string().contains("<at"));
    }
}
