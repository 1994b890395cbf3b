//! What happens to every request, whatever its route: an id, a span, metrics, safe headers, and no panic gets out.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use tracing::Instrument;

use crate::error::ApiError;
use crate::state::AppState;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Set where the route has not set its own.
const SAFE_HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=(), payment=()"),
];

/// The outermost layer.
pub(crate) async fn observe(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = request_id(request.headers());
    let method = request.method().clone();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());

    let span = tracing::info_span!("request", id = id.to_str().unwrap_or_default(), %method, route);
    let answered = async {
        let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
        let response = answered.unwrap_or_else(|panic| {
            tracing::error!(panic = panic_text(&*panic), "request panicked");
            ApiError::after_panic().into_response()
        });
        let ms = begun.elapsed().as_secs_f64() * 1000.0;
        tracing::debug!(status = response.status().as_u16(), ms, "answered");
        response
    };
    let mut response = answered.instrument(span).await;

    state.telemetry().request(&method, &route, response.status(), begun.elapsed());
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    for (name, value) in SAFE_HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Replies of the API hold what only this caller may see.
pub(crate) async fn never_stored(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The caller's own id where it can stand in a log and a header as it is, else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let is_sane = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        (1..=128).contains(&bytes.len())
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte))
    };
    headers.get(REQUEST_ID).filter(is_sane).cloned().unwrap_or_else(|| {
        HeaderValue::try_from(uuid::Uuid::now_v7().to_string()).expect("a uuid is a header value")
    })
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;
    use crate::tests::{body_json, state};

    #[test]
    fn an_id_that_could_break_a_log_is_replaced() {
        let given = |value: &'static [u8]| {
            let value = HeaderValue::from_bytes(value).unwrap();
            let id = request_id(&HeaderMap::from_iter([(REQUEST_ID, value.clone())]));
            id == value
        };
        assert!(given(b"01J-a.b_c:d"));
        assert!(!given(b""));
        assert!(!given(b"two words"));
        assert!(!given(b"\xE4\xBD\xA0"));
        assert!(!given(&[b'a'; 129]));
    }

    #[tokio::test]
    async fn a_panic_is_answered_in_the_contracts_form_with_the_requests_id() {
        let state = state();
        let panicking = get(async || -> () { panic!("a bug") });
        let router = Router::new()
            .route("/", panicking)
            .layer(from_fn_with_state(state.clone(), observe))
            .with_state(state);
        let response = router.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status().as_u16(), 500);
        assert!(response.headers().contains_key(REQUEST_ID));
        let body = body_json(response).await;
        assert_eq!(body["error"]["code"], "internal");
        assert!(!body.to_string().contains("a bug"));
    }
}
