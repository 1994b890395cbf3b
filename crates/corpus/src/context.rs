//! The lines put before a chunk when it is embedded or searched, and never quoted.
//!
//! A section called "方案" says nothing about whose; its document's title, heading path and customer profile
//! do. They are not part of the text, so no answer can mistake them for what the document says.

use crate::document::{Chunk, Document, Kind};

/// Title, kind and heading path of a chunk; for cases the customer's profile; the products it is about.
/// Up to four lines without a line break at the end; a kind without a title would say nothing and is left out.
pub fn context_header(document: &Document, chunk: &Chunk) -> String {
    let mut lines = Vec::new();
    if !document.title.is_empty() {
        lines.push(format!("{}（{}）", document.title, document.kind.chinese_name()));
    }
    lines.push(heading_below_title(document, chunk).collect::<Vec<_>>().join(" > "));
    let profile = &document.profile;
    let mut about: Vec<String> = Vec::new();
    let mut say = |label: &str, words: &str| {
        if !words.is_empty() {
            about.push(format!("{label}：{words}"));
        }
    };
    if document.kind == Kind::Case {
        say("行业", &profile.industry.join("、"));
        say("场景", &profile.scenario.join("、"));
        say("规模", profile.company_size.as_deref().unwrap_or_default());
        say("地区", profile.region.as_deref().unwrap_or_default());
    }
    say("产品", &profile.product.join("、"));
    lines.push(about.join("；"));
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}

/// The heading path of a chunk without the document's own title, outermost first.
pub fn heading_below_title<'a>(document: &'a Document, chunk: &'a Chunk) -> impl Iterator<Item = &'a str> {
    chunk.location.heading.iter().map(String::as_str).filter(|title| *title != document.title)
}
