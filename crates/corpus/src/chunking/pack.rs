//! Atoms into chunks: as few as the limit allows, cut where least is lost.

use std::ops::Range;

use super::atoms::{Atom, Atoms, Break, Counter, cut_near_middle};
use crate::sentence::trim;

/// A chunk's spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packed {
    pub span: Range<usize>,
    pub table_header: Option<Range<usize>>,
}

/// Packs one unit's atoms. A unit that fits is one chunk; a longer one is cut into about equal parts.
pub(crate) fn pack(text: &str, unit: &Atoms, counter: &Counter<'_>) -> Vec<Packed> {
    let mut packed = Vec::new();
    let mut start = 0;
    let mut rest = unit.tokens();
    while start < unit.atoms.len() {
        let header = repeated_header(unit, start, counter);
        let end = cut(unit, start, rest, header.as_ref().map_or(0, |(_, tokens)| *tokens), counter);
        let own = unit.atoms[start..end].iter().map(|atom| atom.tokens).sum::<usize>();
        let sum = own + header.as_ref().map_or(0, |(_, tokens)| *tokens);
        rest -= own;
        let span = unit.atoms[start].span.start..unit.atoms[end - 1].span.end;
        place(text, span, header.map(|(span, _)| span), sum, counter, &mut packed);
        start = end;
    }
    packed
}

/// The header to repeat over a chunk that begins in the rows of a table; none where it would leave less
/// than half of the chunk to the rows, or the first row would not fit under it.
fn repeated_header(unit: &Atoms, start: usize, counter: &Counter<'_>) -> Option<(Range<usize>, usize)> {
    let (span, tokens) = unit.headers[unit.atoms[start].table?].clone();
    // The header is shown on lines of its own, which may cost a token.
    let tokens = tokens + 1;
    (tokens * 2 <= counter.budget() && tokens + unit.atoms[start].tokens <= counter.budget())
        .then_some((span, tokens))
}

/// Where the chunk that begins at `start` ends: `rest` tokens are left from there on, and `carried` are used
/// by a repeated header.
fn cut(unit: &Atoms, start: usize, rest: usize, carried: usize, counter: &Counter<'_>) -> usize {
    let atoms = &unit.atoms;
    let rest = rest + carried;
    if rest <= counter.budget() {
        return atoms.len();
    }
    // Equal parts: a full chunk and a scrap would serve nobody.
    let n_parts = rest.div_ceil(counter.budget());
    let wanted = rest.div_ceil(n_parts);
    let mut used = carried;
    let mut best = (start + 1, f64::NEG_INFINITY);
    for end in start + 1..atoms.len() {
        used += atoms[end - 1].tokens;
        if used > counter.budget() {
            break;
        }
        let score = gain(&atoms[end - 1], &atoms[end], counter) - used.abs_diff(wanted) as f64;
        // Of equal scores the later cut makes the fuller chunk.
        if score >= best.1 {
            best = (end, score);
        }
    }
    best.0
}

/// What a cut between two atoms is worth, in tokens of distance from the wanted length.
fn gain(last: &Atom, next: &Atom, counter: &Counter<'_>) -> f64 {
    let share = if last.leads {
        -1.0
    } else {
        match next.before {
            Break::Forced => -0.3,
            Break::Sentence => 0.0,
            Break::Line => 0.08,
            Break::Paragraph => 0.25,
            Break::Section => 0.4,
        }
    };
    share * counter.budget() as f64
}

/// Adds the chunk of a span, checking its length as it will be shown; what is too long after all (where the
/// counter counts more for the whole than for its parts) is halved.
fn place(
    text: &str,
    span: Range<usize>,
    header: Option<Range<usize>>,
    sum: usize,
    counter: &Counter<'_>,
    packed: &mut Vec<Packed>,
) {
    let span = trim(text, span);
    if span.is_empty() {
        return;
    }
    let own = &text[span.clone()];
    let fits = match &header {
        Some(header) => counter.fits(&format!("{}\n{own}", text[header.clone()].trim_end()), sum),
        None => counter.fits(own, sum),
    };
    if fits {
        packed.push(Packed { span, table_header: header });
        return;
    }
    if header.is_some() && counter.fits(own, sum) {
        packed.push(Packed { span, table_header: None });
        return;
    }
    match cut_near_line(text, &span).or_else(|| cut_near_middle(text, &span)) {
        Some(middle) => {
            place(text, span.start..middle, header.clone(), sum, counter, packed);
            place(text, middle..span.end, header, sum, counter, packed);
        }
        None => packed.push(Packed { span, table_header: None }),
    }
}

/// The line break nearest to the middle of a span.
fn cut_near_line(text: &str, span: &Range<usize>) -> Option<usize> {
    let middle = span.start + span.len() / 2;
    text[span.clone()]
        .match_indices('\n')
        .map(|(at, _)| span.start + at + 1)
        .filter(|&at| at < span.end)
        .min_by_key(|at| at.abs_diff(middle))
}
