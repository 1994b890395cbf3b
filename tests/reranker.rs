//! A cross-encoder named in the settings: a tiny network with random weights, whose scores nobody would want and
//! everybody can see.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Ran, Server, flightdeck, folder, hit_documents, repository, run_on, write};

const QUESTIONS: [&str; 4] = ["换线时间是多少分钟", "价格", "pump price 100", "泵的换线时间"];

/// Writes the folder of a reranker.
fn reranker(into: &Path) {
    let data = repository().join("crates/models/tests/data/tiny-xlm-roberta-reranker");
    let mut manifest = "name = \"tiny\"\npurpose = \"rerank\"\narchitecture = \"xlm-roberta\"\ndimension = 64\n\
        max_tokens = 40\npooling = \"cls\"\nquery_prefix = \"\"\npassage_prefix = \"\"\nlicence = \"Apache-2.0\"\n\
        weights = \"model.safetensors\"\ntokenizer = \"tokenizer.json\"\n\n[source]\nmodel = \"tiny\"\n\
        package = \"tests/data\"\nfile = \"model.safetensors\"\nsha256 = \"\"\nmade_with = \"tiny.py\"\nnotes = \"\"\n"
        .to_owned();
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        let content = fs::read(data.join(name)).expect("the tiny model is there");
        let sum = Sha256::digest(&content);
        manifest +=
            &format!("\n[[file]]\nname = \"{name}\"\nsize = {}\nsha256 = \"{sum:x}\"\n", content.len());
        write(into, name, content);
    }
    write(into, "manifest.toml", manifest);
}

/// One passage a document, so that nothing but the model decides.
fn knowledge() -> tempfile::TempDir {
    let knowledge = folder();
    for (name, audience, text) in [
        ("a", "customer", "换线时间由四十五分钟缩短至八分钟。"),
        ("b", "customer", "pump 的价格是 100。"),
        ("c", "customer", "泵的换线时间不变。"),
        ("d", "customer", "the pump, the price, 换线时间"),
        ("e", "internal", "换线时间 价格 泵 pump price 100，底价-CANARY"),
        ("f", "customer", "价格由四十五缩短至八。"),
    ] {
        let page = format!(
            "---\nid: {name}\ntitle: 资料 {name}\naudience: {audience}\n---\n# 资料 {name}\n\n{text}\n"
        );
        write(knowledge.path(), &format!("products/{name}.md"), page);
    }
    knowledge
}

fn search(knowledge: &Path, data: &Path, model: Option<&Path>, question: &str, more: &[&str]) -> Value {
    let mut command = flightdeck();
    if let Some(model) = model {
        command.env("FLIGHTDECK_RERANKER", model);
    }
    let output = command
        .args(["search", question, "--json"])
        .args(more)
        .arg("--knowledge")
        .arg(knowledge)
        .arg("--data")
        .arg(data)
        .output()
        .expect("the program can be started");
    Ran::from(output).expect_status(0).json()
}

fn logits(reply: &Value) -> Vec<f64> {
    let hits = reply["hits"].as_array().expect("a list");
    hits.iter().map(|hit| hit["scores"]["rerank"].as_f64().expect("all were read")).collect()
}

#[test]
fn the_order_is_the_models_and_what_is_found_is_not() {
    let (knowledge, data, model) = (knowledge(), folder(), folder());
    reranker(model.path());
    run_on(knowledge.path(), data.path(), &["index", "--json"]).expect_status(0);
    let mut n_moved = 0;
    for question in QUESTIONS {
        for audience in ["customer", "internal"] {
            let asked = ["--audience", audience];
            let plain = search(knowledge.path(), data.path(), None, question, &asked);
            let read = search(knowledge.path(), data.path(), Some(model.path()), question, &asked);
            let (mut before, mut after) = (hit_documents(&plain), hit_documents(&read));
            let logits = logits(&read);
            assert!(logits.is_sorted_by(|a, b| a >= b), "{question}: {logits:?}");
            assert!(
                plain["hits"][0]["scores"].get("rerank").is_none(),
                "nothing is new where nothing is set"
            );
            n_moved += usize::from(before != after);
            before.sort_unstable();
            after.sort_unstable();
            assert_eq!(before, after, "{question}");
            assert_eq!(audience == "internal", after.contains(&"e"), "{question}");
            let again = search(knowledge.path(), data.path(), Some(model.path()), question, &asked);
            assert_eq!(read["hits"], again["hits"]);
        }
    }
    assert!(n_moved >= 2, "a network that knows nothing agrees with the fusion by accident only");

    let explained = search(knowledge.path(), data.path(), Some(model.path()), QUESTIONS[0], &["--explain"]);
    let passages = explained["explain"]["passages"].as_array().expect("a list");
    for (passage, logit) in passages.iter().zip(logits(&explained)) {
        assert_eq!(passage["rerank"].as_f64(), Some(logit));
        assert_eq!(passage["changes"][0]["because"], "rerank");
    }
}

#[test]
fn a_server_answers_and_shows_customers_nothing_internal() {
    let (knowledge, data, model) = (knowledge(), folder(), folder());
    reranker(model.path());
    let folder = model.path().to_string_lossy().into_owned();
    let variables = [("FLIGHTDECK_RERANKER", folder.as_str()), ("FLIGHTDECK_RERANKER_PASSAGES", "3")];
    let server = Server::start_with(knowledge.path(), data.path(), &variables);
    for question in QUESTIONS {
        let body = json!({"query": question, "audience": "customer", "top_k": 10});
        let reply = server.ask("/api/v1/search", &body);
        let hits = reply["hits"].as_array().expect("a list");
        let read: Vec<bool> = hits.iter().map(|hit| hit["scores"].get("rerank").is_some()).collect();
        assert_eq!(read, [true, true, true, false, false], "the first three are read: {reply}");
        assert!(!reply.to_string().contains("CANARY"));
        assert!(!server.chat(question, "customer").to_string().contains("CANARY"));
    }
}

#[test]
fn a_model_that_is_none_is_named_at_the_start() {
    let (knowledge, data) = (knowledge(), folder());
    let embedder = repository().join("models/multilingual-e5-small");
    let damaged = folder();
    reranker(damaged.path());
    write(damaged.path(), "model.safetensors", "nothing");
    let nowhere = data.path().join("nowhere");
    for (model, words) in [
        (nowhere.as_path(), "not found"),
        (embedder.as_path(), "purpose"),
        (damaged.path(), "model.safetensors"),
    ] {
        for command in [&["search", "换线"][..], &["serve", "--listen", "127.0.0.1:0"]] {
            let output = flightdeck()
                .env("FLIGHTDECK_RERANKER", model)
                .args(command)
                .arg("--knowledge")
                .arg(knowledge.path())
                .arg("--data")
                .arg(data.path())
                .output()
                .expect("the program can be started");
            Ran::from(output).expect_one_line(&["`reranker` cannot be used", words, "models pull"]);
        }
    }
}
