//! `extract`: what the reader makes of one file, to see why something is or is not found.

use std::fmt::Write as _;

use flightdeck_corpus::{Extracted, Severity};

use super::check::{count, problem_lines};
use crate::args::ExtractArgs;
use crate::failure::Failure;
use crate::language::Language;
use crate::output::{Colour, colour};
use crate::settings::Config;
use crate::workbench::worker;
use crate::{Verdict, output};

/// Runs `extract`: status 1 when the file could not be read as what it claims to be.
///
/// # Errors
/// When the file cannot be opened.
pub fn run(config: &Config, args: &ExtractArgs) -> Result<Verdict, Failure> {
    let extracted = flightdeck_corpus::extract(&args.file, Some(&worker(config)))?;
    if args.output.json {
        output::json(&extracted)?;
    } else {
        output::text(&page(&extracted, config.language))?;
    }
    let is_broken = count(&extracted.warnings, Severity::Error) > 0;
    Ok(if is_broken { Verdict::FoundWrong } else { Verdict::Well })
}

fn page(extracted: &Extracted, language: Language) -> String {
    let Extracted { path, format, encoding, sections, tables, pages, .. } = extracted;
    let encoding = encoding.as_deref().map(|encoding| format!(", {encoding}")).unwrap_or_default();
    let (n_sections, n_tables, n_pages) = (sections.len(), tables.len(), pages.len());
    let n_chars = extracted.text.chars().count();
    let head = match language {
        Language::English => {
            format!(
                "{path}: {format}{encoding}, {n_chars} characters, {n_sections} headings, {n_tables} tables, {n_pages} pages"
            )
        }
        Language::Chinese => {
            format!(
                "{path}：{format}{encoding}，{n_chars} 字，{n_sections} 个标题，{n_tables} 个表格，{n_pages} 页"
            )
        }
    };
    let mut text =
        format!("{}\n{}", colour(Colour::Bold, &head), problem_lines(&extracted.warnings, language));
    for section in sections {
        let indent = "  ".repeat(usize::from(section.level));
        let _ = writeln!(text, "{indent}{}", colour(Colour::Dim, &section.title));
    }
    text.push('\n');
    text.push_str(&extracted.text);
    text
}
