//! `GET /api/v1/insights`: what of the knowledge is used, and what came of it.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use flightdeck_corpus::{Audience, Kind};
use flightdeck_records::{Span, Totals, UsedDocument};
use flightdeck_retrieval::Index;
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::access::Caller;
use crate::error::ApiError;
use crate::parameters::Parameters;
use crate::state::AppState;
use crate::wire::curation::{InsightsReply, UnusedReply, UsedCounts, UsedReply, VideoReply};
use crate::wire::{DocumentRef, ErrorBody};

/// Days that are looked at where nothing is said.
const DAYS: i64 = 90;
const MAX_UNUSED: usize = 200;

#[utoipa::path(
    get, path = "/api/v1/insights", tag = "curation", summary = "Read what of the knowledge is used, and what came of it",
    description = "For marketing and admins. Days are the server's own.",
    params(
        ("from" = Option<String>, Query, description = "First day, `2026-09-01`; 90 days before the last where nothing is said"),
        ("to" = Option<String>, Query, description = "Last day, inclusive; today where nothing is said"),
    ),
    responses(
        (status = 200, description = "What was cited and sent, what became of it, and what nobody used", body = InsightsReply),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 422, description = "A day is none, or the last is before the first", body = ErrorBody),
        (status = 503, description = "No index yet; try again", body = ErrorBody),
    )
)]
pub(crate) async fn insights(
    State(state): State<AppState>,
    caller: Caller,
    mut parameters: Parameters,
) -> Result<Json<InsightsReply>, ApiError> {
    caller.must_be_curator()?;
    let (from, to) = (day(&mut parameters, "from")?, day(&mut parameters, "to")?);
    parameters.finish()?;
    let today = jiff::Zoned::now().date();
    let to = to.unwrap_or(today);
    let from = from.unwrap_or_else(|| to.saturating_sub((DAYS - 1).days()));
    if to < from {
        return Err(ApiError::invalid("to", "must not be before `from`"));
    }
    let span = Span { from: begins(from)?, until: begins(to.saturating_add(1.day()))? };
    let (_, index) = state.engine()?;
    let counted =
        state.with_records(move |records| Ok((records.totals(span)?, records.used_documents(span)?))).await?;
    let admission = state.workers().admit()?;
    let reply = admission.run(move || reply(&index, (from, to), counted, today));
    Ok(Json(reply.await?))
}

fn day(parameters: &mut Parameters, name: &str) -> Result<Option<Date>, ApiError> {
    let Some(text) = parameters.text(name, 10)? else { return Ok(None) };
    text.parse().map(Some).map_err(|_| ApiError::invalid(name, "must be a day as in 2026-11-26"))
}

/// The first moment of a day, where this machine stands.
fn begins(day: Date) -> Result<jiff::Timestamp, ApiError> {
    let zoned = day.to_zoned(TimeZone::system());
    zoned.map(|zoned| zoned.timestamp()).map_err(|_| ApiError::invalid("to", "is too far away"))
}

fn reply(
    index: &Index,
    (from, to): (Date, Date),
    (totals, used): (Totals, BTreeMap<String, UsedDocument>),
    today: Date,
) -> InsightsReply {
    let counts = |id: &str| used.get(id).map(UsedCounts::from).unwrap_or_default();
    let mut documents: Vec<UsedReply> = used
        .iter()
        .map(|(id, used)| UsedReply {
            id: id.clone(),
            document: index.documents().find(|found| *found.id.0 == **id).map(DocumentRef::from),
            used: UsedCounts::from(used),
        })
        .collect();
    documents.sort_by_key(|entry| std::cmp::Reverse((entry.used.cited + entry.used.sent, entry.used.sent)));

    let replaced = index.replaced(Audience::Internal, today);
    let mut videos = Vec::new();
    let mut files: BTreeMap<&str, (UnusedReply, bool)> = BTreeMap::new();
    for document in index.served(Audience::Internal, today) {
        let own = counts(&document.id.0);
        let is_used = own.cited + own.sent > 0;
        if document.kind == Kind::Video {
            videos.push(VideoReply::new(document, own));
        }
        if replaced.contains(&document.id) {
            continue;
        }
        let entry = files.entry(&document.path).or_insert_with(|| {
            let (path, title) = (document.path.clone(), document.title.clone());
            let (kind, audience, owner) = (document.kind, document.audience, document.owner.clone());
            (UnusedReply { path, title, kind, audience, owner, documents: 0 }, false)
        });
        entry.0.documents += 1;
        entry.1 |= is_used;
    }
    videos.sort_by(|a, b| {
        let strength = |video: &VideoReply| (video.deals.unwrap_or(0.0), video.leads.unwrap_or(0.0));
        let ((deals_a, leads_a), (deals_b, leads_b)) = (strength(a), strength(b));
        deals_b
            .total_cmp(&deals_a)
            .then(leads_b.total_cmp(&leads_a))
            .then_with(|| a.document.id.cmp(&b.document.id))
    });
    let files_total = files.len();
    let mut unused: Vec<UnusedReply> =
        files.into_values().filter(|(_, is_used)| !is_used).map(|(file, _)| file).collect();
    for file in &mut unused {
        // The title of a table's first row says nothing of the table.
        if file.documents > 1 {
            file.title = file.path.rsplit('/').next().unwrap_or_default().to_owned();
        }
    }
    unused.sort_by(|a, b| a.kind.cmp(&b.kind).then_with(|| a.path.cmp(&b.path)));
    let unused_total = unused.len();
    unused.truncate(MAX_UNUSED);
    InsightsReply {
        from: from.to_string(),
        to: to.to_string(),
        totals: totals.into(),
        documents,
        videos,
        unused,
        unused_total,
        files_total,
    }
}
