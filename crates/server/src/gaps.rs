//! `/api/v1/gaps/…`: questions without an answer, put together by meaning, and what is done about them.
//!
//! An answer that is written here becomes a row of a table in the knowledge folder, which the watcher reads as it reads
//! every change. Only when the index has the row is each question of the group asked again, as whoever asked it; a gap
//! is closed when the answer that comes stands on that row, and stays open otherwise, with the reason.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use flightdeck_assistant::{Origin, Outcome, Request, group};
use flightdeck_corpus::{Audience, KeptRow, KeptTableError, Kind, keep_row};
use flightdeck_records::{Actor, Curated, GapState, NewCurated, OpenGap, Verdict};
use flightdeck_retrieval::{Filters, Index, Mode, Query};

use crate::access::Caller;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::parameters::Parameters;
use crate::state::{AppState, Engine};
use crate::wire::ErrorBody;
use crate::wire::curation::{
    AnswerBody, AnswerRequest, CheckedReply, GAP_STATES, GapGroup, GapGroupList, GapIds, NearPassage, NewRow,
    WrittenReply,
};

/// Gaps that are put together at most, those asked for most: each costs an embedding.
const MAX_GAPS: usize = 300;
/// Passages shown with a group.
const NEAR: usize = 3;

#[utoipa::path(
    get, path = "/api/v1/gaps/groups", tag = "curation", summary = "Read the questions without an answer, by meaning",
    description = "For marketing and admins.",
    params(
        ("state" = Option<String>, Query, description = "`open` (which has those that wait for a row, too), `closed` or `dismissed`; open where nothing is said"),
    ),
    responses(
        (status = 200, description = "Those asked for most first", body = GapGroupList),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 422, description = "A parameter has a value that it cannot have", body = ErrorBody),
        (status = 503, description = "No index yet, or too many requests; try again", body = ErrorBody),
    )
)]
pub(crate) async fn groups(
    State(state): State<AppState>,
    caller: Caller,
    mut parameters: Parameters,
) -> Result<Json<GapGroupList>, ApiError> {
    caller.must_be_curator()?;
    let wanted = parameters.choice("state", &GAP_STATES)?.unwrap_or(GapState::Open);
    parameters.finish()?;
    let (_, index) = state.engine()?;
    let states =
        if wanted == GapState::Open { vec![GapState::Open, GapState::Waiting] } else { vec![wanted] };
    let gaps = state.with_records(move |records| Ok(records.gaps_in(&states, MAX_GAPS)?)).await?;
    let admission = state.workers().admit()?;
    let grouped = admission.run(move || grouped(&index, &gaps));
    Ok(Json(GapGroupList { groups: grouped.await?? }))
}

fn grouped(index: &Index, gaps: &[OpenGap]) -> Result<Vec<GapGroup>, ApiError> {
    let questions: Vec<&str> = gaps.iter().map(|gap| gap.question.as_str()).collect();
    let mut groups = Vec::new();
    for found in group(index, &questions)? {
        let members: Vec<(&OpenGap, f32)> =
            found.members.iter().map(|(place, close)| (&gaps[*place], *close)).collect();
        let mut askers: BTreeMap<Option<&str>, u64> = BTreeMap::new();
        for asker in members.iter().flat_map(|(gap, _)| &gap.askers) {
            *askers.entry(asker.name.as_deref()).or_default() += asker.count;
        }
        let near = index.search_fused(&Query {
            text: members[0].0.question.clone(),
            audience: Audience::Internal,
            day: jiff::Zoned::now().date(),
            filters: Filters::default(),
            mode: Mode::Hybrid,
            top_k: NEAR,
        })?;
        groups.push(GapGroup::new(&members, &askers, near.iter().map(NearPassage::from).collect()));
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    Ok(groups)
}

#[utoipa::path(
    post, path = "/api/v1/gaps/answer", tag = "curation", summary = "Answer questions with a row of the knowledge",
    description = "For marketing and admins. The row goes into `faqs/console.csv`; the questions are closed when they \
                   are answered from it.",
    request_body = AnswerBody,
    responses(
        (status = 200, description = "Where the row is", body = WrittenReply),
        (status = 400, description = "The body is not a JSON object", body = ErrorBody),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 404, description = "One of the questions is not there", body = ErrorBody),
        (status = 409, description = "The table that is there cannot take the row", body = ErrorBody),
        (status = 413, description = "The body is over 256 KiB", body = ErrorBody),
        (status = 415, description = "The body is not declared as JSON", body = ErrorBody),
        (status = 422, description = "A field has a value that it cannot have", body = ErrorBody),
        (status = 503, description = "This server has no folder to write to", body = ErrorBody),
    )
)]
pub(crate) async fn answer(
    State(state): State<AppState>,
    caller: Caller,
    fields: Fields,
) -> Result<Json<WrittenReply>, ApiError> {
    caller.must_be_curator()?;
    let AnswerRequest { gaps, row } = AnswerRequest::from_fields(fields)?;
    let written = write_row(&state, caller.actor, Kind::Faq, row, Source::Gaps(gaps)).await?;
    Ok(Json(written))
}

/// What a row settles.
pub(crate) enum Source {
    Gaps(Vec<i64>),
    Feedback(String),
}

/// Writes a row into the knowledge and notes what it settles.
pub(crate) async fn write_row(
    state: &AppState,
    actor: Option<Actor>,
    kind: Kind,
    row: NewRow,
    source: Source,
) -> Result<WrittenReply, ApiError> {
    let root = state.kept_tables()?.to_owned();
    state
        .with_records(move |records| {
            let is_known = match &source {
                Source::Gaps(gaps) => records.has_gaps(gaps)?,
                Source::Feedback(id) => records.has_feedback(id)?,
            };
            if !is_known {
                return Err(ApiError::not_found("what this row is to settle is not there any more"));
            }
            let kept = KeptRow {
                question: row.question,
                answer: row.answer,
                keywords: row.keywords,
                audience: row.audience,
                author: actor.as_ref().map(|actor| actor.name.clone()),
                date: jiff::Zoned::now().date(),
            };
            let place = keep_row(&root, kind, &kept).map_err(cannot_keep)?;
            let (gaps, feedback) = match source {
                Source::Gaps(gaps) => (gaps, None),
                Source::Feedback(id) => (Vec::new(), Some(id)),
            };
            let audience = if kept.audience == Audience::Customer { "customer" } else { "internal" };
            let new = NewCurated {
                document_id: place.document_id.clone(),
                path: place.path,
                question: kept.question,
                answer: kept.answer,
                audience: audience.to_owned(),
                gaps,
                feedback,
            };
            let written = records.put_curated(&new, actor.as_ref())?;
            Ok(WrittenReply::new(written, place.replaced))
        })
        .await
}

fn cannot_keep(error: KeptTableError) -> ApiError {
    match error {
        KeptTableError::Io { .. } | KeptTableError::NoTable(_) => ApiError::internal(&error),
        other => ApiError::new(axum::http::StatusCode::CONFLICT, "table_unfit", other.to_string()),
    }
}

#[utoipa::path(
    post, path = "/api/v1/gaps/dismiss", tag = "curation", summary = "Say that questions need no answer, or do",
    description = "For marketing and admins.",
    request_body = GapIds,
    responses(
        (status = 204, description = "Done"),
        (status = 400, description = "The body is not a JSON object", body = ErrorBody),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 404, description = "One of the questions is not there", body = ErrorBody),
        (status = 415, description = "The body is not declared as JSON", body = ErrorBody),
        (status = 422, description = "A field has a value that it cannot have", body = ErrorBody),
    )
)]
pub(crate) async fn dismiss(
    State(state): State<AppState>,
    caller: Caller,
    fields: Fields,
) -> Result<axum::http::StatusCode, ApiError> {
    caller.must_be_curator()?;
    let GapIds { gaps, undo } = GapIds::from_fields(fields)?;
    state.with_records(move |records| Ok(records.settle_gaps(&gaps, undo, caller.actor.as_ref())?)).await?;
    Ok(axum::http::StatusCode::NO_CONTENT)
}

#[utoipa::path(
    post, path = "/api/v1/gaps/check", tag = "curation", summary = "Ask questions again that have an answer by now",
    description = "For marketing and admins. This also happens by itself after every change of the knowledge.",
    responses(
        (status = 200, description = "How many were closed, and how many stay open", body = CheckedReply),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 503, description = "No index yet, or too many requests; try again", body = ErrorBody),
    )
)]
pub(crate) async fn check(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<CheckedReply>, ApiError> {
    caller.must_be_curator()?;
    let admission = state.workers().admit()?;
    let (closed, open) = admission.run(move || ask_again(&state)).await??;
    Ok(Json(CheckedReply { closed, open }))
}

/// Asks every gap again that a row was written for; how many are closed now, and how many stay open. CPU-bound.
///
/// # Errors
/// When there is no index, or the records fail.
pub(crate) fn ask_again(state: &AppState) -> Result<(usize, usize), ApiError> {
    let (engine, index) = state.engine()?;
    let gaps = state.records().gaps_with_rows()?;
    let mut verdicts = Vec::new();
    for gap in &gaps {
        let Some(row) = &gap.row else { continue };
        if let Some(verdict) = verdict(&engine, &index, gap, row)? {
            verdicts.push((verdict, row.id.clone()));
        }
    }
    state.records().record_verdicts(&verdicts)?;
    let n_closed = verdicts.iter().filter(|(verdict, _)| verdict.why.is_none()).count();
    Ok((n_closed, gaps.len() - n_closed))
}

/// Whether a gap's question is answered from its row now; `None` while the index does not have the row.
fn verdict(
    engine: &Engine,
    index: &Index,
    gap: &OpenGap,
    row: &Curated,
) -> Result<Option<Verdict>, ApiError> {
    let why = |why: &str| Ok(Some(Verdict { gap: gap.id, why: Some(why.to_owned()) }));
    let audience = if gap.audience == "customer" { Audience::Customer } else { Audience::Internal };
    // A sidecar may give the table another id; the row's own stays.
    let (_, row_id) = row.document_id.rsplit_once('#').unwrap_or_default();
    let is_it = |id: &str| id.rsplit_once('#').is_some_and(|(_, id)| id == row_id);
    let Some(document) = index.documents().find(|found| found.path == row.path && is_it(&found.id.0)) else {
        return Ok(None);
    };
    // The index may still have the row as it was before.
    if !document.text.contains(row.answer.trim().lines().next().unwrap_or_default().trim()) {
        return Ok(None);
    }
    let day = jiff::Zoned::now().date();
    if index.document(&document.id.0, audience, day).is_none() {
        return why(if audience == Audience::Customer { "hidden_from_customers" } else { "not_served" });
    }
    let answer = Arc::clone(&engine.assistant).preview(&Request {
        message: gap.question.clone(),
        session_id: None,
        customer_id: None,
        customer: None,
        audience,
        day,
        origin: Origin::default(),
    })?;
    if answer.outcome != Outcome::Grounded {
        return why("still_refused");
    }
    if !answer.citations.iter().any(|citation| citation.document().id == document.id) {
        return why("other_sources");
    }
    Ok(Some(Verdict { gap: gap.id, why: None }))
}
