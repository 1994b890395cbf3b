//! A language model behind a bad network: a real server that speaks `OpenAI`'s protocol (another of this program's own),
//! and a proxy before it that does what networks and busy servers do. Each question ends in an answer of which all the
//! contract's promises hold, and none hangs.
//!
//! `FLIGHTDECK_TEST_UPSTREAM=127.0.0.1:8081` puts the proxy before another server that speaks the protocol, such as one
//! with a model of a gigabyte: `docs/language-models.md` has the commands.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::promises::check_reply;
use crate::support::{Server, own_sample_data, sample_knowledge, wait_for};

const QUESTION: &str = "LB-300S 一分钟最多能贴多少瓶？";

/// Bytes of a reply within which a model has begun to speak.
const CUT_AMONG_WORDS: usize = 400;

/// What the proxy does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Passes it on, and the reply back.
    None,
    /// Passes on so many bytes of the reply and breaks off.
    CutAfter(usize),
    /// Passes on the reply so much later.
    Late(Duration),
    /// Answers with this status itself.
    Status(u16),
    /// Passes on the reply's head and then what is no event.
    Malformed,
    /// Takes the request and never answers.
    Silent,
    /// Takes no request.
    Closed,
}

struct Proxy {
    address: String,
    fault: Arc<Mutex<Fault>>,
    n_taken: Arc<Mutex<usize>>,
}

impl Proxy {
    fn before(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = format!("http://{}/v1", listener.local_addr().expect("it is bound"));
        let proxy = Self { address, fault: Arc::new(Mutex::new(Fault::None)), n_taken: Arc::default() };
        let (fault, n_taken, upstream) = (proxy.fault.clone(), proxy.n_taken.clone(), upstream.to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                *n_taken.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                let fault = *fault.lock().unwrap_or_else(PoisonError::into_inner);
                let upstream = upstream.clone();
                // Whichever side has gone: the other sees its connection end.
                std::thread::spawn(move || pass_on(&stream, &upstream, fault).ok());
            }
        });
        proxy
    }

    fn does(&self, fault: Fault) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    fn n_taken(&self) -> usize {
        *self.n_taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pass_on(mut client: &TcpStream, upstream: &str, fault: Fault) -> std::io::Result<()> {
    if fault == Fault::Closed {
        return client.shutdown(Shutdown::Both);
    }
    let (head, body) = read_request(client)?;
    if let Fault::Status(status) = fault {
        let reply = format!(
            "HTTP/1.1 {status} Said By The Proxy\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{{}}"
        );
        return client.write_all(reply.as_bytes());
    }
    if fault == Fault::Silent {
        // Until the client has gone.
        return client.read(&mut [0]).map(drop);
    }
    let mut server = TcpStream::connect(upstream)?;
    let head: Vec<&str> = head
        .lines()
        .filter(|line| {
            !line.to_lowercase().starts_with("connection:") && !line.to_lowercase().starts_with("host:")
        })
        .collect();
    let head = format!("{}\r\nhost: {upstream}\r\nconnection: close\r\n\r\n", head.join("\r\n"));
    server.write_all(head.as_bytes())?;
    server.write_all(&body)?;
    match fault {
        Fault::Malformed => {
            client.write_all(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n",
            )?;
            return client.write_all("data: {\"choices\":[{\"delta\":\n\ndata: \u{FFFD}{{{\n\n".as_bytes());
        }
        Fault::Late(by) => std::thread::sleep(by),
        _ => {}
    }
    let mut server = BufReader::new(server);
    loop {
        let mut line = String::new();
        if server.read_line(&mut line)? == 0 {
            return Ok(());
        }
        client.write_all(line.as_bytes())?;
        if line == "\r\n" {
            break;
        }
    }
    // As it comes: a model's words take their time.
    if let Fault::CutAfter(n) = fault {
        return std::io::copy(&mut server.take(n as u64), &mut client).map(drop);
    }
    std::io::copy(&mut server, &mut client).map(drop)
}

/// The server that stands in for a model, and where it listens; none where the environment names another.
fn upstream(data: &Path) -> (Option<Server>, String) {
    if let Ok(address) = std::env::var("FLIGHTDECK_TEST_UPSTREAM") {
        return (None, address);
    }
    let server = Server::start(&sample_knowledge(), data);
    let address = server.authority().to_owned();
    (Some(server), address)
}

fn read_request(stream: &TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        if let Some((_, value)) = line.to_lowercase().split_once("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        head += &line;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((head.trim_end().to_owned(), body))
}

#[test]
fn a_bad_network_before_a_real_model_ends_in_an_answer() {
    let (far, near) = (own_sample_data(), own_sample_data());
    let (_model, address) = upstream(far.path());
    let proxy = Proxy::before(&address);
    let variables = [
        ("FLIGHTDECK_GENERATOR_ADDRESS", proxy.address.as_str()),
        ("FLIGHTDECK_GENERATOR_MODEL", "flightdeck-internal"),
        ("FLIGHTDECK_GENERATOR_FIRST_TEXT_SECONDS", "100"),
        ("FLIGHTDECK_GENERATOR_TOTAL_SECONDS", "110"),
        ("FLIGHTDECK_GENERATOR_RETRIES", "1"),
    ];
    let server = Server::start_with(&sample_knowledge(), near.path(), &variables);
    let ask = || -> Value {
        let reply = server.chat(QUESTION, "internal");
        check_reply(&server, &reply, "internal").unwrap_or_else(|wrong| panic!("{wrong}\n{reply:#}"));
        assert_eq!(reply["refused"], false, "{reply:#}");
        assert!(reply["answer"].as_str().expect("it is text").contains("300"), "{reply:#}");
        reply
    };
    let faults = [
        Fault::Status(429),
        Fault::Status(500),
        Fault::Malformed,
        Fault::CutAfter(40),
        Fault::CutAfter(CUT_AMONG_WORDS),
        Fault::Closed,
        Fault::Status(503),
    ];
    for fault in faults {
        // What the real server says is read in between, or it would be left alone for a while.
        proxy.does(Fault::None);
        let before = proxy.n_taken();
        let fallback = &ask()["generation"]["fallback"];
        assert_ne!(fallback, "failed", "the real server is understood");
        assert!(proxy.n_taken() > before);
        proxy.does(fault);
        let reply = ask();
        let (reason, generator) = (&reply["generation"]["fallback"], &reply["generator"]);
        if fault == Fault::CutAfter(CUT_AMONG_WORDS) && reason == "interrupted" {
            // As far as this the first verified sentence may have come; then it stays, and its author's name with it.
            assert_ne!(generator, "extractive", "{reply:#}");
            continue;
        }
        assert_eq!((reason, generator), (&"failed".into(), &"extractive".into()), "{fault:?}: {reply:#}");
    }
    proxy.does(Fault::None);
    ask();
    // A reader who is streamed to is told the end of it too.
    proxy.does(Fault::Status(500));
    let request = json!({"message": QUESTION, "audience": "internal", "stream": true});
    let streamed = server.post("/api/v1/chat", &request).text().expect("it ends");
    assert!(streamed.contains("event: done"), "{streamed}");
}

#[test]
fn a_network_that_swallows_requests_ends_in_an_answer() {
    let (far, near) = (own_sample_data(), own_sample_data());
    let (_model, address) = upstream(far.path());
    let proxy = Proxy::before(&address);
    let variables = [
        ("FLIGHTDECK_GENERATOR_ADDRESS", proxy.address.as_str()),
        ("FLIGHTDECK_GENERATOR_MODEL", "flightdeck-internal"),
        ("FLIGHTDECK_GENERATOR_FIRST_TEXT_SECONDS", "0.3"),
        ("FLIGHTDECK_GENERATOR_TOTAL_SECONDS", "0.6"),
        ("FLIGHTDECK_GENERATOR_RETRIES", "0"),
    ];
    let server = Server::start_with(&sample_knowledge(), near.path(), &variables);
    for fault in [Fault::Silent, Fault::Late(Duration::from_secs(2))] {
        proxy.does(fault);
        let reply = server.chat(QUESTION, "internal");
        assert_eq!(
            (&reply["generation"]["fallback"], &reply["generator"]),
            (&"slow".into(), &"extractive".into()),
            "{fault:?}"
        );
        assert!(reply["answer"].as_str().expect("it is text").contains("300"), "{reply:#}");
    }
    wait_for("the request to have been taken", || (proxy.n_taken() > 0).then_some(()));
}
