//! How a graph is made: rows are put in by batches, and a change starts from the graph before it.
//!
//! The rows of a batch look for their neighbours in the graph as the batch before left it and among each other; only then
//! are all their links written, and written back. So threads share the work without waiting for each other, and how many
//! there are changes nothing (the idea of batches is of `ParlayANN`, Dobson et al. 2023). Rows that go leave their
//! neighbours' neighbours as candidates to those that had a link to them.

use std::num::NonZero;

use flightdeck_models::ByteQuestion;

use super::{Graph, Layer, NEIGHBOURS, NONE, Near, Walker, scored};
use crate::rows::Rows;

/// Rows that a search for neighbours keeps.
const CANDIDATES: usize = 200;
/// Rows put in together, at least and at most; in between as many as are there already.
const BATCH: (usize, usize) = (64, 1024);
/// One row in so many may have been removed; then all links are made anew.
const REMOVED: usize = 4;

/// The links that a row chose, from the layer of all rows up.
struct Chosen {
    row: u32,
    links: Vec<Vec<u32>>,
}

impl Graph {
    /// The graph of all `rows`.
    pub fn build(rows: &Rows) -> Self {
        let everything: Vec<u32> = (0..rows.len() as u32).collect();
        let base = Layer::new(None, rows.len());
        let mut graph = Self { base, above: Vec::new(), entry: NONE, entry_height: 0, removed: 0 };
        graph.insert(rows, everything);
        graph
    }

    /// The graph of `rows`, where `new_rows` tells for each row of this graph which it is there; `None` for one that is
    /// not. The others are put in anew.
    pub fn next(&self, rows: &Rows, new_rows: &[Option<u32>]) -> Self {
        let removed = self.removed + new_rows.iter().filter(|row| row.is_none()).count();
        if removed * REMOVED > rows.len() {
            return Self::build(rows);
        }
        let layer_of = |layer: &Layer| renumbered(layer, rows, new_rows);
        let mut above: Vec<Layer> = self.above.iter().map(layer_of).collect();
        while above.last().is_some_and(|layer| layer.links.is_empty()) {
            above.pop();
        }
        let kept = new_rows.get(self.entry as usize).copied().flatten();
        let (entry, entry_height) = match (kept, above.last()) {
            (Some(entry), _) => (entry, self.entry_height),
            (None, Some(Layer { members: Some(members), .. })) => (members[0], above.len()),
            (None, _) => (new_rows.iter().copied().flatten().next().unwrap_or(NONE), 0),
        };
        let mut graph = Self { base: layer_of(&self.base), above, entry, entry_height, removed };
        let mut is_new = vec![true; rows.len()];
        for row in new_rows.iter().flatten() {
            is_new[*row as usize] = false;
        }
        graph.insert(rows, (0..rows.len() as u32).filter(|&row| is_new[row as usize]).collect());
        graph
    }

    /// Puts rows in that are not in yet.
    fn insert(&mut self, rows: &Rows, mut new: Vec<u32>) {
        for height in 1..=new.iter().map(|&row| height_of(row)).max().unwrap_or(0) {
            let joining = new.iter().copied().filter(|&row| height_of(row) >= height).collect();
            match self.above.get_mut(height - 1) {
                Some(layer) => layer.admit(joining),
                None => self.above.push(Layer::new(Some(joining), rows.len())),
            }
        }
        // Rows that lie side by side are often of one document: in this order few of them are of one batch.
        new.sort_unstable_by_key(|&row| (mixed(row), row));
        let mut n_there = rows.len() - new.len();
        let mut rest = new.as_slice();
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(n_there.clamp(BATCH.0, BATCH.1).min(rest.len()));
            let chosen = in_parallel(batch, |part| {
                let mut walker = Walker::new(rows.len());
                part.iter().map(|&row| self.choose(&mut walker, rows, row, batch)).collect()
            });
            self.base.link(rows, &chosen, 0);
            for (layer, height) in self.above.iter_mut().zip(1..) {
                layer.link(rows, &chosen, height);
            }
            for &row in batch {
                if self.entry == NONE || height_of(row) > self.entry_height {
                    (self.entry, self.entry_height) = (row, height_of(row));
                }
            }
            n_there += batch.len();
            rest = later;
        }
    }

    /// The links of a row that is to be put in with the others of `batch`.
    fn choose(&self, walker: &mut Walker, rows: &Rows, row: u32, batch: &[u32]) -> Chosen {
        let asked = rows.question(row);
        let height = height_of(row);
        let mut others = scored(rows, &asked, batch);
        others.retain(|other| other.row != row);
        let mut nearest = match self.entry {
            NONE => Vec::new(),
            _ => self.descend(walker, rows, &asked, height),
        };
        let mut links = vec![Vec::new(); height + 1];
        for layer_height in (0..=height).rev() {
            let layer = match layer_height {
                0 => &self.base,
                _ => &self.above[layer_height - 1],
            };
            let mut candidates = Vec::new();
            if layer_height <= self.entry_height {
                nearest = walker.walk(layer, rows, &asked, &nearest, CANDIDATES, |_| true);
                candidates.clone_from(&nearest);
            }
            candidates.extend(others.iter().filter(|other| height_of(other.row) >= layer_height));
            candidates.sort_unstable_by(|a, b| b.cmp(a));
            candidates.truncate(CANDIDATES);
            links[layer_height] = select(rows, candidates, NEIGHBOURS);
        }
        Chosen { row, links }
    }
}

impl Layer {
    /// Makes room for rows that are no members yet.
    fn admit(&mut self, joining: Vec<u32>) {
        let Some(members) = &mut self.members else { return };
        let mut all: Vec<u32> = members.iter().copied().chain(joining).collect();
        all.sort_unstable();
        let mut links = vec![NONE; all.len() * self.degree];
        for (place, links) in links.chunks_exact_mut(self.degree).enumerate() {
            if let Ok(before) = members.binary_search(&all[place]) {
                links.copy_from_slice(&self.links[before * self.degree..][..self.degree]);
            }
        }
        *members = all;
        self.links = links;
    }

    /// Writes the links that were chosen for this layer, and links back.
    fn link(&mut self, rows: &Rows, chosen: &[Chosen], height: usize) {
        let mut back: Vec<(usize, u32)> = Vec::new();
        for Chosen { row, links } in chosen {
            let (Some(links), Some(place)) = (links.get(height), self.place(*row)) else { continue };
            self.links[place * self.degree..][..links.len()].copy_from_slice(links);
            back.extend(links.iter().filter_map(|&link| self.place(link)).map(|place| (place, *row)));
        }
        back.sort_unstable();
        let groups: Vec<&[(usize, u32)]> = back.chunk_by(|a, b| a.0 == b.0).collect();
        let layer = &*self;
        let changed: Vec<Vec<u32>> =
            in_parallel(&groups, |part| part.iter().map(|group| layer.linked_back(rows, group)).collect());
        for (group, links) in groups.iter().zip(changed) {
            let place = group[0].0 * self.degree;
            self.links[place..place + self.degree].fill(NONE);
            self.links[place..place + links.len()].copy_from_slice(&links);
        }
    }

    /// The links of the row at the place of `group` with links back to the group's rows.
    fn linked_back(&self, rows: &Rows, group: &[(usize, u32)]) -> Vec<u32> {
        let place = group[0].0;
        let mut links = self.links_at(place).to_vec();
        for &(_, row) in group {
            if !links.contains(&row) {
                links.push(row);
            }
        }
        if links.len() <= self.degree {
            return links;
        }
        let row = self.members.as_ref().map_or(place as u32, |members| members[place]);
        select(rows, nearest_first(rows, &rows.question(row), &links), self.degree)
    }
}

/// The layer's rows that stay, under their new numbers.
fn renumbered(layer: &Layer, rows: &Rows, new_rows: &[Option<u32>]) -> Layer {
    let new_row = |row: u32| new_rows.get(row as usize).copied().flatten();
    let moved: Vec<(u32, usize)> = match &layer.members {
        None => new_rows.iter().zip(0..).filter_map(|(row, place)| Some(((*row)?, place))).collect(),
        Some(members) => {
            let mut moved: Vec<(u32, usize)> =
                members.iter().zip(0..).filter_map(|(&row, place)| Some((new_row(row)?, place))).collect();
            moved.sort_unstable();
            moved
        }
    };
    let members = layer.members.as_ref().map(|_| moved.iter().map(|(row, _)| *row).collect());
    let mut next = Layer::new(members, rows.len());
    for (idx, &(row, place)) in moved.iter().enumerate() {
        let before = layer.links_at(place);
        let mut links: Vec<u32> = before.iter().filter_map(|&link| new_row(link)).collect();
        if links.len() < before.len() {
            let gone = before.iter().filter(|&&link| new_row(link).is_none());
            links.extend(gone.flat_map(|&link| layer.links_of(link)).filter_map(|&link| new_row(link)));
            links.sort_unstable();
            links.dedup();
            links.retain(|&link| link != row);
            links = select(rows, nearest_first(rows, &rows.question(row), &links), layer.degree);
        }
        let at = if next.members.is_some() { idx } else { row as usize };
        next.links[at * next.degree..][..links.len()].copy_from_slice(&links);
    }
    next
}

fn nearest_first(rows: &Rows, asked: &ByteQuestion, links: &[u32]) -> Vec<Near> {
    let mut near = scored(rows, asked, links);
    near.sort_unstable_by(|a, b| b.cmp(a));
    near
}

/// Up to `most` of the candidates, which come nearest first: each is nearer to the row that looks than to any that was
/// taken before, so that the links lead into different directions.
fn select(rows: &Rows, mut candidates: Vec<Near>, most: usize) -> Vec<u32> {
    let mut selected = Vec::with_capacity(most);
    let (mut ids, mut scores) = (Vec::new(), Vec::new());
    while selected.len() < most && !candidates.is_empty() {
        let taken = candidates.remove(0).row;
        selected.push(taken);
        ids.clear();
        ids.extend(candidates.iter().map(|near| near.row));
        rows.scores(&rows.question(taken), &ids, &mut scores);
        let mut to_taken = scores.iter();
        candidates.retain(|near| to_taken.next().is_some_and(|score| *score <= near.score));
    }
    selected
}

/// In how many layers above a row is: a sixteenth of the rows in one, of those a sixteenth in two.
fn height_of(row: u32) -> usize {
    mixed(row).trailing_zeros() as usize / 4
}

/// The row's number as a number that looks drawn (`SplitMix64`, Steele et al. 2014).
fn mixed(row: u32) -> u64 {
    let mut bits = (u64::from(row) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// What `work` makes of the items, in their order; each thread has a part of them.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&[T]) -> Vec<R> + Sync) -> Vec<R> {
    let n_threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut parts = items.chunks(items.len().div_ceil(n_threads).max(1));
    let Some(first) = parts.next() else { return Vec::new() };
    std::thread::scope(|scope| {
        let others: Vec<_> = parts.map(|part| scope.spawn(|| work(part))).collect();
        let mut made = work(first);
        for other in others {
            made.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        made
    })
}
