//! The remote embedder against a server that does what servers do wrong. Each case ends in vectors or in an error that
//! says what happened.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flightdeck_models::{
    Embedder, EmbeddingProtocol, HttpEmbedder, HttpEmbedderSettings, ModelError, Secret, SetupError,
};
use serde_json::{Value, json};

/// Answers every request by a function of its body and of how many came before, and keeps what it was sent.
struct Fake {
    address: String,
    requests: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Fake {
    fn start(answer: impl Fn(&Value, usize) -> (u16, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = format!("http://{}/v1", listener.local_addr().expect("it is bound"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
                let (head, body) = loop {
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    if let Some((head, body)) = text.split_once("\r\n\r\n") {
                        let length = head.lines().find_map(|line| {
                            let (name, value) = line.split_once(':')?;
                            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
                        });
                        if body.len() >= length.unwrap_or(0) {
                            break (head.to_owned(), body.to_owned());
                        }
                    }
                    match stream.read(&mut buffer) {
                        Ok(0) | Err(_) => break (text, String::new()),
                        Ok(n) => bytes.extend_from_slice(&buffer[..n]),
                    }
                };
                let body: Value = serde_json::from_str(&body).unwrap_or(Value::Null);
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                let (status, text) = answer(&body, seen.len());
                seen.push((head, body));
                drop(seen);
                // A status of 0 closes without an answer.
                if status > 0 {
                    let reply = format!(
                        "HTTP/1.1 {status} X\r\nconnection: close\r\nretry-after: 0\r\ncontent-length: {}\r\n\r\n{text}",
                        text.len()
                    );
                    let _ = stream.write_all(reply.as_bytes());
                }
            }
        });
        Self { address, requests }
    }

    fn requests(&self) -> Vec<(String, Value)> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn settings(&self, protocol: EmbeddingProtocol) -> HttpEmbedderSettings {
        HttpEmbedderSettings {
            address: self.address.clone(),
            protocol,
            model: "bge".to_owned(),
            key: None,
            dimension: None,
            query_prefix: "q: ".to_owned(),
            passage_prefix: String::new(),
            max_tokens: 512,
            batch: 3,
            timeout: Duration::from_secs(10),
            retries: 2,
        }
    }
}

/// A vector that tells its text.
fn vector(text: &str) -> Vec<f32> {
    vec![text.chars().count() as f32, 1.0, 0.0]
}

fn unit(text: &str) -> Vec<f32> {
    let vector = vector(text);
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    vector.iter().map(|value| value / length).collect()
}

fn texts(body: &Value) -> Vec<String> {
    let texts = body["input"].as_array().or_else(|| body["inputs"].as_array()).expect("texts were sent");
    texts.iter().map(|text| text.as_str().expect("a text").to_owned()).collect()
}

/// As the two kinds of servers answer; the first in an order of its own.
fn right(body: &Value) -> String {
    let texts = texts(body);
    if body.get("inputs").is_some() {
        return json!(texts.iter().map(|text| vector(text)).collect::<Vec<_>>()).to_string();
    }
    let entries = texts.iter().enumerate().rev();
    let data: Vec<_> = entries
        .map(|(index, text)| json!({"object": "embedding", "index": index, "embedding": vector(text)}))
        .collect();
    json!({"object": "list", "data": data, "model": "bge"}).to_string()
}

#[test]
fn texts_go_in_batches_and_come_back_in_order_as_unit_vectors() {
    for (protocol, path) in
        [(EmbeddingProtocol::OpenAi, "/v1/embeddings"), (EmbeddingProtocol::Tei, "/v1/embed")]
    {
        let fake = Fake::start(|body, _| (200, right(body)));
        let key = Some(Secret::new("sk-1"));
        let embedder = HttpEmbedder::new(HttpEmbedderSettings { key, ..fake.settings(protocol) });
        let embedder = embedder.expect("the server is there");
        assert_eq!((embedder.dimension(), embedder.max_tokens()), (3, 512));
        let asked: Vec<String> = (1..=7).map(|n| "字".repeat(n)).collect();
        let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
        let told = Mutex::new(Vec::new());
        let progress = |done| {
            told.lock().expect("one thread").push(done);
            true
        };
        let vectors = embedder.embed_passages(&asked, &progress).expect("it answers");
        assert_eq!(vectors, asked.iter().map(|text| unit(text)).collect::<Vec<_>>());
        assert_eq!(*told.lock().expect("one thread"), [3, 6, 7]);
        assert_eq!(embedder.embed_query("问").expect("it answers"), unit("q: 问"));
        embedder.embed_query("问").expect("it is remembered");
        let requests = fake.requests();
        assert_eq!(requests.len(), 5, "the dimension, three batches, one question");
        assert!(requests.iter().all(|(head, _)| head.starts_with(&format!("POST {path} "))));
        assert!(requests[0].0.to_lowercase().contains("authorization: bearer sk-1"));
        assert!(!format!("{:?}", fake.settings(protocol)).contains("sk-1"));
        let stopped = embedder.embed_passages(&asked, &|_| false);
        assert!(matches!(stopped, Err(ModelError::Cancelled)));
    }
}

#[test]
fn what_passes_is_tried_again_and_what_lasts_is_told_at_once() {
    let fake = Fake::start(|body, before| match before {
        0 => (503, String::new()),
        1 => (0, String::new()),
        _ => (200, right(body)),
    });
    let settings = HttpEmbedderSettings { dimension: Some(3), ..fake.settings(EmbeddingProtocol::OpenAi) };
    let embedder = HttpEmbedder::new(settings).expect("nothing was asked yet");
    assert_eq!(fake.requests().len(), 0, "a known dimension needs no server at start");
    assert_eq!(embedder.embed_query("问").expect("the third try answers"), unit("q: 问"));
    assert_eq!(fake.requests().len(), 3);

    for (status, n_requests) in [(401, 1), (400, 1), (429, 3), (500, 3)] {
        let fake = Fake::start(move |_, _| (status, "no   such\nkey sk-1".to_owned()));
        let key = Some(Secret::new("sk-1"));
        let settings =
            HttpEmbedderSettings { dimension: Some(3), key, ..fake.settings(EmbeddingProtocol::OpenAi) };
        let embedder = HttpEmbedder::new(settings).expect("nothing was asked yet");
        let error = embedder.embed_query("问").expect_err("it is refused").to_string();
        assert!(error.contains(&status.to_string()) && error.contains("no such key …"), "{error}");
        assert_eq!(fake.requests().len(), n_requests, "{status}");
    }
}

#[test]
fn a_request_that_is_too_large_is_halved() {
    let fake =
        Fake::start(|body, _| if texts(body).len() > 1 { (413, String::new()) } else { (200, right(body)) });
    let embedder = HttpEmbedder::new(fake.settings(EmbeddingProtocol::Tei)).expect("the server is there");
    let vectors = embedder.embed_passages(&["一", "二二", "三三三"], &|_| true).expect("one by one it goes");
    assert_eq!(vectors, [unit("一"), unit("二二"), unit("三三三")]);

    let fake = Fake::start(|_, _| (413, String::new()));
    let settings = HttpEmbedderSettings { dimension: Some(3), ..fake.settings(EmbeddingProtocol::Tei) };
    let error = HttpEmbedder::new(settings)
        .expect("not asked yet")
        .embed_query("长")
        .expect_err("even one is too large");
    assert!(error.to_string().contains("of this length"), "{error}");
}

#[test]
fn vectors_that_cannot_be_right_never_reach_an_index() {
    let answers = [
        (r#"{"data":[{"index":0,"embedding":[1,2]}]}"#, "2 numbers and not of 3"),
        (r#"{"data":[]}"#, "no vector"),
        (r#"{"data":[{"index":5,"embedding":[1,2,3]}]}"#, "has no text"),
        (r#"{"data":[{"index":0,"embedding":[0,0,0]}]}"#, "no length"),
        (r#"{"data":[{"index":0,"embedding":[1e39,0,0]}]}"#, "no length"),
        (r#"{"data":[{"index":0,"embedding":"AAAA"}]}"#, "no answer"),
        ("<html>", "no answer"),
    ];
    for (answer, reason) in answers {
        let fake = Fake::start(move |_, _| (200, answer.to_owned()));
        let settings =
            HttpEmbedderSettings { dimension: Some(3), ..fake.settings(EmbeddingProtocol::OpenAi) };
        let embedder = HttpEmbedder::new(settings).expect("nothing was asked yet");
        let error = embedder.embed_query("问").expect_err("it is wrong").to_string();
        assert!(error.contains(reason), "{answer}: {error}");
    }
}

#[test]
fn a_server_that_keeps_failing_is_left_alone() {
    let fake = Fake::start(|_, _| (500, String::new()));
    let settings =
        HttpEmbedderSettings { dimension: Some(3), retries: 0, ..fake.settings(EmbeddingProtocol::OpenAi) };
    let embedder = HttpEmbedder::new(settings).expect("nothing was asked yet");
    let errors: Vec<String> =
        (0..7).map(|_| embedder.embed_query("问").expect_err("it fails").to_string()).collect();
    assert_eq!(fake.requests().len(), 5);
    assert!(errors[6].contains("left alone"), "{}", errors[6]);
}

#[test]
fn settings_that_cannot_be_right_are_told() {
    let fake = Fake::start(|_, _| (500, String::new()));
    for address in ["", "embed.example.com", "ftp://embed.example.com"] {
        let address = address.to_owned();
        let made =
            HttpEmbedder::new(HttpEmbedderSettings { address, ..fake.settings(EmbeddingProtocol::Tei) });
        assert!(matches!(made.err(), Some(SetupError::Address(_))));
    }
    let key = Some(Secret::new("sk\n1"));
    let made = HttpEmbedder::new(HttpEmbedderSettings { key, ..fake.settings(EmbeddingProtocol::Tei) });
    assert!(matches!(made.err(), Some(SetupError::Key)));
    let made =
        HttpEmbedder::new(HttpEmbedderSettings { retries: 0, ..fake.settings(EmbeddingProtocol::Tei) });
    assert!(matches!(made.err(), Some(SetupError::Client(_))), "it was asked for the dimension");
}
