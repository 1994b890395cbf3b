//! Who is calling, and what they may see.
//!
//! From the first key on, every call needs one. Before that only this machine is served, as admin, and a browser on
//! this machine is a stranger's tool: a page from elsewhere can make it send requests to 127.0.0.1, and a name that
//! is made to resolve to 127.0.0.1 (DNS rebinding) lets it read the replies. So in that mode the name called must be
//! a loopback name, requests from other origins are refused, and a request that came through a proxy counts as what
//! it is, a request from elsewhere.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use flightdeck_corpus::Audience;
use flightdeck_records::{Actor, Key, KeyLimits, KeyRole, Session};

use crate::error::ApiError;
use crate::state::AppState;

/// What only a proxy adds.
const PROXY_HEADERS: [&str; 5] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];

/// Who is calling; put into the request by [`authorize`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub role: KeyRole,
    /// The key; `None` for this machine while there are no keys.
    pub actor: Option<Actor>,
    /// Whether the key sees only what customers may see: a bot's, or one that was made so.
    pub customer_only: bool,
}

impl Caller {
    /// For whom a reply is, where `asked` is what the request says.
    ///
    /// # Errors
    /// `forbidden` when a key for customers asks for what is internal.
    pub fn audience(&self, asked: Option<Audience>) -> Result<Audience, ApiError> {
        match (self.customer_only, asked) {
            (true, Some(Audience::Internal)) => {
                let message = "this key sees what customers may see, nothing internal";
                Err(ApiError { field: Some("audience".to_owned()), ..ApiError::forbidden(message) })
            }
            (true, _) => Ok(Audience::Customer),
            (false, asked) => Ok(asked.unwrap_or(Audience::Internal)),
        }
    }

    /// Whose conversations are theirs: the key's id.
    pub fn owner(&self) -> Option<&str> {
        self.actor.as_ref().map(|actor| actor.id.as_str())
    }

    /// Whether this conversation may be read: one's own, and for those who curate every one.
    pub fn may_read(&self, session: &Session) -> bool {
        self.is_curator() || session.owner.as_deref() == self.owner()
    }

    pub fn is_curator(&self) -> bool {
        !self.customer_only && matches!(self.role, KeyRole::Admin | KeyRole::Marketing)
    }

    /// For what the company's own people may see.
    ///
    /// # Errors
    /// `forbidden` for a key for customers.
    pub fn must_be_staff(&self) -> Result<(), ApiError> {
        let is_staff = !self.customer_only;
        is_staff.then_some(()).ok_or_else(|| ApiError::forbidden("this key may not see the records"))
    }

    /// For what those see who look after the knowledge.
    ///
    /// # Errors
    /// `forbidden` for all but marketing and admins.
    pub fn must_be_curator(&self) -> Result<(), ApiError> {
        let message = "this needs a key of marketing or an admin";
        self.is_curator().then_some(()).ok_or_else(|| ApiError::forbidden(message))
    }

    /// # Errors
    /// `forbidden` for all but admins.
    pub fn must_be_admin(&self) -> Result<(), ApiError> {
        let is_admin = !self.customer_only && self.role == KeyRole::Admin;
        is_admin.then_some(()).ok_or_else(|| ApiError::forbidden("this needs an admin's key"))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        // A route that was not put behind `authorize` must not become an open one.
        parts.extensions.get().cloned().ok_or_else(|| ApiError::unauthorized("this call needs a key"))
    }
}

/// Lets a request through with its [`Caller`], or answers it.
pub(crate) async fn authorize(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match identify(&state, &parts).await {
        Ok(caller) => {
            parts.extensions.insert(caller);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(error) => error.into_response(),
    }
}

/// Whether the metrics may be read: from this machine, or with an admin's key.
///
/// # Errors
/// `unauthorized` or `forbidden` when not.
pub(crate) async fn may_read_metrics(state: &AppState, request: &Parts) -> Result<(), ApiError> {
    if is_local(request).is_ok() {
        return Ok(());
    }
    match look_up(state, &request.headers).await?.1 {
        Some(Key { role: KeyRole::Admin, limits: KeyLimits { customer_only: false, .. }, .. }) => Ok(()),
        Some(_) => Err(ApiError::forbidden("the metrics need an admin's key")),
        None => Err(ApiError::unauthorized("from another machine the metrics need an admin's key")),
    }
}

async fn identify(state: &AppState, request: &Parts) -> Result<Caller, ApiError> {
    let (has_keys, key) = look_up(state, &request.headers).await?;
    match key {
        Some(key) => admitted(state, key),
        None if has_keys => Err(ApiError::unauthorized(
            "this call needs a key that is known and not revoked, as: Authorization: Bearer KEY",
        )),
        None => {
            is_local(request).map(|()| Caller { role: KeyRole::Admin, actor: None, customer_only: false })
        }
    }
}

/// The caller behind a key that came another way than over HTTP, counted like any other request.
///
/// # Errors
/// `unauthorized` for a key that is unknown or revoked.
pub(crate) async fn with_secret(state: &AppState, secret: String) -> Result<Caller, ApiError> {
    let (_, key) = key_of(state, Some(secret)).await?;
    let key = key.ok_or_else(|| ApiError::unauthorized("the key is unknown or revoked"))?;
    admitted(state, key)
}

/// Lets a key in as often as it may come.
fn admitted(state: &AppState, key: Key) -> Result<Caller, ApiError> {
    if let Some(per_minute) = key.limits.per_minute {
        state.turns().take(&key.id, per_minute, Instant::now()).map_err(ApiError::too_often)?;
    }
    let customer_only = key.role == KeyRole::Bot || key.limits.customer_only;
    Ok(Caller { role: key.role, actor: Some(Actor { id: key.id, name: key.name }), customer_only })
}

/// Whether there are keys at all, and the one that came with the request.
async fn look_up(state: &AppState, headers: &HeaderMap) -> Result<(bool, Option<Key>), ApiError> {
    key_of(state, bearer(headers).map(str::to_owned)).await
}

async fn key_of(state: &AppState, secret: Option<String>) -> Result<(bool, Option<Key>), ApiError> {
    let found = state.with_records(move |records| {
        let key = match &secret {
            Some(secret) => records.authenticate(secret)?,
            None => None,
        };
        Ok((records.has_keys()?, key))
    });
    found.await
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

/// Whether a request that a page makes is of this server's own page or of one of these origins. One without an origin
/// is no page's.
pub(crate) fn is_welcome(headers: &HeaderMap, origins: &[String]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let origin = origin.to_str().unwrap_or_default();
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    host.is_some() && authority == host || origins.iter().any(|welcome| welcome == origin)
}

/// Whether a request comes from this machine and from no other site's page.
fn is_local(request: &Parts) -> Result<(), ApiError> {
    let headers = &request.headers;
    let peer = request.extensions.get::<ConnectInfo<SocketAddr>>();
    let is_loopback = peer.is_some_and(|ConnectInfo(peer)| peer.ip().to_canonical().is_loopback());
    if !is_loopback || PROXY_HEADERS.iter().any(|name| headers.contains_key(*name)) {
        return Err(ApiError::forbidden(
            "no key has been created yet, so only this machine is served; create one: flightdeck keys create \
             --name NAME --role admin",
        ));
    }
    // A browser always says which name it called; a request without one is no browser's.
    let host = headers.get(header::HOST).map(|value| value.to_str().unwrap_or_default());
    if host.is_some_and(|host| !is_loopback_name(host)) {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "forbidden_host",
            "without keys the server answers to localhost and 127.0.0.1 only; create a key to use another name",
        ));
    }
    let cross_origin = foreign_page();
    if !is_welcome(headers, &[]) {
        return Err(cross_origin);
    }
    match headers.get("sec-fetch-site").map(axum::http::HeaderValue::as_bytes) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(cross_origin),
    }
}

pub(crate) fn foreign_page() -> ApiError {
    let message = "another site's page may not call this server";
    ApiError::new(StatusCode::FORBIDDEN, "forbidden_origin", message)
}

fn is_loopback_name(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    match name.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_names_are_told_from_names_that_look_like_them() {
        for host in
            ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "127.9.9.9", "[::1]:80", "deck.localhost"]
        {
            assert!(is_loopback_name(host), "{host}");
        }
        for host in [
            "",
            "example.com",
            "localhost.example.com",
            "127.0.0.1.nip.io",
            "10.0.0.1",
            "[::2]",
            "0.0.0.0",
            "a b",
        ] {
            assert!(!is_loopback_name(host), "{host}");
        }
    }

    #[test]
    fn a_key_for_customers_is_always_a_customer_and_the_others_choose() {
        let caller = |role, customer_only| Caller { role, actor: None, customer_only };
        let bot = caller(KeyRole::Bot, true);
        assert_eq!(bot.audience(None), Ok(Audience::Customer));
        assert_eq!(bot.audience(Some(Audience::Customer)), Ok(Audience::Customer));
        assert_eq!(bot.audience(Some(Audience::Internal)).unwrap_err().status, StatusCode::FORBIDDEN);
        for role in [KeyRole::Admin, KeyRole::Marketing, KeyRole::Rep] {
            assert_eq!(caller(role, false).audience(None), Ok(Audience::Internal));
            assert_eq!(caller(role, false).audience(Some(Audience::Customer)), Ok(Audience::Customer));
        }
    }

    #[test]
    fn the_bearer_is_read_whatever_the_case_of_its_scheme() {
        let with = |value: &str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(with("Bearer fd_1"), Some("fd_1".to_owned()));
        assert_eq!(with("bearer  fd_1 "), Some("fd_1".to_owned()));
        assert_eq!(with("Basic fd_1"), None);
        assert_eq!(with("fd_1"), None);
    }
}
