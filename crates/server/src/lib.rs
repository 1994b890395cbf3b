//! The HTTP surface: routes, wire types, access, limits and streaming.
//!
//! The application is a function, [`router`], from a state to a router, so tests call it without a socket. A request
//! passes, from the outside in: observation (id, span, metrics, headers, panics), access (who is calling), strict
//! parsing (a value of the right type or a 4xx that names the field), and `workers`, the one place where CPU-bound
//! work leaves the asynchronous threads. The crate knows nothing of how a passage is found or an answer is made; it
//! turns what the other crates return into the JSON of the contract, and alone knows that JSON.

mod access;
mod answering;
mod assets;
mod channels;
mod chat;
mod conversations;
mod customers;
mod documents;
mod error;
mod feedback;
mod fields;
mod health;
mod interactions;
mod observe;
mod openai;
mod openapi;
mod oversight;
mod parameters;
mod preview;
mod printed;
mod search;
mod serve;
mod sse;
mod state;
mod telemetry;
mod turns;
mod wire;
mod workers;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::{from_fn_with_state, map_response};
use axum::routing::{get, post};
pub use channels::ChannelSettings;
use channels::{manage, webhooks};
use error::ApiError;
pub use flightdeck_channels::is_public;
pub use flightdeck_channels::{Account, AccountError, Hook};
pub use printed::{chat_reply, personal_data, search_reply};
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
        .route("/api/v1/send-preview", post(preview::send_preview))
        .route("/api/v1/documents/{*id}", get(documents::document))
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
        .route("/api/v1/gaps", get(oversight::gaps))
        .route("/api/v1/audit", get(oversight::audit))
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
    let openai = Router::new()
        .route("/v1/models", get(openai::models))
        .route("/v1/chat/completions", post(openai::completions))
        .route_layer(map_response(observe::never_stored))
        .route_layer(from_fn_with_state(state.clone(), access::authorize))
        .route_layer(map_response(openai::errors));
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/openapi.json", get(openapi::document))
        .route("/webhooks/{platform}/{account}", get(webhooks::webhook).post(webhooks::webhook))
        .merge(assets::routes(state.widget_origins()))
        .merge(api)
        .merge(openai)
        .fallback(async || {
            ApiError::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this address")
        })
        .method_not_allowed_fallback(async || {
            ApiError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "this address takes another method",
            )
        })
        .layer(from_fn_with_state(state.clone(), observe::observe))
        .with_state(state)
}

#[cfg(test)]
mod tests;
