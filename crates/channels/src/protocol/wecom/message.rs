//! Callbacks of self-built apps and of 微信客服: XML outside, XML inside.

use std::collections::BTreeMap;

use super::super::Rejected;
use super::crypt::{Crypt, Signed};
use super::xml;

/// What a callback says, decrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Callback {
    /// A person wrote to the app.
    Text(TextMessage),
    /// 微信客服 has something to be pulled; the event itself says nothing more.
    KfEvent {
        /// Makes the pull cheaper for ten minutes.
        token: String,
        /// The account that it is for.
        open_kfid: String,
    },
    /// Something else: a picture, a place, an event. The message's type, and the event's name where it is one.
    Other {
        /// `image`, `voice`, `event`, …
        kind: String,
        /// `enter_agent`, `click`, …; empty where it is no event.
        event: String,
        /// The sender.
        from: String,
        /// To tell a repeated delivery.
        id: String,
    },
}

/// A text that a person wrote to the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextMessage {
    /// The person's user id.
    pub from: String,
    /// The corp id.
    pub to: String,
    /// What was written.
    pub text: String,
    /// Unique among the messages; to tell a repeated delivery.
    pub id: String,
    /// When it was written, in s since 1970.
    pub created_at_s: i64,
    /// The app.
    pub agent_id: String,
}

/// What stands in a request's `Encrypt` element.
///
/// # Errors
/// [`Rejected::Format`] when the body is not XML, [`Rejected::Missing`] when it has no such element.
pub fn encrypted_part(body: &str) -> Result<String, Rejected> {
    xml::read(body)?.remove("Encrypt").ok_or(Rejected::Missing("Encrypt element"))
}

/// What the decrypted XML says.
///
/// # Errors
/// [`Rejected::Format`] when it is not XML, or has a document type or entities; [`Rejected::Missing`].
pub fn parse(plain: &str) -> Result<Callback, Rejected> {
    let mut fields = xml::read(plain)?;
    let mut take = |name: &str| fields.remove(name).unwrap_or_default();
    let kind = take("MsgType");
    if kind.is_empty() {
        return Err(Rejected::Missing("MsgType"));
    }
    let event = take("Event");
    if kind == "event" && event == "kf_msg_or_event" {
        return Ok(Callback::KfEvent { token: take("Token"), open_kfid: take("OpenKfId") });
    }
    let (from, created_at) = (take("FromUserName"), take("CreateTime"));
    let id = Some(take("MsgId")).filter(|id| !id.is_empty()).unwrap_or_else(|| format!("{from}{created_at}"));
    if kind != "text" {
        return Ok(Callback::Other { kind, event, from, id });
    }
    if from.is_empty() {
        return Err(Rejected::Missing("FromUserName"));
    }
    Ok(Callback::Text(TextMessage {
        created_at_s: created_at.parse().unwrap_or(0),
        to: take("ToUserName"),
        text: take("Content"),
        agent_id: take("AgentID"),
        from,
        id,
    }))
}

/// A text as a passive reply, before it is encrypted. Its times are in s since 1970.
pub fn text_reply(to: &str, from: &str, created_at_s: i64, text: &str) -> String {
    format!(
        "<xml><ToUserName>{}</ToUserName><FromUserName>{}</FromUserName><CreateTime>{created_at_s}</CreateTime>\
         <MsgType><![CDATA[text]]></MsgType><Content>{}</Content></xml>",
        xml::cdata(to),
        xml::cdata(from),
        xml::cdata(text)
    )
}

/// An encrypted reply as the body of an answer: signed over its own time and the nonce.
///
/// # Errors
/// As [`Crypt::seal`].
pub fn envelope(crypt: &Crypt, plain: &str, timestamp_s: i64, nonce: &str) -> Result<String, Rejected> {
    let encrypt = crypt.seal(plain)?;
    let signature = crypt.signature(&timestamp_s.to_string(), nonce, &encrypt);
    Ok(format!(
        "<xml><Encrypt>{}</Encrypt><MsgSignature>{}</MsgSignature><TimeStamp>{timestamp_s}</TimeStamp>\
         <Nonce>{}</Nonce></xml>",
        xml::cdata(&encrypt),
        xml::cdata(&signature),
        xml::cdata(nonce)
    ))
}

/// Verifies and decrypts an envelope as [`envelope`] writes it: the other direction, for tests and test clients.
///
/// # Errors
/// As [`Crypt::open`]; [`Rejected::Missing`] names what is not there.
pub fn open_envelope(crypt: &Crypt, body: &str) -> Result<String, Rejected> {
    fn take<'a>(fields: &'a BTreeMap<String, String>, name: &'static str) -> Result<&'a str, Rejected> {
        fields.get(name).map(String::as_str).ok_or(Rejected::Missing(name))
    }
    let fields = xml::read(body)?;
    crypt.open(Signed {
        signature: take(&fields, "MsgSignature")?,
        timestamp: take(&fields, "TimeStamp")?,
        nonce: take(&fields, "Nonce")?,
        encrypt: take(&fields, "Encrypt")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_without_an_id_is_told_by_sender_and_time() {
        let plain = "<xml><FromUserName>lisi</FromUserName><CreateTime>7</CreateTime><MsgType>event</MsgType>\
                     <Event>enter_agent</Event></xml>";
        let Ok(Callback::Other { event, id, .. }) = parse(plain) else { panic!("it is an event") };
        assert_eq!((event.as_str(), id.as_str()), ("enter_agent", "lisi7"));
    }

    #[test]
    fn a_reply_comes_back_through_its_envelope() {
        let key = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
        let crypt = Crypt::new("token", key, "corp").unwrap();
        let plain = text_reply("lisi", "corp", 7, "a]]>b</Content>");
        let body = envelope(&crypt, &plain, 1_790_000_000, "n").unwrap();
        let opened = open_envelope(&crypt, &body).unwrap();
        assert_eq!(opened, plain);
        assert_eq!(xml::read(&opened).unwrap()["Content"], "a]]>b</Content>");
    }
}
