//! The replies of the HTTP interface for whoever has the engine's own types in hand: the command line prints with
//! `--json` what the server would have sent.

use std::time::Duration;

use flightdeck_assistant::Reply;
use flightdeck_records::PersonalData;
use flightdeck_retrieval::{Explained, Passage};
use serde::Serialize;

use crate::search::milliseconds;
use crate::wire::records::PersonalDataReply;
use crate::wire::{ChatReply, Hit, SearchReply};

/// The body of `POST /api/v1/search` for these passages, found in `took`.
pub fn search_reply(passages: Vec<Passage>, took: Duration) -> impl Serialize {
    let hits = passages.into_iter().map(Hit::from).collect();
    SearchReply { hits, took_ms: milliseconds(took), explain: None }
}

/// As [`search_reply`], with the reasons.
pub fn explained_reply(explained: Explained, took: Duration) -> impl Serialize {
    SearchReply::explained(explained, took, |_| true)
}

/// The body of `GET /api/v1/customers/{id}/export` for these data.
pub fn personal_data(data: PersonalData) -> impl Serialize {
    PersonalDataReply::from(data)
}

/// The body of `POST /api/v1/chat` for this reply, made in `took`.
pub fn chat_reply(reply: Reply, took: Duration) -> impl Serialize {
    ChatReply::new(reply, milliseconds(took))
}
