//! `/api/v1/knowledge`: the folder behind the answers, for those who look after it (marketing and admins).
//!
//! What a curator handles is a file; what a search finds is a document, and a table is one file of many. So
//! everything here goes by the file's path, and a file's state is that of its documents together.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use flightdeck_corpus::{Audience, Document, Status};
use flightdeck_retrieval::Index;
use jiff::ToSpan;
use jiff::civil::Date;

use crate::access::Caller;
use crate::error::ApiError;
use crate::parameters::Parameters;
use crate::state::AppState;
use crate::wire::ErrorBody;
use crate::wire::knowledge::{FileItem, FileList, FileState, STATES};

/// Documents that expire within so many days are said to be expiring.
const SOON_DAYS: i64 = 30;
const MAX_WORDS_CHARS: usize = 200;

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
    let (_, index) = state.engine()?;
    let admission = state.workers().admit()?;
    let listed = admission.run(move || {
        let words: Vec<&str> = words.split_whitespace().collect();
        let mut files = list(&index, jiff::Zoned::now().date(), &words);
        files.retain(|file| wanted.is_none_or(|state| file.state == state));
        files
    });
    Ok(Json(FileList { files: listed.await? }))
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
