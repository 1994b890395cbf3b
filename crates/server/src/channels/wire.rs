//! The JSON of the channels' routes.

use flightdeck_channels::send::Outbound;
use flightdeck_channels::{Account, Audience, Mode, Payload};
use flightdeck_records::{ChannelConversation, ChannelDelivery, ChannelDraft, ChannelEvent};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::fields::Fields;

/// Longest conversation id; platforms use up to 128 letters.
const MAX_ID_CHARS: usize = 512;
/// Longest text that a person sends; it goes out in parts.
const MAX_TEXT_CHARS: usize = 4000;

/// One bot on one platform, without its secrets.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Channel {
    pub id: String,
    /// `wecom-app`, `wecom-kf`, `wecom-robot`, `dingtalk`, `feishu`, `slack`, `webhook`.
    pub platform: &'static str,
    /// Who reads its answers: `internal` or `customer`.
    pub audience: &'static str,
    /// `auto`, `suggest` or `off`, where a conversation has no mode of its own.
    pub mode: &'static str,
    /// Whether answers to customers say that an AI made them.
    pub ai_label: bool,
    /// `webhook`: the platform pushes to `address`; `connection`: this server calls the platform.
    pub transport: &'static str,
    /// Where the platform must push to, on this server; over a connection nothing is taken there.
    pub address: String,
}

impl From<&Account> for Channel {
    fn from(account: &Account) -> Self {
        Self {
            id: account.id.clone(),
            platform: account.platform.name(),
            audience: match account.audience {
                Audience::Internal => "internal",
                Audience::Customer => "customer",
            },
            mode: account.mode.name(),
            ai_label: account.ai_label,
            transport: account.transport.name(),
            address: format!("/webhooks/{}/{}", account.platform.segment(), account.id),
        }
    }
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ChannelsReply {
    pub channels: Vec<Channel>,
}

/// What came of a test.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct TestReply {
    /// Whether the platform knows the account.
    pub ok: bool,
    /// What was found, or which of address, key and permission to look at.
    pub message: String,
}

/// An entry of the event log, newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct EventEntry {
    pub id: i64,
    /// RFC 3339.
    pub at: String,
    pub conversation: Option<String>,
    /// `received`, `answered`, `hand_over`, `sent`, `failed`, `dropped`, `card_refused`, `rejected`, `connected`,
    /// `disconnected`, `displaced`, …
    pub kind: String,
    /// Never a secret and never what was said.
    #[schema(value_type = Object)]
    pub details: Value,
}

impl From<ChannelEvent> for EventEntry {
    fn from(event: ChannelEvent) -> Self {
        Self {
            id: event.id,
            at: event.at.to_string(),
            conversation: event.conversation,
            kind: event.kind,
            details: event.details,
        }
    }
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct EventsReply {
    pub events: Vec<EventEntry>,
}

/// Something that was sent, or is to be.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct DeliveryEntry {
    pub id: i64,
    pub conversation: String,
    /// `waiting`, `sending`, `sent`, `dropped` or `failed`.
    pub state: String,
    /// How often sending was begun.
    pub attempts: u32,
    /// Why it failed the last time.
    pub error: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// The text; `null` where it is something else.
    pub text: Option<String>,
}

impl From<ChannelDelivery> for DeliveryEntry {
    fn from(delivery: ChannelDelivery) -> Self {
        let outbound: Option<Outbound> = serde_json::from_value(delivery.body).ok();
        let text = outbound.and_then(|outbound| match outbound.payload {
            Payload::Text(text) => Some(text),
            _ => None,
        });
        Self {
            id: delivery.id,
            conversation: delivery.conversation,
            state: delivery.state,
            attempts: delivery.attempts,
            error: delivery.error,
            created_at: delivery.created_at.to_string(),
            text,
        }
    }
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct DeliveriesReply {
    pub deliveries: Vec<DeliveryEntry>,
}

/// Where a conversation stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ConversationEntry {
    pub conversation: String,
    /// `auto`, `suggest`, `off`; `null` as the channel has it.
    pub mode: Option<String>,
    /// Since when a person has it, in RFC 3339; `null` while it is the bot's.
    pub person_since: Option<String>,
}

impl From<ChannelConversation> for ConversationEntry {
    fn from(standing: ChannelConversation) -> Self {
        Self {
            conversation: standing.conversation,
            mode: standing.mode,
            person_since: standing.person_since.map(|since| since.to_string()),
        }
    }
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ConversationsReply {
    pub conversations: Vec<ConversationEntry>,
}

/// What a person is asked to do.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct DraftEntry {
    pub id: i64,
    pub conversation: String,
    /// `suggest`, or why the conversation was handed over: `asked`, `unsure`, `bargaining`, `complaint`, `held_back`, …
    pub reason: String,
    pub question: String,
    /// Where the conversation stands.
    pub summary: String,
    /// What could be answered, from sources for customers; empty where nothing could.
    pub reply: String,
    /// RFC 3339.
    pub created_at: String,
}

impl From<ChannelDraft> for DraftEntry {
    fn from(draft: ChannelDraft) -> Self {
        Self {
            id: draft.id,
            conversation: draft.conversation,
            reason: draft.reason,
            question: draft.question,
            summary: draft.summary,
            reply: draft.reply,
            created_at: draft.created_at.to_string(),
        }
    }
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct DraftsReply {
    pub drafts: Vec<DraftEntry>,
}

/// A switch of one conversation. What is absent stays.
#[derive(Clone, Debug, ToSchema)]
#[allow(dead_code, reason = "its schema is used, and its fields by the parser")]
pub(crate) struct ConversationRequest {
    /// As `conversations` lists it.
    pub conversation: String,
    /// `auto`, `suggest`, `off`, or `channel` to go back to the channel's own.
    pub mode: Option<String>,
    /// `true`: a person has the conversation and the bot is silent; `false`: it is the bot's again.
    pub person: Option<bool>,
}

/// To which mode a conversation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ModeSwitch {
    /// To one of its own.
    Own(Mode),
    /// Back to the channel's.
    Channel,
}

impl ModeSwitch {
    /// As the records keep it.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Own(mode) => Some(mode.name()),
            Self::Channel => None,
        }
    }
}

/// What of a conversation is switched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Switch {
    pub conversation: String,
    /// `None` leaves it.
    pub mode: Option<ModeSwitch>,
    pub person: Option<bool>,
}

impl Switch {
    pub fn from_fields(mut fields: Fields) -> Result<Self, ApiError> {
        let conversation = fields.text("conversation", MAX_ID_CHARS)?;
        let modes = [
            ("auto", ModeSwitch::Own(Mode::Auto)),
            ("suggest", ModeSwitch::Own(Mode::Suggest)),
            ("off", ModeSwitch::Own(Mode::Off)),
            ("channel", ModeSwitch::Channel),
        ];
        let mode = fields.choice("mode", &modes)?;
        let person = fields.optional_flag("person")?;
        fields.finish()?;
        if mode.is_none() && person.is_none() {
            return Err(ApiError::invalid("mode", "give `mode`, `person` or both"));
        }
        Ok(Self { conversation, mode, person })
    }
}

/// A message that a person sends into a conversation.
#[derive(Clone, Debug, ToSchema)]
pub(crate) struct MessageRequest {
    /// As `conversations` and `drafts` list it.
    pub conversation: String,
    /// 1 to 4000 characters; too long for one message of the platform, it goes out in parts.
    pub text: String,
    /// The draft that it came from, which this closes.
    pub draft_id: Option<i64>,
}

impl MessageRequest {
    pub fn from_fields(mut fields: Fields) -> Result<Self, ApiError> {
        const MAX_ROW: u64 = i64::MAX.unsigned_abs();
        let conversation = fields.text("conversation", MAX_ID_CHARS)?;
        let text = fields.text("text", MAX_TEXT_CHARS)?;
        let draft_id = fields.integer("draft_id", 1..=MAX_ROW)?.and_then(|id| i64::try_from(id).ok());
        fields.finish()?;
        Ok(Self { conversation, text, draft_id })
    }
}

/// That something was taken and is on its way.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct QueuedReply {
    /// Always `true`.
    pub queued: bool,
}
