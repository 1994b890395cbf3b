//! Files that somebody really made: office suites' test files, and the sample knowledge.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use flightdeck_corpus::extract;
use support::{characters, check_invariants, read};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn is_ours(name: &str) -> bool {
    [".csv", ".srt", ".vtt", ".xlsx", ".xls", ".docx", ".pptx", ".html"].iter().any(|end| name.ends_with(end))
}

#[test]
fn real_files_yield_what_they_must_contain() {
    let office = repository().join("../shared/office");
    let Ok(listing) = fs::read_to_string(office.join("must_contain.tsv")) else {
        println!("skipped: no office files beside the repository");
        return;
    };
    let mut texts = std::collections::BTreeMap::new();
    for entry in fs::read_dir(&office).expect("the folder of office files") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        if is_ours(&name) {
            let extracted = extract(&office.join(&name), None).expect("an openable file");
            texts.insert(name, extracted);
        }
    }
    let missing: Vec<&str> = listing
        .lines()
        .skip(1)
        .filter(|line| {
            line.split_once('\t').is_some_and(|(name, wanted)| {
                texts.get(name).is_some_and(|extracted| !extracted.text.contains(wanted))
            })
        })
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
    for (name, extracted) in &texts {
        assert!(!extracted.text.is_empty() || !extracted.warnings.is_empty(), "{name} is silently empty");
    }
    check_invariants(&read(&office), 320, characters);
}

#[test]
fn the_sample_knowledge_is_read_without_errors_of_the_reader() {
    let knowledge = repository().join("knowledge");
    if !knowledge.is_dir() {
        println!("skipped: no knowledge folder in the repository");
        return;
    }
    let corpus = read(&knowledge);
    check_invariants(&corpus, 320, characters);
    let crashed: BTreeSet<&str> = corpus
        .problems
        .iter()
        .filter(|problem| problem.code == "crashed")
        .map(|problem| problem.path.as_str())
        .collect();
    assert!(crashed.is_empty(), "{crashed:?}");
    assert!(!corpus.documents.is_empty());
}
