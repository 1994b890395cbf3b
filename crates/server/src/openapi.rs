//! `GET /openapi.json`: the interface, described from the handlers and the wire types themselves.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::IntoResponse;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::channels::{manage, webhooks};
use crate::wire::{StreamDelta, StreamMeta};
use crate::{
    about, chat, conversations, customers, documents, feedback, gaps, health, insights, interactions, keys,
    knowledge, mcp, openai, oversight, phrases, preview, search, sign_in, sources, trial,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Flightdeck",
        description = "Search over a company's sales knowledge, and answers that cite it.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        search::search,
        chat::chat,
        trial::try_out,
        preview::send_preview,
        documents::document,
        knowledge::files,
        knowledge::file,
        knowledge::health,
        sources::read,
        sources::write,
        sources::delete,
        sources::status,
        about::read,
        about::write,
        sources::versions,
        sources::difference,
        sources::restore,
        customers::list,
        customers::create,
        customers::read,
        customers::change,
        customers::erase,
        customers::export,
        interactions::list,
        interactions::add,
        conversations::list,
        conversations::read,
        feedback::list,
        feedback::give,
        feedback::approve,
        feedback::dismiss,
        gaps::groups,
        gaps::answer,
        gaps::dismiss,
        gaps::check,
        insights::insights,
        oversight::gaps,
        oversight::audit,
        phrases::list,
        phrases::keep,
        phrases::change,
        phrases::forget,
        keys::list,
        keys::create,
        keys::revoke,
        sign_in::sign_in,
        sign_in::me,
        manage::channels,
        manage::test,
        manage::events,
        manage::deliveries,
        manage::redeliver,
        manage::conversations,
        manage::switch,
        manage::drafts,
        manage::message,
        mcp::describe,
        openai::models::list,
        openai::models::model,
        openai::completions::completions,
        openai::embeddings::embeddings,
        webhooks::check,
        webhooks::webhook,
        health::alive,
        health::ready,
        health::metrics,
        page,
        admin_page,
        widget,
        widget_page,
        document,
    ),
    components(schemas(StreamMeta, StreamDelta)),
    tags(
        (name = "assistant", description = "Questions and answers"),
        (name = "knowledge", description = "What the answers stand on"),
        (name = "curation", description = "The knowledge folder, for those who look after it"),
        (name = "records", description = "Customers, conversations, feedback, gaps, the audit trail"),
        (name = "access", description = "Who may call"),
        (name = "openai", description = "For programs that speak OpenAI's protocol"),
        (name = "mcp", description = "For agents"),
        (name = "channels", description = "Chat platforms"),
        (name = "health", description = "For those who run the server"),
        (name = "pages", description = "For people"),
    ),
    modifiers(&Keys),
)]
struct Description;

/// Every call of the API takes a key; each may go without while none has been created.
struct Keys;

impl Modify for Keys {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.description = Some(
            "From the first key on every call needs one; before that only this machine is served.".to_owned(),
        );
        openapi.components.get_or_insert_default().add_security_scheme("key", SecurityScheme::Http(scheme));
        let key = utoipa::openapi::security::SecurityRequirement::new("key", [""; 0]);
        for (path, item) in &mut openapi.paths.paths {
            let needs_key = ["/api/", "/v1/", "/mcp"].iter().any(|prefix| path.starts_with(prefix));
            if needs_key && path != "/api/v1/sign-in" {
                for operation in
                    [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete]
                        .into_iter()
                        .flatten()
                {
                    operation.security = Some(vec![key.clone()]);
                }
            }
        }
    }
}

static TEXT: LazyLock<String> =
    LazyLock::new(|| Description::openapi().to_pretty_json().expect("the description is plain data"));

#[utoipa::path(
    get, path = "/openapi.json", tag = "health", summary = "This description",
    responses((status = 200, description = "An OpenAPI document", body = Object, content_type = "application/json"))
)]
pub(crate) async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")], TEXT.as_str())
}

/// Stands for the route that [`crate::assets`] makes.
#[utoipa::path(
    get, path = "/", tag = "pages", summary = "The chat page",
    responses((status = 200, description = "A page", body = String, content_type = "text/html"))
)]
#[allow(dead_code, reason = "only its description is used")]
fn page() {}

/// Stands for the route that [`crate::assets`] makes.
#[utoipa::path(
    get, path = "/admin", tag = "pages", summary = "The console of those who look after the knowledge",
    responses((status = 200, description = "A page", body = String, content_type = "text/html"))
)]
#[allow(dead_code, reason = "only its description is used")]
fn admin_page() {}

/// Stands for the route that [`crate::assets`] makes.
#[utoipa::path(
    get, path = "/widget.js", tag = "pages", summary = "The script that puts the widget on a page",
    responses((status = 200, description = "A script", body = String, content_type = "text/javascript"))
)]
#[allow(dead_code, reason = "only its description is used")]
fn widget() {}

/// Stands for the route that [`crate::assets`] makes.
#[utoipa::path(
    get, path = "/widget", tag = "pages", summary = "The chat page for the widget's frame",
    responses((status = 200, description = "A page", body = String, content_type = "text/html"))
)]
#[allow(dead_code, reason = "only its description is used")]
fn widget_page() {}

#[cfg(test)]
pub(crate) fn description() -> serde_json::Value {
    serde_json::from_str(&TEXT).expect("it is JSON")
}
