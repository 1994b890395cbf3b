//! One immutable generation on disk: how it is written, and how it is opened and believed.
//!
//! `DATA/index/gen-000007/` holds the documents and chunks as JSON lines, the vector rows, the lexical segments and,
//! for large sets, the graph. What a change leaves as it was is taken over from the generation before: vectors are
//! copied, the files of the first lexical segment are the same files under a second name. `manifest.json` is written
//! last and names every other file with its length and SHA-256; a folder without a manifest that fits is not a
//! generation. `DATA/index/CURRENT` names the one in use and is replaced by rename, so a crash at any moment leaves
//! either the old or the new one.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flightdeck_corpus::{Chunk, Corpus, Document, SourceFile};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::analysis::Analyzer;
use crate::cache::keys_from;
use crate::dense::{self, Dense, StoredVectors, Vectors};
use crate::index::{Contents, Index, Summary};
use crate::lexical::{self, Lexical, Plan};
use crate::rows::Rows;
use crate::windows::Windows;
use crate::{RetrievalError, Settings};

/// Raised whenever files of an older program must not be read: analysis, fields or layout changed.
///
/// 3: vectors as bytes and numbers of 16 bits instead of `f32`. 4: rows say of which text they are, and the lexical
/// side may have a second segment.
const FORMAT: u32 = 4;
const MANIFEST: &str = "manifest.json";
const DOCUMENTS: &str = "documents.jsonl";
const CHUNKS: &str = "chunks.jsonl";
const SYNONYMS: &str = "synonyms.json";
const ROWS: &str = "rows.u32";
const KEYS: &str = "rows.keys";
const WINDOWS: &str = "windows.i8";

/// What a generation is made of and from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub format: u32,
    pub model: String,
    pub dimension: usize,
    pub documents: usize,
    pub chunks: usize,
    pub settings: Settings,
    /// The knowledge files as they were: equal files need no new generation.
    pub sources: Vec<SourceFile>,
    /// Problems of the folder, so that an update with nothing to do can still report them.
    pub problems: Vec<flightdeck_corpus::Problem>,
    files: BTreeMap<String, FileSeal>,
}

/// What every manifest of any format says.
#[derive(Deserialize)]
struct Written {
    format: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct FileSeal {
    bytes: u64,
    sha256: String,
}

/// The generation before, from which the next takes over what has not changed.
pub(crate) struct Previous {
    pub dir: PathBuf,
    pub index: Arc<Index>,
    pub manifest: Arc<Manifest>,
}

/// Writes `corpus` with its vectors as the generation `dir`, which must not exist yet, and opens it.
pub(crate) fn make(
    dir: &Path,
    corpus: &Corpus,
    vectors: Vectors,
    settings: Settings,
    embedder: Arc<dyn flightdeck_models::Embedder>,
    previous: Option<&Previous>,
) -> Result<(Index, Manifest), RetrievalError> {
    std::fs::create_dir_all(dir).map_err(RetrievalError::io("create", dir))?;
    let mut files = BTreeMap::new();
    let mut write = |name: &str, bytes: &[u8]| {
        files.insert(name.to_owned(), FileSeal::of(bytes));
        write_file(&dir.join(name), bytes)
    };
    write(DOCUMENTS, &lines(&corpus.documents))?;
    write(CHUNKS, &lines(&corpus.chunks))?;
    write(SYNONYMS, &serde_json::to_vec(&corpus.synonyms).expect("lists of words are JSON"))?;
    for (name, bytes) in vectors.rows.files() {
        write(name, bytes)?;
    }
    write(KEYS, vectors.keys.as_flattened())?;
    let bytes: Vec<u8> = vectors.row_of_chunk.iter().flat_map(|row| row.to_le_bytes()).collect();
    write(ROWS, &bytes)?;
    write(WINDOWS, &vectors.windows.to_bytes())?;

    let analyzer =
        analyzer_of(&corpus.documents, &corpus.synonyms, previous.map(|previous| previous.index.analyzer()));
    let by_id: HashMap<&str, &Document> = corpus.documents.iter().map(|d| (&*d.id.0, d)).collect();
    let chunks: Vec<(&Chunk, &Document)> =
        corpus.chunks.iter().map(|chunk| (chunk, by_id[&*chunk.document.0])).collect();
    let plan = match previous {
        Some(previous) => lexical::plan(previous.index.lexical(), &analyzer, &chunks),
        None => Plan::Whole,
    };
    if let Some(previous) = previous {
        for (name, sealed) in
            previous.manifest.files.iter().filter(|(name, _)| lexical::is_taken_over(&plan, name))
        {
            take_over(&previous.dir.join(name), &dir.join(name))?;
            files.insert(name.clone(), sealed.clone());
        }
    }
    lexical::write(dir, &analyzer, &chunks, &plan).map_err(RetrievalError::FullText)?;
    let dense_before = previous.map(|previous| previous.index.dense());
    dense::write_graph(dir, vectors.dimension, &vectors.keys, settings.vectors, dense_before)?;
    for path in files_below(dir)? {
        if let Entry::Vacant(entry) = files.entry(relative_name(dir, &path)) {
            entry.insert(seal(&path)?);
        }
    }
    let manifest = Manifest {
        format: FORMAT,
        model: embedder.id().to_owned(),
        dimension: vectors.dimension,
        documents: corpus.documents.len(),
        chunks: corpus.chunks.len(),
        settings,
        sources: corpus.sources.clone(),
        problems: corpus.problems.clone(),
        files,
    };
    let bytes = serde_json::to_vec_pretty(&manifest).expect("a manifest is JSON");
    write_file(&dir.join(MANIFEST), &bytes)?;

    let rows = Rows::open(dir, vectors.dimension)
        .map_err(|reason| RetrievalError::Damaged { path: dir.to_owned(), reason })?;
    let Vectors { keys, row_of_chunk, windows, .. } = vectors;
    let parts = Parts {
        documents: corpus.documents.clone(),
        chunks: corpus.chunks.clone(),
        synonyms: &corpus.synonyms,
        vectors: StoredVectors { rows, keys, row_of_chunk, windows },
        analyzer,
    };
    let index = assemble(dir, &manifest, parts, embedder)?;
    Ok((index, manifest))
}

/// The file under a second name, or a copy where the disk knows no second names.
fn take_over(from: &Path, to: &Path) -> Result<(), RetrievalError> {
    let folder = to.parent().unwrap_or(to);
    std::fs::create_dir_all(folder).map_err(RetrievalError::io("create", folder))?;
    if std::fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    std::fs::copy(from, to).map(|_| ()).map_err(RetrievalError::io("copy", from))
}

/// Reads only the manifest.
pub(crate) fn manifest(dir: &Path) -> Result<Manifest, RetrievalError> {
    let path = dir.join(MANIFEST);
    let bytes = std::fs::read(&path).map_err(RetrievalError::io("read", &path))?;
    let damaged =
        |error: serde_json::Error| RetrievalError::Damaged { path: path.clone(), reason: error.to_string() };
    // The format first: what else a manifest of another format holds is unknown.
    let Written { format } = serde_json::from_slice(&bytes).map_err(damaged)?;
    if format != FORMAT {
        let reason = format!("written in format {format}, this program reads {FORMAT}");
        return Err(RetrievalError::Damaged { path, reason });
    }
    serde_json::from_slice(&bytes).map_err(damaged)
}

/// Opens a generation after checking every file against its seal.
pub(crate) fn open(
    dir: &Path,
    embedder: Arc<dyn flightdeck_models::Embedder>,
) -> Result<(Index, Manifest), RetrievalError> {
    let manifest = manifest(dir)?;
    let damaged = |name: &str, reason: String| RetrievalError::Damaged { path: dir.join(name), reason };
    for (name, expected) in &manifest.files {
        if seal(&dir.join(name))? != *expected {
            return Err(damaged(name, "its content is not what was written".to_owned()));
        }
    }
    if manifest.model != embedder.id() {
        return Err(damaged(MANIFEST, format!("made with the model {}", manifest.model)));
    }
    let documents: Vec<Document> = read_lines(&dir.join(DOCUMENTS))?;
    let chunks: Vec<Chunk> = read_lines(&dir.join(CHUNKS))?;
    let read = |name: &str| {
        let path = dir.join(name);
        std::fs::read(&path).map_err(RetrievalError::io("read", &path))
    };
    let synonyms: Vec<Vec<String>> =
        serde_json::from_slice(&read(SYNONYMS)?).map_err(|e| damaged(SYNONYMS, e.to_string()))?;
    let misfit = |reason| RetrievalError::Damaged { path: dir.to_owned(), reason };
    let rows = Rows::open(dir, manifest.dimension).map_err(misfit)?;
    let keys = keys_from(&read(KEYS)?);
    if keys.len() != rows.len() {
        return Err(damaged(KEYS, "it does not name a text for every row".to_owned()));
    }
    let row_of_chunk = lexical::numbers(&read(ROWS)?);
    if row_of_chunk.len() != chunks.len() {
        return Err(damaged(ROWS, "it does not name a row for every chunk".to_owned()));
    }
    let windows = Windows::from_bytes(&read(WINDOWS)?, manifest.dimension)
        .map_err(|misfit| damaged(WINDOWS, misfit.to_string()))?;
    let vectors = StoredVectors { rows, keys, row_of_chunk, windows };
    let analyzer = analyzer_of(&documents, &synonyms, None);
    let index = assemble(
        dir,
        &manifest,
        Parts { documents, chunks, synonyms: &synonyms, vectors, analyzer },
        embedder,
    )?;
    Ok((index, manifest))
}

/// What of a generation is in memory before the rest is opened.
struct Parts<'a> {
    documents: Vec<Document>,
    chunks: Vec<Chunk>,
    synonyms: &'a [Vec<String>],
    vectors: StoredVectors,
    analyzer: Arc<Analyzer>,
}

fn assemble(
    dir: &Path,
    manifest: &Manifest,
    parts: Parts<'_>,
    embedder: Arc<dyn flightdeck_models::Embedder>,
) -> Result<Index, RetrievalError> {
    let Parts { documents, chunks, synonyms, vectors, analyzer } = parts;
    let misfit = |reason| RetrievalError::Damaged { path: dir.to_owned(), reason };
    let dense = Dense::open(dir, vectors, manifest.settings.vectors).map_err(misfit)?;
    let lexical = Lexical::open(dir, chunks.len(), &analyzer, synonyms).map_err(RetrievalError::FullText)?;
    let generation = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let summary = Summary {
        generation,
        documents: documents.len(),
        chunks: chunks.len(),
        model: manifest.model.clone(),
    };
    let contents = Contents { documents, chunks, summary };
    Index::new(contents, analyzer, lexical, dense, embedder, manifest.settings)
        .map_err(|reason| RetrievalError::Damaged { path: dir.join(CHUNKS), reason })
}

/// The analyzer whose dictionary holds what this knowledge calls its things; `known` where it is that one.
fn analyzer_of(
    documents: &[Document],
    synonyms: &[Vec<String>],
    known: Option<&Arc<Analyzer>>,
) -> Arc<Analyzer> {
    let own = documents.iter().flat_map(|document| {
        let profile = &document.profile;
        document.keywords.iter().chain(&document.tags).chain(&profile.product).chain(&profile.scenario)
    });
    Analyzer::with(own.chain(synonyms.iter().flatten()).map(String::as_str), known)
}

fn lines<T: Serialize>(values: &[T]) -> Vec<u8> {
    let mut lines = Vec::new();
    for value in values {
        serde_json::to_writer(&mut lines, value).expect("documents and chunks are JSON");
        lines.push(b'\n');
    }
    lines
}

fn read_lines<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Vec<T>, RetrievalError> {
    let file = File::open(path).map_err(RetrievalError::io("read", path))?;
    let mut values = Vec::new();
    for line in BufReader::new(file).lines() {
        let line = line.map_err(RetrievalError::io("read", path))?;
        let value = serde_json::from_str(&line)
            .map_err(|e| RetrievalError::Damaged { path: path.to_owned(), reason: e.to_string() })?;
        values.push(value);
    }
    Ok(values)
}

/// Writes a file and waits until it is on disk.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), RetrievalError> {
    let write = || -> std::io::Result<()> {
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(RetrievalError::io("write", path))
}

impl FileSeal {
    fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len() as u64, sha256: hex(&Sha256::digest(bytes)) }
    }
}

fn seal(path: &Path) -> Result<FileSeal, RetrievalError> {
    let mut file = File::open(path).map_err(RetrievalError::io("read", path))?;
    let mut hasher = Sha256::new();
    let bytes = std::io::copy(&mut file, &mut hasher).map_err(RetrievalError::io("read", path))?;
    Ok(FileSeal { bytes, sha256: hex(&hasher.finalize()) })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// All files of a generation but the manifest; lock files of the full-text engine hold nothing.
fn files_below(dir: &Path) -> Result<Vec<PathBuf>, RetrievalError> {
    let mut files = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).map_err(RetrievalError::io("read", &folder))?;
        for entry in entries {
            let path = entry.map_err(RetrievalError::io("read", &folder))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_none_or(|extension| extension != "lock") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn relative_name(dir: &Path, path: &Path) -> String {
    let relative = path.strip_prefix(dir).unwrap_or(path);
    relative.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}
