//! `/api/v1/sign-in` and `/api/v1/me`: reps that another program vouches for, and who is calling.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use flightdeck_records::{SignInError, TokenRefusal};

use crate::access::{Caller, Page, forbidden_page};
use crate::error::ApiError;
use crate::fields::Fields;
use crate::state::AppState;
use crate::wire::ErrorBody;
use crate::wire::access::{MeReply, SignInReply, SignInRequest};

#[utoipa::path(
    post, path = "/api/v1/sign-in", tag = "access", summary = "Sign in a rep with a signed token",
    description = "The token is made by another program's server with a signing key; it is taken once. No key is needed.",
    request_body = SignInRequest,
    responses(
        (status = 200, description = "What the rep's page shows as its key from now on", body = SignInReply),
        (status = 400, description = "The body is not a JSON object", body = ErrorBody),
        (status = 401, description = "The token is not good; the message says why", body = ErrorBody),
        (status = 403, description = "The page that sent it may not use the token's key", body = ErrorBody),
        (status = 413, description = "The body is over 256 KiB", body = ErrorBody),
        (status = 415, description = "The body is not declared as JSON", body = ErrorBody),
        (status = 422, description = "A field has a value that it cannot have", body = ErrorBody),
    )
)]
pub(crate) async fn sign_in(
    State(state): State<AppState>,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Json<SignInReply>, ApiError> {
    let SignInRequest { token } = SignInRequest::from_fields(fields)?;
    let page = Page::of(&headers);
    let signed_in = state.with_records(move |records| {
        let page = page.as_ref().map(Page::origin);
        let outcome = records.sign_in(&token, page, jiff::Timestamp::now());
        outcome.map_err(|error| match error {
            SignInError::Refused(TokenRefusal::Page) => forbidden_page(),
            SignInError::Refused(refusal) => {
                let message = format!("the token was refused: {refusal}");
                ApiError { code: "token_refused", ..ApiError::unauthorized(message) }
            }
            SignInError::Records(error) => error.into(),
        })
    });
    Ok(Json(signed_in.await?.into()))
}

#[utoipa::path(
    get, path = "/api/v1/me", tag = "access", summary = "Who is calling",
    responses(
        (status = 200, description = "The caller as the server sees them", body = MeReply),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
    )
)]
pub(crate) async fn me(caller: Caller) -> Json<MeReply> {
    Json(MeReply {
        name: caller.actor.as_ref().map(|actor| actor.name.clone()),
        role: caller.role,
        customer_only: caller.customer_only,
        curates: caller.is_curator(),
    })
}
