//! Which other sites' pages may call the API from a browser and read the replies: those that a key names.
//!
//! A browser asks before it sends a key, and cannot say which; so the question is answered for the pages of all keys,
//! and what counts is the call itself, whose key must name its page. Nothing is ever allowed to everybody, and no
//! cookie plays a part.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::access::Page;
use crate::state::AppState;

/// Answers a browser that asks whether a page may call; everything else goes on.
pub(crate) async fn preflight(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let is_asking = request.method() == Method::OPTIONS
        && request.uri().path().starts_with("/api/")
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let Some(Page::Calling(page)) = Page::of(request.headers()).filter(|_| is_asking) else {
        return next.run(request).await;
    };
    let allowed = state.with_records(|records| Ok(records.key_origins()?)).await;
    match allowed {
        Ok(origins) if origins.contains(&page) => {
            let leave = [
                (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, PATCH, DELETE")),
                (
                    header::ACCESS_CONTROL_ALLOW_HEADERS,
                    HeaderValue::from_static("authorization, content-type, accept"),
                ),
                // A page that is struck off is shut out within minutes even before its next call is.
                (header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600")),
            ];
            readable_by(&page, (StatusCode::NO_CONTENT, leave).into_response())
        }
        Ok(_) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// The response, which a page of this origin may read.
pub(crate) fn readable_by(origin: &str, mut response: Response) -> Response {
    let Ok(origin) = HeaderValue::try_from(origin) else { return response };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers
        .insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("x-request-id, retry-after"));
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
    response
}
