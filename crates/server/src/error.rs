//! One kind of failure for every route, in the contract's form.
//!
//! What a caller reads and what the log holds are two texts: an internal error is logged here, once, with its causes,
//! and the caller learns only that it happened and the request's id.

use std::error::Error;
use std::fmt::Write as _;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flightdeck_assistant::AssistantError;
use flightdeck_corpus::ShelfError;
use flightdeck_records::RecordsError;
use flightdeck_retrieval::RetrievalError;

use crate::curation::CurationError;
use crate::wire::{ErrorBody, ErrorDetail};

/// A request that was not answered, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub status: StatusCode,
    /// A stable word for programs.
    pub code: &'static str,
    pub message: String,
    /// The field of the request that is wrong, `filters.kind[1]`.
    pub field: Option<String>,
    /// Seconds after which it is worth trying again.
    pub retry_after: Option<u32>,
}

impl ApiError {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), field: None, retry_after: None }
    }

    /// A field that is missing, unknown, or has a value that it cannot have.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        let field = Some(field.into());
        Self { field, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", message) }
    }

    /// A request that cannot be read at all.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// The key has called as often as it may for now.
    pub fn too_often(wait: Duration) -> Self {
        let seconds = wait.as_secs().saturating_add(1).try_into().unwrap_or(u32::MAX);
        let message = format!("this key has called as often as it may; try again in {seconds} s");
        let retry_after = Some(seconds);
        Self { retry_after, ..Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message) }
    }

    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    /// The server cannot do it now and can soon.
    pub fn unavailable(code: &'static str, message: impl Into<String>, retry_after: u32) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message) }
    }

    pub fn not_ready() -> Self {
        Self::unavailable("not_ready", "no index is loaded yet", 2)
    }

    /// Logs the error with its causes; the caller is told only that there was one.
    pub fn internal(error: &dyn Error) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            // Writing to a string cannot fail.
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        tracing::error!(error = text, "request failed");
        Self::after_panic()
    }

    /// For what was logged where it happened.
    pub fn after_panic() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "something went wrong inside; the log has it under this request's id",
        )
    }

    pub fn body(&self) -> ErrorBody {
        let (code, message, field) = (self.code.to_owned(), self.message.clone(), self.field.clone());
        ErrorBody { error: ErrorDetail { code, message, field } }
    }
}

impl From<RetrievalError> for ApiError {
    fn from(error: RetrievalError) -> Self {
        Self::internal(&error)
    }
}

impl From<RecordsError> for ApiError {
    fn from(error: RecordsError) -> Self {
        match error {
            RecordsError::UnknownCustomer(_) => Self::not_found("there is no such customer"),
            RecordsError::CustomerExists(id) => Self {
                status: StatusCode::CONFLICT,
                code: "exists",
                ..Self::invalid("id", format!("there is a customer {id:?} already"))
            },
            RecordsError::UnknownTask(_) => Self::not_found("this is not there any more"),
            error => Self::internal(&error),
        }
    }
}

impl From<AssistantError> for ApiError {
    fn from(error: AssistantError) -> Self {
        match error {
            AssistantError::NoIndex => Self::not_ready(),
            AssistantError::UnknownCustomer(id) => {
                Self::invalid("customer_id", format!("there is no customer {id:?}"))
            }
            AssistantError::RequestIdTaken(_) => Self {
                status: StatusCode::CONFLICT,
                code: "request_id_taken",
                ..Self::invalid("request_id", "was used for another message; give each message its own")
            },
            error => Self::internal(&error),
        }
    }
}

impl From<CurationError> for ApiError {
    fn from(error: CurationError) -> Self {
        match error {
            CurationError::Shelf(error) => Self::from(error),
            CurationError::Records(error) => Self::from(error),
        }
    }
}

impl From<ShelfError> for ApiError {
    fn from(error: ShelfError) -> Self {
        let message = error.to_string();
        match error {
            ShelfError::BadPath(_) => Self { code: "bad_path", ..Self::invalid("path", message) },
            ShelfError::Missing => Self::not_found(message),
            ShelfError::Exists => Self::new(StatusCode::CONFLICT, "exists", message),
            ShelfError::Changed => Self::new(StatusCode::PRECONDITION_FAILED, "changed", message),
            ShelfError::TooLarge(_) => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message),
            ShelfError::Unsafe(_) => Self::new(StatusCode::CONFLICT, "unsafe", message),
            ShelfError::Io(error) => {
                tracing::error!(%error, "the knowledge folder cannot be read or written");
                let message = "the knowledge folder cannot be read or written; the server's log says why";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "folder", message)
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_customer_names_the_field_and_a_failing_database_says_nothing_of_itself() {
        let unknown = ApiError::from(AssistantError::UnknownCustomer("c-9".to_owned()));
        assert_eq!((unknown.status.as_u16(), unknown.field.as_deref()), (422, Some("customer_id")));
        let failed = ApiError::from(RecordsError::Database("disk I/O error in records.sqlite".to_owned()));
        assert_eq!(failed.status.as_u16(), 500);
        assert!(!failed.message.contains("sqlite"));
    }
}
