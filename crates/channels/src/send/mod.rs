//! Sending: what is to be said, and how each platform wants it.
//!
//! A platform that says its token has expired gets a new one and the request again, once. What may succeed later is
//! [`SendError::Later`]; the queue keeps it. Tokens live in memory only and are never logged.

mod cards;
mod dingtalk;
mod feishu;
mod robot;
mod slack;
mod webhook;
mod wecom;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::connection::Lines;
use crate::outward::Answered;
use crate::{Account, Credentials, Delivery, Hook, Outward, StoreError};

/// Whose words a delivery holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The bot's: dropped when a person has taken the conversation in the meantime.
    Bot,
    /// The bot's last ones before a person takes over.
    Notice,
    /// A person's.
    Person,
}

/// What is to be sent, and to whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outbound {
    /// Whose words they are.
    pub by: By,
    /// What it is.
    pub payload: Payload,
    /// As [`crate::Inbound::reply`].
    pub reply: Value,
}

/// What is to be sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payload {
    /// A text, short enough for the platform.
    Text(String),
    /// What to ask next, as buttons, and one for a person.
    Menu(Vec<String>),
    /// The conversation goes to a person.
    HandOver {
        /// Why.
        reason: String,
        /// Where it stands, for the person.
        summary: String,
        /// What could be answered; empty where nothing could.
        suggestion: String,
    },
    /// The place of an answer that is being looked for, where the channel has cards.
    Opening,
    /// The end of that place where no answer comes.
    Closing,
    /// An event for a webhook of the settings.
    Event {
        /// `gap.created`, `handover.requested`, …
        kind: String,
        /// What it is about.
        data: Value,
    },
}

/// Why something was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It may succeed later.
    #[error("{reason}")]
    Later {
        /// How long the platform asks to wait.
        after: Option<Duration>,
        /// Why.
        reason: String,
    },
    /// A person has the conversation, or it has ended: it must not be sent any more.
    #[error("{0}")]
    Person(String),
    /// It will never succeed.
    #[error("{0}")]
    Refused(String),
}

impl SendError {
    pub(crate) fn later(reason: impl Into<String>) -> Self {
        Self::Later { after: None, reason: reason.into() }
    }
}

impl From<StoreError> for SendError {
    /// What cannot be read or noted now may be later.
    fn from(error: StoreError) -> Self {
        Self::later(error.to_string())
    }
}

/// How long before its end a token is fetched anew.
const EARLY: Duration = Duration::from_mins(5);

struct Token {
    text: String,
    until: Instant,
}

/// Sends to all platforms.
pub struct Sender {
    outward: Outward,
    /// The connections that answers go out over.
    lines: Lines,
    /// By account; an account's own lock is held while its token is fetched, so that it is fetched once.
    tokens: Mutex<HashMap<String, Arc<Mutex<Option<Token>>>>>,
}

impl Sender {
    /// A sender that asks through this client.
    pub fn new(outward: Outward) -> Self {
        Self { outward, lines: Lines::default(), tokens: Mutex::new(HashMap::new()) }
    }

    pub(crate) fn lines(&self) -> &Lines {
        &self.lines
    }

    pub(crate) fn outward(&self) -> &Outward {
        &self.outward
    }

    /// Sends one delivery.
    ///
    /// # Errors
    /// As [`SendError`].
    pub async fn send(&self, account: &Account, delivery: &Delivery) -> Result<(), SendError> {
        match &account.credentials {
            Credentials::WecomApp { agent_id, .. } => self.wecom_app(account, *agent_id, delivery).await,
            Credentials::WecomKf { .. } => self.wecom_kf(account, delivery).await,
            Credentials::WecomRobot { .. } => self.wecom_robot(account, delivery).await,
            Credentials::WecomRobotLine { .. } => self.robot_line(account, delivery).await,
            Credentials::Dingtalk { robot_code, .. } => self.dingtalk(account, robot_code, delivery).await,
            Credentials::Feishu { .. } => self.feishu(account, delivery).await,
            Credentials::Slack { bot_token, .. } => self.slack(account, bot_token, delivery).await,
            Credentials::Webhook { secrets, callback_url } => {
                self.webhook(secrets, callback_url, delivery).await
            }
        }
    }

    /// Sends an event to a webhook of the settings.
    ///
    /// # Errors
    /// As [`SendError`].
    pub async fn announce(&self, hook: &Hook, delivery: &Delivery) -> Result<(), SendError> {
        self.webhook(&hook.secrets, &hook.url, delivery).await
    }

    /// Asks the platform whether it knows this account, without writing to anybody. What was found, for a person.
    ///
    /// # Errors
    /// As [`SendError`]: the text says which of address, key and permission to look at.
    pub async fn test(&self, account: &Account) -> Result<String, SendError> {
        match &account.credentials {
            Credentials::WecomApp { .. }
            | Credentials::WecomKf { .. }
            | Credentials::Dingtalk { .. }
            | Credentials::Feishu { .. } => {
                self.forget(account).await;
                self.token(account).await?;
                Ok("平台已确认凭据有效 (the platform gave a token)".to_owned())
            }
            Credentials::WecomRobot { token, encoding_aes_key } => {
                let crypt = crate::protocol::wecom::Crypt::new(token, encoding_aes_key, "");
                crypt.map_err(|error| SendError::Refused(error.to_string()))?;
                Ok("密钥格式正确；智能机器人没有可主动调用的接口，请在平台页面保存回调地址来验证 (the key has the right \
                    form; save the address on WeCom's page to check it)"
                    .to_owned())
            }
            Credentials::WecomRobotLine { .. } => {
                self.lines.call(&account.id).await?;
                Ok("平台已确认凭据有效，长连接已建立 (the connection is up)".to_owned())
            }
            Credentials::Slack { bot_token, .. } => self.slack_test(account, bot_token).await,
            Credentials::Webhook { secrets, callback_url } => self.webhook_test(secrets, callback_url).await,
        }
    }

    /// The account's token, fetched where there is none or it is about to end.
    async fn token(&self, account: &Account) -> Result<String, SendError> {
        let slot = self.slot(account).await;
        let mut known = slot.lock().await;
        if let Some(token) = known.as_ref().filter(|token| Instant::now() < token.until) {
            return Ok(token.text.clone());
        }
        let (text, lifetime_s) = match &account.credentials {
            Credentials::WecomApp { corp_id, secret, .. } | Credentials::WecomKf { corp_id, secret, .. } => {
                self.wecom_token(account, corp_id, secret).await?
            }
            Credentials::Dingtalk { app_key, app_secret, .. } => {
                self.dingtalk_token(account, app_key, app_secret).await?
            }
            Credentials::Feishu { app_id, app_secret, .. } => {
                self.feishu_token(account, app_id, app_secret).await?
            }
            _ => return Err(SendError::Refused("this platform has no tokens".to_owned())),
        };
        let lifetime = Duration::from_secs(lifetime_s);
        let until = Instant::now() + lifetime.checked_sub(EARLY).unwrap_or(lifetime / 2);
        *known = Some(Token { text: text.clone(), until });
        Ok(text)
    }

    async fn slot(&self, account: &Account) -> Arc<Mutex<Option<Token>>> {
        Arc::clone(self.tokens.lock().await.entry(account.id.clone()).or_default())
    }

    async fn forget(&self, account: &Account) {
        *self.slot(account).await.lock().await = None;
    }

    /// Calls with the account's token, and once more with a new one where the platform says that it has expired.
    async fn call_with_token(
        &self,
        account: &Account,
        method: Method,
        address: impl Fn(&str) -> String,
        header: Option<(&'static str, &'static str)>,
        body: &Value,
        is_expired: impl Fn(&Answered) -> bool,
    ) -> Result<Answered, SendError> {
        let mut is_second = false;
        loop {
            let token = self.token(account).await?;
            let headers: Vec<_> =
                header.iter().map(|(name, scheme)| (*name, format!("{scheme}{token}"))).collect();
            let answered = self.outward.call(method.clone(), &address(&token), &headers, Some(body)).await?;
            if !is_expired(&answered) || is_second {
                return Ok(answered);
            }
            self.forget(account).await;
            is_second = true;
        }
    }
}

/// The number at a JSON pointer; `None` where there is none.
fn number_at(value: &Value, pointer: &str) -> Option<i64> {
    value.pointer(pointer).and_then(Value::as_i64)
}

/// The text of a payload for a platform that shows a menu as text.
fn as_text(payload: &Payload) -> Option<String> {
    match payload {
        Payload::Text(text) => Some(text.clone()),
        Payload::Menu(questions) => {
            Some(questions.iter().map(|question| format!("· {question}\n")).collect())
        }
        // The notice before it is all that these platforms can do.
        Payload::HandOver { .. } | Payload::Opening | Payload::Closing | Payload::Event { .. } => None,
    }
}
