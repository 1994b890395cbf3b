//! `/api/v1/knowledge/about/{path}`: what is said about a file, what could be said of it, and saying it (marketing and
//! admins).

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use flightdeck_assistant::{Proposal, ProposedBecause, propose};
use flightdeck_corpus::{Document, Kind, Says, Statement};
use flightdeck_records::Change;

use crate::access::Caller;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::parameters::{Id, Parameters};
use crate::state::AppState;
use crate::wire::ErrorBody;
use crate::wire::about::{AboutReply, AboutRequest, ProposalView, SaidView};
use crate::wire::knowledge::ChangedReply;

/// Most characters of one value.
const MAX_CHARS: usize = 300;
/// What one line says.
const LINES: [&str; 9] =
    ["title", "kind", "audience", "company_size", "region", "valid_from", "valid_until", "owner", "link"];
/// What a list says.
const LISTS: [&str; 5] = ["industry", "product", "scenario", "tags", "keywords"];

#[utoipa::path(
    get, path = "/api/v1/knowledge/about/{path}", tag = "curation", summary = "What is said about a file, and what could be",
    description = "For marketing and admins. Proposals come from the file's own words and from what is said of the documents nearest to it; none is used before somebody says so. Files whose rows are documents say it row by row and are refused.",
    params(("path" = String, Path, description = "Relative to the knowledge folder")),
    responses(
        (status = 200, description = "What is said, and proposals", body = AboutReply),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 404, description = "The index has no document from such a file", body = ErrorBody),
        (status = 409, description = "Its rows are documents of their own", body = ErrorBody),
        (status = 503, description = "No index yet; try again", body = ErrorBody),
    )
)]
pub(crate) async fn read(
    State(state): State<AppState>,
    caller: Caller,
    Id(path): Id,
    parameters: Parameters,
) -> Result<Json<AboutReply>, ApiError> {
    caller.must_be_curator()?;
    parameters.finish()?;
    let (_, index) = state.engine()?;
    let admission = state.workers().admit()?;
    let reply = admission.run(move || {
        let mut documents = index.documents().filter(|document| document.path == path);
        let document = documents.next().ok_or_else(|| ApiError::not_found("there is no such document"))?;
        if documents.next().is_some() || !document.fields.is_empty() {
            return Err(ApiError::new(
                StatusCode::CONFLICT,
                "rows",
                "its rows are documents of their own and say it themselves",
            ));
        }
        let proposals = propose(&index, document, jiff::Zoned::now().date())?;
        let open = proposals.into_iter().filter(|proposal| is_open(document, proposal));
        Ok(AboutReply { said: said(document), proposals: open.map(view).collect() })
    });
    Ok(Json(reply.await??))
}

#[utoipa::path(
    post, path = "/api/v1/knowledge/about/{path}", tag = "curation", summary = "Say something about a file",
    description = "For marketing and admins. Only what is named changes; null and an empty list take it back, and what `_folder.yaml` says counts again. It is written into the front matter of Markdown and text, else into the sidecar beside the file; all else there stays to the letter.",
    params(("path" = String, Path, description = "Relative to the knowledge folder")),
    request_body = AboutRequest,
    responses(
        (status = 200, description = "Changed", body = ChangedReply),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 404, description = "There is no such file", body = ErrorBody),
        (status = 409, description = "What stands there cannot be changed without harm", body = ErrorBody),
        (status = 415, description = "The body is not declared as JSON", body = ErrorBody),
        (status = 422, description = "The path or a value is none that may be used", body = ErrorBody),
    )
)]
pub(crate) async fn write(
    State(state): State<AppState>,
    caller: Caller,
    Id(path): Id,
    mut fields: Fields,
) -> Result<Json<ChangedReply>, ApiError> {
    caller.must_be_curator()?;
    let statements = statements(&mut fields)?;
    fields.finish()?;
    if statements.is_empty() {
        return Err(ApiError::invalid("", "says nothing"));
    }
    let reply = state.with_curation(move |curation, records| {
        let tag = curation.state(records, &path, &statements, ("describe", caller.actor.as_ref()))?;
        Ok(ChangedReply { path, tag: Some(tag) })
    });
    Ok(Json(reply.await?))
}

fn statements(fields: &mut Fields) -> Result<Vec<Statement>, ApiError> {
    let mut statements = Vec::new();
    for key in LINES {
        let says = match fields.change(key, MAX_CHARS)? {
            Change::Keep => continue,
            Change::Clear => Says::Nothing,
            Change::Set(words) => Says::Words(words),
        };
        if let Says::Words(words) = &says {
            let is_known = match key {
                "kind" => Kind::from_name(words).is_some(),
                "audience" => ["customer", "internal"].contains(&words.as_str()),
                "valid_from" | "valid_until" => words.parse::<jiff::civil::Date>().is_ok(),
                _ => true,
            };
            if !is_known {
                return Err(ApiError::invalid(key, "is not one of its values"));
            }
        }
        statements.push(Statement { key, says });
    }
    for key in LISTS {
        if let Some(items) = fields.list_change(key, MAX_CHARS)? {
            let says = if items.is_empty() { Says::Nothing } else { Says::List(items) };
            statements.push(Statement { key, says });
        }
    }
    Ok(statements)
}

/// Whether nobody has said it yet.
fn is_open(document: &Document, proposal: &Proposal) -> bool {
    match proposal.key {
        "kind" => {
            // Company is what a file is when nothing says what it is.
            let is_placed =
                document.path.rsplit('/').skip(1).any(|folder| Kind::from_folder(folder).is_some());
            document.kind == Kind::Company && !is_placed && proposal.values != [document.kind.name()]
        }
        "industry" => document.profile.industry.is_empty(),
        "product" => document.profile.product.is_empty(),
        "keywords" => document.keywords.is_empty(),
        _ => true,
    }
}

fn said(document: &Document) -> SaidView {
    SaidView {
        title: document.title.clone(),
        kind: document.kind,
        audience: document.audience,
        industry: document.profile.industry.clone(),
        product: document.profile.product.clone(),
        scenario: document.profile.scenario.clone(),
        company_size: document.profile.company_size.clone(),
        region: document.profile.region.clone(),
        tags: document.tags.clone(),
        keywords: document.keywords.clone(),
        valid_from: document.valid_from,
        valid_until: document.valid_until,
        owner: document.owner.clone(),
        link: document.link.clone(),
    }
}

fn view(Proposal { key, values, because }: Proposal) -> ProposalView {
    let (reason, reason_zh) = match because {
        ProposedBecause::FirstLine => ("It is the first line.".to_owned(), "正文第一行。".to_owned()),
        ProposedBecause::Title(words) => {
            (format!("The title says {}.", words.join(", ")), format!("标题里有“{}”。", words.join("”“")))
        }
        ProposedBecause::Text => ("It stands in the text.".to_owned(), "正文里多次出现。".to_owned()),
        ProposedBecause::Alike(titles) if titles.is_empty() => {
            ("The words of the text.".to_owned(), "正文的用词。".to_owned())
        }
        ProposedBecause::Alike(titles) => (
            format!("So it is with the most similar documents: {}.", titles.join("; ")),
            format!("最相近的资料是这样：《{}》。", titles.join("》《")),
        ),
    };
    ProposalView { field: key, values, reason, reason_zh }
}
