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
use crate::wire::{AUDIENCES, DocumentReply, ErrorBody, MAX_ID_CHARS};

#[utoipa::path(
    get, path = "/api/v1/documents/{id}", tag = "knowledge", summary = "Read a document",
    params(
        ("id" = String, Path, description = "The document's id, URL-encoded"),
        ("audience" = Option<String>, Query, description = "`internal` or `customer`, as in a search"),
        ("at" = Option<String>, Query, description = "A time, e.g. that of an answer: the document as it was then; for the company's own people"),
        ("path" = Option<String>, Query, description = "With `at`: the file, for documents that are no longer there"),
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
    let at = parameters.text("at", 40)?;
    let path = parameters.text("path", MAX_ID_CHARS)?;
    parameters.finish()?;
    if let Some(at) = at {
        return as_it_was(&state, audience, id, &at, path).await;
    }

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

/// The document as it was at a time. Who might have seen it then is nobody's guess, so it is for the company's own
/// people, and everything of it is internal but what its present state says.
async fn as_it_was(
    state: &AppState,
    audience: Audience,
    id: String,
    at: &str,
    path: Option<String>,
) -> Result<Json<DocumentReply>, ApiError> {
    if audience == Audience::Customer {
        return Err(ApiError::invalid("at", "is for the company's own people only"));
    }
    let at: jiff::Timestamp =
        at.parse().map_err(|_| ApiError::invalid("at", "must be a time such as 2026-11-26T08:00:00Z"))?;
    let (_, index) = state.engine()?;
    let present = index.documents().find(|document| *document.id.0 == *id).cloned();
    let missing = || ApiError::not_found("no state of this document is kept from that time");
    let path = present.as_ref().map(|document| document.path.clone()).or(path).ok_or_else(missing)?;
    let found = state.with_curation(move |curation, records| {
        let version = records.version_at(&path, at)?.ok_or_else(missing)?;
        let mut documents = curation.documents_of(&version)?;
        // The id may have come from folder defaults or a sidecar; a file of one document is that one anyway.
        let place = match documents.iter().position(|document| *document.id.0 == *id) {
            Some(place) => place,
            None if documents.len() == 1 => 0,
            None => return Err(missing()),
        };
        let then = documents.swap_remove(place);
        Ok((version, then))
    });
    let (version, then) = found.await?;
    let mut document = present.unwrap_or_else(|| then.clone());
    document.text = then.text;
    let mut reply = DocumentReply::new(&document, None, audience);
    reply.version = Some(version.id);
    Ok(Json(reply))
}
