//! The tiny models under `data/`, as folders with a manifest.
#![allow(dead_code, reason = "each test uses a part")]

use std::path::{Path, PathBuf};

use flightdeck_models::{Architecture, FileEntry, MANIFEST_FILE, Manifest, Pooling, Purpose, Source};
use sha2::{Digest, Sha256};

pub const FILES: [&str; 3] = ["config.json", "tokenizer.json", "model.safetensors"];

/// What the reference gives for a text.
#[derive(serde::Deserialize)]
pub struct Case {
    pub text: String,
    pub ids: Vec<u32>,
    pub vector: Vec<f32>,
}

/// What the reference gives for a question and a passage.
#[derive(serde::Deserialize)]
pub struct Pair {
    pub question: String,
    pub passage: String,
    pub ids: Vec<u32>,
    pub second_from: usize,
    pub score: f32,
}

pub fn data(family: Architecture) -> PathBuf {
    data_of(family, Purpose::Embed)
}

pub fn data_of(family: Architecture, purpose: Purpose) -> PathBuf {
    let name = match (family, purpose) {
        (Architecture::Bert, Purpose::Embed) => "tiny-bert",
        (Architecture::XlmRoberta, Purpose::Embed) => "tiny-xlm-roberta",
        (Architecture::Bert, Purpose::Rerank) => "tiny-bert-reranker",
        (Architecture::XlmRoberta, Purpose::Rerank) => "tiny-xlm-roberta-reranker",
        (Architecture::Gte, _) => "tiny-gte",
        (Architecture::Qwen3, _) => "tiny-qwen3",
    };
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

pub fn golden_pairs(family: Architecture) -> Vec<Pair> {
    let text = std::fs::read(data_of(family, Purpose::Rerank).join("golden.json"));
    serde_json::from_slice(&text.expect("the reference is there")).expect("it is a list of pairs")
}

/// A copy of a tiny reranker with a manifest.
pub fn reranker(family: Architecture) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    for name in FILES {
        std::fs::copy(data_of(family, Purpose::Rerank).join(name), folder.path().join(name))
            .expect("it is copied");
    }
    describe_as(folder.path(), family, Pooling::Cls, Purpose::Rerank);
    folder
}

pub fn golden(family: Architecture) -> Vec<Case> {
    let text = std::fs::read(data(family).join("golden.json")).expect("the reference is there");
    serde_json::from_slice(&text).expect("it is a list of cases")
}

pub fn sha256(content: &[u8]) -> String {
    format!("{:x}", Sha256::digest(content))
}

/// A copy of a tiny model with a manifest.
pub fn model(family: Architecture, pooling: Pooling) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    for name in FILES {
        std::fs::copy(data(family).join(name), folder.path().join(name)).expect("it is copied");
    }
    describe(folder.path(), family, pooling);
    folder
}

/// Writes the manifest of the files in `folder`.
pub fn describe(folder: &Path, family: Architecture, pooling: Pooling) {
    describe_as(folder, family, pooling, Purpose::Embed);
}

/// As [`describe`], for a model of this purpose.
pub fn describe_as(folder: &Path, family: Architecture, pooling: Pooling, purpose: Purpose) {
    let file = FILES
        .map(|name| {
            let content = std::fs::read(folder.join(name)).expect("it is there");
            FileEntry { name: name.to_owned(), size: content.len() as u64, sha256: sha256(&content) }
        })
        .to_vec();
    let manifest = Manifest {
        name: "tiny".to_owned(),
        purpose,
        architecture: family,
        dimension: 64,
        max_tokens: 40,
        pooling,
        query_prefix: String::new(),
        passage_prefix: String::new(),
        licence: "Apache-2.0".to_owned(),
        weights: "model.safetensors".to_owned(),
        tokenizer: "tokenizer.json".to_owned(),
        source: Source {
            model: "tiny".to_owned(),
            package: "tests/data".to_owned(),
            file: "model.safetensors".to_owned(),
            sha256: String::new(),
            made_with: "tests/reference/tiny.py".to_owned(),
            notes: String::new(),
        },
        file,
    };
    let text = toml::to_string(&manifest).expect("a manifest is TOML");
    std::fs::write(folder.join(MANIFEST_FILE), text).expect("it is written");
}
