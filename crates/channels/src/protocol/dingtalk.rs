//! DingTalk robots: the signed header of HTTP callbacks, their body, and the bodies of replies.
//!
//! The header's signature does not cover the body, so whoever has seen one request can send another body until its
//! time is over. The window is therefore short, repeated ids are dropped, and a reply goes only to DingTalk's own
//! hosts ([`is_reply_host`]). Event subscriptions use [`Crypt`].

use serde_json::{Value, json};

use super::wecom::Crypt;
use super::{Rejected, check_clock, parse_json, parse_time, seal, text_at};

/// How far a request's time may be from the clock, in s. DingTalk allows an hour, which is too long here.
pub const TOLERANCE_S: i64 = 300;

/// A message to the robot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Unique among messages.
    pub id: String,
    /// The chat.
    pub conversation: String,
    /// Whether several people are in it.
    pub is_group: bool,
    /// The sender's id in the company; DingTalk's own id for people from outside.
    pub from: String,
    /// Whether the sender has an id in the company.
    pub is_employee: bool,
    /// What was written or said; empty for pictures and files.
    pub text: String,
    /// `text`, `richText`, `audio`, `picture`, `file`, `video`.
    pub kind: String,
    /// Takes replies for about 90 minutes; check its host before using it.
    pub session_webhook: String,
    /// Until when, in ms since 1970.
    pub webhook_expires_ms: i64,
    /// The robot.
    pub robot_code: String,
}

/// The signature over a time in ms: base64.
pub fn sign(timestamp_ms: &str, app_secret: &str) -> String {
    let mac =
        seal::hmac_sha256(app_secret.as_bytes(), &[timestamp_ms.as_bytes(), b"\n", app_secret.as_bytes()]);
    seal::to_base64(&mac)
}

/// Checks the headers `timestamp` and `sign` of a callback.
///
/// # Errors
/// [`Rejected::Signature`] first, then [`Rejected::Clock`], so that a wrong secret is not taken for a wrong clock.
pub fn verify(timestamp_ms: &str, signature: &str, app_secret: &str, now_ms: i64) -> Result<(), Rejected> {
    if app_secret.is_empty() {
        return Err(Rejected::Key("app secret is empty"));
    }
    if !seal::equal(&sign(timestamp_ms, app_secret), signature) {
        return Err(Rejected::Signature("app secret"));
    }
    check_clock(parse_time(timestamp_ms)?.div_euclid(1000), now_ms.div_euclid(1000), TOLERANCE_S)
}

/// What a callback's body, or the data of a stream's frame, says.
///
/// # Errors
/// [`Rejected::Format`] when it is not JSON; [`Rejected::Missing`].
pub fn parse(body: &[u8]) -> Result<Message, Rejected> {
    let value = parse_json(body)?;
    let owned = |pointer: &str| text_at(&value, pointer).to_owned();
    let (id, conversation) = (owned("/msgId"), owned("/conversationId"));
    if id.is_empty() || conversation.is_empty() {
        return Err(Rejected::Missing("msgId or conversationId"));
    }
    let staff = owned("/senderStaffId");
    let kind = owned("/msgtype");
    let text = match kind.as_str() {
        "text" => owned("/text/content"),
        "audio" => owned("/content/recognition"),
        "richText" => rich_text(&value),
        _ => String::new(),
    };
    Ok(Message {
        is_group: text_at(&value, "/conversationType") == "2",
        is_employee: !staff.is_empty(),
        from: if staff.is_empty() { owned("/senderId") } else { staff },
        text: without_mention(&text).to_owned(),
        session_webhook: owned("/sessionWebhook"),
        webhook_expires_ms: value.get("sessionWebhookExpiredTime").and_then(Value::as_i64).unwrap_or(0),
        robot_code: owned("/robotCode"),
        id,
        conversation,
        kind,
    })
}

fn rich_text(value: &Value) -> String {
    let parts = value.pointer("/content/richText").and_then(Value::as_array);
    parts.into_iter().flatten().map(|part| text_at(part, "/text")).collect()
}

/// DingTalk takes the mention off and leaves its space; some clients leave the mention too.
fn without_mention(text: &str) -> &str {
    let text = text.trim();
    match text.strip_prefix('@') {
        Some(rest) => rest.split_once(char::is_whitespace).map_or(text, |(_, rest)| rest.trim()),
        None => text,
    }
}

/// Whether a reply may be sent to this host: DingTalk's own, whatever the request says.
pub fn is_reply_host(host: &str) -> bool {
    matches!(host, "oapi.dingtalk.com" | "api.dingtalk.com")
}

/// The body of a Markdown reply. A mention in the text stays text: nobody is called by it.
pub fn markdown_body(title: &str, text: &str) -> Value {
    json!({"msgtype": "markdown", "markdown": {"title": title, "text": text}, "at": {"isAtAll": false}})
}

/// The body of a plain reply.
pub fn text_body(text: &str) -> Value {
    json!({"msgtype": "text", "text": {"content": text}, "at": {"isAtAll": false}})
}

/// Longest text of a card that streams, in bytes of UTF-8.
pub const MAX_CARD_BYTES: usize = 3000;

/// The body that delivers a card of a template to where `reply` (of [`crate::Inbound`]) leads; `variable` holds the text.
pub fn card_body(
    template: &str,
    variable: &str,
    track: &str,
    robot_code: &str,
    reply: &Value,
    text: &str,
) -> Value {
    let mut body = json!({
        "cardTemplateId": template, "outTrackId": track, "callbackType": "STREAM",
        "cardData": {"cardParamMap": {variable: text}},
    });
    if reply["group"] == true {
        body["openSpaceId"] = json!(format!("dtv1.card//IM_GROUP.{}", text_at(reply, "/conversation")));
        body["imGroupOpenSpaceModel"] = json!({"supportForward": true});
        body["imGroupOpenDeliverModel"] = json!({"robotCode": robot_code});
    } else {
        body["openSpaceId"] = json!(format!("dtv1.card//IM_ROBOT.{}", text_at(reply, "/user")));
        body["imRobotOpenSpaceModel"] = json!({"supportForward": true});
        body["imRobotOpenDeliverModel"] = json!({"spaceType": "IM_ROBOT", "robotCode": robot_code});
    }
    body
}

/// The body that writes a card's whole text so far under a key by which a repetition is known; `is_last` closes the
/// card. `None` where the text is too long.
pub fn streaming_body(track: &str, guid: &str, variable: &str, text: &str, is_last: bool) -> Option<Value> {
    let text = broken(text);
    let body = json!({
        "outTrackId": track, "guid": guid, "key": variable, "isFull": true, "isFinalize": is_last,
        "isError": false, "content": text,
    });
    (text.len() <= MAX_CARD_BYTES).then_some(body)
}

/// Two spaces before a break are DingTalk's line break.
pub fn broken(text: &str) -> String {
    text.replace('\n', "  \n")
}

/// The answer to an event subscription's callback: `success`, encrypted.
///
/// # Errors
/// As [`Crypt::seal`].
pub fn event_reply(crypt: &Crypt, timestamp_ms: i64, nonce: &str) -> Result<Value, Rejected> {
    let encrypt = crypt.seal("success")?;
    let timestamp = timestamp_ms.to_string();
    let signature = crypt.signature(&timestamp, nonce, &encrypt);
    Ok(json!({"msg_signature": signature, "encrypt": encrypt, "timeStamp": timestamp, "nonce": nonce}))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "a secret of this test";

    #[test]
    fn a_request_is_taken_within_five_minutes_and_with_its_own_secret_only() {
        let signature = sign("1790000000000", SECRET);
        let at = |now_ms| verify("1790000000000", &signature, SECRET, now_ms);
        assert_eq!(at(1_790_000_299_000), Ok(()));
        assert!(matches!(at(1_790_000_301_000), Err(Rejected::Clock { skew_s: 301, .. })));
        assert!(matches!(at(1_789_999_000_000), Err(Rejected::Clock { .. })));
        let other = verify("1790000000000", &signature, "another", 1_790_000_000_000);
        assert_eq!(other, Err(Rejected::Signature("app secret")));
        assert!(verify("1790000000000", &sign("1790000000000", ""), "", 1_790_000_000_000).is_err());
    }

    #[test]
    fn people_from_outside_and_rich_text_are_read() {
        let body = json!({"msgId": "m", "conversationId": "c", "conversationType": "1", "senderId": "$:x",
                          "msgtype": "richText", "content": {"richText": [{"text": "交"}, {"text": "期"}]}});
        let message = parse(body.to_string().as_bytes()).unwrap();
        assert!(!message.is_employee && !message.is_group);
        assert_eq!((message.from.as_str(), message.text.as_str()), ("$:x", "交期"));
        assert!(parse(b"{}").is_err());
    }

    #[test]
    fn a_card_goes_to_the_group_or_to_the_one_who_asked() {
        let card = |reply: &Value| card_body("t.schema", "content", "track", "r", reply, "…");
        let group = card(&json!({"group": true, "conversation": "cid=", "user": "u"}));
        assert_eq!(group["openSpaceId"], "dtv1.card//IM_GROUP.cid=");
        assert_eq!(group["imGroupOpenDeliverModel"]["robotCode"], "r");
        let single = card(&json!({"group": false, "conversation": "cid=", "user": "u"}));
        assert_eq!(single["openSpaceId"], "dtv1.card//IM_ROBOT.u");
        assert_eq!(single["cardData"]["cardParamMap"], json!({"content": "…"}));
    }

    #[test]
    fn replies_go_to_dingtalk_only() {
        for host in ["oapi.dingtalk.com", "api.dingtalk.com"] {
            assert!(is_reply_host(host));
        }
        for host in ["169.254.169.254", "oapi.dingtalk.com.example.com", "example.com", ""] {
            assert!(!is_reply_host(host));
        }
    }
}
