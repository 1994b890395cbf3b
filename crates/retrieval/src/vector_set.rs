//! The dense side alone: vectors without texts, to measure what searching them takes.

use std::path::Path;

use crate::dense::{Dense, StoredVectors, write_graph};
use crate::filter::Allowed;
use crate::generation::write_file;
#[cfg(test)]
use crate::graph::GRAPH;
use crate::rows::{EncodedRows, Rows};
use crate::windows::Windows;
use crate::{RetrievalError, VectorSettings};

/// Vectors in a folder, stored and searched as an index does.
pub struct VectorSet {
    dense: Dense,
    n_rows: usize,
}

/// Some rows of a [`VectorSet`].
pub struct RowFilter(Allowed);

impl VectorSet {
    /// Writes `rows`, `[n, dimension]`, into the folder `dir`, with a graph from `graph_from` rows on.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(
        dir: &Path,
        rows: &[f32],
        dimension: usize,
        graph_from: usize,
    ) -> Result<(), RetrievalError> {
        for (name, bytes) in EncodedRows::of(rows, dimension).files() {
            write_file(&dir.join(name), bytes)?;
        }
        let settings = VectorSettings { graph_from, ..VectorSettings::default() };
        write_graph(dir, dimension, &[], settings, None)
    }

    /// Opens what [`VectorSet::write`] wrote.
    ///
    /// # Errors
    /// When the files do not fit each other.
    pub fn open(dir: &Path, dimension: usize, graph_from: usize) -> Result<Self, RetrievalError> {
        let damaged = |reason| RetrievalError::Damaged { path: dir.to_owned(), reason };
        let rows = Rows::open(dir, dimension).map_err(damaged)?;
        let n_rows = rows.len();
        let row_of_chunk = (0..n_rows as u32).collect();
        let vectors =
            StoredVectors { rows, keys: Vec::new(), row_of_chunk, windows: Windows::new(dimension) };
        let settings = VectorSettings { graph_from, ..VectorSettings::default() };
        Ok(Self { dense: Dense::open(dir, vectors, settings).map_err(damaged)?, n_rows })
    }

    /// The set of the rows for which `is_allowed` is true.
    pub fn filter(&self, is_allowed: impl FnMut(usize) -> bool) -> RowFilter {
        RowFilter(Allowed::new(self.n_rows, is_allowed))
    }

    /// The `limit` allowed rows nearest to the question with their similarity, nearest first, by the exact scan.
    pub fn scan(&self, question: &[f32], filter: &RowFilter, limit: usize) -> Vec<(u32, f32)> {
        self.dense.scan(question, &filter.0, limit)
    }

    /// As [`VectorSet::scan`], by a walk of the graph that keeps `ef` candidates; `None` where there is no graph.
    pub fn walk(
        &self,
        question: &[f32],
        filter: &RowFilter,
        limit: usize,
        ef: usize,
    ) -> Option<Vec<(u32, f32)>> {
        self.dense.walk_with(question, &filter.0, limit, ef)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Unit vectors in crowds: each a centre and a little of its own, so that many are nearly alike.
    fn vectors(n: usize, dimension: usize, mut seed: u64) -> Vec<f32> {
        let mut random = move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((seed >> 40) as f32 / (1 << 23) as f32) - 1.0
        };
        let centres: Vec<f32> = (0..20 * dimension).map(|_| random()).collect();
        let mut rows = Vec::with_capacity(n * dimension);
        for idx in 0..n {
            let centre = &centres[idx % 20 * dimension..][..dimension];
            let row: Vec<f32> = centre.iter().map(|value| value + 0.3 * random()).collect();
            let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
            rows.extend(row.iter().map(|value| value / length));
        }
        rows
    }

    fn exact(rows: &[f32], question: &[f32], is_allowed: impl Fn(usize) -> bool, limit: usize) -> Vec<u32> {
        let mut all: Vec<(u32, f32)> = rows
            .chunks_exact(question.len())
            .enumerate()
            .filter(|(idx, _)| is_allowed(*idx))
            .map(|(idx, row)| (idx as u32, row.iter().zip(question).map(|(a, b)| a * b).sum()))
            .collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        all.into_iter().take(limit).map(|(row, _)| row).collect()
    }

    #[test]
    fn the_scan_finds_all_of_the_nearest_whatever_the_filter_keeps() {
        let (n, dimension) = (3_000, 100);
        let rows = vectors(n, dimension, 5);
        let dir = tempfile::tempdir().expect("a temporary folder");
        VectorSet::write(dir.path(), &rows, dimension, usize::MAX).expect("is written");
        let set = VectorSet::open(dir.path(), dimension, usize::MAX).expect("opens");
        for every in [1, 2, 10, 100, 5_000] {
            let filter = set.filter(|row| row % every == 0);
            let (mut found, mut wanted) = (0, 0);
            for row in (0..n).step_by(97) {
                let question = &rows[row * dimension..(row + 1) * dimension];
                for limit in [1, 10, 100] {
                    let nearest = exact(&rows, question, |row| row % every == 0, limit);
                    let scanned = set.scan(question, &filter, limit);
                    assert!(scanned.is_sorted_by(|a, b| a.1 >= b.1) && scanned.len() == nearest.len());
                    wanted += nearest.len();
                    found += nearest.iter().filter(|row| scanned.iter().any(|(r, _)| r == *row)).count();
                }
            }
            // Rounding may swap two that are nearer to each other than 1e-5 at the very end of a list.
            assert!(found * 1000 >= wanted * 999, "one in {every}: {found} of {wanted}");
        }
        assert!(set.scan(&rows[..dimension], &set.filter(|_| true), 0).is_empty());
        assert!(set.scan(&rows[..dimension], &set.filter(|_| false), 10).is_empty());
        assert!(set.walk(&rows[..dimension], &set.filter(|_| true), 10, 50).is_none());
    }

    #[test]
    fn a_large_set_is_shared_by_two_threads_and_gives_the_same() {
        let dimension = 8;
        let rows = vectors(160_000, dimension, 9);
        let dir = tempfile::tempdir().expect("a temporary folder");
        VectorSet::write(dir.path(), &rows, dimension, usize::MAX).expect("is written");
        let set = VectorSet::open(dir.path(), dimension, usize::MAX).expect("opens");
        for row in [0, 79_999, 80_001, 159_999] {
            let question = &rows[row * dimension..(row + 1) * dimension];
            let scanned = set.scan(question, &set.filter(|_| true), 10);
            let least = scanned.last().expect("ten were found").1;
            let nearest = exact(&rows, question, |_| true, 10);
            let similarity = |row: u32| -> f32 {
                rows[row as usize * dimension..][..dimension].iter().zip(question).map(|(a, b)| a * b).sum()
            };
            assert!(scanned.iter().any(|(found, _)| *found as usize == row));
            assert!(nearest.iter().all(|&row| similarity(row) >= least - 1e-3));
        }
    }

    #[test]
    fn the_graph_begins_where_the_settings_say() {
        let (n, dimension) = (400, 64);
        let rows = vectors(n, dimension, 3);
        let question = &rows[..dimension];
        for (graph_from, has_graph) in [(n + 1, false), (n, true)] {
            let dir = tempfile::tempdir().expect("a temporary folder");
            VectorSet::write(dir.path(), &rows, dimension, graph_from).expect("is written");
            let set = VectorSet::open(dir.path(), dimension, graph_from).expect("opens");
            let all = set.filter(|_| true);
            let walked = set.walk(question, &all, 10, 200);
            assert_eq!(walked.is_some(), has_graph, "from {graph_from}");
            assert_eq!(dir.path().join(GRAPH).exists(), has_graph);
            let scanned = set.scan(question, &all, 10);
            if let Some(walked) = walked {
                let found = scanned.iter().filter(|hit| walked.contains(hit)).count();
                assert!(found >= 9, "{found} of 10");
            }
        }
    }
}
