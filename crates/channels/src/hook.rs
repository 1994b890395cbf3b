//! Webhooks out: addresses of the settings that are told when something happens. Each event is a delivery in the
//! queue, so it is signed, tried again, and survives a restart like any other.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::account::{is_address, is_id};
use crate::receive::digest;
use crate::send::By;
use crate::{AccountError, Delivery, Outbound, Payload};

/// What can be told.
pub const EVENTS: [&str; 4] = ["gap.created", "handover.requested", "feedback.created", "document.expiring"];

/// An address that wants to be told.
#[derive(Clone, PartialEq, Eq)]
pub struct Hook {
    /// The settings' name for it.
    pub id: String,
    /// Where.
    pub url: String,
    /// By which its messages are signed, the newest first.
    pub secrets: Vec<String>,
    /// Of [`EVENTS`]; all where it is empty.
    pub events: Vec<String>,
}

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hook").field("id", &self.id).field("events", &self.events).finish_non_exhaustive()
    }
}

impl Hook {
    /// From the settings' fields; a list is one text with spaces between.
    ///
    /// # Errors
    /// Names the first setting that is missing, unknown or wrong.
    pub fn from_fields(mut fields: BTreeMap<String, String>) -> Result<Self, AccountError> {
        let mut take = |name: &str| fields.remove(name).unwrap_or_default().trim().to_owned();
        let (id, url) = (take("id"), take("url"));
        let words = |text: String| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let (secrets, events) = (words(take("secrets")), words(take("events")));
        let wrong = |field: &str, wanted| {
            Err(AccountError { account: format!("hook {id}"), field: field.to_owned(), wanted })
        };
        if !is_id(&id) {
            return wrong("id", "must be 1 to 64 of a-z, 0-9, - and _");
        }
        if !is_address(&url) {
            return wrong("url", "must be an address that begins with https:// or http://");
        }
        if crate::protocol::webhook::Secrets::new(&secrets).is_err() {
            return wrong("secrets", "must be whsec_ and base64 of 24 to 64 bytes");
        }
        if events.iter().any(|event| !EVENTS.contains(&event.as_str())) {
            let wanted = "must be of gap.created, handover.requested, feedback.created, document.expiring";
            return wrong("events", wanted);
        }
        if let Some(unknown) = fields.keys().next() {
            return wrong(unknown, "is not a setting of a hook");
        }
        Ok(Self { id, url, secrets, events })
    }

    pub(crate) fn wants(&self, kind: &str) -> bool {
        self.events.is_empty() || self.events.iter().any(|event| event == kind)
    }

    /// The delivery that tells this hook of an event; `None` where it does not want to know. `subject` is what the
    /// event is about: the same subject is told once.
    pub fn delivery(&self, kind: &str, subject: &str, data: &Value, now_ms: i64) -> Option<Delivery> {
        if !self.wants(kind) {
            return None;
        }
        let account = format!("hook:{}", self.id);
        let idempotency = digest(&[&account, kind, subject]);
        Some(Delivery {
            id: 0,
            // Every event is a conversation of its own: one that cannot be told does not hold up the others.
            conversation: idempotency.clone(),
            account,
            idempotency,
            message_id: String::new(),
            outbound: Outbound {
                by: By::Notice,
                payload: Payload::Event { kind: kind.to_owned(), data: data.clone() },
                reply: Value::Null,
            },
            attempts: 0,
            is_lost: false,
            due_ms: now_ms,
        })
    }
}
