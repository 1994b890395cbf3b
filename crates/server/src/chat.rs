//! `POST /api/v1/chat`: a cited answer, whole or as a stream.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use flightdeck_assistant::{Origin, Request};

use crate::access::Caller;
use crate::answering::Answering;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::sse;
use crate::state::AppState;
use crate::wire::{ChatReply, ChatRequest, ErrorBody};

#[utoipa::path(
    post, path = "/api/v1/chat", tag = "assistant", summary = "Ask a question",
    description = "With `\"stream\": true` the reply is a stream of the events `meta` (`StreamMeta`), `delta` \
                   (`StreamDelta`), `citation` (`Citation`), and at the end `done` (`ChatReply`) or `error` \
                   (`ErrorBody`).",
    request_body = ChatRequest,
    responses(
        (status = 200, description = "The answer, or an honest refusal", content(
            (ChatReply = "application/json"),
            (String = "text/event-stream"),
        )),
        (status = 400, description = "The body is not a JSON object", body = ErrorBody),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 409, description = "`request_id` was used for another message", body = ErrorBody),
        (status = 413, description = "The body is over 256 KiB", body = ErrorBody),
        (status = 415, description = "The body is not declared as JSON", body = ErrorBody),
        (status = 422, description = "A field has a value that it cannot have", body = ErrorBody),
        (status = 503, description = "No index yet, or too many requests; try again", body = ErrorBody),
    )
)]
pub(crate) async fn chat(
    State(state): State<AppState>,
    caller: Caller,
    fields: Fields,
) -> Result<Response, ApiError> {
    let request = ChatRequest::from_fields(fields)?;
    let stream = request.stream;
    let request = Request {
        message: request.message,
        session_id: request.session_id,
        customer_id: request.customer_id,
        customer: request.customer,
        audience: caller.audience(request.audience)?,
        day: jiff::Zoned::now().date(),
        origin: Origin { owner: caller.owner().map(str::to_owned), request_id: request.request_id },
    };
    let begun = Answering::begin(state, request)?;
    if stream { Ok(sse::stream(begun)) } else { Ok(Json(begun.await?.reply().await?).into_response()) }
}
