//! The knowledge folder in the hands of those who look after it: changed, remembered, and looked through.
//!
//! Every state of every file is kept, whoever made it: what is changed here is noted with the key that did it, what is
//! found changed in the folder after an update is noted as found. One lock lies round both, so that a change made here
//! is never also found.
//!
//! What a careful editor would find is looked for in the background, once for each generation of the index, because a
//! thousand questions take longer than somebody waits for a page.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flightdeck_corpus::{
    Corpus, Document, Expected, FindingSettings, Problem, Reader, Settings, Shelf, ShelfError, Shelved,
    SourceFile, Statement, Status, Worker, documents_of, findings,
};
use flightdeck_records::{Actor, NewVersion, Records, RecordsError, Version, VersionLimits};
use flightdeck_retrieval::{Index, Progress, Store, lost_questions};
use jiff::civil::Date;

/// Where the folder is and how much of its past is kept.
#[derive(Clone)]
pub struct CurationSettings {
    /// The knowledge folder.
    pub knowledge: PathBuf,
    /// Where old states are kept.
    pub versions: PathBuf,
    /// Longest file that is taken, in bytes.
    pub max_file_bytes: u64,
    /// How many old states, and how much of them.
    pub limits: VersionLimits,
    /// What to look for.
    pub findings: FindingSettings,
    /// Reads what can crash its parser.
    pub worker: Option<Arc<Worker>>,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CurationError {
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    #[error(transparent)]
    Records(#[from] RecordsError),
}

/// How the index is doing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Indexing {
    /// The step that runs; `None` at rest.
    pub step: Option<Progress>,
    /// Why the last update failed.
    pub error: Option<String>,
}

/// What was found in a generation.
#[derive(Clone, Debug, Default)]
struct Findings {
    generation: String,
    found: Arc<Vec<Problem>>,
    /// The generation that is being looked through.
    running: Option<String>,
}

pub(crate) struct Curation {
    settings: CurationSettings,
    shelf: Shelf,
    folder: Reader,
    indexing: Mutex<Indexing>,
    findings: Mutex<Findings>,
    turn: Mutex<()>,
}

impl Curation {
    pub fn new(settings: CurationSettings) -> Self {
        Self {
            shelf: Shelf::new(&settings.knowledge, &settings.versions, settings.max_file_bytes),
            folder: Reader::new(&settings.knowledge, Settings::default()),
            settings,
            indexing: Mutex::default(),
            findings: Mutex::default(),
            turn: Mutex::default(),
        }
    }

    pub fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    pub fn indexing(&self) -> Indexing {
        lock(&self.indexing).clone()
    }

    pub fn set_step(&self, step: Progress) {
        lock(&self.indexing).step = Some(step);
    }

    pub fn set_done(&self, error: Option<String>) {
        *lock(&self.indexing) = Indexing { step: None, error };
    }

    /// Whether the file is in the index as it is in the folder, with what the sidecar beside it says.
    pub fn is_indexed(&self, store: &Store, path: &str) -> bool {
        let (now, indexed) = (self.folder.scan().unwrap_or_default(), store.sources());
        ["", ".yaml", ".yml"].iter().all(|end| {
            let path = format!("{path}{end}");
            let is_it = |source: &&SourceFile| source.path == path;
            now.iter().find(is_it) == indexed.iter().find(is_it)
        })
    }

    /// Puts a file in its place and notes who did it.
    pub fn write(
        &self,
        records: &Records,
        path: &str,
        bytes: &[u8],
        expected: &Expected,
        (action, actor): (&str, Option<&Actor>),
    ) -> Result<String, CurationError> {
        let _turn = lock(&self.turn);
        if let Expected::Tag(_) = expected {
            // What is about to go may have come into the folder a moment ago and been seen by nobody.
            self.note_found(records, path, &self.shelf.read(path)?)?;
        }
        let (tag, modified) = self.shelf.write(path, bytes, expected)?;
        let (bytes, modified) = (bytes.len() as u64, modified.to_string());
        records.add_version(NewVersion { path, sha256: &tag, bytes, modified: &modified, action }, actor)?;
        Ok(tag)
    }

    /// Takes a file away and notes who did it.
    pub fn remove(
        &self,
        records: &Records,
        path: &str,
        expected: &Expected,
        actor: Option<&Actor>,
    ) -> Result<(), CurationError> {
        let _turn = lock(&self.turn);
        self.note_found(records, path, &self.shelf.read(path)?)?;
        let Shelved { bytes, tag, .. } = self.shelf.remove(path, expected)?;
        let bytes = bytes.len() as u64;
        let gone = NewVersion { path, sha256: &tag, bytes, modified: "", action: "delete" };
        records.add_version(gone, actor)?;
        Ok(())
    }

    /// Publishes or puts away a file, wherever its status is written, and notes who did it.
    pub fn set_status(
        &self,
        records: &Records,
        path: &str,
        status: Status,
        actor: Option<&Actor>,
    ) -> Result<String, CurationError> {
        let action = match status {
            Status::Published => "publish",
            Status::Draft => "draft",
            Status::Archived => "archive",
        };
        self.state(records, path, &[status.into()], (action, actor))
    }

    /// Says these things about a file, in it or in the sidecar beside it, and notes who did it.
    pub fn state(
        &self,
        records: &Records,
        path: &str,
        statements: &[Statement],
        (action, actor): (&str, Option<&Actor>),
    ) -> Result<String, CurationError> {
        let _turn = lock(&self.turn);
        let before = self.shelf.read(path)?;
        self.note_found(records, path, &before)?;
        let (changed, tag, modified) = self.shelf.state(path, statements)?;
        let size = |bytes: &[u8]| bytes.len() as u64;
        let modified = modified.to_string();
        if changed == path {
            let bytes = size(&self.shelf.kept(&tag)?);
            records
                .add_version(NewVersion { path, sha256: &tag, bytes, modified: &modified, action }, actor)?;
            return Ok(tag);
        }
        let bytes = size(&self.shelf.kept(&tag)?);
        let beside = NewVersion { path: &changed, sha256: &tag, bytes, modified: &modified, action };
        records.add_version(beside, actor)?;
        // The file itself is as it was; that its standing changed belongs to its story all the same.
        let (bytes, modified) = (size(&before.bytes), before.modified_ns.to_string());
        records.add_version(
            NewVersion { path, sha256: &before.tag, bytes, modified: &modified, action },
            actor,
        )?;
        Ok(before.tag)
    }

    fn note_found(&self, records: &Records, path: &str, shelved: &Shelved) -> Result<(), CurationError> {
        let last = records.versions(path)?.into_iter().next();
        if last.is_some_and(|last| last.sha256 == shelved.tag && !is_gone(&last)) {
            return Ok(());
        }
        self.shelf.keep(&shelved.bytes)?;
        let (bytes, modified) = (shelved.bytes.len() as u64, shelved.modified_ns.to_string());
        let found = NewVersion { path, sha256: &shelved.tag, bytes, modified: &modified, action: "found" };
        records.add_version(found, None)?;
        Ok(())
    }

    /// Notes what has changed in the folder since it was last looked at, and lets go of what is too old.
    pub fn note_folder(&self, records: &Records) -> Result<(), CurationError> {
        let _turn = lock(&self.turn);
        let last: HashMap<String, Version> =
            records.last_versions()?.into_iter().map(|version| (version.path.clone(), version)).collect();
        let sources = self.folder.scan().map_err(|error| ShelfError::Io(std::io::Error::other(error)))?;
        let mut found = Vec::new();
        for source in &sources {
            let modified = source.modified_ns.to_string();
            let known = last.get(&source.path).filter(|known| !is_gone(known));
            if known.is_some_and(|known| known.bytes == source.size && known.modified == modified) {
                continue;
            }
            // What cannot be changed from here, such as folder defaults, is not kept either.
            let Ok(shelved) = self.shelf.read(&source.path) else { continue };
            if known.is_some_and(|known| known.sha256 == shelved.tag) {
                continue;
            }
            self.shelf.keep(&shelved.bytes)?;
            found.push((source.path.as_str(), shelved.tag, shelved.bytes.len() as u64, modified, "found"));
        }
        let there: HashSet<&str> = sources.iter().map(|source| source.path.as_str()).collect();
        for version in
            last.values().filter(|version| !is_gone(version) && !there.contains(version.path.as_str()))
        {
            found.push((&version.path, version.sha256.clone(), version.bytes, String::new(), "removed"));
        }
        let new: Vec<NewVersion<'_>> = found
            .iter()
            .map(|(path, sha256, bytes, modified, action)| NewVersion {
                path,
                sha256,
                bytes: *bytes,
                modified,
                action,
            })
            .collect();
        records.add_found_versions(&new)?;
        for sha256 in records.bound_versions(self.settings.limits)? {
            self.shelf.forget(&sha256);
        }
        Ok(())
    }

    /// The documents of an old state of a file.
    pub fn documents_of(&self, version: &Version) -> Result<Vec<Document>, CurationError> {
        let bytes = self.shelf.kept(&version.sha256)?;
        Ok(documents_of(&version.path, &bytes, self.settings.worker.as_deref()).unwrap_or_default())
    }

    /// What was found, and whether that is of this generation; where it is not, the search begins in the background.
    pub fn findings(
        self: &Arc<Self>,
        store: &Arc<Store>,
        index: &Arc<Index>,
        today: Date,
    ) -> (Arc<Vec<Problem>>, bool) {
        let generation = index.summary().generation.clone();
        let mut findings = lock(&self.findings);
        let is_done = findings.generation == generation;
        if !is_done && findings.running.as_ref() != Some(&generation) {
            findings.running = Some(generation.clone());
            let (this, store, index) = (Arc::clone(self), Arc::clone(store), Arc::clone(index));
            let search = move || this.look_through(&store, &index, &generation, today);
            if std::thread::Builder::new().name("findings".to_owned()).spawn(search).is_err() {
                findings.running = None;
            }
        }
        (findings.found.clone(), is_done)
    }

    fn look_through(&self, store: &Store, index: &Index, generation: &str, today: Date) {
        let documents: Vec<Document> = index.documents().cloned().collect();
        let chunks = documents.iter().flat_map(|document| index.chunks(&document.id));
        let chunks = chunks.map(|chunk| chunk.as_ref().clone()).collect();
        let corpus = Corpus { documents, chunks, sources: store.sources(), ..Corpus::default() };
        let mut found = findings(&corpus, &self.settings.findings);
        drop(corpus);
        let is_wanted = || lock(&self.findings).running.as_deref() == Some(generation);
        match lost_questions(index, today, &is_wanted) {
            Ok(lost) => found.extend(lost),
            Err(error) => tracing::warn!(%error, "the FAQ questions could not be tried"),
        }
        let mut findings = lock(&self.findings);
        if findings.running.as_deref() == Some(generation) {
            *findings = Findings { generation: generation.to_owned(), found: Arc::new(found), running: None };
        }
    }
}

/// Whether the file was no longer there after this.
pub(crate) fn is_gone(version: &Version) -> bool {
    matches!(version.action.as_str(), "removed" | "delete")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
