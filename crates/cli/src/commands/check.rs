//! `check`: what is wrong in the knowledge folder, and what a careful editor would find in it, without changing the
//! index. Whether FAQ questions still lead to their answers is tried where the index is up to date.

use std::fmt::Write as _;
use std::sync::Arc;

use flightdeck_corpus::{Problem, Reader, Severity, advice, findings};
use flightdeck_models::Embedder;
use flightdeck_retrieval::{Access, Store, lost_questions};
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
    problems: Vec<Finding<'a>>,
    documents: usize,
    chunks: usize,
}

/// A problem with the way to mend it.
#[derive(Serialize)]
struct Finding<'a> {
    #[serde(flatten)]
    problem: &'a Problem,
    advice: &'static str,
    advice_zh: &'static str,
}

/// Runs `check`: status 1 when there are errors.
///
/// # Errors
/// When the folder cannot be read at all, or the model that counts tokens is not there.
pub fn run(config: &Config, args: JsonArgs) -> Result<Verdict, Failure> {
    let embedder = workbench::load_model(config)?;
    let mut reader = workbench::reader(config);
    let corpus = reader.read(&|text| embedder.count_tokens(text))?;
    let mut problems = corpus.problems.clone();
    problems.extend(findings(&corpus, &config.findings));
    problems.extend(lost_questions_of(config, embedder, &reader)?);
    problems.sort_by(|a, b| (&a.path, a.line, &a.code).cmp(&(&b.path, b.line, &b.code)));
    let report = Report {
        errors: count(&problems, Severity::Error),
        warnings: count(&problems, Severity::Warning),
        problems: problems
            .iter()
            .map(|problem| {
                let (advice, advice_zh) = advice(&problem.code);
                Finding { problem, advice, advice_zh }
            })
            .collect(),
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
    let mut text = String::new();
    for Finding { problem, advice, advice_zh } in &report.problems {
        text.push_str(&problem_lines(std::slice::from_ref(*problem), language));
        let lead = language.pick("to mend it:", "怎么办：");
        let _ = writeln!(text, "  {lead} {}", colour(Colour::Dim, language.pick(advice, advice_zh)));
    }
    text + &colour(tone, &counts)
}

/// The FAQ questions that no longer lead to their answers; none where the index is not up to date, with a line that
/// says so.
fn lost_questions_of(
    config: &Config,
    embedder: Arc<dyn Embedder>,
    reader: &Reader,
) -> Result<Vec<Problem>, Failure> {
    let store = Store::open_with(&config.data, Access::Read, embedder, config.retrieval)?;
    if let Some(index) = store.current().filter(|_| store.is_up_to_date(reader).unwrap_or(false)) {
        return Ok(lost_questions(&index, workbench::today(), &|| true)?);
    }
    output::note(config.language.pick(
        "FAQ questions were not tried: the index is not up to date; run `flightdeck index` first",
        "未检查常见问题能否找到自己的答案：索引不是最新的，请先运行 flightdeck index",
    ));
    Ok(Vec::new())
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
