//! `check`: what is wrong in the knowledge folder, without touching the index.

use std::fmt::Write as _;

use flightdeck_corpus::{Problem, Severity};
use serde::Serialize;

use crate::args::JsonArgs;
use crate::failure::Failure;
use crate::language::Language;
use crate::output::{Colour, colour};
use crate::settings::Config;
use crate::{Verdict, output, workbench};

#[derive(Serialize)]
struct Report<'a> {
    errors: usize,
    warnings: usize,
    problems: &'a [Problem],
    documents: usize,
    chunks: usize,
}

/// Runs `check`: status 1 when there are errors.
///
/// # Errors
/// When the folder cannot be read at all, or the model that counts tokens is not there.
pub fn run(config: &Config, args: JsonArgs) -> Result<Verdict, Failure> {
    let embedder = workbench::load_model(config)?;
    let corpus = workbench::reader(config).read(&|text| embedder.count_tokens(text))?;
    let report = Report {
        errors: count(&corpus.problems, Severity::Error),
        warnings: count(&corpus.problems, Severity::Warning),
        problems: &corpus.problems,
        documents: corpus.documents.len(),
        chunks: corpus.chunks.len(),
    };
    if args.json {
        output::json(&report)?;
    } else {
        output::text(&summary(&report, config.language))?;
    }
    Ok(if report.errors > 0 { Verdict::FoundWrong } else { Verdict::Well })
}

fn summary(report: &Report<'_>, language: Language) -> String {
    let Report { errors, warnings, documents, chunks, .. } = report;
    let counts = match language {
        Language::English => {
            format!("{documents} documents, {chunks} chunks, {errors} errors, {warnings} warnings")
        }
        Language::Chinese => {
            format!("{documents} 份文档，{chunks} 个片段，{errors} 个错误，{warnings} 个警告")
        }
    };
    let tone = if *errors > 0 { Colour::Red } else { Colour::Green };
    problem_lines(report.problems, language) + &colour(tone, &counts)
}

/// How many problems are this bad.
pub fn count(problems: &[Problem], severity: Severity) -> usize {
    problems.iter().filter(|problem| problem.severity == severity).count()
}

/// One line a problem: how bad, where, what.
pub fn problem_lines(problems: &[Problem], language: Language) -> String {
    let mut text = String::new();
    for problem in problems {
        let (tone, word) = match problem.severity {
            Severity::Error => (Colour::Red, language.pick("error", "错误")),
            Severity::Warning => (Colour::Yellow, language.pick("warning", "警告")),
        };
        let line = problem.line.map(|line| format!(":{line}")).unwrap_or_default();
        let message = language.pick(&problem.message, &problem.message_zh);
        let _ = writeln!(text, "{} {}{line}: {message}", colour(tone, word), problem.path);
    }
    text
}
