//! A knowledge folder made on the spot, and a token counter that is easy to reckon with.
#![allow(dead_code, reason = "every test file uses its own part")]

use std::fs;
use std::path::Path;

use flightdeck_corpus::{Corpus, Document, Reader, Settings};

/// A character is a token.
pub fn characters(text: &str) -> usize {
    text.chars().count()
}

/// A folder with these files.
pub fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a temporary folder");
    for (path, bytes) in files {
        write(root.path(), path, bytes);
    }
    root
}

pub fn write(root: &Path, path: &str, bytes: &[u8]) {
    let full = root.join(path);
    fs::create_dir_all(full.parent().expect("a parent")).expect("folders");
    fs::write(full, bytes).expect("a file");
}

/// Reads a folder with the default limits.
pub fn read(root: &Path) -> Corpus {
    Reader::new(root, Settings::default()).read(&characters).expect("a readable folder")
}

/// Reads these files.
pub fn corpus(files: &[(&str, &str)]) -> Corpus {
    let files: Vec<(&str, &[u8])> = files.iter().map(|(path, text)| (*path, text.as_bytes())).collect();
    read(folder(&files).path())
}

pub fn document<'c>(corpus: &'c Corpus, id: &str) -> &'c Document {
    let found = corpus.documents.iter().find(|document| &*document.id.0 == id);
    found.unwrap_or_else(|| {
        let ids: Vec<&str> = corpus.documents.iter().map(|document| &*document.id.0).collect();
        panic!("no document {id} among {ids:?}; {:?}", corpus.problems)
    })
}

/// The texts of a document's chunks.
pub fn chunks<'c>(corpus: &'c Corpus, id: &str) -> Vec<&'c str> {
    let document = document(corpus, id);
    corpus
        .chunks
        .iter()
        .filter(|chunk| chunk.document == document.id)
        .map(|chunk| chunk.text(document))
        .collect()
}

/// Path and code of every problem.
pub fn problems(corpus: &Corpus) -> Vec<(&str, &str)> {
    corpus.problems.iter().map(|problem| (problem.path.as_str(), problem.code.as_str())).collect()
}

/// Whether a file has lines or sheet rows to point at.
fn is_line_based(path: &str) -> bool {
    !["pdf", "docx", "doc", "wps", "pptx", "html"].iter().any(|end| path.ends_with(end))
}

/// What must hold of every corpus, whatever was read.
pub fn check_invariants(corpus: &Corpus, limit: usize, count: impl Fn(&str) -> usize) {
    let mut chunks = corpus.chunks.iter().peekable();
    for document in &corpus.documents {
        for field in &document.fields {
            if let Some(span) = &field.span {
                assert_eq!(document.text[span.clone()], field.value, "{}", document.id);
            }
        }
        let mut end = 0;
        let mut n_chunks = 0;
        while let Some(chunk) = chunks.next_if(|chunk| chunk.document == document.id) {
            n_chunks += 1;
            assert_eq!(&*chunk.id.0, format!("{}#{n_chunks}", document.id));
            assert!(chunk.span.start >= end && !chunk.span.is_empty(), "{}", chunk.id);
            assert!(document.text[end..chunk.span.start].trim().is_empty(), "a gap before {}", chunk.id);
            let tokens = count(&chunk.shown(document));
            assert!(tokens <= limit, "{} has {tokens} tokens", chunk.id);
            let location = &chunk.location;
            assert!(location.line_start <= location.line_end && location.start_ms <= location.end_ms);
            let has_lines = location.line_start.is_some() || location.start_ms.is_some();
            assert!(has_lines || !is_line_based(&document.path), "{} stands nowhere", chunk.id);
            end = chunk.span.end;
        }
        assert!(document.text[end..].trim().is_empty(), "the end of {} is in no chunk", document.id);
        assert!(n_chunks > 0, "{} has no chunk", document.id);
    }
    assert!(chunks.next().is_none(), "chunks of no document");
    let ids: std::collections::BTreeSet<_> = corpus.documents.iter().map(|document| &document.id).collect();
    assert_eq!(ids.len(), corpus.documents.len(), "ids are unique");
}
