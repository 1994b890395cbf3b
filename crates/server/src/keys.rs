//! `/api/v1/keys`: keys to this interface, for admins.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::access::Caller;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::parameters::Id;
use crate::state::AppState;
use crate::wire::ErrorBody;
use crate::wire::access::{KeyList, KeyReply, NewKeyReply, NewKeyRequest, new_key};

#[utoipa::path(
    get, path = "/api/v1/keys", tag = "access", summary = "List the keys",
    description = "For admins. Revoked ones too, without their secrets.",
    responses(
        (status = 200, description = "Oldest first", body = KeyList),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
    )
)]
pub(crate) async fn list(State(state): State<AppState>, caller: Caller) -> Result<Json<KeyList>, ApiError> {
    caller.must_be_admin()?;
    let keys = state.with_records(|records| Ok(records.keys()?)).await?;
    Ok(Json(KeyList { keys: keys.into_iter().map(KeyReply::from).collect() }))
}

#[utoipa::path(
    post, path = "/api/v1/keys", tag = "access", summary = "Make a key",
    description = "For admins. The secret is in this reply and nowhere else.",
    request_body = NewKeyRequest,
    responses(
        (status = 201, description = "The key and its secret", body = NewKeyReply),
        (status = 400, description = "The body is not a JSON object", body = ErrorBody),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 413, description = "The body is over 256 KiB", body = ErrorBody),
        (status = 415, description = "The body is not declared as JSON", body = ErrorBody),
        (status = 422, description = "A field has a value that it cannot have", body = ErrorBody),
    )
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    fields: Fields,
) -> Result<(StatusCode, Json<NewKeyReply>), ApiError> {
    caller.must_be_admin()?;
    let new = new_key(fields)?;
    let made = state.with_records(move |records| Ok(records.make_key(new, caller.actor.as_ref())?));
    let (key, secret) = made.await?;
    Ok((StatusCode::CREATED, Json(NewKeyReply { key: key.into(), secret })))
}

#[utoipa::path(
    delete, path = "/api/v1/keys/{id}", tag = "access", summary = "Revoke a key",
    description = "For admins. It opens nothing from now on, and nor does what was signed with it.",
    params(("id" = String, Path, description = "The key's id")),
    responses(
        (status = 204, description = "Done"),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 404, description = "No key that opens anything has this id", body = ErrorBody),
    )
)]
pub(crate) async fn revoke(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
) -> Result<StatusCode, ApiError> {
    caller.must_be_admin()?;
    let revoked = state.with_records(move |records| Ok(records.revoke_key_by(&id, caller.actor.as_ref())?));
    if revoked.await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::not_found("no key that opens anything has this id"))
    }
}
