//! An answer being written: words and the citations they stand on, kept in step.

use std::ops::Range;
use std::sync::Arc;

use flightdeck_corpus::{Chunk, Document, Location};

use crate::answer::Citation;
use crate::sentences::marks;
use crate::units::{Evidence, location};

/// Text with citation marks and the citations themselves; every mark has one and every one a mark.
#[derive(Clone, Default)]
pub(crate) struct Draft {
    text: String,
    citations: Vec<Citation>,
}

impl Draft {
    /// Appends words of the frame, which state nothing about the world.
    pub fn frame(&mut self, words: &str) -> &mut Self {
        self.text.push_str(words);
        self
    }

    /// Starts a new line, unless one has just begun.
    pub fn line(&mut self) -> &mut Self {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        self
    }

    /// Appends what a source says and the mark of its citation.
    pub fn state(&mut self, evidence: &Evidence) -> &mut Self {
        self.state_as(&evidence.unit.words, &evidence.document, &evidence.chunk, evidence.unit.span.clone())
    }

    /// As [`Draft::state`], with words taken from the quote by the caller.
    pub fn state_as(
        &mut self,
        words: &str,
        document: &Arc<Document>,
        chunk: &Chunk,
        span: Range<usize>,
    ) -> &mut Self {
        if let Some(n) = self.cite(document, chunk, span) {
            self.text.push_str(&without_marks(words.trim_end()));
            self.text.push_str(&format!("[{n}]"));
        }
        self
    }

    /// What the draft has become.
    pub fn finish(self) -> (String, Vec<Citation>) {
        (self.text.trim().to_owned(), self.citations)
    }

    /// The citations so far.
    pub fn citations(&self) -> &[Citation] {
        &self.citations
    }

    /// The text so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Appends the mark of a citation from another draft, under a number of this one.
    pub fn cite_again(&mut self, citation: &Citation) -> &mut Self {
        if let Some(n) = self.cite_at(citation.document(), citation.span(), || citation.location().clone()) {
            self.text.push_str(&format!("[{n}]"));
        }
        self
    }

    /// Appends another text with its citations, under numbers of this one.
    pub fn append(&mut self, text: &str, citations: &[Citation]) -> &mut Self {
        for part in marks::split(text) {
            self.frame(part.words);
            let cited = part.mark.and_then(|n| citations.iter().find(|citation| citation.n() == n));
            if let Some(citation) = cited {
                self.cite_again(citation);
            }
        }
        self
    }

    /// Starts what stands under a heading of its own; without one, nothing.
    pub fn headed(&mut self, heading: &str) -> &mut Self {
        if heading.is_empty() {
            return self;
        }
        if !self.text.is_empty() {
            self.line().frame("\n");
        }
        self.frame(heading).line()
    }

    /// Whether nothing was stated yet.
    pub fn is_empty(&self) -> bool {
        self.citations.is_empty()
    }

    fn cite(&mut self, document: &Arc<Document>, chunk: &Chunk, span: Range<usize>) -> Option<usize> {
        self.cite_at(document, span.clone(), || location(document, chunk, &span))
    }

    fn cite_at(
        &mut self,
        document: &Arc<Document>,
        span: Range<usize>,
        place: impl FnOnce() -> Location,
    ) -> Option<usize> {
        let known = self.citations.iter().find(|c| c.document().id == document.id && c.span() == span);
        if let Some(citation) = known {
            return Some(citation.n());
        }
        let citation = Citation::new(self.citations.len() + 1, document.clone(), span, place())?;
        let n = citation.n();
        self.citations.push(citation);
        Some(n)
    }
}

/// A source's own `[7]` would read as one of our marks: such brackets become full-width ones.
pub(crate) fn without_marks(words: &str) -> String {
    let mut clean = String::with_capacity(words.len());
    let mut rest = words;
    while let Some(open) = rest.find('[') {
        let after = &rest[open + 1..];
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        clean.push_str(&rest[..open]);
        if digits > 0 && after[digits..].starts_with(']') {
            clean.push('［');
            clean.push_str(&after[..digits]);
            clean.push('］');
            rest = &after[digits + 1..];
        } else {
            clean.push('[');
            rest = after;
        }
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::without_marks;

    #[test]
    fn a_sources_own_marks_do_not_become_citations() {
        assert_eq!(without_marks("见 [3] 与 [a] 与 [12"), "见 ［3］ 与 [a] 与 [12");
    }
}
