//! `/v1`: the assistant for programs that speak `OpenAI`'s chat protocol.
//!
//! The model's name is the audience; the key may narrow it as everywhere else. The last user message is the
//! question; clients send many fields that mean nothing here, and those are ignored, not refused. Streams carry
//! nothing but chunks, since clients break on named events. An answer is composed before its first chunk, so whatever
//! fails by then still has a status. No tokens are spent on a composed answer, and the usage says so.

use axum::body::to_bytes;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use axum::{Json, body::Body};
use flightdeck_assistant::{Origin, Request};
use flightdeck_corpus::Audience;
use futures::stream::{self, StreamExt};
use serde_json::{Map, Value, json};

use crate::access::Caller;
use crate::answering::{Answering, Step};
use crate::error::ApiError;
use crate::fields::Fields;
use crate::sse::{self, pieces};
use crate::state::AppState;
use crate::wire::{ChatReply, MAX_QUESTION_CHARS};

const MODELS: [(&str, Audience); 2] =
    [("flightdeck-internal", Audience::Internal), ("flightdeck-customer", Audience::Customer)];
/// Larger than any error of ours.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// `GET /v1/models`: the names that this caller may use.
pub(crate) async fn models(caller: Caller) -> Json<Value> {
    let usable = MODELS.iter().filter(|(_, audience)| caller.audience(Some(*audience)).is_ok());
    let data: Vec<_> = usable
        .map(|(id, _)| json!({"id": id, "object": "model", "created": 0, "owned_by": "flightdeck"}))
        .collect();
    Json(json!({"object": "list", "data": data}))
}

/// `POST /v1/chat/completions`.
pub(crate) async fn completions(
    State(state): State<AppState>,
    caller: Caller,
    fields: Fields,
) -> Result<Response, ApiError> {
    let body = fields.into_values();
    let (model, audience) = model(&body)?;
    if body.get("n").is_some_and(|n| !n.is_null() && n != 1) {
        return Err(bad("n", "only one choice is given"));
    }
    let request = Request {
        message: question(&body)?,
        session_id: None,
        customer_id: None,
        customer: None,
        audience: caller.audience(Some(audience))?,
        day: jiff::Zoned::now().date(),
        origin: Origin { owner: caller.owner().map(str::to_owned), request_id: None },
    };
    let answering = Answering::begin(state, request)?.await?;
    let is_on = |value: Option<&Value>| value.and_then(Value::as_bool).unwrap_or(false);
    let created = jiff::Timestamp::now().as_second();
    if !is_on(body.get("stream")) {
        let reply = answering.reply().await?;
        return Ok(Json(completion(&reply, model, created)).into_response());
    }
    let with_usage = is_on(body.get("stream_options").and_then(|options| options.get("include_usage")));
    let id = format!("chatcmpl-{}", answering.message_id());
    let chunks = Chunks { id, model, created, with_usage };
    let first = chunks.delta(&json!({"role": "assistant", "content": ""}), &Value::Null).to_string();
    let rest = answering.steps().flat_map(move |step| stream::iter(chunks.of(step)));
    let events = stream::once(async { first }).chain(rest);
    Ok(sse::response(events.map(|data| Event::default().data(data))))
}

/// Turns an error of ours into one of `OpenAI`'s shape; its status and headers stay.
pub(crate) async fn errors(response: Response) -> Response {
    if response.status().as_u16() < 400 {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, MAX_ERROR_BYTES).await.unwrap_or_default();
    let ours: Value = serde_json::from_slice(&body).unwrap_or_default();
    let kind = error_kind(parts.status);
    let code = match parts.status {
        StatusCode::UNAUTHORIZED => json!("invalid_api_key"),
        _ => ours["error"]["code"].clone(),
    };
    let error = json!({"error": {
        "message": ours["error"]["message"].as_str().unwrap_or("the request was not answered"),
        "type": kind, "param": ours["error"]["field"], "code": code,
    }});
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Response::from_parts(parts, Body::from(error.to_string()))
}

fn error_kind(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}

fn bad(field: &str, message: &str) -> ApiError {
    ApiError { status: StatusCode::BAD_REQUEST, ..ApiError::invalid(field, message) }
}

fn model(body: &Map<String, Value>) -> Result<(&'static str, Audience), ApiError> {
    let Some(asked) = body.get("model").and_then(Value::as_str) else {
        return Err(bad("model", "is required"));
    };
    MODELS.into_iter().find(|(name, _)| *name == asked).ok_or_else(|| ApiError {
        status: StatusCode::NOT_FOUND,
        code: "model_not_found",
        ..ApiError::invalid("model", "there is no model of this name; GET /v1/models lists them")
    })
}

/// The text of the last user message, whether it is one text or a list of parts.
fn question(body: &Map<String, Value>) -> Result<String, ApiError> {
    let messages = body.get("messages").and_then(Value::as_array);
    let messages = messages.ok_or_else(|| bad("messages", "must be a list of messages"))?;
    let last = messages.iter().rev().find(|message| message["role"] == "user");
    let text = match last.map(|message| &message["content"]) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let texts: Vec<_> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
            texts.join("\n")
        }
        _ => String::new(),
    };
    if text.trim().is_empty() {
        return Err(bad("messages", "must hold a user message with a text"));
    }
    if text.chars().count() > MAX_QUESTION_CHARS {
        return Err(bad("messages", "the last user message must have at most 4000 characters"));
    }
    Ok(text)
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
                    let kind = error_kind(error.status);
                    let error = error.body().error;
                    let error = json!({"error": {
                        "message": error.message, "type": kind, "param": error.field, "code": error.code,
                    }});
                    return vec![error.to_string()];
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
    let escaped: String = id
        .bytes()
        .map(|byte| match byte {
            b'/' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect();
    format!("/api/v1/documents/{escaped}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn the_question_is_the_last_user_message_in_either_form() {
        let text =
            json!({"messages": [{"role": "user", "content": "一"}, {"role": "assistant", "content": "二"}]});
        assert_eq!(question(&body(&text)).unwrap(), "一");
        let parts =
            json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "保修多久？"}]}]});
        assert_eq!(question(&body(&parts)).unwrap(), "保修多久？");
        for none in
            [json!({}), json!({"messages": []}), json!({"messages": [{"role": "user", "content": null}]})]
        {
            assert_eq!(question(&body(&none)).unwrap_err().status, StatusCode::BAD_REQUEST);
        }
    }

    #[test]
    fn an_unknown_model_is_not_found() {
        let error = model(&body(&json!({"model": "gpt-4"}))).unwrap_err();
        assert_eq!((error.status.as_u16(), error.code), (404, "model_not_found"));
        assert_eq!(model(&body(&json!({"model": "flightdeck-customer"}))).unwrap().1, Audience::Customer);
    }

    #[tokio::test]
    async fn errors_have_the_shape_that_clients_parse() {
        let error = crate::tests::body_json(errors(bad("n", "only one").into_response()).await).await;
        assert_eq!(error["error"]["type"], "invalid_request_error");
        assert_eq!(error["error"]["param"], "n");
    }

    #[test]
    fn a_documents_address_is_escaped() {
        assert_eq!(address("faqs/a#保"), "/api/v1/documents/faqs/a%23%E4%BF%9D");
    }
}
