//! The crates' layers and invariants, as README has them, checked against what cargo and the sources say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::repository;

/// Each crate with the crates of the workspace that it may use.
const LAYERS: [(&str, &[&str]); 9] = [
    ("corpus", &[]),
    ("models", &[]),
    ("records", &[]),
    ("channels", &[]),
    ("retrieval", &["corpus", "models"]),
    ("assistant", &["corpus", "models", "records", "retrieval"]),
    ("eval", &["assistant", "corpus", "models", "records", "retrieval"]),
    ("server", &["assistant", "channels", "corpus", "models", "records", "retrieval"]),
    ("cli", &["assistant", "corpus", "eval", "models", "records", "retrieval", "server"]),
];

/// Foreign crates that only one crate may name.
const OWNED: [(&str, &str); 11] = [
    ("candle-core", "models"),
    ("candle-nn", "models"),
    ("candle-transformers", "models"),
    ("tokenizers", "models"),
    ("tantivy", "retrieval"),
    ("rusqlite", "records"),
    ("sqlx", "records"),
    ("axum", "server"),
    ("rmcp", "server"),
    ("clap", "cli"),
    ("tracing-subscriber", "cli"),
];

/// For each crate of the workspace what it depends on when it is built, tests left out.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(repository())
        .output()
        .expect("cargo can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("a workspace has packages");
    packages
        .iter()
        .map(|package| {
            let used = package["dependencies"].as_array().expect("a list").iter();
            let built = used.filter(|dependency| dependency["kind"].is_null());
            let names = built.map(|dependency| dependency["name"].as_str().expect("a name").to_owned());
            let name = package["name"].as_str().expect("a name");
            (name.trim_start_matches("flightdeck-").to_owned(), names.collect())
        })
        .collect()
}

#[test]
fn every_crate_uses_only_what_lies_below_it() {
    let allowed: BTreeMap<&str, &[&str]> = LAYERS.into();
    for (name, used) in dependencies() {
        let allowed =
            allowed.get(name.as_str()).unwrap_or_else(|| panic!("{name} has no layer: give it one"));
        for used in used.iter().filter_map(|used| used.strip_prefix("flightdeck-")) {
            assert!(allowed.contains(&used), "{name} uses {used}");
        }
    }
}

#[test]
fn engines_are_named_by_one_crate_only() {
    for (name, used) in dependencies() {
        for (engine, owner) in OWNED {
            assert!(name == owner || !used.contains(engine), "{name} names {engine}, which is {owner}'s");
        }
    }
}

#[test]
fn nothing_is_called_by_a_name_that_says_nothing() {
    for source in sources() {
        let stem = source.file_stem().unwrap().to_string_lossy().into_owned();
        let folder = source.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
        for name in [stem, folder] {
            let says_nothing =
                matches!(name.as_str(), "core" | "common" | "utils" | "util" | "helpers" | "misc");
            assert!(!says_nothing, "{}", source.display());
        }
    }
}

#[test]
fn only_the_command_line_reads_arguments_and_environment() {
    for source in sources() {
        let relative = source.strip_prefix(repository()).unwrap();
        if relative.starts_with("crates/cli") || !relative.components().any(|part| part.as_os_str() == "src")
        {
            continue;
        }
        let text = fs::read_to_string(&source).unwrap();
        // Tests may; they stand at the end of a file or in a file of their own.
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        if relative.ends_with("tests.rs") || relative.components().any(|part| part.as_os_str() == "tests") {
            continue;
        }
        for reads in ["env::var", "env::args", "env::vars", "env::current_dir"] {
            assert!(!code.contains(reads), "{} reads {reads}", relative.display());
        }
    }
}

fn sources() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("the sources can be read") {
            let path = entry.expect("the sources can be read").path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&repository().join("crates"), &mut found);
    assert!(found.len() > 20, "the sources were not found");
    found
}
