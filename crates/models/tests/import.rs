//! The importer on a tiny packed file made here, and its refusal of broken ones.

use std::path::Path;

use flightdeck_models::{ImportOptions, ModelError, import, load, verify};

const HIDDEN: usize = 64;
const FEED_FORWARD: usize = 96;
const PIECES: [(&str, f32); 9] = [
    ("<s>", 0.0),
    ("<pad>", 0.0),
    ("</s>", 0.0),
    ("<unk>", 0.0),
    ("▁", -2.0),
    ("价格", -3.0),
    ("▁машина", -4.0),
    ("优", -5.0),
    ("惠", -6.0),
];

/// A file in the layout that the importer reads, with made-up numbers.
fn packed() -> Vec<u8> {
    let mut file = Vec::new();
    let int = |file: &mut Vec<u8>, value: usize| file.extend_from_slice(&(value as u32).to_le_bytes());
    file.extend_from_slice(b"E5S1");
    for value in [1, HIDDEN, 1, 2, FEED_FORWARD, PIECES.len(), 16, 1] {
        int(&mut file, value);
    }
    file.extend_from_slice(&1e-12_f32.to_le_bytes());
    for value in [32, PIECES.len(), 0, 2, 1, 3] {
        int(&mut file, value);
    }
    let text: String = PIECES.iter().map(|(piece, _)| *piece).collect();
    file.extend_from_slice(&(text.len() as u64).to_le_bytes());
    let mut offset = 0;
    int(&mut file, offset);
    for (piece, _) in PIECES {
        offset += piece.len();
        int(&mut file, offset);
    }
    for (_, score) in PIECES {
        file.extend_from_slice(&score.to_le_bytes());
    }
    file.extend_from_slice(text.as_bytes());
    int(&mut file, 1);
    int(&mut file, 9);
    int(&mut file, '　' as usize);
    file.push(1);
    int(&mut file, ' ' as usize);

    let mut tensors: Vec<(String, bool, usize)> = vec![
        ("emb.word".into(), true, PIECES.len() * HIDDEN),
        ("emb.pos".into(), false, 16 * HIDDEN),
        ("emb.type".into(), false, HIDDEN),
        ("emb.ln.w".into(), false, HIDDEN),
        ("emb.ln.b".into(), false, HIDDEN),
    ];
    for (name, n_rows, n_columns) in [
        ("q", HIDDEN, HIDDEN),
        ("k", HIDDEN, HIDDEN),
        ("v", HIDDEN, HIDDEN),
        ("ao", HIDDEN, HIDDEN),
        ("fi", FEED_FORWARD, HIDDEN),
        ("fo", HIDDEN, FEED_FORWARD),
    ] {
        tensors.push((format!("l0.{name}.w"), true, n_rows * n_columns));
        tensors.push((format!("l0.{name}.b"), false, n_rows));
    }
    for name in ["aln.w", "aln.b", "oln.w", "oln.b"] {
        tensors.push((format!("l0.{name}"), false, HIDDEN));
    }
    let directory: usize = 4 + tensors.iter().map(|(name, ..)| 2 + name.len() + 1 + 4 + 8 + 8).sum::<usize>();
    let mut start = file.len() + directory;
    let mut data = Vec::new();
    int(&mut file, tensors.len());
    let mut seed = 1_u32;
    let mut random = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    };
    for (name, quantised, n_numbers) in tensors {
        let bytes: Vec<u8> = if quantised {
            let scale = half::f16::from_f32(0.02).to_le_bytes();
            (0..n_numbers / 32)
                .flat_map(|_| [vec![scale[0], scale[1]], (0..16).map(|_| random()).collect()].concat())
                .collect()
        } else {
            (0..n_numbers).flat_map(|_| (f32::from(random()) / 128.0 - 1.0).to_le_bytes()).collect()
        };
        file.extend_from_slice(&(name.len() as u16).to_le_bytes());
        file.extend_from_slice(name.as_bytes());
        file.push(u8::from(quantised));
        int(&mut file, n_numbers);
        file.extend_from_slice(&(start as u64).to_le_bytes());
        file.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        start += bytes.len();
        data.extend(bytes);
    }
    file.extend(data);
    file
}

fn import_into(
    dir: &Path,
    bytes: &[u8],
    options: &ImportOptions,
) -> Result<flightdeck_models::ImportReport, ModelError> {
    let file = dir.join("e5-small-q4.bin");
    std::fs::write(&file, bytes).expect("the file is written");
    std::fs::write(dir.join("e5-small-enpt-q4.bin"), packed()).expect("the file is written");
    import(&file, &dir.join("out"), options)
}

#[test]
fn an_imported_folder_verifies_loads_and_embeds_and_pruning_changes_no_vector() {
    let text = "价格优惠　价格";
    let mut vectors = Vec::new();
    for prune in [true, false] {
        let dir = tempfile::tempdir().expect("a temporary folder is made");
        let options = ImportOptions { prune, ..ImportOptions::default() };
        let report = import_into(dir.path(), &packed(), &options).expect("it imports");
        assert_eq!(report.pieces_after, if prune { PIECES.len() - 1 } else { PIECES.len() });
        let out = dir.path().join("out");
        verify(&out).expect("the files fit the manifest");
        // The tiny model knows none of the prefixes' letters; they are unknown tokens like any other.
        let model = load(&out, 1).expect("it loads");
        vectors.push(model.embed_passages(&[text], &|_| true).expect("it embeds"));
    }
    assert_eq!(vectors[0], vectors[1]);
}

#[test]
fn a_source_that_is_cut_short_anywhere_is_refused() {
    let whole = packed();
    let dir = tempfile::tempdir().expect("a temporary folder is made");
    for length in (0..whole.len()).step_by(whole.len() / 97) {
        let result = import_into(dir.path(), &whole[..length], &ImportOptions::default());
        assert!(matches!(result, Err(ModelError::Damaged { .. })), "{length} of {}: {result:?}", whole.len());
    }
}

#[test]
fn a_source_that_is_not_there_is_missing() {
    let dir = tempfile::tempdir().expect("a temporary folder is made");
    let result = import(&dir.path().join("nothing.bin"), dir.path(), &ImportOptions::default());
    assert!(matches!(result, Err(ModelError::Missing(_))));
}
