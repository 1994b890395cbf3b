//! What curators do, on the wire: groups of gaps, rows that are written, what is used.

use std::collections::BTreeMap;

use flightdeck_corpus::{Audience, Document, Kind};
use flightdeck_records::{Curated, GapState, OpenGap, Totals, UsedDocument};
use flightdeck_retrieval::Passage;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, Type};

use super::{AUDIENCES, DocumentRef, MAX_QUESTION_CHARS, audience_schema, intent_schema, kind_schema, names};
use crate::error::ApiError;
use crate::fields::Fields;

const MAX_ANSWER_CHARS: usize = 10_000;
const MAX_KEYWORD_CHARS: usize = 100;

pub(crate) const GAP_STATES: [(&str, GapState); 3] =
    [("open", GapState::Open), ("closed", GapState::Closed), ("dismissed", GapState::Dismissed)];

// Requests

/// A row of a table of questions and answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewRow {
    pub question: String,
    pub answer: String,
    pub keywords: Vec<String>,
    pub audience: Audience,
}

/// An answer to questions that had none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AnswerRequest {
    pub gaps: Vec<i64>,
    pub row: NewRow,
}

/// An answer to questions that had none.
#[derive(ToSchema)]
#[schema(as = AnswerRequest)]
#[allow(dead_code, reason = "describes the wire")]
pub(crate) struct AnswerBody {
    /// Ids of the questions that it is to answer.
    #[schema(min_items = 1, max_items = 100)]
    gaps: Vec<i64>,
    /// The question as the row has it.
    #[schema(min_length = 1, max_length = 4000)]
    question: String,
    #[schema(min_length = 1, max_length = 10_000)]
    answer: String,
    /// Words that people use for it and neither question nor answer has.
    #[schema(required = false)]
    keywords: Vec<String>,
    /// Who may see it: nothing is for customers that nobody has marked so.
    #[schema(schema_with = audience_schema)]
    audience: String,
}

/// A row that an opinion becomes.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the wire")]
pub(crate) struct ApproveBody {
    #[schema(min_length = 1, max_length = 4000)]
    question: String,
    #[schema(min_length = 1, max_length = 10_000)]
    answer: String,
    /// Words that people use for it and neither question nor answer has.
    #[schema(required = false)]
    keywords: Vec<String>,
    #[schema(schema_with = audience_schema)]
    audience: String,
}

impl NewRow {
    fn take(fields: &mut Fields) -> Result<Self, ApiError> {
        let audience = fields.choice("audience", &AUDIENCES)?;
        Ok(Self {
            question: fields.text("question", MAX_QUESTION_CHARS)?.trim().to_owned(),
            answer: fields.text("answer", MAX_ANSWER_CHARS)?.trim().to_owned(),
            keywords: fields.texts("keywords", MAX_KEYWORD_CHARS)?,
            audience: audience.ok_or_else(|| ApiError::invalid("audience", "is required"))?,
        })
    }

    pub fn from_fields(mut fields: Fields) -> Result<Self, ApiError> {
        let row = Self::take(&mut fields)?;
        fields.finish()?;
        Ok(row)
    }
}

impl AnswerRequest {
    pub fn from_fields(mut fields: Fields) -> Result<Self, ApiError> {
        let request = Self { gaps: gap_ids(&mut fields)?, row: NewRow::take(&mut fields)? };
        fields.finish()?;
        Ok(request)
    }
}

/// Questions that need no answer.
#[derive(Debug, ToSchema)]
pub(crate) struct GapIds {
    /// Their ids.
    #[schema(min_items = 1, max_items = 100)]
    pub gaps: Vec<i64>,
    /// Whether they need one after all.
    #[schema(required = false, default = false)]
    pub undo: bool,
}

impl GapIds {
    pub fn from_fields(mut fields: Fields) -> Result<Self, ApiError> {
        let ids = Self { gaps: gap_ids(&mut fields)?, undo: fields.flag("undo")? };
        fields.finish()?;
        Ok(ids)
    }
}

/// What becomes of an opinion.
#[derive(Debug, ToSchema)]
pub(crate) struct DismissFeedback {
    /// Whether something is to come of it after all.
    #[schema(required = false, default = false)]
    pub undo: bool,
}

impl DismissFeedback {
    pub fn from_fields(mut fields: Fields) -> Result<Self, ApiError> {
        let request = Self { undo: fields.flag("undo")? };
        fields.finish()?;
        Ok(request)
    }
}

fn gap_ids(fields: &mut Fields) -> Result<Vec<i64>, ApiError> {
    let ids = fields.integers("gaps", 1..=i64::MAX as u64)?;
    if ids.is_empty() {
        return Err(ApiError::invalid("gaps", "must name one at least"));
    }
    Ok(ids.into_iter().map(u64::cast_signed).collect())
}

// Replies

/// Questions without an answer that mean the same.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GapGroup {
    /// The one that was asked most.
    pub question: String,
    /// How often they were asked together.
    pub count: u64,
    #[schema(format = DateTime)]
    pub first_at: String,
    #[schema(format = DateTime)]
    pub last_at: String,
    /// Who asked, most first.
    pub askers: Vec<AskerReply>,
    /// `waiting` where all of them wait for a row to be indexed.
    #[schema(schema_with = gap_state_schema)]
    pub state: &'static str,
    /// Those that were asked most first.
    pub questions: Vec<GapItem>,
    /// What the knowledge has that is nearest to the question, whoever may see it.
    pub nearest: Vec<NearPassage>,
}

/// Somebody who asked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AskerReply {
    /// Name of the key; null for this machine, and where the key is gone.
    pub name: Option<String>,
    pub count: u64,
}

/// A question without an answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GapItem {
    pub id: i64,
    pub question: String,
    /// How close it is to the first of its group, 0 to 1.
    pub closeness: f32,
    /// Who asked.
    #[schema(schema_with = audience_schema)]
    pub audience: String,
    #[schema(schema_with = intent_schema)]
    pub intent: String,
    /// Why there was no answer the last time.
    pub reason: String,
    pub count: u64,
    #[schema(format = DateTime)]
    pub last_at: String,
    #[schema(schema_with = gap_state_schema)]
    pub state: &'static str,
    /// Why it is still open although there is a row: `still_refused`, `other_sources`, `hidden_from_customers`,
    /// `not_served`, or `asked_again` for one that was closed.
    pub why: Option<String>,
    /// When it was tried last.
    #[schema(format = DateTime)]
    pub checked_at: Option<String>,
    /// The row that is to answer it.
    pub row: Option<RowReply>,
}

/// A row that was written in the console.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RowReply {
    /// The document that it becomes in the index.
    #[schema(example = "faqs/console#r5b159aa985c8")]
    pub document_id: String,
    /// The table's path in the knowledge folder.
    #[schema(example = "faqs/console.csv")]
    pub path: String,
    pub question: String,
    pub answer: String,
    #[schema(schema_with = audience_schema)]
    pub audience: String,
    /// Name of the key that it was written with.
    pub author: Option<String>,
    #[schema(format = DateTime)]
    pub written_at: String,
}

/// A passage that is near to a question and does not answer it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NearPassage {
    pub document: DocumentRef,
    pub text: String,
    /// Cosine of question and passage.
    pub closeness: Option<f32>,
}

/// Groups, those asked for most first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GapGroupList {
    pub groups: Vec<GapGroup>,
}

/// A row that is in the knowledge folder now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WrittenReply {
    pub row: RowReply,
    /// Whether a row with the same question was there before.
    pub replaced: bool,
}

/// What came of asking again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CheckedReply {
    /// Questions that are answered from their row now.
    pub closed: usize,
    /// Questions with a row that stay open, or that wait for it to be indexed.
    pub open: usize,
}

impl GapGroup {
    /// `members` has the leader first.
    pub fn new(
        members: &[(&OpenGap, f32)],
        askers: &BTreeMap<Option<&str>, u64>,
        nearest: Vec<NearPassage>,
    ) -> Self {
        let gaps = || members.iter().map(|(gap, _)| *gap);
        let mut askers: Vec<AskerReply> = askers
            .iter()
            .map(|(name, count)| AskerReply { name: name.map(str::to_owned), count: *count })
            .collect();
        askers.sort_by_key(|asker| std::cmp::Reverse(asker.count));
        let states: Vec<GapState> = gaps().map(|gap| gap.state).collect();
        let state = if states.contains(&GapState::Open) { GapState::Open } else { states[0] };
        let time = |time: Option<jiff::Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
        Self {
            question: members[0].0.question.clone(),
            count: gaps().map(|gap| gap.count).sum(),
            first_at: time(gaps().map(|gap| gap.first_at).min()),
            last_at: time(gaps().map(|gap| gap.last_at).max()),
            askers,
            state: state.name(),
            questions: members.iter().map(|(gap, closeness)| GapItem::new(gap, *closeness)).collect(),
            nearest,
        }
    }
}

impl GapItem {
    fn new(gap: &OpenGap, closeness: f32) -> Self {
        Self {
            id: gap.id,
            question: gap.question.clone(),
            closeness,
            audience: gap.audience.clone(),
            intent: gap.intent.clone(),
            reason: gap.reason.clone(),
            count: gap.count,
            last_at: gap.last_at.to_string(),
            state: gap.state.name(),
            why: gap.why.clone(),
            checked_at: gap.checked_at.map(|at| at.to_string()),
            row: gap.row.clone().map(RowReply::from),
        }
    }
}

impl From<Curated> for RowReply {
    fn from(row: Curated) -> Self {
        let Curated { document_id, path, question, answer, audience, author, written_at, .. } = row;
        Self { document_id, path, question, answer, audience, author, written_at: written_at.to_string() }
    }
}

impl From<&Passage> for NearPassage {
    fn from(passage: &Passage) -> Self {
        Self {
            document: DocumentRef::from(&*passage.document),
            text: passage.chunk.shown(&passage.document),
            closeness: passage.scores.whole,
        }
    }
}

impl WrittenReply {
    pub fn new(row: Curated, replaced: bool) -> Self {
        Self { row: row.into(), replaced }
    }
}

// What works

/// What of the knowledge is used, and what came of it. Counts of what happened together, not of causes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InsightsReply {
    /// First day.
    #[schema(format = Date)]
    pub from: String,
    /// Last day, inclusive.
    #[schema(format = Date)]
    pub to: String,
    pub totals: TotalsReply,
    /// Documents that were cited or sent, most used first; rows of one table each for itself.
    pub documents: Vec<UsedReply>,
    /// All videos that are served, with the platform's figures and what was done with them here.
    pub videos: Vec<VideoReply>,
    /// Files of which nothing was cited or sent, by kind; at most 200.
    pub unused: Vec<UnusedReply>,
    /// How many there are.
    pub unused_total: usize,
    /// Files that are served.
    pub files_total: usize,
}

/// How much there is to count.
#[derive(Debug, Serialize, ToSchema)]
#[allow(missing_docs, reason = "described there")]
pub(crate) struct TotalsReply {
    /// Answers given.
    pub answers: u64,
    /// Of those, refusals.
    pub refused: u64,
    pub up: u64,
    pub down: u64,
    /// Things sent to customers.
    pub sent: u64,
    /// Customers that something was sent to.
    pub reached: u64,
    /// Of those, the ones that have bought, by their stage now.
    pub reached_won: u64,
    /// All customers in the records, now.
    pub customers: u64,
    /// Of those, the ones that have bought.
    pub customers_won: u64,
}

impl From<Totals> for TotalsReply {
    fn from(totals: Totals) -> Self {
        let Totals { answers, refused, up, down, sent, reached, reached_won, customers, customers_won } =
            totals;
        Self { answers, refused, up, down, sent, reached, reached_won, customers, customers_won }
    }
}

/// What was done with one document.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsedReply {
    pub id: String,
    /// Null where the document is not in the knowledge any more.
    pub document: Option<DocumentRef>,
    #[serde(flatten)]
    pub used: UsedCounts,
}

/// Counts.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct UsedCounts {
    /// Answers that cite it.
    pub cited: u64,
    /// Of those, answers for customers.
    pub cited_for_customers: u64,
    /// Thumbs for answers that cite it.
    pub up: u64,
    pub down: u64,
    /// How often it was sent.
    pub sent: u64,
    /// Customers that it was sent to.
    pub reached: u64,
    /// Of those, the ones that have bought, by their stage now.
    pub reached_won: u64,
}

impl From<&UsedDocument> for UsedCounts {
    fn from(used: &UsedDocument) -> Self {
        let UsedDocument { cited, cited_for_customers, up, down, sent, reached, reached_won } = used.clone();
        Self { cited, cited_for_customers, up, down, sent, reached, reached_won }
    }
}

/// A video with its figures.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VideoReply {
    pub document: DocumentRef,
    pub platform: Option<String>,
    #[schema(example = "2026-03-12")]
    pub published_at: Option<String>,
    /// The platform's figures, as the table has them; null where it has none or they are no numbers.
    pub views: Option<f64>,
    /// 0 to 1.
    pub completion_rate: Option<f64>,
    pub likes: Option<f64>,
    pub leads: Option<f64>,
    pub deals: Option<f64>,
    #[serde(flatten)]
    pub used: UsedCounts,
}

impl VideoReply {
    pub fn new(document: &Document, used: UsedCounts) -> Self {
        let text = |name: &str| {
            document.field(name).map(|field| field.value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        let number = |name: &str| text(name).as_deref().and_then(figure);
        Self {
            document: DocumentRef::from(document),
            platform: text("platform"),
            published_at: text("published_at"),
            views: number("views"),
            completion_rate: number("completion_rate"),
            likes: number("likes"),
            leads: number("leads"),
            deals: number("deals"),
            used,
        }
    }
}

/// A figure as people write it: `48,600`, `4.8万`, `46%`.
fn figure(written: &str) -> Option<f64> {
    let bare: String = written.chars().filter(|c| !c.is_whitespace() && !matches!(c, ',' | '，')).collect();
    let (bare, factor) = if let Some(bare) = bare.strip_suffix(['%', '％']) {
        (bare, 0.01)
    } else if let Some(bare) = bare.strip_suffix('万') {
        (bare, 10_000.0)
    } else if let Some(bare) = bare.strip_suffix('亿') {
        (bare, 100_000_000.0)
    } else {
        (bare.as_str(), 1.0)
    };
    bare.parse::<f64>().ok().filter(|number| number.is_finite()).map(|number| number * factor)
}

/// A file that nobody used.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UnusedReply {
    pub path: String,
    pub title: String,
    #[schema(schema_with = kind_schema)]
    pub kind: Kind,
    #[schema(schema_with = audience_schema)]
    pub audience: Audience,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Documents in it: rows of a table, or the file itself.
    pub documents: usize,
}

// Schemas

fn gap_state_schema() -> Object {
    names([Type::String], GapState::ALL.map(GapState::name)).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_as_people_write_them() {
        let close = |written: &str, number: f64| (figure(written).unwrap() - number).abs() < 1e-6;
        assert!(close("48,600", 48_600.0) && close("4.8万", 48_000.0) && close("46%", 0.46));
        assert_eq!((figure("很多"), figure("")), (None, None));
    }
}
