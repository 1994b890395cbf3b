//! Documents as resources: `flightdeck://documents/` and the escaped id. Only those that the caller may see today exist.

use flightdeck_corpus::Document;
use percent_encoding::percent_decode_str;
use rmcp::ErrorData;
use rmcp::model::{
    CacheScope, ListResourcesResult, ReadResourceResult, Resource, ResourceContents, ResourceTemplate,
};

use crate::access::Caller;
use crate::documents::{self, escaped};
use crate::error::ApiError;
use crate::mcp::desk::refused;
use crate::state::AppState;
use crate::wire::MAX_ID_CHARS;

const SCHEME: &str = "flightdeck://documents/";
const PAGE: usize = 100;
/// The text as it was extracted; what quotes are cut from.
const TEXT: &str = "text/plain";

/// The address of a document.
pub(super) fn uri(id: &str) -> String {
    format!("{SCHEME}{}", escaped(id))
}

/// The id in an address.
///
/// # Errors
/// When it is no address of a document.
pub(super) fn id(uri: &str) -> Result<String, ApiError> {
    let escaped = uri.strip_prefix(SCHEME).filter(|id| !id.is_empty() && id.len() <= 3 * MAX_ID_CHARS);
    let decoded = escaped.and_then(|id| percent_decode_str(id).decode_utf8().ok());
    decoded
        .map(Into::into)
        .ok_or_else(|| ApiError::not_found(format!("the address must be {SCHEME} and an id")))
}

pub(super) fn template() -> ResourceTemplate {
    ResourceTemplate::new(format!("{SCHEME}{{+id}}"), "document")
        .with_title("Document")
        .with_description("A document of the knowledge as extracted text, by its id")
        .with_mime_type(TEXT)
}

/// A page of the documents that the caller may see, in order of path.
///
/// # Errors
/// When the cursor names no document any more; when there is no index.
pub(super) fn list(
    state: &AppState,
    caller: &Caller,
    cursor: Option<String>,
) -> Result<ListResourcesResult, ErrorData> {
    let audience = caller.audience(None).map_err(|error| refused(&error))?;
    let day = jiff::Zoned::now().date();
    let (_, index) = state.engine().map_err(|error| refused(&error))?;
    let mut served = index.served(audience, day).peekable();
    if let Some(after) = cursor {
        // The document itself is told by nobody who may not see it: then the cursor is as unknown as any other text.
        if served.by_ref().find(|document| *document.id.0 == *after).is_none() {
            return Err(ErrorData::invalid_params(
                "this cursor names nothing; begin again without one",
                None,
            ));
        }
    }
    let mut page: Vec<_> = served.by_ref().take(PAGE).collect();
    let has_more = served.peek().is_some();
    let next_cursor = page.last().filter(|_| has_more).map(|last| last.id.to_string());
    let resources = page.drain(..).map(|document| resource(document)).collect();
    let mut list = ListResourcesResult::with_all_items(resources).with_cache_scope(CacheScope::Private);
    list.next_cursor = next_cursor;
    Ok(list)
}

/// The text of a document.
///
/// # Errors
/// When the caller may see none at this address.
pub(super) fn read(state: &AppState, caller: &Caller, uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let read = || -> Result<_, ApiError> {
        let (document, _) = documents::read(state, &id(uri)?, caller.audience(None)?)?;
        Ok(ResourceContents::text(document.text.clone(), uri).with_mime_type(TEXT))
    };
    let contents = read().map_err(|error| refused(&error))?;
    Ok(ReadResourceResult::new(vec![contents]).with_cache_scope(CacheScope::Private))
}

fn resource(document: &Document) -> Resource {
    let id = document.id.to_string();
    let description = format!("{}, {}", document.kind.name(), document.path);
    Resource::new(uri(&id), id)
        .with_title(document.title.clone())
        .with_description(description)
        .with_mime_type(TEXT)
        .with_size(document.text.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_comes_back_out_of_its_address() {
        for name in ["pump-k7", "faqs/pump#q1", "资料/价格 2026%.xlsx#2"] {
            let address = uri(name);
            assert!(address.is_ascii() && !address.contains(' '), "{address}");
            assert_eq!(id(&address), Ok(name.to_owned()));
        }
        for wrong in ["", "flightdeck://documents/", "file:///etc/passwd", "flightdeck://documents/%FF"] {
            assert_eq!(id(wrong).unwrap_err().status.as_u16(), 404, "{wrong}");
        }
    }
}
