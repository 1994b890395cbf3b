//! `OpenAI`'s JSON, as far as this server writes it and describes it. Requests are read by hand, since they may hold
//! much that means nothing here; their types describe what does.

use serde::Serialize;
use utoipa::ToSchema;

/// A chat request. Other parameters of the protocol are ignored where they only tune a model, and refused where the
/// answer could not be what they ask for.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the wire; the request is read by hand")]
pub(crate) struct CompletionRequest {
    /// Who will read the answer and who words it; `GET /v1/models` lists the names.
    #[schema(example = "flightdeck-internal")]
    model: String,
    /// The last user message is the question; earlier ones make a follow-up understandable. System messages change
    /// nothing.
    messages: Vec<CompletionMessage>,
    #[schema(required = false, default = false)]
    stream: bool,
    stream_options: Option<StreamOptions>,
    /// Only 1.
    #[schema(required = false, default = 1)]
    n: u32,
}

/// What one side said.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the wire; the request is read by hand")]
pub(crate) struct CompletionMessage {
    /// `user`, `assistant`, `system`, `developer`, `tool` or `function`.
    role: String,
    /// A text, or a list of parts of type `text`.
    content: String,
}

/// What a stream holds besides the answer.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the wire; the request is read by hand")]
pub(crate) struct StreamOptions {
    /// Whether a last chunk says how many tokens were used.
    #[schema(required = false, default = false)]
    include_usage: bool,
}

/// A chat completion, as the protocol has it.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the wire; the reply is made by hand beside its chunks")]
pub(crate) struct Completion {
    #[schema(example = "chatcmpl-0193e2f0")]
    id: String,
    #[schema(example = "chat.completion")]
    object: String,
    created: i64,
    model: String,
    /// One, whose message has the text and its `annotations`.
    choices: Vec<serde_json::Value>,
    usage: serde_json::Value,
}

/// A model.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Model {
    pub id: String,
    #[schema(example = "model")]
    object: &'static str,
    created: i64,
    #[schema(example = "flightdeck")]
    owned_by: &'static str,
}

impl Model {
    pub fn new(id: String) -> Self {
        Self { id, object: "model", created: 0, owned_by: "flightdeck" }
    }
}

/// All models.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelList {
    #[schema(example = "list")]
    object: &'static str,
    data: Vec<Model>,
}

impl ModelList {
    pub fn new(data: Vec<Model>) -> Self {
        Self { object: "list", data }
    }
}

/// Texts to embed.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the wire; the request is read by hand")]
pub(crate) struct EmbeddingRequest {
    /// The embedding model, alone or with `-query` or `-passage` behind it; `GET /v1/models` lists the names.
    #[schema(example = "multilingual-e5-small-query")]
    model: String,
    /// A text, or a list of at most 2048.
    input: Vec<String>,
    /// `float` or `base64`.
    #[schema(required = false, default = "float")]
    encoding_format: String,
    /// Only the model's own number.
    dimensions: Option<u32>,
    /// On which side of a search the texts stand: `query` or `passage`. Not of the protocol.
    #[schema(required = false, default = "passage")]
    input_type: String,
}

/// Vectors.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EmbeddingList {
    #[schema(example = "list")]
    pub object: &'static str,
    /// In the order of the texts.
    pub data: Vec<EmbeddingItem>,
    pub model: String,
    pub usage: EmbeddingUsage,
}

/// A text's vector.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EmbeddingItem {
    #[schema(example = "embedding")]
    pub object: &'static str,
    pub index: usize,
    /// Numbers, or base64 of them as little-endian `f32`.
    #[schema(value_type = Vec<f32>)]
    pub embedding: Vector,
}

/// A vector in one of its two forms.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Vector {
    Floats(Vec<f32>),
    Base64(String),
}

/// What the texts came to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EmbeddingUsage {
    pub prompt_tokens: usize,
    pub total_tokens: usize,
}

/// Why a request was not answered, in the protocol's form.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the wire; errors are turned into it at the edge")]
pub(crate) struct ErrorReply {
    error: ErrorReplyDetail,
}

/// What went wrong.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the wire; errors are turned into it at the edge")]
pub(crate) struct ErrorReplyDetail {
    message: String,
    /// The kind of error.
    #[schema(example = "invalid_request_error")]
    r#type: String,
    /// The parameter that is wrong.
    param: Option<String>,
    /// A stable word for programs.
    code: Option<String>,
}
