//! 话术 on the wire.

use flightdeck_corpus::Audience;
use flightdeck_records::{NewPhrase, Phrase, PhraseState};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, Type};

use super::{MAX_ID_CHARS, MAX_QUESTION_CHARS, audience_schema, names};
use crate::error::ApiError;
use crate::fields::Fields;

const MAX_TEXT_CHARS: usize = 10_000;

pub(crate) const PHRASE_STATES: [(&str, PhraseState); 3] =
    [("own", PhraseState::Own), ("offered", PhraseState::Offered), ("shared", PhraseState::Shared)];

/// A wording to be kept.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the wire; the records' own type holds the values")]
pub(crate) struct PhraseRequest {
    /// The words.
    #[schema(min_length = 1, max_length = 10_000, example = "张工您好，LB-300S 每分钟 300 瓶。")]
    text: String,
    /// What they answer.
    #[schema(max_length = 4000)]
    question: Option<String>,
    /// Ids of the documents that they stand on.
    #[schema(required = false)]
    documents: Vec<String>,
}

pub(crate) fn new_phrase(mut fields: Fields) -> Result<NewPhrase, ApiError> {
    let new = NewPhrase {
        text: fields.text("text", MAX_TEXT_CHARS)?,
        question: fields
            .optional_text("question", MAX_QUESTION_CHARS)?
            .filter(|text| !text.trim().is_empty()),
        documents: fields.texts("documents", MAX_ID_CHARS)?,
    };
    fields.finish()?;
    Ok(new)
}

/// What is to become of a wording; what is absent stays.
#[derive(Debug, ToSchema)]
pub(crate) struct PhraseChange {
    #[schema(min_length = 1, max_length = 10_000)]
    pub text: Option<String>,
    #[schema(schema_with = state_or_null_schema)]
    pub state: Option<PhraseState>,
}

impl PhraseChange {
    pub fn from_fields(mut fields: Fields) -> Result<Self, ApiError> {
        let text = fields.optional_text("text", MAX_TEXT_CHARS)?;
        if text.as_ref().is_some_and(|text| text.trim().is_empty()) {
            return Err(ApiError::invalid("text", "must not be empty"));
        }
        let change = Self { text, state: fields.choice("state", &PHRASE_STATES)? };
        fields.finish()?;
        Ok(change)
    }
}

/// A wording.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PhraseReply {
    pub id: String,
    pub text: String,
    /// What it answers.
    pub question: Option<String>,
    /// Ids of the documents that it stands on.
    pub documents: Vec<String>,
    /// Who may read it: `customer` while every document that it stands on is for customers.
    #[schema(schema_with = audience_schema)]
    pub audience: Audience,
    /// `own`: for who keeps it; `offered`: on offer to those who curate; `shared`: for everybody.
    #[schema(schema_with = state_schema)]
    pub state: &'static str,
    /// Name of who keeps it.
    pub author: Option<String>,
    /// Whether that is the caller.
    pub mine: bool,
    /// Who has approved it, where it is shared.
    pub approved_by: Option<String>,
    #[schema(format = DateTime)]
    pub updated_at: String,
}

impl PhraseReply {
    pub fn new(phrase: Phrase, audience: Audience, mine: bool) -> Self {
        Self {
            id: phrase.id,
            text: phrase.text,
            question: phrase.question,
            documents: phrase.documents,
            audience,
            state: phrase.state.name(),
            author: phrase.author,
            mine,
            approved_by: phrase.approved_by,
            updated_at: phrase.updated_at.to_string(),
        }
    }
}

/// Wordings, the latest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PhraseList {
    pub phrases: Vec<PhraseReply>,
    /// The `after` of the next page.
    pub next: Option<String>,
}

fn state_schema() -> Object {
    names([Type::String], PHRASE_STATES.map(|(name, _)| name)).build()
}

fn state_or_null_schema() -> Object {
    names([Type::String, Type::Null], PHRASE_STATES.map(|(name, _)| name)).build()
}
