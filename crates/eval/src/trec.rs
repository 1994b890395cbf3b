//! Rankings as `trec_eval` reads them.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::EvalError;
use crate::retrieval::Ranking;

/// Writes one line a hit, `QUERY Q0 DOCUMENT RANK SCORE TAG`, in the order given.
///
/// # Errors
/// [`EvalError::Unwritable`] when the file cannot be made or written.
pub fn write_run(path: &Path, rankings: &[Ranking], tag: &str) -> Result<(), EvalError> {
    let write = || -> std::io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        for ranking in rankings {
            for (rank, (document, score)) in (1..).zip(&ranking.hits) {
                writeln!(file, "{} Q0 {document} {rank} {score:.6} {tag}", ranking.query)?;
            }
        }
        file.flush()
    };
    write().map_err(|source| EvalError::Unwritable { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_six_columns_and_ranks_from_one() {
        let dir = tempfile::tempdir().expect("a temporary folder can be made");
        let path = dir.path().join("run.txt");
        let hits = vec![("d2".to_owned(), 0.75), ("d1".to_owned(), 0.5)];
        let rankings = [Ranking { query: "q1".to_owned(), hits }];
        write_run(&path, &rankings, "flightdeck-hybrid").expect("the folder is writable");
        let written = std::fs::read_to_string(&path).expect("it was just written");
        assert_eq!(written, "q1 Q0 d2 1 0.750000 flightdeck-hybrid\nq1 Q0 d1 2 0.500000 flightdeck-hybrid\n");
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = write_run(Path::new("/nowhere/run.txt"), &[], "x").expect_err("there is no such folder");
        assert!(error.to_string().starts_with("cannot write /nowhere/run.txt"), "{error}");
    }
}
