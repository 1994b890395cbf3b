//! The generations of one data folder: which is current, and how the next one is made.
//!
//! A writer holds `DATA/LOCK`, builds the next generation beside the current one and swaps the pointer last. Readers
//! take an [`Arc`] of the current generation and keep it for as long as they need.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use flightdeck_corpus::{Chunk, Corpus, Document, DocumentId, Problem, Reader, SourceFile, context_header};
use flightdeck_models::{Embedder, ModelError};
use serde::Serialize;

use crate::cache::{EmbeddingCache, TextKey, text_key};
use crate::dense::Vectors;
use crate::generation::{self, Manifest, Previous};
use crate::index::Index;
use crate::rerank::Reranking;
use crate::rows::EncodedRows;
use crate::windows::{Windows, window_texts};
use crate::{RetrievalError, Settings};

const CURRENT: &str = "CURRENT";
/// Texts embedded between two writes of the cache: what a crash can cost.
const EMBED_BATCH: usize = 64;

/// How far an update is, for progress bars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Files are read and split.
    Reading,
    /// `done` of `total` texts that need it are embedded.
    Embedding {
        /// Texts embedded so far.
        done: usize,
        /// Texts to embed in this update.
        total: usize,
    },
    /// The lexical and vector indexes are written.
    Writing,
}

/// What an update did.
#[derive(Clone, Debug, Serialize)]
pub struct UpdateReport {
    /// The generation that is current now.
    pub generation: String,
    /// Whether anything had to be done.
    pub changed: bool,
    /// Documents in the index.
    pub documents: usize,
    /// Chunks in the index.
    pub chunks: usize,
    /// Chunks embedded in this update, equal texts once; the others' vectors were known.
    pub embedded: usize,
    /// Wall time of the update.
    pub seconds: f64,
    /// What is wrong in the folder, in order of path.
    pub problems: Vec<Problem>,
}

/// How a store is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Search only; any number at a time, also beside a writer.
    Read,
    /// Search and update; one at a time, held by a lock file that the operating system frees when the process ends.
    Write,
}

/// The index of one data folder: opens the current generation and makes new ones.
pub struct Store {
    data: PathBuf,
    embedder: Arc<dyn Embedder>,
    settings: Settings,
    reranking: Option<Reranking>,
    current: RwLock<Option<(Arc<Index>, Arc<Manifest>)>>,
    damage: Option<String>,
    /// Held while a generation is made.
    writer: Option<Mutex<Writer>>,
}

/// What only one may use at a time.
struct Writer {
    /// Lives as long as the store, and its lock with it.
    _lock: File,
    /// Open from the first text that had to be embedded on.
    cache: Option<EmbeddingCache>,
}

/// Where a row's vector comes from.
enum Origin {
    /// The row of the generation before.
    Kept(u32),
    /// The text and its windows, each with its key.
    Text(String, Vec<(TextKey, String)>),
}

impl Store {
    /// Opens the index under `data`; with [`Access::Write`] the folder is made where it is missing.
    /// A damaged or outdated generation is not an error here: it counts as no index, and `damage` says why.
    ///
    /// # Errors
    /// [`RetrievalError::Locked`] when another process writes, [`RetrievalError::Io`] when the folder cannot be
    /// made or opened.
    pub fn open(data: &Path, access: Access, embedder: Arc<dyn Embedder>) -> Result<Self, RetrievalError> {
        Self::open_with(data, access, embedder, Settings::default())
    }

    /// As [`Store::open`], with other settings of fusion and vector search.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(
        data: &Path,
        access: Access,
        embedder: Arc<dyn Embedder>,
        settings: Settings,
    ) -> Result<Self, RetrievalError> {
        Self::open_with_models(data, access, embedder, settings, &|_| None)
    }

    /// As [`Store::open_with`]; where the current generation was made with another model than `embedder`, `find_model` is
    /// asked for that one by its id. If it is found, the generation serves, with its own model for questions, until the
    /// next [`Store::update`] has made one with `embedder`.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with_models(
        data: &Path,
        access: Access,
        embedder: Arc<dyn Embedder>,
        settings: Settings,
        find_model: &dyn Fn(&str) -> Option<Arc<dyn Embedder>>,
    ) -> Result<Self, RetrievalError> {
        let writer = match access {
            Access::Read => None,
            Access::Write => {
                std::fs::create_dir_all(data).map_err(RetrievalError::io("create", data))?;
                Some(Mutex::new(Writer { _lock: lock(data)?, cache: None }))
            }
        };
        let mut store = Self {
            data: data.to_owned(),
            embedder,
            settings,
            reranking: None,
            current: RwLock::new(None),
            damage: None,
            writer,
        };
        if let Some(name) = store.current_name() {
            let dir = store.index_folder().join(&name);
            let made_with = generation::manifest(&dir).ok().map(|manifest| manifest.model);
            let other = made_with.filter(|id| id != store.embedder.id()).and_then(|id| find_model(&id));
            if let Some(other) = &other {
                tracing::info!(
                    generation = name,
                    model = other.id(),
                    "the index was made with another model and serves until it is made anew"
                );
            }
            match generation::open(&dir, other.unwrap_or_else(|| store.embedder.clone())) {
                Ok((index, manifest)) => store.swap(index, manifest),
                Err(error) => {
                    tracing::warn!(generation = name, %error, "the index on disk is not used");
                    store.damage = Some(error.to_string());
                }
            }
        }
        Ok(store)
    }

    /// Lets a cross-encoder read the first passages of every search from now on, or none.
    ///
    /// # Panics
    /// When somebody holds the index already that [`Store::current`] gave.
    #[must_use]
    pub fn with_reranking(mut self, reranking: Option<Reranking>) -> Self {
        self.reranking.clone_from(&reranking);
        let current = self.current.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some((index, _)) = current {
            let index = Arc::get_mut(index).expect("nobody holds the index of a store that is being made");
            index.set_reranking(reranking);
        }
        self
    }

    /// The current generation; `None` before the first update. Later updates do not change what was returned.
    pub fn current(&self) -> Option<Arc<Index>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().map(|(index, _)| index.clone())
    }

    /// Why the generation found on disk was not used, if one was found and not used.
    pub fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// The knowledge files from which the current generation was made; none before the first.
    pub fn sources(&self) -> Vec<SourceFile> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().map(|(_, manifest)| manifest.sources.clone()).unwrap_or_default()
    }

    /// What was wrong in the folder when the current generation was made.
    pub fn problems(&self) -> Vec<Problem> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().map(|(_, manifest)| manifest.problems.clone()).unwrap_or_default()
    }

    /// The model that embeds.
    pub fn embedder(&self) -> &Arc<dyn Embedder> {
        &self.embedder
    }

    /// Opens the generation that another process has made since, for a store that only reads. Whether there was one.
    ///
    /// # Errors
    /// When it cannot be opened; the one that was current stays.
    pub fn refresh(&self) -> Result<bool, RetrievalError> {
        let Some(name) = self.current_name() else { return Ok(false) };
        if self.current().is_some_and(|index| index.summary().generation == name) {
            return Ok(false);
        }
        let (index, manifest) = generation::open(&self.index_folder().join(&name), self.embedder.clone())?;
        self.swap(index, manifest);
        Ok(true)
    }

    /// Whether the current generation was made from exactly these files with this model and these settings.
    ///
    /// # Errors
    /// When the knowledge folder cannot be read.
    pub fn is_up_to_date(&self, reader: &Reader) -> Result<bool, RetrievalError> {
        let sources = reader.scan()?;
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Ok(current.as_ref().is_some_and(|(_, manifest)| {
            manifest.sources == sources
                && manifest.settings == self.settings
                && manifest.model == self.embedder.id()
        }))
    }

    /// Brings the index up to date with the folder behind `reader`; does nothing when no file changed.
    /// With `rebuild` everything is read and written anew and the embedding cache is emptied first.
    /// `progress` may return `false` to stop; the current generation then stays.
    ///
    /// # Errors
    /// As [`RetrievalError`]. The current generation is untouched by any error.
    pub fn update(
        &self,
        reader: &mut Reader,
        rebuild: bool,
        progress: &(dyn Fn(Progress) -> bool + Sync),
    ) -> Result<UpdateReport, RetrievalError> {
        let started = Instant::now();
        if !rebuild && self.is_up_to_date(reader)? {
            let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
            if let Some((index, manifest)) = current.as_ref() {
                return Ok(UpdateReport {
                    generation: index.summary().generation.clone(),
                    changed: false,
                    documents: manifest.documents,
                    chunks: manifest.chunks,
                    embedded: 0,
                    seconds: started.elapsed().as_secs_f64(),
                    problems: manifest.problems.clone(),
                });
            }
        }
        if !progress(Progress::Reading) {
            return Err(RetrievalError::Cancelled);
        }
        let corpus = reader.read(&|text| self.embedder.count_tokens(text))?;
        self.make_current(&corpus, rebuild, started, progress)
    }

    /// Reads the folder behind `reader` as [`Store::update`] would, and changes nothing: after a start with an index on
    /// disk, so that the first change does not wait for every file to be read. Stops where `go_on` says no.
    ///
    /// # Errors
    /// When the knowledge folder cannot be read.
    pub fn read_ahead(&self, reader: &mut Reader, go_on: &dyn Fn() -> bool) -> Result<(), RetrievalError> {
        Ok(reader.read_ahead(&|text| self.embedder.count_tokens(text), go_on)?)
    }

    /// Makes `corpus` the current generation as it is (for question sets whose lines are passages already).
    ///
    /// # Errors
    /// As [`Store::update`].
    pub fn publish(
        &self,
        corpus: &Corpus,
        progress: &(dyn Fn(Progress) -> bool + Sync),
    ) -> Result<UpdateReport, RetrievalError> {
        self.make_current(corpus, false, Instant::now(), progress)
    }

    fn make_current(
        &self,
        corpus: &Corpus,
        rebuild: bool,
        started: Instant,
        progress: &(dyn Fn(Progress) -> bool + Sync),
    ) -> Result<UpdateReport, RetrievalError> {
        let writer = self.writer.as_ref().ok_or(RetrievalError::ReadOnly)?;
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        let previous = self.previous().filter(|_| !rebuild);
        let (vectors, embedded) =
            self.embed(&mut writer.cache, corpus, rebuild, previous.as_ref(), progress)?;
        if !progress(Progress::Writing) {
            return Err(RetrievalError::Cancelled);
        }
        let folder = self.index_folder();
        std::fs::create_dir_all(&folder).map_err(RetrievalError::io("create", &folder))?;
        let name = self.next_name()?;
        let dir = folder.join(&name);
        let written =
            generation::make(&dir, corpus, vectors, self.settings, self.embedder.clone(), previous.as_ref());
        let (index, manifest) = match written {
            Ok(opened) => opened,
            Err(error) => {
                // A half-written generation is of no use to anybody; that it may stay behind is harmless.
                let _ = std::fs::remove_dir_all(&dir);
                return Err(error);
            }
        };
        let previous = self.current_name();
        self.point_to(&name)?;
        let report = UpdateReport {
            generation: name.clone(),
            changed: true,
            documents: manifest.documents,
            chunks: manifest.chunks,
            embedded,
            seconds: started.elapsed().as_secs_f64(),
            problems: manifest.problems.clone(),
        };
        self.swap(index, manifest);
        self.remove_old(&name, previous.as_deref());
        tracing::info!(
            generation = name,
            documents = report.documents,
            chunks = report.chunks,
            embedded,
            seconds = report.seconds,
            "index updated"
        );
        Ok(report)
    }

    /// The current generation, where the next can take something over from it.
    fn previous(&self) -> Option<Previous> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let (index, manifest) = current.as_ref()?;
        let has_windows = |settings: Settings| settings.vectors.window_share > 0.0;
        let is_alike = manifest.model == self.embedder.id()
            && manifest.dimension == self.embedder.dimension()
            && has_windows(manifest.settings) == has_windows(self.settings);
        let dir = self.index_folder().join(&index.summary().generation);
        is_alike.then(|| Previous { dir, index: index.clone(), manifest: manifest.clone() })
    }

    /// The vectors of all chunks, from the generation before and the cache where they are known; how many texts had to
    /// be embedded.
    fn embed(
        &self,
        cache: &mut Option<EmbeddingCache>,
        corpus: &Corpus,
        rebuild: bool,
        previous: Option<&Previous>,
        progress: &(dyn Fn(Progress) -> bool + Sync),
    ) -> Result<(Vectors, usize), RetrievalError> {
        let dimension = self.embedder.dimension();
        let kept = previous.map(|previous| previous.index.dense().vectors());
        let kept_rows: HashMap<&TextKey, u32> =
            kept.iter().flat_map(|kept| &kept.keys).zip(0_u32..).collect();
        let documents: HashMap<&DocumentId, &Document> =
            corpus.documents.iter().map(|d| (&d.id, d)).collect();
        let mut row_of_text: HashMap<TextKey, u32> = HashMap::new();
        let mut keys: Vec<TextKey> = Vec::new();
        let mut origins: Vec<Origin> = Vec::new();
        let mut row_of_chunk = Vec::with_capacity(corpus.chunks.len());
        for chunk in &corpus.chunks {
            let document = documents[&chunk.document];
            let text = embedded_text(document, chunk);
            let key = text_key(&text);
            let row = *row_of_text.entry(key).or_insert_with(|| {
                origins.push(match kept_rows.get(&key) {
                    Some(row) => Origin::Kept(*row),
                    None => Origin::Text(text, self.windows_of(document, chunk)),
                });
                keys.push(key);
                (keys.len() - 1) as u32
            });
            row_of_chunk.push(row);
        }

        let is_new = origins.iter().any(|origin| matches!(origin, Origin::Text(..)));
        let embedded = if is_new || rebuild {
            self.embed_missing(opened(cache, self)?, &keys, &mut origins, rebuild, progress)?
        } else {
            progress(Progress::Embedding { done: 0, total: 0 });
            0
        };
        let mut rows = EncodedRows::default();
        let mut windows = Windows::new(dimension);
        for (key, origin) in keys.iter().zip(&origins) {
            match (origin, kept) {
                (Origin::Kept(row), Some(kept)) => {
                    rows.push_from(&kept.rows, *row);
                    windows.push_from(&kept.windows, *row as usize);
                }
                (Origin::Kept(_), None) => unreachable!("a row is kept only of a generation that is there"),
                (Origin::Text(_, of_row), _) => {
                    let cache = opened(cache, self)?;
                    let mut known = |key: &TextKey| -> Result<Vec<f32>, RetrievalError> {
                        Ok(cache.get(key)?.expect("every missing text was embedded above"))
                    };
                    rows.push(&known(key)?);
                    let of_row = of_row.iter().map(|(key, _)| known(key)).collect::<Result<Vec<_>, _>>()?;
                    windows.push_row(of_row.iter().map(Vec::as_slice));
                }
            }
        }
        if cache.as_ref().is_some_and(|cache| cache.is_mostly_dead(rows.len() + windows.len()))
            && let Some(cache) = cache.take()
        {
            // The keys of kept windows stand nowhere; this is rare, and cutting the texts again takes seconds.
            let of_windows = corpus
                .chunks
                .iter()
                .flat_map(|chunk| self.windows_of(documents[&chunk.document], chunk))
                .map(|(key, _)| key);
            let live: HashSet<TextKey> = keys.iter().copied().chain(of_windows).collect();
            cache.compact(&live)?;
        }
        Ok((Vectors { dimension, rows, keys, row_of_chunk, windows }, embedded))
    }

    /// Brings the vectors of all texts in `origins` into the cache; how many chunks' it did not have.
    fn embed_missing(
        &self,
        cache: &mut EmbeddingCache,
        keys: &[TextKey],
        origins: &mut [Origin],
        rebuild: bool,
        progress: &(dyn Fn(Progress) -> bool + Sync),
    ) -> Result<usize, RetrievalError> {
        if rebuild {
            cache.clear()?;
        }
        let mut missing: Vec<(TextKey, String)> = Vec::new();
        let mut asked: HashSet<TextKey> = HashSet::new();
        let mut embedded = 0;
        for (key, origin) in keys.iter().zip(origins) {
            let Origin::Text(text, windows) = origin else { continue };
            let mut want = |key: TextKey, text: &mut String| {
                let is_new = !cache.has(&key) && asked.insert(key);
                if is_new {
                    missing.push((key, std::mem::take(text)));
                }
                is_new
            };
            embedded += usize::from(want(*key, text));
            for (key, text) in windows {
                want(*key, text);
            }
        }
        let total = missing.len();
        let mut done = 0;
        for batch in missing.chunks(EMBED_BATCH) {
            let stopped = AtomicBool::new(!progress(Progress::Embedding { done, total }));
            let texts: Vec<&str> = batch.iter().map(|(_, text)| text.as_str()).collect();
            let going_on = |in_batch: usize| {
                let go_on = progress(Progress::Embedding { done: (done + in_batch).min(total), total });
                if !go_on {
                    stopped.store(true, Ordering::Relaxed);
                }
                !stopped.load(Ordering::Relaxed)
            };
            if stopped.load(Ordering::Relaxed) {
                return Err(RetrievalError::Cancelled);
            }
            let vectors = self.embedder.embed_passages(&texts, &going_on).map_err(|error| match error {
                ModelError::Cancelled => RetrievalError::Cancelled,
                other => RetrievalError::Model(other),
            })?;
            for ((key, _), vector) in batch.iter().zip(&vectors) {
                cache.put(*key, vector)?;
            }
            cache.flush()?;
            done += batch.len();
        }
        progress(Progress::Embedding { done, total });
        Ok(embedded)
    }

    /// The windows of a chunk with their keys; none where the settings want none.
    fn windows_of(&self, document: &Document, chunk: &Chunk) -> Vec<(TextKey, String)> {
        if self.settings.vectors.window_share <= 0.0 {
            return Vec::new();
        }
        let count_tokens = |text: &str| self.embedder.count_tokens(text);
        let texts = window_texts(document, chunk, &count_tokens);
        texts.into_iter().map(|text| (text_key(&text), text)).collect()
    }

    fn swap(&self, mut index: Index, manifest: Manifest) {
        index.set_reranking(self.reranking.clone());
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Some((Arc::new(index), Arc::new(manifest)));
    }

    fn index_folder(&self) -> PathBuf {
        self.data.join("index")
    }

    fn current_name(&self) -> Option<String> {
        let name = std::fs::read_to_string(self.index_folder().join(CURRENT)).ok()?;
        let name = name.trim();
        is_generation_name(name).then(|| name.to_owned())
    }

    fn next_name(&self) -> Result<String, RetrievalError> {
        let highest = self.generations()?.iter().filter_map(|name| name[4..].parse::<u64>().ok()).max();
        Ok(format!("gen-{:06}", highest.unwrap_or(0) + 1))
    }

    fn generations(&self) -> Result<Vec<String>, RetrievalError> {
        let folder = self.index_folder();
        let entries = std::fs::read_dir(&folder).map_err(RetrievalError::io("read", &folder))?;
        Ok(entries
            .filter_map(Result::ok)
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| is_generation_name(name))
            .collect())
    }

    /// Replaces the pointer by rename: whoever reads it sees the old name or the new one.
    fn point_to(&self, name: &str) -> Result<(), RetrievalError> {
        let folder = self.index_folder();
        let temporary = folder.join("CURRENT.new");
        generation::write_file(&temporary, name.as_bytes())?;
        let pointer = folder.join(CURRENT);
        std::fs::rename(&temporary, &pointer).map_err(RetrievalError::io("write", &pointer))?;
        if let Ok(folder) = File::open(&folder) {
            // The rename itself must outlive a power cut; not every file system can sync a folder.
            let _ = folder.sync_all();
        }
        Ok(())
    }

    /// Removes all generations but the current and the one before it, which a reader may just be opening.
    fn remove_old(&self, current: &str, previous: Option<&str>) {
        for name in self.generations().unwrap_or_default() {
            if name != current && Some(name.as_str()) != previous {
                let _ = std::fs::remove_dir_all(self.index_folder().join(name));
            }
        }
    }
}

/// The cache of the store's model, opened where it is not open yet.
fn opened<'c>(
    cache: &'c mut Option<EmbeddingCache>,
    store: &Store,
) -> Result<&'c mut EmbeddingCache, RetrievalError> {
    if cache.is_none() {
        let folder = store.data.join("embeddings");
        *cache = Some(EmbeddingCache::open(&folder, store.embedder.id(), store.embedder.dimension())?);
    }
    Ok(cache.as_mut().expect("it was opened above"))
}

/// What of a chunk is embedded: its words behind what they are about.
pub(crate) fn embedded_text(document: &Document, chunk: &Chunk) -> String {
    let header = context_header(document, chunk);
    if header.is_empty() {
        chunk.shown(document)
    } else {
        format!("{}\n{}", header.trim_end(), chunk.shown(document))
    }
}

fn lock(data: &Path) -> Result<File, RetrievalError> {
    let path = data.join("LOCK");
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .open(&path)
        .map_err(RetrievalError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RetrievalError::Locked(data.to_owned())),
        Err(TryLockError::Error(source)) => Err(RetrievalError::io("lock", &path)(source)),
    }
}

fn is_generation_name(name: &str) -> bool {
    name.strip_prefix("gen-").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}
