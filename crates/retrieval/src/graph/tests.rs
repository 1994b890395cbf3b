use super::*;
use crate::rows::EncodedRows;

const DIMENSION: usize = 64;

/// Numbers that look drawn, from -1 to 1.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 40) as f32 / (1 << 23) as f32) - 1.0
    }
}

/// Unit vectors in crowds, those of a crowd side by side as the passages of a document are.
fn vectors(n: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut random = Random(seed);
    let mut centre = Vec::new();
    (0..n)
        .map(|idx| {
            if idx % 12 == 0 {
                centre = (0..DIMENSION).map(|_| random.next()).collect();
            }
            let row: Vec<f32> = centre.iter().map(|value| value + 0.4 * random.next()).collect();
            let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
            row.iter().map(|value| value / length).collect()
        })
        .collect()
}

/// The rows as a generation holds them; the folder must live as long.
fn rows(vectors: &[Vec<f32>]) -> (tempfile::TempDir, Rows) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (name, bytes) in EncodedRows::of(&vectors.concat(), DIMENSION).files() {
        std::fs::write(dir.path().join(name), bytes).expect("is written");
    }
    let rows = Rows::open(dir.path(), DIMENSION).expect("opens");
    (dir, rows)
}

/// Which share of the ten nearest of every 13th vector, itself among them, the walk finds.
fn recall(graph: &Graph, rows: &Rows, vectors: &[Vec<f32>]) -> f64 {
    let everything: Vec<u32> = (0..vectors.len() as u32).collect();
    let (mut found, mut wanted) = (0, 0);
    for vector in vectors.iter().step_by(13) {
        let asked = ByteQuestion::new(vector);
        let mut nearest = scored(rows, &asked, &everything);
        nearest.sort_unstable_by(|a, b| b.cmp(a));
        let walked = graph.walk(rows, &asked, 64, |_| true);
        assert!(walked.len() <= 64);
        wanted += nearest.len().min(10);
        found +=
            nearest.iter().take(10).filter(|near| walked[..walked.len().min(10)].contains(&near.row)).count();
    }
    f64::from(found as u32) / f64::from(wanted as u32)
}

#[test]
fn a_walk_finds_nearly_all_that_a_scan_finds() {
    let vectors = vectors(6_000, 1);
    let (_dir, rows) = rows(&vectors);
    let graph = Graph::build(&rows);
    assert!(graph.above.len() >= 2 && graph.entry_height == graph.above.len());
    let recall = recall(&graph, &rows, &vectors);
    assert!(recall > 0.98, "{recall}");
}

#[test]
fn a_graph_is_the_same_each_time_it_is_made_and_read() {
    let vectors = vectors(1_500, 2);
    let (dir, rows) = rows(&vectors);
    let graph = Graph::build(&rows);
    assert_eq!(graph, Graph::build(&rows));
    std::fs::write(dir.path().join(GRAPH), graph.to_bytes()).expect("is written");
    assert_eq!(Graph::open(dir.path(), rows.len()).expect("opens"), graph);
}

#[test]
fn only_accepted_rows_are_found_and_as_many_as_are_asked_for() {
    let vectors = vectors(2_000, 3);
    let (_dir, rows) = rows(&vectors);
    let graph = Graph::build(&rows);
    for vector in vectors.iter().step_by(101) {
        let found = graph.walk(&rows, &ByteQuestion::new(vector), 50, |row| row % 3 == 0);
        assert_eq!(found.len(), 50);
        assert!(found.iter().all(|row| row % 3 == 0));
        assert!(graph.walk(&rows, &ByteQuestion::new(vector), 0, |_| true).is_empty());
    }
}

#[test]
fn few_rows_are_all_found() {
    for n in [0, 1, 2, 20] {
        let vectors = vectors(n, 4);
        let (_dir, rows) = rows(&vectors);
        let graph = Graph::build(&rows);
        let mut found = graph.walk(&rows, &ByteQuestion::new(&[0.125; DIMENSION]), 64, |_| true);
        found.sort_unstable();
        assert_eq!(found, (0..n as u32).collect::<Vec<_>>());
    }
}

/// Rows go, others come, and those that stay stand elsewhere; ten times, as a week of changes would have it.
#[test]
fn a_graph_follows_changes_without_being_made_anew() {
    let pool = vectors(4_000, 5);
    let mut there: Vec<usize> = (0..2_400).collect();
    let (_dir, first) = rows(&there.iter().map(|&idx| pool[idx].clone()).collect::<Vec<_>>());
    let mut graph = Graph::build(&first);
    for round in 0..10 {
        let entry = graph.entry as usize;
        let goes = |place: usize, idx: usize| idx % 97 == round || (round == 3 && place == entry);
        let mut after: Vec<usize> = there
            .iter()
            .enumerate()
            .filter(|&(place, &idx)| !goes(place, idx))
            .map(|(_, &idx)| idx)
            .collect();
        after.extend(2_400 + 120 * round..2_400 + 120 * (round + 1));
        after.rotate_right(37);
        let new_rows: Vec<Option<u32>> = there
            .iter()
            .map(|idx| after.iter().position(|other| other == idx).map(|row| row as u32))
            .collect();
        let kept: Vec<Vec<f32>> = after.iter().map(|&idx| pool[idx].clone()).collect();
        let (_dir, rows) = rows(&kept);
        graph = graph.next(&rows, &new_rows);
        assert!(graph.removed > 0);
        let recall = recall(&graph, &rows, &kept);
        assert!(recall > 0.98, "{recall} after {round}");
        there = after;
    }
}

#[test]
fn where_much_has_gone_the_graph_is_made_anew() {
    let before = vectors(900, 6);
    let (_dir, all) = rows(&before);
    let graph = Graph::build(&all);
    let (_dir, few) = rows(&before[..300]);
    let new_rows: Vec<Option<u32>> = (0..900).map(|row| (row < 300).then_some(row)).collect();
    assert_eq!(graph.next(&few, &new_rows), Graph::build(&few));
    let (_dir, none) = rows(&[]);
    assert_eq!(graph.next(&none, &vec![None; 900]).entry, NONE);
}

#[test]
fn a_damaged_file_is_an_error() {
    let vectors = vectors(300, 7);
    let (dir, rows) = rows(&vectors);
    let bytes = Graph::build(&rows).to_bytes();
    let open = |bytes: &[u8], n_rows: usize| {
        std::fs::write(dir.path().join(GRAPH), bytes).expect("is written");
        Graph::open(dir.path(), n_rows)
    };
    assert!(open(&bytes, 300).is_ok());
    assert!(open(&bytes, 299).is_err());
    assert!(open(&bytes[..bytes.len() - 4], 300).is_err());
    assert!(open(&[], 300).is_err());
    // A number too large wherever it stands: a count, a row, a link.
    for place in 0..bytes.len() / 4 {
        let mut damaged = bytes.clone();
        damaged[4 * place..4 * place + 4].copy_from_slice(&0x7FFF_FFFF_u32.to_le_bytes());
        if place != 4 {
            assert!(open(&damaged, 300).is_err(), "number {place}");
        }
    }
}
