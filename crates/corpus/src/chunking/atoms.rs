//! The smallest pieces that chunks are made of, with what they weigh.

use std::ops::Range;

use crate::CountTokens;
use crate::sentence::{sentences, trim};
use crate::structure::{Section, Shape};

/// Counts tokens against a limit.
///
/// A counter may add a constant (the model's begin and end marks), which would add up over atoms; it is
/// measured once and taken off the limit instead.
pub(crate) struct Counter<'a> {
    count: CountTokens<'a>,
    overhead: usize,
    budget: usize,
    limit: usize,
}

impl<'a> Counter<'a> {
    pub(crate) fn new(count: CountTokens<'a>, limit: usize) -> Self {
        let overhead = count("");
        Self { count, overhead, budget: limit.saturating_sub(overhead).max(1), limit }
    }

    /// Tokens of a part of a text.
    pub(crate) fn count(&self, text: &str) -> usize {
        (self.count)(text).saturating_sub(self.overhead)
    }

    /// What the parts of a chunk may add up to.
    pub(crate) fn budget(&self) -> usize {
        self.budget
    }

    /// Whether a text whose parts add up to `sum` is within the limit. Words may be cut differently where
    /// parts join, so a sum near the limit is counted again; one far below it is not.
    pub(crate) fn fits(&self, text: &str, sum: usize) -> bool {
        sum <= self.budget * 3 / 4 || (self.count)(text) <= self.limit
    }
}

/// How much is lost by cutting before an atom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Break {
    /// Inside a sentence that is longer than a chunk.
    Forced,
    Sentence,
    Line,
    Paragraph,
    Section,
}

/// A piece that is not cut: a sentence, a table row, a heading.
#[derive(Clone, Debug)]
pub(crate) struct Atom {
    /// Up to the next atom's start, so that atoms tile what they are made of.
    pub span: Range<usize>,
    pub tokens: usize,
    pub before: Break,
    /// A heading or a table's header, which means nothing without what follows it.
    pub leads: bool,
    /// The table in whose rows it stands, as an index into [`Atoms::headers`].
    pub table: Option<usize>,
}

/// Atoms in order, and the headers of the tables among them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Atoms {
    pub atoms: Vec<Atom>,
    /// Span and tokens of each table's header.
    pub headers: Vec<(Range<usize>, usize)>,
}

impl Atoms {
    /// Atoms of running text.
    pub(crate) fn of_prose(text: &str, range: Range<usize>, counter: &Counter<'_>) -> Self {
        let mut atoms = Self::default();
        atoms.prose(text, range, Break::Paragraph, counter);
        atoms
    }

    /// Atoms of a section, its heading first.
    pub(crate) fn of_section(text: &str, section: &Section, counter: &Counter<'_>) -> Self {
        let mut atoms = Self::default();
        for block in &section.blocks {
            match &block.shape {
                Shape::Heading => {
                    atoms.prose(text, block.span.clone(), Break::Section, counter);
                    atoms.atoms.iter_mut().for_each(|atom| atom.leads = true);
                }
                Shape::Paragraph => atoms.prose(text, block.span.clone(), Break::Paragraph, counter),
                Shape::Code => atoms.lines(text, block.span.clone(), Break::Paragraph, None, counter),
                Shape::Table { header } => {
                    let table = atoms.headers.len();
                    let first = atoms.atoms.len();
                    atoms.long(text, header.clone(), Break::Paragraph, None, counter);
                    atoms.atoms[first..].iter_mut().for_each(|atom| atom.leads = true);
                    let tokens = atoms.atoms[first..].iter().map(|atom| atom.tokens).sum();
                    atoms.headers.push((trim(text, header.clone()), tokens));
                    atoms.lines(text, header.end..block.span.end, Break::Line, Some(table), counter);
                }
            }
        }
        atoms
    }

    /// Adds the atoms of the next section.
    pub(crate) fn append(&mut self, next: &Self) {
        let n_headers = self.headers.len();
        self.headers.extend(next.headers.iter().cloned());
        self.atoms.extend(next.atoms.iter().cloned().map(|mut atom| {
            atom.table = atom.table.map(|table| table + n_headers);
            atom
        }));
    }

    pub(crate) fn tokens(&self) -> usize {
        self.atoms.iter().map(|atom| atom.tokens).sum()
    }

    fn prose(&mut self, text: &str, range: Range<usize>, before: Break, counter: &Counter<'_>) {
        let found = sentences(&text[range.clone()]);
        for (idx, sentence) in found.iter().enumerate() {
            let start = range.start + sentence.start;
            let end = found.get(idx + 1).map_or(range.end, |next| range.start + next.start);
            let gap = idx.checked_sub(1).map(|previous| &text[range.start + found[previous].end..start]);
            let before = match gap {
                None => before,
                Some(gap) => match gap.matches('\n').count() {
                    0 => Break::Sentence,
                    1 => Break::Line,
                    _ => Break::Paragraph,
                },
            };
            self.long(text, start..end, before, None, counter);
        }
    }

    fn lines(
        &mut self,
        text: &str,
        range: Range<usize>,
        before: Break,
        table: Option<usize>,
        counter: &Counter<'_>,
    ) {
        let mut start = range.start;
        for (idx, line) in text[range].split_inclusive('\n').enumerate() {
            let before = if idx == 0 { before } else { Break::Line };
            self.long(text, start..start + line.len(), before, table, counter);
            start += line.len();
        }
    }

    /// Adds one atom, or several where it is longer than a chunk may be.
    fn long(
        &mut self,
        text: &str,
        span: Range<usize>,
        before: Break,
        table: Option<usize>,
        counter: &Counter<'_>,
    ) {
        if trim(text, span.clone()).is_empty() {
            return;
        }
        let mut before = before;
        for piece in windows(text, span, counter.budget().saturating_mul(4)) {
            self.halve(text, piece, &mut before, table, counter);
        }
    }

    fn halve(
        &mut self,
        text: &str,
        span: Range<usize>,
        before: &mut Break,
        table: Option<usize>,
        counter: &Counter<'_>,
    ) {
        let tokens = counter.count(&text[span.clone()]);
        let middle = (tokens > counter.budget()).then(|| cut_near_middle(text, &span)).flatten();
        if let Some(middle) = middle {
            self.halve(text, span.start..middle, before, table, counter);
            self.halve(text, middle..span.end, before, table, counter);
        } else {
            self.atoms.push(Atom { span, tokens, before: *before, leads: false, table });
            *before = Break::Forced;
        }
    }
}

/// Cuts a monstrous atom into pieces of about `n_characters`, so that counting it does not take time in
/// the square of its length.
fn windows(text: &str, span: Range<usize>, n_characters: usize) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut start = span.start;
    let mut in_piece = 0;
    for (at, _) in text[span.clone()].char_indices() {
        if in_piece == n_characters {
            let cut = span.start + at;
            pieces.push(start..cut);
            (start, in_piece) = (cut, 0);
        }
        in_piece += 1;
    }
    pieces.push(start..span.end);
    pieces
}

/// The place nearest to the middle where a clause ends, else a word, else any character; `None` for one
/// character.
pub(crate) fn cut_near_middle(text: &str, span: &Range<usize>) -> Option<usize> {
    let middle = span.start + span.len() / 2;
    let quarter = span.len() / 4;
    let nearest = |ends: &dyn Fn(char) -> bool| {
        text[span.clone()]
            .char_indices()
            .filter(|(_, character)| ends(*character))
            .map(|(at, character)| span.start + at + character.len_utf8())
            .filter(|&at| at < span.end && at.abs_diff(middle) <= quarter)
            .min_by_key(|at| at.abs_diff(middle))
    };
    nearest(&|c| matches!(c, '，' | '、' | '：' | '；' | '。'))
        .or_else(|| nearest(&|c| c.is_whitespace() || matches!(c, ',' | '|')))
        .or_else(|| nearest(&|_| true))
        .or_else(|| text[span.clone()].char_indices().nth(1).map(|(at, _)| span.start + at))
}
