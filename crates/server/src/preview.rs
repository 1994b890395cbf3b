//! `POST /api/v1/send-preview`: what of an answer may be sent to the customer.
//!
//! The question is asked anew as the customer would ask it, so that every sentence stands on a source that may leave
//! the company; nothing of the internal answer goes in, and so nothing of it can come out. Where no such source
//! supports an answer there is nothing to send, and the reply says why. Nothing is recorded: a rep who looks at a
//! preview has not sent it, and a question that only the inside can answer is no gap in the knowledge.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use flightdeck_assistant::{Origin, Outcome, Request};
use flightdeck_corpus::Audience;

use crate::access::Caller;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::search::milliseconds;
use crate::state::AppState;
use crate::telemetry::Operation;
use crate::wire::{Citation, ErrorBody, SendPreviewReply, SendPreviewRequest};

#[utoipa::path(
    post, path = "/api/v1/send-preview", tag = "assistant", summary = "Preview what can be sent to a customer",
    request_body = SendPreviewRequest,
    responses(
        (status = 200, description = "The text to send, or why there is none", body = SendPreviewReply),
        (status = 400, description = "The body is not a JSON object", body = ErrorBody),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 413, description = "The body is over 256 KiB", body = ErrorBody),
        (status = 415, description = "The body is not declared as JSON", body = ErrorBody),
        (status = 422, description = "A field has a value that it cannot have", body = ErrorBody),
        (status = 503, description = "No index yet, or too many requests; try again", body = ErrorBody),
    )
)]
pub(crate) async fn send_preview(
    State(state): State<AppState>,
    _: Caller,
    fields: Fields,
) -> Result<Json<SendPreviewReply>, ApiError> {
    let request = SendPreviewRequest::from_fields(fields)?;
    let request = Request {
        message: request.message,
        session_id: None,
        customer_id: request.customer_id,
        customer: request.customer,
        audience: Audience::Customer,
        day: jiff::Zoned::now().date(),
        origin: Origin::default(),
    };
    let (engine, _) = state.engine()?;
    let admission = state.workers().admit()?;
    let assistant = Arc::clone(&engine.assistant);
    let answered = admission.run(move || {
        let begun = Instant::now();
        assistant.preview(&request).map(|answer| (answer, begun.elapsed()))
    });
    let (answer, took) = answered.await??;
    state.telemetry().engine(Operation::Chat, took);
    let reason = match answer.outcome {
        Outcome::Grounded => None,
        Outcome::Abstained(reason) => Some(reason),
    };
    Ok(Json(SendPreviewReply {
        blocked: reason.is_some(),
        reason,
        // A refusal's words are for the rep, never for the customer.
        text: if reason.is_some() { String::new() } else { answer.text },
        citations: answer.citations.iter().map(Citation::from).collect(),
        took_ms: milliseconds(took),
    }))
}
