//! The assistant as the channels' engine.

use flightdeck_assistant::{Origin, RefusalReason, Request};
use flightdeck_channels::gate::Source;
use flightdeck_channels::{Audience, Engine, EngineError, Finding, Question};
use flightdeck_corpus::Audience as Shown;
use flightdeck_records::Rating;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use serde_json::{Value, json};

use tokio::sync::watch;

use crate::answering::{Answering, Step};
use crate::error::ApiError;
use crate::state::{AppState, WeakState};
use crate::wire::records::FeedbackReply;
use crate::wire::{ChatReply, MAX_QUESTION_CHARS};

/// Answers with the server's own assistant, within the bounds that all questions share.
pub(crate) struct AssistantEngine(pub WeakState);

impl Engine for AssistantEngine {
    fn answer(
        &self,
        question: Question,
        so_far: watch::Sender<String>,
    ) -> BoxFuture<'static, Result<Finding, EngineError>> {
        let state = self.0.upgrade();
        async move {
            let reply = reply(state.ok_or(EngineError::Busy)?, question, so_far).await;
            // No index yet, no room, or too slow: all of that passes.
            reply.map(finding).map_err(|error| match error.status.as_u16() {
                503 => EngineError::Busy,
                _ => EngineError::Failed,
            })
        }
        .boxed()
    }
}

async fn reply(
    state: AppState,
    question: Question,
    so_far: watch::Sender<String>,
) -> Result<ChatReply, ApiError> {
    let request = Request {
        message: question.text.chars().take(MAX_QUESTION_CHARS).collect(),
        session_id: question.session_id,
        customer_id: None,
        customer: None,
        audience: match question.audience {
            Audience::Internal => Shown::Internal,
            Audience::Customer => Shown::Customer,
        },
        day: jiff::Zoned::now().date(),
        // A message that is worked on again, after a crash too, is the same question.
        origin: Origin { owner: None, request_id: Some(format!("channel {}", question.request_id)) },
    };
    let answering = Answering::begin(state, request)?.await?;
    if matches!(answering, Answering::Composed(_)) {
        return answering.reply().await;
    }
    // What the model's editor lets go of was held against its sources and is not taken back.
    let mut steps = std::pin::pin!(answering.steps());
    while let Some(step) = steps.next().await {
        match step {
            Step::Text(piece) => so_far.send_modify(|text| text.push_str(&piece)),
            Step::Ended(ended) => return *ended,
        }
    }
    Err(ApiError::internal(&EngineError::Failed))
}

fn finding(reply: ChatReply) -> Finding {
    let sources = reply.citations.into_iter().map(|citation| Source {
        title: citation.document.title,
        quote: citation.quote,
        is_public: citation.document.audience == Shown::Customer,
        link: citation.document.link,
    });
    Finding {
        text: reply.answer,
        sources: sources.collect(),
        is_sure: !reply.refused,
        is_small_talk: reply.refusal_reason == Some(RefusalReason::OutOfScope),
        suggestions: reply.suggestions,
        session_id: reply.session_id,
    }
}

/// Tells the webhooks that a question found no answer.
pub(crate) fn announce_gap(state: &AppState, reply: &ChatReply, question: &str) {
    if reply.refusal_reason == Some(RefusalReason::NotInKnowledge) {
        let data = json!({"question": question, "intent": reply.intent, "message_id": reply.message_id});
        announce(state, "gap.created", reply.message_id.clone(), data);
    }
}

/// Tells the webhooks what somebody thinks of an answer.
pub(crate) fn announce_feedback(state: &AppState, given: &FeedbackReply) {
    // Thought anew it is told anew.
    let subject = format!("{} {}", given.id, given.updated_at);
    let data = json!({
        "message_id": given.message_id, "is_good": given.rating == Rating::Up, "text": given.reason,
        "correction": given.correction,
    });
    announce(state, "feedback.created", subject, data);
}

/// Nobody waits for it: what cannot be queued is logged.
fn announce(state: &AppState, kind: &'static str, subject: String, data: Value) {
    let Some(pipeline) = state.pipeline().cloned() else { return };
    tokio::spawn(async move {
        if let Err(error) = pipeline.announce(kind, &subject, &data).await {
            tracing::error!(kind, %error, "an event was not announced");
        }
    });
}
