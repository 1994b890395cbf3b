//! The dense side: unit vectors, compared by dot product; exact where that is faster, a graph above.
//!
//! Equal texts share one vector row. An exact scan of 384 dimensions costs some 60 ns a row, has no build time and
//! takes any filter for free; the graph (HNSW, Malkov and Yashunin 2018) pays above [`Settings::graph_from`] rows,
//! and even there the scan answers when a filter leaves few rows, because a filtered graph walk grows with 1/share.

use std::path::Path;

use hnsw_rs::api::AnnT;
use hnsw_rs::hnswio::HnswIo;
use hnsw_rs::prelude::{Distance, Hnsw};
use self_cell::self_cell;
use serde::{Deserialize, Serialize};

use crate::filter::Allowed;
use crate::windows::Windows;

/// When the graph is built and used.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct VectorSettings {
    /// Rows from which a graph is built. Measured crossing with `hnsw_rs` at recall 0.99: about 55,000.
    pub graph_from: usize,
    /// Below this share of allowed chunks, in percent, the scan answers although there is a graph.
    pub scan_below_percent: usize,
    /// What the best window counts for against the chunk as a whole, 0 to 1; with 0 none is made.
    pub window_share: f32,
}

impl Default for VectorSettings {
    fn default() -> Self {
        Self { graph_from: 55_000, scan_below_percent: 30, window_share: 0.7 }
    }
}

const GRAPH_NAME: &str = "graph";
const NEIGHBOURS: usize = 16;
const EF_CONSTRUCTION: usize = 200;
const EF_SEARCH: usize = 200;
const MAX_LAYERS: usize = 16;

/// Cosine distance of unit vectors, never below 0 (rounding would otherwise make it so).
#[derive(Clone, Copy, Default)]
struct UnitDot;

impl Distance<f32> for UnitDot {
    fn eval(&self, a: &[f32], b: &[f32]) -> f32 {
        (1.0 - dot(a, b)).max(0.0)
    }
}

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

/// Vector rows and which chunk has which.
pub(crate) struct Vectors {
    pub dimension: usize,
    /// Row-major, `[n_rows, dimension]`.
    pub rows: Vec<f32>,
    /// For every chunk its row.
    pub row_of_chunk: Vec<u32>,
    /// For every row the vectors of its windows.
    pub windows: Windows,
}

impl Vectors {
    pub fn n_rows(&self) -> usize {
        self.rows.len() / self.dimension.max(1)
    }

    pub fn row(&self, row: usize) -> &[f32] {
        &self.rows[row * self.dimension..(row + 1) * self.dimension]
    }
}

self_cell!(
    struct LoadedGraph {
        owner: HnswIo,
        #[not_covariant]
        dependent: Graph,
    }
);

type Graph<'a> = Hnsw<'a, f32, UnitDot>;

/// Builds the graph of all rows and writes it into `dir`; nothing is written where a scan is faster.
pub(crate) fn write_graph(dir: &Path, vectors: &Vectors, settings: VectorSettings) -> Result<(), String> {
    if vectors.n_rows() < settings.graph_from {
        return Ok(());
    }
    let graph: Graph = Hnsw::new(NEIGHBOURS, vectors.n_rows(), MAX_LAYERS, EF_CONSTRUCTION, UnitDot);
    let rows: Vec<(&[f32], usize)> = (0..vectors.n_rows()).map(|row| (vectors.row(row), row)).collect();
    graph.parallel_insert_slice(&rows);
    let written = graph.file_dump(dir, GRAPH_NAME).map_err(|error| error.to_string())?;
    if written == GRAPH_NAME { Ok(()) } else { Err(format!("the graph was written as {written}")) }
}

/// The dense side of an open generation.
pub(crate) struct Dense {
    vectors: Vectors,
    /// For every row the chunks that share it, in order.
    chunks_of_row: Vec<Vec<u32>>,
    graph: Option<LoadedGraph>,
    settings: VectorSettings,
}

impl Dense {
    pub fn open(dir: &Path, vectors: Vectors, settings: VectorSettings) -> Result<Self, String> {
        let mut chunks_of_row = vec![Vec::new(); vectors.n_rows()];
        for (chunk, &row) in vectors.row_of_chunk.iter().enumerate() {
            chunks_of_row
                .get_mut(row as usize)
                .ok_or_else(|| format!("chunk {chunk} names vector row {row}"))?
                .push(chunk as u32);
        }
        let graph = if vectors.n_rows() >= settings.graph_from {
            let owner = HnswIo::new(dir, GRAPH_NAME);
            let graph = LoadedGraph::try_new(owner, |io| {
                io.load_hnsw_with_dist(UnitDot).map_err(|error| error.to_string())
            })?;
            Some(graph)
        } else {
            None
        };
        Ok(Self { vectors, chunks_of_row, graph, settings })
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

    /// Cosine of the question and a chunk as a whole.
    pub fn cosine(&self, question: &[f32], chunk: u32) -> f32 {
        dot(question, self.vectors.row(self.vectors.row_of_chunk[chunk as usize] as usize))
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
                self.walk(graph, question, allowed, limit)
            }
            _ => self.scan(question, allowed, limit),
        }
    }

    /// As [`Dense::search`], always by the exact scan: the reference for recall.
    pub fn scan(&self, question: &[f32], allowed: &Allowed, limit: usize) -> Vec<(u32, f32)> {
        let mut hits = Vec::with_capacity(allowed.len());
        for (row, chunks) in self.chunks_of_row.iter().enumerate() {
            if chunks.iter().any(|&chunk| allowed.contains(chunk)) {
                let similarity = dot(question, self.vectors.row(row));
                hits.extend(chunks.iter().filter(|&&c| allowed.contains(c)).map(|&c| (c, similarity)));
            }
        }
        best(hits, limit)
    }

    fn walk(
        &self,
        graph: &LoadedGraph,
        question: &[f32],
        allowed: &Allowed,
        limit: usize,
    ) -> Vec<(u32, f32)> {
        let wanted = limit.min(self.vectors.n_rows());
        let is_allowed = |row: &usize| self.chunks_of_row[*row].iter().any(|&chunk| allowed.contains(chunk));
        let ef = EF_SEARCH.max(2 * wanted);
        let rows =
            graph.with_dependent(|_, graph| graph.search_filter(question, wanted, ef, Some(&is_allowed)));
        let mut hits = Vec::with_capacity(rows.len());
        for neighbour in rows {
            let row = neighbour.d_id;
            // The graph's distances are clamped; the similarity is computed again, as the scan would.
            let similarity = dot(question, self.vectors.row(row));
            hits.extend(
                self.chunks_of_row[row].iter().filter(|&&c| allowed.contains(c)).map(|&c| (c, similarity)),
            );
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
