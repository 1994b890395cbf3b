//! `POST /api/v1/send-preview`: what of an answer may be sent to the customer.
//!
//! The question is asked anew as the customer would ask it, so that every sentence stands on a source that may leave
//! the company; nothing of the internal answer goes in, and so nothing of it can come out. Where no such source
//! supports an answer there is nothing to send, and the reply says why. Nothing is recorded: a rep who looks at a
//! preview has not sent it, and a question that only the inside can answer is no gap in the knowledge.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use flightdeck_assistant::{Listener, NothingToSend, Origin, Request, Tone};
use flightdeck_corpus::Audience;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::access::Caller;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::search::milliseconds;
use crate::state::AppState;
use crate::telemetry::Operation;
use crate::wire::{Citation, ErrorBody, GenerationReply, SendPreviewReply, SendPreviewRequest};

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
    let SendPreviewRequest { message, customer_id, customer, tone } =
        SendPreviewRequest::from_fields(fields)?;
    let request = Request {
        message,
        session_id: None,
        customer_id,
        customer,
        audience: Audience::Customer,
        day: jiff::Zoned::now().date(),
        origin: Origin::default(),
    };
    let (engine, _) = state.engine()?;
    let admission = state.workers().admit()?;
    let assistant = Arc::clone(&engine.assistant);
    let begun = Instant::now();
    let composed = admission.run(move || assistant.toned(&request, tone)).await??;
    state.telemetry().engine(Operation::Chat, begun.elapsed());
    let toned = match composed {
        Ok(toned) => toned,
        Err(nothing) => return Ok(Json(blocked(nothing, tone, begun))),
    };
    let assistant = Arc::clone(&engine.assistant);
    let answer = if assistant.words_toned(&toned) {
        // It waits for another machine, so it stands in no worker's way; it stops when the rep goes.
        let (sender, _receiver): (_, UnboundedReceiver<()>) = unbounded_channel();
        let worded = tokio::task::spawn_blocking(move || assistant.finish_toned(toned, &mut Waiting(sender)));
        worded.await.map_err(|failed| ApiError::internal(&failed))?
    } else {
        assistant.finish_toned(toned, &mut flightdeck_assistant::Silence)
    };
    if let Some(generation) = &answer.generation {
        state.telemetry().generation(generation);
    }
    Ok(Json(SendPreviewReply {
        blocked: false,
        reason: None,
        text: answer.text,
        citations: answer.citations.iter().map(Citation::from).collect(),
        tone: tone.name(),
        generator: answer.generator,
        generation: answer.generation.map(GenerationReply::from),
        took_ms: milliseconds(begun.elapsed()),
    }))
}

/// Nothing to send, and why. A refusal's words are for the rep, never for the customer.
fn blocked(nothing: NothingToSend, tone: Tone, begun: Instant) -> SendPreviewReply {
    SendPreviewReply {
        blocked: true,
        reason: Some(nothing.name()),
        text: String::new(),
        citations: Vec::new(),
        tone: tone.name(),
        generator: "extractive".to_owned(),
        generation: None,
        took_ms: milliseconds(begun.elapsed()),
    }
}

/// Who waits for a wording, as long as the request lives.
struct Waiting(UnboundedSender<()>);

impl Listener for Waiting {
    fn text(&mut self, _: &str) -> ControlFlow<()> {
        if self.is_gone() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn is_gone(&self) -> bool {
        self.0.is_closed()
    }
}
