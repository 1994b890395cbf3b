//! `/api/v1/knowledge`: the folder behind the answers, for those who look after it (marketing and admins).
//!
//! What a curator handles is a file; what a search finds is a document, and a table is one file of many. So
//! everything here goes by the file's path, and a file's state is that of its documents together.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use flightdeck_corpus::{Audience, Document, Kind, Problem, Severity, ShelfError, Status};
use flightdeck_retrieval::{Index, Progress};
use jiff::ToSpan;
use jiff::civil::Date;

use crate::access::Caller;
use crate::curation::Indexing;
use crate::error::ApiError;
use crate::parameters::{Id, Parameters};
use crate::state::AppState;
use crate::wire::knowledge::{
    DocumentView, ExpiringDocument, ExpiringView, FileItem, FileList, FileReply, FileState, IndexingView,
    KnowledgeHealth, PassageView, ProblemItem, STATES,
};
use crate::wire::{ErrorBody, Location};

/// Documents that expire within so many days are said to be expiring.
const SOON_DAYS: i64 = 30;
const MAX_WORDS_CHARS: usize = 200;
/// A table of more rows is looked at in its own program.
const MOST_DOCUMENTS: usize = 200;
/// Endings of what is edited as text.
const TEXTS: [&str; 12] =
    ["md", "markdown", "txt", "text", "csv", "tsv", "json", "jsonl", "yaml", "yml", "srt", "vtt"];

#[utoipa::path(
    get, path = "/api/v1/knowledge/files", tag = "curation", summary = "List the knowledge files",
    description = "For marketing and admins. All of them at once, in order of path: a folder tree wants no pages.",
    params(
        ("q" = Option<String>, Query, description = "Words that stand in the path, the title, the owner or the text"),
        ("state" = Option<String>, Query, description = "Only files of this state"),
    ),
    responses(
        (status = 200, description = "The files, in order of path", body = FileList),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 422, description = "A parameter has a value that it cannot have", body = ErrorBody),
        (status = 503, description = "No index yet; try again", body = ErrorBody),
    )
)]
pub(crate) async fn files(
    State(state): State<AppState>,
    caller: Caller,
    mut parameters: Parameters,
) -> Result<Json<FileList>, ApiError> {
    caller.must_be_curator()?;
    let words = parameters.text("q", MAX_WORDS_CHARS)?.unwrap_or_default().to_lowercase();
    let wanted = parameters.choice("state", &STATES)?;
    parameters.finish()?;
    let (engine, index) = state.engine()?;
    let admission = state.workers().admit()?;
    let listed = admission.run(move || {
        let words: Vec<&str> = words.split_whitespace().collect();
        let mut files = list(&index, jiff::Zoned::now().date(), &words);
        files.extend(unreadable(&engine.store.problems(), &index, &words));
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files.retain(|file| wanted.is_none_or(|state| file.state == state));
        files
    });
    Ok(Json(FileList { files: listed.await? }))
}

#[utoipa::path(
    get, path = "/api/v1/knowledge/files/{path}", tag = "curation", summary = "One file with what the assistant makes of it",
    description = "For marketing and admins.",
    params(("path" = String, Path, description = "Relative to the knowledge folder")),
    responses(
        (status = 200, description = "The file, its documents and their passages", body = FileReply),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 404, description = "There is no such file, in the folder nor in the index", body = ErrorBody),
        (status = 422, description = "The path is none that may be used", body = ErrorBody),
        (status = 503, description = "No index yet; try again", body = ErrorBody),
    )
)]
pub(crate) async fn file(
    State(state): State<AppState>,
    caller: Caller,
    Id(path): Id,
    parameters: Parameters,
) -> Result<Json<FileReply>, ApiError> {
    caller.must_be_curator()?;
    parameters.finish()?;
    let (engine, _) = state.engine()?;
    let reply = state.with_curation(move |curation, _| {
        // Asked before the generation is taken: the other way round an update in between would make an older
        // generation look like the newest.
        let is_indexed = curation.is_indexed(&engine.store, &path);
        let index = engine.store.current().ok_or_else(ApiError::not_ready)?;
        let shelved = match curation.shelf().read(&path) {
            Ok(shelved) => Some(shelved),
            Err(ShelfError::Missing) => None,
            Err(error) => return Err(error.into()),
        };
        let documents: Vec<&Document> = index.documents().filter(|document| document.path == path).collect();
        if shelved.is_none() && documents.is_empty() {
            return Err(ApiError::not_found("there is no such file"));
        }
        let today = jiff::Zoned::now().date();
        let file = if documents.is_empty() {
            empty_item(&path)
        } else {
            file_item(&path, &documents, &index, today)
        };
        let sidecars = [format!("{path}.yaml"), format!("{path}.yml")];
        let problems = engine.store.problems();
        let own = problems.iter().filter(|problem| problem.path == path || sidecars.contains(&problem.path));
        let extension = path.rsplit_once('.').map(|(_, extension)| extension.to_lowercase());
        let is_text = extension.is_some_and(|extension| TEXTS.contains(&extension.as_str()))
            && shelved.as_ref().is_some_and(|shelved| std::str::from_utf8(&shelved.bytes).is_ok());
        Ok(FileReply {
            file,
            bytes: shelved.as_ref().map_or(0, |shelved| shelved.bytes.len() as u64),
            is_text,
            is_indexed,
            tag: shelved.map(|shelved| shelved.tag),
            problems: own.map(ProblemItem::from).collect(),
            contents: documents
                .into_iter()
                .take(MOST_DOCUMENTS)
                .map(|document| document_view(document, &index, today))
                .collect(),
        })
    });
    Ok(Json(reply.await?))
}

fn document_view(document: &Document, index: &Index, today: Date) -> DocumentView {
    let passages = index.chunks(&document.id).iter().map(|chunk| PassageView {
        id: chunk.id.to_string(),
        text: chunk.shown(document),
        location: Location::from(&chunk.location),
    });
    DocumentView {
        id: document.id.to_string(),
        title: document.title.clone(),
        audience: document.audience,
        state: state_of(document, today),
        link: document.link.clone(),
        industry: document.profile.industry.clone(),
        product: document.profile.product.clone(),
        tags: document.tags.clone(),
        keywords: document.keywords.clone(),
        valid_from: document.valid_from,
        valid_until: document.valid_until,
        passages: passages.collect(),
    }
}

#[utoipa::path(
    get, path = "/api/v1/knowledge/health", tag = "curation", summary = "What is wrong in the knowledge, and what the index is doing",
    description = "For marketing and admins. The search for what is wrong begins with the first call after a change and goes on behind it.",
    responses(
        (status = 200, description = "How the knowledge fares", body = KnowledgeHealth),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 503, description = "No index yet; try again", body = ErrorBody),
    )
)]
pub(crate) async fn health(
    State(state): State<AppState>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Json<KnowledgeHealth>, ApiError> {
    caller.must_be_curator()?;
    parameters.finish()?;
    let (engine, index) = state.engine()?;
    let curation = state.curation()?;
    let today = jiff::Zoned::now().date();
    let (found, is_done) = curation.findings(&engine.store, &index, today);
    let mut problems: Vec<ProblemItem> =
        engine.store.problems().iter().chain(found.iter()).map(ProblemItem::from).collect();
    problems
        .sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| (&a.path, a.line).cmp(&(&b.path, b.line))));
    let Indexing { step, error } = curation.indexing();
    let (step, done, total) = match step {
        None => ("idle", 0, 0),
        Some(Progress::Reading) => ("reading", 0, 0),
        Some(Progress::Embedding { done, total }) => ("embedding", done, total),
        Some(Progress::Writing) => ("writing", 0, 0),
    };
    Ok(Json(KnowledgeHealth {
        indexing: IndexingView { step, done, total, error },
        documents: index.summary().documents,
        passages: index.summary().chunks,
        problems,
        is_checking: !is_done,
        expiring: expiring(&index, today),
    }))
}

fn expiring(index: &Index, today: Date) -> Vec<ExpiringView> {
    let last = today.saturating_add(SOON_DAYS.days());
    let mut by_owner: BTreeMap<(bool, Option<&String>), Vec<ExpiringDocument>> = BTreeMap::new();
    for document in index.documents().filter(|document| document.status == Status::Published) {
        let Some(valid_until) = document.valid_until.filter(|until| *until <= last) else { continue };
        by_owner.entry((document.owner.is_none(), document.owner.as_ref())).or_default().push(
            ExpiringDocument {
                id: document.id.to_string(),
                title: document.title.clone(),
                path: document.path.clone(),
                valid_until,
                is_over: valid_until < today,
            },
        );
    }
    by_owner
        .into_iter()
        .map(|((_, owner), mut documents)| {
            documents.sort_by_key(|document| document.valid_until);
            ExpiringView { owner: owner.cloned(), documents }
        })
        .collect()
}

/// The files of the index, in order of path, of which all `words` (lower case) stand somewhere in what they are.
fn list(index: &Index, today: Date, words: &[&str]) -> Vec<FileItem> {
    let mut files: BTreeMap<&str, Vec<&Document>> = BTreeMap::new();
    for document in index.documents() {
        files.entry(&document.path).or_default().push(document);
    }
    files
        .into_iter()
        .filter(|(path, documents)| stands_in(words, path, documents))
        .map(|(path, documents)| file_item(path, &documents, index, today))
        .collect()
}

/// The files that are wholly kept out of the index by an error.
fn unreadable(problems: &[Problem], index: &Index, words: &[&str]) -> Vec<FileItem> {
    let indexed: BTreeSet<&str> = index.documents().map(|document| document.path.as_str()).collect();
    let broken: BTreeSet<&str> = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error && !indexed.contains(problem.path.as_str()))
        .map(|problem| problem.path.as_str())
        .collect();
    broken.into_iter().filter(|path| stands_in(words, path, &[])).map(empty_item).collect()
}

/// A file without documents.
fn empty_item(path: &str) -> FileItem {
    FileItem {
        path: path.to_owned(),
        title: path.rsplit('/').next().unwrap_or(path).to_owned(),
        kind: path.rsplit('/').skip(1).find_map(Kind::from_folder).unwrap_or(Kind::Company),
        audience: Audience::Internal,
        state: FileState::Error,
        documents: 0,
        passages: 0,
        owner: None,
        valid_until: None,
    }
}

fn stands_in(words: &[&str], path: &str, documents: &[&Document]) -> bool {
    words.iter().all(|word| {
        path.to_lowercase().contains(word)
            || documents.iter().any(|document| {
                [Some(&document.title), document.owner.as_ref(), Some(&document.text)]
                    .into_iter()
                    .flatten()
                    .any(|text| text.to_lowercase().contains(word))
            })
    })
}

fn file_item(path: &str, documents: &[&Document], index: &Index, today: Date) -> FileItem {
    let first = documents[0];
    let is_one = documents.len() == 1;
    let name = path.rsplit('/').next().unwrap_or(path);
    // The state that wants attention most speaks for the file; one row out of date is worth a look.
    let state = documents.iter().map(|document| state_of(document, today)).max().unwrap_or(FileState::Served);
    FileItem {
        path: path.to_owned(),
        title: if is_one { first.title.clone() } else { name.to_owned() },
        kind: first.kind,
        audience: documents.iter().map(|document| document.audience).max().unwrap_or(Audience::Internal),
        state,
        documents: documents.len(),
        passages: documents.iter().map(|document| index.chunks(&document.id).len()).sum(),
        owner: documents.iter().find_map(|document| document.owner.clone()),
        valid_until: documents.iter().filter_map(|document| document.valid_until).min(),
    }
}

fn state_of(document: &Document, today: Date) -> FileState {
    match document.status {
        Status::Draft => return FileState::Draft,
        Status::Archived => return FileState::Archived,
        Status::Published => {}
    }
    if document.valid_from.is_some_and(|from| today < from) {
        return FileState::Scheduled;
    }
    match document.valid_until {
        Some(until) if until < today => FileState::Expired,
        Some(until) if until <= today.saturating_add(SOON_DAYS.days()) => FileState::Expiring,
        _ => FileState::Served,
    }
}
