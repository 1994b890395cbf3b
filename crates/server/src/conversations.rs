//! `/api/v1/conversations`: what was asked and answered before.
//!
//! A rep reads their own; those who curate the knowledge read all, to see where it falls short. One that may not be
//! read and one that is not there are the same answer.

use axum::Json;
use axum::extract::State;
use flightdeck_records::{ConversationQuery, Role};

use crate::access::Caller;
use crate::error::ApiError;
use crate::parameters::{Id, Parameters, page};
use crate::state::AppState;
use crate::wire::records::{ConversationHead, ConversationList, ConversationReply, MessageReply};
use crate::wire::{ErrorBody, MAX_ID_CHARS};

const MAX_WORDS_CHARS: usize = 200;

#[utoipa::path(
    get, path = "/api/v1/conversations", tag = "records", summary = "Find conversations",
    description = "A rep finds their own, marketing and admins everybody's.",
    params(
        ("q" = Option<String>, Query, description = "Words that a message holds"),
        ("customer_id" = Option<String>, Query, description = "The customer that they are about"),
        ("after" = Option<String>, Query, description = "The `next` of the page before"),
        ("limit" = Option<u32>, Query, description = "How many at most, 1 to 100; 20 where nothing is said"),
    ),
    responses(
        (status = 200, description = "The one with the latest message first", body = ConversationList),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 422, description = "`after` names nothing, or a parameter has a value that it cannot have", body = ErrorBody),
    )
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    mut parameters: Parameters,
) -> Result<Json<ConversationList>, ApiError> {
    caller.must_be_staff()?;
    let words = parameters.text("q", MAX_WORDS_CHARS)?.unwrap_or_default();
    let customer_id = parameters.text("customer_id", MAX_ID_CHARS)?;
    let after = parameters.text("after", MAX_ID_CHARS)?;
    let limit = parameters.limit()?;
    parameters.finish()?;
    let found = state.with_records(move |records| {
        let query = ConversationQuery {
            words: &words,
            customer_id: customer_id.as_deref(),
            owner: if caller.is_curator() { None } else { caller.owner() },
            after: after.as_deref(),
            limit: limit + 1,
        };
        Ok((records.conversations(&query)?, words))
    });
    let (found, words) = found.await?;
    let (conversations, next) = page(found, limit, |conversation| &conversation.session.id)?;
    let conversations =
        conversations.into_iter().map(|conversation| ConversationHead::new(conversation, &words)).collect();
    Ok(Json(ConversationList { conversations, next }))
}

#[utoipa::path(
    get, path = "/api/v1/conversations/{id}", tag = "records", summary = "Read a conversation",
    params(
        ("id" = String, Path, description = "The conversation's id: the `session_id` of a chat"),
    ),
    responses(
        (status = 200, description = "All that was said, oldest first", body = ConversationReply),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 404, description = "There is none that this caller may read", body = ErrorBody),
    )
)]
pub(crate) async fn read(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<ConversationReply>, ApiError> {
    caller.must_be_staff()?;
    let found = state.with_records(move |records| {
        let session = records.session(&id)?.filter(|session| caller.may_read(session));
        let session = session.ok_or_else(|| ApiError::not_found("there is no such conversation"))?;
        let messages = records.messages(&id)?.into_iter().map(|message| {
            let feedback = match message.role {
                Role::Assistant => records.feedback_of(&message.id, caller.actor.as_ref())?,
                Role::User => None,
            };
            Ok(MessageReply::new(message, feedback))
        });
        let messages = messages.collect::<Result<_, ApiError>>()?;
        Ok(ConversationReply::new(session, messages))
    });
    Ok(Json(found.await?))
}
