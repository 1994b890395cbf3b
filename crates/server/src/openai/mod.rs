//! `/v1`: the assistant for programs that speak `OpenAI`'s protocol.
//!
//! The addresses, the shapes and the statuses are that protocol's; what stands behind them is the engine of `/api`.
//! Errors of ours are turned into its shape at the edge, whatever part of the server they come from, so that a client
//! never meets another one under `/v1`.

pub(crate) mod completions;
pub(crate) mod embeddings;
mod messages;
pub(crate) mod models;
mod wire;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{any, get, post};
use serde_json::{Value, json};

use crate::access;
use crate::error::ApiError;
use crate::observe;
use crate::state::AppState;

/// Larger than any error of ours.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// The addresses under `/v1`.
pub(crate) fn routes(state: &AppState) -> Router<AppState> {
    Router::new()
        .route("/v1/models", get(models::list))
        .route("/v1/models/{id}", get(models::model))
        .route("/v1/chat/completions", post(completions::completions))
        .route("/v1/embeddings", post(embeddings::embeddings))
        .route_layer(map_response(observe::never_stored))
        .route_layer(from_fn_with_state(state.clone(), access::authorize))
        .route("/v1", any(crate::nothing_here))
        .route("/v1/", any(crate::nothing_here))
        .route("/v1/{*rest}", any(crate::nothing_here))
        .method_not_allowed_fallback(crate::other_method)
        .layer(map_response(errors))
}

/// Turns an error of ours into one of `OpenAI`'s shape; its status and headers stay.
async fn errors(response: Response) -> Response {
    if response.status().as_u16() < 400 {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, MAX_ERROR_BYTES).await.unwrap_or_default();
    let ours: Value = serde_json::from_slice(&body).unwrap_or_default();
    // Strict parsing says 422; this protocol knows 400 for every parameter that is wrong.
    if parts.status == StatusCode::UNPROCESSABLE_ENTITY {
        parts.status = StatusCode::BAD_REQUEST;
    }
    let message = ours["error"]["message"].as_str().unwrap_or("the request was not answered");
    let error = error_body(parts.status, message, &ours["error"]["field"], &ours["error"]["code"]);
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Response::from_parts(parts, Body::from(error.to_string()))
}

fn error_body(status: StatusCode, message: &str, param: &Value, code: &Value) -> Value {
    let (kind, code) = match status.as_u16() {
        401 => ("authentication_error", json!("invalid_api_key")),
        403 => ("permission_error", code.clone()),
        404 => ("not_found_error", code.clone()),
        429 => ("rate_limit_error", json!("rate_limit_exceeded")),
        500.. => ("server_error", code.clone()),
        _ => ("invalid_request_error", code.clone()),
    };
    json!({"error": {"message": message, "type": kind, "param": param, "code": code}})
}

/// A parameter that has a value which it cannot have here.
fn bad(field: impl Into<String>, message: impl Into<String>) -> ApiError {
    ApiError { status: StatusCode::BAD_REQUEST, ..ApiError::invalid(field, message) }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;
    use crate::tests::body_json;

    #[tokio::test]
    async fn errors_have_the_shape_that_clients_parse() {
        let error = body_json(errors(bad("n", "only one").into_response()).await).await;
        assert_eq!(error["error"]["type"], "invalid_request_error");
        assert_eq!(error["error"]["param"], "n");
        let strict = errors(ApiError::invalid("n", "only one").into_response()).await;
        assert_eq!(strict.status(), StatusCode::BAD_REQUEST);
        let often = errors(ApiError::too_often(std::time::Duration::from_secs(4)).into_response()).await;
        assert_eq!((often.status().as_u16(), &often.headers()["retry-after"]), (429, &HeaderValue::from(5)));
        assert_eq!(body_json(often).await["error"]["code"], "rate_limit_exceeded");
    }
}
