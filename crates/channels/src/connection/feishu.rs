//! Feishu's long connection: protobuf frames, of which one message is enough to be written by hand.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use reqwest::{Method, Url};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{Frame, Protocol};
use crate::protocol::feishu::{self, WireFrame};
use crate::protocol::{parse_json, text_at};
use crate::receive::feishu_inbound;
use crate::{Account, Credentials, Outward, SendError};

/// Parts of messages whose other parts have not come yet, at most.
const MAX_INCOMPLETE: usize = 64;
/// Parts of one message, at most.
const MAX_PARTS: usize = 64;
/// Parts wait this long for the others.
const PARTS_WAIT: Duration = Duration::from_mins(1);

/// One app's long connection.
pub(super) struct LongConnection {
    base_url: String,
    app_id: String,
    app_secret: String,
    bot_open_id: String,
    service: i32,
    ping_every: Duration,
    /// By message.
    incomplete: HashMap<String, Parts>,
}

/// A message's parts as far as they have come.
struct Parts {
    since: Instant,
    payloads: Vec<Option<Vec<u8>>>,
}

impl LongConnection {
    /// `None` for an account of another platform.
    pub fn new(account: &Account) -> Option<Self> {
        let Credentials::Feishu { app_id, app_secret, bot_open_id, .. } = &account.credentials else {
            return None;
        };
        Some(Self {
            base_url: account.base_url.clone(),
            app_id: app_id.clone(),
            app_secret: app_secret.clone(),
            bot_open_id: bot_open_id.clone(),
            service: 0,
            ping_every: Duration::from_mins(2),
            incomplete: HashMap::new(),
        })
    }

    /// The whole payload once all of its parts are there.
    fn joined(&mut self, frame: &WireFrame) -> Option<Vec<u8>> {
        let number = |name: &str| frame.header(name).parse::<usize>().unwrap_or(0);
        let (n_parts, seq) = (number("sum").max(1), number("seq"));
        if n_parts == 1 {
            return Some(frame.payload.clone());
        }
        if n_parts > MAX_PARTS || seq >= n_parts {
            return None;
        }
        self.incomplete.retain(|_, parts| parts.since.elapsed() < PARTS_WAIT);
        let id = frame.header("message_id");
        if self.incomplete.len() >= MAX_INCOMPLETE && !self.incomplete.contains_key(id) {
            return None;
        }
        let begun = || Parts { since: Instant::now(), payloads: vec![None; n_parts] };
        let parts = self.incomplete.entry(id.to_owned()).or_insert_with(begun);
        *parts.payloads.get_mut(seq)? = Some(frame.payload.clone());
        if parts.payloads.iter().any(Option::is_none) {
            return None;
        }
        let parts = self.incomplete.remove(id)?;
        Some(parts.payloads.into_iter().flatten().flatten().collect())
    }

    fn configure(&mut self, settings: &Value) {
        if let Some(seconds) = settings["PingInterval"].as_u64().filter(|seconds| (1..=600).contains(seconds))
        {
            self.ping_every = Duration::from_secs(seconds);
        }
    }
}

impl Protocol for LongConnection {
    async fn address(&mut self, outward: &Outward) -> Result<String, SendError> {
        let asked = json!({"AppID": self.app_id, "AppSecret": self.app_secret});
        let address = format!("{}/callback/ws/endpoint", self.base_url);
        let answered = outward.call(Method::POST, &address, &[], Some(&asked)).await?;
        let found = text_at(&answered.body, "/data/URL");
        if answered.body["code"] != 0 || found.is_empty() {
            let said: String = text_at(&answered.body, "/msg").chars().take(120).collect();
            return Err(SendError::Refused(format!(
                "Feishu gave no connection: code {} ({said}); check app_id and app_secret, and that the app is the \
                 company's own",
                answered.body["code"]
            )));
        }
        let url = Url::parse(found)
            .map_err(|error| SendError::Refused(format!("Feishu's endpoint cannot be read: {error}")))?;
        let service = url.query_pairs().find(|(name, _)| name == "service_id");
        self.service = service.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
        self.configure(&answered.body["data"]["ClientConfig"]);
        self.incomplete.clear();
        Ok(found.to_owned())
    }

    fn ping_every(&self) -> Duration {
        self.ping_every
    }

    fn ping(&mut self) -> Message {
        Message::binary(WireFrame::ping(self.service).encode())
    }

    fn read(&mut self, frame: Message) -> Frame {
        let Message::Binary(bytes) = frame else { return Frame::default() };
        let rejected = |reason: &str| Frame { rejected: Some(reason.to_owned()), ..Frame::default() };
        let began = Instant::now();
        let frame = match WireFrame::decode(&bytes) {
            Ok(frame) => frame,
            Err(error) => return rejected(&error.to_string()),
        };
        if frame.method == WireFrame::CONTROL {
            // A pong may bring other settings; they hold from the next connection on.
            if let Ok(settings) = serde_json::from_slice(&frame.payload) {
                self.configure(&settings);
            }
            return Frame::default();
        }
        let Some(payload) = self.joined(&frame) else { return Frame::default() };
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(0);
        let acknowledgement =
            Some(Message::binary(frame.acknowledge(took, br#"{"code":200}"#.to_vec()).encode()));
        if frame.header("type") != "event" {
            return Frame { acknowledgement, ..Frame::default() };
        }
        match parse_json(&payload).and_then(|event| feishu::parse(&event)) {
            Ok(feishu::Event::Message(message)) => {
                let messages = feishu_inbound(&message, &self.bot_open_id).into_iter().collect();
                Frame { messages, acknowledgement, ..Frame::default() }
            }
            Ok(_) => Frame { acknowledgement, ..Frame::default() },
            Err(error) => Frame { acknowledgement, ..rejected(&error.to_string()) },
        }
    }
}
