//! The JSON of the contract: what requests may hold, and what replies are made of.
//!
//! Requests are read by hand (see [`crate::fields`]) and replies are serialised by derive; both describe themselves
//! to the `OpenAPI` document. A reply is built from the engine's types here and nowhere else.

pub(crate) mod about;
pub(crate) mod access;
pub(crate) mod curation;
pub(crate) mod explain;
pub(crate) mod knowledge;
pub(crate) mod phrases;
pub(crate) mod records;

use flightdeck_assistant::{
    Citation as AssistantCitation, Fallback, Generation, Intent, KeptCitation, Outcome, Recalled,
    RefusalReason, Reply, Tone,
};
use flightdeck_corpus::{Audience, Document as CorpusDocument, Kind, Location as CorpusLocation, Status};
use flightdeck_records::CustomerProfile;
use flightdeck_retrieval::{Explained, Filters, LeftOut, Mode, Passage};
use jiff::civil::Date;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

use crate::error::ApiError;
use crate::fields::Fields;
use crate::search::milliseconds;

/// Longest question or message, in characters.
pub(crate) const MAX_QUESTION_CHARS: usize = 4000;
const MAX_TOP_K: u64 = 100;
const DEFAULT_TOP_K: u64 = 10;
/// Longest id, in characters; paths are ids, and file systems allow about this much.
pub(crate) const MAX_ID_CHARS: usize = 1024;
pub(crate) const MAX_REQUEST_ID_CHARS: usize = 200;
const MAX_PROFILE_CHARS: usize = 2000;
const MAX_FILTER_CHARS: usize = 200;

pub(crate) const AUDIENCES: [(&str, Audience); 2] =
    [("internal", Audience::Internal), ("customer", Audience::Customer)];
pub(crate) const MODES: [(&str, Mode); 3] =
    [("hybrid", Mode::Hybrid), ("lexical", Mode::Lexical), ("vector", Mode::Vector)];
const INTENTS: [Intent; 9] = [
    Intent::FindCases,
    Intent::HandleObjection,
    Intent::RecommendVideos,
    Intent::FindTemplate,
    Intent::CustomerBrief,
    Intent::CompareCompetitor,
    Intent::ProductQuestion,
    Intent::ServiceQuestion,
    Intent::Other,
];

// Requests

/// A search.
#[derive(Clone, Debug, PartialEq, ToSchema)]
pub(crate) struct SearchRequest {
    /// The question, in any words.
    #[schema(min_length = 1, max_length = 4000, example = "饮料厂 贴标机 快速换线 案例")]
    pub query: String,
    /// How many passages at most.
    #[schema(required = false, minimum = 1, maximum = 100, default = 10)]
    pub top_k: usize,
    /// Which sides of the index answer.
    #[schema(required = false, schema_with = mode_schema)]
    pub mode: Mode,
    /// Who will see the reply; `internal` where nothing is said, `customer` always for a bot's key.
    #[schema(schema_with = audience_or_null_schema)]
    pub audience: Option<Audience>,
    /// Further narrowing.
    #[schema(required = false, value_type = SearchFilters)]
    pub filters: Filters,
    /// Whether the reply says why each passage stands where it stands; not for a key for customers.
    #[schema(required = false, default = false)]
    pub explain: bool,
}

/// Narrows a search: inside a list any entry counts, the lists are joined by "and", an empty list lets all pass.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the wire; the engine's own type holds the values")]
pub(crate) struct SearchFilters {
    /// Kinds of documents.
    #[schema(required = false, schema_with = kinds_schema)]
    kind: Vec<Kind>,
    /// Industries that the document is for.
    #[schema(required = false)]
    industry: Vec<String>,
    /// Products that the document is about.
    #[schema(required = false)]
    product: Vec<String>,
    /// Tags of the document.
    #[schema(required = false)]
    tag: Vec<String>,
}

impl SearchRequest {
    pub fn from_fields(mut fields: Fields) -> Result<Self, ApiError> {
        let request = Self {
            query: fields.text("query", MAX_QUESTION_CHARS)?,
            top_k: fields.integer("top_k", 1..=MAX_TOP_K)?.unwrap_or(DEFAULT_TOP_K) as usize,
            mode: fields.choice("mode", &MODES)?.unwrap_or_default(),
            audience: fields.choice("audience", &AUDIENCES)?,
            filters: match fields.object("filters")? {
                Some(filters) => filters_from(filters)?,
                None => Filters::default(),
            },
            explain: fields.flag("explain")?,
        };
        fields.finish()?;
        Ok(request)
    }
}

pub(crate) fn filters_from(mut fields: Fields) -> Result<Filters, ApiError> {
    let filters = Filters {
        kind: fields.choices("kind", &Kind::ALL.map(|kind| (kind.name(), kind)))?,
        industry: fields.texts("industry", MAX_FILTER_CHARS)?,
        product: fields.texts("product", MAX_FILTER_CHARS)?,
        tag: fields.texts("tag", MAX_FILTER_CHARS)?,
    };
    fields.finish()?;
    Ok(filters)
}

/// A message to the assistant.
#[derive(Clone, Debug, PartialEq, ToSchema)]
pub(crate) struct ChatRequest {
    /// What the rep or the customer says.
    #[schema(min_length = 1, max_length = 4000, example = "这个客户适合发哪些案例？")]
    pub message: String,
    /// Continues a conversation; absent or unknown, a new one is started.
    pub session_id: Option<String>,
    /// A customer in the records.
    pub customer_id: Option<String>,
    /// A customer's profile; wins over `customer_id` field by field.
    #[schema(value_type = Option<Customer>)]
    pub customer: Option<CustomerProfile>,
    /// Who will see the reply; `internal` where nothing is said, `customer` always for a bot's key.
    #[schema(schema_with = audience_or_null_schema)]
    pub audience: Option<Audience>,
    /// Whether the reply comes as a stream of events.
    #[schema(required = false, default = false)]
    pub stream: bool,
    /// The sender's own id of the message. Sent again under the same id because the reply did not arrive, it is not
    /// a second message, and gets the answer that was given.
    #[schema(max_length = 200)]
    pub request_id: Option<String>,
}

/// Whom a rep is talking to, as far as it is known.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the wire; the records' own type holds the values")]
pub(crate) struct Customer {
    name: Option<String>,
    industry: Option<String>,
    company_size: Option<String>,
    region: Option<String>,
    needs: Option<String>,
    scenario: Option<String>,
    stage: Option<String>,
}

impl ChatRequest {
    pub fn from_fields(mut fields: Fields) -> Result<Self, ApiError> {
        let request = Self {
            message: fields.text("message", MAX_QUESTION_CHARS)?,
            session_id: fields.optional_text("session_id", MAX_ID_CHARS)?,
            customer_id: fields.optional_text("customer_id", MAX_ID_CHARS)?,
            customer: fields.object("customer")?.map(profile_from).transpose()?,
            audience: fields.choice("audience", &AUDIENCES)?,
            stream: fields.flag("stream")?,
            request_id: fields.optional_text("request_id", MAX_REQUEST_ID_CHARS)?,
        };
        fields.finish()?;
        Ok(request)
    }
}

/// A question whose answer is wanted in words that may be sent to the customer.
#[derive(Clone, Debug, PartialEq, ToSchema)]
pub(crate) struct SendPreviewRequest {
    /// The question that was answered.
    #[schema(min_length = 1, max_length = 4000, example = "LB-300S 速度多少？")]
    pub message: String,
    /// A customer in the records.
    pub customer_id: Option<String>,
    /// A customer's profile; wins over `customer_id` field by field.
    #[schema(value_type = Option<Customer>)]
    pub customer: Option<CustomerProfile>,
    /// How it is to be said; without a language model every statement stays word for word.
    #[schema(required = false, schema_with = tone_schema)]
    pub tone: Tone,
}

impl SendPreviewRequest {
    pub fn from_fields(mut fields: Fields) -> Result<Self, ApiError> {
        let request = Self {
            message: fields.text("message", MAX_QUESTION_CHARS)?,
            customer_id: fields.optional_text("customer_id", MAX_ID_CHARS)?,
            customer: fields.object("customer")?.map(profile_from).transpose()?,
            tone: fields.choice("tone", &Tone::ALL.map(|tone| (tone.name(), tone)))?.unwrap_or_default(),
        };
        fields.finish()?;
        Ok(request)
    }
}

fn profile_from(mut fields: Fields) -> Result<CustomerProfile, ApiError> {
    let profile = profile(&mut fields)?;
    fields.finish()?;
    Ok(profile)
}

/// The columns of a customer's profile, without blanks around them.
fn profile(fields: &mut Fields) -> Result<CustomerProfile, ApiError> {
    let mut text = |name| -> Result<Option<String>, ApiError> {
        let text = fields.optional_text(name, MAX_PROFILE_CHARS)?;
        Ok(text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
    };
    Ok(CustomerProfile {
        name: text("name")?,
        industry: text("industry")?,
        company_size: text("company_size")?,
        region: text("region")?,
        needs: text("needs")?,
        scenario: text("scenario")?,
        stage: text("stage")?,
    })
}

// Replies

/// Why a request was not answered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    pub error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorDetail {
    /// A stable word for programs.
    #[schema(example = "invalid_request")]
    pub code: String,
    /// For a person.
    pub message: String,
    /// The field of the request that is wrong.
    #[schema(example = "top_k")]
    pub field: Option<String>,
}

/// What a search found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SearchReply {
    /// Best first.
    pub hits: Vec<Hit>,
    /// Time inside the engine.
    pub took_ms: f64,
    /// Why, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<explain::Explanation>,
}

/// A passage that was found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Hit {
    /// From 1.
    pub rank: usize,
    /// Higher is better; comparable inside one search only.
    pub score: f32,
    /// Stable name of the passage.
    #[schema(example = "case-huarui-labelling#3")]
    pub chunk_id: String,
    pub document: DocumentRef,
    /// The served document that replaces this one, if any.
    pub superseded_by: Option<String>,
    /// The passage.
    pub text: String,
    /// Its densest stretch as HTML text, matches between `<mark>` and `</mark>`.
    pub highlight: String,
    pub location: Location,
    pub scores: SideScores,
}

/// What each side of the index found; null where it did not find the passage or was not asked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SideScores {
    /// BM25.
    pub lexical: Option<f32>,
    /// Cosine of question and passage.
    pub vector: Option<f32>,
    /// Logit of the cross-encoder; only where the settings name one, for the passages that it read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub rerank: Option<f32>,
}

/// The document that something is from.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct DocumentRef {
    pub id: String,
    #[schema(schema_with = kind_schema)]
    pub kind: Kind,
    pub title: String,
    /// Relative to the knowledge folder.
    pub path: String,
    #[schema(schema_with = audience_schema)]
    pub audience: Audience,
    /// What a rep can send to a customer.
    pub link: Option<String>,
    /// From when it is: the first day it holds, or the day it was published or said.
    #[schema(value_type = Option<String>, format = Date)]
    pub date: Option<Date>,
    /// Last day it holds.
    #[schema(value_type = Option<String>, format = Date)]
    pub valid_until: Option<Date>,
}

/// Where something stands in its file or recording.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Location {
    /// Headings from the outermost to the nearest.
    pub heading: Vec<String>,
    /// Page or slide, from 1.
    pub page: Option<u32>,
    /// From 1.
    pub line_start: Option<u32>,
    /// Inclusive.
    pub line_end: Option<u32>,
    /// Start in a recording, in ms.
    pub start_ms: Option<u64>,
    /// End in a recording, in ms.
    pub end_ms: Option<u64>,
}

/// The assistant's reply.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ChatReply {
    pub session_id: String,
    pub message_id: String,
    /// What was wanted, as understood.
    #[schema(schema_with = intent_schema)]
    pub intent: Intent,
    /// Markdown; every `[n]` is in `citations`.
    pub answer: String,
    /// In the order of their numbers; every one is used in `answer`.
    pub citations: Vec<Citation>,
    /// Whether the knowledge does not support an answer.
    pub refused: bool,
    #[schema(schema_with = refusal_reason_schema)]
    pub refusal_reason: Option<RefusalReason>,
    /// What to ask or do next.
    pub suggestions: Vec<String>,
    /// Who worded it: `extractive`, or a language model's name.
    pub generator: String,
    /// What a language model did for the answer; null where none was asked.
    #[schema(value_type = Option<GenerationReply>)]
    pub generation: Option<GenerationReply>,
    /// The question in full, where the message leant on the turns before it (`那精度呢？`); null where it did not.
    pub understood: Option<String>,
    /// Time inside the engine.
    pub took_ms: f64,
}

/// A language model's part in an answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct GenerationReply {
    /// The model that was asked.
    pub model: String,
    /// The prompt, and a hash of its text.
    #[schema(example = "facts@1f0c2a9b7d3e")]
    pub prompt: String,
    /// Why the composed answer is served, alone or behind what the model said; null where the answer is the model's.
    #[schema(schema_with = fallback_schema)]
    pub fallback: Option<Fallback>,
    /// Sentences of the model that stand in their sources.
    pub kept: usize,
    /// Sentences that do not, and were left out.
    pub removed: usize,
    /// As the model's server counts; null where it does not.
    pub prompt_tokens: Option<u64>,
    pub completion_tokens: Option<u64>,
    /// By the prices in the settings.
    pub cost: Option<f64>,
    /// From the request to the model to its first text.
    pub first_text_ms: Option<u64>,
}

/// What can be sent to a customer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct SendPreviewReply {
    /// Whether nothing that may leave the company supports an answer.
    pub blocked: bool,
    /// Why there is nothing to send.
    #[schema(schema_with = nothing_to_send_schema)]
    pub reason: Option<&'static str>,
    /// Markdown with marks as in a chat reply; empty when blocked.
    pub text: String,
    /// What the text stands on; every document is for customers.
    pub citations: Vec<Citation>,
    /// The tone that was asked for.
    #[schema(schema_with = tone_schema)]
    pub tone: &'static str,
    /// Who worded it: `extractive`, or a language model's name.
    pub generator: String,
    /// What a language model did for it; null where none was asked.
    #[schema(value_type = Option<GenerationReply>)]
    pub generation: Option<GenerationReply>,
    /// Time inside the engine.
    pub took_ms: f64,
}

/// The event `meta`: what is known of a reply before its first word.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StreamMeta<'r> {
    pub session_id: &'r str,
    pub message_id: &'r str,
    #[schema(schema_with = intent_schema)]
    pub intent: Intent,
}

/// The event `delta`: the next piece of the answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StreamDelta<'r> {
    pub text: &'r str,
}

/// What a statement of the answer stands on.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Citation {
    /// The number in square brackets.
    pub n: usize,
    pub document: DocumentRef,
    /// To the letter as in the document's text.
    pub quote: String,
    pub location: Location,
}

/// A document with its text.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DocumentReply {
    pub id: String,
    #[schema(schema_with = kind_schema)]
    pub kind: Kind,
    pub title: String,
    /// Relative to the knowledge folder.
    pub path: String,
    #[schema(schema_with = audience_schema)]
    pub audience: Audience,
    #[schema(schema_with = status_schema)]
    pub status: Status,
    /// What a rep can send to a customer.
    pub link: Option<String>,
    /// Who answers for it; null for customers.
    pub owner: Option<String>,
    /// First day it holds.
    #[schema(value_type = Option<String>, format = Date)]
    pub valid_from: Option<Date>,
    /// Last day it holds.
    #[schema(value_type = Option<String>, format = Date)]
    pub valid_until: Option<Date>,
    /// The served document that replaces this one, if any.
    pub superseded_by: Option<String>,
    /// All extracted text; quotes are parts of it.
    pub text: String,
    /// The version of its file, where an older state was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
}

/// What the index holds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReadyReply {
    #[schema(example = "ready")]
    pub status: &'static str,
    /// Name of the current generation.
    #[schema(example = "gen-000007")]
    pub generation: String,
    pub documents: usize,
    pub chunks: usize,
    /// The model that made the vectors.
    pub model: String,
}

/// The process is alive.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthReply {
    #[schema(example = "ok")]
    pub status: &'static str,
    #[schema(example = "0.1.0")]
    pub version: &'static str,
}

// From the engine's types

impl SearchReply {
    /// With the reasons; of what was left out only what `may_know` lets through.
    pub fn explained(
        explained: Explained,
        took: std::time::Duration,
        may_know: impl Fn(&LeftOut) -> bool,
    ) -> Self {
        let explain = Some(explain::Explanation::new(&explained, may_know));
        let hits = explained.passages.into_iter().map(Hit::from).collect();
        Self { hits, took_ms: milliseconds(took), explain }
    }
}

impl From<Passage> for Hit {
    fn from(passage: Passage) -> Self {
        const HIGHLIGHT_CHARS: usize = 160;
        Self {
            rank: passage.rank,
            score: passage.score,
            chunk_id: passage.chunk.id.to_string(),
            document: DocumentRef::from(&*passage.document),
            superseded_by: passage.superseded_by.as_ref().map(ToString::to_string),
            text: passage.chunk.shown(&passage.document),
            highlight: passage.highlight(HIGHLIGHT_CHARS),
            location: Location::from(&passage.chunk.location),
            scores: SideScores {
                lexical: passage.scores.lexical,
                vector: passage.scores.vector,
                rerank: passage.scores.rerank,
            },
        }
    }
}

impl From<&CorpusDocument> for DocumentRef {
    fn from(document: &CorpusDocument) -> Self {
        Self {
            id: document.id.to_string(),
            kind: document.kind,
            title: document.title.clone(),
            path: document.path.clone(),
            audience: document.audience,
            link: document.link.clone(),
            date: document.date(),
            valid_until: document.valid_until,
        }
    }
}

impl From<&CorpusLocation> for Location {
    fn from(location: &CorpusLocation) -> Self {
        Self {
            heading: location.heading.clone(),
            page: location.page,
            line_start: location.line_start,
            line_end: location.line_end,
            start_ms: location.start_ms,
            end_ms: location.end_ms,
        }
    }
}

impl From<&AssistantCitation> for Citation {
    fn from(citation: &AssistantCitation) -> Self {
        Self {
            n: citation.n(),
            document: DocumentRef::from(&**citation.document()),
            quote: citation.quote().to_owned(),
            location: Location::from(citation.location()),
        }
    }
}

impl From<KeptCitation> for Citation {
    fn from(kept: KeptCitation) -> Self {
        let KeptCitation { n, document, quote, location } = kept;
        Self {
            n,
            document: DocumentRef {
                id: document.id,
                kind: document.kind,
                title: document.title,
                path: document.path,
                audience: document.audience,
                link: document.link,
                date: document.date,
                valid_until: document.valid_until,
            },
            quote,
            location: Location::from(&location),
        }
    }
}

impl ChatReply {
    /// An answer that was given before.
    pub fn recalled(given: Recalled, took_ms: f64) -> Self {
        let Recalled { session_id, message_id, text, answer } = given;
        Self {
            session_id,
            message_id,
            intent: answer.intent.unwrap_or(Intent::Other),
            answer: text,
            citations: answer.citations.into_iter().map(Citation::from).collect(),
            refused: answer.refused,
            refusal_reason: answer.refusal_reason,
            suggestions: answer.suggestions,
            generator: answer.generator,
            generation: None,
            understood: answer.understood,
            took_ms,
        }
    }

    pub fn new(reply: Reply, took_ms: f64) -> Self {
        let answer = reply.answer;
        let refusal_reason = match answer.outcome {
            Outcome::Grounded => None,
            Outcome::Abstained(reason) => Some(reason),
        };
        Self {
            session_id: reply.session_id,
            message_id: reply.message_id,
            intent: answer.intent,
            citations: answer.citations.iter().map(Citation::from).collect(),
            answer: answer.text,
            refused: refusal_reason.is_some(),
            refusal_reason,
            suggestions: answer.suggestions,
            generator: answer.generator,
            generation: answer.generation.map(GenerationReply::from),
            understood: answer.understood,
            took_ms,
        }
    }
}

impl From<Generation> for GenerationReply {
    fn from(generation: Generation) -> Self {
        let usage = generation.usage;
        Self {
            model: generation.model,
            prompt: generation.prompt,
            fallback: generation.fallback,
            kept: generation.kept,
            removed: generation.removed,
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            cost: usage.cost,
            first_text_ms: usage.first_text.map(|took| took.as_millis() as u64),
        }
    }
}

impl DocumentReply {
    /// As a reader of `audience` may see it.
    pub fn new(document: &CorpusDocument, superseded_by: Option<String>, audience: Audience) -> Self {
        Self {
            id: document.id.to_string(),
            kind: document.kind,
            title: document.title.clone(),
            path: document.path.clone(),
            audience: document.audience,
            status: document.status,
            link: document.link.clone(),
            owner: document.owner.clone().filter(|_| audience == Audience::Internal),
            valid_from: document.valid_from,
            valid_until: document.valid_until,
            superseded_by,
            text: document.text.clone(),
            version: None,
        }
    }
}

// Schemas of the engine's enumerations, from their own names

fn names(
    types: impl IntoIterator<Item = Type>,
    names: impl IntoIterator<Item = &'static str>,
) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::from_iter(types)).enum_values(Some(names))
}

fn mode_schema() -> Object {
    names([Type::String], MODES.map(|(name, _)| name)).default(Some("hybrid".into())).build()
}

fn audience_schema() -> Object {
    names([Type::String], AUDIENCES.map(|(name, _)| name)).build()
}

fn audience_or_null_schema() -> Object {
    names([Type::String, Type::Null], AUDIENCES.map(|(name, _)| name)).build()
}

fn kind_schema() -> Object {
    names([Type::String], Kind::ALL.map(Kind::name)).build()
}

fn kinds_schema() -> utoipa::openapi::schema::Array {
    utoipa::openapi::schema::ArrayBuilder::new().items(kind_schema()).build()
}

fn intent_schema() -> Object {
    names([Type::String], INTENTS.map(Intent::name)).build()
}

fn fallback_schema() -> Object {
    names([Type::String, Type::Null], Fallback::ALL.map(Fallback::name)).build()
}

fn refusal_reason_schema() -> Object {
    names([Type::String, Type::Null], ["not_in_knowledge", "out_of_scope"]).build()
}

fn tone_schema() -> Object {
    names([Type::String], Tone::ALL.map(Tone::name)).default(Some("plain".into())).build()
}

fn nothing_to_send_schema() -> Object {
    let reasons = ["not_in_knowledge", "out_of_scope", "no_english_source"];
    names([Type::String, Type::Null], reasons).build()
}

fn status_schema() -> Object {
    names([Type::String], ["published", "draft", "archived"]).build()
}
