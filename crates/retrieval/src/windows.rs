//! A few sentences of a chunk with a vector of their own.
//!
//! One vector for a whole chunk says what the chunk is about; the one sentence that answers a question drowns in it.
//! So each chunk is also cut into windows of neighbouring sentences, each embedded behind the chunk's title and
//! heading, and a candidate's similarity is a mean of its own cosine and of its best window's. Windows are looked at
//! for candidates only: they cost time at indexing and a few bytes each, and next to nothing in a search. What they
//! are worth, and why the token vectors of one pass over the chunk do not do instead, is in `docs/retrieval.md`.

use std::ops::Range;

use flightdeck_corpus::{Chunk, Document, heading_below_title, sentences};

use crate::dense::dot;

/// Tokens of a window, unless one sentence is longer.
const WINDOW_TOKENS: usize = 48;

/// The texts to embed for the windows of a chunk; none where one window would hold the whole chunk.
pub(crate) fn window_texts(
    document: &Document,
    chunk: &Chunk,
    count_tokens: &dyn Fn(&str) -> usize,
) -> Vec<String> {
    let text = chunk.text(document);
    let windows = window_spans(text, count_tokens);
    if windows.is_empty() {
        return Vec::new();
    }
    let titles = [document.title.as_str()].into_iter().filter(|title| !title.is_empty());
    let mut header = titles.chain(heading_below_title(document, chunk)).collect::<Vec<_>>().join(" > ");
    if let Some(table_header) = &chunk.table_header {
        header.push('\n');
        header.push_str(document.text[table_header.clone()].trim_end());
    }
    let mut texts: Vec<String> = windows
        .into_iter()
        .map(|window| format!("{header}\n{}", text[window].trim()).trim().to_owned())
        .collect();
    texts.dedup();
    texts
}

/// Where the windows of a chunk's text stand in it; none where one window would hold it all.
pub(crate) fn window_spans(text: &str, count_tokens: &dyn Fn(&str) -> usize) -> Vec<Range<usize>> {
    let windows = cut(text, count_tokens);
    if windows.len() < 2 { Vec::new() } else { windows }
}

/// Neighbouring sentences together up to [`WINDOW_TOKENS`], in order, without overlap.
fn cut(text: &str, count_tokens: &dyn Fn(&str) -> usize) -> Vec<Range<usize>> {
    let mut windows: Vec<Range<usize>> = Vec::new();
    let mut n_tokens = 0;
    for sentence in sentences(text) {
        let n_more = count_tokens(&text[sentence.clone()]);
        match windows.last_mut() {
            Some(window) if n_tokens + n_more <= WINDOW_TOKENS => {
                window.end = sentence.end;
                n_tokens += n_more;
            }
            _ => {
                windows.push(sentence);
                n_tokens = n_more;
            }
        }
    }
    windows
}

/// The windows' vectors of every row of chunk vectors, as bytes with one scale each.
#[derive(Default)]
pub(crate) struct Windows {
    dimension: usize,
    /// For every row its first window, and behind the last row the number of windows.
    first: Vec<u32>,
    scales: Vec<f32>,
    bytes: Vec<i8>,
}

/// What a file of windows does not hold.
#[derive(Debug, thiserror::Error)]
#[error("its parts do not fit together")]
pub(crate) struct Misfit;

impl Windows {
    pub fn new(dimension: usize) -> Self {
        Self { dimension, first: vec![0], ..Self::default() }
    }

    /// Appends the windows of the next row.
    pub fn push_row<'a>(&mut self, vectors: impl IntoIterator<Item = &'a [f32]>) {
        for vector in vectors {
            let largest = vector.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            let scale = largest.max(f32::MIN_POSITIVE) / 127.0;
            self.scales.push(scale);
            self.bytes.extend(vector.iter().map(|value| (value / scale).round() as i8));
        }
        self.first.push(self.scales.len() as u32);
    }

    /// Appends the windows of a row of another generation as they stand there.
    pub fn push_from(&mut self, windows: &Self, row: usize) {
        let range = windows.first[row] as usize..windows.first[row + 1] as usize;
        self.scales.extend_from_slice(&windows.scales[range.clone()]);
        self.bytes
            .extend_from_slice(&windows.bytes[range.start * self.dimension..range.end * self.dimension]);
        self.first.push(self.scales.len() as u32);
    }

    /// Windows of all rows together.
    pub fn len(&self) -> usize {
        self.scales.len()
    }

    /// The largest cosine of `question`, a unit vector, with a window of `row`; `None` where the row has none.
    pub fn best(&self, question: &[f32], row: usize) -> Option<f32> {
        self.cosines(question, row).max_by(f32::total_cmp)
    }

    /// The cosine of `question`, a unit vector, with each window of `row`, in order.
    pub fn cosines(&self, question: &[f32], row: usize) -> impl Iterator<Item = f32> {
        let first = |row: usize| self.first.get(row).map_or(self.scales.len(), |first| *first as usize);
        (first(row)..first(row + 1)).map(move |window| {
            let bytes = &self.bytes[window * self.dimension..(window + 1) * self.dimension];
            self.scales[window] * dot(question, bytes)
        })
    }

    /// As a file: number of rows, `first`, scales, bytes; little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut file = Vec::with_capacity(4 * (1 + self.first.len() + self.scales.len()) + self.bytes.len());
        file.extend_from_slice(&(self.first.len() as u32 - 1).to_le_bytes());
        file.extend(self.first.iter().flat_map(|value| value.to_le_bytes()));
        file.extend(self.scales.iter().flat_map(|value| value.to_le_bytes()));
        file.extend(self.bytes.iter().map(|byte| byte.cast_unsigned()));
        file
    }

    /// Reads what [`Windows::to_bytes`] wrote.
    pub fn from_bytes(file: &[u8], dimension: usize) -> Result<Self, Misfit> {
        let words = |bytes: &[u8]| -> Vec<[u8; 4]> {
            bytes.chunks_exact(4).map(|word| word.try_into().expect("chunks of four")).collect()
        };
        let (n_rows, rest) = file.split_first_chunk::<4>().ok_or(Misfit)?;
        let n_rows = u32::from_le_bytes(*n_rows) as usize;
        let (first, rest) = rest.split_at_checked(4 * (n_rows + 1)).ok_or(Misfit)?;
        let first: Vec<u32> = words(first).into_iter().map(u32::from_le_bytes).collect();
        let n_windows = *first.last().ok_or(Misfit)? as usize;
        let (scales, bytes) = rest.split_at_checked(4 * n_windows).ok_or(Misfit)?;
        if !first.is_sorted() || bytes.len() != n_windows * dimension {
            return Err(Misfit);
        }
        let scales = words(scales).into_iter().map(f32::from_le_bytes).collect();
        let bytes = bytes.iter().map(|byte| byte.cast_signed()).collect();
        Ok(Self { dimension, first, scales, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_hold_whole_sentences_and_every_word_once() {
        let text = "第一句话说设备。第二句话说换线时间由45分钟缩短至8分钟。\n第三句话说价格。第四句。";
        let windows = cut(text, &|text| text.chars().count());
        let joined: String = windows.iter().map(|window| text[window.clone()].trim()).collect();
        assert_eq!(joined.replace('\n', ""), text.replace('\n', ""));
        let windows = cut(&text.repeat(4), &|text| text.chars().count());
        assert!(windows.len() > 2 && windows.iter().all(|window| window.len() <= 3 * WINDOW_TOKENS));
    }

    #[test]
    fn what_was_written_is_read_and_torn_files_are_refused() {
        let mut windows = Windows::new(3);
        windows.push_row([[0.6_f32, 0.8, 0.0].as_slice(), [1.0, 0.0, 0.0].as_slice()]);
        windows.push_row([]);
        let file = windows.to_bytes();
        let read = Windows::from_bytes(&file, 3).expect("it is whole");
        let best = read.best(&[1.0, 0.0, 0.0], 0).expect("the row has windows");
        assert!((best - 1.0).abs() < 0.01, "{best}");
        assert_eq!((read.best(&[1.0, 0.0, 0.0], 1), read.best(&[1.0, 0.0, 0.0], 2)), (None, None));
        for end in 0..file.len() {
            assert!(Windows::from_bytes(&file[..end], 3).is_err(), "cut at {end}");
        }
    }
}
