//! `/api/v1/channels`: what people see of the channels and switch at run time.
//!
//! Tests, the event log and deliveries are an admin's; conversations and drafts are a rep's work. Secrets are in the
//! settings and nowhere here.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use flightdeck_channels::{Account, Pipeline};

use super::wire::{
    Channel, ChannelsReply, ConversationEntry, ConversationRequest, ConversationsReply, DeliveriesReply,
    DeliveryEntry, DraftEntry, DraftsReply, EventEntry, EventsReply, MessageRequest, QueuedReply, Switch,
    TestReply,
};
use crate::access::Caller;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::parameters::Parameters;
use crate::state::AppState;
use crate::wire::ErrorBody;

/// Entries of a list at most, and where nothing is asked for.
const MAX_LISTED: usize = 200;

/// The pipeline and the account of this id.
///
/// # Errors
/// `not_found` where there is none.
fn find<'a>(state: &'a AppState, id: &str) -> Result<(&'a Pipeline, &'a Account), ApiError> {
    let found = state.pipeline().and_then(|pipeline| Some((pipeline, pipeline.account(id)?)));
    found.ok_or_else(|| ApiError::new(StatusCode::NOT_FOUND, "not_found", "there is no such channel"))
}

#[utoipa::path(
    get, path = "/api/v1/channels", tag = "channels", summary = "The channels of the settings",
    responses(
        (status = 200, description = "All channels, without their secrets", body = ChannelsReply),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
    )
)]
pub(crate) async fn channels(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<ChannelsReply>, ApiError> {
    caller.must_be_staff()?;
    let accounts = state.pipeline().map(Pipeline::accounts).unwrap_or_default();
    Ok(Json(ChannelsReply { channels: accounts.into_iter().map(Channel::from).collect() }))
}

#[utoipa::path(
    post, path = "/api/v1/channels/{account}/test", tag = "channels", summary = "Test a channel's connection",
    description = "Asks the platform whether it knows the account, without writing to anybody.",
    params(("account" = String, Path, description = "The channel's id")),
    responses(
        (status = 200, description = "What came of it, good or bad", body = TestReply),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller is no admin", body = ErrorBody),
        (status = 404, description = "There is no such channel", body = ErrorBody),
    )
)]
pub(crate) async fn test(
    State(state): State<AppState>,
    caller: Caller,
    Path(account): Path<String>,
) -> Result<Json<TestReply>, ApiError> {
    caller.must_be_admin()?;
    let (pipeline, account) = find(&state, &account)?;
    Ok(Json(match pipeline.test(account).await {
        Ok(message) => TestReply { ok: true, message },
        Err(error) => TestReply { ok: false, message: error.to_string() },
    }))
}

#[utoipa::path(
    get, path = "/api/v1/channels/{account}/events", tag = "channels", summary = "A channel's event log",
    params(("account" = String, Path, description = "The channel's id")),
    responses(
        (status = 200, description = "The last 200 events, newest first", body = EventsReply),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller is no admin", body = ErrorBody),
        (status = 404, description = "There is no such channel", body = ErrorBody),
    )
)]
pub(crate) async fn events(
    State(state): State<AppState>,
    caller: Caller,
    Path(account): Path<String>,
) -> Result<Json<EventsReply>, ApiError> {
    caller.must_be_admin()?;
    find(&state, &account)?;
    let events = state.with_records(move |records| Ok(records.channel_events(&account, MAX_LISTED)?)).await?;
    Ok(Json(EventsReply { events: events.into_iter().map(EventEntry::from).collect() }))
}

#[utoipa::path(
    get, path = "/api/v1/channels/{account}/deliveries", tag = "channels", summary = "What a channel sent",
    params(
        ("account" = String, Path, description = "The channel's id"),
        ("state" = Option<String>, Query,
         description = "Only these: `waiting`, `sending`, `sent`, `dropped` or `failed`"),
    ),
    responses(
        (status = 200, description = "The last 200 deliveries, newest first", body = DeliveriesReply),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller is no admin", body = ErrorBody),
        (status = 404, description = "There is no such channel", body = ErrorBody),
        (status = 422, description = "`state` is none of the five", body = ErrorBody),
    )
)]
pub(crate) async fn deliveries(
    State(state): State<AppState>,
    caller: Caller,
    Path(account): Path<String>,
    mut parameters: Parameters,
) -> Result<Json<DeliveriesReply>, ApiError> {
    const STATES: [&str; 5] = ["waiting", "sending", "sent", "dropped", "failed"];
    caller.must_be_admin()?;
    find(&state, &account)?;
    let only = parameters.choice("state", &STATES.map(|state| (state, state)))?;
    parameters.finish()?;
    let found = state
        .with_records(move |records| Ok(records.channel_deliveries(&account, only, MAX_LISTED)?))
        .await?;
    Ok(Json(DeliveriesReply { deliveries: found.into_iter().map(DeliveryEntry::from).collect() }))
}

#[utoipa::path(
    post, path = "/api/v1/channels/{account}/deliveries/{id}/redeliver", tag = "channels",
    summary = "Send again what failed",
    params(
        ("account" = String, Path, description = "The channel's id"),
        ("id" = i64, Path, description = "The delivery's id"),
    ),
    responses(
        (status = 202, description = "It is on its way", body = QueuedReply),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller is no admin", body = ErrorBody),
        (status = 404, description = "There is no such channel, or no such delivery that failed", body = ErrorBody),
    )
)]
pub(crate) async fn redeliver(
    State(state): State<AppState>,
    caller: Caller,
    Path((account, id)): Path<(String, String)>,
) -> Result<(StatusCode, Json<QueuedReply>), ApiError> {
    caller.must_be_admin()?;
    let (pipeline, _) = find(&state, &account)?;
    // What is no number is no delivery's id.
    let id: i64 = id.parse().unwrap_or(0);
    if !state.with_records(move |records| Ok(records.redeliver(&account, id)?)).await? {
        let message = "there is no such delivery that failed or was dropped";
        return Err(ApiError::new(StatusCode::NOT_FOUND, "not_found", message));
    }
    pipeline.wake();
    Ok((StatusCode::ACCEPTED, Json(QueuedReply { queued: true })))
}

#[utoipa::path(
    get, path = "/api/v1/channels/{account}/conversations", tag = "channels",
    summary = "A channel's conversations",
    params(("account" = String, Path, description = "The channel's id")),
    responses(
        (status = 200, description = "The latest 200, newest first", body = ConversationsReply),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 404, description = "There is no such channel", body = ErrorBody),
    )
)]
pub(crate) async fn conversations(
    State(state): State<AppState>,
    caller: Caller,
    Path(account): Path<String>,
) -> Result<Json<ConversationsReply>, ApiError> {
    caller.must_be_staff()?;
    find(&state, &account)?;
    let found =
        state.with_records(move |records| Ok(records.channel_conversations(&account, MAX_LISTED)?)).await?;
    Ok(Json(ConversationsReply { conversations: found.into_iter().map(ConversationEntry::from).collect() }))
}

#[utoipa::path(
    post, path = "/api/v1/channels/{account}/conversations", tag = "channels",
    summary = "Switch a conversation's mode, or say whether a person has it",
    params(("account" = String, Path, description = "The channel's id")),
    request_body = ConversationRequest,
    responses(
        (status = 200, description = "Where it stands now", body = ConversationEntry),
        (status = 400, description = "The body is not a JSON object", body = ErrorBody),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 404, description = "There is no such channel", body = ErrorBody),
        (status = 413, description = "The body is over 256 KiB", body = ErrorBody),
        (status = 415, description = "The body is not declared as JSON", body = ErrorBody),
        (status = 422, description = "A field has a value that it cannot have", body = ErrorBody),
    )
)]
pub(crate) async fn switch(
    State(state): State<AppState>,
    caller: Caller,
    Path(account): Path<String>,
    fields: Fields,
) -> Result<Json<ConversationEntry>, ApiError> {
    caller.must_be_staff()?;
    let (pipeline, _) = find(&state, &account)?;
    let switch = Switch::from_fields(fields)?;
    let standing = state.with_records(move |records| {
        let conversation = &switch.conversation;
        if let Some(mode) = switch.mode {
            records.set_channel_mode(&account, conversation, mode.name())?;
        }
        if let Some(present) = switch.person {
            records.set_channel_person(&account, conversation, present)?;
        }
        Ok(records.channel_conversation(&account, conversation)?)
    });
    let standing = standing.await?;
    pipeline.wake();
    Ok(Json(standing.into()))
}

#[utoipa::path(
    get, path = "/api/v1/channels/{account}/drafts", tag = "channels",
    summary = "What people are asked to answer",
    params(("account" = String, Path, description = "The channel's id")),
    responses(
        (status = 200, description = "The open drafts, at most 200, newest first", body = DraftsReply),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 404, description = "There is no such channel", body = ErrorBody),
    )
)]
pub(crate) async fn drafts(
    State(state): State<AppState>,
    caller: Caller,
    Path(account): Path<String>,
) -> Result<Json<DraftsReply>, ApiError> {
    caller.must_be_staff()?;
    find(&state, &account)?;
    let found = state.with_records(move |records| Ok(records.channel_drafts(&account, MAX_LISTED)?)).await?;
    Ok(Json(DraftsReply { drafts: found.into_iter().map(DraftEntry::from).collect() }))
}

#[utoipa::path(
    post, path = "/api/v1/channels/{account}/messages", tag = "channels",
    summary = "Send a message as a person",
    params(("account" = String, Path, description = "The channel's id")),
    request_body = MessageRequest,
    responses(
        (status = 202, description = "It is stored and on its way", body = QueuedReply),
        (status = 400, description = "The body is not a JSON object", body = ErrorBody),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 404, description = "There is no such channel, or nobody has written in this conversation",
         body = ErrorBody),
        (status = 409, description = "The draft is not open any more", body = ErrorBody),
        (status = 413, description = "The body is over 256 KiB", body = ErrorBody),
        (status = 415, description = "The body is not declared as JSON", body = ErrorBody),
        (status = 422, description = "A field has a value that it cannot have", body = ErrorBody),
    )
)]
pub(crate) async fn message(
    State(state): State<AppState>,
    caller: Caller,
    Path(account): Path<String>,
    fields: Fields,
) -> Result<(StatusCode, Json<QueuedReply>), ApiError> {
    caller.must_be_staff()?;
    let (pipeline, account) = find(&state, &account)?;
    let MessageRequest { conversation, text, draft_id } = MessageRequest::from_fields(fields)?;
    let (id, place) = (account.id.clone(), conversation.clone());
    let standing = state.with_records(move |records| Ok(records.channel_conversation(&id, &place)?)).await?;
    if standing.reply.is_none() {
        let message = "nobody has written in this conversation yet, so there is no way to reach it";
        let error = ApiError::new(StatusCode::NOT_FOUND, "not_found", message);
        return Err(ApiError { field: Some("conversation".to_owned()), ..error });
    }
    let sent = pipeline.send_as_person(account, &conversation, &text, draft_id).await;
    if !sent.map_err(|error| ApiError::internal(&error))? {
        let message = "this draft was sent already, or belongs to another conversation";
        let error = ApiError::new(StatusCode::CONFLICT, "conflict", message);
        return Err(ApiError { field: Some("draft_id".to_owned()), ..error });
    }
    Ok((StatusCode::ACCEPTED, Json(QueuedReply { queued: true })))
}
