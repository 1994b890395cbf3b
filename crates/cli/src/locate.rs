//! Where the folders that ship with the program are, when nobody says.
//!
//! `cargo run` starts the program in the repository, an installed one has them beside it, and a test starts it
//! somewhere else altogether: so the current folder is tried first, then every folder above the program's own file.

use std::path::{Path, PathBuf};

/// The first of `current_dir/name` and `ANCESTOR/name`, for the ancestors of `executable`, that is a folder;
/// where none is, `current_dir/name`, so that a complaint names the place where a person would expect it.
pub fn beside_program(name: &str, current_dir: &Path, executable: Option<&Path>) -> PathBuf {
    let expected = current_dir.join(name);
    let ancestors = executable.into_iter().flat_map(|file| file.ancestors().skip(1));
    std::iter::once(expected.clone())
        .chain(ancestors.map(|folder| folder.join(name)))
        .find(|folder| folder.is_dir())
        .unwrap_or(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_folder_comes_before_those_above_the_program() {
        let dir = tempfile::tempdir().expect("a temporary folder can be made");
        let make = |path: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(&path).expect("the folder is writable");
            path
        };
        let (repository, elsewhere) = (make("repo/knowledge"), make("elsewhere"));
        let program = make("repo/target/release").join("flightdeck");
        assert_eq!(beside_program("knowledge", &elsewhere, Some(&program)), repository);
        let own = make("elsewhere/knowledge");
        assert_eq!(beside_program("knowledge", &elsewhere, Some(&program)), own);
        assert_eq!(beside_program("models/x", &elsewhere, Some(&program)), elsewhere.join("models/x"));
        assert_eq!(beside_program("knowledge", &elsewhere, None), own);
    }
}
