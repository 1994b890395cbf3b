//! The platforms on this machine, each behind the first part of its path, as strict as the real ones are said to be:
//! tokens end, rates are limited, a key that was seen is not delivered again. Each can be told to fail.
//!
//! `tests/clients/platforms` drives the platforms' own SDKs against this same fake.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::fake_cards::Card;

/// What reached a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The reader: the conversation, and for Feishu the message that is replied to.
    pub to: String,
    pub text: String,
}

/// What one platform holds and how it behaves.
#[derive(Default)]
pub struct Platform {
    pub delivered: Vec<Delivered>,
    /// Requests that it knew as repetitions.
    pub n_repeated: usize,
    pub n_tokens: usize,
    pub n_failed: usize,
    /// Requests that it answered with its rate limit.
    pub n_limited: usize,
    /// 微信客服: what customers wrote, and who has each conversation.
    pub inbox: Vec<Value>,
    pub service_states: HashMap<String, i64>,
    /// The generic webhook's last reply as it came, headers and bytes.
    last: Option<Value>,
    /// By the platform's name for each.
    pub(super) cards: HashMap<String, Card>,
    pub(super) known: HashSet<String>,
    is_expired: bool,
    busy: usize,
    fails_every: usize,
    n_requests: usize,
}

#[derive(Default)]
struct Inner {
    platforms: HashMap<String, Platform>,
    n_delivered: usize,
    /// After so many deliveries every further one waits, untouched.
    holds_after: Option<usize>,
    n_held: usize,
    /// A platform that holds everything.
    silent: Option<String>,
    /// Where long connections are taken: `HOST:PORT`.
    gateway: String,
    /// What is held now is never answered: its client is gone.
    generation: usize,
}

#[derive(Clone)]
pub struct Fake {
    pub address: String,
    inner: Arc<(Mutex<Inner>, Condvar)>,
}

pub(super) struct Request {
    platform: String,
    /// Without the platform's part.
    pub(super) path: String,
    query: String,
    headers: HashMap<String, String>,
    pub(super) body: Value,
    /// The body as it came.
    text: String,
}

impl Request {
    fn parameter(&self, name: &str) -> &str {
        let found = self.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or_default()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }

    /// Whether it asks to deliver something to a reader.
    fn delivers(&self) -> bool {
        const ENDS: [&str; 12] = [
            "/message/send",
            "/kf/send_msg",
            "/batchSend",
            "/sendBySession",
            "/reply",
            "/chat.postMessage",
            "/createAndDeliver",
            "/card/streaming",
            "/content",
            "/settings",
            "/chat.startStream",
            "/chat.stopStream",
        ];
        ENDS.iter().any(|end| self.path.ends_with(end)) || self.path == "/callback"
    }
}

pub(super) enum Answer {
    Json(u16, Value),
    Limited,
    /// It may have been done; the connection ends without a word.
    Nothing,
}

impl Fake {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = format!("http://{}", listener.local_addr().expect("it is bound"));
        let fake = Self { address, inner: Arc::default() };
        let served = fake.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let fake = served.clone();
                // A connection that breaks off is the client's affair.
                std::thread::spawn(move || drop(fake.serve(&connection)));
            }
        });
        fake
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at a platform, or changes it.
    pub fn with<T>(&self, platform: &str, work: impl FnOnce(&mut Platform) -> T) -> T {
        work(self.lock().platforms.entry(platform.to_owned()).or_default())
    }

    pub fn delivered(&self, platform: &str) -> Vec<Delivered> {
        self.with(platform, |platform| {
            let cards = platform
                .cards
                .values()
                .filter_map(|card| Some(Delivered { to: card.to.clone()?, text: card.content.clone()? }));
            platform.delivered.iter().cloned().chain(cards).collect()
        })
    }

    /// The tokens that were given so far are not good any more.
    pub fn expire_tokens(&self, platform: &str) {
        self.with(platform, |platform| platform.is_expired = true);
    }

    /// The next `n` deliveries are answered with the rate limit.
    pub fn limit(&self, platform: &str, n: usize) {
        self.with(platform, |platform| platform.busy = n);
    }

    /// Every so many requests one fails; 0 is never.
    pub fn fail_every(&self, platform: &str, n: usize) {
        self.with(platform, |platform| platform.fails_every = n);
    }

    /// After so many deliveries, of all platforms together, every further one waits.
    pub fn hold_after(&self, n: usize) {
        self.lock().holds_after = Some(n);
    }

    /// This platform takes requests and says nothing.
    pub fn silence(&self, platform: &str) {
        self.lock().silent = Some(platform.to_owned());
    }

    pub fn n_held(&self) -> usize {
        self.lock().n_held
    }

    pub fn n_delivered(&self) -> usize {
        self.lock().n_delivered
    }

    /// Goes on; what was held has lost its client and is forgotten.
    pub fn go_on(&self) {
        let mut inner = self.lock();
        (inner.holds_after, inner.n_held, inner.silent) = (None, 0, None);
        inner.generation += 1;
        self.inner.1.notify_all();
    }

    /// Long connections are taken at this `HOST:PORT`.
    pub fn set_gateway(&self, authority: &str) {
        authority.clone_into(&mut self.lock().gateway);
    }

    fn serve(&self, connection: &TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(connection);
        while let Some(request) = read(&mut reader)? {
            let (status, extra, body) = match self.answer(&request) {
                Answer::Json(status, body) => (status, "", body.to_string()),
                Answer::Limited => {
                    (429, "retry-after: 1\r\n", r#"{"ok":false,"error":"ratelimited"}"#.to_owned())
                }
                Answer::Nothing => return Ok(()),
            };
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{extra}content-length: {}\r\n\r\n",
                body.len()
            );
            let mut writer = connection;
            writer.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
        }
        Ok(())
    }

    fn answer(&self, request: &Request) -> Answer {
        let mut inner = self.lock();
        if request.delivers() {
            let generation = inner.generation;
            let mut is_held = false;
            while inner.holds_after.is_some_and(|n| inner.n_delivered >= n)
                || (inner.silent.as_ref() == Some(&request.platform) && inner.generation == generation)
            {
                inner.n_held += usize::from(!is_held);
                is_held = true;
                inner = self.inner.1.wait(inner).unwrap_or_else(PoisonError::into_inner);
            }
            if inner.generation != generation {
                return Answer::Nothing;
            }
        }
        if let Some(answer) = connection(request, &inner.gateway) {
            return answer;
        }
        let platform = inner.platforms.entry(request.platform.clone()).or_default();
        let n_before = platform.n_delivered();
        let answer = platform.answer(request);
        let n_new = platform.n_delivered() - n_before;
        inner.n_delivered += n_new;
        answer
    }
}

/// Where to connect to, for those who ask with the right secret.
fn connection(request: &Request, gateway: &str) -> Option<Answer> {
    let body = &request.body;
    match request.path.as_str() {
        "/v1.0/gateway/connections/open" => Some(if body["clientId"] == "k" && body["clientSecret"] == "s" {
            assert_eq!(body["subscriptions"][0]["topic"], "/v1.0/im/bot/messages/get");
            let ticket = "a ticket/with signs";
            Answer::Json(200, json!({"endpoint": format!("ws://{gateway}/connect"), "ticket": ticket}))
        } else {
            Answer::Json(401, json!({"code": "authFailed", "message": "no"}))
        }),
        "/callback/ws/endpoint" => Some(if body["AppID"] == "a" && body["AppSecret"] == "s" {
            let url = format!("ws://{gateway}/ws/v2?device_id=7&service_id=33&ticket=T");
            let settings = json!({"ReconnectCount": -1, "ReconnectInterval": 120, "ReconnectNonce": 30,
                "PingInterval": 120});
            Answer::Json(200, json!({"code": 0, "msg": "ok", "data": {"URL": url, "ClientConfig": settings}}))
        } else {
            Answer::Json(200, json!({"code": 514, "msg": "said by the fake"}))
        }),
        "/apps.connections.open" => Some(if request.header("authorization") == "Bearer xapp" {
            Answer::Json(200, json!({"ok": true, "url": format!("ws://{gateway}/link?ticket=T&app_id=A")}))
        } else {
            Answer::Json(200, json!({"ok": false, "error": "not_allowed_token_type"}))
        }),
        _ => None,
    }
}

fn read(reader: &mut BufReader<&TcpStream>) -> std::io::Result<Option<Request>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let target = first.split_whitespace().nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    // Feishu's own client takes no address with a path in it.
    let is_bare = ["/open-apis/", "/callback/"].iter().any(|start| path.starts_with(start));
    let (platform, path) =
        if is_bare { ("lark", &path[1..]) } else { path[1..].split_once('/').unwrap_or_default() };
    let mut request = Request {
        platform: platform.to_owned(),
        path: format!("/{path}"),
        query: query.to_owned(),
        headers: HashMap::new(),
        body: Value::Null,
        text: String::new(),
    };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            request.headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    let mut body = vec![0; request.header("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut body)?;
    request.body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    request.text = String::from_utf8_lossy(&body).into_owned();
    Ok(Some(request))
}

impl Platform {
    /// Whether the platform knows a message that comes again by a key of ours.
    pub fn knows_repetitions(name: &str) -> bool {
        matches!(name, "app" | "kf" | "lark" | "lark-card" | "ding-card" | "site")
    }

    /// Messages, and cards that hold something and are closed.
    fn n_delivered(&self) -> usize {
        let is_done = |card: &&Card| card.content.is_some() && !card.is_open;
        self.delivered.len() + self.cards.values().filter(is_done).count()
    }

    fn answer(&mut self, request: &Request) -> Answer {
        self.n_requests += 1;
        if self.fails_every > 0 && self.n_requests.is_multiple_of(self.fails_every) {
            self.n_failed += 1;
            // Half of them fail after the work was done, where the platform can tell what comes again.
            let is_known = Self::knows_repetitions(&request.platform) || request.path == "/chat.stopStream";
            if self.n_failed.is_multiple_of(2) && is_known {
                self.reply(request);
                return Answer::Nothing;
            }
            return Answer::Json(500, json!({"message": "out of order"}));
        }
        self.reply(request)
    }

    fn token(&mut self) -> String {
        self.n_tokens += 1;
        self.is_expired = false;
        format!("token-{}", self.n_tokens)
    }

    fn is_good(&self, token: &str) -> bool {
        !self.is_expired && self.n_tokens > 0 && token == format!("token-{}", self.n_tokens)
    }

    /// Takes a place of the rate limit, where there is one to take.
    pub(super) fn is_busy(&mut self) -> bool {
        let is_busy = self.busy > 0;
        self.busy = self.busy.saturating_sub(1);
        self.n_limited += usize::from(is_busy);
        is_busy
    }

    /// Delivers what this key was not delivered under before.
    fn deliver(&mut self, key: Option<&str>, to: &str, text: &str) {
        if let Some(key) = key
            && !self.known.insert(key.to_owned())
        {
            self.n_repeated += 1;
            return;
        }
        self.delivered.push(Delivered { to: to.to_owned(), text: text.to_owned() });
    }

    fn reply(&mut self, request: &Request) -> Answer {
        match request.platform.as_str() {
            "app" | "kf" | "bot" => self.wecom(request),
            "ding" | "ding-card" => self.dingtalk(request),
            "lark" | "lark-card" => self.feishu(request),
            "slack" | "slack-card" => self.slack(request),
            "site" if request.path == "/callback" => {
                if self.is_busy() {
                    return Answer::Limited;
                }
                let text = |name: &str| request.body["data"][name].as_str().unwrap_or_default().to_owned();
                if request.body["type"] == "reply.created" {
                    let key = request.header("webhook-id").to_owned();
                    self.last = Some(json!({"headers": request.headers, "body": request.text}));
                    self.deliver(Some(&key), &text("conversation_id"), &text("text"));
                }
                Answer::Json(200, json!({}))
            }
            "site" if request.path == "/last" => Answer::Json(200, json!(self.last)),
            _ => Answer::Json(404, json!({})),
        }
    }

    fn wecom(&mut self, request: &Request) -> Answer {
        let body = &request.body;
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let code = |code: i64| Answer::Json(200, json!({"errcode": code, "errmsg": "said by the fake"}));
        if request.path == "/cgi-bin/gettoken" {
            if request.parameter("corpid") != "corp" || request.parameter("corpsecret") != "s" {
                return code(40013);
            }
            let token = self.token();
            return Answer::Json(
                200,
                json!({"errcode": 0, "errmsg": "ok", "access_token": token, "expires_in": 7200}),
            );
        }
        if !self.is_good(request.parameter("access_token")) {
            return code(if self.is_expired { 42001 } else { 40014 });
        }
        match request.path.as_str() {
            "/cgi-bin/message/send" => {
                if self.is_busy() {
                    return code(45009);
                }
                if body["agentid"] != 7 || body["msgtype"] != "text" {
                    return code(40008);
                }
                let (to, said) = (text("touser"), body["text"]["content"].as_str().unwrap_or_default());
                if said.is_empty() || said.len() > 2048 {
                    return code(44004);
                }
                // WeCom looks for repetitions, by their words, where it is asked to.
                let key = format!("{to} {said}");
                if body["enable_duplicate_check"] == 1 {
                    self.deliver(Some(&key), &to, said);
                } else {
                    self.known.insert(key);
                    self.deliver(None, &to, said);
                }
                Answer::Json(200, json!({"errcode": 0, "errmsg": "ok", "msgid": "m", "invaliduser": ""}))
            }
            "/cgi-bin/kf/sync_msg" => {
                let from: usize = text("cursor").parse().unwrap_or(0);
                let to = (from + 7).min(self.inbox.len());
                let page = json!({"errcode": 0, "errmsg": "ok", "next_cursor": to.to_string(),
                    "has_more": i32::from(to < self.inbox.len()), "msg_list": self.inbox[from.min(to)..to]});
                Answer::Json(200, page)
            }
            "/cgi-bin/kf/service_state/get" => {
                let state = self.service_states.get(&text("external_userid")).copied().unwrap_or(0);
                Answer::Json(200, json!({"errcode": 0, "errmsg": "ok", "service_state": state}))
            }
            "/cgi-bin/kf/service_state/trans" => {
                self.service_states
                    .insert(text("external_userid"), body["service_state"].as_i64().unwrap_or(0));
                code(0)
            }
            "/cgi-bin/kf/servicer/list" => {
                let list = json!([{"userid": "wang", "status": 0}]);
                Answer::Json(200, json!({"errcode": 0, "errmsg": "ok", "servicer_list": list}))
            }
            "/cgi-bin/kf/send_msg" => {
                if self.is_busy() {
                    return code(45009);
                }
                let to = text("touser");
                if self.service_states.get(&to).is_some_and(|state| *state > 1) {
                    return code(95018);
                }
                let key = text("msgid");
                let is_key = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
                if key.len() > 32 || !key.chars().all(is_key) {
                    return code(40008);
                }
                let said = match body["msgtype"].as_str() {
                    Some("text") => body["text"]["content"].as_str().unwrap_or_default(),
                    Some("msgmenu") => body["msgmenu"]["head_content"].as_str().unwrap_or_default(),
                    _ => return code(40008),
                };
                self.deliver(Some(&key).filter(|key| !key.is_empty()).map(String::as_str), &to, said);
                Answer::Json(200, json!({"errcode": 0, "errmsg": "ok", "msgid": key}))
            }
            _ => code(404),
        }
    }

    fn dingtalk(&mut self, request: &Request) -> Answer {
        let body = &request.body;
        match request.path.as_str() {
            "/v1.0/oauth2/accessToken" => {
                if body["appKey"] != "k" || body["appSecret"] != "s" {
                    return Answer::Json(400, json!({"code": "invalidClientIdOrSecret", "message": "no"}));
                }
                let token = self.token();
                Answer::Json(200, json!({"accessToken": token, "expireIn": 7200}))
            }
            // The address carries what lets it in.
            "/robot/sendBySession" => {
                if self.is_busy() {
                    return Answer::Json(200, json!({"status": 1111, "wait": 1, "punish": "deny"}));
                }
                let said = match body["msgtype"].as_str() {
                    Some("markdown") => &body["markdown"]["text"],
                    _ => &body["text"]["content"],
                };
                self.deliver(None, request.parameter("session"), said.as_str().unwrap_or_default());
                Answer::Json(200, json!({"errcode": 0, "errmsg": "ok"}))
            }
            "/v1.0/robot/oToMessages/batchSend" => {
                if !self.is_good(request.header("x-acs-dingtalk-access-token")) {
                    return Answer::Json(400, json!({"code": "InvalidAuthentication", "message": "no"}));
                }
                if self.is_busy() {
                    let code = "Forbidden.AccessDenied.QpsLimitForApi";
                    return Answer::Json(403, json!({"code": code, "message": "too many"}));
                }
                let parameters: Value = serde_json::from_str(body["msgParam"].as_str().unwrap_or_default())
                    .unwrap_or(Value::Null);
                let (Some(said), Some(to)) = (parameters["text"].as_str(), body["userIds"][0].as_str())
                else {
                    return Answer::Json(400, json!({"code": "invalidParameter", "message": "no"}));
                };
                self.deliver(None, to, said);
                let reply = json!({"processQueryKey": "k", "invalidStaffIdList": [], "flowControlledStaffIdList": []});
                Answer::Json(200, reply)
            }
            "/v1.0/card/instances/createAndDeliver" | "/v1.0/card/streaming" => {
                if !self.is_good(request.header("x-acs-dingtalk-access-token")) {
                    return Answer::Json(400, json!({"code": "InvalidAuthentication", "message": "no"}));
                }
                self.dingtalk_card(request)
            }
            _ => Answer::Json(404, json!({"code": "InvalidAction.NotFound"})),
        }
    }

    fn feishu(&mut self, request: &Request) -> Answer {
        let body = &request.body;
        let refuse = |code: i64| Answer::Json(400, json!({"code": code, "msg": "said by the fake"}));
        if request.path == "/open-apis/auth/v3/tenant_access_token/internal" {
            if body["app_id"] != "a" || body["app_secret"] != "s" {
                return refuse(10_003);
            }
            let token = self.token();
            return Answer::Json(
                200,
                json!({"code": 0, "msg": "ok", "tenant_access_token": token, "expire": 7200}),
            );
        }
        if !self.is_good(request.header("authorization").trim_start_matches("Bearer ")) {
            return refuse(99_991_663);
        }
        if let Some(rest) = request.path.strip_prefix("/open-apis/cardkit/v1/cards") {
            return self.feishu_card(rest, body);
        }
        let message = request.path.strip_prefix("/open-apis/im/v1/messages/");
        let Some(message) = message.and_then(|rest| rest.strip_suffix("/reply")) else { return refuse(404) };
        if self.is_busy() {
            return refuse(99_991_400);
        }
        let content: Value =
            serde_json::from_str(body["content"].as_str().unwrap_or_default()).unwrap_or(Value::Null);
        let key = body["uuid"].as_str().filter(|key| !key.is_empty() && key.len() <= 50);
        let data = json!({"message_id": "om_reply", "chat_id": "oc", "msg_type": body["msg_type"]});
        let done = Answer::Json(200, json!({"code": 0, "msg": "success", "data": data}));
        let said = match body["msg_type"].as_str() {
            Some("text") => content["text"].as_str(),
            Some("interactive") if content["type"] == "card" => {
                let id = content["data"]["card_id"].as_str().unwrap_or_default();
                return if self.feishu_card_is_sent(id, message, key) { done } else { refuse(230_099) };
            }
            Some("interactive") if content["schema"] == "2.0" => {
                content["body"]["elements"][0]["content"].as_str()
            }
            _ => None,
        };
        let Some(said) = said else { return refuse(230_001) };
        self.deliver(key, message, said);
        done
    }

    fn slack(&mut self, request: &Request) -> Answer {
        let refuse = |error: &str| Answer::Json(200, json!({"ok": false, "error": error}));
        // Slack's tokens do not end by themselves; they are revoked, and given again by a person.
        if request.header("authorization") != "Bearer xoxb" || self.is_expired {
            return refuse("invalid_auth");
        }
        match request.path.as_str() {
            "/auth.test" => Answer::Json(200, json!({"ok": true, "team": "T", "user_id": "UBOT"})),
            "/chat.postMessage" => {
                if self.is_busy() {
                    return Answer::Limited;
                }
                let (Some(to), Some(said)) =
                    (request.body["channel"].as_str(), request.body["text"].as_str())
                else {
                    return refuse("no_text");
                };
                self.deliver(None, to, said);
                let message = json!({"type": "message", "text": said, "ts": "1790000000.000100"});
                Answer::Json(
                    200,
                    json!({"ok": true, "channel": to, "ts": "1790000000.000100", "message": message}),
                )
            }
            "/chat.startStream" => self.slack_stream("start", &request.body),
            "/chat.appendStream" => self.slack_stream("append", &request.body),
            "/chat.stopStream" => self.slack_stream("stop", &request.body),
            _ => refuse("unknown_method"),
        }
    }

    /// Slack: the token is good again.
    pub fn renew(&mut self) {
        self.is_expired = false;
    }
}
