//! `POST /v1/chat/completions`: a question in `OpenAI`'s words, an answer in them.
//!
//! The model's name says who will read the answer and who words it; the key may narrow the audience as everywhere
//! else. What a request may ask for and cannot have here (tools that must be called, JSON, log probabilities, several
//! choices) is refused, and what only tunes a model that may not even be there is ignored. Streams carry nothing but
//! chunks, since clients break on named events. An answer is composed before its first chunk, so whatever fails by
//! then still has a status. No tokens are spent on a composed answer, and the usage says so.

use std::ops::RangeInclusive;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use flightdeck_assistant::{Origin, Request};
use futures::stream::{self, StreamExt};
use serde_json::{Map, Value, json};

use crate::access::Caller;
use crate::answering::{Answering, Step};
use crate::documents::escaped;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::openai::messages::{Dialogue, continue_session};
use crate::openai::models::{self, ChatModel};
use crate::openai::wire::{Completion, CompletionRequest, ErrorReply};
use crate::openai::{bad, error_body};
use crate::sse::{self, pieces};
use crate::state::AppState;
use crate::wire::{AUDIENCES, ChatReply, MAX_REQUEST_ID_CHARS};

/// By which a client says that a request is the same one sent again.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

#[utoipa::path(
    post, path = "/v1/chat/completions", tag = "openai", summary = "Ask a question in OpenAI's form",
    description = "With `\"stream\": true` the reply is a stream of `chat.completion.chunk` objects that ends with \
                   `[DONE]`. Citations stand as `[n]` in the text and as `annotations`. Parameters that only tune a \
                   model are ignored.",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same request sent again has the same")),
    request_body = CompletionRequest,
    responses(
        (status = 200, description = "The answer, or an honest refusal", content(
            (Completion = "application/json"),
            (String = "text/event-stream"),
        )),
        (status = 400, description = "A parameter has a value that it cannot have", body = ErrorReply),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorReply),
        (status = 404, description = "There is no such model for this key", body = ErrorReply),
        (status = 409, description = "The idempotency key was used for another message", body = ErrorReply),
        (status = 413, description = "The body is over 256 KiB", body = ErrorReply),
        (status = 415, description = "The body is not declared as JSON", body = ErrorReply),
        (status = 429, description = "The key has called as often as it may", body = ErrorReply),
        (status = 503, description = "No index yet, or too many requests; try again", body = ErrorReply),
    )
)]
pub(crate) async fn completions(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, ApiError> {
    let body = fields.into_values();
    let model = ChatModel::named(models::asked(&body)?, &caller)?;
    let wishes = Wishes::read(&body)?;
    let dialogue = Dialogue::read(&body)?;
    let audience = caller.audience(Some(model.audience))?;
    let origin = Origin { owner: caller.owner().map(str::to_owned), request_id: request_id(&headers)? };
    // Whoever cannot be answered now leaves no conversation behind.
    state.engine()?;
    let (session_id, dialogue) = session(&state, audience, origin.clone(), dialogue).await?;
    let request = Request {
        message: dialogue.question,
        session_id,
        customer_id: None,
        customer: None,
        audience,
        day: jiff::Zoned::now().date(),
        origin,
    };
    let answering = Answering::begin_as(state, request, None, model.wanted)?.await?;
    let created = jiff::Timestamp::now().as_second();
    if !wishes.streamed {
        let reply = answering.reply().await?;
        return Ok(Json(completion(&reply, model.id, created)).into_response());
    }
    let id = format!("chatcmpl-{}", answering.message_id());
    let chunks = Chunks { id, model: model.id, created, with_usage: wishes.with_usage };
    let first = chunks.delta(&json!({"role": "assistant", "content": ""}), &Value::Null).to_string();
    let rest = answering.steps().flat_map(move |step| stream::iter(chunks.of(step)));
    let events = stream::once(async { first }).chain(rest);
    Ok(sse::response(events.map(|data| Event::default().data(data))))
}

/// The conversation that the dialogue goes on with, and the dialogue.
async fn session(
    state: &AppState,
    audience: flightdeck_corpus::Audience,
    origin: Origin,
    dialogue: Dialogue,
) -> Result<(Option<String>, Dialogue), ApiError> {
    let found = state.with_records(move |records| {
        let owner = origin.owner.as_deref();
        // A request that is sent again goes on where it went on the first time.
        if let Some(request_id) = &origin.request_id
            && records.asked_before(owner, request_id)?.is_some()
        {
            return Ok((None, dialogue));
        }
        let audience = AUDIENCES.iter().find(|(_, known)| *known == audience).map_or("", |(name, _)| *name);
        let session = continue_session(records, audience, owner, &dialogue)?;
        Ok((session, dialogue))
    });
    found.await
}

fn request_id(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| (1..=MAX_REQUEST_ID_CHARS).contains(&key.len()));
    let wanted = format!("must be a text of 1 to {MAX_REQUEST_ID_CHARS} letters of ASCII");
    key.map(|key| Some(format!("openai {key}"))).ok_or_else(|| bad(IDEMPOTENCY_KEY, wanted))
}

/// What tunes a model, and its range; ignored, but never wrong.
const NUMBERS: [(&str, RangeInclusive<f64>); 4] = [
    ("temperature", 0.0..=2.0),
    ("top_p", 0.0..=1.0),
    ("presence_penalty", -2.0..=2.0),
    ("frequency_penalty", -2.0..=2.0),
];

/// How the answer is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Wishes {
    streamed: bool,
    with_usage: bool,
}

impl Wishes {
    /// # Errors
    /// Names what cannot be had here, and what has a type or range that it has nowhere.
    fn read(body: &Map<String, Value>) -> Result<Self, ApiError> {
        let given = |name: &str| body.get(name).filter(|value| !value.is_null());
        let flag = |name: &str| match given(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(bad(name, "must be true or false")),
        };
        for (name, range) in NUMBERS {
            if given(name).is_some_and(|value| value.as_f64().is_none_or(|number| !range.contains(&number))) {
                return Err(bad(name, format!("must be a number from {} to {}", range.start(), range.end())));
            }
        }
        for name in ["max_tokens", "max_completion_tokens"] {
            if given(name).is_some_and(|value| value.as_u64().is_none_or(|number| number == 0)) {
                return Err(bad(name, "must be a whole number from 1"));
            }
        }
        if given("n").is_some_and(|n| n != 1) {
            return Err(bad("n", "only one choice is given"));
        }
        if flag("logprobs")? || given("top_logprobs").is_some() {
            return Err(bad("logprobs", "there are no probabilities of an answer's words"));
        }
        if given("response_format").is_some_and(|format| format["type"] != "text") {
            return Err(bad("response_format", "answers are text; only the type text can be had"));
        }
        let must_call = |choice: &Value| choice.is_object() || choice == "required";
        if given("tool_choice").is_some_and(must_call) || given("function_call").is_some_and(Value::is_object)
        {
            return Err(bad("tool_choice", "no tools are called here; leave it out, or use MCP at /mcp"));
        }
        let is_text =
            |kinds: &Value| kinds.as_array().is_some_and(|kinds| kinds.iter().all(|kind| kind == "text"));
        if given("modalities").is_some_and(|kinds| !is_text(kinds)) || given("audio").is_some() {
            return Err(bad("modalities", "answers are text"));
        }
        let streamed = flag("stream")?;
        let with_usage = match given("stream_options") {
            None => false,
            Some(_) if !streamed => {
                return Err(bad("stream_options", "is for streams; set stream to true"));
            }
            Some(Value::Object(options)) => match options.get("include_usage") {
                None | Some(Value::Null) => false,
                Some(Value::Bool(wanted)) => *wanted,
                Some(_) => return Err(bad("stream_options.include_usage", "must be true or false")),
            },
            Some(_) => return Err(bad("stream_options", "must be an object")),
        };
        Ok(Self { streamed, with_usage })
    }
}

/// Tokens that a model was paid for; a composed answer costs none.
fn usage(reply: &ChatReply) -> Value {
    let (prompt, completion) = reply.generation.as_ref().map_or((0, 0), |generation| {
        (generation.prompt_tokens.unwrap_or(0), generation.completion_tokens.unwrap_or(0))
    });
    json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion})
}

fn completion(reply: &ChatReply, model: &str, created: i64) -> Value {
    json!({
        "id": format!("chatcmpl-{}", reply.message_id), "object": "chat.completion",
        "created": created, "model": model,
        "choices": [{
            "index": 0, "logprobs": null, "finish_reason": "stop",
            "message": {"role": "assistant", "content": reply.answer, "refusal": null,
                        "annotations": annotations(reply)},
        }],
        "usage": usage(reply),
    })
}

/// What all chunks of a stream have in common.
struct Chunks {
    id: String,
    model: &'static str,
    created: i64,
    with_usage: bool,
}

impl Chunks {
    fn chunk(&self, choices: &Value) -> Value {
        let mut chunk = json!({
            "id": self.id, "object": "chat.completion.chunk",
            "created": self.created, "model": self.model, "choices": choices,
        });
        if self.with_usage {
            chunk["usage"] = Value::Null;
        }
        chunk
    }

    fn delta(&self, delta: &Value, finish: &Value) -> Value {
        self.chunk(&json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]))
    }

    /// The data lines of a step.
    fn of(&self, step: Step) -> Vec<String> {
        let reply = match step {
            Step::Text(text) => {
                let deltas = pieces(&text).into_iter();
                return deltas
                    .map(|text| self.delta(&json!({"content": text}), &Value::Null).to_string())
                    .collect();
            }
            Step::Ended(ended) => match *ended {
                Ok(reply) => reply,
                Err(error) => {
                    let body =
                        error_body(error.status, &error.message, &json!(error.field), &json!(error.code));
                    return vec![body.to_string()];
                }
            },
        };
        let mut lines = Vec::new();
        let annotations = annotations(&reply);
        if !annotations.is_empty() {
            lines.push(self.delta(&json!({"annotations": annotations}), &Value::Null).to_string());
        }
        lines.push(self.delta(&json!({}), &json!("stop")).to_string());
        if self.with_usage {
            let mut last = self.chunk(&json!([]));
            last["usage"] = usage(&reply);
            lines.push(last.to_string());
        }
        lines.push("[DONE]".to_owned());
        lines
    }
}

/// One for each mark in the text; the offsets are those of the mark, in code points, its end exclusive.
fn annotations(reply: &ChatReply) -> Vec<Value> {
    let mut found = Vec::new();
    for citation in &reply.citations {
        let mark = format!("[{}]", citation.n);
        for (at, _) in reply.answer.match_indices(&mark) {
            let start = reply.answer[..at].chars().count();
            let url = citation.document.link.clone().unwrap_or_else(|| address(&citation.document.id));
            found.push((
                start,
                json!({"type": "url_citation", "url_citation": {
                    "start_index": start, "end_index": start + mark.len(),
                    "url": url, "title": citation.document.title,
                }}),
            ));
        }
    }
    found.sort_by_key(|(start, _)| *start);
    found.into_iter().map(|(_, annotation)| annotation).collect()
}

/// Where this server shows a document, as a path.
fn address(id: &str) -> String {
    format!("/api/v1/documents/{}", escaped(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes(value: &Value) -> Result<Wishes, ApiError> {
        Wishes::read(value.as_object().unwrap())
    }

    #[test]
    fn what_cannot_be_had_is_refused_and_what_tunes_a_model_is_not() {
        let tuned = json!({"temperature": 0.2, "top_p": 1, "max_tokens": 100, "stop": ["。"], "seed": 1, "user": "u",
            "tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "auto", "n": 1,
            "response_format": {"type": "text"}, "metadata": {}, "some_later_parameter": true, "stream": null});
        assert_eq!(wishes(&tuned), Ok(Wishes::default()));
        for (body, field) in [
            (json!({"n": 2}), "n"),
            (json!({"n": "1"}), "n"),
            (json!({"temperature": 3}), "temperature"),
            (json!({"temperature": "0"}), "temperature"),
            (json!({"max_tokens": 0}), "max_tokens"),
            (json!({"max_completion_tokens": -1}), "max_completion_tokens"),
            (json!({"logprobs": true}), "logprobs"),
            (json!({"response_format": {"type": "json_object"}}), "response_format"),
            (json!({"response_format": "text"}), "response_format"),
            (json!({"tool_choice": "required"}), "tool_choice"),
            (json!({"tool_choice": {"type": "function", "function": {"name": "f"}}}), "tool_choice"),
            (json!({"modalities": ["text", "audio"]}), "modalities"),
            (json!({"stream": "yes"}), "stream"),
            (json!({"stream_options": {"include_usage": true}}), "stream_options"),
            (json!({"stream": true, "stream_options": []}), "stream_options"),
            (json!({"stream": true, "stream_options": {"include_usage": 1}}), "stream_options.include_usage"),
        ] {
            let error = wishes(&body).unwrap_err();
            assert_eq!((error.status.as_u16(), error.field.as_deref()), (400, Some(field)), "{body}");
        }
        let usage = json!({"stream": true, "stream_options": {"include_usage": true}});
        assert_eq!(wishes(&usage), Ok(Wishes { streamed: true, with_usage: true }));
    }

    #[test]
    fn an_idempotency_key_that_cannot_be_kept_is_refused() {
        let with = |value: &[u8]| {
            let value = axum::http::HeaderValue::from_bytes(value).unwrap();
            request_id(&HeaderMap::from_iter([(IDEMPOTENCY_KEY.parse().unwrap(), value)]))
        };
        assert_eq!(with(b"k-1"), Ok(Some("openai k-1".to_owned())));
        assert_eq!(request_id(&HeaderMap::new()), Ok(None));
        for wrong in [&b""[..], &[b'k'; 201], "键".as_bytes()] {
            assert!(with(wrong).is_err());
        }
    }

    #[test]
    fn a_documents_address_is_escaped() {
        assert_eq!(address("faqs/a#保"), "/api/v1/documents/faqs/a%23%E4%BF%9D");
    }
}
