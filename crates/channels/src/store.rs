//! What must outlive the program: queues, conversations, cursors, the event log.
//!
//! All calls block for as long as a disk takes; the pipeline puts them on threads that may wait.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Account, Inbound, Mode, Outbound};

/// The storage failed. What is queued stays queued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue cannot be read or written: {0}")]
pub struct StoreError(pub String);

/// What came in from one account, in one go.
#[derive(Clone, Debug, PartialEq)]
pub struct Push {
    /// The account.
    pub account: String,
    /// In the order in which they were said.
    pub messages: Vec<Inbound>,
    /// Where the next pull begins; `None` leaves it.
    pub cursor: Option<String>,
}

/// A message that waits.
#[derive(Clone, Debug, PartialEq)]
pub struct Queued {
    /// Rises in the order of arrival.
    pub id: i64,
    /// The account.
    pub account: String,
    /// The message.
    pub inbound: Inbound,
    /// How often it was tried.
    pub attempts: u32,
    /// When it came, in ms since 1970.
    pub received_ms: i64,
}

/// What is to be sent, or was.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Rises in the order of making; 0 where it is not stored yet.
    pub id: i64,
    /// The account, or `hook:` and the hook's id.
    pub account: String,
    /// The conversation.
    pub conversation: String,
    /// Names it to the platform: 32 hexadecimal digits.
    pub idempotency: String,
    /// The message that it answers; empty where there is none.
    pub message_id: String,
    /// What to send.
    pub outbound: Outbound,
    /// How often sending was begun.
    pub attempts: u32,
    /// Whether it was dropped or could not be sent.
    pub is_lost: bool,
    /// Not before, in ms since 1970.
    pub due_ms: i64,
}

/// How far the card of an answer is: the place that is shown before the answer is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// The platform's name for it; empty where it has none yet.
    pub handle: String,
    /// How often it was tried to show it.
    pub tries: u32,
    /// Where it stands.
    pub state: CardState,
    /// When it was begun, in ms since 1970.
    pub begun_ms: i64,
}

/// Where a card stands. Each state is stored before the request that goes beyond it, so that after a crash it is
/// known what may have been done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CardState {
    /// Nobody sees it yet, or it is not known whether somebody does.
    #[default]
    Begun,
    /// It is shown, with a placeholder.
    Shown,
    /// It is being filled, with what this key names.
    Filling(String),
    /// It holds what this key names, and is closed.
    Filled(String),
    /// It cannot be used: answers go out as messages.
    GivenUp,
}

/// What a person is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Why: `suggest`, or the reason of the hand-over.
    pub reason: String,
    /// What was asked.
    pub question: String,
    /// Where the conversation stands.
    pub summary: String,
    /// What could be answered; empty where nothing could.
    pub reply: String,
}

/// How the work on a message ended; stored in one transaction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settlement {
    /// What is to be sent.
    pub deliveries: Vec<Delivery>,
    /// What a person is asked to do.
    pub draft: Option<Draft>,
    /// The assistant's conversation from now on.
    pub session_id: Option<String>,
    /// Whether a person has the conversation from now on.
    pub person: Option<bool>,
    /// Whether it could not be done.
    pub failed: bool,
    /// For the event log: kind and details.
    pub event: Option<(&'static str, Value)>,
}

/// How a delivery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The platform has it.
    Sent,
    /// It must not be sent any more: a person has the conversation.
    Dropped,
    /// It cannot be sent.
    Failed,
}

impl Ended {
    /// As the queue spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Dropped => "dropped",
            Self::Failed => "failed",
        }
    }
}

/// Where a conversation stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conversation {
    /// Its own mode; `None` as the account has it.
    pub mode: Option<Mode>,
    /// The assistant's conversation.
    pub session_id: Option<String>,
    /// Whether a person has it.
    pub has_person: bool,
    /// How to reach it.
    pub reply: Option<Value>,
}

impl Conversation {
    /// What the bot may do here by itself.
    pub(crate) fn bots_mode(&self, account: &Account) -> Mode {
        if self.has_person { Mode::Suggest } else { self.mode.unwrap_or(account.mode) }
    }
}

/// The storage. Every method is one transaction.
#[allow(clippy::missing_errors_doc, reason = "each fails with the storage, and with nothing else")]
pub trait Store: Send + Sync + 'static {
    /// Takes what came in, all of it or nothing; for each push how many messages were new. A message that says that a
    /// person has come or gone takes effect at once, before those that wait.
    fn push(&self, pushes: &[Push]) -> Result<Vec<usize>, StoreError>;
    /// Of each conversation the first message that waits, where it is due; oldest first.
    fn waiting_messages(&self, now_ms: i64, limit: usize) -> Result<Vec<Queued>, StoreError>;
    /// Of each conversation the first delivery that waits, where it is due; oldest first. Of an account no more than
    /// make `per_account` with those that are being sent, so that one that does not answer holds up itself alone.
    fn waiting_deliveries(
        &self,
        now_ms: i64,
        limit: usize,
        per_account: usize,
    ) -> Result<Vec<Delivery>, StoreError>;
    /// When the next message or delivery falls due after `after_ms`, in ms since 1970.
    fn next_due(&self, after_ms: i64) -> Result<Option<i64>, StoreError>;
    /// Ends the work on a message; false where it had ended before, and then nothing is changed.
    fn settle(&self, id: i64, settlement: &Settlement) -> Result<bool, StoreError>;
    /// Leaves a message for later.
    fn postpone_message(&self, id: i64, due_ms: i64) -> Result<(), StoreError>;
    /// Adds a delivery; false where its key is known.
    fn add_delivery(&self, delivery: &Delivery) -> Result<bool, StoreError>;
    /// Notes that sending begins; false where it does not wait any more.
    fn begin_delivery(&self, id: i64) -> Result<bool, StoreError>;
    /// Ends a delivery; false where it had ended before.
    fn end_delivery(&self, id: i64, ended: Ended, error: Option<&str>) -> Result<bool, StoreError>;
    /// Leaves a delivery for later.
    fn postpone_delivery(&self, id: i64, due_ms: i64, error: Option<&str>) -> Result<(), StoreError>;
    /// Lets deliveries wait again that were being sent when the program ended.
    fn resume(&self) -> Result<usize, StoreError>;
    /// Whether a message still waits.
    fn is_waiting(&self, account: &str, message_id: &str) -> Result<bool, StoreError>;
    /// The deliveries that answer a message, in their order, whatever their state.
    fn answers(&self, account: &str, message_id: &str) -> Result<Vec<Delivery>, StoreError>;
    /// The card of a message's answer; `None` where none was begun.
    fn card(&self, account: &str, message_id: &str) -> Result<Option<Card>, StoreError>;
    /// Notes how far the card of a message's answer is.
    fn set_card(&self, account: &str, message_id: &str, card: &Card) -> Result<(), StoreError>;
    /// Where a conversation stands.
    fn conversation(&self, account: &str, conversation: &str) -> Result<Conversation, StoreError>;
    /// Notes that a person has a conversation, or has left it.
    fn set_person(&self, account: &str, conversation: &str, present: bool) -> Result<(), StoreError>;
    /// Where the next pull begins; empty before the first.
    fn cursor(&self, account: &str) -> Result<String, StoreError>;
    /// A conversation's last messages, oldest first.
    fn recent(&self, account: &str, conversation: &str, limit: usize) -> Result<Vec<Inbound>, StoreError>;
    /// Sends what a person wrote and closes the draft that it came from; false where that was not open.
    fn send_as_person(&self, draft: Option<i64>, delivery: &Delivery) -> Result<bool, StoreError>;
    /// Writes a line into the event log.
    fn log(
        &self,
        account: &str,
        conversation: Option<&str>,
        kind: &str,
        details: &Value,
    ) -> Result<(), StoreError>;
    /// Forgets what ended before this time, in ms since 1970.
    fn prune(&self, before_ms: i64) -> Result<(), StoreError>;
}
