//! A fake of all platforms: it gives tokens that expire, fails as often as it is told to, and keeps what was sent.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// A request that the fake has taken.
#[derive(Clone, Debug)]
pub struct Taken {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Value,
    pub bytes: Vec<u8>,
}

#[derive(Default)]
struct Inner {
    taken: Vec<Taken>,
    n_requests: usize,
    n_tokens: usize,
    /// Every so many requests one fails; 0 is never.
    fails_every: usize,
    /// Tokens that are not good any more.
    expired: HashSet<String>,
    /// What 微信客服 holds: entries of `msg_list`.
    inbox: Vec<Value>,
    /// 微信客服's state of every conversation.
    service_state: i64,
    /// What `kf/send_msg` answers instead of 0.
    send_code: i64,
    on_duty: Option<&'static str>,
    /// What addresses that end so answer, whatever is asked.
    refusals: Vec<(&'static str, Value)>,
    /// Addresses that end so do what they are asked once more, and say that they have failed.
    unsaid: Vec<&'static str>,
}

#[derive(Clone)]
pub struct Fake {
    pub address: String,
    inner: Arc<Mutex<Inner>>,
    changed: Arc<Notify>,
}

impl Fake {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let fake = Self { address, inner: Arc::default(), changed: Arc::default() };
        let router = Router::new().fallback(answer).with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        fake
    }

    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn fail_every(&self, n: usize) {
        self.with(|inner| inner.fails_every = n);
    }

    /// All tokens that were given so far are not good any more.
    pub fn expire_tokens(&self) {
        self.with(|inner| {
            let given = (1..=inner.n_tokens).map(|n| format!("token-{n}")).collect();
            inner.expired = given;
        });
    }

    pub fn n_tokens(&self) -> usize {
        self.with(|inner| inner.n_tokens)
    }

    pub fn put_into_inbox(&self, item: Value) {
        self.with(|inner| inner.inbox.push(item));
    }

    pub fn set_service_state(&self, state: i64) {
        self.with(|inner| inner.service_state = state);
    }

    pub fn refuse_sending(&self, code: i64) {
        self.with(|inner| inner.send_code = code);
    }

    pub fn put_on_duty(&self, person: &'static str) {
        self.with(|inner| inner.on_duty = Some(person));
    }

    /// From now on addresses that end so answer this.
    pub fn refuse(&self, path_end: &'static str, reply: Value) {
        self.with(|inner| inner.refusals.push((path_end, reply)));
    }

    /// Once, an address that ends so does what it is asked and says that it has failed.
    pub fn leave_unsaid(&self, path_end: &'static str) {
        self.with(|inner| inner.unsaid.push(path_end));
    }

    /// What was taken at addresses that end so, in order.
    pub fn taken(&self, path_end: &str) -> Vec<Taken> {
        self.with(|inner| {
            inner.taken.iter().filter(|taken| taken.path.ends_with(path_end)).cloned().collect()
        })
    }

    /// All that was ever taken, as one text.
    pub fn everything(&self) -> String {
        self.with(|inner| inner.taken.iter().map(|taken| taken.body.to_string() + "\n").collect())
    }

    /// What was taken at this address once there are `n`.
    pub async fn wait_for(&self, path_end: &str, n: usize) -> Vec<Taken> {
        let patience = Duration::from_mins(1);
        let waited = tokio::time::timeout(patience, async {
            loop {
                let changed = self.changed.notified();
                let taken = self.taken(path_end);
                if taken.len() >= n {
                    return taken;
                }
                changed.await;
            }
        });
        waited.await.unwrap_or_else(|_| {
            panic!("{n} of {path_end} wanted, {} came: {}", self.taken(path_end).len(), self.everything())
        })
    }
}

async fn answer(State(fake): State<Fake>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, 1 << 22).await.unwrap().to_vec();
    let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    let path = parts.uri.path().to_owned();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let response = fake.with(|inner| {
        inner.n_requests += 1;
        if inner.fails_every > 0 && inner.n_requests.is_multiple_of(inner.fails_every) {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        let header = |name: &str| {
            parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let token = match query.split('&').find_map(|pair| pair.strip_prefix("access_token=")) {
            Some(token) => token.to_owned(),
            None if path.starts_with("/v1.0") => header("x-acs-dingtalk-access-token"),
            None => header("authorization").trim_start_matches("Bearer ").to_owned(),
        };
        let is_expired = inner.expired.contains(&token);
        let reply = inner.reply(&path, &body, is_expired);
        if !is_expired {
            inner.taken.push(Taken { path: path.clone(), headers: parts.headers, body, bytes });
        }
        if let Some(idx) = inner.unsaid.iter().position(|end| path.ends_with(end)) {
            inner.unsaid.remove(idx);
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        axum::Json(reply).into_response()
    });
    fake.changed.notify_waiters();
    response
}

impl Inner {
    fn token(&mut self) -> String {
        self.n_tokens += 1;
        format!("token-{}", self.n_tokens)
    }

    fn reply(&mut self, path: &str, body: &Value, is_expired: bool) -> Value {
        if let Some((_, refusal)) = self.refusals.iter().find(|(end, _)| path.ends_with(end)) {
            return refusal.clone();
        }
        match path {
            "/cgi-bin/gettoken" => json!({"errcode": 0, "access_token": self.token(), "expires_in": 7200}),
            "/v1.0/oauth2/accessToken" => json!({"accessToken": self.token(), "expireIn": 7200}),
            "/open-apis/auth/v3/tenant_access_token/internal" => {
                json!({"code": 0, "tenant_access_token": self.token(), "expire": 7200})
            }
            _ if is_expired && path.starts_with("/cgi-bin") => json!({"errcode": 42001, "errmsg": "expired"}),
            _ if is_expired && path.starts_with("/v1.0") => json!({"code": "InvalidAuthentication"}),
            _ if is_expired => json!({"code": 99_991_663, "msg": "expired"}),
            "/cgi-bin/kf/sync_msg" => {
                let from: usize = body["cursor"].as_str().unwrap_or_default().parse().unwrap_or(0);
                // A page holds two, however many are asked for.
                let to = (from + 2).min(self.inbox.len());
                json!({"errcode": 0, "next_cursor": to.to_string(), "msg_list": self.inbox[from..to],
                       "has_more": i32::from(to < self.inbox.len())})
            }
            "/cgi-bin/kf/service_state/get" => json!({"errcode": 0, "service_state": self.service_state}),
            "/cgi-bin/kf/service_state/trans" => {
                self.service_state = body["service_state"].as_i64().unwrap();
                json!({"errcode": 0})
            }
            "/cgi-bin/kf/servicer/list" => {
                let list: Vec<_> =
                    self.on_duty.iter().map(|name| json!({"userid": name, "status": 0})).collect();
                json!({"errcode": 0, "servicer_list": list})
            }
            "/cgi-bin/kf/send_msg" => json!({"errcode": self.send_code}),
            "/open-apis/cardkit/v1/cards" => json!({"code": 0, "data": {"card_id": "card-1"}}),
            "/chat.startStream" => json!({"ok": true, "channel": "C1", "ts": "9.9"}),
            _ if path.starts_with("/chat.") || path.starts_with("/auth.") => json!({"ok": true, "team": "T"}),
            _ if path.starts_with("/open-apis") => json!({"code": 0}),
            _ if path.starts_with("/v1.0") => json!({"processQueryKey": "k"}),
            _ => json!({"errcode": 0}),
        }
    }
}
