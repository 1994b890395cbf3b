//! From a question to a grounded answer: intent, retrieval fitted to it, composition, citations, refusal.
//!
//! The answer is composed from the passages' own sentences: each statement is cut out of a source and cited where it
//! stands, and where the passages do not support an answer the assistant says so and the question is recorded as a
//! gap. The audience of a request goes into every search; nothing after the search can see what it hid.

mod answer;
mod brief;
mod cases;
mod claims;
mod compare;
mod contradictions;
mod courtesy;
mod dialogue;
mod draft;
mod engine;
mod facts;
mod followups;
mod generate;
mod grouping;
mod intent;
mod kept;
mod objection;
mod overview;
mod plan;
mod products;
mod prompts;
mod proposals;
mod quantities;
mod question;
mod recommend;
mod refusal;
mod rival;
mod sentences;
mod support;
mod templates;
mod tone;
mod trial;
mod units;
mod verify;
mod videos;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

pub use answer::{Answer, Citation, Intent, Outcome, RefusalReason};
use brief::Background;
use dialogue::Turn;
use engine::{Asking, Composed};
use flightdeck_corpus::{Audience, DocumentId};
pub use flightdeck_models::Listener;
use flightdeck_records::{Asked, ConversationQuery, CustomerProfile, Records, RecordsError, Role, Session};
use flightdeck_retrieval::{Index, RetrievalError, Store};
pub use generate::{Fallback, Generation, Writer};
pub use grouping::{Group, group};
use intent::Names;
use jiff::civil::Date;
pub use kept::{KeptAnswer, KeptCitation, KeptDocument};
pub use plan::Ranking;
use prompts::audience_name;
pub use prompts::{PromptError, Prompts};
pub use proposals::{Proposal, ProposedBecause, propose};
pub use support::{Signs, SupportPart};
pub use tone::{NothingToSend, Tone, Toned};
pub use trial::{Factor, Searched, Trial, Weighed};

/// A message to the assistant.
#[derive(Clone, Debug)]
pub struct Request {
    /// The words of the rep or customer.
    pub message: String,
    /// Continues a conversation; an unknown id starts one under a new id.
    pub session_id: Option<String>,
    /// A customer in the records.
    pub customer_id: Option<String>,
    /// A customer's profile given with the request; wins over `customer_id` field by field.
    pub customer: Option<CustomerProfile>,
    /// Who will read the answer.
    pub audience: Audience,
    /// The day that validity is judged by.
    pub day: Date,
    /// Who sent it, and as what.
    pub origin: Origin,
}

/// Where a message comes from. The default is this machine, without a name of its own for the message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Id of the key that it was sent with. A conversation goes on only with the key that began it.
    pub owner: Option<String>,
    /// The sender's own id of the message: the same one again is the same message, not a second one.
    pub request_id: Option<String>,
}

/// The answer with its place in the conversation.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The conversation; empty where nothing is recorded.
    pub session_id: String,
    /// This answer; empty where nothing is recorded.
    pub message_id: String,
    /// The answer.
    pub answer: Answer,
}

/// An answer that was given before.
#[derive(Clone, Debug)]
pub struct Recalled {
    /// The conversation.
    pub session_id: String,
    /// The answer's own id.
    pub message_id: String,
    /// Its text.
    pub text: String,
    /// What else was kept of it.
    pub answer: KeptAnswer,
}

/// Entries of a customer's timeline, and conversations about them, that a brief shows.
const BACKGROUND: usize = 5;

/// Turns of a conversation that a message may lean on.
const TURNS: usize = 4;

/// Answers questions from the current index and writes conversations and gaps to the records.
pub struct Assistant {
    store: Arc<Store>,
    records: Option<Arc<Records>>,
    writer: Option<Writer>,
    /// The names in the generation that was asked last.
    names: Mutex<Option<(String, Arc<Names>)>>,
}

/// A message that is understood and has a composed answer, which a model may still word anew.
pub struct Prepared {
    composed: Composed,
    index: Arc<Index>,
    message: String,
    audience: Audience,
    day: Date,
    /// `None` where nothing is recorded.
    place: Option<Place>,
}

/// Where an answer is to stand: ids of its conversation, its question, and its own.
struct Place {
    session: String,
    question: String,
    message: String,
}

impl Prepared {
    /// What is wanted, as understood.
    pub fn intent(&self) -> Intent {
        self.composed.answer.intent
    }

    /// The conversation; empty where nothing is recorded.
    pub fn session_id(&self) -> &str {
        self.place.as_ref().map_or("", |place| &place.session)
    }

    /// The answer to come; empty where nothing is recorded.
    pub fn message_id(&self) -> &str {
        self.place.as_ref().map_or("", |place| &place.message)
    }

    /// The same, to be given as it is composed: no model words it, also where the assistant has one.
    pub fn as_composed(mut self) -> Self {
        for part in &mut self.composed.parts {
            part.material = None;
        }
        self
    }
}

/// What a request is answered from: one generation of the index, and what is known of the customer.
struct Scene {
    index: Arc<Index>,
    customer: CustomerProfile,
    names: Arc<Names>,
    background: Background,
}

impl Scene {
    fn asking(&self, request: &Request) -> Asking<'_> {
        Asking {
            customer: &self.customer,
            audience: request.audience,
            day: request.day,
            index: &self.index,
            names: &self.names,
            background: &self.background,
            wanted: None,
        }
    }
}

impl Assistant {
    /// An assistant over this index. Without `records` nothing is remembered (evaluations).
    pub fn new(store: Arc<Store>, records: Option<Arc<Records>>) -> Self {
        Self { store, records, writer: None, names: Mutex::new(None) }
    }

    /// The same assistant, its answers worded by a language model where that succeeds.
    pub fn with_writer(mut self, writer: Option<Writer>) -> Self {
        self.writer = writer;
        self
    }

    /// Answers one message. CPU-bound, about 10 ms to 100 ms, and with a model as long as that takes.
    ///
    /// # Errors
    /// As [`AssistantError`]; a question without support is an [`Outcome::Abstained`], not an error.
    pub fn reply(&self, request: &Request) -> Result<Reply, AssistantError> {
        self.complete(self.prepare(request)?, &mut Silence)
    }

    /// The first half of [`Assistant::reply`]: all that is CPU-bound. The message is recorded.
    ///
    /// # Errors
    /// As [`Assistant::reply`].
    pub fn prepare(&self, request: &Request) -> Result<Prepared, AssistantError> {
        self.prepare_for(request, None)
    }

    /// As [`Assistant::prepare`], where the sender says what is wanted and its words need not tell.
    ///
    /// # Errors
    /// As [`Assistant::reply`].
    pub fn prepare_for(&self, request: &Request, wanted: Option<Intent>) -> Result<Prepared, AssistantError> {
        let mut scene = self.scene(request)?;
        let (audience, day) = (request.audience, request.day);
        let turns = self.turns(request)?;
        let by_words = intent::by_words(&request.message, &scene.names);
        if by_words.is_some_and(|(intent, _)| intent == Intent::CustomerBrief) {
            scene.background = self.background(request, &scene.index)?;
        }
        let asking = Asking { wanted, ..scene.asking(request) };
        let composed = engine::reply(&request.message, &turns, &asking)?;
        let place = match &self.records {
            None => None,
            Some(records) => {
                let session = session(records, request)?;
                let (owner, request_id) = (&request.origin.owner, &request.origin.request_id);
                let (owner, request_id) = (owner.as_deref(), request_id.as_deref());
                let question = records.append_question(&session, &request.message, owner, request_id)?;
                Some(Place { session, question, message: Records::new_message_id() })
            }
        };
        let message = request.message.clone();
        Ok(Prepared { composed, index: scene.index, message, audience, day, place })
    }

    /// Whether a model will word this answer, which takes seconds.
    pub fn asks_model(&self, prepared: &Prepared) -> bool {
        self.writer.is_some() && prepared.composed.can_be_worded()
    }

    /// The second half of [`Assistant::reply`]: the wording, and the record of the answer. `listener` is given the
    /// answer's text as it comes; its pieces joined are the text of the reply.
    ///
    /// # Errors
    /// When the records fail. A model that fails is no error: the composed answer is served.
    pub fn complete(&self, prepared: Prepared, listener: &mut dyn Listener) -> Result<Reply, AssistantError> {
        let Prepared { composed, index, message, audience, day, place } = prepared;
        let answer = match &self.writer {
            Some(writer) if composed.can_be_worded() => {
                writer.rewrite(&composed, &index, (audience, day), listener)
            }
            _ => {
                // Whoever has left gets no text, and the answer is recorded all the same.
                let _ = listener.text(&composed.answer.text);
                composed.answer
            }
        };
        let (Some(records), Some(place)) = (&self.records, place) else {
            return Ok(Reply { session_id: String::new(), message_id: String::new(), answer });
        };
        let mut details = kept::details(&answer);
        if let Some(generation) = &answer.generation {
            details["generation"] = trace(generation);
        }
        let Place { session, question, message: id } = place;
        let message_id = records.append_answer(&id, &session, &question, &answer.text, &details)?;
        if let Outcome::Abstained(reason) = answer.outcome
            && courtesy::Courtesy::of(&message).is_none()
        {
            let reason = match reason {
                RefusalReason::NotInKnowledge => "not_in_knowledge",
                RefusalReason::OutOfScope => "out_of_scope",
            };
            let asked = answer.understood.as_ref().unwrap_or(&message);
            let (audience, intent) = (audience_name(audience), answer.intent.name());
            records.record_gap(asked, audience, intent, reason, Some(&session))?;
        }
        for (question, intent) in composed.unanswered {
            let audience = audience_name(audience);
            records.record_gap(&question, audience, intent.name(), "not_in_knowledge", Some(&session))?;
        }
        Ok(Reply { session_id: session, message_id, answer })
    }

    /// The answer that this very message got before: the same request id of the same owner.
    ///
    /// # Errors
    /// [`AssistantError::RequestIdTaken`] when another message was sent under it; when the records fail.
    pub fn recall(&self, request: &Request) -> Result<Option<Recalled>, AssistantError> {
        let Some(records) = &self.records else { return Ok(None) };
        let Some(Asked { session, answer: Some(message), .. }) = asked(records, request)? else {
            return Ok(None);
        };
        Ok(Some(Recalled {
            session_id: session.id,
            message_id: message.id,
            answer: KeptAnswer::read(&message.details),
            text: message.text,
        }))
    }

    /// The answer to one message, with nothing recorded of it. CPU-bound as [`Assistant::reply`].
    ///
    /// # Errors
    /// As [`AssistantError`].
    pub fn preview(&self, request: &Request) -> Result<Answer, AssistantError> {
        Ok(self.compose_alone(request)?.0.answer)
    }

    /// The composed answer to a message that no turns come before, and the index that it is from.
    fn compose_alone(&self, request: &Request) -> Result<(Composed, Arc<Index>), AssistantError> {
        let scene = self.scene(request)?;
        let composed = engine::reply(&request.message, &[], &scene.asking(request))?;
        Ok((composed, scene.index))
    }

    /// What a request is answered from, without what only a brief of the customer needs.
    fn scene(&self, request: &Request) -> Result<Scene, AssistantError> {
        let index = self.store.current().ok_or(AssistantError::NoIndex)?;
        let customer = self.customer(request)?;
        let names = self.names(&index);
        Ok(Scene { index, customer, names, background: Background::default() })
    }

    /// The turns before the message, oldest first, in a conversation that it continues.
    fn turns(&self, request: &Request) -> Result<Vec<Turn>, AssistantError> {
        let Some(records) = &self.records else { return Ok(Vec::new()) };
        let Some(session) = continued(records, request)? else { return Ok(Vec::new()) };
        let messages = records.last_messages(&session.id, 2 * TURNS)?;
        let mut turns: Vec<Turn> = Vec::new();
        for message in messages {
            match message.role {
                Role::User => turns.push(Turn { question: message.text, ..Turn::default() }),
                Role::Assistant => {
                    let Some(turn) = turns.last_mut() else { continue };
                    let kept = KeptAnswer::read(&message.details);
                    turn.intent = kept.intent;
                    if let Some(understood) = kept.understood {
                        turn.question = understood;
                    }
                    for citation in kept.citations {
                        turn.show(DocumentId::from(citation.document.id.as_str()));
                    }
                }
            }
        }
        Ok(turns)
    }

    /// What the records know of the request's customer; nothing for the eyes of customers.
    fn background(&self, request: &Request, index: &Index) -> Result<Background, AssistantError> {
        let (Some(records), Some(id), Audience::Internal) =
            (&self.records, &request.customer_id, request.audience)
        else {
            return Ok(Background::default());
        };
        let mut background = Background::default();
        for entry in records.interactions(id, None, BACKGROUND)?.unwrap_or_default() {
            let documents = entry.documents.iter();
            let titles: Vec<String> = documents
                .filter_map(|id| index.document(id, request.audience, request.day))
                .map(|document| document.title.clone())
                .collect();
            if !titles.is_empty() {
                let day = entry.at.strftime("%F");
                background.sent.push(format!("{day}  {}", titles.join("、")));
            }
        }
        let query = ConversationQuery {
            words: "",
            customer_id: Some(id),
            owner: request.origin.owner.as_deref(),
            after: None,
            limit: BACKGROUND,
        };
        let conversations = records.conversations(&query)?.unwrap_or_default();
        background.asked.extend(conversations.into_iter().map(|conversation| conversation.title));
        Ok(background)
    }

    /// As [`Assistant::preview`], from passages ranked as `ranking` says, with the reasons for all of it. `top_k` passages
    /// are explained at most. CPU-bound, about three times as long.
    ///
    /// # Errors
    /// As [`AssistantError`].
    pub fn try_out(
        &self,
        request: &Request,
        ranking: Ranking,
        top_k: usize,
    ) -> Result<Trial, AssistantError> {
        let scene = self.scene(request)?;
        Ok(trial::run(&request.message, &scene.asking(request), ranking, top_k)?)
    }

    /// The names in this generation, read once. They are of all documents, also of those that the audience may not
    /// see: they only help to tell what is asked, and are never shown.
    fn names(&self, index: &Index) -> Arc<Names> {
        let generation = &index.summary().generation;
        let mut known = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        match known.as_ref() {
            Some((of, names)) if of == generation => names.clone(),
            _ => {
                let names = Arc::new(Names::of(index.documents()));
                *known = Some((generation.clone(), names.clone()));
                names
            }
        }
    }

    /// What is known of the customer: the record, overlaid field by field with what the request says.
    fn customer(&self, request: &Request) -> Result<CustomerProfile, AssistantError> {
        let mut profile = match (&request.customer_id, &self.records) {
            (Some(id), Some(records)) => {
                records.customer(id)?.ok_or_else(|| AssistantError::UnknownCustomer(id.clone()))?.profile
            }
            (Some(id), None) => return Err(AssistantError::UnknownCustomer(id.clone())),
            (None, _) => CustomerProfile::default(),
        };
        if let Some(inline) = &request.customer {
            let overlay = |known: &mut Option<String>, said: &Option<String>| {
                if said.as_ref().is_some_and(|value| !value.trim().is_empty()) {
                    known.clone_from(said);
                }
            };
            overlay(&mut profile.name, &inline.name);
            overlay(&mut profile.industry, &inline.industry);
            overlay(&mut profile.company_size, &inline.company_size);
            overlay(&mut profile.region, &inline.region);
            overlay(&mut profile.needs, &inline.needs);
            overlay(&mut profile.scenario, &inline.scenario);
            overlay(&mut profile.stage, &inline.stage);
        }
        Ok(profile)
    }
}

/// The conversation that the request continues, or a new one.
///
/// A conversation never changes its audience: what was said inside must not go on before a customer. It goes on with
/// the key that began it, and is about one customer, so that who asks to be forgotten can be.
fn session(records: &Records, request: &Request) -> Result<String, AssistantError> {
    if let Some(asked) = asked(records, request)? {
        return Ok(asked.session.id);
    }
    let (owner, customer_id) = (&request.origin.owner, &request.customer_id);
    let Some(session) = continued(records, request)? else {
        let audience = audience_name(request.audience);
        return Ok(records.start_session(audience, customer_id.as_deref(), owner.as_deref())?);
    };
    if let (None, Some(customer_id)) = (&session.customer_id, customer_id) {
        records.set_session_customer(&session.id, customer_id)?;
    }
    Ok(session.id)
}

/// The conversation that the request names, if it may go on there.
fn continued(records: &Records, request: &Request) -> Result<Option<Session>, AssistantError> {
    let (owner, customer_id) = (&request.origin.owner, &request.customer_id);
    let known = request.session_id.as_deref().map(|id| records.session(id)).transpose()?.flatten();
    Ok(known.filter(|known| {
        let is_theirs = known.audience == audience_name(request.audience) && known.owner == *owner;
        is_theirs
            && (known.customer_id.is_none() || customer_id.is_none() || known.customer_id == *customer_id)
    }))
}

/// The same message as it was sent before.
fn asked(records: &Records, request: &Request) -> Result<Option<Asked>, AssistantError> {
    let Origin { owner, request_id: Some(request_id) } = &request.origin else { return Ok(None) };
    let Some(asked) = records.asked_before(owner.as_deref(), request_id)? else { return Ok(None) };
    let is_same =
        asked.question == request.message && asked.session.audience == audience_name(request.audience);
    if is_same { Ok(Some(asked)) } else { Err(AssistantError::RequestIdTaken(request_id.clone())) }
}

/// What is kept of a model's part in an answer.
fn trace(generation: &Generation) -> serde_json::Value {
    serde_json::json!({
        "model": generation.model,
        "prompt": generation.prompt,
        "fallback": generation.fallback,
        "kept": generation.kept,
        "removed": generation.removed,
        "prompt_tokens": generation.usage.prompt_tokens,
        "completion_tokens": generation.usage.completion_tokens,
        "cost": generation.usage.cost,
        "first_text_ms": generation.usage.first_text.map(|took| took.as_millis() as u64),
    })
}

/// A listener who waits for the whole answer.
pub struct Silence;

impl Listener for Silence {
    fn text(&mut self, _: &str) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Why there is no answer at all.
#[derive(Debug, thiserror::Error)]
pub enum AssistantError {
    /// There is no index yet.
    #[error("no index is loaded")]
    NoIndex,
    /// `customer_id` names nobody.
    #[error("customer not found: {0}")]
    UnknownCustomer(String),
    /// A request id was used for another message.
    #[error("the request id {0} was used for another message")]
    RequestIdTaken(String),
    /// The search failed.
    #[error(transparent)]
    Retrieval(#[from] RetrievalError),
    /// The records failed.
    #[error(transparent)]
    Records(#[from] RecordsError),
}
