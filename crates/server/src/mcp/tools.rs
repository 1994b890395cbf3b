//! The tools: what each takes, what it gives, and what it does.
//!
//! Arguments are read as strictly as a body of the HTTP interface, so that a model is told which one is wrong. The
//! skills (`match_cases` and the like) are the assistant's own, asked for by name where a chat would have to guess.

use flightdeck_assistant::{Intent, Origin, Request};
use flightdeck_corpus::Status;
use flightdeck_records::CustomerProfile;
use flightdeck_retrieval::{Filters, Mode, Query};
use rmcp::model::JsonObject;
use serde_json::{Value, json};

use crate::access::Caller;
use crate::answering::{Answering, Wanted};
use crate::documents;
use crate::error::ApiError;
use crate::feedback;
use crate::fields::Fields;
use crate::mcp::resources;
use crate::search;
use crate::state::AppState;
use crate::wire::records::FeedbackRequest;
use crate::wire::{
    AUDIENCES, ChatReply, DocumentRef, Hit, Location, MAX_ID_CHARS, MAX_QUESTION_CHARS, filters_from,
};

pub(super) const MAX_HITS: u64 = 20;
pub(super) const DEFAULT_HITS: u64 = 8;
pub(super) const MAX_DETAIL_CHARS: usize = 2000;
/// Of a document in one call; agents pay for every letter.
pub(super) const MAX_TEXT_CHARS: u64 = 50_000;
pub(super) const DEFAULT_TEXT_CHARS: u64 = 20_000;

/// What the tool of this name gives; `None` where there is none.
pub(super) async fn call(
    state: &AppState,
    caller: Caller,
    name: &str,
    arguments: JsonObject,
) -> Option<Result<Value, ApiError>> {
    let fields = Fields::from(arguments);
    Some(match name {
        "search_knowledge" => search_knowledge(state, &caller, fields).await,
        "answer_question" => answer(state, &caller, question(fields)).await,
        "match_cases" => answer(state, &caller, cases(fields)).await,
        "handle_objection" => answer(state, &caller, objection(fields)).await,
        "recommend_videos" => answer(state, &caller, videos(fields)).await,
        "get_document" => get_document(state, &caller, fields),
        "submit_feedback" => submit_feedback(state, caller, fields).await,
        _ => return None,
    })
}

async fn search_knowledge(state: &AppState, caller: &Caller, mut fields: Fields) -> Result<Value, ApiError> {
    let query = Query {
        text: fields.text("query", MAX_QUESTION_CHARS)?,
        audience: caller.audience(fields.choice("audience", &AUDIENCES)?)?,
        day: jiff::Zoned::now().date(),
        top_k: fields.integer("top_k", 1..=MAX_HITS)?.unwrap_or(DEFAULT_HITS) as usize,
        filters: match fields.object("filters")? {
            Some(filters) => filters_from(filters)?,
            None => Filters::default(),
        },
        mode: Mode::Hybrid,
    };
    fields.finish()?;
    let (hits, _) = search::find(state, query).await?;
    Ok(json!({"hits": hits.iter().map(hit).collect::<Vec<_>>()}))
}

/// A message to the assistant, as a tool says it.
struct Ask {
    message: String,
    intent: Option<Intent>,
    session_id: Option<String>,
    customer_id: Option<String>,
    customer: CustomerProfile,
    audience: Option<flightdeck_corpus::Audience>,
}

fn question(mut fields: Fields) -> Result<Ask, ApiError> {
    let message = fields.text("question", MAX_QUESTION_CHARS)?;
    let session_id = fields.optional_text("conversation_id", MAX_ID_CHARS)?;
    let ask = about_customer(&mut fields, message, None)?;
    fields.finish()?;
    Ok(Ask { session_id, ..ask })
}

fn cases(mut fields: Fields) -> Result<Ask, ApiError> {
    let need = detail(&mut fields, "need")?;
    let product = detail(&mut fields, "product")?;
    let mut ask = about_customer(&mut fields, String::new(), Some(Intent::FindCases))?;
    fields.finish()?;
    ask.customer.needs.clone_from(&need);
    let profile = &ask.customer;
    let facts =
        [&need, &product, &profile.industry, &profile.company_size, &profile.region, &profile.scenario];
    let facts: Vec<&str> = facts.into_iter().flatten().map(String::as_str).collect();
    if facts.is_empty() && ask.customer_id.is_none() {
        return Err(ApiError::invalid("need", "is required, or another word about the customer"));
    }
    let said: Vec<&str> = [&product, &need].into_iter().flatten().map(String::as_str).collect();
    let is_latin = !facts.is_empty() && facts.iter().all(|fact| fact.is_ascii());
    ask.message = match (said.is_empty(), is_latin) {
        (false, _) => said.join(" "),
        (true, true) => "Which customer cases fit this customer?".to_owned(),
        (true, false) => "这个客户适合看哪些案例？".to_owned(),
    };
    Ok(ask)
}

fn objection(mut fields: Fields) -> Result<Ask, ApiError> {
    let message = fields.text("objection", MAX_QUESTION_CHARS)?;
    let context = detail(&mut fields, "context")?;
    let mut ask = about_customer(&mut fields, message, Some(Intent::HandleObjection))?;
    fields.finish()?;
    ask.customer.needs = context;
    Ok(ask)
}

fn videos(mut fields: Fields) -> Result<Ask, ApiError> {
    let message = fields.text("need", MAX_QUESTION_CHARS)?;
    let ask = about_customer(&mut fields, message, Some(Intent::RecommendVideos))?;
    fields.finish()?;
    Ok(ask)
}

/// The arguments that all of them share.
fn about_customer(fields: &mut Fields, message: String, intent: Option<Intent>) -> Result<Ask, ApiError> {
    Ok(Ask {
        message,
        intent,
        session_id: None,
        customer_id: fields.optional_text("customer_id", MAX_ID_CHARS)?,
        customer: CustomerProfile {
            industry: detail(fields, "industry")?,
            company_size: detail(fields, "company_size")?,
            region: detail(fields, "region")?,
            scenario: detail(fields, "scenario")?,
            stage: detail(fields, "stage")?,
            ..CustomerProfile::default()
        },
        audience: fields.choice("audience", &AUDIENCES)?,
    })
}

fn detail(fields: &mut Fields, name: &str) -> Result<Option<String>, ApiError> {
    let text = fields.optional_text(name, MAX_DETAIL_CHARS)?;
    Ok(text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
}

async fn answer(state: &AppState, caller: &Caller, ask: Result<Ask, ApiError>) -> Result<Value, ApiError> {
    let ask = ask?;
    if ask.customer_id.is_some() {
        caller.must_be_staff()?;
    }
    let request = Request {
        message: ask.message,
        session_id: ask.session_id,
        customer_id: ask.customer_id,
        customer: Some(ask.customer),
        audience: caller.audience(ask.audience)?,
        day: jiff::Zoned::now().date(),
        origin: Origin { owner: caller.owner().map(str::to_owned), request_id: None },
    };
    let begun = Answering::begin_as(state.clone(), request, ask.intent, Wanted::Worded)?;
    Ok(reply(&begun.await?.reply().await?))
}

fn get_document(state: &AppState, caller: &Caller, mut fields: Fields) -> Result<Value, ApiError> {
    let (id, uri) =
        (fields.optional_text("id", MAX_ID_CHARS)?, fields.optional_text("uri", 4 * MAX_ID_CHARS)?);
    let audience = caller.audience(fields.choice("audience", &AUDIENCES)?)?;
    let offset = fields.integer("offset", 0..=u64::from(u32::MAX))?.unwrap_or(0) as usize;
    let most = fields.integer("max_chars", 1..=MAX_TEXT_CHARS)?.unwrap_or(DEFAULT_TEXT_CHARS) as usize;
    fields.finish()?;
    let id = match (id, uri) {
        (Some(id), None) => id,
        (None, Some(uri)) => resources::id(&uri)?,
        _ => return Err(ApiError::invalid("id", "is required, or uri in its place")),
    };
    let (document, superseded_by) = documents::read(state, &id, audience)?;
    let total = document.text.chars().count();
    let text: String = document.text.chars().skip(offset).take(most).collect();
    let end = offset + text.chars().count();
    let status = match document.status {
        Status::Published => "published",
        Status::Draft => "draft",
        Status::Archived => "archived",
    };
    Ok(json!({
        "document": reference(&DocumentRef::from(&*document)),
        "status": status,
        "valid_until": document.valid_until.map(|day| day.to_string()),
        "superseded_by": superseded_by,
        "text": text,
        "offset": offset,
        "total_chars": total,
        "next_offset": Some(end).filter(|end| *end < total),
    }))
}

async fn submit_feedback(state: &AppState, caller: Caller, fields: Fields) -> Result<Value, ApiError> {
    let given = feedback::note(state, caller, FeedbackRequest::from_fields(fields)?).await?;
    Ok(json!({"message_id": given.message_id, "updated_at": given.updated_at}))
}

// What tools give

fn reference(document: &DocumentRef) -> Value {
    json!({
        "id": document.id, "uri": resources::uri(&document.id), "kind": document.kind.name(),
        "title": document.title, "path": document.path, "audience": document.audience, "link": document.link,
    })
}

fn place(location: &Location) -> Value {
    json!({
        "section": location.heading.join(" › "), "page": location.page, "line": location.line_start,
        "start_ms": location.start_ms,
    })
}

fn hit(hit: &Hit) -> Value {
    json!({
        "rank": hit.rank,
        "score": (f64::from(hit.score) * 10_000.0).round() / 10_000.0,
        "document": reference(&hit.document),
        "place": place(&hit.location),
        "text": hit.text,
        "superseded_by": hit.superseded_by,
    })
}

fn reply(reply: &ChatReply) -> Value {
    let citations = reply.citations.iter().map(|citation| {
        json!({
            "n": citation.n, "document": reference(&citation.document), "place": place(&citation.location),
            "quote": citation.quote,
        })
    });
    json!({
        "answer": reply.answer,
        "citations": citations.collect::<Vec<_>>(),
        "refused": reply.refused,
        "refusal_reason": reply.refusal_reason,
        "suggestions": reply.suggestions,
        "intent": reply.intent,
        "generator": reply.generator,
        "conversation_id": reply.session_id,
        "message_id": reply.message_id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(value: Value) -> Fields {
        match value {
            Value::Object(values) => Fields::from(values),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn cases_are_asked_for_in_the_language_of_what_is_known() {
        let message = |value| cases(fields(value)).map(|ask| ask.message);
        assert_eq!(message(json!({"need": "换线太慢", "product": "LB-300S"})).unwrap(), "LB-300S 换线太慢");
        assert_eq!(message(json!({"industry": "饮料"})).unwrap(), "这个客户适合看哪些案例？");
        assert_eq!(
            message(json!({"industry": "beverage"})).unwrap(),
            "Which customer cases fit this customer?"
        );
        assert_eq!(message(json!({"stage": "初谈"})).unwrap_err().field.as_deref(), Some("need"));
        let wrong = message(json!({"need": "换线", "budget": 1})).unwrap_err();
        assert_eq!(wrong.field.as_deref(), Some("budget"));
    }
}
