//! `/webhooks/{platform}/{account}`: where platforms push to.
//!
//! Such a request has no key of ours: its signature, made with the account's own secret, is what lets it in. Whoever
//! has none learns nothing but that; why a request was turned away is in the event log, for the administrator.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flightdeck_channels::protocol::Rejected;
use flightdeck_channels::receive::{Received, Reply, Request, Stream, receive, stream_reply};
use flightdeck_channels::{Account, Pipeline, StoreError};
use serde_json::json;

use crate::error::ApiError;
use crate::fields::read_body;
use crate::state::AppState;
use crate::wire::ErrorBody;

/// Anybody can send requests that are rejected, so not every one may cost a line on the disk.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// When a rejection was last written into the event log, by account.
#[derive(Debug, Default)]
pub(crate) struct Rejections(Mutex<HashMap<String, Instant>>);

impl Rejections {
    fn is_due(&self, account: &str) -> bool {
        let now = Instant::now();
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = logged.get(account).is_none_or(|at| now.duration_since(*at) >= LOG_EVERY);
        if is_due {
            logged.insert(account.to_owned(), now);
        }
        is_due
    }
}

/// Stands for [`webhook`] in the description: WeCom checks an address with GET.
#[utoipa::path(
    get, path = "/webhooks/{platform}/{account}", tag = "channels", summary = "WeCom checks the address",
    params(
        ("platform" = String, Path, description = "`wecom`"),
        ("account" = String, Path, description = "The account's id in the settings"),
    ),
    security(()),
    responses(
        (status = 200, description = "The decrypted `echostr`", body = String, content_type = "text/plain"),
        (status = 401, description = "The signature, the key or the clock is wrong", body = ErrorBody),
        (status = 404, description = "There is no such account on this platform", body = ErrorBody),
    )
)]
#[allow(dead_code, reason = "only its description is used")]
pub(crate) fn check() {}

#[utoipa::path(
    post, path = "/webhooks/{platform}/{account}", tag = "channels", summary = "A platform pushes a message",
    description = "The body and the signature are the platform's own. The reply comes once the message is stored; \
                   the answer to it goes out later on a request of its own.",
    params(
        ("platform" = String, Path,
         description = "One of `wecom`, `dingtalk`, `feishu`, `slack`, `webhook`"),
        ("account" = String, Path, description = "The account's id in the settings"),
    ),
    security(()),
    responses(
        (status = 200, description = "It is stored, or was before; the body is what the platform expects"),
        (status = 400, description = "It is signed rightly and cannot be read", body = ErrorBody),
        (status = 401, description = "The signature, the key or the clock is wrong", body = ErrorBody),
        (status = 404, description = "There is no such account on this platform", body = ErrorBody),
        (status = 413, description = "The body is over 256 KiB", body = ErrorBody),
        (status = 503, description = "It was not stored; send it again", body = ErrorBody),
    )
)]
pub(crate) async fn webhook(
    State(state): State<AppState>,
    method: Method,
    address: Result<Path<(String, String)>, PathRejection>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let unknown = || ApiError::new(StatusCode::NOT_FOUND, "not_found", "there is no such channel");
    let Path((platform, id)) = address.map_err(|_| unknown())?;
    let pipeline = state.pipeline().ok_or_else(unknown)?;
    let account = pipeline.account(&id).filter(|account| account.platform.segment() == platform);
    let account = account.ok_or_else(unknown)?;
    let Query(query) = query.map_err(|_| ApiError::malformed("the query string cannot be read"))?;
    let body = read_body(body).await?;
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let request = Request {
        is_get: method == Method::GET,
        query: &query,
        header: &|name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned),
        body: &body,
        now_ms,
    };
    let received = match receive(account, request) {
        Ok(received) => received,
        Err(rejected) => return Err(turn_away(&state, account, &rejected).await),
    };
    match received {
        Received::Messages(messages, reply) => {
            if !messages.is_empty() {
                pipeline.ingest(account, messages).await.map_err(|error| not_stored(&error))?;
            }
            Ok(respond(reply))
        }
        Received::Stream(inbound, stream) => {
            pipeline.ingest(account, vec![inbound]).await.map_err(|error| not_stored(&error))?;
            stream_on(pipeline, account, &stream, now_ms).await
        }
        Received::Refresh(stream) => stream_on(pipeline, account, &stream, now_ms).await,
    }
}

async fn stream_on(
    pipeline: &Pipeline,
    account: &Account,
    stream: &Stream,
    now_ms: i64,
) -> Result<Response, ApiError> {
    let (text, is_finished) =
        pipeline.stream(account, &stream.id).await.map_err(|error| not_stored(&error))?;
    let reply = stream_reply(account, stream, &text, is_finished, now_ms);
    Ok(respond(Reply::Json(reply.map_err(|error| ApiError::internal(&error))?)))
}

fn respond(reply: Reply) -> Response {
    match reply {
        Reply::Empty => StatusCode::OK.into_response(),
        Reply::Text(text) => text.into_response(),
        Reply::Json(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
    }
}

fn not_stored(error: &StoreError) -> ApiError {
    tracing::error!(%error, "a message was not stored");
    ApiError::unavailable("not_stored", "the message was not stored; send it again", 1)
}

async fn turn_away(state: &AppState, account: &Account, rejected: &Rejected) -> ApiError {
    tracing::warn!(account = account.id, %rejected, "a request of a platform was turned away");
    if state.rejections().is_due(&account.id) {
        let (records, id) = (Arc::clone(state.records()), account.id.clone());
        let why = json!({"why": rejected.to_string()});
        let logged =
            tokio::task::spawn_blocking(move || records.log_channel_event(&id, None, "rejected", &why));
        if !matches!(logged.await, Ok(Ok(()))) {
            tracing::error!("a rejection was not written into the event log");
        }
    }
    match rejected {
        Rejected::Format(_) | Rejected::Utf8 => ApiError::malformed("the message cannot be read"),
        _ => ApiError::unauthorized("the request is not signed as this channel's platform signs"),
    }
}
