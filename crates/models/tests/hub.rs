//! `pull` against a hub that does everything wrong that hubs and networks do.

mod tiny;

use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flightdeck_models::{
    Architecture, CatalogModel, Embedder, HubSettings, Kernel, LoadOptions, Pooling, PullError, Purpose,
    Reranker, Trust, load_reranker, load_with, pull,
};

const WEIGHTS: &str = "model.safetensors";

/// An answer; the connection is closed after it, whatever its head promised.
struct Reply {
    head: String,
    body: Vec<u8>,
}

fn status(line: &str, headers: &str) -> Reply {
    Reply {
        head: format!("HTTP/1.1 {line}\r\nconnection: close\r\ncontent-length: 0\r\n{headers}\r\n"),
        body: Vec::new(),
    }
}

/// The whole content, or from `Range` on if the client's `If-Range` is `tag`; at most `most` bytes of it.
fn content(request: &str, content: &[u8], tag: &str, most: usize) -> Reply {
    let header = |name: &str| {
        request.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let from = header("range")
        .filter(|_| header("if-range").is_some_and(|found| found == tag))
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let rest = &content[from.unwrap_or(0)..];
    let (line, range) = match from {
        Some(from) => {
            let (last, all) = (content.len() - 1, content.len());
            ("206 Partial Content", format!("content-range: bytes {from}-{last}/{all}\r\n"))
        }
        None => ("200 OK", String::new()),
    };
    let head = format!(
        "HTTP/1.1 {line}\r\nconnection: close\r\netag: {tag}\r\ncontent-length: {}\r\n{range}\r\n",
        rest.len()
    );
    Reply { head, body: rest[..rest.len().min(most)].to_vec() }
}

/// A hub; `answer` gets the request and how many there were for this file before.
struct Hub {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    fn start(answer: impl Fn(&str, &str, usize) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = format!("http://{}", listener.local_addr().expect("it is bound"));
        let requests = Arc::new(Mutex::new(Vec::<String>::new()));
        let seen = requests.clone();
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
                while !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
                    match stream.read(&mut buffer) {
                        Ok(0) | Err(_) => break,
                        Ok(n) => bytes.extend_from_slice(&buffer[..n]),
                    }
                }
                let request = String::from_utf8_lossy(&bytes).into_owned();
                let path = request.split_whitespace().nth(1).unwrap_or_default().to_owned();
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                let before =
                    seen.iter().filter(|r| r.split_whitespace().nth(1) == Some(path.as_str())).count();
                seen.push(request.clone());
                drop(seen);
                let file = path.rsplit('/').next().unwrap_or_default();
                let Reply { head, body } = answer(&request, file, before);
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
            }
        });
        Self { address, requests }
    }

    fn requests_for(&self, file: &str) -> Vec<String> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests
            .iter()
            .filter(|r| r.lines().next().is_some_and(|line| line.contains(file)))
            .cloned()
            .collect()
    }

    fn settings(&self) -> HubSettings {
        HubSettings {
            address: self.address.clone(),
            // The hub's own address is the only private one that is named.
            may_ask: Arc::new(|host: &str, address: IpAddr| host == "127.0.0.1" && address.is_loopback()),
            patience: Duration::from_secs(10),
        }
    }
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(tiny::data(Architecture::Bert).join(name)).expect("the tiny model is there")
}

fn entry() -> CatalogModel {
    CatalogModel {
        name: "tiny".to_owned(),
        repository: "someone/tiny".to_owned(),
        revision: "main".to_owned(),
        purpose: Purpose::Embed,
        architecture: Architecture::Bert,
        dimension: 64,
        max_tokens: 40,
        pooling: Pooling::Cls,
        query_prefix: String::new(),
        passage_prefix: String::new(),
        licence: "Apache-2.0".to_owned(),
        weights: WEIGHTS.to_owned(),
        sha256: std::collections::BTreeMap::new(),
    }
}

#[test]
fn what_broke_off_goes_on_where_it_stopped_and_the_model_is_the_published_one() {
    let hub = Hub::start(|request, name, before| {
        let most = if name == WEIGHTS && before < 2 { 50_000 } else { usize::MAX };
        content(request, &file(name), "\"v1\"", most)
    });
    let into = tempfile::tempdir().expect("a temporary folder");
    let pulled = pull(&entry(), into.path(), &hub.settings(), &mut |_, _, _| true).expect("it comes");
    assert_eq!(pulled.folder, into.path().join("tiny"));
    assert_eq!(pulled.manifest.licence, "Apache-2.0");
    assert!(pulled.files.iter().all(|(_, trust)| *trust == Trust::FirstUse));
    let asked = hub.requests_for(WEIGHTS);
    assert_eq!(asked.len(), 3);
    assert!(asked[0].starts_with("GET /someone/tiny/resolve/main/model.safetensors "), "{}", asked[0]);
    assert!(
        !asked[0].contains("bytes=")
            && asked[1].contains("bytes=50000-")
            && asked[2].contains("bytes=100000-")
    );
    let names = std::fs::read_dir(&pulled.folder).expect("it is listed").count();
    assert_eq!(names, 4, "the three files and the manifest, and nothing of the download");

    let options = LoadOptions { threads: 1, kernel: Kernel::Candle };
    let model = load_with(&pulled.folder, options).expect("it loads");
    let golden = &tiny::golden(Architecture::Bert)[0];
    let vector = model.embed_query(&golden.text).expect("it computes");
    assert!(vector.iter().zip(&golden.vector).map(|(a, b)| a * b).sum::<f32>() > 0.9999);

    // What is there is not fetched again.
    let again = pull(&entry(), into.path(), &hub.settings(), &mut |_, _, _| true).expect("it is there");
    assert!(again.files.is_empty() && hub.requests_for(WEIGHTS).len() == 3);
}

#[test]
fn a_pytorch_archive_and_a_reranker_are_pulled_and_compute_as_the_reference_does() {
    let options = LoadOptions { threads: 1, kernel: Kernel::Candle };
    let into = tempfile::tempdir().expect("a temporary folder");
    let hub = Hub::start(|request, name, _| content(request, &file(name), "\"v1\"", usize::MAX));
    let archive = CatalogModel { weights: "pytorch_model.bin".to_owned(), ..entry() };
    let pulled = pull(&archive, into.path(), &hub.settings(), &mut |_, _, _| true).expect("it comes");
    let model = load_with(&pulled.folder, options).expect("it loads");
    let golden = &tiny::golden(Architecture::Bert)[0];
    let vector = model.embed_query(&golden.text).expect("it computes");
    assert!(vector.iter().zip(&golden.vector).map(|(a, b)| a * b).sum::<f32>() > 0.9999);

    for family in [Architecture::Bert, Architecture::XlmRoberta] {
        let hub = Hub::start(move |request, name, _| {
            let path = tiny::data_of(family, Purpose::Rerank).join(name);
            let bytes = std::fs::read(path).expect("the tiny reranker is there");
            content(request, &bytes, "\"v1\"", usize::MAX)
        });
        let name = format!("tiny-reranker-{family:?}");
        let repository = format!("someone/{name}");
        let (purpose, architecture) = (Purpose::Rerank, family);
        let reranker = CatalogModel { name, repository, purpose, architecture, ..entry() };
        let pulled = pull(&reranker, into.path(), &hub.settings(), &mut |_, _, _| true).expect("it comes");
        let model = load_reranker(&pulled.folder, options).expect("it loads");
        let pair = &tiny::golden_pairs(family)[0];
        let score = model.score(&pair.question, &[&pair.passage], &|| true).expect("it computes")[0];
        assert!((score - pair.score).abs() < 1e-4, "{family:?}: {score} for {}", pair.score);
        // It is no embedder.
        assert!(load_with(&pulled.folder, options).is_err());
    }
}

#[test]
fn a_stopped_download_is_taken_up_by_the_next_and_anew_where_the_file_changed() {
    for second_tag in ["\"v1\"", "\"v2\""] {
        let tags = ["\"v1\"", second_tag];
        let hub = Hub::start(move |request, name, before| {
            content(request, &file(name), tags[before.min(1)], usize::MAX)
        });
        let into = tempfile::tempdir().expect("a temporary folder");
        let stop = &mut |name: &str, have: u64, _| name != WEIGHTS || have < 1_000;
        let stopped = pull(&entry(), into.path(), &hub.settings(), stop);
        assert!(matches!(stopped, Err(PullError::Cancelled)), "{stopped:?}");
        assert!(!into.path().join("tiny").exists(), "half a model is none");
        let pulled = pull(&entry(), into.path(), &hub.settings(), &mut |_, _, _| true).expect("it comes");
        let found = std::fs::read(pulled.folder.join(WEIGHTS)).expect("it is there");
        assert!(found == file(WEIGHTS), "{second_tag}");
        assert!(hub.requests_for(WEIGHTS)[1].contains("bytes="), "it asks to go on");
        assert_eq!(hub.requests_for("config.json").len(), 1, "whole files are not fetched twice");
    }
}

#[test]
fn later_downloads_must_be_what_the_first_was() {
    let hub = Hub::start(|request, name, before| {
        let mut bytes = file(name);
        if name == WEIGHTS && before == 1 {
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
        }
        content(request, &bytes, &format!("\"{before}\""), usize::MAX)
    });
    let into = tempfile::tempdir().expect("a temporary folder");
    let fetch = || pull(&entry(), into.path(), &hub.settings(), &mut |_, _, _| true);
    let pulled = fetch().expect("it comes");
    std::fs::remove_dir_all(&pulled.folder).expect("it is removed");
    match fetch() {
        Err(PullError::Changed { file, expected, by, .. }) => {
            assert_eq!((file.as_str(), by), (WEIGHTS, "models.lock"));
            assert_eq!(expected, pulled.manifest.weights_sha256());
        }
        other => panic!("{other:?}"),
    }
    assert!(!into.path().join("tiny").exists());
    let pulled = fetch().expect("the third is the first again");
    assert!(pulled.files.iter().all(|(_, trust)| *trust == Trust::Locked));
}

#[test]
fn checksums_that_the_catalog_or_the_hub_states_are_held_to() {
    let truth = tiny::sha256(&file(WEIGHTS));
    for (stated, is_right) in [(truth.clone(), true), ("0".repeat(64), false)] {
        let tag = stated.clone();
        // As hubs do it: a redirect that names what it leads to.
        let hub = Hub::start(move |request, name, _| {
            if request.contains("/cdn/") || name != WEIGHTS {
                content(request, &file(name), "\"v\"", usize::MAX)
            } else {
                status("302 Found", &format!("x-linked-etag: \"{tag}\"\r\nlocation: /cdn/{name}\r\n"))
            }
        });
        let into = tempfile::tempdir().expect("a temporary folder");
        let pulled = pull(&entry(), into.path(), &hub.settings(), &mut |_, _, _| true);
        match pulled {
            Ok(pulled) => assert!(is_right && pulled.files[2].1 == Trust::Stated),
            Err(PullError::Changed { by, found, .. }) => {
                assert!(!is_right && by == "the hub" && found == truth);
                assert!(!into.path().join(".tiny.part").join(WEIGHTS).exists(), "it was thrown away");
            }
            Err(other) => panic!("{other}"),
        }
        let into = tempfile::tempdir().expect("a temporary folder");
        let sha256 = [(WEIGHTS.to_owned(), stated)].into();
        let model = CatalogModel { sha256, ..entry() };
        let hub = Hub::start(|request, name, _| content(request, &file(name), "\"v\"", usize::MAX));
        match pull(&model, into.path(), &hub.settings(), &mut |_, _, _| true) {
            Ok(pulled) => assert!(is_right && pulled.files[2].1 == Trust::Pinned),
            Err(PullError::Changed { by, .. }) => assert!(!is_right && by == "the catalog"),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn nobody_is_led_into_a_private_network_or_round_in_circles() {
    type Case = (&'static str, fn(&PullError) -> bool);
    let cases: [Case; 6] = [
        ("http://10.0.0.7/model", |error| matches!(error, PullError::Private(host) if host == "10.0.0.7")),
        ("http://169.254.169.254/latest", |error| matches!(error, PullError::Private(_))),
        ("http://[::ffff:127.0.0.1]/x", |error| matches!(error, PullError::Private(_))),
        ("http://localhost/x", |error| matches!(error, PullError::Private(host) if host == "localhost")),
        ("/someone/tiny/resolve/main/config.json", |error| matches!(error, PullError::Redirect { .. })),
        ("file:///etc/passwd", |error| matches!(error, PullError::Redirect { .. })),
    ];
    for (location, is_expected) in cases {
        let hub = Hub::start(move |_, _, _| status("302 Found", &format!("location: {location}\r\n")));
        let into = tempfile::tempdir().expect("a temporary folder");
        let error =
            pull(&entry(), into.path(), &hub.settings(), &mut |_, _, _| true).expect_err("it is refused");
        assert!(is_expected(&error), "{location}: {error}");
    }
    for address in ["", "hub", "ftp://hub", "file:///models"] {
        let settings =
            HubSettings { address: address.to_owned(), ..Hub::start(|_, _, _| status("404", "")).settings() };
        let into = tempfile::tempdir().expect("a temporary folder");
        let error = pull(&entry(), into.path(), &settings, &mut |_, _, _| true).expect_err("it is refused");
        assert!(matches!(error, PullError::Address(_)), "{address}: {error}");
    }
}

#[test]
fn refusals_are_told_and_what_is_no_model_does_not_become_one() {
    let into = tempfile::tempdir().expect("a temporary folder");
    let hub = Hub::start(|_, _, _| status("404 Not Found", ""));
    let error =
        pull(&entry(), into.path(), &hub.settings(), &mut |_, _, _| true).expect_err("it is not there");
    assert!(matches!(error, PullError::Refused { status: 404, .. }), "{error}");

    let hub = Hub::start(|request, name, before| match (name, before) {
        (WEIGHTS, 0) => status("503 Service Unavailable", ""),
        (WEIGHTS, _) => content(request, b"<html>sign in first</html>", "\"v\"", usize::MAX),
        _ => content(request, &file(name), "\"v\"", usize::MAX),
    });
    let error =
        pull(&entry(), into.path(), &hub.settings(), &mut |_, _, _| true).expect_err("it is no model");
    assert!(matches!(error, PullError::Model(_)), "{error}");
    assert!(!into.path().join("tiny").exists() && !into.path().join("models.lock").exists());
    assert_eq!(hub.requests_for(WEIGHTS).len(), 2, "a server that said `later` is asked again");
}
