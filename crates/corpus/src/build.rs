//! From what a file holds to documents: ids, titles, metadata and readable text.
//!
//! Here kinds meet shapes: a table among FAQs, Q&A or videos is a document a row, any other table is one
//! document. Values stand in the text to the letter, each field with its span, so that answers can quote.

use std::collections::HashSet;
use std::ops::Range;

use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

use crate::chunking::{CueSpan, Layout};
use crate::columns::{META_KEYS, canonical, required_columns, shown_columns};
use crate::document::{Audience, Document, DocumentId, Field, Kind, Profile};
use crate::lines::LineMap;
use crate::meta::{Layer, Meta, Place};
use crate::node::{Node, Value};
use crate::problem::Problem;
use crate::readers::{
    Content, Flow, Front, Prose, Records, Row, Source, Table, Transcript, empty, render_records,
};
use crate::structure::{Markup, sections};

/// A document, and what is needed to split it.
#[derive(Debug)]
pub(crate) struct Built {
    pub document: Document,
    pub layout: Layout,
    pub lines: LineMap,
}

/// A transcript that was found for a video row.
#[derive(Debug)]
pub(crate) struct Found {
    pub transcript: Transcript,
    /// What its sidecar says of the audience; the stricter of row and transcript holds for both.
    pub audience: Option<Audience>,
}

/// What is known of a file before it is opened.
pub(crate) struct Setting<'a> {
    /// Relative to the folder.
    pub path: &'a str,
    /// Folder defaults with the sidecar over them.
    pub given: &'a Meta,
    /// Finds the transcript of the video of this id.
    pub transcript: &'a mut dyn FnMut(&str) -> Option<Found>,
}

/// Makes the documents of one file. An empty list comes with a problem that says why.
pub(crate) fn build(source: Source, setting: &mut Setting<'_>, problems: &mut Vec<Problem>) -> Vec<Built> {
    match source.content {
        Content::Prose(prose) => of_prose(prose, setting, problems),
        Content::Tables(tables) => {
            let meta = setting.given.clone();
            of_tables(tables, &meta, setting, problems)
        }
        Content::Records(records) => of_records(&records, setting, problems),
        Content::Cues(transcript) => vec![of_transcript(&transcript, setting)],
    }
}

/// The kind of a document: what is said of it, else the nearest folder that has a kind, else `company`.
fn kind_of(meta: &Meta, path: &str) -> Kind {
    let by_folder = || path.rsplit('/').skip(1).find_map(Kind::from_folder);
    meta.kind.or_else(by_folder).unwrap_or(Kind::Company)
}

/// The path without the extension, in the normal form that every system agrees on.
fn file_id(meta: &Meta, path: &str) -> String {
    meta.id.clone().unwrap_or_else(|| stem(path).nfc().collect())
}

fn stem(path: &str) -> &str {
    let name_at = path.rfind('/').map_or(0, |slash| slash + 1);
    path[name_at..].rfind('.').filter(|&dot| dot > 0).map_or(path, |dot| &path[..name_at + dot])
}

fn file_title(meta: &Meta, path: &str) -> String {
    let name = stem(path).rsplit('/').next().unwrap_or_default();
    meta.title.clone().unwrap_or_else(|| name.to_owned())
}

fn document(meta: &Meta, id: String, kind: Kind, title: String, path: &str, text: String) -> Document {
    let meta = meta.clone();
    Document {
        id: DocumentId(id.into()),
        kind,
        title,
        path: path.to_owned(),
        audience: meta.audience.unwrap_or_default(),
        status: meta.status.unwrap_or_default(),
        profile: Profile {
            industry: meta.industry.unwrap_or_default(),
            product: meta.product.unwrap_or_default(),
            scenario: meta.scenario.unwrap_or_default(),
            company_size: meta.company_size,
            region: meta.region,
        },
        tags: meta.tags.unwrap_or_default(),
        keywords: meta.keywords.unwrap_or_default(),
        valid_from: meta.valid_from,
        valid_until: meta.valid_until,
        supersedes: meta.supersedes.unwrap_or_default().iter().map(|id| id.as_str().into()).collect(),
        owner: meta.owner,
        link: meta.link,
        attributes: meta.attributes,
        fields: Vec::new(),
        pages: Vec::new(),
        text,
    }
}

fn of_prose(mut prose: Prose, setting: &Setting<'_>, problems: &mut Vec<Problem>) -> Vec<Built> {
    let path = setting.path;
    let own = match prose.front.take() {
        None => Meta::default(),
        Some(Front::Keys(entries)) => {
            let place = Place { path, layer: Layer::Own };
            Meta::read(entries.iter().map(|(key, node)| (key.as_str(), node)), place, problems)
        }
        Some(Front::Broken(error)) => {
            problems.push(Problem::error(
                path,
                Some(error.line),
                "front_matter",
                format!("front matter cannot be read, the document is internal: {}", error.message),
                format!("文件头信息无法解析，本文档按内部资料处理：{}", error.message),
            ));
            Meta::unreadable()
        }
    };
    if prose.text.trim().is_empty() {
        problems.push(empty(path));
        return Vec::new();
    }
    let meta = own.over(setting.given);
    let kind = kind_of(&meta, path);
    let id = file_id(&meta, path);
    // Speaker notes and hidden slides of what customers may see are a document of their own, which they
    // may not see; in an internal document they stay in their place.
    let mut private = None;
    if meta.audience == Some(Audience::Customer) && !prose.private.is_empty() {
        let flow = Flow { text: prose.text, pages: prose.pages, private: prose.private, title: None };
        let (public, rest) = flow.split();
        (prose.text, prose.pages, private) = (public.text, public.pages, rest);
    }
    let markup = if prose.is_markdown { Markup::Markdown } else { Markup::Plain };
    let first_heading = || {
        let sections = prose.is_markdown.then(|| sections(&prose.text, markup))?;
        sections.into_iter().find(|section| section.level > 0)?.heading.pop()
    };
    let title = meta.title.clone().or_else(first_heading).or(prose.title);
    let title = title.unwrap_or_else(|| file_title(&meta, path));
    let mut built = Vec::new();
    if let Some(notes) = private {
        let meta = Meta { audience: Some(Audience::Internal), ..meta.clone() };
        let title = format!("{title}（备注与隐藏页）");
        let mut document = document(&meta, format!("{id}#notes"), kind, title, path, notes.text);
        document.pages = notes.pages;
        built.push(Built { document, layout: Layout::Outline(markup), lines: LineMap::Nowhere });
    }
    if !prose.text.trim().is_empty() {
        let mut document = document(&meta, id, kind, title, path, prose.text);
        document.pages = prose.pages;
        let lines = prose.first_line.map_or(LineMap::Nowhere, LineMap::From);
        built.insert(0, Built { document, layout: Layout::Outline(markup), lines });
    }
    built
}

fn of_tables(
    tables: Vec<Table>,
    meta: &Meta,
    setting: &mut Setting<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<Built> {
    let kind = kind_of(meta, setting.path);
    let mut built = Vec::new();
    let mut whole = Vec::new();
    let mut seen = HashSet::new();
    for table in tables {
        if holds_rows_of(kind, &table) {
            rows(&table, kind, meta, setting, &mut seen, problems, &mut built);
            continue;
        }
        if !required_columns(kind).is_empty() {
            let wanted = required_columns(kind).join(", ");
            problems.push(Problem::warning(
                setting.path,
                Some(table.header.lines.0),
                "no_columns",
                format!("no columns {wanted} in this table; it is read as one document"),
                format!("表格缺少列 {wanted}，已作为一篇文档整体读取"),
            ));
        }
        whole.push(table);
    }
    if !whole.is_empty() {
        let (text, lines) = render_tables(&whole);
        let title = file_title(meta, setting.path);
        built.push(Built {
            document: document(meta, file_id(meta, setting.path), kind, title, setting.path, text),
            layout: Layout::Outline(Markup::Markdown),
            lines: LineMap::Each(lines),
        });
    }
    built
}

fn holds_rows_of(kind: Kind, table: &Table) -> bool {
    let required = required_columns(kind);
    let names: Vec<&str> = table.header.cells.iter().filter_map(|cell| canonical(cell)).collect();
    !required.is_empty() && required.iter().all(|name| names.contains(name))
}

/// Tables as lines of text: the sheet's name as a heading, then what stands above the table, then its rows
/// between bars. Returns the source lines of each line too.
fn render_tables(tables: &[Table]) -> (String, Vec<(u32, u32)>) {
    let mut text = String::new();
    let mut lines = Vec::new();
    let mut line = |content: &str, source: (u32, u32)| {
        text.push_str(content);
        text.push('\n');
        lines.push(source);
    };
    for (idx, table) in tables.iter().enumerate() {
        let top = table.preface.first().map_or(table.header.lines, |row| row.lines);
        if idx > 0 {
            line("", top);
        }
        if let Some(name) = table.name.as_deref().filter(|name| tables.len() > 1 || !is_default_name(name)) {
            line(&format!("## {}", one_line(name)), top);
            line("", top);
        }
        for row in &table.preface {
            let cells: Vec<String> = row.cells.iter().map(|cell| one_line(cell)).collect();
            line(&cells.join("  "), row.lines);
        }
        if !table.preface.is_empty() {
            line("", table.header.lines);
        }
        let n_columns = table.header.cells.len();
        line(&bars(&table.header.cells, n_columns), table.header.lines);
        line(&format!("|{}", " --- |".repeat(n_columns)), table.header.lines);
        for row in &table.rows {
            line(&bars(&row.cells, n_columns), row.lines);
        }
    }
    (text, lines)
}

fn bars(cells: &[String], n_columns: usize) -> String {
    let mut row = String::from("|");
    for column in 0..n_columns.max(cells.len()) {
        row.push(' ');
        row.push_str(&cells.get(column).map(|cell| one_line(cell)).unwrap_or_default());
        row.push_str(" |");
    }
    row
}

fn one_line(cell: &str) -> String {
    if cell.contains('\n') { cell.split_whitespace().collect::<Vec<_>>().join(" ") } else { cell.to_owned() }
}

/// The names that spreadsheet programs give say nothing.
fn is_default_name(name: &str) -> bool {
    ["sheet", "工作表", "表"].iter().any(|word| {
        name.to_lowercase()
            .strip_prefix(word)
            .is_some_and(|rest| rest.trim().chars().all(|c| c.is_ascii_digit()))
    })
}

fn rows(
    table: &Table,
    kind: Kind,
    file_meta: &Meta,
    setting: &mut Setting<'_>,
    seen: &mut HashSet<String>,
    problems: &mut Vec<Problem>,
    built: &mut Vec<Built>,
) {
    let path = setting.path;
    let file = file_id(file_meta, path);
    // What names the file does not name its rows.
    let below = Meta { id: None, title: None, kind: None, ..file_meta.clone() };
    let columns = Columns::new(&table.header.cells);
    for row in &table.rows {
        let missing: Vec<&str> = required_columns(kind)
            .iter()
            .copied()
            .filter(|name| columns.value(row, name).is_empty())
            .collect();
        if !missing.is_empty() {
            if row.cells.iter().any(|cell| !cell.trim().is_empty()) {
                let missing = missing.join(", ");
                problems.push(Problem::error(
                    path,
                    Some(row.lines.0),
                    "bad_row",
                    format!("this row has no {missing} and is left out"),
                    format!("本行缺少 {missing}，未收录"),
                ));
            }
            continue;
        }
        let meta = row_meta(&columns, row, kind, path, problems).over(&below);
        let question = columns.value(row, required_columns(kind)[0]);
        let Some(row_id) = meta.id.clone().or_else(|| hashed_id(question, row, seen)) else {
            problems.push(Problem::warning(
                path,
                Some(row.lines.0),
                "duplicate_row",
                "this row says the same as an earlier one and is left out",
                "本行与前面某行完全相同，未重复收录",
            ));
            continue;
        };
        built.push(row_document(&columns, row, kind, &meta, &format!("{file}#{row_id}"), &row_id, setting));
    }
}

/// A table's columns by name.
struct Columns<'t> {
    /// Header as written, and its canonical name; of two columns of one name the first has it.
    names: Vec<(&'t str, Option<&'static str>)>,
}

impl<'t> Columns<'t> {
    fn new(header: &'t [String]) -> Self {
        let mut taken = HashSet::new();
        let names = header
            .iter()
            .map(|cell| (cell.trim(), canonical(cell).filter(|name| taken.insert(*name))))
            .collect();
        Self { names }
    }

    fn value<'r>(&self, row: &'r Row, name: &str) -> &'r str {
        let column = self.names.iter().position(|(_, canonical)| *canonical == Some(name));
        column.and_then(|column| row.cells.get(column)).map_or("", |cell| cell.trim())
    }

    /// The filled cells: header as written, canonical name, value.
    fn filled<'r>(&'r self, row: &'r Row) -> impl Iterator<Item = (String, Option<&'static str>, &'r str)> {
        row.cells.iter().enumerate().filter(|(_, cell)| !cell.trim().is_empty()).map(|(column, cell)| {
            let (written, name) = self.names.get(column).copied().unwrap_or(("", None));
            let written =
                if written.is_empty() { format!("column {}", column + 1) } else { written.to_owned() };
            (written, name, cell.trim())
        })
    }
}

/// What a row says about itself, and its columns that the format does not know.
fn row_meta(columns: &Columns<'_>, row: &Row, kind: Kind, path: &str, problems: &mut Vec<Problem>) -> Meta {
    let nodes: Vec<(&'static str, Node)> = columns
        .filled(row)
        .filter_map(|(_, name, value)| {
            Some((name?, Node { value: Value::Text(value.to_owned()), lines: row.lines }))
        })
        .filter(|(name, _)| META_KEYS.contains(name) && *name != "title" && *name != "kind")
        .collect();
    let place = Place { path, layer: Layer::Row };
    let mut meta = Meta::read(nodes.iter().map(|(name, node)| (*name, node)), place, problems);
    let shown = shown_columns(kind);
    for (written, name, value) in columns.filled(row) {
        let is_known = name
            .is_some_and(|name| META_KEYS.contains(&name) || shown.iter().any(|(shown, _)| *shown == name));
        if !is_known {
            meta.attributes.insert(written, value.to_owned());
        }
    }
    meta
}

/// An id that lasts as long as the question does; of two rows with one question the second is told apart by
/// the rest of it. `None` where the whole row has been there before.
fn hashed_id(question: &str, row: &Row, seen: &mut HashSet<String>) -> Option<String> {
    let short = hash(question);
    if seen.insert(short.clone()) {
        return Some(short);
    }
    let long = hash(&row.cells.join("\n"));
    seen.insert(long.clone()).then_some(long)
}

/// The id of a row with this question that has no id of its own.
pub(crate) fn row_id(question: &str) -> String {
    hash(question)
}

fn hash(text: &str) -> String {
    let folded: String = text.nfkc().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect();
    let digest = Sha256::digest(folded.as_bytes());
    // Six bytes tell millions of questions apart, and the id is still one that a person can copy.
    digest.iter().take(6).fold(String::from("r"), |id, byte| format!("{id}{byte:02x}"))
}

fn row_document(
    columns: &Columns<'_>,
    row: &Row,
    kind: Kind,
    meta: &Meta,
    id: &str,
    row_id: &str,
    setting: &mut Setting<'_>,
) -> Built {
    let mut text = String::new();
    let mut spans: Vec<(&str, Range<usize>)> = Vec::new();
    for (name, label) in shown_columns(kind) {
        let value = columns.value(row, name);
        if value.is_empty() {
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(label);
        spans.push((name, text.len()..text.len() + value.len()));
        text.push_str(value);
    }
    let fields = columns
        .filled(row)
        .map(|(written, name, value)| Field {
            span: name
                .and_then(|name| spans.iter().find(|(shown, _)| *shown == name))
                .map(|(_, span)| span.clone()),
            name: name.map_or(written, str::to_owned),
            value: value.to_owned(),
        })
        .collect();
    let title = one_line(columns.value(row, required_columns(kind)[0]));
    let metadata_end = text.len();
    let mut audience = meta.audience.unwrap_or_default();
    let found = (kind == Kind::Video).then(|| (setting.transcript)(row_id)).flatten();
    let layout = match found {
        None => Layout::Row,
        Some(found) => {
            audience = audience.max(found.audience.unwrap_or(audience));
            let cues = push_cues(&mut text, &found.transcript, false);
            Layout::Video { metadata_end, cues }
        }
    };
    let mut document = document(meta, id.to_owned(), kind, title, setting.path, text);
    document.audience = audience;
    document.fields = fields;
    Built { document, layout, lines: LineMap::Whole(row.lines.0, row.lines.1) }
}

/// Appends a transcript's cues, a line each.
fn push_cues(text: &mut String, transcript: &Transcript, own_lines: bool) -> Vec<CueSpan> {
    if !text.is_empty() {
        text.push_str("\n\n");
    }
    let mut spans = Vec::with_capacity(transcript.cues.len());
    for (idx, cue) in transcript.cues.iter().enumerate() {
        if idx > 0 {
            text.push('\n');
        }
        spans.push(CueSpan {
            span: text.len()..text.len() + cue.text.len(),
            start_ms: cue.start_ms,
            end_ms: cue.end_ms,
            lines: own_lines.then_some(cue.lines),
        });
        text.push_str(&cue.text);
    }
    spans
}

/// A recording that no table tells about.
fn of_transcript(transcript: &Transcript, setting: &Setting<'_>) -> Built {
    let (meta, path) = (setting.given, setting.path);
    let mut text = transcript.heading.clone().unwrap_or_default();
    let metadata_end = text.len();
    let cues = push_cues(&mut text, transcript, true);
    let title = file_title(meta, path);
    let kind = meta.kind.unwrap_or(Kind::Video);
    Built {
        document: document(meta, file_id(meta, path), kind, title, path, text),
        layout: Layout::Video { metadata_end, cues },
        // Only the heading is placed by this; cues carry their own lines.
        lines: LineMap::Whole(1, 1),
    }
}

fn of_records(records: &Records, setting: &mut Setting<'_>, problems: &mut Vec<Problem>) -> Vec<Built> {
    let path = setting.path;
    let kind = kind_of(setting.given, path);
    let table = records.table().filter(|table| holds_rows_of(kind, table));
    // A single record that is itself the row says of itself what a row says.
    let is_own_row = table.as_ref().is_some_and(|table| {
        table.rows.len() == 1
            && records.top().is_some_and(|top| top.iter().map(|(key, _)| key).eq(&table.header.cells))
    });
    let own = match records.top().filter(|_| !is_own_row) {
        None => Meta::default(),
        Some(top) => {
            let place = Place { path, layer: Layer::Data };
            Meta::read(top.iter().map(|(key, node)| (key.as_str(), node)), place, problems)
        }
    };
    let meta = own.over(setting.given);
    if let Some(table) = table {
        return of_tables(vec![table], &meta, setting, problems);
    }
    let (text, lines) = render_records(records, records.top().is_some());
    if text.trim().is_empty() {
        problems.push(empty(path));
        return Vec::new();
    }
    let kind = kind_of(&meta, path);
    vec![Built {
        document: document(&meta, file_id(&meta, path), kind, file_title(&meta, path), path, text),
        layout: Layout::Outline(Markup::Plain),
        lines: LineMap::Each(lines),
    }]
}
