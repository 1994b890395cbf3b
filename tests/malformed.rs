//! Requests that cannot be served are answered in the contract's form, whatever they hold, and change nothing.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::support::{PATIENCE, Server, folder, small_knowledge};

struct Case {
    path: &'static str,
    content_type: &'static str,
    body: String,
    statuses: &'static [u16],
    field: Option<&'static str>,
}

fn case(
    path: &'static str,
    body: impl Into<String>,
    statuses: &'static [u16],
    field: Option<&'static str>,
) -> Case {
    Case { path, content_type: "application/json", body: body.into(), statuses, field }
}

#[test]
fn malformed_requests_get_a_4xx_in_the_contract_s_form() {
    const SEARCH: &str = "/api/v1/search";
    const CHAT: &str = "/api/v1/chat";
    const REFUSED: &[u16] = &[400, 422];
    let long = "贴".repeat(100_000);
    let cases = [
        case(SEARCH, "", REFUSED, None),
        case(SEARCH, "{", REFUSED, None),
        case(SEARCH, "[]", REFUSED, None),
        case(SEARCH, "null", REFUSED, None),
        case(SEARCH, "{\"query\":\"a\"", REFUSED, None),
        case(SEARCH, "{}", REFUSED, Some("query")),
        case(SEARCH, json!({"query": ""}).to_string(), REFUSED, Some("query")),
        case(SEARCH, json!({"query": " \n\t　"}).to_string(), REFUSED, Some("query")),
        case(SEARCH, json!({"query": 7}).to_string(), REFUSED, Some("query")),
        case(SEARCH, json!({"query": ["a"]}).to_string(), REFUSED, Some("query")),
        case(SEARCH, json!({"query": "贴".repeat(5000)}).to_string(), &[400, 413, 422], Some("query")),
        case(SEARCH, json!({"query": "a", "top_k": 100_000}).to_string(), REFUSED, Some("top_k")),
        case(SEARCH, json!({"query": "a", "top_k": 0}).to_string(), REFUSED, Some("top_k")),
        case(SEARCH, json!({"query": "a", "top_k": -1}).to_string(), REFUSED, Some("top_k")),
        case(SEARCH, json!({"query": "a", "top_k": 1.5}).to_string(), REFUSED, Some("top_k")),
        case(SEARCH, json!({"query": "a", "top_k": "10"}).to_string(), REFUSED, Some("top_k")),
        case(SEARCH, "{\"query\":\"a\",\"top_k\":1e400}", REFUSED, None),
        case(SEARCH, json!({"query": "a", "mode": "magic"}).to_string(), REFUSED, Some("mode")),
        case(SEARCH, json!({"query": "a", "audience": "everyone"}).to_string(), REFUSED, Some("audience")),
        case(SEARCH, json!({"query": "a", "audience": 1}).to_string(), REFUSED, Some("audience")),
        case(
            SEARCH,
            json!({"query": "a", "filters": {"kind": ["blog"]}}).to_string(),
            REFUSED,
            Some("filters.kind"),
        ),
        case(
            SEARCH,
            json!({"query": "a", "filters": {"kind": "case"}}).to_string(),
            REFUSED,
            Some("filters.kind"),
        ),
        case(SEARCH, json!({"query": "a", "filters": []}).to_string(), REFUSED, Some("filters")),
        case(CHAT, "{}", REFUSED, Some("message")),
        case(CHAT, json!({"message": "   "}).to_string(), REFUSED, Some("message")),
        case(CHAT, json!({"message": null}).to_string(), REFUSED, Some("message")),
        case(CHAT, json!({"message": {"text": "a"}}).to_string(), REFUSED, Some("message")),
        case(CHAT, json!({"message": long}).to_string(), &[400, 413, 422], None),
        case(CHAT, json!({"message": "a", "audience": "root"}).to_string(), REFUSED, Some("audience")),
        case(CHAT, json!({"message": "a", "stream": "yes"}).to_string(), REFUSED, Some("stream")),
        case(CHAT, json!({"message": "a", "customer": "c"}).to_string(), REFUSED, Some("customer")),
        case(
            CHAT,
            json!({"message": "a", "customer": {"name": 1}}).to_string(),
            REFUSED,
            Some("customer.name"),
        ),
        case(
            CHAT,
            json!({"message": "a", "customer_id": "nobody"}).to_string(),
            &[404, 422],
            Some("customer_id"),
        ),
        case(CHAT, "[".repeat(100_000), REFUSED, None),
        Case { content_type: "text/plain", ..case(SEARCH, "{\"query\":\"a\"}", &[415], None) },
        Case { content_type: "multipart/form-data", ..case(CHAT, "x", &[415], None) },
    ];
    let (knowledge, data) = (small_knowledge(), folder());
    let server = Server::start(knowledge.path(), data.path());
    for case in cases {
        let shown: String = case.body.chars().take(80).collect();
        let request = server.client().post(server.url(case.path)).header("content-type", case.content_type);
        let response = request.body(case.body).send().expect("the server answers");
        let status = response.status().as_u16();
        assert!(response.headers().contains_key("x-request-id"), "{shown}");
        let reply: Value = response.json().unwrap_or_else(|_| panic!("{status} without JSON for {shown}"));
        assert!(case.statuses.contains(&status), "{status} for {shown}: {reply}");
        let error = &reply["error"];
        assert!(error["code"].is_string() && error["message"].is_string(), "{reply}");
        assert!(error["field"].is_null() || error["field"].is_string(), "{reply}");
        if let Some(field) = case.field {
            let named = error["field"].as_str().unwrap_or_default();
            assert!(named.starts_with(field), "{shown} blames `{named}`: {reply}");
        }
    }
    // Bytes that are no UTF-8 inside a JSON string.
    let request = server.client().post(server.url(SEARCH)).header("content-type", "application/json");
    let response =
        request.body(b"{\"query\":\"\xC4\xE3\xBA\xC3\"}".to_vec()).send().expect("the server answers");
    assert_eq!(response.status(), 400);

    assert_eq!(server.get("/api/v1/search").status(), 405);
    assert_eq!(server.get("/api/v1/nothing").status(), 404);
    assert_eq!(server.get("/api/v1/documents/..%2F..%2Fetc%2Fpasswd").status(), 404);
    assert_eq!(server.search("保修", "internal")["hits"][0]["document"]["id"], "pump-k7", "it still works");
}

#[test]
fn garbage_on_the_socket_harms_nobody() {
    let (knowledge, data) = (small_knowledge(), folder());
    let server = Server::start(knowledge.path(), data.path());
    let endless_header = [b"GET / HTTP/1.1\r\nx: ".to_vec(), vec![b'a'; 1 << 20]].concat();
    let wrong_length =
        b"POST /api/v1/chat HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999\r\n\r\n".to_vec();
    for garbage in [vec![0; 4096], b"\x16\x03\x01\x02\x00\x01".to_vec(), endless_header, wrong_length] {
        let mut socket = TcpStream::connect(server.authority()).expect("the server listens");
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        // The server may hang up before all is written; either is fine.
        let _ = socket.write_all(&garbage);
        let _ = socket.shutdown(std::net::Shutdown::Write);
        let mut reply = Vec::new();
        let _ = socket.read_to_end(&mut reply);
        assert!(!reply.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&reply));
    }
    assert_eq!(server.get("/healthz").status(), 200);
}
