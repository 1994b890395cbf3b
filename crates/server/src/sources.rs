//! `/api/v1/knowledge/…/{path}`: the files themselves, as those change them who look after them (marketing and admins).
//!
//! Nothing is overwritten by accident: a write says in `If-Match` what it believes to replace, or in `If-None-Match: *`
//! that it believes to be the first. The tag is the SHA-256 of the file. What was replaced or deleted stays among the
//! versions and comes back by one call.

use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flightdeck_corpus::{Document, Expected};
use flightdeck_records::{Records, Version};

use crate::access::Caller;
use crate::curation::{Curation, is_gone};
use crate::difference::difference as compare;
use crate::error::ApiError;
use crate::fields::{Fields, read_body_up_to};
use crate::parameters::{Id, Parameters};
use crate::state::AppState;
use crate::wire::ErrorBody;
use crate::wire::knowledge::{
    ChangedReply, DifferenceReply, RestoreRequest, STATUSES, StatusRequest, VersionItem, VersionList,
};

/// A large file over a slow line.
const UPLOAD_TIMEOUT: Duration = Duration::from_mins(10);

#[utoipa::path(
    get, path = "/api/v1/knowledge/source/{path}", tag = "curation", summary = "Read a file as it lies in the folder",
    description = "For marketing and admins. The `etag` is what a later write names in `if-match`.",
    params(
        ("path" = String, Path, description = "Relative to the knowledge folder"),
        ("version" = Option<i64>, Query, description = "An older state instead"),
    ),
    responses(
        (status = 200, description = "Its bytes", content_type = "application/octet-stream"),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 404, description = "There is no such file or version", body = ErrorBody),
        (status = 422, description = "The path is none that may be used", body = ErrorBody),
    )
)]
pub(crate) async fn read(
    State(state): State<AppState>,
    caller: Caller,
    Id(path): Id,
    mut parameters: Parameters,
) -> Result<Response, ApiError> {
    caller.must_be_curator()?;
    let version = version_id(&mut parameters, "version")?;
    parameters.finish()?;
    let found = state.with_curation(move |curation, records| match version {
        None => {
            let shelved = curation.shelf().read(&path)?;
            Ok((shelved.bytes, shelved.tag))
        }
        Some(id) => {
            let version = version_of(records, &path, id)?;
            Ok((curation.shelf().kept(&version.sha256)?, version.sha256))
        }
    });
    let (bytes, tag) = found.await?;
    let headers = [
        (header::ETAG, quoted(&tag)),
        // Whatever it holds, no browser may take it for a page of this server.
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    Ok((headers, bytes).into_response())
}

#[utoipa::path(
    put, path = "/api/v1/knowledge/source/{path}", tag = "curation", summary = "Write a file",
    description = "For marketing and admins. The body is the file; the folder is watched, so it is searchable soon after. Say in `if-match` which state it replaces, or `if-none-match: *` for a new file.",
    params(
        ("path" = String, Path, description = "Relative to the knowledge folder; missing folders are made"),
        ("if-match" = Option<String>, Header, description = "The `etag` of the state that is replaced"),
        ("if-none-match" = Option<String>, Header, description = "`*` for a file that is not there yet"),
    ),
    request_body(content = String, content_type = "application/octet-stream"),
    responses(
        (status = 200, description = "Replaced", body = ChangedReply),
        (status = 201, description = "New", body = ChangedReply),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 404, description = "What was to be replaced is not there", body = ErrorBody),
        (status = 409, description = "There is a file of this name already", body = ErrorBody),
        (status = 412, description = "Somebody changed it in the meantime", body = ErrorBody),
        (status = 413, description = "The file is too large", body = ErrorBody),
        (status = 422, description = "The path is none that may be used", body = ErrorBody),
        (status = 428, description = "Neither `if-match` nor `if-none-match: *` was given", body = ErrorBody),
    )
)]
pub(crate) async fn write(
    State(state): State<AppState>,
    caller: Caller,
    Id(path): Id,
    request: Request,
) -> Result<(StatusCode, Json<ChangedReply>), ApiError> {
    caller.must_be_curator()?;
    let expected = expected(request.headers())?;
    let most = usize::try_from(state.curation()?.shelf().max_bytes()).unwrap_or(usize::MAX);
    let bytes = read_body_up_to(request.into_body(), most, UPLOAD_TIMEOUT).await?;
    let is_new = expected == Expected::Absent;
    let reply = state.with_curation(move |curation, records| {
        let action = if is_new { "upload" } else { "write" };
        let tag = curation.write(records, &path, &bytes, &expected, (action, caller.actor.as_ref()))?;
        Ok(ChangedReply { path, tag: Some(tag) })
    });
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(reply.await?)))
}

#[utoipa::path(
    delete, path = "/api/v1/knowledge/source/{path}", tag = "curation", summary = "Delete a file",
    description = "For marketing and admins. It leaves the answers at once and stays among the versions.",
    params(
        ("path" = String, Path, description = "Relative to the knowledge folder"),
        ("if-match" = String, Header, description = "The `etag` of the state that is deleted"),
    ),
    responses(
        (status = 200, description = "Deleted", body = ChangedReply),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 404, description = "There is no such file", body = ErrorBody),
        (status = 412, description = "Somebody changed it in the meantime", body = ErrorBody),
        (status = 422, description = "The path is none that may be used", body = ErrorBody),
        (status = 428, description = "`if-match` was not given", body = ErrorBody),
    )
)]
pub(crate) async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    Id(path): Id,
    headers: HeaderMap,
) -> Result<Json<ChangedReply>, ApiError> {
    caller.must_be_curator()?;
    let expected = match expected(&headers)? {
        Expected::Absent => {
            return Err(ApiError::invalid("if-none-match", "makes no sense here; use if-match"));
        }
        expected @ Expected::Tag(_) => expected,
    };
    let reply = state.with_curation(move |curation, records| {
        curation.remove(records, &path, &expected, caller.actor.as_ref())?;
        Ok(ChangedReply { path, tag: None })
    });
    Ok(Json(reply.await?))
}

#[utoipa::path(
    post, path = "/api/v1/knowledge/status/{path}", tag = "curation", summary = "Publish a file, archive it, or make it a draft",
    description = "For marketing and admins. One line of its front matter changes, or of the sidecar beside it; all else stays to the letter.",
    params(("path" = String, Path, description = "Relative to the knowledge folder")),
    request_body = StatusRequest,
    responses(
        (status = 200, description = "Changed", body = ChangedReply),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 404, description = "There is no such file", body = ErrorBody),
        (status = 409, description = "What stands there cannot be changed without harm", body = ErrorBody),
        (status = 415, description = "The body is not declared as JSON", body = ErrorBody),
        (status = 422, description = "The path or the status is none that may be used", body = ErrorBody),
    )
)]
pub(crate) async fn status(
    State(state): State<AppState>,
    caller: Caller,
    Id(path): Id,
    mut fields: Fields,
) -> Result<Json<ChangedReply>, ApiError> {
    caller.must_be_curator()?;
    let status = fields.choice("status", &STATUSES)?;
    fields.finish()?;
    let status = status.ok_or_else(|| ApiError::invalid("status", "is required"))?;
    let reply = state.with_curation(move |curation, records| {
        let tag = curation.set_status(records, &path, status, caller.actor.as_ref())?;
        Ok(ChangedReply { path, tag: Some(tag) })
    });
    Ok(Json(reply.await?))
}

#[utoipa::path(
    get, path = "/api/v1/knowledge/versions/{path}", tag = "curation", summary = "The states a file was in",
    description = "For marketing and admins.",
    params(("path" = String, Path, description = "Relative to the knowledge folder")),
    responses(
        (status = 200, description = "Newest first", body = VersionList),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
    )
)]
pub(crate) async fn versions(
    State(state): State<AppState>,
    caller: Caller,
    Id(path): Id,
) -> Result<Json<VersionList>, ApiError> {
    caller.must_be_curator()?;
    let versions = state.with_curation(move |_, records| Ok(records.versions(&path)?)).await?;
    Ok(Json(VersionList { versions: versions.into_iter().map(VersionItem::from).collect() }))
}

#[utoipa::path(
    get, path = "/api/v1/knowledge/difference/{path}", tag = "curation", summary = "What changed between two states of a file",
    description = "For marketing and admins. Of the text that is read from it, sentence by sentence.",
    params(
        ("path" = String, Path, description = "Relative to the knowledge folder"),
        ("from" = i64, Query, description = "The older version"),
        ("to" = Option<i64>, Query, description = "The newer one; the last where nothing is said"),
    ),
    responses(
        (status = 200, description = "The pieces in order", body = DifferenceReply),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 404, description = "There is no such version, or it is no longer kept", body = ErrorBody),
        (status = 422, description = "A parameter has a value that it cannot have", body = ErrorBody),
    )
)]
pub(crate) async fn difference(
    State(state): State<AppState>,
    caller: Caller,
    Id(path): Id,
    mut parameters: Parameters,
) -> Result<Json<DifferenceReply>, ApiError> {
    caller.must_be_curator()?;
    let from = version_id(&mut parameters, "from")?;
    let to = version_id(&mut parameters, "to")?;
    parameters.finish()?;
    let from = from.ok_or_else(|| ApiError::invalid("from", "is required"))?;
    let pieces = state.with_curation(move |curation, records| {
        let old = version_of(records, &path, from)?;
        let new = match to {
            Some(to) => version_of(records, &path, to)?,
            None => last(records, &path)?,
        };
        Ok(compare(&text_of(curation, &old)?, &text_of(curation, &new)?))
    });
    Ok(Json(DifferenceReply { pieces: pieces.await? }))
}

#[utoipa::path(
    post, path = "/api/v1/knowledge/restore/{path}", tag = "curation", summary = "Bring back an older state of a file",
    description = "For marketing and admins. What is there now stays among the versions.",
    params(("path" = String, Path, description = "Relative to the knowledge folder")),
    request_body = RestoreRequest,
    responses(
        (status = 200, description = "It is as it was", body = ChangedReply),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 404, description = "There is no such version, or it is no longer kept", body = ErrorBody),
        (status = 412, description = "Somebody changed the file in this moment", body = ErrorBody),
        (status = 415, description = "The body is not declared as JSON", body = ErrorBody),
        (status = 422, description = "The path or the version is none that may be used", body = ErrorBody),
    )
)]
pub(crate) async fn restore(
    State(state): State<AppState>,
    caller: Caller,
    Id(path): Id,
    mut fields: Fields,
) -> Result<Json<ChangedReply>, ApiError> {
    caller.must_be_curator()?;
    let version = fields.integer("version", 1..=u64::MAX >> 1)?;
    fields.finish()?;
    let version = version.ok_or_else(|| ApiError::invalid("version", "is required"))?.cast_signed();
    let reply = state.with_curation(move |curation, records| {
        let version = version_of(records, &path, version)?;
        let bytes = curation.shelf().kept(&version.sha256)?;
        let expected = match curation.shelf().read(&path) {
            Ok(shelved) => Expected::Tag(shelved.tag),
            Err(flightdeck_corpus::ShelfError::Missing) => Expected::Absent,
            Err(error) => return Err(error.into()),
        };
        let tag = curation.write(records, &path, &bytes, &expected, ("restore", caller.actor.as_ref()))?;
        Ok(ChangedReply { path, tag: Some(tag) })
    });
    Ok(Json(reply.await?))
}

fn version_id(parameters: &mut Parameters, name: &str) -> Result<Option<i64>, ApiError> {
    let Some(text) = parameters.text(name, 20)? else { return Ok(None) };
    let id = text.parse().map_err(|_| ApiError::invalid(name, "must be the id of a version"))?;
    Ok(Some(id))
}

fn version_of(records: &Records, path: &str, id: i64) -> Result<Version, ApiError> {
    let version = records.version(id)?.filter(|version| version.path == path);
    version.ok_or_else(|| ApiError::not_found("there is no such version of this file"))
}

fn last(records: &Records, path: &str) -> Result<Version, ApiError> {
    let version = records.versions(path)?.into_iter().next();
    version.ok_or_else(|| ApiError::not_found("no version of this file is kept"))
}

/// What a reader makes of the file as it was; nothing of one that was gone.
fn text_of(curation: &Curation, version: &Version) -> Result<String, ApiError> {
    if is_gone(version) {
        return Ok(String::new());
    }
    let documents: Vec<Document> = curation.documents_of(version)?;
    Ok(documents.into_iter().map(|document| document.text).collect::<Vec<_>>().join("\n"))
}

fn quoted(tag: &str) -> HeaderValue {
    HeaderValue::try_from(format!("\"{tag}\"")).expect("digits in quotes are a header value")
}

/// What the request believes to be there.
fn expected(headers: &HeaderMap) -> Result<Expected, ApiError> {
    let given = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    match (given(header::IF_MATCH), given(header::IF_NONE_MATCH)) {
        (Some(tag), None) => {
            Ok(Expected::Tag(tag.trim().trim_start_matches("W/").trim_matches('"').to_owned()))
        }
        (None, Some("*")) => Ok(Expected::Absent),
        _ => Err(ApiError::new(
            StatusCode::PRECONDITION_REQUIRED,
            "precondition_required",
            "say in if-match which state this replaces, or if-none-match: * for a new file",
        )),
    }
}
