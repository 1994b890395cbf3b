//! The HTTP surface: routes, wire types, access, limits and streaming.
//!
//! The application is a function, [`router`], from a state to a router, so tests call it without a socket. A request
//! passes, from the outside in: observation (id, span, metrics, headers, panics), access (who is calling), strict
//! parsing (a value of the right type or a 4xx that names the field), and `workers`, the one place where CPU-bound
//! work leaves the asynchronous threads. The crate knows nothing of how a passage is found or an answer is made; it
//! turns what the other crates return into the JSON of the contract, and alone knows that JSON.

mod about;
mod access;
mod answering;
mod assets;
mod channels;
mod chat;
mod conversations;
mod cors;
mod curation;
mod customers;
mod difference;
mod documents;
mod error;
mod feedback;
mod fields;
mod gaps;
mod health;
mod insights;
mod interactions;
mod keys;
mod knowledge;
mod mcp;
mod observe;
mod openai;
mod openapi;
mod oversight;
mod parameters;
mod phrases;
mod preview;
mod printed;
mod search;
mod serve;
mod sign_in;
mod sources;
mod sse;
mod state;
mod telemetry;
mod trial;
mod turns;
mod wire;
mod workers;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::{from_fn_with_state, map_response};
use axum::routing::{delete, get, patch, post};
pub use channels::ChannelSettings;
use channels::{manage, webhooks};
pub use curation::CurationSettings;
use error::ApiError;
pub use flightdeck_channels::protocol::webhook::Secrets as WebhookSecrets;
pub use flightdeck_channels::{Account, AccountError, Guard, Hook, Outward, is_public};
pub use mcp::{Pipe, serve_pipe};
pub use printed::{chat_reply, explained_reply, personal_data, search_reply};
pub use serve::serve;
pub use state::{AppState, Limits};

/// The application.
///
/// Access is judged by the peer's address, which [`serve`] provides as `ConnectInfo<SocketAddr>`; a request without
/// one counts as coming from far away.
pub fn router(state: AppState) -> Router {
    let api = Router::new()
        .route("/api/v1/search", post(search::search))
        .route("/api/v1/chat", post(chat::chat))
        .route("/api/v1/try", post(trial::try_out))
        .route("/api/v1/send-preview", post(preview::send_preview))
        .route("/api/v1/documents/{*id}", get(documents::document))
        .route("/api/v1/knowledge/files", get(knowledge::files))
        .route("/api/v1/knowledge/files/{*path}", get(knowledge::file))
        .route(
            "/api/v1/knowledge/source/{*path}",
            get(sources::read).put(sources::write).delete(sources::delete),
        )
        .route("/api/v1/knowledge/status/{*path}", post(sources::status))
        .route("/api/v1/knowledge/about/{*path}", get(about::read).post(about::write))
        .route("/api/v1/knowledge/versions/{*path}", get(sources::versions))
        .route("/api/v1/knowledge/difference/{*path}", get(sources::difference))
        .route("/api/v1/knowledge/restore/{*path}", post(sources::restore))
        .route("/api/v1/knowledge/health", get(knowledge::health))
        .route("/api/v1/customers", get(customers::list).post(customers::create))
        .route(
            "/api/v1/customers/{id}",
            get(customers::read).patch(customers::change).delete(customers::erase),
        )
        .route("/api/v1/customers/{id}/export", get(customers::export))
        .route("/api/v1/customers/{id}/interactions", get(interactions::list).post(interactions::add))
        .route("/api/v1/conversations", get(conversations::list))
        .route("/api/v1/conversations/{id}", get(conversations::read))
        .route("/api/v1/feedback", get(feedback::list).post(feedback::give))
        .route("/api/v1/feedback/{id}/approve", post(feedback::approve))
        .route("/api/v1/feedback/{id}/dismiss", post(feedback::dismiss))
        .route("/api/v1/gaps", get(oversight::gaps))
        .route("/api/v1/gaps/groups", get(gaps::groups))
        .route("/api/v1/gaps/answer", post(gaps::answer))
        .route("/api/v1/gaps/dismiss", post(gaps::dismiss))
        .route("/api/v1/gaps/check", post(gaps::check))
        .route("/api/v1/insights", get(insights::insights))
        .route("/api/v1/audit", get(oversight::audit))
        .route("/api/v1/phrases", get(phrases::list).post(phrases::keep))
        .route("/api/v1/phrases/{id}", patch(phrases::change).delete(phrases::forget))
        .route("/api/v1/keys", get(keys::list).post(keys::create))
        .route("/api/v1/keys/{id}", delete(keys::revoke))
        .route("/api/v1/me", get(sign_in::me))
        .route("/api/v1/channels", get(manage::channels))
        .route("/api/v1/channels/{account}/test", post(manage::test))
        .route("/api/v1/channels/{account}/events", get(manage::events))
        .route("/api/v1/channels/{account}/deliveries", get(manage::deliveries))
        .route("/api/v1/channels/{account}/deliveries/{id}/redeliver", post(manage::redeliver))
        .route("/api/v1/channels/{account}/conversations", get(manage::conversations).post(manage::switch))
        .route("/api/v1/channels/{account}/drafts", get(manage::drafts))
        .route("/api/v1/channels/{account}/messages", post(manage::message))
        .route_layer(map_response(observe::never_stored))
        .route_layer(from_fn_with_state(state.clone(), access::authorize));
    // Whoever is to be signed in has no key yet.
    let sign_in = Router::new()
        .route("/api/v1/sign-in", post(sign_in::sign_in))
        .route_layer(map_response(observe::never_stored));
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/openapi.json", get(openapi::document))
        .route("/webhooks/{platform}/{account}", get(webhooks::webhook).post(webhooks::webhook))
        .merge(assets::routes())
        .merge(api)
        .merge(sign_in)
        .merge(openai::routes(&state))
        .merge(mcp::routes(&state))
        .fallback(nothing_here)
        .method_not_allowed_fallback(other_method)
        .layer(from_fn_with_state(state.clone(), cors::preflight))
        .layer(from_fn_with_state(state.clone(), observe::observe))
        .with_state(state)
}

async fn nothing_here() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this address")
}

async fn other_method() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this address takes another method")
}

#[cfg(test)]
mod tests;
