//! One message on its way to its answer, for all addresses that answer.
//!
//! Understanding and composing are CPU-bound and run among the workers. Where a language model words the answer, that
//! waits for another machine; it runs beside the workers, so that searches and other answers do not stand behind it,
//! and the assistant bounds how many run. It ends when the reader leaves.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flightdeck_assistant::{Assistant, AssistantError, Intent, Listener, Prepared, Recalled, Reply, Request};
use futures::Stream;
use futures::stream::{self, StreamExt};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::Span;

use crate::channels::announce_gap;
use crate::error::ApiError;
use crate::search::milliseconds;
use crate::state::AppState;
use crate::telemetry::Operation;
use crate::wire::ChatReply;

/// A message that was understood and has a composed answer.
pub(crate) enum Answering {
    /// Nobody words the answer anew.
    Composed(Box<ChatReply>),
    /// A model is to word it.
    Wording(Wording),
}

pub(crate) struct Wording {
    state: AppState,
    assistant: Arc<Assistant>,
    prepared: Box<Prepared>,
    question: String,
    started: Instant,
}

/// Who words an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The model of the settings; where they name none, nobody.
    Worded,
    /// Nobody: the sources' own words.
    Composed,
}

/// What happens after the beginning, in this order.
pub(crate) enum Step {
    /// The next piece of the answer's text, never empty; all of them joined are the answer.
    Text(String),
    /// The end, once.
    Ended(Box<Result<ChatReply, ApiError>>),
}

impl Answering {
    /// Takes the request in; the future understands it and composes an answer.
    ///
    /// # Errors
    /// When there is no index or too much to do. The future fails too, as when the request names what does not exist.
    pub fn begin(
        state: AppState,
        request: Request,
    ) -> Result<impl Future<Output = Result<Self, ApiError>> + Send, ApiError> {
        Self::begin_as(state, request, None, Wanted::Worded)
    }

    /// As [`Answering::begin`], for those who know what is wanted, or choose who words it.
    ///
    /// # Errors
    /// As [`Answering::begin`].
    pub fn begin_as(
        state: AppState,
        request: Request,
        intent: Option<Intent>,
        wanted: Wanted,
    ) -> Result<impl Future<Output = Result<Self, ApiError>> + Send, ApiError> {
        let (engine, _) = state.engine()?;
        let admission = state.workers().admit()?;
        let question = request.message.clone();
        let assistant = engine.assistant;
        Ok(async move {
            let worker = Arc::clone(&assistant);
            let begun = admission.run(move || {
                let started = Instant::now();
                begun(&worker, &request, intent, wanted).map(|begun| (begun, started, started.elapsed()))
            });
            let (begun, started, took) = begun.await??;
            state.telemetry().engine(Operation::Chat, took);
            Ok(match begun {
                Begun::Composed(reply) => Self::Composed(Box::new(finished(&state, *reply, &question, took))),
                Begun::Recalled(given) => {
                    Self::Composed(Box::new(ChatReply::recalled(*given, milliseconds(took))))
                }
                Begun::Prepared(prepared) => {
                    Self::Wording(Wording { state, assistant, prepared, question, started })
                }
            })
        })
    }

    pub fn session_id(&self) -> &str {
        match self {
            Self::Composed(reply) => &reply.session_id,
            Self::Wording(wording) => wording.prepared.session_id(),
        }
    }

    pub fn message_id(&self) -> &str {
        match self {
            Self::Composed(reply) => &reply.message_id,
            Self::Wording(wording) => wording.prepared.message_id(),
        }
    }

    pub fn intent(&self) -> Intent {
        match self {
            Self::Composed(reply) => reply.intent,
            Self::Wording(wording) => wording.prepared.intent(),
        }
    }

    /// The whole reply. A model stops when this future is dropped.
    ///
    /// # Errors
    /// When the records fail.
    pub async fn reply(self) -> Result<ChatReply, ApiError> {
        match self {
            Self::Composed(reply) => Ok(*reply),
            Self::Wording(wording) => {
                // Dropped with the future; the other end then knows that nobody waits.
                let (sender, _receiver) = unbounded_channel();
                joined(wording.on_thread(sender, false)).await
            }
        }
    }

    /// The text as it comes, and the reply. A model stops when the stream is dropped.
    pub fn steps(self) -> impl Stream<Item = Step> + Send {
        let wording = match self {
            Self::Composed(reply) => {
                let text = Some(reply.answer.clone()).filter(|text| !text.is_empty());
                let steps = text.map(Step::Text).into_iter().chain([Step::Ended(Box::new(Ok(*reply)))]);
                return stream::iter(steps).left_stream();
            }
            Self::Wording(wording) => wording,
        };
        let (sender, receiver) = unbounded_channel();
        let last = sender.clone();
        let work = wording.on_thread(sender, true);
        tokio::spawn(async move {
            let ended = joined(work).await;
            // A reader who has left needs no end.
            let _ = last.send(Step::Ended(Box::new(ended)));
        });
        let steps = stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|step| (step, receiver))
        });
        steps.right_stream()
    }
}

enum Begun {
    /// Sent again because the reply did not arrive: it is the same question and has the same answer.
    Recalled(Box<Recalled>),
    Composed(Box<Reply>),
    Prepared(Box<Prepared>),
}

fn begun(
    assistant: &Assistant,
    request: &Request,
    intent: Option<Intent>,
    wanted: Wanted,
) -> Result<Begun, AssistantError> {
    if let Some(given) = assistant.recall(request)? {
        return Ok(Begun::Recalled(Box::new(given)));
    }
    let mut prepared = assistant.prepare_for(request, intent)?;
    if wanted == Wanted::Composed {
        prepared = prepared.as_composed();
    }
    if assistant.asks_model(&prepared) {
        return Ok(Begun::Prepared(Box::new(prepared)));
    }
    let reply = assistant.complete(prepared, &mut flightdeck_assistant::Silence)?;
    Ok(Begun::Composed(Box::new(reply)))
}

impl Wording {
    fn on_thread(
        self,
        sender: UnboundedSender<Step>,
        wants_text: bool,
    ) -> JoinHandle<Result<ChatReply, ApiError>> {
        let Self { state, assistant, prepared, question, started } = self;
        let span = Span::current();
        spawn_blocking(move || {
            span.in_scope(|| {
                let reply = assistant.complete(*prepared, &mut Reader { sender, wants_text })?;
                Ok(finished(&state, reply, &question, started.elapsed()))
            })
        })
    }
}

async fn joined(work: JoinHandle<Result<ChatReply, ApiError>>) -> Result<ChatReply, ApiError> {
    work.await.unwrap_or_else(|failed| Err(ApiError::internal(&failed)))
}

/// The reply as it is sent, counted, and announced where it shows a gap.
fn finished(state: &AppState, reply: Reply, question: &str, took: Duration) -> ChatReply {
    if let Some(generation) = &reply.answer.generation {
        state.telemetry().generation(generation);
    }
    let reply = ChatReply::new(reply, milliseconds(took));
    state.telemetry().answer(&reply);
    announce_gap(state, &reply, question);
    reply
}

/// Who waits at the other end of a channel.
struct Reader {
    sender: UnboundedSender<Step>,
    wants_text: bool,
}

impl Listener for Reader {
    fn text(&mut self, piece: &str) -> ControlFlow<()> {
        // Nothing waits for a slow reader: what it has not taken is bounded by the longest answer.
        if self.wants_text && !piece.is_empty() {
            let _ = self.sender.send(Step::Text(piece.to_owned()));
        }
        if self.is_gone() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn is_gone(&self) -> bool {
        self.sender.is_closed()
    }
}
