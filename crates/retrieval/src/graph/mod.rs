//! A navigable graph of vector rows (HNSW, Malkov and Yashunin 2018), for sets that are too large to scan.
//!
//! Every row has links to rows near it, in directions that differ; a walk goes from row to row towards the question and
//! keeps the `ef` best it has seen. Layers above hold a sixteenth of the rows each and bring a walk into the right
//! region first. Links are numbers in one flat list, rows stay where the scan reads them, and the links of one row are
//! compared by one call of the kernel that scans: a walk is one cache miss after another, and this way it has few.
//!
//! [`build`] makes a graph, and the next one from the one before. Both are the same to the bit whatever the number of
//! threads.

mod build;
#[cfg(test)]
mod tests;

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::path::Path;

use flightdeck_models::ByteQuestion;

use crate::lexical::numbers;
use crate::rows::Rows;

/// Links of a row in a layer above, and those that a new row chooses in any.
const NEIGHBOURS: usize = 16;
/// Links of a row in the layer of all rows.
const BASE_DEGREE: usize = 2 * NEIGHBOURS;
/// In the place of a link that is not there.
const NONE: u32 = u32::MAX;
/// The file of a generation that holds the graph.
pub(crate) const GRAPH: &str = "graph.u32";
/// Begins the file and tells its layout.
const MARK: u32 = 0x4644_4731;

/// The links of all rows.
#[derive(Debug, PartialEq)]
pub(crate) struct Graph {
    base: Layer,
    /// From the lowest up; each one's rows are rows of the one below.
    above: Vec<Layer>,
    /// Where a walk begins: a row of the highest layer; [`NONE`] without rows.
    entry: u32,
    /// How many layers above have the entry.
    entry_height: usize,
    /// Rows that were taken out since all links were last made anew.
    removed: usize,
}

/// One layer's rows and links.
#[derive(Debug, PartialEq)]
struct Layer {
    /// In rising order; `None` where they are all rows.
    members: Option<Vec<u32>>,
    degree: usize,
    /// `degree` for each row, those that are there first.
    links: Vec<u32>,
}

impl Layer {
    fn new(members: Option<Vec<u32>>, n_rows: usize) -> Self {
        let (degree, places) =
            members.as_ref().map_or((BASE_DEGREE, n_rows), |members| (NEIGHBOURS, members.len()));
        Self { members, degree, links: vec![NONE; places * degree] }
    }

    /// Which of the layer's rows it is.
    fn place(&self, row: u32) -> Option<usize> {
        match &self.members {
            None => Some(row as usize),
            Some(members) => members.binary_search(&row).ok(),
        }
    }

    fn links_at(&self, place: usize) -> &[u32] {
        let links = &self.links[place * self.degree..][..self.degree];
        let there = links.iter().position(|&link| link == NONE).unwrap_or(self.degree);
        &links[..there]
    }

    fn links_of(&self, row: u32) -> &[u32] {
        self.place(row).map_or(&[], |place| self.links_at(place))
    }
}

/// A row and its product with what is looked for; the greater, the nearer, equal ones by their number.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Near {
    score: f32,
    row: u32,
}

impl Eq for Near {}

impl Ord for Near {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.row.cmp(&self.row))
    }
}

impl PartialOrd for Near {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The rows with their products with what is looked for, as they come.
fn scored(rows: &Rows, asked: &ByteQuestion, ids: &[u32]) -> Vec<Near> {
    let mut scores = Vec::new();
    rows.scores(asked, ids, &mut scores);
    ids.iter().zip(scores).map(|(&row, score)| Near { score, row }).collect()
}

/// What one walk after the other needs, kept so that none must make it anew.
struct Walker {
    /// One bit a row.
    seen: Vec<u64>,
    /// The words of `seen` that are not 0.
    touched: Vec<u32>,
    fresh: Vec<u32>,
    scores: Vec<f32>,
}

impl Walker {
    fn new(n_rows: usize) -> Self {
        let seen = vec![0; n_rows.div_ceil(64)];
        Self { seen, touched: Vec::new(), fresh: Vec::new(), scores: Vec::new() }
    }

    fn forget(&mut self) {
        for word in self.touched.drain(..) {
            self.seen[word as usize] = 0;
        }
    }

    /// Marks the row as seen; whether it was not.
    fn sees(&mut self, row: u32) -> bool {
        let word = &mut self.seen[row as usize / 64];
        let bit = 1 << (row % 64);
        if *word == 0 {
            self.touched.push(row / 64);
        }
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    /// The up to `ef` nearest accepted rows that a walk of `layer` from `starts` meets, nearest first.
    fn walk(
        &mut self,
        layer: &Layer,
        rows: &Rows,
        asked: &ByteQuestion,
        starts: &[Near],
        ef: usize,
        is_accepted: impl Fn(u32) -> bool,
    ) -> Vec<Near> {
        self.forget();
        let mut open: BinaryHeap<Near> = BinaryHeap::new();
        let mut found: BinaryHeap<Reverse<Near>> = BinaryHeap::with_capacity(ef + 1);
        for &start in starts {
            if self.sees(start.row) {
                open.push(start);
                if is_accepted(start.row) {
                    found.push(Reverse(start));
                }
            }
        }
        while let Some(from) = open.pop() {
            if found.len() >= ef && found.peek().is_some_and(|worst| from < worst.0) {
                break;
            }
            self.fresh.clear();
            for &link in layer.links_of(from.row) {
                if self.sees(link) {
                    self.fresh.push(link);
                }
            }
            rows.scores(asked, &self.fresh, &mut self.scores);
            for (&row, &score) in self.fresh.iter().zip(&self.scores) {
                let near = Near { score, row };
                if found.len() >= ef && found.peek().is_some_and(|worst| near <= worst.0) {
                    continue;
                }
                open.push(near);
                if is_accepted(row) {
                    found.push(Reverse(near));
                    if found.len() > ef {
                        found.pop();
                    }
                }
            }
        }
        found.into_sorted_vec().into_iter().map(|Reverse(near)| near).collect()
    }
}

impl Graph {
    /// The up to `ef` accepted rows nearest to the question that a walk meets, nearest by their bytes first.
    pub fn walk(
        &self,
        rows: &Rows,
        asked: &ByteQuestion,
        ef: usize,
        is_accepted: impl Fn(u32) -> bool,
    ) -> Vec<u32> {
        if self.entry == NONE || ef == 0 {
            return Vec::new();
        }
        let mut walker = Walker::new(rows.len());
        let start = self.descend(&mut walker, rows, asked, 0);
        let found = walker.walk(&self.base, rows, asked, &start, ef, is_accepted);
        found.into_iter().map(|near| near.row).collect()
    }

    /// The row nearest to the question that a walk through the layers above the lowest `height` ones meets.
    fn descend(&self, walker: &mut Walker, rows: &Rows, asked: &ByteQuestion, height: usize) -> Vec<Near> {
        let mut nearest = scored(rows, asked, &[self.entry]);
        for layer in self.above[..self.entry_height].iter().skip(height).rev() {
            nearest = walker.walk(layer, rows, asked, &nearest, 1, |_| true);
        }
        nearest
    }

    /// As the file [`GRAPH`] holds it: numbers of 32 bits, the lowest byte first. The mark, rows, entry, layers that have
    /// it, rows removed, layers above; the links of all rows; for each layer above the number of its rows, the rows, their links.
    pub fn to_bytes(&self) -> Vec<u8> {
        let n_rows = self.base.links.len() / BASE_DEGREE;
        let head = [n_rows, self.entry as usize, self.entry_height, self.removed, self.above.len()];
        let mut all = vec![MARK];
        all.extend(head.map(|number| number as u32));
        all.extend_from_slice(&self.base.links);
        for layer in &self.above {
            let members = layer.members.as_deref().unwrap_or_default();
            all.push(members.len() as u32);
            all.extend_from_slice(members);
            all.extend_from_slice(&layer.links);
        }
        all.into_iter().flat_map(u32::to_le_bytes).collect()
    }

    /// Reads the graph of `n_rows` rows from `dir`; an error says what is wrong with it.
    pub fn open(dir: &Path, n_rows: usize) -> Result<Self, String> {
        let bytes = std::fs::read(dir.join(GRAPH)).map_err(|error| format!("{GRAPH}: {error}"))?;
        let read = Reader { rest: &bytes }.graph(n_rows);
        read.ok_or_else(|| format!("{GRAPH} is not a graph of {n_rows} rows"))
    }
}

/// Takes numbers from a file's front; `None` where there are not enough or they name what is not there.
struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn graph(mut self, n_rows: usize) -> Option<Graph> {
        let [mark, rows, entry, entry_height, removed, n_above] = self.take(6)?.try_into().ok()?;
        let is_row = |row: u32| (row as usize) < n_rows;
        let entry_fits = if entry == NONE { n_rows == 0 } else { is_row(entry) };
        if mark != MARK || rows as usize != n_rows || !entry_fits || entry_height > n_above {
            return None;
        }
        let links = self.take(n_rows.checked_mul(BASE_DEGREE)?)?;
        let base = Layer { members: None, degree: BASE_DEGREE, links };
        let mut above = Vec::new();
        for _ in 0..n_above {
            let n_members = self.take(1)?[0] as usize;
            let members = self.take(n_members)?;
            let links = self.take(n_members.checked_mul(NEIGHBOURS)?)?;
            if !members.iter().copied().all(is_row) || !members.is_sorted_by(|a, b| a < b) {
                return None;
            }
            above.push(Layer { members: Some(members), degree: NEIGHBOURS, links });
        }
        let are_rows = |layer: &Layer| layer.links.iter().all(|&link| link == NONE || is_row(link));
        let is_whole = self.rest.is_empty() && are_rows(&base) && above.iter().all(are_rows);
        let (entry_height, removed) = (entry_height as usize, removed as usize);
        is_whole.then_some(Graph { base, above, entry, entry_height, removed })
    }

    fn take(&mut self, n: usize) -> Option<Vec<u32>> {
        let (taken, rest) = self.rest.split_at_checked(n.checked_mul(size_of::<u32>())?)?;
        self.rest = rest;
        Some(numbers(taken))
    }
}
