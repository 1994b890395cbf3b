//! The dense side: unit vectors, compared by dot product; exact where that is faster, a graph above.
//!
//! Equal texts share one vector row. An exact scan of 384 dimensions costs some 10 ns a row, has no build time and
//! takes any filter for less than nothing; the graph (HNSW, Malkov and Yashunin 2018) pays above
//! [`VectorSettings::graph_from`] rows, and even there the scan answers when a filter leaves few rows, because a
//! filtered graph walk grows with 1/share. Both find rows by bytes (`rows`) and put them in order by finer numbers.

use std::collections::HashMap;
use std::path::Path;

use flightdeck_models::ByteQuestion;
use serde::{Deserialize, Serialize};

use crate::RetrievalError;
use crate::cache::TextKey;
use crate::filter::Allowed;
use crate::generation::write_file;
use crate::graph::{GRAPH, Graph};
use crate::rows::{EncodedRows, Rows};
use crate::windows::Windows;

/// When the graph is built and used.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct VectorSettings {
    /// Rows from which a graph is built. It is faster than the scan from some tens of thousands of rows on, but finds
    /// 0.997 of the nearest where the scan finds all; so the scan answers for as long as it takes a few milliseconds.
    pub graph_from: usize,
    /// Below this share of allowed chunks, in percent, the scan answers although there is a graph.
    pub scan_below_percent: usize,
    /// What the best window counts for against the chunk as a whole, 0 to 1; with 0 none is made.
    pub window_share: f32,
}

impl Default for VectorSettings {
    fn default() -> Self {
        Self { graph_from: 250_000, scan_below_percent: 30, window_share: 0.7 }
    }
}

/// The least number of rows that a walk keeps. Where rows lie in crowds, 400 find a tenth more of the nearest than 200 do,
/// for a millisecond among a million.
const EF_SEARCH: usize = 400;

/// The dot product with floats or bytes, in a fixed order of addition: equal inputs give equal bits on every machine.
pub(crate) fn dot<T: Copy>(a: &[f32], b: &[T]) -> f32
where
    f32: From<T>,
{
    const LANES: usize = 16;
    let mut sums = [0.0_f32; LANES];
    let (a_blocks, b_blocks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: f32 =
        a_blocks.remainder().iter().zip(b_blocks.remainder()).map(|(x, y)| x * f32::from(*y)).sum();
    for (x, y) in a_blocks.zip(b_blocks) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * f32::from(y[lane]);
        }
    }
    sums.iter().sum::<f32>() + tail
}

/// Vector rows and which chunk has which, to be written.
pub(crate) struct Vectors {
    pub dimension: usize,
    pub rows: EncodedRows,
    /// Of which text each row is.
    pub keys: Vec<TextKey>,
    /// For every chunk its row.
    pub row_of_chunk: Vec<u32>,
    /// For every row the vectors of its windows.
    pub windows: Windows,
}

/// As [`Vectors`], of an open generation.
pub(crate) struct StoredVectors {
    pub rows: Rows,
    /// Of which text each row is.
    pub keys: Vec<TextKey>,
    pub row_of_chunk: Vec<u32>,
    pub windows: Windows,
}

/// Builds the graph of the rows in `dir` and writes it there, from the one of the generation before where there is one; nothing
/// is written where a scan is faster. `keys` tells of which text each row is.
pub(crate) fn write_graph(
    dir: &Path,
    dimension: usize,
    keys: &[TextKey],
    settings: VectorSettings,
    previous: Option<&Dense>,
) -> Result<(), RetrievalError> {
    let rows = Rows::open(dir, dimension)
        .map_err(|reason| RetrievalError::Damaged { path: dir.to_owned(), reason })?;
    if rows.len() < settings.graph_from {
        return Ok(());
    }
    let before = previous.and_then(|dense| Some((dense.graph.as_ref()?, &dense.vectors.keys)));
    let graph = match before {
        Some((graph, keys_before)) => {
            let row_of_text: HashMap<&TextKey, u32> = keys.iter().zip(0..).collect();
            let new_rows: Vec<Option<u32>> =
                keys_before.iter().map(|key| row_of_text.get(key).copied()).collect();
            graph.next(&rows, &new_rows)
        }
        None => Graph::build(&rows),
    };
    write_file(&dir.join(GRAPH), &graph.to_bytes())
}

/// The dense side of an open generation.
pub(crate) struct Dense {
    vectors: StoredVectors,
    /// For every row where its chunks begin in `chunks_by_row`, and behind the last row their number.
    first_chunk: Vec<u32>,
    /// The chunks by row, those of a row in order.
    chunks_by_row: Vec<u32>,
    /// Whether every chunk is the row of its own number, as it is where no two texts are equal.
    one_to_one: bool,
    graph: Option<Graph>,
    settings: VectorSettings,
}

impl Dense {
    pub fn open(dir: &Path, vectors: StoredVectors, settings: VectorSettings) -> Result<Self, String> {
        let n_rows = vectors.rows.len();
        let mut first_chunk = vec![0_u32; n_rows + 1];
        for (chunk, &row) in vectors.row_of_chunk.iter().enumerate() {
            *first_chunk
                .get_mut(row as usize + 1)
                .ok_or_else(|| format!("chunk {chunk} names vector row {row}"))? += 1;
        }
        for row in 0..n_rows {
            first_chunk[row + 1] += first_chunk[row];
        }
        let mut next = first_chunk.clone();
        let mut chunks_by_row = vec![0; vectors.row_of_chunk.len()];
        for (chunk, &row) in vectors.row_of_chunk.iter().enumerate() {
            let place = &mut next[row as usize];
            chunks_by_row[*place as usize] = chunk as u32;
            *place += 1;
        }
        let one_to_one = vectors.row_of_chunk.iter().enumerate().all(|(chunk, &row)| chunk as u32 == row);
        let graph = if n_rows >= settings.graph_from { Some(Graph::open(dir, n_rows)?) } else { None };
        Ok(Self { vectors, first_chunk, chunks_by_row, one_to_one, graph, settings })
    }

    /// The rows with what they were made from.
    pub fn vectors(&self) -> &StoredVectors {
        &self.vectors
    }

    /// How near a chunk is to the question, -1 to 1: the mean of its own cosine and its best window's, which counts
    /// `window_share`.
    pub fn similarity(&self, question: &[f32], chunk: u32, window_share: f32) -> f32 {
        let row = self.vectors.row_of_chunk[chunk as usize] as usize;
        let whole = self.cosine(question, chunk);
        match self.vectors.windows.best(question, row) {
            Some(best) => whole + window_share * (best - whole),
            None => whole,
        }
    }

    /// Cosine of the question and the chunk's best window; `None` where the chunk has none.
    pub fn best_window(&self, question: &[f32], chunk: u32) -> Option<f32> {
        self.vectors.windows.best(question, self.vectors.row_of_chunk[chunk as usize] as usize)
    }

    /// Cosine of the question and each of the chunk's windows, in order; none where the chunk has none.
    pub fn windows(&self, question: &[f32], chunk: u32) -> Vec<f32> {
        self.vectors.windows.cosines(question, self.vectors.row_of_chunk[chunk as usize] as usize).collect()
    }

    /// Cosine of the question and a chunk as a whole.
    pub fn cosine(&self, question: &[f32], chunk: u32) -> f32 {
        self.vectors.rows.similarity(question, self.vectors.row_of_chunk[chunk as usize])
    }

    /// The same chunks by their [`Dense::similarity`], nearest first, equal ones in chunk order.
    pub fn look_closer(&self, question: &[f32], hits: Vec<(u32, f32)>, window_share: f32) -> Vec<(u32, f32)> {
        let limit = hits.len();
        let closer = |(chunk, _)| (chunk, self.similarity(question, chunk, window_share));
        best(hits.into_iter().map(closer).collect(), limit)
    }

    /// The `limit` allowed chunks whose own vectors are nearest to the question, nearest first, equal ones in chunk
    /// order.
    pub fn search(&self, question: &[f32], allowed: &Allowed, limit: usize) -> Vec<(u32, f32)> {
        let n_chunks = self.vectors.row_of_chunk.len();
        match &self.graph {
            Some(graph) if allowed.len() * 100 >= n_chunks * self.settings.scan_below_percent => {
                self.walk(graph, question, allowed, limit, EF_SEARCH.max(2 * limit))
            }
            _ => self.scan(question, allowed, limit),
        }
    }

    /// As [`Dense::search`], always by the exact scan: the reference for recall.
    pub fn scan(&self, question: &[f32], allowed: &Allowed, limit: usize) -> Vec<(u32, f32)> {
        let rows = if self.one_to_one {
            self.vectors.rows.near(question, allowed.words(), limit)
        } else {
            let mut words = vec![0_u64; self.vectors.rows.len().div_ceil(64)];
            for chunk in allowed.iter() {
                let row = self.vectors.row_of_chunk[chunk as usize];
                words[row as usize / 64] |= 1 << (row % 64);
            }
            self.vectors.rows.near(question, &words, limit)
        };
        self.in_order(question, rows, allowed, limit)
    }

    fn walk(
        &self,
        graph: &Graph,
        question: &[f32],
        allowed: &Allowed,
        limit: usize,
        ef: usize,
    ) -> Vec<(u32, f32)> {
        let is_whole = allowed.len() == self.vectors.row_of_chunk.len();
        let is_allowed = |row: u32| is_whole || self.chunks_of(row).iter().any(|&c| allowed.contains(c));
        // As many as the walk has seen: the finer numbers below put them in order, not the rows' bytes.
        let rows = graph.walk(&self.vectors.rows, &ByteQuestion::new(question), ef, is_allowed);
        self.in_order(question, rows, allowed, limit)
    }

    /// As [`Dense::search`], always by the graph and with `ef` candidates; `None` where there is none.
    pub fn walk_with(
        &self,
        question: &[f32],
        allowed: &Allowed,
        limit: usize,
        ef: usize,
    ) -> Option<Vec<(u32, f32)>> {
        self.graph.as_ref().map(|graph| self.walk(graph, question, allowed, limit, ef))
    }

    /// The chunks that share a row, in order.
    fn chunks_of(&self, row: u32) -> &[u32] {
        let row = row as usize;
        &self.chunks_by_row[self.first_chunk[row] as usize..self.first_chunk[row + 1] as usize]
    }

    /// The allowed chunks of some rows by their similarity in fine steps.
    fn in_order(&self, question: &[f32], rows: Vec<u32>, allowed: &Allowed, limit: usize) -> Vec<(u32, f32)> {
        let mut hits = Vec::with_capacity(rows.len());
        for row in rows {
            let similarity = self.vectors.rows.similarity(question, row);
            let chunks = self.chunks_of(row).iter().filter(|&&chunk| allowed.contains(chunk));
            hits.extend(chunks.map(|&chunk| (chunk, similarity)));
        }
        best(hits, limit)
    }
}

fn best(mut hits: Vec<(u32, f32)>, limit: usize) -> Vec<(u32, f32)> {
    let best_first = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if hits.len() > limit {
        hits.select_nth_unstable_by(limit, best_first);
        hits.truncate(limit);
    }
    hits.sort_unstable_by(best_first);
    hits
}
