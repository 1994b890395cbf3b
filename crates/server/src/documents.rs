//! `GET /api/v1/documents/{id}`: the source behind a citation.

use axum::Json;
use axum::extract::State;

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

    let day = jiff::Zoned::now().date();
    let (_, index) = state.engine()?;
    // One answer for "does not exist" and "not for you": the difference itself would be told.
    let document = index
        .document(&id, audience, day)
        .ok_or_else(|| ApiError::not_found("there is no such document for this audience today"))?;
    let superseded_by = index.superseded_by(&document.id, audience, day).map(ToString::to_string);
    Ok(Json(DocumentReply::new(&document, superseded_by, audience)))
}
