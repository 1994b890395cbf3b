//! The Model Context Protocol: the assistant as tools and resources for agents, over HTTP at `/mcp` and over standard
//! input and output.
//!
//! rmcp speaks the protocol in all its versions; here is what the tools do and who may call them. Over HTTP every
//! request stands alone: no session is opened, so none can be taken over, nothing is lost by a restart, and each
//! request is judged by the key that it brings. Leaving the connection cancels what was asked over it; on a pipe
//! `notifications/cancelled` does. The audience is the key's, and an argument can only narrow it.

mod described;
mod desk;
mod resources;
mod tools;

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use rmcp::ServiceExt;
use rmcp::service::ServerInitializeError;
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::{Value, json};

use crate::access;
use crate::fields::{MAX_BODY_BYTES, read_body};
use crate::observe;
use crate::state::AppState;
use desk::{Desk, Door};

const PATH: &str = "/mcp";
const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;

type Service = StreamableHttpService<Desk, NeverSessionManager>;

/// Who is at the other end of standard input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pipe {
    /// Their key, asked for its rights at every request; without one they are whoever runs this program.
    pub key: Option<String>,
    /// Whether they see only what customers may see, whatever the key allows.
    pub customer_only: bool,
}

/// The address of the protocol.
pub(crate) fn routes(state: &AppState) -> Router<AppState> {
    let made = state.clone();
    let mut config = StreamableHttpServerConfig::default();
    // Names and origins are judged by `access`, as for every other address.
    config = config.disable_allowed_hosts().disable_allowed_origins();
    config = config.with_legacy_session_mode(false).with_json_response(true);
    config = config.with_max_request_body_bytes(MAX_BODY_BYTES);
    let factory = move || Ok(Desk::new(made.clone(), Door::Http));
    let service = Service::new(factory, Arc::new(NeverSessionManager::default()), config);
    let answer = move |request: Request| {
        let service = service.clone();
        async move { answer(&service, request).await }
    };
    Router::new()
        .route(PATH, post(answer))
        .route_layer(map_response(observe::never_stored))
        .route_layer(from_fn_with_state(state.clone(), access::authorize))
        .route_layer(from_fn_with_state(state.clone(), only_welcome_pages))
}

/// Serves the protocol on standard input and output until the other end closes them.
///
/// # Errors
/// When they cannot be read or written.
pub async fn serve_pipe(state: AppState, pipe: Pipe) -> io::Result<()> {
    let (input, output) = rmcp::transport::stdio();
    let transport = AsyncRwTransport::new_server(input, output).with_max_line_length(MAX_BODY_BYTES);
    let running = match Desk::new(state, Door::Pipe(pipe)).serve(transport).await {
        Ok(running) => running,
        // Whoever leaves before saying hello has done nothing wrong.
        Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(error) => return Err(io::Error::other(error)),
    };
    running.waiting().await.map(|_| ()).map_err(io::Error::other)
}

/// A page may not call with the rights of whoever looks at it, unless it is one that the settings name.
async fn only_welcome_pages(State(state): State<AppState>, request: Request, next: Next) -> Response {
    if access::is_welcome(request.headers(), state.widget_origins()) {
        next.run(request).await
    } else {
        access::foreign_page().into_response()
    }
}

/// Stands for the route above, whose handler holds a service.
#[utoipa::path(
    post, path = "/mcp", tag = "mcp", summary = "The Model Context Protocol, streamable HTTP",
    description = "JSON-RPC, one message a request, protocol versions 2024-11-05 to 2026-07-28, without sessions. The \
                   tools are listed by `tools/list`.",
    request_body = Object,
    responses(
        (status = 200, description = "The response to a request", body = Object),
        (status = 202, description = "A notification was taken"),
        (status = 400, description = "No JSON-RPC message, or a protocol version that is not known", body = Object),
        (status = 401, description = "The key is missing, unknown or revoked", body = crate::wire::ErrorBody),
        (status = 403, description = "Another site's page", body = crate::wire::ErrorBody),
        (status = 406, description = "`Accept` must name application/json and text/event-stream"),
        (status = 413, description = "The body is over 256 KiB", body = crate::wire::ErrorBody),
        (status = 415, description = "The body is not declared as JSON"),
        (status = 429, description = "The key has called as often as it may", body = crate::wire::ErrorBody),
    )
)]
#[allow(dead_code, reason = "only its description is used")]
pub(crate) fn describe() {}

/// Reads the body under the server's own limits, and hands on what is a message at all.
async fn answer(service: &Service, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = match read_body(body).await {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    if let Some(refusal) = no_message(&body) {
        return refusal;
    }
    service.handle(Request::from_parts(parts, Body::from(body))).await.map(Body::new)
}

/// The JSON-RPC error for what is none of its messages.
fn no_message(body: &Bytes) -> Option<Response> {
    let refused = |id: &Value, code: i32, message: &str| {
        let error = json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}});
        Some((StatusCode::BAD_REQUEST, axum::Json(error)).into_response())
    };
    match serde_json::from_slice::<Value>(body) {
        Err(_) => refused(&Value::Null, PARSE_ERROR, "the body is not JSON"),
        Ok(Value::Array(_)) => refused(
            &Value::Null,
            INVALID_REQUEST,
            "one message a request; batches were given up in 2025-06-18",
        ),
        Ok(message) if message["jsonrpc"] != "2.0" => {
            let id = Some(&message["id"]).filter(|id| id.is_string() || id.is_number());
            refused(id.unwrap_or(&Value::Null), INVALID_REQUEST, "the body is not a JSON-RPC 2.0 message")
        }
        Ok(_) => None,
    }
}
