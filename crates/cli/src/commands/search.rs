//! `search`: passages for a query, as the HTTP interface gives them or as a list for people.

mod explanation;

use std::time::Instant;

use flightdeck_retrieval::{Filters, Passage, Query};

use crate::args::SearchArgs;
use crate::failure::Failure;
use crate::output::{Colour, colour};
use crate::settings::Config;
use crate::{Verdict, output, workbench};

const SNIPPET_CHARS: usize = 160;

/// Runs `search`.
///
/// # Errors
/// When the query is empty or there is no index and none can be made.
pub fn run(config: &Config, args: SearchArgs) -> Result<Verdict, Failure> {
    if args.query.trim().is_empty() {
        return Err(Failure::new(
            "the query is empty; say what to search for",
            "查询为空；请输入要搜索的内容",
        ));
    }
    let (_store, index) = workbench::open_for_asking(config)?;
    let query = Query {
        text: args.query,
        audience: args.audience.into(),
        day: workbench::today(),
        filters: Filters { kind: args.kind, ..Filters::default() },
        mode: args.mode.into(),
        top_k: usize::from(args.top_k),
    };
    let started = Instant::now();
    if args.explain {
        let explained = index.explain_spread(&query)?;
        let took = started.elapsed();
        if args.output.json {
            output::json(&flightdeck_server::explained_reply(explained, took))?;
        } else {
            output::text(&explanation::text(&explained, config.language))?;
        }
        return Ok(Verdict::Well);
    }
    let passages = index.search_spread(&query)?;
    let took = started.elapsed();
    if args.output.json {
        output::json(&flightdeck_server::search_reply(passages, took))?;
    } else if passages.is_empty() {
        output::text(config.language.pick("nothing found", "没有找到"))?;
    } else {
        let entries: Vec<String> = passages.iter().map(entry).collect();
        output::text(&entries.join("\n"))?;
    }
    Ok(Verdict::Well)
}

fn entry(passage: &Passage) -> String {
    let document = &passage.document;
    let line = passage.chunk.location.line_start.map(|line| format!(":{line}")).unwrap_or_default();
    let heading = passage.chunk.location.heading.join(" › ");
    format!(
        "{:>2}  {}  {}\n    {}\n    {}\n",
        passage.rank,
        colour(Colour::Bold, &document.title),
        colour(Colour::Dim, &heading),
        colour(
            Colour::Dim,
            &format!("{} · {}{line} · {:.3}", document.kind.name(), document.path, passage.score)
        ),
        for_terminal(&passage.highlight(SNIPPET_CHARS)),
    )
}

/// Marked HTML text as a terminal shows it.
fn for_terminal(html: &str) -> String {
    let mut text = String::new();
    for (idx, part) in html.split("<mark>").enumerate() {
        match part.split_once("</mark>") {
            Some((marked, rest)) if idx > 0 => {
                text.push_str(&colour(Colour::Yellow, &unescaped(marked)));
                text.push_str(&unescaped(rest));
            }
            _ => text.push_str(&unescaped(part)),
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn unescaped(html: &str) -> String {
    html.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snippet_is_one_line_of_plain_text() {
        assert_eq!(for_terminal("…<mark>换线</mark> &lt;5 分钟\n&amp; 稳"), "…换线 <5 分钟 & 稳");
    }
}
