//! `/api/v1/feedback`: what people think of answers, and what they should have been.
//!
//! A correction is an offer to those who curate the knowledge; it never becomes knowledge by itself.

use axum::Json;
use axum::extract::State;
use flightdeck_records::{FeedbackQuery, RecordsError};

use crate::access::Caller;
use crate::channels::announce_feedback;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::parameters::{Parameters, page};
use crate::state::AppState;
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
    let after = parameters.text("after", MAX_ID_CHARS)?;
    let limit = parameters.limit()?;
    parameters.finish()?;
    let found = state.with_records(move |records| {
        let query = FeedbackQuery { rating, corrected, after: after.as_deref(), limit: limit + 1 };
        Ok(records.feedback(&query)?)
    });
    let (found, next) = page(found.await?, limit, |judged| &judged.feedback.id)?;
    Ok(Json(FeedbackList { feedback: found.into_iter().map(JudgedAnswer::from).collect(), next }))
}
