//! `POST /api/v1/search`: the passages themselves, ranked.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use flightdeck_retrieval::{Because, LeftOut, Query, RetrievalError};

use crate::access::Caller;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::state::AppState;
use crate::telemetry::Operation;
use crate::wire::{ErrorBody, Hit, SearchReply, SearchRequest};

#[utoipa::path(
    post, path = "/api/v1/search", tag = "knowledge", summary = "Find passages",
    request_body = SearchRequest,
    responses(
        (status = 200, description = "What was found, best first", body = SearchReply),
        (status = 400, description = "The body is not a JSON object", body = ErrorBody),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 413, description = "The body is over 256 KiB", body = ErrorBody),
        (status = 415, description = "The body is not declared as JSON", body = ErrorBody),
        (status = 422, description = "A field has a value that it cannot have", body = ErrorBody),
        (status = 503, description = "No index yet, or too many requests; try again", body = ErrorBody),
    )
)]
pub(crate) async fn search(
    State(state): State<AppState>,
    caller: Caller,
    fields: Fields,
) -> Result<Json<SearchReply>, ApiError> {
    let request = SearchRequest::from_fields(fields)?;
    if request.explain && caller.customer_only {
        // How rare a word is is counted over what is internal too.
        let message = "this key sees what customers may see; reasons are for the company's own people";
        return Err(ApiError { field: Some("explain".to_owned()), ..ApiError::forbidden(message) });
    }
    let query = Query {
        text: request.query,
        audience: caller.audience(request.audience)?,
        day: jiff::Zoned::now().date(),
        filters: request.filters,
        mode: request.mode,
        top_k: request.top_k,
    };
    if !request.explain {
        let (hits, took) = find(&state, query).await?;
        return Ok(Json(SearchReply { hits, took_ms: milliseconds(took), explain: None }));
    }
    let (_, index) = state.engine()?;
    let admission = state.workers().admit()?;
    let is_curator = caller.is_curator();
    let explained = admission.run(move || -> Result<_, RetrievalError> {
        let begun = Instant::now();
        let explained = index.explain_spread(&query)?;
        let took = begun.elapsed();
        // A rep learns nothing of drafts and of what is out of date that another search would not say.
        let may_know = |left: &LeftOut| {
            let is_plain = |because: &Because| *because == Because::Audience || because.is_by_filter();
            is_curator || left.because.iter().all(is_plain)
        };
        Ok((SearchReply::explained(explained, took, may_know), took))
    });
    let (reply, took) = explained.await??;
    state.telemetry().engine(Operation::Search, took);
    Ok(Json(reply))
}

/// What a query finds, and how long that took.
///
/// # Errors
/// When there is no index, too much to do, or the search fails.
pub(crate) async fn find(state: &AppState, query: Query) -> Result<(Vec<Hit>, Duration), ApiError> {
    let (_, index) = state.engine()?;
    let admission = state.workers().admit()?;
    let found = admission.run(move || -> Result<_, RetrievalError> {
        let begun = Instant::now();
        let passages = index.search_spread(&query)?;
        let took = begun.elapsed();
        // Marking the words is work too and stays on this side of the crossing.
        Ok((passages.into_iter().map(Hit::from).collect::<Vec<_>>(), took))
    });
    let (hits, took) = found.await??;
    state.telemetry().engine(Operation::Search, took);
    Ok((hits, took))
}

/// To the hundredth, which is as much as such a figure means.
pub(crate) fn milliseconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 100_000.0).round() / 100.0
}
