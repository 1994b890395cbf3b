//! `index`: bring the index up to date and stop.

use flightdeck_corpus::Severity;
use flightdeck_retrieval::{Access, UpdateReport};
use serde::Serialize;

use super::check::{count, problem_lines};
use crate::args::IndexArgs;
use crate::failure::Failure;
use crate::language::Language;
use crate::progress::UpdateBar;
use crate::settings::Config;
use crate::{Verdict, output, workbench};

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    update: &'a UpdateReport,
    errors: usize,
    warnings: usize,
}

/// Runs `index`. Broken files are told of and do not change the status: everything else was indexed.
///
/// # Errors
/// When the folder cannot be read or the index cannot be written.
pub fn run(config: &Config, args: &IndexArgs) -> Result<Verdict, Failure> {
    let store = workbench::open_store(config, Access::Write, workbench::load_model(config)?)?;
    let mut reader = workbench::reader(config);
    let bar = UpdateBar::new(config.language);
    let update = store.update(&mut reader, args.rebuild, &|progress| bar.show(progress))?;
    drop(bar);
    if args.output.json {
        output::json(&Report {
            errors: count(&update.problems, Severity::Error),
            warnings: count(&update.problems, Severity::Warning),
            update: &update,
        })?;
    } else {
        output::text(&summary(&update, config.language))?;
    }
    Ok(Verdict::Well)
}

fn summary(update: &UpdateReport, language: Language) -> String {
    let mut text = problem_lines(&update.problems, language);
    let UpdateReport { documents, chunks, embedded, seconds, .. } = update;
    let counts = match language {
        Language::English => format!(
            "{documents} documents, {chunks} chunks, {embedded} embedded anew, {seconds:.2} s, generation {}",
            update.generation
        ),
        Language::Chinese => format!(
            "{documents} 份文档，{chunks} 个片段，新计算向量 {embedded} 个，用时 {seconds:.2} 秒，索引 {}",
            update.generation
        ),
    };
    text.push_str(&counts);
    text
}
