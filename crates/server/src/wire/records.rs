//! What people do, on the wire: customers, their timelines, conversations, feedback, gaps, the audit trail.
//!
//! A list that goes on is `{NAME: […], "next": ID}`; `next` is what to give as `after` for the following page, and null at
//! the end. Times are RFC 3339 in UTC.

use std::collections::BTreeMap;

use flightdeck_assistant::{Intent, KeptAnswer, RefusalReason};
use flightdeck_records::{
    AuditEntry as AuditRecord, Change, Conversation as ConversationRecord, Customer as CustomerRecord,
    CustomerChange, CustomerProfile, Erased, Feedback as FeedbackRecord, FeedbackState, Gap as GapRecord,
    Interaction as InteractionRecord, InteractionKind, JudgedAnswer as JudgedRecord,
    Message as MessageRecord, NewInteraction, PersonalData as PersonalRecord, Rating, Role, Session,
    id_from_name,
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::schema::Object;

use super::{
    Citation, MAX_ID_CHARS, MAX_PROFILE_CHARS, intent_schema, names, profile, refusal_reason_schema,
};
use crate::error::ApiError;
use crate::fields::Fields;

/// Longest id that may be given to a new customer, in characters.
const MAX_CUSTOMER_ID_CHARS: usize = 200;
/// Longest entry of a timeline, reason or correction, in characters.
const MAX_TEXT_CHARS: usize = 10_000;
const MAX_REASON_CHARS: usize = 500;

pub(crate) const RATINGS: [(&str, Rating); 2] = [("up", Rating::Up), ("down", Rating::Down)];

// Customers

/// A customer to be added.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the wire; the records' own type holds the values")]
pub(crate) struct NewCustomer {
    /// Stable and unique; made from the name where there is none.
    #[schema(max_length = 200, example = "c-102")]
    id: Option<String>,
    name: Option<String>,
    industry: Option<String>,
    company_size: Option<String>,
    region: Option<String>,
    needs: Option<String>,
    scenario: Option<String>,
    stage: Option<String>,
    /// Whatever else is known, by names of your own.
    #[schema(required = false)]
    attributes: BTreeMap<String, String>,
}

/// The customer in the body of a request.
pub(crate) fn new_customer(mut fields: Fields) -> Result<CustomerRecord, ApiError> {
    let id = fields.optional_text("id", MAX_CUSTOMER_ID_CHARS)?.filter(|id| !id.trim().is_empty());
    let mut attributes = BTreeMap::new();
    if let Some(given) = fields.object("attributes")? {
        for (name, change) in given.changes(MAX_PROFILE_CHARS)? {
            if let Change::Set(value) = change {
                attributes.insert(name, value);
            }
        }
    }
    let profile = profile(&mut fields)?;
    fields.finish()?;
    if id.as_ref().is_some_and(|id| id.chars().any(char::is_control)) {
        return Err(ApiError::invalid("id", "must not hold control characters"));
    }
    let id = match (id, &profile.name) {
        (Some(id), _) => id.trim().to_owned(),
        (None, Some(name)) => id_from_name(name),
        (None, None) => return Err(ApiError::invalid("name", "a customer needs a name or an id")),
    };
    Ok(CustomerRecord { attributes, ..CustomerRecord::new(id, profile) })
}

/// What is to change of a customer: a text sets a field, null empties it, what is not named stays.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the wire; the records' own type holds the values")]
pub(crate) struct CustomerPatch {
    #[schema(required = false)]
    name: Option<String>,
    #[schema(required = false)]
    industry: Option<String>,
    #[schema(required = false)]
    company_size: Option<String>,
    #[schema(required = false)]
    region: Option<String>,
    #[schema(required = false)]
    needs: Option<String>,
    #[schema(required = false)]
    scenario: Option<String>,
    #[schema(required = false)]
    stage: Option<String>,
    /// By name, as above.
    #[schema(required = false)]
    attributes: BTreeMap<String, Option<String>>,
}

pub(crate) fn customer_change(mut fields: Fields) -> Result<CustomerChange, ApiError> {
    let attributes = match fields.object("attributes")? {
        Some(given) => given.changes(MAX_PROFILE_CHARS)?,
        None => BTreeMap::new(),
    };
    let mut change = |name| fields.change(name, MAX_PROFILE_CHARS);
    let change = CustomerChange {
        name: change("name")?,
        industry: change("industry")?,
        company_size: change("company_size")?,
        region: change("region")?,
        needs: change("needs")?,
        scenario: change("scenario")?,
        stage: change("stage")?,
        attributes,
    };
    fields.finish()?;
    Ok(change)
}

/// A customer in the records.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CustomerReply {
    #[schema(example = "c-102")]
    pub id: String,
    pub name: Option<String>,
    pub industry: Option<String>,
    pub company_size: Option<String>,
    pub region: Option<String>,
    pub needs: Option<String>,
    pub scenario: Option<String>,
    pub stage: Option<String>,
    /// Whatever else is known.
    pub attributes: BTreeMap<String, String>,
    /// When the record was written last.
    #[schema(format = DateTime)]
    pub updated_at: String,
}

impl From<CustomerRecord> for CustomerReply {
    fn from(customer: CustomerRecord) -> Self {
        let CustomerRecord { id, profile, attributes, updated_at } = customer;
        let CustomerProfile { name, industry, company_size, region, needs, scenario, stage } = profile;
        let updated_at = updated_at.to_string();
        Self { id, name, industry, company_size, region, needs, scenario, stage, attributes, updated_at }
    }
}

/// Customers, by name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CustomerList {
    pub customers: Vec<CustomerReply>,
    /// The `after` of the next page.
    pub next: Option<String>,
}

/// How much was erased.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErasedReply {
    /// Entries of the timeline.
    pub interactions: usize,
    /// Conversations.
    pub conversations: usize,
    /// Messages of those.
    pub messages: usize,
}

impl From<Erased> for ErasedReply {
    fn from(erased: Erased) -> Self {
        let Erased { interactions, conversations, messages } = erased;
        Self { interactions, conversations, messages }
    }
}

/// All that the records hold of one customer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PersonalDataReply {
    pub customer: CustomerReply,
    /// The timeline, oldest first.
    pub interactions: Vec<InteractionReply>,
    /// The conversations about them, oldest first.
    pub conversations: Vec<PersonalConversation>,
}

/// A conversation about a customer, whole.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PersonalConversation {
    pub id: String,
    #[schema(format = DateTime)]
    pub created_at: String,
    pub messages: Vec<MessageReply>,
    /// What was thought of the answers.
    pub feedback: Vec<FeedbackReply>,
}

impl From<PersonalRecord> for PersonalDataReply {
    fn from(data: PersonalRecord) -> Self {
        let conversations =
            data.conversations.into_iter().map(|(session, messages, feedback)| PersonalConversation {
                id: session.id,
                created_at: session.created_at.to_string(),
                messages: messages.into_iter().map(|message| MessageReply::new(message, None)).collect(),
                feedback: feedback.into_iter().map(FeedbackReply::from).collect(),
            });
        Self {
            customer: data.customer.into(),
            interactions: data.interactions.into_iter().map(InteractionReply::from).collect(),
            conversations: conversations.collect(),
        }
    }
}

// Timelines

/// Something to be put on a customer's timeline.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the wire; the records' own type holds the values")]
pub(crate) struct InteractionRequest {
    #[schema(schema_with = interaction_kind_schema)]
    kind: InteractionKind,
    /// In words: for what was sent, the words themselves.
    #[schema(min_length = 1, max_length = 10_000, example = "张工您好，LB-300S 每分钟 300 瓶。")]
    text: String,
    /// The answer that it was made from.
    message_id: Option<String>,
    /// Ids of the documents that it stands on.
    #[schema(required = false)]
    documents: Vec<String>,
    /// When it happened; now where nothing is said.
    #[schema(format = DateTime)]
    at: Option<String>,
}

pub(crate) fn new_interaction(mut fields: Fields) -> Result<NewInteraction, ApiError> {
    let kinds = InteractionKind::ALL.map(|kind| (kind.name(), kind));
    let kind = fields.choice("kind", &kinds)?.ok_or_else(|| ApiError::invalid("kind", "is required"))?;
    let interaction = NewInteraction {
        kind,
        text: fields.text("text", MAX_TEXT_CHARS)?,
        message_id: fields.optional_text("message_id", MAX_ID_CHARS)?,
        documents: fields.texts("documents", MAX_ID_CHARS)?,
        at: match fields.optional_text("at", 64)? {
            None => None,
            Some(text) => {
                let at = text
                    .parse()
                    .map_err(|_| ApiError::invalid("at", "must be a time as in 2026-11-26T09:30:00Z"))?;
                Some(at)
            }
        },
    };
    fields.finish()?;
    Ok(interaction)
}

/// An entry of a customer's timeline.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InteractionReply {
    pub id: String,
    pub customer_id: String,
    #[schema(schema_with = interaction_kind_schema)]
    pub kind: InteractionKind,
    pub text: String,
    /// The answer that it was made from.
    pub message_id: Option<String>,
    /// Ids of the documents that it stands on.
    pub documents: Vec<String>,
    /// Name of the key that it was entered with.
    pub actor: Option<String>,
    /// When it happened.
    #[schema(format = DateTime)]
    pub at: String,
}

impl From<InteractionRecord> for InteractionReply {
    fn from(entry: InteractionRecord) -> Self {
        let InteractionRecord { id, customer_id, kind, text, message_id, documents, actor, at } = entry;
        Self { id, customer_id, kind, text, message_id, documents, actor, at: at.to_string() }
    }
}

/// A customer's timeline, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InteractionList {
    pub interactions: Vec<InteractionReply>,
    /// The `after` of the next page.
    pub next: Option<String>,
}

// Conversations

/// A conversation as a list shows it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConversationHead {
    pub id: String,
    #[schema(schema_with = super::audience_schema)]
    pub audience: String,
    /// The customer that it is about.
    pub customer_id: Option<String>,
    pub customer_name: Option<String>,
    /// Name of the key that it was started with.
    pub owner: Option<String>,
    /// What was said first.
    pub title: String,
    /// The place of a message where the words stand that were searched for.
    pub found: Option<String>,
    /// How many messages it has.
    pub messages: u64,
    #[schema(format = DateTime)]
    pub created_at: String,
    #[schema(format = DateTime)]
    pub updated_at: String,
}

impl ConversationHead {
    /// As found by `words`.
    pub fn new(conversation: ConversationRecord, words: &str) -> Self {
        let ConversationRecord { session, owner_name, customer_name, title, found, n_messages } =
            conversation;
        Self {
            id: session.id,
            audience: session.audience,
            customer_id: session.customer_id,
            customer_name,
            owner: owner_name,
            title: beginning(&title),
            found: found.map(|text| excerpt(&text, words)),
            messages: n_messages,
            created_at: session.created_at.to_string(),
            updated_at: session.updated_at.to_string(),
        }
    }
}

/// The first line, cut where it is long.
fn beginning(text: &str) -> String {
    const MOST: usize = 120;
    let line = text.trim().lines().next().unwrap_or_default();
    let mut cut: String = line.chars().take(MOST).collect();
    if cut.len() < line.len() {
        cut.push('…');
    }
    cut
}

/// The stretch of `text` round the first place of `words`, on one line.
fn excerpt(text: &str, words: &str) -> String {
    const BEFORE: usize = 30;
    const LENGTH: usize = 120;
    let letters: Vec<char> =
        text.chars().map(|letter| if letter.is_whitespace() { ' ' } else { letter }).collect();
    let wanted: Vec<char> = words.trim().chars().collect();
    let at = letters.windows(wanted.len().max(1)).position(|window| {
        window.iter().zip(&wanted).all(|(letter, wanted)| letter.eq_ignore_ascii_case(wanted))
    });
    let from = at.unwrap_or(0).saturating_sub(BEFORE);
    let mut shown: String = letters[from..].iter().take(LENGTH).collect();
    if from > 0 {
        shown.insert(0, '…');
    }
    if from + LENGTH < letters.len() {
        shown.push('…');
    }
    shown
}

/// Conversations, the one with the latest message first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConversationList {
    pub conversations: Vec<ConversationHead>,
    /// The `after` of the next page.
    pub next: Option<String>,
}

/// A conversation with all that was said.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConversationReply {
    pub id: String,
    #[schema(schema_with = super::audience_schema)]
    pub audience: String,
    pub customer_id: Option<String>,
    #[schema(format = DateTime)]
    pub created_at: String,
    #[schema(format = DateTime)]
    pub updated_at: String,
    /// Oldest first.
    pub messages: Vec<MessageReply>,
}

impl ConversationReply {
    pub fn new(session: Session, messages: Vec<MessageReply>) -> Self {
        Self {
            id: session.id,
            audience: session.audience,
            customer_id: session.customer_id,
            created_at: session.created_at.to_string(),
            updated_at: session.updated_at.to_string(),
            messages,
        }
    }
}

/// One message of a conversation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MessageReply {
    pub id: String,
    #[schema(schema_with = role_schema)]
    pub role: Role,
    /// Markdown where it is an answer.
    pub text: String,
    #[schema(format = DateTime)]
    pub created_at: String,
    /// What else there is of an answer; null for a question.
    pub answer: Option<AnswerDetails>,
    /// What this caller thinks of an answer.
    pub feedback: Option<FeedbackReply>,
}

/// What there is of an answer besides its text, as it was given.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AnswerDetails {
    #[schema(schema_with = intent_schema)]
    pub intent: Intent,
    /// As shown then; the documents may have changed since.
    pub citations: Vec<Citation>,
    pub refused: bool,
    #[schema(schema_with = refusal_reason_schema)]
    pub refusal_reason: Option<RefusalReason>,
    pub suggestions: Vec<String>,
    pub generator: String,
    /// The question in full, where the message leant on the turns before it; null where it did not.
    pub understood: Option<String>,
}

impl MessageReply {
    pub fn new(message: MessageRecord, feedback: Option<FeedbackRecord>) -> Self {
        let answer = (message.role == Role::Assistant).then(|| {
            let kept = KeptAnswer::read(&message.details);
            AnswerDetails {
                intent: kept.intent.unwrap_or(Intent::Other),
                citations: kept.citations.into_iter().map(Citation::from).collect(),
                refused: kept.refused,
                refusal_reason: kept.refusal_reason,
                suggestions: kept.suggestions,
                generator: kept.generator,
                understood: kept.understood,
            }
        });
        Self {
            id: message.id,
            role: message.role,
            text: message.text,
            created_at: message.created_at.to_string(),
            answer,
            feedback: feedback.map(FeedbackReply::from),
        }
    }
}

// Feedback

/// What somebody thinks of an answer; a later opinion replaces the one before.
#[derive(Debug, ToSchema)]
pub(crate) struct FeedbackRequest {
    /// The answer.
    pub message_id: String,
    #[schema(schema_with = rating_schema)]
    pub rating: Rating,
    /// Why, in a word or a sentence.
    #[schema(max_length = 500)]
    pub reason: Option<String>,
    /// What the answer should have been, for those who curate the knowledge.
    #[schema(max_length = 10_000)]
    pub correction: Option<String>,
}

impl FeedbackRequest {
    pub fn from_fields(mut fields: Fields) -> Result<Self, ApiError> {
        let said = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let rating = fields.choice("rating", &RATINGS)?;
        let request = Self {
            message_id: fields.text("message_id", MAX_ID_CHARS)?,
            rating: rating.ok_or_else(|| ApiError::invalid("rating", "is required"))?,
            reason: said(fields.optional_text("reason", MAX_REASON_CHARS)?),
            correction: said(fields.optional_text("correction", MAX_TEXT_CHARS)?),
        };
        fields.finish()?;
        Ok(request)
    }
}

/// An opinion.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FeedbackReply {
    pub id: String,
    pub message_id: String,
    /// Name of the key that it was given with.
    pub actor: Option<String>,
    #[schema(schema_with = rating_schema)]
    pub rating: Rating,
    pub reason: Option<String>,
    pub correction: Option<String>,
    #[schema(format = DateTime)]
    pub updated_at: String,
}

impl From<FeedbackRecord> for FeedbackReply {
    fn from(feedback: FeedbackRecord) -> Self {
        let FeedbackRecord { id, message_id, actor, rating, reason, correction, updated_at } = feedback;
        Self { id, message_id, actor, rating, reason, correction, updated_at: updated_at.to_string() }
    }
}

/// An opinion with the answer that it is about.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JudgedAnswer {
    pub feedback: FeedbackReply,
    pub question: String,
    pub answer: String,
    pub session_id: String,
    /// Who saw the answer.
    #[schema(schema_with = super::audience_schema)]
    pub audience: String,
    /// What curators have made of it.
    #[schema(schema_with = feedback_state_schema)]
    pub state: FeedbackState,
    /// Name of the key with which they did.
    pub settled_by: Option<String>,
    /// The document that came of it.
    pub document_id: Option<String>,
}

impl From<JudgedRecord> for JudgedAnswer {
    fn from(judged: JudgedRecord) -> Self {
        let JudgedRecord { feedback, question, answer, session_id, audience, state, settled_by, document_id } =
            judged;
        let feedback = feedback.into();
        Self { feedback, question, answer, session_id, audience, state, settled_by, document_id }
    }
}

/// Opinions, the latest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FeedbackList {
    pub feedback: Vec<JudgedAnswer>,
    /// The `after` of the next page.
    pub next: Option<String>,
}

// Gaps and the audit trail

/// A question that the knowledge could not answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GapReply {
    /// As it was asked the first time.
    pub question: String,
    /// Who asked.
    #[schema(schema_with = super::audience_schema)]
    pub audience: String,
    /// What was wanted, as understood the last time.
    #[schema(schema_with = intent_schema)]
    pub intent: String,
    /// Why there was no answer the last time.
    pub reason: String,
    /// How often it was asked.
    pub count: u64,
    #[schema(format = DateTime)]
    pub first_at: String,
    #[schema(format = DateTime)]
    pub last_at: String,
}

impl From<GapRecord> for GapReply {
    fn from(gap: GapRecord) -> Self {
        Self {
            question: gap.question,
            audience: gap.audience,
            intent: gap.intent,
            reason: gap.reason,
            count: gap.count,
            first_at: gap.first_at.to_string(),
            last_at: gap.last_at.to_string(),
        }
    }
}

/// Gaps, those asked for most first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GapList {
    pub gaps: Vec<GapReply>,
}

/// One change that gives access, or of what is known of people.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditReply {
    #[schema(format = DateTime)]
    pub at: String,
    /// Name of the key that it was done with; null for the command line.
    pub actor: Option<String>,
    #[schema(example = "customer.change")]
    pub action: String,
    /// What it was done to.
    pub subject: String,
    /// More about it; never a secret.
    pub details: Value,
}

impl From<AuditRecord> for AuditReply {
    fn from(entry: AuditRecord) -> Self {
        let AuditRecord { at, actor, action, subject, details } = entry;
        Self { at: at.to_string(), actor, action, subject, details }
    }
}

/// The last changes, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditList {
    pub entries: Vec<AuditReply>,
}

// Schemas

fn interaction_kind_schema() -> Object {
    names([utoipa::openapi::schema::Type::String], InteractionKind::ALL.map(InteractionKind::name)).build()
}

fn rating_schema() -> Object {
    names([utoipa::openapi::schema::Type::String], RATINGS.map(|(name, _)| name)).build()
}

fn feedback_state_schema() -> Object {
    names([utoipa::openapi::schema::Type::String], FeedbackState::ALL.map(FeedbackState::name)).build()
}

fn role_schema() -> Object {
    names([utoipa::openapi::schema::Type::String], [Role::User.name(), Role::Assistant.name()]).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_shows_the_words_and_what_stands_round_them() {
        assert_eq!(excerpt("保修多久？\n坏了怎么办", "保修"), "保修多久？ 坏了怎么办");
        let long = format!("{}LB-300S 多快{}", "前".repeat(200), "后".repeat(200));
        let found = excerpt(&long, " lb-300s ");
        assert!(found.starts_with("…前") && found.contains("LB-300S") && found.ends_with("后…"), "{found}");
        assert_eq!(excerpt("没有", "别的"), "没有");
        assert_eq!(beginning(&"问".repeat(121)).chars().count(), 121);
        assert_eq!(beginning("\n 一行\n二行"), "一行");
    }
}
