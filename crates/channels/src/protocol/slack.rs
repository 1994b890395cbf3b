//! Slack's Events API: the signature, the address check, and messages to the bot.

use serde_json::{Value, json};

use super::{Rejected, check_clock, parse_json, parse_time, seal, text_at};

/// How far a request's time may be from the clock, in s.
pub const TOLERANCE_S: i64 = 300;

/// What a request says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Slack checks the address: answer with the text.
    Challenge(String),
    /// Someone wrote to the bot.
    Message(Message),
    /// Something that must not be answered: a bot's own message, an edit, another event.
    Ignored(&'static str),
}

/// A message to the bot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Unique among events; a repeated delivery has the same.
    pub event_id: String,
    /// The workspace.
    pub team: String,
    /// The channel.
    pub channel: String,
    /// Whether it was written to the bot alone.
    pub is_direct: bool,
    /// The writer.
    pub user: String,
    /// What was written, mentions taken out.
    pub text: String,
    /// The thread to answer in: the message's own, or the one that it stands in.
    pub thread_ts: String,
}

/// The signature over a request: `v0=` and 64 hexadecimal digits.
pub fn signature(signing_secret: &str, timestamp_s: &str, body: &[u8]) -> String {
    let mac = seal::hmac_sha256(signing_secret.as_bytes(), &[b"v0:", timestamp_s.as_bytes(), b":", body]);
    format!("v0={}", seal::hex(&mac))
}

/// Checks the headers `X-Slack-Request-Timestamp` and `X-Slack-Signature`.
///
/// # Errors
/// [`Rejected::Signature`] first, then [`Rejected::Clock`].
pub fn verify(
    signing_secret: &str,
    timestamp_s: &str,
    signed: &str,
    body: &[u8],
    now_s: i64,
) -> Result<(), Rejected> {
    if signing_secret.is_empty() {
        return Err(Rejected::Key("signing secret is empty"));
    }
    if !seal::equal(&signature(signing_secret, timestamp_s, body), signed) {
        return Err(Rejected::Signature("signing secret"));
    }
    check_clock(parse_time(timestamp_s)?, now_s, TOLERANCE_S)
}

/// What a verified body says.
///
/// # Errors
/// [`Rejected::Format`] when it is not JSON; [`Rejected::Missing`].
pub fn parse(body: &[u8]) -> Result<Event, Rejected> {
    let value = parse_json(body)?;
    let owned = |pointer: &str| text_at(&value, pointer).to_owned();
    match text_at(&value, "/type") {
        "url_verification" => return Ok(Event::Challenge(owned("/challenge"))),
        "event_callback" => {}
        _ => return Ok(Event::Ignored("not an event")),
    }
    let has = |pointer: &str| value.pointer(pointer).is_some_and(|value| !value.is_null());
    if has("/event/bot_id") {
        return Ok(Event::Ignored("a bot's own message"));
    }
    let is_direct = text_at(&value, "/event/channel_type") == "im";
    let is_to_bot = match text_at(&value, "/event/type") {
        "app_mention" => true,
        // A message in a channel that calls the bot comes a second time, as `app_mention`.
        "message" => is_direct && !has("/event/subtype"),
        _ => false,
    };
    if !is_to_bot {
        return Ok(Event::Ignored("not written to the bot"));
    }
    let (event_id, channel) = (owned("/event_id"), owned("/event/channel"));
    if event_id.is_empty() || channel.is_empty() {
        return Err(Rejected::Missing("event_id or channel"));
    }
    let thread = Some(owned("/event/thread_ts")).filter(|ts| !ts.is_empty());
    Ok(Event::Message(Message {
        team: owned("/team_id"),
        user: owned("/event/user"),
        text: without_mentions(text_at(&value, "/event/text")),
        thread_ts: thread.unwrap_or_else(|| owned("/event/ts")),
        event_id,
        channel,
        is_direct,
    }))
}

/// `<@U0LAN0Z89>` is a mention; Slack escapes `<` in what people type.
fn without_mentions(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<@") {
        kept.push_str(before);
        rest = after.split_once('>').map_or("", |(_, rest)| rest);
    }
    kept.push_str(rest);
    kept.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").trim().to_owned()
}

/// The body of `chat.postMessage`. The text is escaped, so that it calls nobody and links to nothing by itself.
pub fn post_body(channel: &str, thread_ts: &str, text: &str) -> Value {
    json!({"channel": channel, "thread_ts": thread_ts, "text": escape(text), "unfurl_links": false,
           "unfurl_media": false})
}

/// The body of `chat.startStream` where `reply` (of [`crate::Inbound`]) leads.
pub fn start_body(reply: &Value) -> Value {
    let mut body = json!({"channel": text_at(reply, "/channel"), "thread_ts": text_at(reply, "/thread_ts")});
    for (field, pointer) in [("recipient_team_id", "/team"), ("recipient_user_id", "/user")] {
        let value = text_at(reply, pointer);
        if !value.is_empty() {
            body[field] = json!(value);
        }
    }
    body
}

/// The body of `chat.stopStream` with the text that the message ends with, escaped as in [`post_body`].
pub fn stop_body(channel: &str, ts: &str, text: &str) -> Value {
    json!({"channel": channel, "ts": ts, "chunks": [{"type": "markdown_text", "text": escape(text)}]})
}

/// As Slack wants the three letters that are its own.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_body_and_five_minutes() {
        let signed = signature("secret", "1790000000", b"body");
        let check = |body: &[u8], now_s| verify("secret", "1790000000", &signed, body, now_s);
        assert_eq!(check(b"body", 1_790_000_300), Ok(()));
        assert_eq!(check(b"Body", 1_790_000_000), Err(Rejected::Signature("signing secret")));
        assert!(matches!(check(b"body", 1_790_000_301), Err(Rejected::Clock { .. })));
        assert!(verify("", "1790000000", &signature("", "1790000000", b""), b"", 1_790_000_000).is_err());
    }

    #[test]
    fn a_message_in_a_channel_is_answered_once_and_edits_never() {
        let event = |event: Value| {
            parse(json!({"type": "event_callback", "event_id": "e", "event": event}).to_string().as_bytes())
        };
        let said = json!({"type": "message", "channel": "C", "channel_type": "channel", "text": "<@U1> hi"});
        assert!(matches!(event(said), Ok(Event::Ignored(_))));
        let edited =
            json!({"type": "message", "channel": "D", "channel_type": "im", "subtype": "message_changed"});
        assert!(matches!(event(edited), Ok(Event::Ignored(_))));
        let direct =
            json!({"type": "message", "channel": "D", "channel_type": "im", "text": "a &lt; b", "ts": "1.1"});
        let Ok(Event::Message(message)) = event(direct) else { panic!("a message") };
        assert_eq!((message.text.as_str(), message.thread_ts.as_str()), ("a < b", "1.1"));
    }

    #[test]
    fn an_answer_calls_nobody() {
        assert_eq!(post_body("C", "1", "<!channel> & co")["text"], "&lt;!channel&gt; &amp; co");
        assert_eq!(stop_body("C", "1", "<!channel>")["chunks"][0]["text"], "&lt;!channel&gt;");
    }
}
