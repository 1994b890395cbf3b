//! Reads a knowledge folder again and again, keeping what has not changed.
//!
//! A file is read anew when its size or time, or those of anything that bears on it (folder defaults, its
//! sidecar, transcripts beside it), have changed. Everything kept is a function of those files, so a second
//! reading gives what a first one would. A file that makes a parser panic costs only itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::build::{Found, Setting, build};
use crate::chunking::split;
use crate::corpus::{Corpus, CorpusError, SourceFile};
use crate::document::{Chunk, Document, DocumentId};
use crate::encoding::decode;
use crate::folder::{Entry, Role, role, scan, sidecar_target, unreadable};
use crate::meta::{Layer, Meta, Place};
use crate::node::{Value, parse_yaml};
use crate::problem::Problem;
use crate::readers::{Content, Format, Transcript, crashed, read};
use crate::{CountTokens, Settings, Worker};

/// Reads a knowledge folder again and again, keeping what has not changed.
pub struct Reader {
    root: PathBuf,
    settings: Settings,
    worker: Option<Arc<Worker>>,
    kept: HashMap<String, Kept>,
}

/// What a file came to, and what it depends on.
struct Kept {
    stamp: Vec<SourceFile>,
    result: Arc<FileResult>,
}

/// Everything that reading one file yields.
#[derive(Default)]
struct FileResult {
    /// Each with its chunks.
    documents: Vec<(Document, Vec<Chunk>)>,
    problems: Vec<Problem>,
    /// Paths of the transcripts that belong to its rows.
    claimed: Vec<String>,
}

impl Reader {
    /// A reader of the folder `root`; nothing is read yet.
    pub fn new(root: impl Into<PathBuf>, settings: Settings) -> Self {
        Self { root: root.into(), settings, worker: None, kept: HashMap::new() }
    }

    /// The same, reading what can crash its parser in `worker`'s process rather than in this one.
    pub fn with_worker(self, worker: Arc<Worker>) -> Self {
        Self { worker: Some(worker), ..self }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The files as they are now, without reading them: cheap, to tell whether anything changed.
    ///
    /// # Errors
    /// As [`CorpusError`].
    pub fn scan(&self) -> Result<Vec<SourceFile>, CorpusError> {
        let entries = scan(&self.root, &mut Vec::new())?;
        Ok(entries.into_iter().map(|entry| entry.source).collect())
    }

    /// Reads what is new or changed and returns the whole corpus.
    ///
    /// `count` must count alike from call to call: chunks of unchanged files are kept.
    ///
    /// # Errors
    /// As [`CorpusError`]; a bad file is a [`Problem`], not an error.
    pub fn read(&mut self, count: CountTokens<'_>) -> Result<Corpus, CorpusError> {
        let mut problems = Vec::new();
        let entries = scan(&self.root, &mut problems)?;
        let worker = self.worker.clone();
        let folder = Folder::new(&entries, &self.settings, worker.as_deref(), &mut problems);
        let mut results: BTreeMap<&str, Arc<FileResult>> = BTreeMap::new();
        let mut claimed = BTreeSet::new();
        for (path, format) in folder.knowledge().filter(|(_, format)| !format.is_transcript()) {
            let result = self.file(&folder, path, format, count);
            claimed.extend(result.claimed.iter().cloned());
            results.insert(path, result);
        }
        for (path, format) in folder.knowledge().filter(|(_, format)| format.is_transcript()) {
            if !claimed.contains(path) {
                results.insert(path, self.file(&folder, path, format, count));
            }
        }
        if let Some(worker) = &self.worker {
            worker.rest();
        }
        self.kept.retain(|path, _| results.contains_key(path.as_str()));
        let synonyms = folder.synonyms(&mut problems);
        Ok(assemble(&results, problems, synonyms, entries.iter().map(|entry| entry.source.clone()).collect()))
    }

    /// Reads what a later [`Reader::read`] would have to, until `go_on` says no, so that the first change costs no more
    /// than every other.
    ///
    /// # Errors
    /// As [`CorpusError`].
    pub fn read_ahead(
        &mut self,
        count: CountTokens<'_>,
        go_on: &dyn Fn() -> bool,
    ) -> Result<(), CorpusError> {
        let mut problems = Vec::new();
        let entries = scan(&self.root, &mut problems)?;
        let worker = self.worker.clone();
        let folder = Folder::new(&entries, &self.settings, worker.as_deref(), &mut problems);
        for (path, format) in folder.knowledge().filter(|(_, format)| !format.is_transcript()) {
            if !go_on() {
                break;
            }
            self.file(&folder, path, format, count);
        }
        if let Some(worker) = &self.worker {
            worker.rest();
        }
        Ok(())
    }

    /// The result of one file, kept or new.
    fn file(
        &mut self,
        folder: &Folder<'_>,
        path: &str,
        format: Format,
        count: CountTokens<'_>,
    ) -> Arc<FileResult> {
        let stamp = folder.stamp(path, format);
        if let Some(kept) = self.kept.get(path).filter(|kept| kept.stamp == stamp) {
            return Arc::clone(&kept.result);
        }
        tracing::debug!(path, "reading");
        let settings = &self.settings;
        let reading = AssertUnwindSafe(|| read_file(folder, path, format, settings, count));
        let result = catch_unwind(reading)
            .unwrap_or_else(|_| FileResult { problems: vec![crashed(path)], ..FileResult::default() });
        let result = Arc::new(result);
        self.kept.insert(path.to_owned(), Kept { stamp, result: Arc::clone(&result) });
        result
    }
}

/// The folder's files by what they are for.
struct Folder<'e> {
    entries: BTreeMap<&'e str, &'e Entry>,
    roles: BTreeMap<&'e str, Role>,
    /// Defaults by the folder that holds them, `""` for the root.
    defaults: BTreeMap<&'e str, Meta>,
    /// Transcripts by the folder in which they lie.
    transcripts: BTreeMap<&'e str, Vec<&'e str>>,
    max_file_bytes: u64,
    worker: Option<&'e Worker>,
}

impl<'e> Folder<'e> {
    fn new(
        entries: &'e [Entry],
        settings: &Settings,
        worker: Option<&'e Worker>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let paths: BTreeSet<&str> = entries.iter().map(|entry| entry.source.path.as_str()).collect();
        let mut folder = Self {
            entries: entries.iter().map(|entry| (entry.source.path.as_str(), entry)).collect(),
            roles: paths.iter().map(|path| (*path, role(path, &paths))).collect(),
            defaults: BTreeMap::new(),
            transcripts: BTreeMap::new(),
            max_file_bytes: settings.max_file_bytes,
            worker,
        };
        for (path, _) in folder.knowledge().filter(|(_, format)| format.is_transcript()).collect::<Vec<_>>() {
            folder.transcripts.entry(parent(path)).or_default().push(path);
        }
        for (&path, &role) in &folder.roles {
            match role {
                Role::FolderDefaults => {
                    let meta = folder.layer(path, Layer::Folder, "folder_defaults", problems);
                    folder.defaults.insert(parent(path), meta);
                }
                Role::OrphanSidecar => problems.push(Problem::warning(
                    path,
                    None,
                    "orphan_sidecar",
                    "this sidecar has no file beside it",
                    "找不到该说明文件所对应的文件",
                )),
                Role::Unknown => problems.push(Problem::warning(
                    path,
                    None,
                    "unsupported",
                    "not a format of the knowledge folder; the file is not indexed",
                    "不支持的文件格式，该文件未收录",
                )),
                Role::Knowledge(_) | Role::Synonyms | Role::Sidecar | Role::Ignored => {}
            }
        }
        folder
    }

    fn knowledge(&self) -> impl Iterator<Item = (&'e str, Format)> + '_ {
        self.roles.iter().filter_map(|(path, role)| match role {
            Role::Knowledge(format) => Some((*path, *format)),
            _ => None,
        })
    }

    /// Everything whose change makes the file's result another.
    fn stamp(&self, path: &str, format: Format) -> Vec<SourceFile> {
        let mut stamp = vec![self.entries[path].source.clone()];
        let mut also = |path: &str| stamp.extend(self.entries.get(path).map(|entry| entry.source.clone()));
        for folder in ancestors(path) {
            let slash = if folder.is_empty() { "" } else { "/" };
            also(&format!("{folder}{slash}_folder.yaml"));
            also(&format!("{folder}{slash}_folder.yml"));
        }
        also(&format!("{path}.yaml"));
        also(&format!("{path}.yml"));
        if format.has_rows() {
            for transcript in self.transcripts(parent(path)) {
                also(transcript);
                also(&format!("{transcript}.yaml"));
                also(&format!("{transcript}.yml"));
            }
        }
        stamp
    }

    fn transcripts(&self, folder: &str) -> &[&'e str] {
        self.transcripts.get(folder).map_or(&[], Vec::as_slice)
    }

    /// Folder defaults from the root down, nearer ones on top.
    fn defaults(&self, path: &str) -> Meta {
        let mut meta = Meta::default();
        for folder in ancestors(path) {
            if let Some(nearer) = self.defaults.get(folder) {
                meta = nearer.clone().over(&meta);
            }
        }
        meta
    }

    /// What the file's sidecar says; `None` where it has none.
    fn sidecar(&self, path: &str, problems: &mut Vec<Problem>) -> Option<Meta> {
        let sidecar = [format!("{path}.yaml"), format!("{path}.yml")]
            .into_iter()
            .find(|sidecar| self.roles.get(sidecar.as_str()) == Some(&Role::Sidecar))?;
        debug_assert_eq!(sidecar_target(&sidecar), Some(path));
        Some(self.layer(&sidecar, Layer::Own, "front_matter", problems))
    }

    /// A file that holds one layer of metadata. One that cannot be read makes what it is about internal.
    fn layer(&self, path: &str, layer: Layer, code: &str, problems: &mut Vec<Problem>) -> Meta {
        let mut broken = |line: Option<u32>, detail: &str| {
            problems.push(Problem::error(
                path,
                line,
                code,
                format!("cannot be read, what it is about is internal: {detail}"),
                format!("无法解析，所涉及的文档按内部资料处理：{detail}"),
            ));
            Meta::unreadable()
        };
        let bytes = match self.bytes(path) {
            Ok(bytes) => bytes,
            Err(problem) => return broken(None, &problem.message),
        };
        let Ok(decoded) = decode(&bytes) else { return broken(None, "binary data") };
        if let Some(line) = decoded.lossy_line {
            return broken(Some(line), "damaged characters");
        }
        let documents = match parse_yaml(&decoded.text) {
            Ok(documents) => documents,
            Err(error) => return broken(Some(error.line), &error.message),
        };
        match documents.first().map(|node| (&node.value, node.lines)) {
            None | Some((Value::Null, _)) => Meta::default(),
            Some((Value::Map(entries), _)) => {
                let entries = entries.iter().map(|(key, node)| (key.as_str(), node));
                Meta::read(entries, Place { path, layer }, problems)
            }
            Some((_, lines)) => broken(Some(lines.0), "not a list of `key: value` lines"),
        }
    }

    fn bytes(&self, path: &str) -> Result<Vec<u8>, Problem> {
        let entry = self.entries[path];
        if entry.source.size > self.max_file_bytes {
            let (size, most) = (entry.source.size, self.max_file_bytes);
            return Err(Problem::error(
                path,
                None,
                "too_large",
                format!("the file has {size} bytes, more than the {most} that are read"),
                format!("文件有 {size} 字节，超过上限 {most} 字节"),
            ));
        }
        fs::read(&entry.full).map_err(|error| unreadable(path, &error))
    }

    fn synonyms(&self, problems: &mut Vec<Problem>) -> Vec<Vec<String>> {
        const PATH: &str = "_synonyms.txt";
        if self.roles.get(PATH) != Some(&Role::Synonyms) {
            return Vec::new();
        }
        let text = match self.bytes(PATH).map(|bytes| decode(&bytes)) {
            Ok(Ok(decoded)) => decoded.text,
            Ok(Err(_)) => {
                let (message, message_zh) = ("the synonyms are not text", "同义词文件不是文本");
                problems.push(Problem::error(PATH, None, "binary", message, message_zh));
                return Vec::new();
            }
            Err(problem) => {
                problems.push(problem);
                return Vec::new();
            }
        };
        let mut groups = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<String> = line
                .split([',', '，'])
                .map(str::trim)
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect();
            match words.len() {
                0 => {}
                1 => problems.push(Problem::warning(
                    PATH,
                    Some(number),
                    "synonyms",
                    "one word alone has no synonym",
                    "同义词组至少需要两个词",
                )),
                _ => groups.push(words),
            }
        }
        groups
    }
}

/// The folder that holds `path`, `""` for the root.
fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The folders above `path`, the root (`""`) first.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::once("").chain(path.match_indices('/').map(|(at, _)| &path[..at]))
}

fn read_file(
    folder: &Folder<'_>,
    path: &str,
    format: Format,
    settings: &Settings,
    count: CountTokens<'_>,
) -> FileResult {
    let mut problems = Vec::new();
    let mut given = folder.defaults(path);
    if let Some(sidecar) = folder.sidecar(path, &mut problems) {
        given = sidecar.over(&given);
    }
    let source = match folder.bytes(path).and_then(|bytes| read(path, format, &bytes, folder.worker)) {
        Ok(source) => source,
        Err(problem) => {
            problems.push(problem);
            return FileResult { problems, ..FileResult::default() };
        }
    };
    problems.extend(source.problems.iter().cloned());
    let mut claimed = Vec::new();
    let mut beside = Vec::new();
    let mut transcript = |video: &str| find_transcript(folder, path, video, &mut claimed, &mut beside);
    let mut setting = Setting { path, given: &given, transcript: &mut transcript };
    let built = build(source, &mut setting, &mut problems);
    problems.append(&mut beside);
    let documents = built
        .into_iter()
        .map(|built| {
            let chunks = split(&built.document, &built.layout, &built.lines, settings, count);
            (built.document, chunks)
        })
        .collect();
    FileResult { documents, problems, claimed }
}

/// The transcript named after a video, in the folder of the video's table. Of an SRT and a VTT the first
/// that can be read is taken; both belong to the video.
fn find_transcript(
    folder: &Folder<'_>,
    table: &str,
    video: &str,
    claimed: &mut Vec<String>,
    problems: &mut Vec<Problem>,
) -> Option<Found> {
    let mut found: Option<(Transcript, Meta)> = None;
    for &path in folder.transcripts(parent(table)) {
        let name = &path[parent(path).len()..];
        let name = name.trim_start_matches('/').rsplit_once('.').map_or(name, |(stem, _)| stem);
        if !name.eq_ignore_ascii_case(video) || claimed.iter().any(|known| known == path) {
            continue;
        }
        claimed.push(path.to_owned());
        if found.is_some() {
            problems.push(Problem::warning(
                path,
                None,
                "transcript",
                format!("video `{video}` has another transcript; this one is not used"),
                format!("视频“{video}”已有另一份字幕，本文件未使用"),
            ));
            continue;
        }
        let sidecar = folder.sidecar(path, problems).unwrap_or_default();
        let format = Format::of(path).unwrap_or(Format::Srt);
        match folder.bytes(path).and_then(|bytes| read(path, format, &bytes, folder.worker)) {
            Err(problem) => problems.push(problem),
            Ok(source) => {
                problems.extend(source.problems);
                if let Content::Cues(transcript) = source.content {
                    found = Some((transcript, sidecar));
                }
            }
        }
    }
    found.map(|(transcript, sidecar)| Found { transcript, audience: sidecar.audience })
}

/// Puts the files' results together: ids made unique, references checked, problems in order.
fn assemble(
    results: &BTreeMap<&str, Arc<FileResult>>,
    mut problems: Vec<Problem>,
    synonyms: Vec<Vec<String>>,
    sources: Vec<SourceFile>,
) -> Corpus {
    let all = || results.values().flat_map(|result| &result.documents);
    let mut users: HashMap<&DocumentId, Vec<&(Document, Vec<Chunk>)>> = HashMap::new();
    for entry in all() {
        users.entry(&entry.0.id).or_default().push(entry);
    }
    for result in results.values() {
        problems.extend(result.problems.iter().cloned());
    }
    for (id, users) in users.iter().filter(|(_, users)| users.len() > 1) {
        duplicate_id(id, users, &mut problems);
    }
    let mut documents = Vec::new();
    let mut chunks = Vec::new();
    for (document, its_chunks) in all().filter(|(document, _)| users[&document.id].len() == 1) {
        for superseded in document.supersedes.iter().filter(|id| !is_known(id, &users)) {
            problems.push(Problem::warning(
                &document.path,
                None,
                "unknown_supersedes",
                format!("supersedes `{superseded}`, which does not exist"),
                format!("supersedes 所指的“{superseded}”不存在"),
            ));
        }
        documents.push(document.clone());
        chunks.extend(its_chunks.iter().cloned());
    }
    problems
        .sort_by(|a, b| (&a.path, a.line, &a.code, &a.message).cmp(&(&b.path, b.line, &b.code, &b.message)));
    problems.dedup();
    Corpus { documents, chunks, problems, synonyms, sources }
}

/// Whether a document of this id exists, or rows of a file of this id.
fn is_known(id: &DocumentId, users: &HashMap<&DocumentId, Vec<&(Document, Vec<Chunk>)>>) -> bool {
    users.contains_key(id)
        || users.keys().any(|known| known.0.strip_prefix(&*id.0).is_some_and(|rest| rest.starts_with('#')))
}

fn duplicate_id(id: &DocumentId, users: &[&(Document, Vec<Chunk>)], problems: &mut Vec<Problem>) {
    let line = |chunks: &[Chunk]| chunks.first().and_then(|chunk| chunk.location.line_start);
    let places: Vec<String> = users
        .iter()
        .map(|(document, chunks)| match line(chunks) {
            Some(line) => format!("{}:{line}", document.path),
            None => document.path.clone(),
        })
        .collect();
    for (document, chunks) in users {
        problems.push(Problem::error(
            &document.path,
            line(chunks),
            "duplicate_id",
            format!("id `{id}` is used more than once, none of them is indexed: {}", places.join(", ")),
            format!("编号“{id}”重复，均未收录：{}", places.join("、")),
        ));
    }
}
