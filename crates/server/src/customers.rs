//! `/api/v1/customers`: whom the reps talk to, and what the law lets them ask of us.
//!
//! For the company's own people: a bot speaks to customers and learns nothing of them. Exporting and erasing what is
//! known of a person is an admin's, and each leaves a line in the audit trail.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::access::Caller;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::parameters::{Id, Parameters, page};
use crate::state::AppState;
use crate::wire::records::{
    CustomerList, CustomerPatch, CustomerReply, ErasedReply, NewCustomer, PersonalDataReply, customer_change,
    new_customer,
};
use crate::wire::{ErrorBody, MAX_ID_CHARS};

const MAX_WORDS_CHARS: usize = 200;

#[utoipa::path(
    get, path = "/api/v1/customers", tag = "records", summary = "Find customers",
    params(
        ("q" = Option<String>, Query, description = "Words in the id, name, industry, region, stage or other columns"),
        ("after" = Option<String>, Query, description = "The `next` of the page before"),
        ("limit" = Option<u32>, Query, description = "How many at most, 1 to 100; 20 where nothing is said"),
    ),
    responses(
        (status = 200, description = "By name", body = CustomerList),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 422, description = "`after` names nothing, or a parameter has a value that it cannot have", body = ErrorBody),
    )
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    mut parameters: Parameters,
) -> Result<Json<CustomerList>, ApiError> {
    caller.must_be_staff()?;
    let words = parameters.text("q", MAX_WORDS_CHARS)?.unwrap_or_default();
    let after = parameters.text("after", MAX_ID_CHARS)?;
    let limit = parameters.limit()?;
    parameters.finish()?;
    let found =
        state.with_records(move |records| Ok(records.customers(&words, after.as_deref(), limit + 1)?));
    let (customers, next) = page(found.await?, limit, |customer| &customer.id)?;
    Ok(Json(CustomerList { customers: customers.into_iter().map(CustomerReply::from).collect(), next }))
}

#[utoipa::path(
    post, path = "/api/v1/customers", tag = "records", summary = "Add a customer",
    request_body = NewCustomer,
    responses(
        (status = 201, description = "The customer as recorded", body = CustomerReply),
        (status = 400, description = "The body is not a JSON object", body = ErrorBody),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 409, description = "There is a customer of this id", body = ErrorBody),
        (status = 413, description = "The body is over 256 KiB", body = ErrorBody),
        (status = 415, description = "The body is not declared as JSON", body = ErrorBody),
        (status = 422, description = "A field has a value that it cannot have", body = ErrorBody),
    )
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    fields: Fields,
) -> Result<(StatusCode, Json<CustomerReply>), ApiError> {
    caller.must_be_staff()?;
    let customer = new_customer(fields)?;
    let created =
        state.with_records(move |records| Ok(records.create_customer(&customer, caller.actor.as_ref())?));
    Ok((StatusCode::CREATED, Json(created.await?.into())))
}

#[utoipa::path(
    get, path = "/api/v1/customers/{id}", tag = "records", summary = "Read a customer",
    params(
        ("id" = String, Path, description = "The customer's id, URL-encoded"),
    ),
    responses(
        (status = 200, description = "The customer", body = CustomerReply),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 404, description = "There is no such customer", body = ErrorBody),
    )
)]
pub(crate) async fn read(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<CustomerReply>, ApiError> {
    caller.must_be_staff()?;
    let found = state.with_records(move |records| Ok(records.customer(&id)?)).await?;
    let customer = found.ok_or_else(|| ApiError::not_found("there is no such customer"))?;
    Ok(Json(customer.into()))
}

#[utoipa::path(
    patch, path = "/api/v1/customers/{id}", tag = "records", summary = "Change a customer",
    params(
        ("id" = String, Path, description = "The customer's id, URL-encoded"),
    ),
    request_body = CustomerPatch,
    responses(
        (status = 200, description = "The customer as it is now", body = CustomerReply),
        (status = 400, description = "The body is not a JSON object", body = ErrorBody),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 404, description = "There is no such customer", body = ErrorBody),
        (status = 413, description = "The body is over 256 KiB", body = ErrorBody),
        (status = 415, description = "The body is not declared as JSON", body = ErrorBody),
        (status = 422, description = "A field has a value that it cannot have", body = ErrorBody),
    )
)]
pub(crate) async fn change(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
    fields: Fields,
) -> Result<Json<CustomerReply>, ApiError> {
    caller.must_be_staff()?;
    let change = customer_change(fields)?;
    let changed =
        state.with_records(move |records| Ok(records.change_customer(&id, change, caller.actor.as_ref())?));
    Ok(Json(changed.await?.into()))
}

#[utoipa::path(
    delete, path = "/api/v1/customers/{id}", tag = "records", summary = "Erase a customer",
    description = "The record, the timeline and the conversations about them, for good. Backups made before still hold them.",
    params(
        ("id" = String, Path, description = "The customer's id, URL-encoded"),
    ),
    responses(
        (status = 200, description = "How much was erased", body = ErasedReply),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 404, description = "Nothing is known of such a customer", body = ErrorBody),
    )
)]
pub(crate) async fn erase(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<ErasedReply>, ApiError> {
    caller.must_be_admin()?;
    let erased =
        state.with_records(move |records| Ok(records.erase_customer(&id, caller.actor.as_ref())?)).await?;
    let erased = erased.ok_or_else(|| ApiError::not_found("there is no such customer"))?;
    Ok(Json(erased.into()))
}

#[utoipa::path(
    get, path = "/api/v1/customers/{id}/export", tag = "records", summary = "Export all that is known of a customer",
    params(
        ("id" = String, Path, description = "The customer's id, URL-encoded"),
    ),
    responses(
        (status = 200, description = "All of it", body = PersonalDataReply),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 404, description = "There is no such customer", body = ErrorBody),
    )
)]
pub(crate) async fn export(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<PersonalDataReply>, ApiError> {
    caller.must_be_admin()?;
    let data =
        state.with_records(move |records| Ok(records.export_customer(&id, caller.actor.as_ref())?)).await?;
    let data = data.ok_or_else(|| ApiError::not_found("there is no such customer"))?;
    Ok(Json(data.into()))
}
