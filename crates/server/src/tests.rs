//! The router as a function: what it answers without an index, and whom it answers.
//!
//! What needs an index is tested end to end, against the real binary.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::Request;
use axum::response::Response;
use flightdeck_records::{KeyLimits, KeyRole, NewKey, Records, Role};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::{AppState, Limits, fields, openapi, router};

const HERE: &str = "127.0.0.1:50000";
const ELSEWHERE: &str = "192.0.2.7:50000";
const SEARCH: &str = "/api/v1/search";
const CHAT: &str = "/api/v1/chat";

pub(crate) fn state() -> AppState {
    AppState::new(Arc::new(Records::in_memory().unwrap()), Limits::default())
}

pub(crate) async fn body_text(response: Response) -> String {
    String::from_utf8(to_bytes(response.into_body(), 1 << 22).await.unwrap().to_vec()).unwrap()
}

pub(crate) async fn body_json(response: Response) -> Value {
    serde_json::from_str(&body_text(response).await).unwrap()
}

struct Server(AppState);

impl Server {
    fn new() -> Self {
        Self(state())
    }

    fn key(&self, role: KeyRole) -> String {
        let (_, secret) = self.0.records().create_key(role.name(), role).unwrap();
        format!("Bearer {secret}")
    }

    async fn send(&self, peer: &str, request: Request<Body>) -> Response {
        let mut request = request;
        request.extensions_mut().insert(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
        let response = router(self.0.clone()).oneshot(request).await.unwrap();
        assert!(response.headers().contains_key("x-request-id"));
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        response
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        self.send(HERE, request("GET", path, headers, Body::empty())).await
    }

    async fn post(&self, path: &str, body: impl Into<Body>, headers: &[(&str, &str)]) -> Response {
        let headers = [&[("content-type", "application/json"), ("host", "localhost:8080")], headers].concat();
        self.send(HERE, request("POST", path, &headers, body.into())).await
    }

    /// Status, code and field of the error that this body gets.
    async fn refusal(&self, path: &str, body: impl Into<Body>) -> (u16, String, Option<String>) {
        refusal(self.post(path, body, &[]).await).await
    }
}

fn request(method: &str, path: &str, headers: &[(&str, &str)], body: Body) -> Request<Body> {
    let builder = Request::builder().method(method).uri(path);
    headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value)).body(body).unwrap()
}

async fn refusal(response: Response) -> (u16, String, Option<String>) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/json");
    let body = body_json(response).await;
    assert!(!body["error"]["message"].as_str().unwrap().is_empty());
    let text = |name: &str| body["error"][name].as_str().map(str::to_owned);
    (status, text("code").unwrap(), text("field"))
}

fn invalid(field: &str) -> (u16, String, Option<String>) {
    (422, "invalid_request".to_owned(), Some(field.to_owned()))
}

fn error(status: u16, code: &str) -> (u16, String, Option<String>) {
    (status, code.to_owned(), None)
}

// Bad requests

#[tokio::test]
async fn a_wrong_field_of_a_search_is_named() {
    let server = Server::new();
    for (body, field) in [
        (json!({}), "query"),
        (json!({"query": null}), "query"),
        (json!({"query": 7}), "query"),
        (json!({"query": " \n "}), "query"),
        (json!({"query": "问".repeat(4001)}), "query"),
        (json!({"query": "问", "top_k": 0}), "top_k"),
        (json!({"query": "问", "top_k": 101}), "top_k"),
        (json!({"query": "问", "top_k": 100_000}), "top_k"),
        (json!({"query": "问", "top_k": -1}), "top_k"),
        (json!({"query": "问", "top_k": 2.5}), "top_k"),
        (json!({"query": "问", "top_k": "10"}), "top_k"),
        (json!({"query": "问", "mode": "fuzzy"}), "mode"),
        (json!({"query": "问", "audience": "everyone"}), "audience"),
        (json!({"query": "问", "filters": []}), "filters"),
        (json!({"query": "问", "filters": {"kind": "case"}}), "filters.kind"),
        (json!({"query": "问", "filters": {"kind": ["case", "cases"]}}), "filters.kind[1]"),
        (json!({"query": "问", "filters": {"industry": [1]}}), "filters.industry[0]"),
        (json!({"query": "问", "filters": {"tags": []}}), "filters.tags"),
        (json!({"query": "问", "topk": 3}), "topk"),
    ] {
        assert_eq!(server.refusal(SEARCH, body.to_string()).await, invalid(field), "{body}");
    }
}

#[tokio::test]
async fn a_wrong_field_of_a_message_is_named() {
    let server = Server::new();
    for (body, field) in [
        (json!({}), "message"),
        (json!({"message": "问".repeat(4001)}), "message"),
        (json!({"message": "问", "session_id": 1}), "session_id"),
        (json!({"message": "问", "customer_id": "c".repeat(1025)}), "customer_id"),
        (json!({"message": "问", "customer": "华睿"}), "customer"),
        (json!({"message": "问", "customer": {"industry": []}}), "customer.industry"),
        (json!({"message": "问", "customer": {"budget": "1"}}), "customer.budget"),
        (json!({"message": "问", "stream": "yes"}), "stream"),
        (json!({"message": "问", "audience": 1}), "audience"),
        (json!({"message": "问", "request_id": "r".repeat(201)}), "request_id"),
    ] {
        assert_eq!(server.refusal(CHAT, body.to_string()).await, invalid(field), "{body}");
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_an_error_in_the_contracts_form() {
    let server = Server::new();
    for body in ["", "{", "[]", "\"问\"", "{\"query\":\"a\"} x", &"[".repeat(100_000)] {
        assert_eq!(server.refusal(SEARCH, body.to_owned()).await, error(400, "invalid_request"));
    }
    assert_eq!(server.refusal(SEARCH, &b"{\"query\":\"\xFF\"}"[..]).await, error(400, "invalid_request"));
    let too_large = vec![b' '; fields::MAX_BODY_BYTES + 1];
    assert_eq!(server.refusal(SEARCH, too_large).await, error(413, "too_large"));
    let form = request("POST", SEARCH, &[("content-type", "text/plain")], Body::from("{\"query\":\"a\"}"));
    assert_eq!(refusal(server.send(HERE, form).await).await, error(415, "unsupported_media_type"));
}

#[tokio::test]
async fn the_longest_question_is_still_one() {
    let server = Server::new();
    let body = json!({"query": "问".repeat(4000), "top_k": 100, "mode": null, "filters": {"kind": ["case"]}});
    assert_eq!(server.refusal(SEARCH, body.to_string()).await, error(503, "not_ready"));
}

#[tokio::test]
async fn addresses_and_methods_that_are_not_there_are_errors_in_the_contracts_form() {
    let server = Server::new();
    for path in [
        "/nowhere",
        "/admin/nothing.js",
        "/widget.css",
        "/api/v1/nothing",
        "/api/v1/documents/",
        "/../Cargo.toml",
    ] {
        assert_eq!(refusal(server.get(path, &[]).await).await, error(404, "not_found"), "{path}");
    }
    for path in [SEARCH, CHAT] {
        assert_eq!(refusal(server.get(path, &[]).await).await, error(405, "method_not_allowed"), "{path}");
    }
    assert_eq!(refusal(server.post("/", "{}", &[]).await).await, error(405, "method_not_allowed"));
}

#[tokio::test]
async fn an_id_that_is_not_utf8_is_an_error_that_names_it() {
    let server = Server::new();
    let response = server.get("/api/v1/documents/%FF", &[]).await;
    assert_eq!(refusal(response).await, (400, "invalid_request".to_owned(), Some("id".to_owned())));
    let response = server.get("/api/v1/documents/a?audience=all", &[]).await;
    assert_eq!(refusal(response).await, invalid("audience"));
}

// Without an index

#[tokio::test]
async fn before_an_index_is_loaded_the_server_lives_and_says_that_it_is_not_ready() {
    let server = Server::new();
    assert_eq!(server.get("/healthz", &[]).await.status(), 200);
    let not_ready = server.get("/readyz", &[]).await;
    assert!(not_ready.headers().contains_key("retry-after"));
    assert_eq!(refusal(not_ready).await, error(503, "not_ready"));
    assert_eq!(server.refusal(SEARCH, json!({"query": "a"}).to_string()).await, error(503, "not_ready"));
    for stream in [false, true] {
        let body = json!({"message": "你好", "customer": {"name": null}, "stream": stream});
        assert_eq!(server.refusal(CHAT, body.to_string()).await, error(503, "not_ready"));
    }
    for id in ["case-1", "faqs/常见.csv%23r1", "faqs%2F%E5%B8%B8%E8%A7%81%23r1"] {
        let response = server.get(&format!("/api/v1/documents/{id}"), &[]).await;
        assert_eq!(refusal(response).await, error(503, "not_ready"), "{id}");
    }
}

// Access

#[tokio::test]
async fn without_keys_only_this_machine_is_served() {
    let server = Server::new();
    let ask = |peer: &'static str, headers: Vec<(&'static str, &'static str)>| {
        let headers = [vec![("content-type", "application/json")], headers].concat();
        let request = request("POST", SEARCH, &headers, Body::from("{}"));
        let server = &server;
        async move { server.send(peer, request).await.status().as_u16() }
    };
    // 422: it was let in, and the body looked at.
    for (peer, headers) in [
        (HERE, vec![]),
        ("[::1]:5000", vec![("host", "[::1]:8080")]),
        ("[::ffff:127.0.0.1]:5000", vec![("host", "localhost")]),
        (
            HERE,
            vec![
                ("host", "localhost:8080"),
                ("origin", "http://localhost:8080"),
                ("sec-fetch-site", "same-origin"),
            ],
        ),
        (HERE, vec![("host", "127.0.0.1:8080"), ("authorization", "Bearer fd_left_over")]),
    ] {
        assert_eq!(ask(peer, headers.clone()).await, 422, "{peer} {headers:?}");
    }
    for (peer, headers) in [
        (ELSEWHERE, vec![]),
        (ELSEWHERE, vec![("host", "localhost"), ("x-forwarded-for", "127.0.0.1")]),
        (HERE, vec![("x-forwarded-for", "192.0.2.7")]),
        (HERE, vec![("forwarded", "for=192.0.2.7")]),
        (HERE, vec![("host", "rebound.example.com:8080")]),
        (HERE, vec![("host", "localhost:8080"), ("origin", "http://evil.example.com")]),
        (HERE, vec![("host", "localhost:8080"), ("origin", "http://localhost:3000")]),
        (HERE, vec![("host", "localhost:8080"), ("origin", "null")]),
        (HERE, vec![("host", "localhost:8080"), ("sec-fetch-site", "cross-site")]),
    ] {
        assert_eq!(ask(peer, headers.clone()).await, 403, "{peer} {headers:?}");
    }
}

#[tokio::test]
async fn a_request_whose_peer_is_unknown_is_not_from_this_machine() {
    let request = request("POST", SEARCH, &[("content-type", "application/json")], Body::from("{}"));
    assert_eq!(router(state()).oneshot(request).await.unwrap().status(), 403);
}

#[tokio::test]
async fn from_the_first_key_on_every_call_needs_one_from_here_too() {
    let server = Server::new();
    let key = server.key(KeyRole::Rep);
    for headers in [&[][..], &[("authorization", "Bearer fd_wrong")], &[("authorization", "Basic abc")]] {
        let response = server.post(SEARCH, "{}", headers).await;
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        assert_eq!(refusal(response).await, error(401, "unauthorized"));
        assert_eq!(server.get("/api/v1/documents/a", headers).await.status(), 401);
        assert_eq!(server.post(CHAT, "{}", headers).await.status(), 401);
    }
    assert_eq!(server.post(SEARCH, "{}", &[("authorization", &key)]).await.status(), 422);
    let headers =
        [("content-type", "application/json"), ("host", "deck.example.com"), ("authorization", &key)];
    let from_elsewhere = request("POST", SEARCH, &headers, Body::from("{}"));
    assert_eq!(server.send(ELSEWHERE, from_elsewhere).await.status(), 422);
}

#[tokio::test]
async fn a_revoked_key_opens_nothing_and_the_last_one_does_not_open_the_door() {
    let server = Server::new();
    let key = server.key(KeyRole::Admin);
    let records = server.0.records();
    records.revoke_key(&records.keys().unwrap()[0].id).unwrap();
    assert_eq!(server.post(SEARCH, "{}", &[("authorization", &key)]).await.status(), 401);
    assert_eq!(server.post(SEARCH, "{}", &[]).await.status(), 401);
}

#[tokio::test]
async fn a_bot_that_asks_for_what_is_internal_is_refused_before_anything_is_searched() {
    let server = Server::new();
    let key = server.key(KeyRole::Bot);
    let headers = [("authorization", key.as_str())];
    let refused = (403, "forbidden".to_owned(), Some("audience".to_owned()));
    let body = json!({"query": "底价", "audience": "internal"}).to_string();
    assert_eq!(refusal(server.post(SEARCH, body, &headers).await).await, refused);
    let body = json!({"message": "底价", "audience": "internal"}).to_string();
    assert_eq!(refusal(server.post(CHAT, body, &headers).await).await, refused);
    assert_eq!(refusal(server.get("/api/v1/documents/a?audience=internal", &headers).await).await, refused);
    let body = json!({"query": "价格"}).to_string();
    assert_eq!(refusal(server.post(SEARCH, body, &headers).await).await, error(503, "not_ready"));
}

#[tokio::test]
async fn a_key_that_was_made_for_customers_sees_nothing_internal_whatever_its_role() {
    let server = Server::new();
    let limits = KeyLimits { customer_only: true, per_minute: None };
    let (_, secret) = server.0.records().create_limited_key("widget", KeyRole::Admin, limits).unwrap();
    let key = format!("Bearer {secret}");
    let body = json!({"query": "底价", "audience": "internal"});
    assert_eq!(server.call("POST", SEARCH, &key, Some(body)).await.0, 403);
    assert_eq!(server.call("POST", SEARCH, &key, Some(json!({"query": "价格"}))).await.0, 503);
    for path in [CUSTOMERS, "/api/v1/conversations", "/api/v1/audit", "/api/v1/gaps"] {
        assert_eq!(server.call("GET", path, &key, None).await.0, 403, "{path}");
    }
}

#[tokio::test]
async fn a_key_that_calls_too_often_is_told_when_to_come_back() {
    let server = Server::new();
    let limits = KeyLimits { customer_only: false, per_minute: NonZeroU32::new(2) };
    let (_, secret) = server.0.records().create_limited_key("busy", KeyRole::Rep, limits).unwrap();
    let (busy, other) = (format!("Bearer {secret}"), server.key(KeyRole::Rep));
    let call = async |key: &str| server.post(SEARCH, "{}", &[("authorization", key)]).await;
    for _ in 0..2 {
        assert_eq!(call(&busy).await.status(), 422);
    }
    let refused = call(&busy).await;
    let seconds: u32 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=31).contains(&seconds), "{seconds}");
    assert_eq!(refusal(refused).await, error(429, "rate_limited"));
    assert_eq!(call(&other).await.status(), 422);
}

#[tokio::test]
async fn the_metrics_are_for_this_machine_and_for_admins() {
    let server = Server::new();
    let (admin, rep) = (server.key(KeyRole::Admin), server.key(KeyRole::Rep));
    server.get("/nowhere", &[]).await;
    let local = server.get("/metrics", &[]).await;
    assert!(local.headers()["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    let text = body_text(local).await;
    assert!(
        text.contains(r#"flightdeck_http_requests_total{method="GET",route="unmatched",status="404"} 1"#)
    );

    for (key, status) in [(None, 401), (Some(&rep), 403), (Some(&admin), 200)] {
        let headers: Vec<_> = key.iter().map(|key| ("authorization", key.as_str())).collect();
        let request = request("GET", "/metrics", &headers, Body::empty());
        assert_eq!(server.send(ELSEWHERE, request).await.status(), status);
    }
}

// Records

const CUSTOMERS: &str = "/api/v1/customers";
const FEEDBACK: &str = "/api/v1/feedback";

impl Server {
    /// Status and body of a request with this key.
    async fn call(&self, method: &str, path: &str, key: &str, body: Option<Value>) -> (u16, Value) {
        let headers = [("content-type", "application/json"), ("authorization", key)];
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let response = self.send(HERE, request(method, path, &headers, body)).await;
        (response.status().as_u16(), body_json(response).await)
    }

    /// A conversation of one question and its answer, as the assistant leaves it; both ids.
    fn conversation(&self, key: &str, customer_id: Option<&str>, audience: &str) -> (String, String) {
        let records = self.0.records();
        let secret = key.strip_prefix("Bearer ").unwrap();
        let owner = records.authenticate(secret).unwrap().unwrap().id;
        let session = records.start_session(audience, customer_id, Some(&owner)).unwrap();
        records.append_question(&session, "LB-300S 速度多少？", Some(&owner), None).unwrap();
        let details = json!({
            "intent": "product_question", "refused": false, "suggestions": ["保修多久？"], "generator": "extractive",
            "citations": [{
                "n": 1, "quote": "300 瓶/分钟",
                "document": {"id": "lb-300s", "kind": "product", "title": "LB-300S", "path": "products/lb-300s.md",
                             "audience": "customer", "link": null},
                "location": {"heading": ["参数"], "page": null, "line_start": 9, "line_end": 9, "start_ms": null,
                             "end_ms": null},
            }],
        });
        let answer = records.append_message(&session, Role::Assistant, "300 瓶/分钟[1]", &details).unwrap();
        (session, answer)
    }
}

#[tokio::test]
async fn a_customer_is_added_read_changed_found_and_erased() {
    let server = Server::new();
    let (rep, admin) = (server.key(KeyRole::Rep), server.key(KeyRole::Admin));
    let new = json!({"id": "c/7", "name": "华睿饮料", "industry": "食品饮料", "attributes": {"客户经理": "陈立航"}});
    let (status, added) = server.call("POST", CUSTOMERS, &rep, Some(new.clone())).await;
    assert_eq!(
        (status, &added["name"], &added["attributes"]["客户经理"]),
        (201, &new["name"], &json!("陈立航"))
    );
    let (status, taken) = server.call("POST", CUSTOMERS, &rep, Some(new)).await;
    assert_eq!(
        (status, &taken["error"]["code"], &taken["error"]["field"]),
        (409, &json!("exists"), &json!("id"))
    );
    let (status, named) = server.call("POST", CUSTOMERS, &rep, Some(json!({"name": "麦禾食品"}))).await;
    assert!(status == 201 && named["id"].as_str().unwrap().starts_with("c-"), "{named}");

    let one = "/api/v1/customers/c%2F7";
    let change = json!({"stage": "报价", "industry": null, "attributes": {"客户经理": null, "等级": "A"}});
    let (status, changed) = server.call("PATCH", one, &rep, Some(change)).await;
    assert_eq!(status, 200, "{changed}");
    assert_eq!(server.call("GET", one, &rep, None).await, (200, changed.clone()));
    assert_eq!((&changed["stage"], &changed["industry"]), (&json!("报价"), &Value::Null));
    assert_eq!(changed["attributes"], json!({"等级": "A"}));

    let find = async |query: &str| server.call("GET", &format!("{CUSTOMERS}?{query}"), &rep, None).await.1;
    let found = find("q=%E6%8A%A5%E4%BB%B7").await;
    assert_eq!((&found["customers"][0]["id"], &found["next"]), (&json!("c/7"), &Value::Null));
    let first = find("limit=1").await;
    let behind = find(&format!("limit=1&after={}", first["next"].as_str().unwrap())).await;
    assert_eq!(first["customers"].as_array().unwrap().len(), 1);
    assert_ne!(first["customers"][0]["id"], behind["customers"][0]["id"]);
    assert_eq!(behind["next"], Value::Null);

    for key in [&rep, &server.key(KeyRole::Marketing)] {
        assert_eq!(server.call("DELETE", one, key, None).await.0, 403);
        assert_eq!(server.call("GET", &format!("{one}/export"), key, None).await.0, 403);
    }
    server.conversation(&rep, Some("c/7"), "internal");
    let (status, data) = server.call("GET", &format!("{one}/export"), &admin, None).await;
    assert_eq!((status, &data["conversations"][0]["messages"][1]["text"]), (200, &json!("300 瓶/分钟[1]")));
    let erased = server.call("DELETE", one, &admin, None).await;
    assert_eq!(erased, (200, json!({"interactions": 0, "conversations": 1, "messages": 2})));
    assert_eq!(server.call("DELETE", one, &admin, None).await.0, 404);
    assert_eq!(server.call("GET", one, &rep, None).await.0, 404);
    let (_, trail) = server.call("GET", "/api/v1/audit?limit=2", &admin, None).await;
    let actions: Vec<_> = trail["entries"].as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["customer.erase", "customer.export"]);
    assert_eq!(trail["entries"][0]["actor"], "admin");
}

#[tokio::test]
async fn what_is_sent_stands_on_the_timeline() {
    let server = Server::new();
    let (rep, other) = (server.key(KeyRole::Rep), server.key(KeyRole::Rep));
    server.call("POST", CUSTOMERS, &rep, Some(json!({"id": "c-1", "name": "华睿饮料"}))).await;
    let (_, answer) = server.conversation(&rep, Some("c-1"), "internal");
    let path = "/api/v1/customers/c-1/interactions";
    let sent = json!({"kind": "sent", "text": "张工您好", "message_id": answer, "documents": ["lb-300s"]});
    let (status, entry) = server.call("POST", path, &rep, Some(sent.clone())).await;
    assert_eq!((status, &entry["actor"], &entry["kind"]), (201, &json!("rep"), &json!("sent")));
    let called = json!({"kind": "call", "text": "约了周三", "at": "2026-01-02T08:00:00Z"});
    assert_eq!(server.call("POST", path, &rep, Some(called)).await.0, 201);
    let (_, timeline) = server.call("GET", path, &rep, None).await;
    let kinds: Vec<_> =
        timeline["interactions"].as_array().unwrap().iter().map(|entry| &entry["kind"]).collect();
    assert_eq!(kinds, ["sent", "call"], "the earlier one is further down, whenever it was entered");
    assert_eq!(timeline["interactions"][0]["documents"], json!(["lb-300s"]));

    let (status, error) = server.call("POST", path, &other, Some(sent)).await;
    assert_eq!((status, &error["error"]["field"]), (422, &json!("message_id")), "it is not their answer");
    let nobody = "/api/v1/customers/c-9/interactions";
    assert_eq!(server.call("GET", nobody, &rep, None).await.0, 404);
    let note = json!({"kind": "note", "text": "x"});
    assert_eq!(server.call("POST", nobody, &rep, Some(note)).await.0, 404);
    for (body, field) in [
        (json!({"text": "x"}), "kind"),
        (json!({"kind": "gift", "text": "x"}), "kind"),
        (json!({"kind": "note"}), "text"),
        (json!({"kind": "note", "text": "x", "at": "yesterday"}), "at"),
        (json!({"kind": "note", "text": "x", "documents": [""]}), "documents[0]"),
    ] {
        let (status, error) = server.call("POST", path, &rep, Some(body)).await;
        assert_eq!((status, error["error"]["field"].as_str()), (422, Some(field)));
    }
}

#[tokio::test]
async fn a_rep_reads_their_own_conversations_and_curators_all() {
    let server = Server::new();
    let (rep, other) = (server.key(KeyRole::Rep), server.key(KeyRole::Rep));
    let marketing = server.key(KeyRole::Marketing);
    let (session, answer) = server.conversation(&rep, None, "internal");
    let path = format!("/api/v1/conversations/{session}");
    let (status, read) = server.call("GET", &path, &rep, None).await;
    assert_eq!(
        (status, &read["audience"], &read["messages"][0]["answer"]),
        (200, &json!("internal"), &Value::Null)
    );
    let told = &read["messages"][1];
    assert_eq!((&told["id"], &told["answer"]["intent"]), (&json!(answer), &json!("product_question")));
    assert_eq!(told["answer"]["citations"][0]["quote"], "300 瓶/分钟", "citations survive: {told}");
    assert_eq!(told["feedback"], Value::Null);
    assert_eq!(server.call("GET", &path, &other, None).await.0, 404);
    assert_eq!(server.call("GET", &path, &marketing, None).await.0, 200);
    assert_eq!(server.call("GET", "/api/v1/conversations/none", &rep, None).await.0, 404);

    let list = async |key: &str, query: &str| {
        let (status, list) = server.call("GET", &format!("/api/v1/conversations{query}"), key, None).await;
        assert_eq!(status, 200, "{list}");
        list["conversations"].as_array().unwrap().clone()
    };
    let mine = list(&rep, "?q=lb-300s").await;
    assert_eq!(
        (mine.len(), &mine[0]["title"], &mine[0]["messages"]),
        (1, &json!("LB-300S 速度多少？"), &json!(2))
    );
    assert!(mine[0]["found"].as_str().unwrap().contains("LB-300S"));
    assert!(list(&rep, "?q=%E4%BF%9D%E4%BF%AE").await.is_empty());
    assert!(list(&rep, "?customer_id=c-1").await.is_empty());
    assert!(list(&other, "").await.is_empty());
    assert_eq!(list(&marketing, "").await[0]["owner"], "rep");
}

#[tokio::test]
async fn feedback_is_given_on_one_s_own_answers_and_read_by_curators() {
    let server = Server::new();
    let (rep, bot) = (server.key(KeyRole::Rep), server.key(KeyRole::Bot));
    let marketing = server.key(KeyRole::Marketing);
    let (session, answer) = server.conversation(&rep, None, "internal");
    let (_, told_customer) = server.conversation(&bot, None, "customer");
    let down =
        json!({"message_id": answer, "rating": "down", "reason": "过时", "correction": "现在是 320 瓶/分钟"});
    let (status, given) = server.call("POST", FEEDBACK, &rep, Some(down.clone())).await;
    assert_eq!((status, &given["rating"], &given["correction"]), (200, &json!("down"), &down["correction"]));
    let (_, read) = server.call("GET", &format!("/api/v1/conversations/{session}"), &rep, None).await;
    assert_eq!(read["messages"][1]["feedback"]["reason"], "过时");
    let up = json!({"message_id": told_customer, "rating": "up"});
    assert_eq!(server.call("POST", FEEDBACK, &bot, Some(up)).await.0, 200, "a customer may thank too");
    assert_eq!(server.call("POST", FEEDBACK, &bot, Some(down)).await.0, 422, "but not judge what is inside");

    let (status, list) = server.call("GET", &format!("{FEEDBACK}?corrected=true"), &marketing, None).await;
    assert_eq!((status, list["feedback"].as_array().unwrap().len()), (200, 1));
    assert_eq!(list["feedback"][0]["question"], "LB-300S 速度多少？");
    let ups = server.call("GET", &format!("{FEEDBACK}?rating=up"), &marketing, None).await.1;
    assert_eq!(ups["feedback"][0]["feedback"]["actor"], "bot");
    for (body, field) in [
        (json!({"rating": "up"}), "message_id"),
        (json!({"message_id": "m"}), "rating"),
        (json!({"message_id": "m", "rating": "up"}), "message_id"),
        (json!({"message_id": "m", "rating": 5}), "rating"),
        (json!({"message_id": "m", "rating": "up", "reason": "长".repeat(501)}), "reason"),
    ] {
        let (status, error) = server.call("POST", FEEDBACK, &rep, Some(body)).await;
        assert_eq!((status, error["error"]["field"].as_str()), (422, Some(field)));
    }
}

#[tokio::test]
async fn nobody_reads_more_of_the_records_than_their_role_may() {
    let server = Server::new();
    let keys = [KeyRole::Bot, KeyRole::Rep, KeyRole::Marketing, KeyRole::Admin].map(|role| server.key(role));
    server.call("POST", CUSTOMERS, &keys[3], Some(json!({"id": "c-1", "name": "华睿饮料"}))).await;
    server
        .0
        .records()
        .record_gap("有越南案例吗", "internal", "find_cases", "not_in_knowledge", None)
        .unwrap();
    for (path, expected) in [
        (CUSTOMERS, [403, 200, 200, 200]),
        ("/api/v1/customers/c-1", [403, 200, 200, 200]),
        ("/api/v1/customers/c-1/interactions", [403, 200, 200, 200]),
        ("/api/v1/conversations", [403, 200, 200, 200]),
        ("/api/v1/conversations/none", [403, 404, 404, 404]),
        ("/api/v1/customers/c-1/export", [403, 403, 403, 200]),
        (FEEDBACK, [403, 403, 200, 200]),
        ("/api/v1/gaps", [403, 403, 200, 200]),
        ("/api/v1/audit", [403, 403, 403, 200]),
    ] {
        for (key, expected) in keys.iter().zip(expected) {
            assert_eq!(server.call("GET", path, key, None).await.0, expected, "{path}");
        }
        assert_eq!(server.get(path, &[("host", "localhost")]).await.status(), 401, "{path} without a key");
    }
    let (bot, body) = (&keys[0], json!({"name": "x"}));
    assert_eq!(server.call("POST", CUSTOMERS, bot, Some(body.clone())).await.0, 403);
    assert_eq!(server.call("PATCH", "/api/v1/customers/c-1", bot, Some(body)).await.0, 403);
    assert_eq!(server.call("GET", "/api/v1/gaps", &keys[2], None).await.1["gaps"][0]["count"], 1);
}

#[tokio::test]
async fn a_wrong_field_or_parameter_of_the_records_is_named() {
    let server = Server::new();
    for (body, field) in [
        (json!({}), "name"),
        (json!({"name": " "}), "name"),
        (json!({"name": 7}), "name"),
        (json!({"id": "c".repeat(201)}), "id"),
        (json!({"name": "x", "budget": "1"}), "budget"),
        (json!({"name": "x", "attributes": []}), "attributes"),
        (json!({"name": "x", "attributes": {"等级": 1}}), "attributes.等级"),
    ] {
        assert_eq!(server.refusal(CUSTOMERS, body.to_string()).await, invalid(field), "{body}");
    }
    for (path, field) in [
        ("/api/v1/customers?limit=0", "limit"),
        ("/api/v1/customers?query=x", "query"),
        ("/api/v1/customers?q=a&q=b", "q"),
        ("/api/v1/customers?after=nobody", "after"),
        ("/api/v1/conversations?after=nobody", "after"),
        ("/api/v1/feedback?rating=left", "rating"),
        ("/api/v1/feedback?after=nobody", "after"),
        ("/api/v1/gaps?limit=many", "limit"),
    ] {
        assert_eq!(refusal(server.get(path, &[]).await).await, invalid(field), "{path}");
    }
}

// Pages and headers

#[tokio::test]
async fn the_page_and_its_parts_are_served_under_a_strict_policy() {
    let server = Server::new();
    let page = server.send(ELSEWHERE, request("GET", "/", &[], Body::empty())).await;
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("script-src 'self'") && policy.contains("default-src 'none'"));
    assert!(!policy.contains("unsafe"));
    let html = body_text(page).await;
    for (before, content_type) in [("src=\"", "text/javascript"), ("rel=\"stylesheet\" href=\"", "text/css")]
    {
        let (_, rest) = html.split_once(before).expect(before);
        let (name, _) = rest.split_once('"').unwrap();
        let part = server.get(&format!("/{name}"), &[]).await;
        assert_eq!(part.status(), 200, "{name}");
        assert!(part.headers()["content-type"].to_str().unwrap().starts_with(content_type), "{name}");
    }
}

#[tokio::test]
async fn a_page_that_has_not_changed_is_not_sent_again() {
    let server = Server::new();
    let tag = server.get("/", &[]).await.headers()["etag"].to_str().unwrap().to_owned();
    let again = server.get("/", &[("if-none-match", &format!("\"other\", W/{tag}"))]).await;
    assert_eq!(again.status(), 304);
    assert_eq!(again.headers()["etag"], tag.as_str());
    assert!(body_text(again).await.is_empty());
    assert_eq!(server.get("/", &[("if-none-match", "\"other\"")]).await.status(), 200);
}

#[tokio::test]
async fn only_pages_of_the_allowed_origins_may_show_the_widget_and_none_the_page_itself() {
    let origins = vec!["https://crm.example.com".to_owned(), "http://localhost:3000".to_owned()];
    let records = Arc::new(Records::in_memory().unwrap());
    let server = Server(AppState::with_widget_origins(records, Limits::default(), origins));
    let policy = async |path| {
        let response = server.send(ELSEWHERE, request("GET", path, &[], Body::empty())).await;
        assert_eq!(response.status(), 200);
        let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
        policy.split_once("frame-ancestors ").expect("it says who may show it").1.to_owned()
    };
    assert_eq!(policy("/widget").await, "'self' https://crm.example.com http://localhost:3000");
    assert_eq!(policy("/").await, "'none'");
    for (path, who) in [("/widget.js", "cross-origin"), ("/chat.js", "same-origin")] {
        let response = server.get(path, &[]).await;
        assert_eq!(response.headers()["cross-origin-resource-policy"], who, "{path}");
    }
    let launcher = server.get("/widget.js", &[]).await;
    assert!(body_text(launcher).await.len() < 15_000, "it loads on every page of the host");
}

#[tokio::test]
async fn the_requests_own_id_is_kept_and_replies_of_the_api_are_never_stored() {
    let server = Server::new();
    let response = server.get("/healthz", &[("x-request-id", "abc-123")]).await;
    assert_eq!(response.headers()["x-request-id"], "abc-123");
    let response = server.post(SEARCH, "{}", &[("x-request-id", "a b")]).await;
    assert_ne!(response.headers()["x-request-id"], "a b");
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["content-security-policy"], "default-src 'none'; frame-ancestors 'none'");
}

#[tokio::test]
async fn every_described_address_exists_and_every_reference_in_the_description_resolves() {
    let server = Server::new();
    let description = body_json(server.get("/openapi.json", &[]).await).await;
    assert_eq!(description, openapi::description());
    let paths = description["paths"].as_object().unwrap();
    let addresses: Vec<_> = paths.keys().map(String::as_str).collect();
    let expected = [
        "/",
        "/admin",
        "/api/v1/audit",
        "/api/v1/channels",
        "/api/v1/channels/{account}/conversations",
        "/api/v1/channels/{account}/deliveries",
        "/api/v1/channels/{account}/deliveries/{id}/redeliver",
        "/api/v1/channels/{account}/drafts",
        "/api/v1/channels/{account}/events",
        "/api/v1/channels/{account}/messages",
        "/api/v1/channels/{account}/test",
        "/api/v1/chat",
        "/api/v1/conversations",
        "/api/v1/conversations/{id}",
        "/api/v1/customers",
        "/api/v1/customers/{id}",
        "/api/v1/customers/{id}/export",
        "/api/v1/customers/{id}/interactions",
        "/api/v1/documents/{id}",
        "/api/v1/feedback",
        "/api/v1/feedback/{id}/approve",
        "/api/v1/feedback/{id}/dismiss",
        "/api/v1/gaps",
        "/api/v1/gaps/answer",
        "/api/v1/gaps/check",
        "/api/v1/gaps/dismiss",
        "/api/v1/gaps/groups",
        "/api/v1/insights",
        "/api/v1/keys",
        "/api/v1/keys/{id}",
        "/api/v1/knowledge/about/{path}",
        "/api/v1/knowledge/difference/{path}",
        "/api/v1/knowledge/files",
        "/api/v1/knowledge/files/{path}",
        "/api/v1/knowledge/health",
        "/api/v1/knowledge/restore/{path}",
        "/api/v1/knowledge/source/{path}",
        "/api/v1/knowledge/status/{path}",
        "/api/v1/knowledge/versions/{path}",
        "/api/v1/me",
        "/api/v1/phrases",
        "/api/v1/phrases/{id}",
        "/api/v1/search",
        "/api/v1/send-preview",
        "/api/v1/sign-in",
        "/api/v1/try",
        "/healthz",
        "/mcp",
        "/metrics",
        "/openapi.json",
        "/readyz",
        "/v1/chat/completions",
        "/v1/embeddings",
        "/v1/models",
        "/v1/models/{id}",
        "/webhooks/{platform}/{account}",
        "/widget",
        "/widget.js",
    ];
    assert_eq!(addresses, expected);
    for (path, operations) in paths {
        for method in operations.as_object().unwrap().keys() {
            let address = path
                .replace("{id}", "x")
                .replace("{path}", "x")
                .replace("{account}", "x")
                .replace("{platform}", "x");
            let request = request(&method.to_uppercase(), &address, &[], Body::empty());
            let response = server.send(HERE, request).await;
            let status = response.status().as_u16();
            // There may be no such customer or channel, but there is such an address.
            let is_nowhere = status == 404 && body_text(response).await.contains("nothing at this address");
            assert!(!is_nowhere && status != 405, "{method} {path}: {status}");
        }
    }
    let text = description.to_string();
    for part in text.split("\"$ref\":\"#").skip(1) {
        let pointer = part.split('"').next().unwrap();
        assert!(description.pointer(pointer).is_some(), "{pointer} does not resolve");
    }
    assert_eq!(description["paths"][SEARCH]["post"]["security"], json!([{"key": []}]));
}

#[tokio::test]
async fn a_stopped_server_lets_the_request_under_way_end() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(crate::serve(listener, state(), async { drop(stopped.await) }));

    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    // Half a request, so that it is under way when the server is told to stop.
    connection
        .write_all(b"POST /api/v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
        .await
        .unwrap();
    connection.write_all(b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n").await.unwrap();
    let mut reply = [0; 25];
    connection.read_exact(&mut reply).await.unwrap();
    assert_eq!(&reply, b"HTTP/1.1 100 Continue\r\n\r\n");
    stop.send(()).unwrap();
    connection.write_all(b"{}").await.unwrap();
    let mut rest = String::new();
    connection.read_to_string(&mut rest).await.unwrap();
    assert!(rest.starts_with("HTTP/1.1 422"), "{rest}");
    serving.await.unwrap().unwrap();
}

// Pages of other sites, reps that are vouched for, wordings

impl Server {
    fn make_key(&self, role: KeyRole, origins: &[&str]) -> String {
        let origins = origins.iter().map(|&origin| origin.to_owned()).collect();
        let new = NewKey { name: "k".to_owned(), role, limits: KeyLimits::default(), origins, signs: false };
        format!("Bearer {}", self.0.records().make_key(new, None).unwrap().1)
    }
}

#[tokio::test]
async fn a_key_that_names_pages_is_used_and_read_by_those_alone() {
    const CRM: &str = "https://crm.example";
    const EVIL: &str = "https://evil.example";
    let server = Server::new();
    let (named, free) = (server.make_key(KeyRole::Rep, &[CRM]), server.make_key(KeyRole::Rep, &[]));
    let call = async |key: &str, headers: &[(&str, &str)]| {
        let headers = [&[("authorization", key), ("host", "desk.example")], headers].concat();
        server.get("/api/v1/me", &headers).await
    };
    let allowed = call(&named, &[("origin", CRM)]).await;
    assert_eq!(allowed.status(), 200);
    assert_eq!(allowed.headers()["access-control-allow-origin"], CRM);
    assert!(allowed.headers().get_all("vary").iter().any(|vary| vary == "origin"));
    let refused = call(&named, &[("origin", EVIL)]).await;
    assert!(!refused.headers().contains_key("access-control-allow-origin"));
    assert_eq!(refusal(refused).await, error(403, "forbidden_origin"));
    assert_eq!(call(&named, &[]).await.status(), 200, "no page, as a program calls");
    assert_eq!(call(&named, &[("origin", "https://desk.example")]).await.status(), 200, "our own page");

    // Inside the frame: our own page, which says whose page is around it.
    assert_eq!(call(&named, &[("x-flightdeck-host", CRM)]).await.status(), 200);
    assert_eq!(call(&named, &[("x-flightdeck-host", EVIL)]).await.status(), 403);
    assert_eq!(call(&free, &[("x-flightdeck-host", CRM)]).await.status(), 403, "nobody has named it");

    // A key that names nobody lets nobody's page read.
    let unread = call(&free, &[("origin", CRM)]).await;
    assert_eq!(unread.status(), 200);
    assert!(!unread.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn a_browser_that_asks_is_told_of_the_pages_that_some_key_names() {
    const CRM: &str = "https://crm.example";
    let server = Server::new();
    let ask = async |origin: &str, path: &str| {
        let headers =
            [("origin", origin), ("host", "desk.example"), ("access-control-request-method", "POST")];
        server.send(ELSEWHERE, request("OPTIONS", path, &headers, Body::empty())).await
    };
    assert_eq!(ask(CRM, CHAT).await.status(), 405);
    server.make_key(KeyRole::Bot, &[CRM]);
    let told = ask(CRM, CHAT).await;
    assert_eq!(told.status(), 204);
    assert_eq!(told.headers()["access-control-allow-origin"], CRM);
    let headers = told.headers()["access-control-allow-headers"].to_str().unwrap().to_owned();
    assert!(headers.contains("authorization") && !headers.contains("x-flightdeck-host"), "{headers}");
    assert_eq!(ask("https://evil.example", CHAT).await.status(), 405);
    assert_eq!(ask(CRM, "/metrics").await.status(), 405, "only the interface");

    let policy = async |path: &str| {
        server.get(path, &[]).await.headers()["content-security-policy"].to_str().unwrap().to_owned()
    };
    assert!(
        policy(&format!("/widget?origin={CRM}")).await.ends_with(&format!("frame-ancestors 'self' {CRM}"))
    );
    for path in ["/widget", "/widget?origin=https://evil.example", "/widget?origin=*"] {
        assert!(policy(path).await.ends_with("frame-ancestors 'self'"), "{path}: nobody is named to others");
    }
    assert!(policy("/").await.ends_with("frame-ancestors 'none'"));
}

#[tokio::test]
async fn keys_are_made_and_revoked_by_admins_over_http() {
    let server = Server::new();
    let (admin, rep) = (server.key(KeyRole::Admin), server.key(KeyRole::Rep));
    let body = json!({"name": "CRM", "role": "rep", "signs": true, "origins": ["https://CRM.example/"], "per_minute": 60});
    let (status, made) = server.call("POST", "/api/v1/keys", &admin, Some(body.clone())).await;
    assert_eq!(status, 201, "{made}");
    assert!(made["secret"].as_str().unwrap().starts_with("fdsign_"));
    assert_eq!(made["key"]["origins"], json!(["https://crm.example"]));
    let (_, list) = server.call("GET", "/api/v1/keys", &admin, None).await;
    assert!(!list.to_string().contains("fdsign_"), "{list}");
    assert_eq!(list["keys"][2], made["key"]);
    assert_eq!(server.call("POST", "/api/v1/keys", &rep, Some(body)).await.0, 403);
    assert_eq!(server.call("GET", "/api/v1/keys", &rep, None).await.0, 403);
    for (wrong, field) in [
        (json!({"role": "rep"}), "name"),
        (json!({"name": "k", "role": "root"}), "role"),
        (json!({"name": "k", "role": "admin", "signs": true}), "signs"),
        (json!({"name": "k", "role": "rep", "origins": ["https://a.example", "*"]}), "origins[1]"),
        (json!({"name": "k", "role": "rep", "per_minute": 0}), "per_minute"),
    ] {
        let (status, reply) = server.call("POST", "/api/v1/keys", &admin, Some(wrong)).await;
        assert_eq!((status, &reply["error"]["field"]), (422, &json!(field)), "{reply}");
    }
    let path = format!("/api/v1/keys/{}", made["key"]["id"].as_str().unwrap());
    let headers = [("authorization", admin.as_str())];
    let revoked = server.send(HERE, request("DELETE", &path, &headers, Body::empty())).await;
    assert_eq!(revoked.status(), 204);
    let again = server.send(HERE, request("DELETE", &path, &headers, Body::empty())).await;
    assert_eq!(refusal(again).await, error(404, "not_found"));
}

#[tokio::test]
async fn a_token_that_is_not_good_is_refused_with_its_reason_and_needs_no_key() {
    let server = Server::new();
    server.key(KeyRole::Admin);
    let (status, code, _) = server.refusal("/api/v1/sign-in", json!({"token": "a.b.c"}).to_string()).await;
    assert_eq!((status, code.as_str()), (401, "token_refused"));
    assert_eq!(server.refusal("/api/v1/sign-in", "{}").await, invalid("token"));
    let headers = [("authorization", "Bearer fdrep_0000")];
    assert_eq!(refusal(server.get("/api/v1/me", &headers).await).await, error(401, "unauthorized"));
}

#[tokio::test]
async fn a_wording_is_its_reps_until_a_curator_has_approved_it() {
    let server = Server::new();
    let (one, two) = (server.key(KeyRole::Rep), server.make_key(KeyRole::Rep, &[]));
    let (marketing, bot) = (server.key(KeyRole::Marketing), server.key(KeyRole::Bot));
    let body = json!({"text": "每分钟 300 瓶。", "question": "速度多少？", "documents": ["lb-300s"]});
    let (status, kept) = server.call("POST", "/api/v1/phrases", &one, Some(body.clone())).await;
    assert_eq!((status, &kept["state"], &kept["mine"]), (201, &json!("own"), &json!(true)), "{kept}");
    assert_eq!(kept["audience"], "internal", "what cannot be looked up does not leave the company");
    let address = format!("/api/v1/phrases/{}", kept["id"].as_str().unwrap());
    let patch = async |key: &str, change: Value| server.call("PATCH", &address, key, Some(change)).await;
    let n_seen = async |key: &str| {
        server.call("GET", "/api/v1/phrases", key, None).await.1["phrases"].as_array().unwrap().len()
    };
    assert_eq!((n_seen(&one).await, n_seen(&two).await, n_seen(&marketing).await), (1, 0, 0));
    assert_eq!(patch(&two, json!({"text": "x"})).await.0, 404);
    assert_eq!(
        patch(&marketing, json!({"state": "shared"})).await.0,
        404,
        "what is not on offer is not seen"
    );
    assert_eq!(patch(&one, json!({"state": "shared"})).await.0, 403);
    assert_eq!(patch(&one, json!({"state": "offered"})).await.0, 200);
    assert_eq!((n_seen(&two).await, n_seen(&marketing).await), (0, 1));
    let (status, shared) = patch(&marketing, json!({"state": "shared"})).await;
    assert_eq!((status, &shared["approved_by"]), (200, &json!("marketing")));
    assert_eq!(n_seen(&two).await, 1);
    assert_eq!(patch(&two, json!({"text": "x"})).await.0, 403);
    assert_eq!(patch(&one, json!({"text": "每分钟 300 瓶，实测。"})).await.1["state"], "offered");
    assert_eq!(n_seen(&two).await, 0);
    for (wrong, field) in
        [(json!({"text": " "}), "text"), (json!({"state": "public"}), "state"), (json!({"x": 1}), "x")]
    {
        let (status, reply) = patch(&one, wrong).await;
        assert_eq!((status, &reply["error"]["field"]), (422, &json!(field)), "{reply}");
    }
    assert_eq!(server.call("POST", "/api/v1/phrases", &bot, Some(body)).await.0, 403);
    assert_eq!(server.call("GET", "/api/v1/phrases", &bot, None).await.0, 403);
    let delete = async |key: &str| {
        let headers = [("authorization", key)];
        server.send(HERE, request("DELETE", &address, &headers, Body::empty())).await.status().as_u16()
    };
    assert_eq!((delete(&two).await, delete(&one).await, delete(&one).await), (404, 204, 404));
}

#[tokio::test]
async fn pages_are_sent_packed_to_who_takes_that() {
    let server = Server::new();
    let packed = server.get("/chat.js", &[("accept-encoding", "br, gzip;q=0.8")]).await;
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    assert_eq!(packed.headers()["vary"], "accept-encoding");
    let tag = packed.headers()["etag"].to_str().unwrap().to_owned();
    let packed = to_bytes(packed.into_body(), 1 << 20).await.unwrap();
    let plain = server.get("/chat.js", &[("accept-encoding", "gzip;q=0")]).await;
    assert!(!plain.headers().contains_key("content-encoding"));
    let plain = to_bytes(plain.into_body(), 1 << 20).await.unwrap();
    assert!(packed.len() < plain.len() / 2 && packed.starts_with(&[0x1f, 0x8b]));
    assert_eq!(server.get("/chat.js", &[("if-none-match", &tag)]).await.status(), 304);
}
