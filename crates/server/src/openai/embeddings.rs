//! `POST /v1/embeddings`: the vectors of the model that the index is made with.
//!
//! Such a model is trained with a word before each text that says on which side of a search it stands, and `OpenAI`'s
//! protocol has no place for that. So `input_type` may say it (`query` or `passage`), or the end of the model's name,
//! for clients that send nothing of their own; where nothing says it, texts are passages, which is what is embedded by
//! the thousand. A text that is too long is refused and not cut, since a vector of its beginning would pass for that
//! of the whole. Passages yield to the questions that are answered meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::access::Caller;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::openai::bad;
use crate::openai::models::{self, SIDES, Side};
use crate::openai::wire::{
    EmbeddingItem, EmbeddingList, EmbeddingRequest, EmbeddingUsage, ErrorReply, Vector,
};
use crate::state::AppState;

/// Texts of one request, as the protocol has it.
const MAX_TEXTS: usize = 2048;
/// Tokens of one request together: some seconds of work, well within the time that a request has.
const MAX_TOKENS: usize = 32_768;
/// What the prefix and the model's own marks take of its longest input.
const RESERVED_TOKENS: usize = 8;

#[utoipa::path(
    post, path = "/v1/embeddings", tag = "openai", summary = "Vectors of texts, in OpenAI's form",
    request_body = EmbeddingRequest,
    responses(
        (status = 200, description = "A unit vector for each text, in the order given", body = EmbeddingList),
        (status = 400, description = "A parameter has a value that it cannot have, or a text is too long", body = ErrorReply),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorReply),
        (status = 404, description = "There is no such model", body = ErrorReply),
        (status = 413, description = "The body is over 256 KiB", body = ErrorReply),
        (status = 415, description = "The body is not declared as JSON", body = ErrorReply),
        (status = 429, description = "The key has called as often as it may", body = ErrorReply),
        (status = 503, description = "No index yet, or too many requests; try again", body = ErrorReply),
    )
)]
pub(crate) async fn embeddings(
    State(state): State<AppState>,
    _: Caller,
    fields: Fields,
) -> Result<Json<EmbeddingList>, ApiError> {
    let body = fields.into_values();
    let (engine, _) = state.engine()?;
    let embedder = Arc::clone(engine.store.embedder());
    let model = models::asked(&body)?.to_owned();
    let side = side(&body, models::embedding_side(&model, embedder.name())?)?;
    let format = Format::read(&body)?;
    dimensions(&body, embedder.dimension())?;
    let texts = texts(&body)?;

    let admission = state.workers().admit()?;
    let waiting = Waiting::default();
    let is_waited_for = waiting.0.clone();
    let (vectors, n_tokens) = admission
        .run(move || -> Result<_, ApiError> {
            let longest = embedder.max_tokens().saturating_sub(RESERVED_TOKENS);
            let n_tokens = count(&texts, longest, |text| embedder.count_tokens(text))?;
            let going_on = |_: usize| is_waited_for.load(Ordering::Relaxed);
            let vectors = match side {
                Side::Passage => {
                    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                    embedder.embed_passages(&texts, &going_on)
                }
                Side::Query => {
                    texts.iter().take_while(|_| going_on(0)).map(|text| embedder.embed_query(text)).collect()
                }
            };
            Ok((vectors.map_err(|error| ApiError::internal(&error))?, n_tokens))
        })
        .await??;
    drop(waiting);
    let data = vectors.into_iter().enumerate().map(|(index, vector)| EmbeddingItem {
        object: "embedding",
        index,
        embedding: format.vector(vector),
    });
    Ok(Json(EmbeddingList {
        object: "list",
        data: data.collect(),
        model,
        usage: EmbeddingUsage { prompt_tokens: n_tokens, total_tokens: n_tokens },
    }))
}

/// Somebody waits; when it is dropped, nobody does.
struct Waiting(Arc<AtomicBool>);

impl Default for Waiting {
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// How a vector is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Floats,
    /// Of the floats' bytes, the lowest first.
    Base64,
}

impl Format {
    fn read(body: &Map<String, Value>) -> Result<Self, ApiError> {
        match body.get("encoding_format") {
            None | Some(Value::Null) => Ok(Self::Floats),
            Some(format) if format == "float" => Ok(Self::Floats),
            Some(format) if format == "base64" => Ok(Self::Base64),
            Some(_) => Err(bad("encoding_format", "must be float or base64")),
        }
    }

    fn vector(self, vector: Vec<f32>) -> Vector {
        match self {
            Self::Floats => Vector::Floats(vector),
            Self::Base64 => {
                let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
                Vector::Base64(STANDARD.encode(bytes))
            }
        }
    }
}

/// The side that the texts are for, where the model's name says `named` of it.
fn side(body: &Map<String, Value>, named: Option<Side>) -> Result<Side, ApiError> {
    let asked = match body.get("input_type") {
        None | Some(Value::Null) => None,
        Some(value) => {
            let side = SIDES.iter().find(|(name, _)| value == name).map(|(_, side)| *side);
            Some(side.ok_or_else(|| bad("input_type", "must be query or passage"))?)
        }
    };
    match (named, asked) {
        (Some(named), Some(asked)) if named != asked => {
            Err(bad("input_type", "says another side than the model's name"))
        }
        (named, asked) => Ok(named.or(asked).unwrap_or(Side::Passage)),
    }
}

fn dimensions(body: &Map<String, Value>, own: usize) -> Result<(), ApiError> {
    match body.get("dimensions") {
        None | Some(Value::Null) => Ok(()),
        Some(value) if value.as_u64() == Some(own as u64) => Ok(()),
        Some(_) => {
            Err(bad("dimensions", format!("this model's vectors have {own} numbers and cannot be cut")))
        }
    }
}

fn texts(body: &Map<String, Value>) -> Result<Vec<String>, ApiError> {
    let given = match body.get("input") {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(texts)) if texts.len() > MAX_TEXTS => {
            return Err(bad("input", format!("must have at most {MAX_TEXTS} texts")));
        }
        Some(Value::Array(texts)) => texts
            .iter()
            .enumerate()
            .map(|(idx, text)| match text {
                Value::String(text) => Ok(text.clone()),
                _ => Err(bad(
                    format!("input[{idx}]"),
                    "must be a text; numbers of tokens are another model's and mean nothing here",
                )),
            })
            .collect::<Result<_, _>>()?,
        _ => return Err(bad("input", "must be a text or a list of texts")),
    };
    if given.is_empty() {
        return Err(bad("input", "must not be empty"));
    }
    match given.iter().position(|text| text.trim().is_empty()) {
        Some(idx) => Err(bad(format!("input[{idx}]"), "must not be empty")),
        None => Ok(given),
    }
}

/// The tokens of all texts together.
///
/// # Errors
/// When one has more than the `longest`, or all have too many.
fn count(texts: &[String], longest: usize, tokens: impl Fn(&str) -> usize) -> Result<usize, ApiError> {
    let mut total = 0;
    for (idx, text) in texts.iter().enumerate() {
        let n_tokens = tokens(text);
        if n_tokens > longest {
            let message = format!("has {n_tokens} tokens, but this model reads at most {longest}; cut it up");
            return Err(ApiError {
                code: "context_length_exceeded",
                ..bad(format!("input[{idx}]"), message)
            });
        }
        total += n_tokens;
    }
    if total > MAX_TOKENS {
        let message =
            format!("has {total} tokens in all, but a request may have {MAX_TOKENS}; send fewer texts");
        return Err(bad("input", message));
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn field<T>(result: Result<T, ApiError>) -> String {
        let error = result.err().expect("it is wrong");
        assert_eq!(error.status.as_u16(), 400);
        error.field.expect("a field is wrong")
    }

    fn body(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(body) => body,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn texts_come_one_by_one_or_in_a_list_and_nothing_else_does() {
        assert_eq!(texts(&body(json!({"input": "一"}))).unwrap(), ["一"]);
        assert_eq!(texts(&body(json!({"input": ["一", "二"]}))).unwrap(), ["一", "二"]);
        for (wrong, at) in [
            (json!({}), "input"),
            (json!({"input": null}), "input"),
            (json!({"input": 7}), "input"),
            (json!({"input": []}), "input"),
            (json!({"input": ""}), "input[0]"),
            (json!({"input": ["一", " "]}), "input[1]"),
            (json!({"input": [1, 2, 3]}), "input[0]"),
            (json!({"input": [[1, 2, 3]]}), "input[0]"),
            (json!({"input": vec!["一"; MAX_TEXTS + 1]}), "input"),
        ] {
            assert_eq!(field(texts(&body(wrong.clone()))), at, "{wrong}");
        }
    }

    #[test]
    fn what_is_too_long_is_refused_and_named() {
        let of = |lengths: &[usize]| lengths.iter().map(|n| "字".repeat(*n)).collect::<Vec<_>>();
        let count = |lengths: &[usize]| count(&of(lengths), 504, |text| text.chars().count());
        assert_eq!(count(&[1, 504]), Ok(505));
        assert_eq!(field(count(&[1, 505])), "input[1]");
        assert_eq!(field(count(&[504; 66])), "input");
    }

    #[test]
    fn the_side_is_said_by_the_name_or_by_the_input_type_and_not_by_both_differently() {
        let query = body(json!({"input_type": "query"}));
        assert_eq!(side(&query, None), Ok(Side::Query));
        assert_eq!(side(&body(json!({})), None), Ok(Side::Passage));
        assert_eq!(side(&body(json!({})), Some(Side::Query)), Ok(Side::Query));
        assert_eq!(field(side(&query, Some(Side::Passage))), "input_type");
        assert_eq!(field(side(&body(json!({"input_type": "document"})), None)), "input_type");
    }

    #[test]
    fn a_vector_in_base64_is_its_bytes() {
        let Vector::Base64(text) = Format::Base64.vector(vec![1.0, -0.5]) else { panic!("it was asked for") };
        assert_eq!(STANDARD.decode(text).unwrap(), [0, 0, 128, 63, 0, 0, 0, 191]);
        assert_eq!(field(Format::read(&body(json!({"encoding_format": "int8"})))), "encoding_format");
        assert_eq!(field(dimensions(&body(json!({"dimensions": 256})), 384)), "dimensions");
        assert!(dimensions(&body(json!({"dimensions": 384})), 384).is_ok());
    }
}
