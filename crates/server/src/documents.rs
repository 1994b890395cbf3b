//! `GET /api/v1/documents/{id}`: the source behind a citation.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use flightdeck_corpus::{Audience, Document};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::access::Caller;
use crate::error::ApiError;
use crate::parameters::{Id, Parameters};
use crate::state::AppState;
use crate::wire::{AUDIENCES, DocumentReply, ErrorBody};

#[utoipa::path(
    get, path = "/api/v1/documents/{id}", tag = "knowledge", summary = "Read a document",
    params(
        ("id" = String, Path, description = "The document's id, URL-encoded"),
        ("audience" = Option<String>, Query, description = "`internal` or `customer`, as in a search"),
    ),
    responses(
        (status = 200, description = "The document with its text", body = DocumentReply),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 404, description = "There is none, this audience may not see it, or it is not served today",
         body = ErrorBody),
        (status = 422, description = "`audience` is neither of the two", body = ErrorBody),
        (status = 503, description = "No index yet; try again", body = ErrorBody),
    )
)]
pub(crate) async fn document(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
    mut parameters: Parameters,
) -> Result<Json<DocumentReply>, ApiError> {
    let audience = caller.audience(parameters.choice("audience", &AUDIENCES)?)?;
    parameters.finish()?;

    let (document, superseded_by) = read(&state, &id, audience)?;
    Ok(Json(DocumentReply::new(&document, superseded_by, audience)))
}

/// The document of this id as it is served today, and the one that replaces it, if any.
///
/// # Errors
/// `not_found` where this audience has none; when there is no index.
pub(crate) fn read(
    state: &AppState,
    id: &str,
    audience: Audience,
) -> Result<(Arc<Document>, Option<String>), ApiError> {
    let day = jiff::Zoned::now().date();
    let (_, index) = state.engine()?;
    // One answer for "does not exist" and "not for you": the difference itself would be told.
    let document = index
        .document(id, audience, day)
        .ok_or_else(|| ApiError::not_found("there is no such document for this audience today"))?;
    let superseded_by = index.superseded_by(&document.id, audience, day).map(ToString::to_string);
    Ok((document, superseded_by))
}

/// An id as it stands in an address; a slash parts what it parts.
pub(crate) fn escaped(id: &str) -> String {
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.');
    utf8_percent_encode(id, KEPT).to_string()
}
