//! The HTTP generator against a server that does everything wrong that servers do. Each case ends in an answer or in
//! an error of its kind; none may hang.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flightdeck_models::{
    Finish, GenerateError, Generated, Generator, HttpGenerator, HttpSettings, Listener, Prices, Prompt,
    ProxySettings, Secret, SetupError,
};

/// What the server does with one connection.
#[derive(Clone)]
enum Act {
    /// Sends this and closes.
    Say(String),
    /// Sends this and then nothing, without closing.
    SayAndStall(String),
}

/// A server that does one act a connection, in order, and keeps what it was sent.
struct Fake {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    fn start(acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = format!("http://{}", listener.local_addr().expect("it is bound"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        std::thread::spawn(move || {
            let mut stalled = Vec::new();
            for act in acts {
                let Ok((mut stream, _)) = listener.accept() else { return };
                let request = read_request(&mut stream);
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                let (Act::Say(text) | Act::SayAndStall(text)) = &act;
                // A client that has gone is part of some tests.
                let _ = stream.write_all(text.as_bytes());
                if matches!(act, Act::SayAndStall(_)) {
                    stalled.push(stream);
                }
            }
            // Whoever waits for a stalled answer still waits; the port takes connections and says nothing.
            std::thread::park();
            drop(stalled);
        });
        Self { address, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return String::from_utf8_lossy(&bytes).into_owned(),
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
        }
    }
}

fn reply(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}\r\n{body}")
}

fn stream(events: &[&str]) -> String {
    let body: String = events.iter().map(|data| format!("data: {data}\n\n")).collect();
    reply("200 OK", "content-type: text/event-stream\r\n", &body)
}

fn delta(text: &str) -> String {
    serde_json::json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]})
        .to_string()
}

const STOP: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const USAGE: &str =
    r#"{"choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":500,"total_tokens":1500}}"#;

fn good() -> Act {
    let role = r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#;
    Act::Say(stream(&[role, &delta("保修 "), &delta("24 个月。[1]"), STOP, USAGE, "[DONE]"]))
}

fn settings(address: &str) -> HttpSettings {
    HttpSettings {
        address: format!("{address}/v1/"),
        model: "some-model".to_owned(),
        key: Some(Secret::new("sk-very-secret")),
        proxy: None,
        connect: Duration::from_secs(20),
        first_text: Duration::from_mins(1),
        total: Duration::from_mins(2),
        retries: 2,
        context_tokens: 8192,
        answer_tokens: 512,
        temperature: 0.0,
        prices: Some(Prices { prompt: 2.0, completion: 8.0 }),
    }
}

/// As [`settings`], with so little patience that a stalling server is given up at once.
fn impatient(address: &str) -> HttpSettings {
    let soon = Duration::from_millis(300);
    HttpSettings { first_text: soon, total: soon, ..settings(address) }
}

#[derive(Default)]
struct Collected {
    text: String,
    leave_after: Option<usize>,
    is_gone: bool,
}

impl Listener for Collected {
    fn text(&mut self, piece: &str) -> ControlFlow<()> {
        assert!(!piece.is_empty());
        self.text.push_str(piece);
        if self.leave_after.is_some_and(|n| self.text.len() >= n) {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn is_gone(&self) -> bool {
        self.is_gone
    }
}

fn prompt() -> Prompt {
    Prompt { system: "规则".to_owned(), user: "问题".to_owned() }
}

fn ask(settings: HttpSettings) -> (Result<Generated, GenerateError>, String) {
    let generator = HttpGenerator::new(settings).expect("the settings are right");
    let mut collected = Collected::default();
    let result = generator.generate(&prompt(), &mut collected);
    (result, collected.text)
}

#[test]
fn an_answer_comes_in_pieces_with_its_tokens_and_cost() {
    let fake = Fake::start(vec![good()]);
    let (result, text) = ask(settings(&fake.address));
    let generated = result.expect("all is well");
    assert_eq!((text.as_str(), generated.finish), ("保修 24 个月。[1]", Finish::Complete));
    assert_eq!(generated.usage.prompt_tokens, Some(1000));
    assert_eq!(generated.usage.completion_tokens, Some(500));
    assert_eq!(generated.usage.cost, Some(0.006));
    assert!(generated.usage.first_text.is_some());

    let request = &fake.requests()[0];
    assert!(request.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("authorization: Bearer sk-very-secret\r\n"), "{request}");
    let body: serde_json::Value = serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(body["messages"][0], serde_json::json!({"role": "system", "content": "规则"}));
    assert_eq!(body["messages"][1]["content"], "问题");
    assert_eq!((&body["stream"], &body["max_tokens"]), (&true.into(), &512.into()));
}

#[test]
fn an_answer_that_is_not_streamed_counts_as_well() {
    let body = r#"{"choices":[{"message":{"content":"<think>嗯</think>好的。"},"finish_reason":"length"}]}"#;
    let fake = Fake::start(vec![Act::Say(reply(
        "200 OK",
        "content-type: application/json; charset=utf-8\r\n",
        body,
    ))]);
    let (result, text) = ask(settings(&fake.address));
    let generated = result.expect("all is well");
    assert_eq!((text.as_str(), generated.finish), ("好的。", Finish::Length));
    assert_eq!(generated.usage.cost, None, "without counts there is no cost");
}

#[test]
fn what_is_transient_is_tried_again() {
    let busy = reply("429 Too Many Requests", "retry-after: 0\r\n", r#"{"error":{"message":"slow down"}}"#);
    let down = reply("503 Service Unavailable", "", "down");
    let cut_before_text = stream(&[r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#]);
    for trouble in [busy, down, cut_before_text, String::new()] {
        let fake = Fake::start(vec![Act::Say(trouble.clone()), good()]);
        let (result, text) = ask(settings(&fake.address));
        assert!(result.is_ok(), "{trouble:?} got {result:?}");
        assert_eq!(text, "保修 24 个月。[1]");
        assert_eq!(fake.requests().len(), 2);
    }
}

#[test]
fn what_lasts_is_not_tried_again_and_the_key_is_not_repeated() {
    let body = r#"{"error":{"message":"Incorrect API key provided:\n sk-very-secret"}}"#;
    let fake = Fake::start(vec![Act::Say(reply("401 Unauthorized", "", body)), good()]);
    let (result, _) = ask(settings(&fake.address));
    let message = "Incorrect API key provided: …".to_owned();
    assert_eq!(result, Err(GenerateError::Refused { status: 401, message }));
    assert_eq!(fake.requests().len(), 1);
    assert!(!format!("{:?}", settings("http://h")).contains("sk-very-secret"));
}

#[test]
fn a_server_that_stays_down_ends_in_its_last_error() {
    let down = || Act::Say(reply("500 Internal Server Error", "", "<html>oops</html>"));
    let fake = Fake::start(vec![down(), down(), down(), good()]);
    let (result, text) = ask(settings(&fake.address));
    assert!(matches!(result, Err(GenerateError::Refused { status: 500, .. })), "{result:?}");
    assert_eq!((text.as_str(), fake.requests().len()), ("", 3));
}

#[test]
fn a_wish_to_wait_longer_than_the_reader_does_ends_at_once() {
    for seconds in [3600, u64::MAX] {
        let busy = reply("429 Too Many Requests", &format!("retry-after: {seconds}\r\n"), "{}");
        let fake = Fake::start(vec![Act::Say(busy), good()]);
        let (result, _) = ask(settings(&fake.address));
        assert!(matches!(result, Err(GenerateError::Refused { status: 429, .. })), "{result:?}");
        assert_eq!(fake.requests().len(), 1);
    }
}

#[test]
fn nothing_is_tried_again_after_text_was_given_out() {
    let fake = Fake::start(vec![Act::Say(stream(&[&delta("保修 ")])), good()]);
    let (result, text) = ask(settings(&fake.address));
    assert!(matches!(result, Err(GenerateError::Broken(_))), "{result:?}");
    assert_eq!((text.as_str(), fake.requests().len()), ("保修 ", 1));
}

#[test]
fn an_error_in_the_middle_of_a_stream_is_told() {
    let error = r#"{"error":{"message":"out of memory"}}"#;
    let fake = Fake::start(vec![Act::Say(stream(&[&delta("保修 "), error]))]);
    let (result, _) = ask(settings(&fake.address));
    assert_eq!(result, Err(GenerateError::Broken("out of memory".to_owned())));
}

#[test]
fn what_is_malformed_is_an_error() {
    let html = reply("200 OK", "content-type: text/html\r\n", "<html>login</html>");
    let no_json = stream(&["{\"choices\":[", "[DONE]"]);
    let nothing = stream(&[STOP, "[DONE]"]);
    let wrong_types = stream(&[r#"{"choices":"none"}"#]);
    for malformed in [html, no_json, nothing, wrong_types] {
        let mut settings = settings("http://unused");
        settings.retries = 0;
        let fake = Fake::start(vec![Act::Say(malformed.clone())]);
        settings.address = fake.address.clone();
        let (result, text) = ask(settings);
        assert!(matches!(result, Err(GenerateError::Broken(_))), "{malformed:?} got {result:?}");
        assert_eq!(text, "");
    }
}

#[test]
fn a_server_that_is_silent_or_stalls_is_given_up() {
    let silent = Fake::start(vec![Act::SayAndStall(String::new())]);
    let (result, _) = ask(impatient(&silent.address));
    assert!(matches!(result, Err(GenerateError::Slow(_))), "{result:?}");

    let stalls = Fake::start(vec![Act::SayAndStall(stream(&[&delta("保修 ")]))]);
    let (result, text) = ask(impatient(&stalls.address));
    assert!(matches!(result, Err(GenerateError::Unfinished(_))), "{result:?}");
    assert_eq!(text, "保修 ");

    let says_nothing_of_it =
        Fake::start(vec![Act::SayAndStall(reply("500 Oops", "content-length: 99\r\n", ""))]);
    let (result, _) = ask(impatient(&says_nothing_of_it.address));
    assert!(matches!(result, Err(GenerateError::Refused { status: 500, .. })), "{result:?}");
}

#[test]
fn a_reader_who_leaves_ends_the_work() {
    let fake = Fake::start(vec![Act::SayAndStall(stream(&[&delta("保修 "), &delta("24")]))]);
    let generator = HttpGenerator::new(settings(&fake.address)).expect("the settings are right");
    let mut leaves = Collected { leave_after: Some(1), ..Collected::default() };
    assert_eq!(generator.generate(&prompt(), &mut leaves), Err(GenerateError::Cancelled));
    assert_eq!(leaves.text, "保修 ");

    let silent = Fake::start(vec![Act::SayAndStall(String::new())]);
    let generator = HttpGenerator::new(settings(&silent.address)).expect("the settings are right");
    let mut gone = Collected { is_gone: true, ..Collected::default() };
    assert_eq!(generator.generate(&prompt(), &mut gone), Err(GenerateError::Cancelled));
}

#[test]
fn a_server_that_keeps_failing_is_not_asked_for_a_while() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let generator = HttpGenerator::new(HttpSettings { retries: 0, ..settings(&format!("http://{nobody}")) });
    let generator = generator.expect("the settings are right");
    let ask = || generator.generate(&prompt(), &mut Collected::default()).expect_err("nobody is there");
    for _ in 0..5 {
        let error = ask();
        assert!(matches!(error, GenerateError::Unreachable(_)), "{error}");
    }
    assert_eq!(ask(), GenerateError::Resting { failures: 5 });
}

#[test]
fn a_proxy_is_gone_through() {
    let proxy = Fake::start(vec![good()]);
    let through =
        ProxySettings { address: Secret::new(proxy.address.clone()), except: "127.0.0.1".to_owned() };
    let (result, _) = ask(HttpSettings { proxy: Some(through), ..settings("http://model.example") });
    assert!(result.is_ok(), "{result:?}");
    let request = &proxy.requests()[0];
    assert!(request.starts_with("POST http://model.example/v1/chat/completions "), "{request}");
}

#[test]
fn settings_that_cannot_work_are_refused() {
    for (wrong, expected) in [
        ("model.example", SetupError::Address("model.example/v1/".to_owned())),
        ("file:///etc", SetupError::Address("file:///etc/v1/".to_owned())),
    ] {
        assert_eq!(HttpGenerator::new(settings(wrong)).err(), Some(expected));
    }
    let key = Some(Secret::new("two\nlines"));
    assert_eq!(HttpGenerator::new(HttpSettings { key, ..settings("http://h") }).err(), Some(SetupError::Key));
    let proxy = Some(ProxySettings { address: Secret::new("::"), except: String::new() });
    let error = HttpGenerator::new(HttpSettings { proxy, ..settings("http://h") }).err();
    assert!(matches!(error, Some(SetupError::Proxy)), "{error:?}");
}
