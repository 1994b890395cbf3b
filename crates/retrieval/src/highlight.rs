//! Marks the question's words in a passage, as HTML text that is safe to insert.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::analysis::{Analyzer, is_stop_word};
use crate::lexical::QueryTerms;

/// Finds a question's words in any text of the index that was asked.
pub(crate) struct Marker {
    pub analyzer: Arc<Analyzer>,
    pub terms: QueryTerms,
}

impl Marker {
    /// Byte ranges of `text` that match, in order, not overlapping.
    pub fn spans(&self, text: &str) -> Vec<Range<usize>> {
        let mut spans: Vec<Range<usize>> = self
            .analyzer
            .terms(text)
            .into_iter()
            .filter(|term| self.terms.contains(term) && !is_stop_word(&term.text))
            .map(|term| term.span)
            .collect();
        spans.sort_by_key(|span| (span.start, span.end));
        let mut merged: Vec<Range<usize>> = Vec::new();
        for span in spans {
            match merged.last_mut() {
                Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
                _ => merged.push(span),
            }
        }
        merged
    }
}

impl fmt::Debug for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Marker").finish_non_exhaustive()
    }
}

/// `text` or its stretch of about `max_chars` characters with the most marked bytes, escaped, matches in `<mark>`.
pub(crate) fn render(text: &str, matches: &[Range<usize>], max_chars: usize) -> String {
    let window = densest_window(text, matches, max_chars.max(1));
    let mut html = String::new();
    if window.start > 0 {
        html.push('…');
    }
    let mut at = window.start;
    for span in matches.iter().filter(|span| span.start >= window.start && span.end <= window.end) {
        escape(&text[at..span.start], &mut html);
        html.push_str("<mark>");
        escape(&text[span.clone()], &mut html);
        html.push_str("</mark>");
        at = span.end;
    }
    escape(&text[at..window.end], &mut html);
    if window.end < text.len() {
        html.push('…');
    }
    html
}

fn densest_window(text: &str, matches: &[Range<usize>], max_chars: usize) -> Range<usize> {
    let starts: Vec<usize> = text.char_indices().map(|(i, _)| i).chain([text.len()]).collect();
    let n_chars = starts.len() - 1;
    if n_chars <= max_chars {
        return 0..text.len();
    }
    let char_of = |byte: usize| starts.partition_point(|&start| start < byte);
    let lead = max_chars / 8;
    let window_from = |byte: usize| {
        let first = char_of(byte).saturating_sub(lead).min(n_chars - max_chars);
        starts[first]..starts[first + max_chars]
    };
    let marked = |window: &Range<usize>| -> usize {
        matches
            .iter()
            .filter(|span| span.start >= window.start && span.end <= window.end)
            .map(ExactSizeIterator::len)
            .sum()
    };
    let mut best = window_from(0);
    for span in matches {
        let window = window_from(span.start);
        if marked(&window) > marked(&best) {
            best = window;
        }
    }
    best
}

fn escape(text: &str, html: &mut String) {
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            _ => html.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_cannot_smuggle_markup_in() {
        let text = "<script>换线</script>";
        let at = text.find("换线").expect("it is there");
        assert_eq!(
            render(text, std::slice::from_ref(&(at..at + 6)), 100),
            "&lt;script&gt;<mark>换线</mark>&lt;/script&gt;"
        );
    }

    #[test]
    fn the_window_is_where_the_matches_are() {
        let text = format!("{}换线时间{}", "甲".repeat(100), "乙".repeat(100));
        let html = render(&text, &[300..306, 306..312], 20);
        assert!(html.contains("<mark>换线</mark><mark>时间</mark>"), "{html}");
        assert!(html.starts_with('…') && html.ends_with('…'));
    }
}
