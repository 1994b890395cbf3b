//! `/api/v1/feedback`: what people think of answers, and what they should have been.
//!
//! A correction is an offer to those who curate the knowledge; it never becomes knowledge by itself. What they approve
//! becomes a row of `qa-history/console.csv`.

use axum::Json;
use axum::extract::State;
use flightdeck_corpus::Kind;
use flightdeck_records::{FeedbackQuery, FeedbackState, RecordsError};

use crate::access::Caller;
use crate::channels::announce_feedback;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::gaps::{Source, write_row};
use crate::parameters::{Id, Parameters, page};
use crate::state::AppState;
use crate::wire::curation::{ApproveBody, DismissFeedback, NewRow, WrittenReply};
use crate::wire::records::{FeedbackList, FeedbackReply, FeedbackRequest, JudgedAnswer, RATINGS};
use crate::wire::{ErrorBody, MAX_ID_CHARS};

#[utoipa::path(
    post, path = "/api/v1/feedback", tag = "records", summary = "Say what you think of an answer",
    request_body = FeedbackRequest,
    responses(
        (status = 200, description = "The opinion as recorded; it replaces this caller's earlier one", body = FeedbackReply),
        (status = 400, description = "The body is not a JSON object", body = ErrorBody),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 413, description = "The body is over 256 KiB", body = ErrorBody),
        (status = 415, description = "The body is not declared as JSON", body = ErrorBody),
        (status = 422, description = "There is no such answer for this caller, or a field has a value that it cannot have", body = ErrorBody),
    )
)]
pub(crate) async fn give(
    State(state): State<AppState>,
    caller: Caller,
    fields: Fields,
) -> Result<Json<FeedbackReply>, ApiError> {
    Ok(Json(note(&state, caller, FeedbackRequest::from_fields(fields)?).await?))
}

/// Takes an opinion down.
///
/// # Errors
/// When there is no such answer for this caller; when the records fail.
pub(crate) async fn note(
    state: &AppState,
    caller: Caller,
    request: FeedbackRequest,
) -> Result<FeedbackReply, ApiError> {
    let FeedbackRequest { message_id, rating, reason, correction } = request;
    let given = state.with_records(move |records| {
        let unknown = || ApiError::invalid("message_id", "there is no such answer");
        let session = records.session_of_message(&message_id)?;
        if !session.is_some_and(|session| caller.may_read(&session)) {
            return Err(unknown());
        }
        let actor = caller.actor.as_ref();
        let given =
            records.give_feedback(&message_id, rating, reason.as_deref(), correction.as_deref(), actor);
        given.map_err(|error| match error {
            RecordsError::UnknownMessage(_) => unknown(),
            error => error.into(),
        })
    });
    let given = FeedbackReply::from(given.await?);
    announce_feedback(state, &given);
    Ok(given)
}

#[utoipa::path(
    get, path = "/api/v1/feedback", tag = "records", summary = "Read what was thought of answers",
    description = "For marketing and admins.",
    params(
        ("rating" = Option<String>, Query, description = "`up` or `down`"),
        ("corrected" = Option<String>, Query, description = "`true`: only those that say what the answer should have been"),
        ("state" = Option<String>, Query, description = "`open`, `approved` or `dismissed`: what curators have made of it"),
        ("after" = Option<String>, Query, description = "The `next` of the page before"),
        ("limit" = Option<u32>, Query, description = "How many at most, 1 to 100; 20 where nothing is said"),
    ),
    responses(
        (status = 200, description = "The latest first", body = FeedbackList),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 422, description = "`after` names nothing, or a parameter has a value that it cannot have", body = ErrorBody),
    )
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    mut parameters: Parameters,
) -> Result<Json<FeedbackList>, ApiError> {
    caller.must_be_curator()?;
    let rating = parameters.choice("rating", &RATINGS)?;
    let corrected = parameters.choice("corrected", &[("true", true), ("false", false)])?.unwrap_or(false);
    let state_wanted = parameters.choice("state", &FeedbackState::ALL.map(|state| (state.name(), state)))?;
    let after = parameters.text("after", MAX_ID_CHARS)?;
    let limit = parameters.limit()?;
    parameters.finish()?;
    let found = state.with_records(move |records| {
        let query = FeedbackQuery {
            rating,
            corrected,
            state: state_wanted,
            after: after.as_deref(),
            limit: limit + 1,
        };
        Ok(records.feedback(&query)?)
    });
    let (found, next) = page(found.await?, limit, |judged| &judged.feedback.id)?;
    Ok(Json(FeedbackList { feedback: found.into_iter().map(JudgedAnswer::from).collect(), next }))
}

#[utoipa::path(
    post, path = "/api/v1/feedback/{id}/approve", tag = "curation", summary = "Make a row of the knowledge of an opinion",
    description = "For marketing and admins. The row goes into `qa-history/console.csv`: a correction, or an answer worth \
                   keeping, in the words that are approved here.",
    params(("id" = String, Path, description = "The opinion's id")),
    request_body = ApproveBody,
    responses(
        (status = 200, description = "Where the row is", body = WrittenReply),
        (status = 400, description = "The body is not a JSON object", body = ErrorBody),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 404, description = "There is no such opinion", body = ErrorBody),
        (status = 409, description = "The table that is there cannot take the row", body = ErrorBody),
        (status = 415, description = "The body is not declared as JSON", body = ErrorBody),
        (status = 422, description = "A field has a value that it cannot have", body = ErrorBody),
        (status = 503, description = "This server has no folder to write to", body = ErrorBody),
    )
)]
pub(crate) async fn approve(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
    fields: Fields,
) -> Result<Json<WrittenReply>, ApiError> {
    caller.must_be_curator()?;
    let row = NewRow::from_fields(fields)?;
    Ok(Json(write_row(&state, caller.actor, Kind::Qa, row, Source::Feedback(id)).await?))
}

#[utoipa::path(
    post, path = "/api/v1/feedback/{id}/dismiss", tag = "curation", summary = "Say that nothing is to come of an opinion",
    description = "For marketing and admins.",
    params(("id" = String, Path, description = "The opinion's id")),
    request_body = DismissFeedback,
    responses(
        (status = 204, description = "Done"),
        (status = 400, description = "The body is not a JSON object", body = ErrorBody),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 404, description = "There is no such opinion", body = ErrorBody),
        (status = 415, description = "The body is not declared as JSON", body = ErrorBody),
        (status = 422, description = "A field has a value that it cannot have", body = ErrorBody),
    )
)]
pub(crate) async fn dismiss(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
    fields: Fields,
) -> Result<axum::http::StatusCode, ApiError> {
    caller.must_be_curator()?;
    let DismissFeedback { undo } = DismissFeedback::from_fields(fields)?;
    let settled = move |records: &flightdeck_records::Records| {
        Ok(records.settle_feedback(&id, undo, caller.actor.as_ref())?)
    };
    state.with_records(settled).await?;
    Ok(axum::http::StatusCode::NO_CONTENT)
}
