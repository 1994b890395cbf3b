//! What came in, whatever the platform.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A message or a sign from a platform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inbound {
    /// The conversation that it belongs to.
    pub conversation: String,
    /// Unique in the account; a repeated delivery has the same.
    pub message_id: String,
    /// Who wrote it.
    pub sender: String,
    /// When it was written, in ms since 1970; 0 where the platform does not say.
    pub sent_ms: i64,
    /// Whether it asks to be answered as a customer, whoever the account is for.
    pub as_customer: bool,
    /// What it says.
    pub content: Content,
    /// What a reply needs to reach its reader; understood by the platform's own sender only.
    pub reply: Value,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// A text.
    Text(String),
    /// The button that asks for a person.
    WantsPerson,
    /// Something that is not read: its kind.
    Unreadable(String),
    /// Nothing yet: messages are to be pulled from the platform.
    Pull {
        /// Makes the pull cheaper; good for ten minutes.
        token: String,
        /// The account of 微信客服.
        open_kfid: String,
    },
    /// A person of the company has taken the conversation.
    PersonJoined,
    /// The conversation is the bot's again.
    PersonLeft,
    /// A reader's judgement of an answer.
    Feedback {
        /// Whether it was good; `None` where the judgement was taken back.
        is_good: Option<bool>,
        /// The reader's words.
        text: String,
    },
}

impl Content {
    /// Whether it is to be worked on, rather than only noted.
    pub fn waits(&self) -> bool {
        matches!(self, Self::Text(_) | Self::WantsPerson | Self::Unreadable(_) | Self::Pull { .. })
    }

    /// That a person has taken the conversation, or has left it.
    pub fn person(&self) -> Option<bool> {
        match self {
            Self::PersonJoined => Some(true),
            Self::PersonLeft => Some(false),
            _ => None,
        }
    }
}
