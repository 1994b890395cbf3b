//! Line numbers: from byte offsets of a text, and from a document's text back to its source file.

/// Where the lines of a text begin.
#[derive(Clone, Debug)]
pub(crate) struct LineIndex {
    starts: Vec<usize>,
}

impl LineIndex {
    pub(crate) fn new(text: &str) -> Self {
        let starts = std::iter::once(0)
            .chain(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1))
            .collect();
        Self { starts }
    }

    /// The 1-based line of a byte offset.
    pub(crate) fn line_at(&self, offset: usize) -> u32 {
        self.starts.partition_point(|&start| start <= offset) as u32
    }
}

/// Which source lines a document's text came from.
#[derive(Clone, Debug)]
pub(crate) enum LineMap {
    /// The text's first line is this line of the source, and line follows line.
    From(u32),
    /// Per line of the text, its first and last line (or sheet row) in the source.
    Each(Vec<(u32, u32)>),
    /// The whole text came from these lines: a table row.
    Whole(u32, u32),
    /// The source has no lines: a page of a PDF, a slide.
    Nowhere,
}

impl LineMap {
    /// First and last source line of the text's 1-based lines `first..=last`; `None` where there are none.
    pub(crate) fn source(&self, first: u32, last: u32) -> Option<(u32, u32)> {
        Some(match self {
            Self::Nowhere => return None,
            Self::From(line) => (line + first - 1, line + last - 1),
            Self::Each(lines) => {
                let at = |line: u32| lines.get(line as usize - 1).or(lines.last()).copied().unwrap_or((1, 1));
                (at(first).0, at(last).1)
            }
            Self::Whole(start, end) => (*start, *end),
        })
    }
}
