//! From a document to its chunks, by kind.
//!
//! The text is cut into atoms (sentences, table rows, headings), each counted once by the caller's token
//! counter; atoms are gathered into units that belong together (a section, a question with its answer, a
//! stretch of a recording) and a unit that is too long is cut where it hurts least. Chunks cover every
//! character that is not white space, in order, and never exceed the limit.

mod atoms;
mod pack;

use std::ops::Range;

use crate::document::{Chunk, ChunkId, Document, Kind, Location};
use crate::lines::{LineIndex, LineMap};
use crate::sentence::trim;
use crate::structure::{Markup, Section, sections};
use crate::{CountTokens, Settings};
use atoms::{Atoms, Counter};
use pack::pack;

/// How a document's text is built, which says where it may be cut.
#[derive(Clone, Debug)]
pub(crate) enum Layout {
    /// Sections under headings.
    Outline(Markup),
    /// One question with its answer, one row: kept whole where it fits.
    Row,
    /// A video's row up to `metadata_end`, then cues.
    Video { metadata_end: usize, cues: Vec<CueSpan> },
}

/// A cue in a document's text.
#[derive(Clone, Debug)]
pub(crate) struct CueSpan {
    pub span: Range<usize>,
    pub start_ms: u64,
    pub end_ms: u64,
    /// First and last line in the document's own file; `None` where the transcript is another file.
    pub lines: Option<(u32, u32)>,
}

/// A stretch of transcript is ended at the first sentence end after this long,
const STRETCH_MS: u64 = 30_000;
/// and at any cue after this long.
const MAX_STRETCH_MS: u64 = 60_000;

/// What becomes a chunk: spans, and where they stand.
struct Piece {
    span: Range<usize>,
    table_header: Option<Range<usize>>,
    heading: Vec<String>,
    stretch: Option<Stretch>,
}

/// Where a piece of a recording stands.
#[derive(Clone, Copy)]
struct Stretch {
    start_ms: u64,
    end_ms: u64,
    /// In the document's own file; `None` where the transcript is another file.
    lines: Option<(u32, u32)>,
}

/// Splits a document. `lines` says where its text stands in the source.
pub(crate) fn split(
    document: &Document,
    layout: &Layout,
    lines: &LineMap,
    settings: &Settings,
    count: CountTokens<'_>,
) -> Vec<Chunk> {
    let counter = Counter::new(count, settings.max_chunk_tokens);
    let text = document.text.as_str();
    let pieces = match layout {
        Layout::Outline(markup) => outline_pieces(document, &sections(text, *markup), settings, &counter),
        Layout::Row => row_pieces(text, 0..text.len(), &counter),
        Layout::Video { metadata_end, cues } => {
            let mut pieces = row_pieces(text, 0..*metadata_end, &counter);
            pieces.extend(stretches(text, cues, &counter));
            pieces
        }
    };
    let index = LineIndex::new(text);
    pieces
        .into_iter()
        .zip(1..)
        .map(|(piece, ordinal)| {
            let own_lines = || {
                let (first, last) = (index.line_at(piece.span.start), index.line_at(piece.span.end - 1));
                lines.source(first, last)
            };
            let source_lines = match &piece.stretch {
                Some(stretch) => stretch.lines,
                None => own_lines(),
            };
            Chunk {
                id: ChunkId(format!("{}#{ordinal}", document.id).into()),
                document: document.id.clone(),
                location: Location {
                    heading: piece.heading,
                    page: document.page_at(piece.span.start),
                    line_start: source_lines.map(|lines| lines.0),
                    line_end: source_lines.map(|lines| lines.1),
                    start_ms: piece.stretch.map(|stretch| stretch.start_ms),
                    end_ms: piece.stretch.map(|stretch| stretch.end_ms),
                },
                span: piece.span,
                table_header: piece.table_header,
            }
        })
        .collect()
}

fn row_pieces(text: &str, range: Range<usize>, counter: &Counter<'_>) -> Vec<Piece> {
    let atoms = Atoms::of_prose(text, range, counter);
    pack(text, &atoms, counter)
        .into_iter()
        .map(|packed| Piece { span: packed.span, table_header: None, heading: Vec::new(), stretch: None })
        .collect()
}

fn outline_pieces(
    document: &Document,
    sections: &[Section],
    settings: &Settings,
    counter: &Counter<'_>,
) -> Vec<Piece> {
    let text = document.text.as_str();
    let atoms: Vec<Atoms> =
        sections.iter().map(|section| Atoms::of_section(text, section, counter)).collect();
    let tokens: Vec<usize> = atoms.iter().map(Atoms::tokens).collect();
    let mut pieces = Vec::new();
    for group in groups(document.kind, sections, &tokens, settings) {
        let mut joined = Atoms::default();
        for idx in group.clone() {
            joined.append(&atoms[idx]);
        }
        for packed in pack(text, &joined, counter) {
            pieces.push(Piece {
                heading: heading_at(&sections[group.clone()], &packed.span),
                span: packed.span,
                table_header: packed.table_header,
                stretch: None,
            });
        }
    }
    pieces
}

/// The heading path of the section in which a span begins; where that is a mere heading, of the one below it.
fn heading_at(sections: &[Section], span: &Range<usize>) -> Vec<String> {
    let first = sections.partition_point(|section| section.span.end <= span.start);
    let mut last = None;
    for section in
        sections[first.min(sections.len())..].iter().take_while(|section| section.span.start < span.end)
    {
        last = Some(section);
        if !section.is_heading_only() {
            break;
        }
    }
    last.map(|section| section.heading.clone()).unwrap_or_default()
}

/// Which neighbouring sections make one unit.
fn groups(kind: Kind, sections: &[Section], tokens: &[usize], settings: &Settings) -> Vec<Range<usize>> {
    match kind {
        Kind::Faq | Kind::Qa if sections.iter().any(is_question) => question_groups(sections),
        Kind::Objection => objection_groups(sections),
        _ => section_groups(sections, tokens, settings),
    }
}

/// A question's section with the sections under it. Headings above the questions join the first of them.
fn question_groups(sections: &[Section]) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut open_level = None;
    for (idx, section) in sections.iter().enumerate() {
        let continues = open_level.is_some_and(|level| section.level > level && !is_question(section));
        let joins_heading = groups.last().is_some_and(|group| {
            sections[group.clone()].iter().all(Section::is_heading_only)
                && is_below(section, &sections[group.end - 1])
        });
        if continues || joins_heading {
            groups.last_mut().expect("a group is open").end = idx + 1;
        } else {
            groups.push(idx..idx + 1);
        }
        if is_question(section) {
            open_level = Some(section.level);
        } else if !continues {
            open_level = None;
        }
    }
    groups
}

/// One objection with its steps and evidence: a new one begins at a heading that is a customer's words, on
/// the level where most headings are. Elsewhere such a heading is a step ("反问：哪天要货？"); a file without
/// that level is one objection.
fn objection_groups(sections: &[Section]) -> Vec<Range<usize>> {
    let is_objection = |section: &Section| {
        let heading = section.heading.last().map_or("", String::as_str);
        is_question(section)
            || (section.level > 0
                && (heading.starts_with(['“', '"', '「', '『']) || heading.starts_with("异议")))
    };
    let objection_level = (1..=6).find(|&level| {
        let here: Vec<&Section> = sections.iter().filter(|section| section.level == level).collect();
        let n_objections = here.iter().filter(|section| is_objection(section)).count();
        n_objections >= 2 && n_objections * 2 >= here.len()
    });
    let mut groups: Vec<Range<usize>> = Vec::new();
    for (idx, section) in sections.iter().enumerate() {
        let begins = Some(section.level) == objection_level && is_objection(section);
        let after_headings =
            groups.last().is_some_and(|group| sections[group.clone()].iter().all(Section::is_heading_only));
        match groups.last_mut() {
            Some(group) if !begins || after_headings => group.end = idx + 1,
            _ => groups.push(idx..idx + 1),
        }
    }
    groups
}

fn is_question(section: &Section) -> bool {
    section.level > 0 && section.heading.last().is_some_and(|heading| heading.ends_with(['？', '?']))
}

/// Each section for itself, but small ones with a neighbour under the same heading, and a heading with
/// nothing under it with what comes below.
fn section_groups(sections: &[Section], tokens: &[usize], settings: &Settings) -> Vec<Range<usize>> {
    let sum = |group: &Range<usize>| tokens[group.clone()].iter().sum::<usize>();
    let mut groups: Vec<Range<usize>> = Vec::new();
    for (idx, section) in sections.iter().enumerate() {
        let joins = groups.last().is_some_and(|group| {
            let last = &sections[group.end - 1];
            let all_headings = sections[group.clone()].iter().all(Section::is_heading_only);
            if all_headings && is_below(section, last) {
                return true;
            }
            let is_small = sum(group) < settings.min_chunk_tokens;
            is_small
                && sum(group) + tokens[idx] <= settings.max_chunk_tokens
                && (is_below(section, last) || are_siblings(section, last) || last.level == 0)
        });
        match groups.last_mut() {
            Some(group) if joins => group.end = idx + 1,
            _ => groups.push(idx..idx + 1),
        }
    }
    // What is still small is the last under its heading: it joins the one before it.
    let mut joined: Vec<Range<usize>> = Vec::new();
    for group in groups {
        let fits = joined.last().is_some_and(|before: &Range<usize>| {
            let (first, last) = (&sections[group.start], &sections[before.end - 1]);
            sum(&group) < settings.min_chunk_tokens
                && sum(before) + sum(&group) <= settings.max_chunk_tokens
                && (are_siblings(first, last) || is_below(first, last) || is_below(last, first))
        });
        match joined.last_mut() {
            Some(before) if fits => before.end = group.end,
            _ => joined.push(group),
        }
    }
    joined
}

fn is_below(section: &Section, above: &Section) -> bool {
    section.level > above.level
}

fn are_siblings(one: &Section, other: &Section) -> bool {
    let parent = |section: &Section| section.heading.split_last().map(|(_, parent)| parent.to_vec());
    one.level == other.level && parent(one) == parent(other)
}

/// Stretches of a recording of about half a minute to a minute.
fn stretches(text: &str, cues: &[CueSpan], counter: &Counter<'_>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut at = 0;
    let tokens: Vec<usize> = cues.iter().map(|cue| counter.count(&text[cue.span.clone()])).collect();
    while at < cues.len() {
        let start_ms = cues[at].start_ms;
        let (mut end, mut used) = (at, 0);
        while end < cues.len() && (end == at || used + tokens[end] <= counter.budget()) {
            if end > at && cues[end].end_ms.saturating_sub(start_ms) > MAX_STRETCH_MS {
                break;
            }
            used += tokens[end];
            end += 1;
            let ends_sentence =
                text[cues[end - 1].span.clone()].trim_end().ends_with(['。', '！', '？', '.', '!', '?']);
            if ends_sentence && cues[end - 1].end_ms.saturating_sub(start_ms) >= STRETCH_MS {
                break;
            }
        }
        pieces.extend(stretch(text, &cues[at..end], used, counter));
        at = end;
    }
    pieces
}

/// The pieces of some cues: one, or more where a single cue is too long.
fn stretch(text: &str, cues: &[CueSpan], tokens: usize, counter: &Counter<'_>) -> Vec<Piece> {
    let (Some(first), Some(last)) = (cues.first(), cues.last()) else { return Vec::new() };
    let span = trim(text, first.span.start..last.span.end);
    if span.is_empty() {
        return Vec::new();
    }
    let lines = first.lines.zip(last.lines).map(|(first, last)| (first.0, last.1));
    let end_ms = cues.iter().map(|cue| cue.end_ms).max().unwrap_or(first.end_ms);
    let stretch = Some(Stretch { start_ms: first.start_ms, end_ms, lines });
    let piece = |span| Piece { span, table_header: None, heading: Vec::new(), stretch };
    if tokens <= counter.budget() && counter.fits(&text[span.clone()], tokens) {
        return vec![piece(span)];
    }
    let atoms = Atoms::of_prose(text, span, counter);
    pack(text, &atoms, counter).into_iter().map(|packed| piece(packed.span)).collect()
}
