//! From a request of a platform to what it says: verified, decrypted and read, with the answer that the platform
//! expects at once.

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::protocol::seal::hex;
use crate::protocol::wecom::{Crypt, Signed, kf, message, robot};
use crate::protocol::{Rejected, check_clock, dingtalk, feishu, parse_time, slack, webhook};
use crate::{Account, Content, Credentials, Inbound, Transport};

/// How far the signed time of a WeCom request may be from the clock, in s.
const WECOM_TOLERANCE_S: i64 = 300;

/// A request as it came.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Whether it is a GET, with which WeCom checks an address.
    pub is_get: bool,
    /// Name and value of the query's parameters, decoded.
    pub query: &'a [(String, String)],
    /// A header by its name in lower case; `None` where there is none.
    pub header: &'a dyn Fn(&str) -> Option<String>,
    /// The bytes as they came.
    pub body: &'a [u8],
    /// The time, in ms since 1970.
    pub now_ms: i64,
}

impl Request<'_> {
    fn parameter(&self, name: &'static str) -> Result<&str, Rejected> {
        let found = self.query.iter().find(|(parameter, _)| parameter == name);
        found.map(|(_, value)| value.as_str()).ok_or(Rejected::Missing(name))
    }

    fn header(&self, name: &'static str) -> Result<String, Rejected> {
        (self.header)(name).ok_or(Rejected::Missing(name))
    }

    fn now_s(&self) -> i64 {
        self.now_ms.div_euclid(1000)
    }
}

/// What a request says.
#[derive(Clone, Debug, PartialEq)]
pub enum Received {
    /// These messages, which may be known already; the answer goes out once they are stored.
    Messages(Vec<Inbound>, Reply),
    /// A smart robot's message; the answer opens a stream, see [`stream_reply`].
    Stream(Inbound, Stream),
    /// WeCom comes back for a stream.
    Refresh(Stream),
}

/// What the platform is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Nothing: taken.
    Empty,
    /// These words alone.
    Text(String),
    /// JSON.
    Json(String),
}

/// A smart robot's stream, and what its answer must repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its id, which is that of the message.
    pub id: String,
    /// The callback's own nonce.
    pub nonce: String,
}

/// Verifies and reads a request.
///
/// # Errors
/// As [`Rejected`] tells apart; nothing was stored, and the platform should be told no more than "no".
pub fn receive(account: &Account, request: Request<'_>) -> Result<Received, Rejected> {
    if account.transport == Transport::Connection {
        return Err(Rejected::Key("transport is `connection`: it takes no requests"));
    }
    match &account.credentials {
        Credentials::WecomApp { corp_id, token, encoding_aes_key, .. }
        | Credentials::WecomKf { corp_id, token, encoding_aes_key, .. } => {
            wecom(&Crypt::new(token, encoding_aes_key, corp_id)?, request)
        }
        // It has a line only, and was turned away above.
        Credentials::WecomRobotLine { .. } => Err(Rejected::Key("transport is `connection`")),
        Credentials::WecomRobot { token, encoding_aes_key } => {
            wecom_robot(&Crypt::new(token, encoding_aes_key, "")?, request)
        }
        Credentials::Dingtalk { app_secret, .. } => dingtalk_robot(app_secret, request),
        Credentials::Feishu { verification_token, encrypt_key, bot_open_id, .. } => {
            feishu_event(feishu::Secrets { encrypt_key, verification_token }, bot_open_id, request)
        }
        Credentials::Slack { signing_secret, .. } => slack_event(signing_secret, request),
        Credentials::Webhook { secrets, .. } => generic(&webhook::Secrets::new(secrets)?, request),
    }
}

fn open(crypt: &Crypt, request: Request<'_>, encrypt: &str) -> Result<String, Rejected> {
    let timestamp = request.parameter("timestamp")?;
    let signed = Signed {
        signature: request.parameter("msg_signature")?,
        timestamp,
        nonce: request.parameter("nonce")?,
        encrypt,
    };
    let plain = crypt.open(signed)?;
    check_clock(parse_time(timestamp)?, request.now_s(), WECOM_TOLERANCE_S)?;
    Ok(plain)
}

fn body_text(body: &[u8]) -> Result<&str, Rejected> {
    std::str::from_utf8(body).map_err(|_| Rejected::Utf8)
}

fn wecom(crypt: &Crypt, request: Request<'_>) -> Result<Received, Rejected> {
    if request.is_get {
        let echo = open(crypt, request, request.parameter("echostr")?)?;
        return Ok(Received::Messages(Vec::new(), Reply::Text(echo)));
    }
    let encrypt = message::encrypted_part(body_text(request.body)?)?;
    let plain = open(crypt, request, &encrypt)?;
    let messages = match message::parse(&plain)? {
        message::Callback::KfEvent { token, open_kfid } => {
            // Pulls of one account go one after the other, as messages of one conversation do.
            let parts = [request.parameter("timestamp")?, request.parameter("nonce")?, &token];
            vec![Inbound {
                conversation: format!("{open_kfid}/"),
                message_id: format!("pull-{}", digest(&parts)),
                sender: String::new(),
                sent_ms: 0,
                as_customer: false,
                content: Content::Pull { token, open_kfid },
                reply: serde_json::Value::Null,
            }]
        }
        message::Callback::Text(text) => vec![Inbound {
            conversation: text.from.clone(),
            message_id: text.id,
            sender: text.from.clone(),
            sent_ms: text.created_at_s.saturating_mul(1000),
            as_customer: false,
            content: Content::Text(text.text),
            reply: json!({"to": text.from}),
        }],
        message::Callback::Other { kind, from, id, .. } if kind != "event" && !from.is_empty() => {
            vec![Inbound {
                conversation: from.clone(),
                message_id: id,
                sender: from.clone(),
                sent_ms: 0,
                as_customer: false,
                content: Content::Unreadable(kind),
                reply: json!({"to": from}),
            }]
        }
        message::Callback::Other { .. } => Vec::new(),
    };
    Ok(Received::Messages(messages, Reply::Empty))
}

/// 32 hexadecimal digits that stand for these texts.
pub(crate) fn digest(texts: &[&str]) -> String {
    let mut sha = Sha256::new();
    for text in texts {
        sha.update((text.len() as u64).to_be_bytes());
        sha.update(text);
    }
    hex(&sha.finalize()[..16])
}

fn wecom_robot(crypt: &Crypt, request: Request<'_>) -> Result<Received, Rejected> {
    if request.is_get {
        let echo = open(crypt, request, request.parameter("echostr")?)?;
        return Ok(Received::Messages(Vec::new(), Reply::Text(echo)));
    }
    let plain = open(crypt, request, &robot::encrypted_part(request.body)?)?;
    let nonce = request.parameter("nonce")?.to_owned();
    Ok(match robot::parse(&plain)? {
        robot::Callback::Message { id, from, chat, text, response_url } => {
            // A repeated delivery opens the same stream.
            let stream = id.clone();
            let reply = json!({"response_url": response_url});
            Received::Stream(robot_inbound(id, from, chat, text, reply), Stream { id: stream, nonce })
        }
        robot::Callback::Refresh { stream_id } => Received::Refresh(Stream { id: stream_id, nonce }),
        robot::Callback::Feedback { id, feedback_id, is_good, text } => {
            let feedback = robot_feedback(id, feedback_id, is_good, text);
            Received::Messages(vec![feedback], Reply::Empty)
        }
        robot::Callback::Other { .. } => Received::Messages(Vec::new(), Reply::Empty),
    })
}

/// A message to a smart robot of WeCom, however it came.
pub(crate) fn robot_inbound(
    id: String,
    from: String,
    chat: Option<String>,
    text: String,
    reply: serde_json::Value,
) -> Inbound {
    Inbound {
        conversation: chat.unwrap_or_else(|| from.clone()),
        message_id: id,
        sender: from,
        sent_ms: 0,
        as_customer: false,
        content: Content::Text(text),
        reply,
    }
}

/// What a reader thinks of a smart robot's answer, however it came.
pub(crate) fn robot_feedback(
    id: String,
    feedback_id: String,
    is_good: Option<bool>,
    text: String,
) -> Inbound {
    Inbound {
        conversation: feedback_id,
        message_id: id,
        sender: String::new(),
        sent_ms: 0,
        as_customer: false,
        content: Content::Feedback { is_good, text },
        reply: serde_json::Value::Null,
    }
}

/// The encrypted answer to a smart robot's callback: the whole text so far, and whether it is all.
///
/// # Errors
/// [`Rejected::Key`] where the account has no robot's key or it cannot be used.
pub fn stream_reply(
    account: &Account,
    stream: &Stream,
    content: &str,
    is_finished: bool,
    now_ms: i64,
) -> Result<String, Rejected> {
    let Credentials::WecomRobot { token, encoding_aes_key } = &account.credentials else {
        return Err(Rejected::Key("platform is no smart robot"));
    };
    let crypt = Crypt::new(token, encoding_aes_key, "")?;
    let plain =
        robot::stream_reply(&stream.id, content, is_finished, is_finished.then_some(stream.id.as_str()));
    Ok(robot::envelope(&crypt, &plain, now_ms.div_euclid(1000), &stream.nonce)?.to_string())
}

fn dingtalk_robot(app_secret: &str, request: Request<'_>) -> Result<Received, Rejected> {
    let (timestamp, sign) = (request.header("timestamp")?, request.header("sign")?);
    dingtalk::verify(&timestamp, &sign, app_secret, request.now_ms)?;
    let inbound = dingtalk_inbound(dingtalk::parse(request.body)?);
    Ok(Received::Messages(vec![inbound], Reply::Json("{}".to_owned())))
}

/// A message to a robot of DingTalk, however it came.
pub(crate) fn dingtalk_inbound(message: dingtalk::Message) -> Inbound {
    let content =
        if message.text.is_empty() { Content::Unreadable(message.kind) } else { Content::Text(message.text) };
    Inbound {
        reply: json!({
            "session_webhook": message.session_webhook, "expires_ms": message.webhook_expires_ms,
            "group": message.is_group, "conversation": message.conversation, "user": message.from,
        }),
        conversation: message.conversation,
        message_id: message.id,
        // Nobody from outside the company may be told what is inside it.
        as_customer: !message.is_employee,
        sender: message.from,
        sent_ms: 0,
        content,
    }
}

fn feishu_event(
    secrets: feishu::Secrets<'_>,
    bot_open_id: &str,
    request: Request<'_>,
) -> Result<Received, Rejected> {
    let headers = [
        (request.header)("x-lark-request-timestamp"),
        (request.header)("x-lark-request-nonce"),
        (request.header)("x-lark-signature"),
    ];
    let headers = match &headers {
        [Some(timestamp), Some(nonce), Some(signature)] => {
            Some(feishu::Headers { timestamp, nonce, signature })
        }
        _ => None,
    };
    let taken = Reply::Json("{}".to_owned());
    let message = match feishu::open(secrets, headers, request.body, request.now_s())? {
        feishu::Event::Challenge(challenge) => {
            let reply = Reply::Json(feishu::challenge_reply(&challenge).to_string());
            return Ok(Received::Messages(Vec::new(), reply));
        }
        feishu::Event::Message(message) => message,
        _ => return Ok(Received::Messages(Vec::new(), taken)),
    };
    Ok(Received::Messages(feishu_inbound(&message, bot_open_id).into_iter().collect(), taken))
}

/// A message to a bot of Feishu, however it came; `None` where it is none of a person's to the bot.
pub(crate) fn feishu_inbound(message: &feishu::Message, bot_open_id: &str) -> Option<Inbound> {
    if !message.is_person {
        return None;
    }
    let own = if bot_open_id.is_empty() {
        message.mentioned.first().cloned()
    } else {
        Some(bot_open_id.to_owned())
    };
    let own = own.unwrap_or_default();
    if message.is_group && !message.mentioned.contains(&own) {
        return None;
    }
    let text = message.text_for(&own);
    Some(Inbound {
        conversation: message.chat.clone(),
        message_id: message.id.clone(),
        sender: message.from.clone(),
        sent_ms: message.created_at_ms,
        as_customer: false,
        content: if text.is_empty() {
            Content::Unreadable("message".to_owned())
        } else {
            Content::Text(text)
        },
        reply: json!({"message": message.id, "chat": message.chat}),
    })
}

fn slack_event(signing_secret: &str, request: Request<'_>) -> Result<Received, Rejected> {
    let timestamp = request.header("x-slack-request-timestamp")?;
    let signature = request.header("x-slack-signature")?;
    slack::verify(signing_secret, &timestamp, &signature, request.body, request.now_s())?;
    let message = match slack::parse(request.body)? {
        slack::Event::Challenge(challenge) => {
            return Ok(Received::Messages(Vec::new(), Reply::Text(challenge)));
        }
        slack::Event::Ignored(_) => return Ok(Received::Messages(Vec::new(), Reply::Empty)),
        slack::Event::Message(message) => message,
    };
    Ok(Received::Messages(vec![slack_inbound(message)], Reply::Empty))
}

/// A message to a bot of Slack, however it came.
pub(crate) fn slack_inbound(message: slack::Message) -> Inbound {
    let conversation = if message.is_direct {
        message.channel.clone()
    } else {
        format!("{}:{}", message.channel, message.thread_ts)
    };
    Inbound {
        conversation,
        message_id: message.event_id,
        sent_ms: 0,
        as_customer: false,
        content: Content::Text(message.text),
        reply: json!({
            "channel": message.channel, "thread_ts": message.thread_ts, "team": message.team,
            "user": message.user,
        }),
        sender: message.user,
    }
}

fn generic(secrets: &webhook::Secrets, request: Request<'_>) -> Result<Received, Rejected> {
    let id = request.header("webhook-id")?;
    let timestamp = request.header("webhook-timestamp")?;
    let signatures = request.header("webhook-signature")?;
    let headers = webhook::Headers { id: &id, timestamp: &timestamp, signatures: &signatures };
    secrets.verify(headers, request.body, request.now_s())?;
    let sign = |conversation: String, content: Content| Inbound {
        reply: json!({"conversation": conversation}),
        conversation,
        message_id: id.clone(),
        sender: String::new(),
        sent_ms: 0,
        as_customer: false,
        content,
    };
    let inbound = match webhook::parse(request.body)? {
        webhook::Event::PersonJoined { conversation } => sign(conversation, Content::PersonJoined),
        webhook::Event::PersonLeft { conversation } => sign(conversation, Content::PersonLeft),
        webhook::Event::Other(_) => return Ok(Received::Messages(Vec::new(), Reply::Empty)),
        webhook::Event::Message(message) => Inbound {
            reply: json!({"conversation": message.conversation}),
            // Ids are unique in a conversation only.
            message_id: format!("{}/{}", message.conversation, message.id),
            conversation: message.conversation,
            sender: message.sender,
            sent_ms: 0,
            as_customer: message.audience == "customer",
            content: Content::Text(message.text),
        },
    };
    Ok(Received::Messages(vec![inbound], Reply::Empty))
}

/// What a pull of 微信客服 brought: messages, and what belongs into the event log only.
pub(crate) fn pulled(items: Vec<kf::Item>) -> (Vec<Inbound>, Vec<(String, serde_json::Value)>) {
    let (mut messages, mut notes) = (Vec::new(), Vec::new());
    for item in items {
        let conversation = format!("{}/{}", item.open_kfid, item.customer);
        let content = match item.content {
            kf::Content::Customer { menu_id, .. } if menu_id == kf::HUMAN_MENU_ID => Content::WantsPerson,
            kf::Content::Customer { text, .. } => Content::Text(text),
            kf::Content::CustomerOther(kind) => Content::Unreadable(kind),
            kf::Content::Servicer(_) | kf::Content::TakenByPerson(_) => Content::PersonJoined,
            kf::Content::Ended => Content::PersonLeft,
            kf::Content::SendFailed { message_id, reason } => {
                let details = json!({"message": message_id, "fail_type": reason});
                notes.push(("send_failed".to_owned(), details));
                continue;
            }
            kf::Content::Entered { .. } | kf::Content::Other(_) => continue,
        };
        messages.push(Inbound {
            conversation,
            message_id: item.id,
            sender: item.customer.clone(),
            sent_ms: item.sent_at_s.saturating_mul(1000),
            as_customer: true,
            content,
            reply: json!({"to": item.customer, "open_kfid": item.open_kfid}),
        });
    }
    (messages, notes)
}
