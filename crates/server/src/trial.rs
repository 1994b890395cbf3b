//! `POST /api/v1/try`: what would be answered, and why, with nothing recorded.
//!
//! For those who look after the knowledge: the same question can be tried as a customer, in another mode, or by other
//! weights than the server's, so that two of them can be laid side by side.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use flightdeck_assistant::{Origin, Ranking, Request};

use crate::access::Caller;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::search::milliseconds;
use crate::state::AppState;
use crate::telemetry::Operation;
use crate::wire::ErrorBody;
use crate::wire::explain::{TryReply, TryRequest};

#[utoipa::path(
    post, path = "/api/v1/try", tag = "curation", summary = "Try a question out",
    description = "For marketing and admins. Answers as a chat would, says why, and records nothing.",
    request_body = TryRequest,
    responses(
        (status = 200, description = "What would be answered, and why", body = TryReply),
        (status = 400, description = "The body is not a JSON object", body = ErrorBody),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 413, description = "The body is over 256 KiB", body = ErrorBody),
        (status = 415, description = "The body is not declared as JSON", body = ErrorBody),
        (status = 422, description = "A field has a value that it cannot have", body = ErrorBody),
        (status = 503, description = "No index yet, or too many requests; try again", body = ErrorBody),
    )
)]
pub(crate) async fn try_out(
    State(state): State<AppState>,
    caller: Caller,
    fields: Fields,
) -> Result<Json<TryReply>, ApiError> {
    caller.must_be_curator()?;
    let asked = TryRequest::from_fields(fields)?;
    let request = Request {
        message: asked.message,
        session_id: None,
        customer_id: asked.customer_id,
        customer: asked.customer,
        audience: caller.audience(asked.audience)?,
        day: jiff::Zoned::now().date(),
        origin: Origin::default(),
    };
    let (engine, index) = state.engine()?;
    let ranking = Ranking { mode: asked.mode, settings: Some(asked.settings.over(index.settings())) };
    let admission = state.workers().admit()?;
    let assistant = Arc::clone(&engine.assistant);
    let tried = admission.run(move || {
        let begun = Instant::now();
        let trial = assistant.try_out(&request, ranking, asked.top_k)?;
        let took = begun.elapsed();
        Ok::<_, ApiError>((TryReply::new(trial, milliseconds(took)), took))
    });
    let (reply, took) = tried.await??;
    state.telemetry().engine(Operation::Chat, took);
    Ok(Json(reply))
}
