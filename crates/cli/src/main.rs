//! The one binary: arguments and environment in, everything wired together, one exit status out.
//!
//! This crate alone reads the environment and the arguments; the libraries are told. Every failure ends here as one
//! line that says what is wrong and what to do: status 0 is done, 1 is done and something was found wrong, 2 could
//! not be done.

mod args;
mod channels;
mod commands;
mod failure;
mod language;
mod locate;
mod logging;
mod output;
mod progress;
mod random;
mod settings;
mod watch;
mod workbench;

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Parser;
use flightdeck_records::{KeyLimits, NewKey};

use crate::args::{
    AudienceArg, BenchCommand, Cli, Command, CustomersCommand, EvalCommand, KeysCommand, ModelsCommand,
    ServeArgs,
};
use crate::failure::Failure;
use crate::language::Language;
use crate::settings::{Config, Flags, Surroundings};

/// How a command ended that could be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All is well: status 0.
    Well,
    /// Something was found wrong: status 1.
    FoundWrong,
}

fn main() -> ExitCode {
    let variables: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let spoken = Language::from_locale(|name| variables.get(name).cloned());
    logging::tell_of_panics_in_one_line(spoken);
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and the version are asked for, and printed where they belong.
        Err(told) if !told.use_stderr() => told.exit(),
        Err(error) => {
            output::note(&usage_line(&error.render().to_string(), spoken));
            return ExitCode::from(2);
        }
    };
    if matches!(cli.command, Some(Command::ReadWorker)) {
        return read_for_another();
    }
    // The hook above has already told of the panic; only the status is left to set.
    let outcome = std::panic::catch_unwind(|| run(cli, &variables)).unwrap_or(Err(None));
    match outcome {
        Ok(Verdict::Well) => ExitCode::SUCCESS,
        Ok(Verdict::FoundWrong) => ExitCode::from(1),
        Err(told) => {
            if let Some((failure, language)) = told {
                let lead = language.pick("error", "错误");
                output::note(&format!("{lead}: {}", failure.text(language)));
            }
            ExitCode::from(2)
        }
    }
}

/// The role of a reading process. It knows no settings: its parent has cleared the environment.
fn read_for_another() -> ExitCode {
    let (requests, answers) = (std::io::stdin().lock(), std::io::stdout().lock());
    match flightdeck_corpus::serve_reading(requests, answers, flightdeck_corpus::ReadLimits::default()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::note(&format!("error: {error}"));
            ExitCode::from(2)
        }
    }
}

/// What is wrong with the command line, in one line: the parser's text without its page of usage.
fn usage_line(text: &str, language: Language) -> String {
    let told = text.split("\n\nUsage:").next().unwrap_or(text).split("\n\nFor more").next().unwrap_or(text);
    let parts: Vec<String> = told
        .split("\n\n")
        .map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|part| !part.is_empty())
        .collect();
    format!("{}; {} `flightdeck --help`", parts.join("; "), language.pick("see", "请看"))
}

type Told = Option<(Failure, Language)>;

fn run(cli: Cli, variables: &BTreeMap<String, String>) -> Result<Verdict, Told> {
    let spoken = Language::from_locale(|name| variables.get(name).cloned());
    let config = configure(&cli, variables).map_err(|failure| Some((failure, spoken)))?;
    let command = cli.command.unwrap_or(Command::Serve(ServeArgs::default()));
    // A server's life is worth a log; a command that ends in a second says what it did itself.
    let is_server = matches!(command, Command::Serve(_));
    logging::start(&config, if is_server { "warn,flightdeck=info,flightdeck_models=warn" } else { "warn" });
    dispatch(&config, command, variables).map_err(|failure| Some((failure, config.language)))
}

fn configure(cli: &Cli, variables: &BTreeMap<String, String>) -> Result<Config, Failure> {
    let current_dir = std::env::current_dir().map_err(|error| {
        Failure::new(
            format!("the current folder cannot be read: {error}; change to one that exists"),
            format!("无法读取当前文件夹：{error}；请切换到一个存在的文件夹"),
        )
    })?;
    let executable = std::env::current_exe().ok();
    let around = Surroundings {
        variables,
        current_dir: &current_dir,
        executable: executable.as_deref(),
        parallelism: std::thread::available_parallelism().map_or(1, Into::into),
    };
    let listen = match &cli.command {
        Some(Command::Serve(serve)) => serve.listen.clone(),
        _ => None,
    };
    let flags = Flags {
        config: cli.config.clone(),
        knowledge: cli.knowledge.clone(),
        data: cli.data.clone(),
        prompts: cli.prompts.clone(),
        listen,
    };
    Config::gather(&flags, &around)
}

fn dispatch(
    config: &Config,
    command: Command,
    variables: &BTreeMap<String, String>,
) -> Result<Verdict, Failure> {
    match command {
        Command::Serve(_) => commands::serve::run(config),
        Command::Index(args) => commands::index::run(config, &args),
        Command::Check(output) => commands::check::run(config, output),
        Command::Search(args) => commands::search::run(config, args),
        Command::Ask(args) => commands::ask::run(config, args),
        Command::Mcp(args) => {
            let key = variables.get(commands::mcp::KEY_VARIABLE).filter(|key| !key.is_empty()).cloned();
            commands::mcp::run(config, &args, key)
        }
        Command::Eval(EvalCommand::Retrieval(args)) => commands::eval::retrieval(config, &args),
        Command::Eval(EvalCommand::Answers(args)) => commands::eval::answers(config, &args),
        Command::Eval(EvalCommand::Refusal(args)) => commands::eval::refusal(config, &args),
        Command::Models(ModelsCommand::List(output)) => commands::models::list(config, output),
        Command::Models(ModelsCommand::Pull { name }) => commands::models::pull(config, &name),
        Command::Models(ModelsCommand::Import { file }) => commands::models::import(config, &file),
        Command::Extract(args) => commands::extract::run(config, &args),
        // Handled before there are settings.
        Command::ReadWorker => Ok(Verdict::Well),
        Command::Bench(BenchCommand::Start(args)) => commands::bench_start::run(config, &args),
        Command::Bench(BenchCommand::Answers(args)) => commands::bench_answers::run(config, &args),
        Command::Bench(BenchCommand::Channels(args)) => commands::bench_channels::run(config, &args),
        Command::Bench(BenchCommand::Embed { texts, threads, kernel, vectors, output }) => {
            let kernel = kernel.unwrap_or(config.kernel);
            let (texts, vectors) = (texts.as_path(), vectors.as_deref());
            let task = commands::bench_embed::Task { texts, threads, kernel, vectors };
            commands::bench_embed::run(config, &task, output)
        }
        Command::Bench(BenchCommand::Documents(args)) => commands::bench_documents::run(config, &args),
        Command::Bench(BenchCommand::Vectors { rows, questions, dimension, graph, top_k, output }) => {
            let (dimension, top_k) = (dimension as usize, top_k as usize);
            let task = commands::bench_vectors::Task { rows, questions, dimension, graph, top_k };
            commands::bench_vectors::run(config, &task, output)
        }
        Command::Bench(BenchCommand::Search { synthetic, output }) => {
            commands::bench_search::run(config, synthetic, output)
        }
        Command::Customers(CustomersCommand::Import { file }) => commands::customers::import(config, &file),
        Command::Customers(CustomersCommand::Export { id }) => commands::customers::export(config, &id),
        Command::Customers(CustomersCommand::Erase { id, yes }) => {
            commands::customers::erase(config, &id, yes)
        }
        Command::Keys(KeysCommand::Create { name, role, audience, per_minute, origins, signs }) => {
            let limits = KeyLimits { customer_only: audience == AudienceArg::Customer, per_minute };
            commands::keys::create(config, NewKey { name, role, limits, origins, signs })
        }
        Command::Keys(KeysCommand::List(output)) => commands::keys::list(config, output),
        Command::Keys(KeysCommand::Revoke { id }) => commands::keys::revoke(config, &id),
        Command::Backup { file } => commands::records::back_up(config, &file),
        Command::Audit { limit, output } => commands::records::audit(config, limit, output),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_command_line_is_told_in_one_line() {
        for (words, wanted) in [
            (&["flightdeck", "fly"][..], "unrecognized subcommand 'fly'"),
            (&["flightdeck", "search"], "<QUERY>"),
            (&["flightdeck", "search", "x", "--top-k", "7777"], "7777 is not in 1..=100"),
        ] {
            let error = Cli::try_parse_from(words).expect_err("the line is wrong");
            let line = usage_line(&error.render().to_string(), Language::English);
            assert!(line.contains(wanted) && line.ends_with("`flightdeck --help`"), "{line}");
            assert_eq!(line.lines().count(), 1, "{line}");
        }
    }
}
