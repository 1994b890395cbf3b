//! `/api/v1/customers/{id}/interactions`: a customer's timeline.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::access::Caller;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::parameters::{Id, Parameters, page};
use crate::state::AppState;
use crate::wire::records::{InteractionList, InteractionReply, InteractionRequest, new_interaction};
use crate::wire::{ErrorBody, MAX_ID_CHARS};

#[utoipa::path(
    get, path = "/api/v1/customers/{id}/interactions", tag = "records", summary = "Read the timeline of a customer",
    params(
        ("id" = String, Path, description = "The customer's id, URL-encoded"),
        ("after" = Option<String>, Query, description = "The `next` of the page before"),
        ("limit" = Option<u32>, Query, description = "How many at most, 1 to 100; 20 where nothing is said"),
    ),
    responses(
        (status = 200, description = "Newest first", body = InteractionList),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 404, description = "There is no such customer", body = ErrorBody),
        (status = 422, description = "`after` names nothing, or a parameter has a value that it cannot have", body = ErrorBody),
    )
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
    mut parameters: Parameters,
) -> Result<Json<InteractionList>, ApiError> {
    caller.must_be_staff()?;
    let after = parameters.text("after", MAX_ID_CHARS)?;
    let limit = parameters.limit()?;
    parameters.finish()?;
    let found = state.with_records(move |records| {
        if records.customer(&id)?.is_none() {
            return Err(ApiError::not_found("there is no such customer"));
        }
        Ok(records.interactions(&id, after.as_deref(), limit + 1)?)
    });
    let (entries, next) = page(found.await?, limit, |entry| &entry.id)?;
    Ok(Json(InteractionList {
        interactions: entries.into_iter().map(InteractionReply::from).collect(),
        next,
    }))
}

#[utoipa::path(
    post, path = "/api/v1/customers/{id}/interactions", tag = "records", summary = "Put something on the timeline of a customer",
    params(
        ("id" = String, Path, description = "The customer's id, URL-encoded"),
    ),
    request_body = InteractionRequest,
    responses(
        (status = 201, description = "The entry as recorded", body = InteractionReply),
        (status = 400, description = "The body is not a JSON object", body = ErrorBody),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 404, description = "There is no such customer", body = ErrorBody),
        (status = 413, description = "The body is over 256 KiB", body = ErrorBody),
        (status = 415, description = "The body is not declared as JSON", body = ErrorBody),
        (status = 422, description = "A field has a value that it cannot have", body = ErrorBody),
    )
)]
pub(crate) async fn add(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
    fields: Fields,
) -> Result<(StatusCode, Json<InteractionReply>), ApiError> {
    caller.must_be_staff()?;
    let interaction = new_interaction(fields)?;
    let added = state.with_records(move |records| {
        if let Some(message_id) = &interaction.message_id {
            let session = records.session_of_message(message_id)?;
            if !session.is_some_and(|session| caller.may_read(&session)) {
                return Err(ApiError::invalid("message_id", "there is no such answer"));
            }
        }
        Ok(records.add_interaction(&id, interaction, caller.actor.as_ref())?)
    });
    Ok((StatusCode::CREATED, Json(added.await?.into())))
}
