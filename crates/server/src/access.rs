//! Who is calling, and what they may see.
//!
//! From the first key on, every call needs one. Before that only this machine is served, as admin, and a browser on
//! this machine is a stranger's tool: a page from elsewhere can make it send requests to 127.0.0.1, and a name that
//! is made to resolve to 127.0.0.1 (DNS rebinding) lets it read the replies. So in that mode the name called must be
//! a loopback name, requests from other origins are refused, and a request that came through a proxy counts as what
//! it is, a request from elsewhere.
//!
//! A key may say whose pages use it. That binds browsers, and a browser is what a page's visitors have: other programs
//! say what they like about where they are, and are bound by the key itself.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use flightdeck_corpus::Audience;
use flightdeck_records::{Actor, Holder, Key, KeyLimits, KeyRole, Session};

use crate::cors;
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
    /// Another site's page that may read the reply.
    pub reader: Option<String>,
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
            let reader = caller.reader.clone();
            parts.extensions.insert(caller);
            let response = next.run(Request::from_parts(parts, body)).await;
            match reader {
                Some(page) => cors::readable_by(&page, response),
                None => response,
            }
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
    match holder_of(state, bearer(&request.headers).map(str::to_owned)).await?.1.map(|holder| holder.key) {
        Some(Key { role: KeyRole::Admin, limits: KeyLimits { customer_only: false, .. }, .. }) => Ok(()),
        Some(_) => Err(ApiError::forbidden("the metrics need an admin's key")),
        None => Err(ApiError::unauthorized("from another machine the metrics need an admin's key")),
    }
}

async fn identify(state: &AppState, request: &Parts) -> Result<Caller, ApiError> {
    let (has_keys, holder) = holder_of(state, bearer(&request.headers).map(str::to_owned)).await?;
    match holder {
        Some(holder) => {
            let page = Page::of(&request.headers);
            if page.as_ref().is_some_and(|page| !page.may_use(&holder.key, state.widget_origins())) {
                return Err(forbidden_page());
            }
            // A key that names no pages lets none of them read.
            let reader = match page {
                Some(Page::Calling(page)) if !holder.key.origins.is_empty() => Some(page),
                _ => None,
            };
            Ok(Caller { reader, ..admitted(state, &holder)? })
        }
        None if has_keys => Err(ApiError::unauthorized(
            "this call needs a key that is known and not revoked, as: Authorization: Bearer KEY",
        )),
        None => is_local(request).map(|()| Caller {
            role: KeyRole::Admin,
            actor: None,
            customer_only: false,
            reader: None,
        }),
    }
}

/// The caller behind a key that came another way than over HTTP, counted like any other request.
///
/// # Errors
/// `unauthorized` for a key that is unknown or revoked.
pub(crate) async fn with_secret(state: &AppState, secret: String) -> Result<Caller, ApiError> {
    let (_, holder) = holder_of(state, Some(secret)).await?;
    let holder = holder.ok_or_else(|| ApiError::unauthorized("the key is unknown or revoked"))?;
    admitted(state, &holder)
}

/// Lets whoever holds a key in as often as the key may come.
fn admitted(state: &AppState, holder: &Holder) -> Result<Caller, ApiError> {
    let actor = holder.actor();
    let Key { role, limits, .. } = &holder.key;
    if let Some(per_minute) = limits.per_minute {
        state.turns().take(&actor.id, per_minute, Instant::now()).map_err(ApiError::too_often)?;
    }
    let customer_only = *role == KeyRole::Bot || limits.customer_only;
    Ok(Caller { role: *role, actor: Some(actor), customer_only, reader: None })
}

/// Whether there are keys at all, and who holds the one that came with the request.
async fn holder_of(state: &AppState, secret: Option<String>) -> Result<(bool, Option<Holder>), ApiError> {
    let found = state.with_records(move |records| {
        let holder = match &secret {
            Some(secret) => records.holder(secret, jiff::Timestamp::now())?,
            None => None,
        };
        Ok((records.has_keys()?, holder))
    });
    found.await
}

/// For a page that may not use a key.
pub(crate) fn forbidden_page() -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "forbidden_origin", "this page may not use this key")
}

/// Another site's page that a request comes from, by its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    /// It calls by itself, as its browser says.
    Calling(String),
    /// It shows the widget, as our own page in its frame says.
    Showing(String),
}

/// The header in which our page says whose page is around it. Another site's page cannot set it: a browser asks first,
/// and is not told that it may.
const HOST_PAGE: &str = "x-flightdeck-host";

impl Page {
    /// `None` where no other site's page is known to have a part in it.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let is_own = |origin: &str| {
            let authority = origin.split_once("://").map(|(_, authority)| authority);
            authority.is_some() && (authority == text("host") || authority == text("x-forwarded-host"))
        };
        // Behind a proxy the names may differ, and the browser knows better.
        let is_same_origin = text("sec-fetch-site") == Some("same-origin");
        if let Some(origin) = text("origin").filter(|origin| !is_same_origin && !is_own(origin)) {
            return Some(Self::Calling(origin.to_owned()));
        }
        text(HOST_PAGE).filter(|origin| !is_own(origin)).map(|origin| Self::Showing(origin.to_owned()))
    }

    pub fn origin(&self) -> &str {
        let (Self::Calling(origin) | Self::Showing(origin)) = self;
        origin
    }

    /// Whether it may use this key, where `usual` are the pages that may show the widget with any key that names none.
    pub fn may_use(&self, key: &Key, usual: &[String]) -> bool {
        let is_among = |origins: &[String]| origins.iter().any(|origin| origin == self.origin());
        match self {
            _ if !key.origins.is_empty() => is_among(&key.origins),
            // It gets no leave to read, as every page that nobody named.
            Self::Calling(_) => true,
            Self::Showing(_) => is_among(usual),
        }
    }
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
        let caller = |role, customer_only| Caller { role, actor: None, customer_only, reader: None };
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
    fn another_sites_page_is_told_from_our_own() {
        let page = |headers: &[(&str, &str)]| {
            let headers = headers.iter().map(|(name, value)| {
                (axum::http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap())
            });
            Page::of(&headers.collect())
        };
        let (crm, host) = (("origin", "https://crm.example"), ("host", "desk.example"));
        assert_eq!(page(&[host]), None, "no browser, or one that reads from our page");
        assert_eq!(page(&[host, ("origin", "https://desk.example")]), None);
        assert_eq!(page(&[host, ("origin", "https://x"), ("sec-fetch-site", "same-origin")]), None);
        assert_eq!(page(&[host, crm]), Some(Page::Calling("https://crm.example".to_owned())));
        let shown = (HOST_PAGE, "https://crm.example");
        assert_eq!(page(&[host, shown]), Some(Page::Showing("https://crm.example".to_owned())));
        assert_eq!(page(&[host, (HOST_PAGE, "https://desk.example")]), None);
        // What calls from elsewhere does not get to say that it is another page.
        let evil = ("origin", "https://evil.example");
        assert_eq!(page(&[host, evil, shown]), Some(Page::Calling("https://evil.example".to_owned())));
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
