//! What those see who look after the knowledge and the server: `/api/v1/gaps` and `/api/v1/audit`.

use axum::Json;
use axum::extract::State;

use crate::access::Caller;
use crate::error::ApiError;
use crate::parameters::Parameters;
use crate::state::AppState;
use crate::wire::ErrorBody;
use crate::wire::records::{AuditList, AuditReply, GapList, GapReply};

#[utoipa::path(
    get, path = "/api/v1/gaps", tag = "records", summary = "Read the questions that had no answer",
    description = "For marketing and admins.",
    params(
        ("limit" = Option<u32>, Query, description = "How many at most, 1 to 100; 20 where nothing is said"),
    ),
    responses(
        (status = 200, description = "Those asked for most first", body = GapList),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 422, description = "A parameter has a value that it cannot have", body = ErrorBody),
    )
)]
pub(crate) async fn gaps(
    State(state): State<AppState>,
    caller: Caller,
    mut parameters: Parameters,
) -> Result<Json<GapList>, ApiError> {
    caller.must_be_curator()?;
    let limit = parameters.limit()?;
    parameters.finish()?;
    let gaps = state.with_records(move |records| Ok(records.gaps(limit)?)).await?;
    Ok(Json(GapList { gaps: gaps.into_iter().map(GapReply::from).collect() }))
}

#[utoipa::path(
    get, path = "/api/v1/audit", tag = "records", summary = "Read the audit trail",
    description = "For admins.",
    params(
        ("limit" = Option<u32>, Query, description = "How many at most, 1 to 100; 20 where nothing is said"),
    ),
    responses(
        (status = 200, description = "The last changes, newest first", body = AuditList),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 422, description = "A parameter has a value that it cannot have", body = ErrorBody),
    )
)]
pub(crate) async fn audit(
    State(state): State<AppState>,
    caller: Caller,
    mut parameters: Parameters,
) -> Result<Json<AuditList>, ApiError> {
    caller.must_be_admin()?;
    let limit = parameters.limit()?;
    parameters.finish()?;
    let entries = state.with_records(move |records| Ok(records.audit(limit)?)).await?;
    Ok(Json(AuditList { entries: entries.into_iter().map(AuditReply::from).collect() }))
}
