//! Whether the process lives, whether it can answer, and what it has counted.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use flightdeck_retrieval::Index;

use crate::access::may_read_metrics;
use crate::error::ApiError;
use crate::state::AppState;
use crate::wire::{ErrorBody, HealthReply, ReadyReply};

#[utoipa::path(
    get, path = "/healthz", tag = "health", summary = "Whether the process is alive",
    responses((status = 200, description = "It is", body = HealthReply))
)]
pub(crate) async fn alive() -> Json<HealthReply> {
    Json(HealthReply { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

#[utoipa::path(
    get, path = "/readyz", tag = "health", summary = "Whether an index is loaded",
    responses(
        (status = 200, description = "Questions are answered", body = ReadyReply),
        (status = 503, description = "Not yet", body = ErrorBody),
    )
)]
pub(crate) async fn ready(State(state): State<AppState>) -> Result<Json<ReadyReply>, ApiError> {
    let (_, index) = state.engine()?;
    let summary = index.summary();
    Ok(Json(ReadyReply {
        status: "ready",
        generation: summary.generation.clone(),
        documents: summary.documents,
        chunks: summary.chunks,
        model: summary.model.clone(),
    }))
}

#[utoipa::path(
    get, path = "/metrics", tag = "health", summary = "Counters for Prometheus",
    description = "From this machine without a key, from others with an admin's.",
    security((), ("key" = [])),
    responses(
        (status = 200, description = "Prometheus' text form", body = String, content_type = "text/plain"),
        (status = 401, description = "From another machine without a key", body = ErrorBody),
        (status = 403, description = "With a key that is not an admin's", body = ErrorBody),
    )
)]
pub(crate) async fn metrics(
    State(state): State<AppState>,
    request: Parts,
) -> Result<impl IntoResponse, ApiError> {
    may_read_metrics(&state, &request).await?;
    let index = state.engine().ok().map(|(_, index)| index);
    let text = state.telemetry().render(index.as_deref().map(Index::summary), state.workers().load());
    let headers = [
        (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, text))
}
