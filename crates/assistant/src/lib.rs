//! From a question to a grounded answer: intent, retrieval fitted to it, composition, citations, refusal.
//!
//! The answer is composed from the passages' own sentences: each statement is cut out of a source and cited where it
//! stands, and where the passages do not support an answer the assistant says so and the question is recorded as a
//! gap. The audience of a request goes into every search; nothing after the search can see what it hid.

mod answer;
mod cases;
mod draft;
mod engine;
mod facts;
mod intent;
mod objection;
mod plan;
mod question;
mod refusal;
mod support;
mod templates;
mod units;
mod videos;

use std::sync::{Arc, Mutex, PoisonError};

pub use answer::{Answer, Citation, Intent, Outcome, RefusalReason};
use flightdeck_corpus::Audience;
use flightdeck_records::{CustomerProfile, Records, RecordsError, Role};
use flightdeck_retrieval::{Index, RetrievalError, Store};
use intent::Names;
use jiff::civil::Date;
pub use support::Signs;

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

/// Answers questions from the current index and writes conversations and gaps to the records.
pub struct Assistant {
    store: Arc<Store>,
    records: Option<Arc<Records>>,
    /// The names in the generation that was asked last.
    names: Mutex<Option<(String, Arc<Names>)>>,
}

impl Assistant {
    /// An assistant over this index. Without `records` nothing is remembered (evaluations).
    pub fn new(store: Arc<Store>, records: Option<Arc<Records>>) -> Self {
        Self { store, records, names: Mutex::new(None) }
    }

    /// Answers one message. CPU-bound: about 10 ms to 100 ms.
    ///
    /// # Errors
    /// As [`AssistantError`]; a question without support is an [`Outcome::Abstained`], not an error.
    pub fn reply(&self, request: &Request) -> Result<Reply, AssistantError> {
        let index = self.store.current().ok_or(AssistantError::NoIndex)?;
        let customer = self.customer(request)?;
        let names = self.names(&index);
        let answer =
            engine::answer(&request.message, customer, request.audience, request.day, &index, &names)?;
        let Some(records) = &self.records else {
            return Ok(Reply { session_id: String::new(), message_id: String::new(), answer });
        };
        let audience = match request.audience {
            Audience::Internal => "internal",
            Audience::Customer => "customer",
        };
        let session_id = match &request.session_id {
            // A conversation never changes its audience: what was said inside must not go on before a customer.
            Some(id) if records.session(id)?.is_some_and(|session| session.audience == audience) => {
                id.clone()
            }
            _ => records.start_session(audience, request.customer_id.as_deref())?,
        };
        records.append_message(&session_id, Role::User, &request.message, &serde_json::Value::Null)?;
        let cited: Vec<&str> = answer.citations.iter().map(|c| &*c.document().id.0).collect();
        let details = serde_json::json!({
            "intent": answer.intent,
            "refused": answer.outcome != Outcome::Grounded,
            "support": answer.support,
            "cited": cited,
            "generator": answer.generator,
        });
        let message_id = records.append_message(&session_id, Role::Assistant, &answer.text, &details)?;
        if let Outcome::Abstained(reason) = answer.outcome {
            let reason = match reason {
                RefusalReason::NotInKnowledge => "not_in_knowledge",
                RefusalReason::OutOfScope => "out_of_scope",
            };
            records.record_gap(
                &request.message,
                audience,
                answer.intent.name(),
                reason,
                Some(&session_id),
            )?;
        }
        Ok(Reply { session_id, message_id, answer })
    }

    /// The answer to one message, with nothing recorded of it. CPU-bound as [`Assistant::reply`].
    ///
    /// # Errors
    /// As [`AssistantError`].
    pub fn preview(&self, request: &Request) -> Result<Answer, AssistantError> {
        let index = self.store.current().ok_or(AssistantError::NoIndex)?;
        let customer = self.customer(request)?;
        let names = self.names(&index);
        let (audience, day) = (request.audience, request.day);
        Ok(engine::answer(&request.message, customer, audience, day, &index, &names)?)
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

/// Why there is no answer at all.
#[derive(Debug, thiserror::Error)]
pub enum AssistantError {
    /// There is no index yet.
    #[error("no index is loaded")]
    NoIndex,
    /// `customer_id` names nobody.
    #[error("customer not found: {0}")]
    UnknownCustomer(String),
    /// The search failed.
    #[error(transparent)]
    Retrieval(#[from] RetrievalError),
    /// The records failed.
    #[error(transparent)]
    Records(#[from] RecordsError),
}
