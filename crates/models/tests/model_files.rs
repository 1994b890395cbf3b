//! Missing and damaged model files: an error with the file, never a panic.

use std::path::{Path, PathBuf};

use flightdeck_models::{Manifest, ModelError, list, load, verify};

fn models_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models")
}

/// A copy of the default model whose files may be damaged; large files are linked until they are replaced.
fn copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    for entry in std::fs::read_dir(models_dir().join("multilingual-e5-small")).expect("the model is there") {
        let path = entry.expect("the entry is read").path();
        std::fs::copy(&path, folder.path().join(path.file_name().expect("it has a name")))
            .expect("it is copied");
    }
    folder
}

fn damage(dir: &Path, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let path = dir.join(name);
    let mut content = std::fs::read(&path).expect("the file is read");
    change(&mut content);
    std::fs::write(&path, content).expect("the file is written");
}

#[test]
fn the_committed_model_is_what_its_manifest_says_and_small_enough() {
    let models = list(&models_dir()).expect("the folder is listed");
    let default = models.iter().find(|(folder, _)| folder.ends_with("multilingual-e5-small"));
    let (folder, manifest) = default.expect("the default model is there");
    let manifest = manifest.as_ref().expect("its manifest is read");
    assert_eq!(verify(folder).expect("its files fit"), *manifest);
    assert_eq!(manifest.licence, "MIT");
    let total: u64 = manifest.file.iter().map(|entry| entry.size).sum();
    assert!(total < 38_000_000, "{total}");
}

#[test]
fn a_missing_file_is_named() {
    for name in ["model.gguf", "tokenizer.json", "manifest.toml"] {
        let folder = copy();
        std::fs::remove_file(folder.path().join(name)).expect("it is removed");
        match load(folder.path(), 1).err() {
            Some(ModelError::Missing(path)) => assert!(path.ends_with(name)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_file_that_was_cut_short_is_damaged() {
    for name in ["model.gguf", "tokenizer.json"] {
        let folder = copy();
        damage(folder.path(), name, |content| content.truncate(content.len() / 2));
        assert!(
            matches!(load(folder.path(), 1).err(), Some(ModelError::Damaged { path, .. }) if path.ends_with(name))
        );
    }
}

#[test]
fn flipped_bits_in_a_header_are_errors_or_harmless_and_never_a_panic() {
    let folder = copy();
    let path = folder.path().join("model.gguf");
    let original = std::fs::read(&path).expect("the file is read");
    // The head of the file: counts, lengths, names, shapes, offsets. A step that is no multiple of anything.
    for at in (0..1200).step_by(13) {
        let mut content = original.clone();
        content[at] ^= 1 << (at % 8);
        std::fs::write(&path, &content).expect("the file is written");
        if let Err(error) = flightdeck_models::check_weights(folder.path()) {
            assert!(matches!(error, ModelError::Damaged { .. }), "{error:?}");
        }
    }
}

#[test]
fn a_damaged_tokeniser_or_manifest_is_an_error() {
    let folder = copy();
    damage(folder.path(), "tokenizer.json", |content| content[1000] = 0xff);
    assert!(matches!(load(folder.path(), 1).err(), Some(ModelError::Damaged { .. })));

    let folder = copy();
    damage(folder.path(), "manifest.toml", |content| content.truncate(200));
    assert!(matches!(load(folder.path(), 1).err(), Some(ModelError::Damaged { .. })));
}

#[test]
fn verification_finds_a_single_flipped_bit_in_the_weights() {
    let folder = copy();
    damage(folder.path(), "model.gguf", |content| {
        let middle = content.len() / 2;
        content[middle] ^= 1;
    });
    assert!(
        matches!(verify(folder.path()), Err(ModelError::Damaged { path, .. }) if path.ends_with("model.gguf"))
    );
}

#[test]
fn a_manifest_that_points_outside_its_folder_is_refused() {
    let folder = copy();
    damage(folder.path(), "manifest.toml", |content| {
        let text = String::from_utf8(content.clone())
            .expect("it is text")
            .replace("\"model.gguf\"", "\"../model.gguf\"");
        *content = text.into_bytes();
    });
    assert!(matches!(Manifest::open(folder.path()), Err(ModelError::Damaged { .. })));
}
