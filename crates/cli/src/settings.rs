//! Settings from four places, later ones winning: built-in defaults, `flightdeck.toml`, `FLIGHTDECK_*` variables,
//! flags. They are validated once, here, and what follows sees a [`Config`] that is right.
//!
//! All places feed one flat table of `key = text, from where`, so that every key works the same in each of them and
//! every complaint can name the key and where it came from.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use flightdeck_models::{
    EmbeddingProtocol, HttpEmbedderSettings, HttpSettings, Kernel, LocalSettings, Prices, ProxySettings,
    Secret,
};
use flightdeck_server::ChannelSettings;

use crate::channels;
use crate::failure::Failure;
use crate::language::Language;
use crate::locate;

/// Looked for in the current folder where `--config` and `FLIGHTDECK_CONFIG` name nothing.
pub const DEFAULT_FILE: &str = "flightdeck.toml";

const DEFAULT_KNOWLEDGE: &str = "knowledge";
const DEFAULT_DATA: &str = "data";
const DEFAULT_MODEL: &str = "models/multilingual-e5-small";

/// All keys; a dot is a table in the file and `_` in a variable's name.
const KEYS: [&str; 56] = [
    "knowledge",
    "data",
    "model",
    "reranker",
    "reranker_passages",
    "reranker_weight",
    "reranker_seconds",
    "prompts",
    "threads",
    "kernel",
    "listen",
    "language",
    "log",
    "log_format",
    "watch.poll_seconds",
    "widget.origins",
    "chunks.max_tokens",
    "chunks.min_tokens",
    "chunks.max_file_mb",
    "search.dense_weight",
    "search.depth",
    "search.graph_from",
    "search.scan_below_percent",
    "search.window_share",
    "generator.file",
    "generator.address",
    "generator.model",
    "generator.key",
    "generator.proxy",
    "generator.proxy_except",
    "generator.connect_seconds",
    "generator.first_text_seconds",
    "generator.total_seconds",
    "generator.retries",
    "generator.context_tokens",
    "generator.answer_tokens",
    "generator.temperature",
    "generator.prompt_price",
    "generator.answer_price",
    "generator.concurrent",
    "outward.private_hosts",
    "versions.keep",
    "versions.total_mb",
    "check.internal_words",
    "hub.address",
    "embedder.address",
    "embedder.protocol",
    "embedder.model",
    "embedder.key",
    "embedder.dimension",
    "embedder.query_prefix",
    "embedder.passage_prefix",
    "embedder.max_tokens",
    "embedder.batch",
    "embedder.timeout_seconds",
    "embedder.retries",
];

/// All settings, valid.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The knowledge folder.
    pub knowledge: PathBuf,
    /// The folder for all that the program writes.
    pub data: PathBuf,
    /// The folder of the embedding model.
    pub model: PathBuf,
    /// The cross-encoder that reads the first passages of a search; `None` leaves the fused order.
    pub reranker: Option<RerankerConfig>,
    /// A server that embeds instead of `model`.
    pub embedder: Option<HttpEmbedderSettings>,
    /// Where `models pull` fetches from; what stands before `/OWNER/NAME/resolve/…`.
    pub hub: Option<String>,
    /// A folder of prompts that replace built-in ones.
    pub prompts: Option<PathBuf>,
    /// The language model that words answers; `None` leaves them composed.
    pub generator: Option<GeneratorConfig>,
    /// Threads for embedding.
    pub threads: usize,
    /// How embedding model and reranker compute.
    pub kernel: Kernel,
    /// Where `serve` listens.
    pub listen: SocketAddr,
    /// Language of messages.
    pub language: Language,
    /// Filter of log events, in the syntax of `tracing`'s `EnvFilter`; `None` leaves it to the command.
    pub log: Option<String>,
    /// How log lines look.
    pub log_format: LogFormat,
    /// How often the folder is looked at beside the system's own notices, in s.
    pub poll_seconds: u64,
    /// Whose pages may show the widget (`https://crm.example.com`); one line with spaces between in the settings.
    pub widget_origins: Vec<String>,
    /// Chat platforms and webhooks; `[[channels]]` and `[[hooks]]` in the file.
    pub channels: ChannelSettings,
    /// Reading and splitting.
    pub corpus: flightdeck_corpus::Settings,
    /// Fusion and vector search.
    pub retrieval: flightdeck_retrieval::Settings,
    /// How much is kept of what the knowledge files were.
    pub versions: flightdeck_records::VersionLimits,
    /// What `check` looks for; the words stand on one line in the settings, with spaces between.
    pub findings: flightdeck_corpus::FindingSettings,
    /// The program's own file, to start it again in another role.
    pub program: PathBuf,
}

/// A cross-encoder.
#[derive(Clone, Debug, PartialEq)]
pub struct RerankerConfig {
    /// Its folder.
    pub folder: PathBuf,
    /// How many passages it reads.
    pub passages: usize,
    /// What its score weighs against the fused one, 0 to 1.
    pub weight: f32,
    /// After this long the fused order stands.
    pub budget: Duration,
}

/// A language model.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneratorConfig {
    /// Which one, and how long it is waited for.
    pub source: GeneratorSource,
    /// Answers that it words at the same time; others are composed.
    pub concurrent: usize,
}

/// Where a language model is computed.
#[derive(Clone, Debug, PartialEq)]
pub enum GeneratorSource {
    /// By a server.
    Http(HttpSettings),
    /// Here.
    Local(LocalSettings),
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people; coloured on a terminal.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    File(PathBuf),
    Variable(String),
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "the environment variable {name}"),
            Self::Flag(name) => write!(f, "the flag {name}"),
        }
    }
}

#[derive(Clone, Debug)]
struct Value {
    text: String,
    origin: Origin,
}

/// What the flags say; `None` where one was not given.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--knowledge`
    pub knowledge: Option<PathBuf>,
    /// `--data`
    pub data: Option<PathBuf>,
    /// `--prompts`
    pub prompts: Option<PathBuf>,
    /// `serve --listen`
    pub listen: Option<String>,
}

/// Where the program runs; given in, so that tests need not change the process.
pub struct Surroundings<'a> {
    /// The environment variables.
    pub variables: &'a BTreeMap<String, String>,
    /// The current folder.
    pub current_dir: &'a Path,
    /// The program's own file, where the system tells.
    pub executable: Option<&'a Path>,
    /// Threads that run at the same time.
    pub parallelism: usize,
}

impl Config {
    /// Joins all places and validates.
    ///
    /// # Errors
    /// A line that names the key, where its value came from, and what it should be.
    pub fn gather(flags: &Flags, around: &Surroundings<'_>) -> Result<Self, Failure> {
        let mut table: BTreeMap<&'static str, Value> = BTreeMap::new();
        let channels = read_file(flags, around, &mut table)?;
        read_variables(around, &mut table);
        let path_text = |path: &PathBuf| path.to_string_lossy().into_owned();
        for (key, name, text) in [
            ("knowledge", "--knowledge", flags.knowledge.as_ref().map(path_text)),
            ("data", "--data", flags.data.as_ref().map(path_text)),
            ("prompts", "--prompts", flags.prompts.as_ref().map(path_text)),
            ("listen", "--listen", flags.listen.clone()),
        ] {
            if let Some(text) = text {
                table.insert(key, Value { text, origin: Origin::Flag(name) });
            }
        }
        let table = Table(table);
        let hosts = table.0.get("outward.private_hosts").map(|value| value.text.as_str()).unwrap_or_default();
        let private_hosts = hosts.split_whitespace().map(str::to_owned).collect();
        Ok(Self { channels: ChannelSettings { private_hosts, ..channels }, ..validate(&table, around)? })
    }
}

fn read_file(
    flags: &Flags,
    around: &Surroundings<'_>,
    table: &mut BTreeMap<&'static str, Value>,
) -> Result<ChannelSettings, Failure> {
    let named = flags.config.clone().or_else(|| around.variables.get("FLIGHTDECK_CONFIG").map(PathBuf::from));
    let must_exist = named.is_some();
    let path = around.current_dir.join(named.unwrap_or_else(|| DEFAULT_FILE.into()));
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => {
            return Ok(ChannelSettings::default());
        }
        Err(error) => {
            return Err(Failure::new(
                format!("cannot read the settings {}: {error}; check --config", path.display()),
                format!("无法读取设置文件 {}：{error}；请检查 --config", path.display()),
            ));
        }
    };
    let mut parsed: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
        Failure::new(
            format!("{} line {line}: {}; correct it", path.display(), error.message()),
            format!("{} 第 {line} 行有错：{}；请修正", path.display(), error.message()),
        )
    })?;
    let channels = channels::take(&mut parsed, &path, around.variables)?;
    let mut flat = BTreeMap::new();
    flatten("", &parsed, &mut flat);
    let folder = path.parent().unwrap_or(around.current_dir);
    for (name, value) in flat {
        let Some(key) = KEYS.into_iter().find(|key| *key == name) else {
            return Err(Failure::new(
                format!("{}: unknown setting `{name}`; the settings are {}", path.display(), KEYS.join(", ")),
                format!("{}：没有名为 {name} 的设置；可用的有 {}", path.display(), KEYS.join("、")),
            ));
        };
        let text = match value {
            toml::Value::String(text) => text,
            other => other.to_string(),
        };
        // A path in a file means the same wherever the program is started.
        let is_path =
            matches!(key, "knowledge" | "data" | "model" | "reranker" | "prompts" | "generator.file");
        let text = if is_path { folder.join(text).to_string_lossy().into_owned() } else { text };
        table.insert(key, Value { text, origin: Origin::File(path.clone()) });
    }
    Ok(channels)
}

fn flatten(prefix: &str, table: &toml::Table, flat: &mut BTreeMap<String, toml::Value>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) => flatten(&key, inner, flat),
            other => {
                flat.insert(key, other.clone());
            }
        }
    }
}

fn read_variables(around: &Surroundings<'_>, table: &mut BTreeMap<&'static str, Value>) {
    for key in KEYS {
        let name = variable_name(key);
        if let Some(text) = around.variables.get(&name).filter(|text| !text.is_empty()) {
            table.insert(key, Value { text: text.clone(), origin: Origin::Variable(name) });
        }
    }
}

fn variable_name(key: &str) -> String {
    format!("FLIGHTDECK_{}", key.replace('.', "_").to_uppercase())
}

struct Table(BTreeMap<&'static str, Value>);

impl Table {
    /// The key's value, or `default`; `wanted` says in both languages what the value should be.
    fn get<T: FromStr>(
        &self,
        key: &'static str,
        default: T,
        fits: impl Fn(&T) -> bool,
        wanted: (&str, &str),
    ) -> Result<T, Failure> {
        let Some(value) = self.0.get(key) else { return Ok(default) };
        match value.text.trim().parse() {
            Ok(parsed) if fits(&parsed) => Ok(parsed),
            _ => Err(Failure::new(
                format!("`{key}` is \"{}\" (from {}), but must be {}", value.text, value.origin, wanted.0),
                format!("设置 {key} 的值“{}”无效（来自 {}），应为{}", value.text, value.origin, wanted.1),
            )),
        }
    }

    /// What the key says, if it says something.
    fn text(&self, key: &str) -> Option<String> {
        self.0.get(key).map(|value| value.text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    fn path(&self, key: &'static str, around: &Surroundings<'_>) -> Option<PathBuf> {
        self.0.get(key).map(|value| around.current_dir.join(&value.text))
    }
}

fn validate(table: &Table, around: &Surroundings<'_>) -> Result<Config, Failure> {
    let chunks = flightdeck_corpus::Settings::default();
    let find = |name: &str| locate::beside_program(name, around.current_dir, around.executable);

    let max_chunk_tokens = table.get(
        "chunks.max_tokens",
        chunks.max_chunk_tokens,
        |n| (32..=8192).contains(n),
        ("a whole number from 32 to 8192", " 32 到 8192 的整数"),
    )?;
    let config = Config {
        program: around.executable.map_or_else(|| "flightdeck".into(), Path::to_owned),
        knowledge: table.path("knowledge", around).unwrap_or_else(|| find(DEFAULT_KNOWLEDGE)),
        data: table.path("data", around).unwrap_or_else(|| around.current_dir.join(DEFAULT_DATA)),
        model: table.path("model", around).unwrap_or_else(|| find(DEFAULT_MODEL)),
        reranker: reranker(table, around)?,
        embedder: embedder(table)?,
        hub: table.text("hub.address"),
        prompts: table.path("prompts", around),
        generator: generator(table, around)?,
        threads: table.get(
            "threads",
            around.parallelism,
            |n| (1..=1024).contains(n),
            ("a whole number from 1 to 1024", " 1 到 1024 的整数"),
        )?,
        kernel: kernel(table)?,
        listen: table.get(
            "listen",
            SocketAddr::from(([127, 0, 0, 1], 8080)),
            |_| true,
            ("an address with a port, e.g. 127.0.0.1:8080", "带端口的地址，例如 127.0.0.1:8080"),
        )?,
        language: table
            .get("language", LanguageSetting::Auto, |_| true, ("one of auto, zh, en", " auto、zh、en 之一"))?
            .settle(around),
        log: Some(table.get(
            "log",
            String::new(),
            |filter: &String| tracing_subscriber::EnvFilter::try_new(filter).is_ok(),
            (
                "a filter such as info or flightdeck_retrieval=debug",
                "日志过滤条件，例如 info 或 flightdeck_retrieval=debug",
            ),
        )?)
        .filter(|filter| !filter.is_empty()),
        log_format: table.get("log_format", LogFormat::Text, |_| true, ("text or json", " text 或 json"))?,
        poll_seconds: table.get(
            "watch.poll_seconds",
            2,
            |n| (1..=3600).contains(n),
            ("a whole number from 1 to 3600", " 1 到 3600 的整数"),
        )?,
        widget_origins: widget_origins(table)?,
        channels: ChannelSettings::default(),
        corpus: flightdeck_corpus::Settings {
            max_chunk_tokens,
            min_chunk_tokens: table.get(
                "chunks.min_tokens",
                chunks.min_chunk_tokens.min(max_chunk_tokens / 2),
                |n| *n <= max_chunk_tokens / 2,
                (
                    "a whole number of at most half of chunks.max_tokens",
                    "不超过 chunks.max_tokens 一半的整数",
                ),
            )?,
            max_file_bytes: table.get(
                "chunks.max_file_mb",
                chunks.max_file_bytes >> 20,
                |n| (1..=1024).contains(n),
                ("a whole number from 1 to 1024", " 1 到 1024 的整数"),
            )? << 20,
        },
        retrieval: ranking(table)?,
        versions: flightdeck_records::VersionLimits {
            per_file: table.get(
                "versions.keep",
                30,
                |n| (1..=10_000).contains(n),
                ("a whole number from 1 to 10000", " 1 到 10000 的整数"),
            )?,
            total_bytes: table.get(
                "versions.total_mb",
                2048,
                |n: &u64| (1..=1 << 20).contains(n),
                ("a whole number from 1 to 1048576", " 1 到 1048576 的整数"),
            )? << 20,
        },
        findings: match table.0.get("check.internal_words") {
            None => flightdeck_corpus::FindingSettings::default(),
            Some(value) => flightdeck_corpus::FindingSettings {
                internal_words: value.text.split_whitespace().map(str::to_owned).collect(),
            },
        },
    };
    Ok(config)
}

fn kernel(table: &Table) -> Result<Kernel, Failure> {
    let wanted = (
        "one of auto, candle, portable, avx2, avx-vnni, avx512, amx",
        " auto、candle、portable、avx2、avx-vnni、avx512、amx 之一",
    );
    table.get("kernel", Kernel::Auto, |_| true, wanted)
}

/// A folder makes a cross-encoder read; all else only says how.
fn reranker(table: &Table, around: &Surroundings<'_>) -> Result<Option<RerankerConfig>, Failure> {
    let passages = table.get(
        "reranker_passages",
        20,
        |n| (2..=200).contains(n),
        ("a whole number from 2 to 200", " 2 到 200 的整数"),
    )?;
    let weight = table.get(
        "reranker_weight",
        1.0,
        |w| (0.0..=1.0).contains(w),
        ("a number from 0 to 1", " 0 到 1 的数"),
    )?;
    let budget = seconds(table, "reranker_seconds", 3.0)?;
    let folder = table.text("reranker").map(|folder| around.current_dir.join(folder));
    Ok(folder.map(|folder| RerankerConfig { folder, passages, weight, budget }))
}

/// How passages are ranked.
fn ranking(table: &Table) -> Result<flightdeck_retrieval::Settings, Failure> {
    let retrieval = flightdeck_retrieval::Settings::default();
    Ok(flightdeck_retrieval::Settings {
        lexical: retrieval.lexical,
        fusion: flightdeck_retrieval::FusionSettings {
            dense_weight: table.get(
                "search.dense_weight",
                retrieval.fusion.dense_weight,
                |w| (0.0..=1.0).contains(w),
                ("a number from 0 to 1", " 0 到 1 的数"),
            )?,
            depth: table.get(
                "search.depth",
                retrieval.fusion.depth,
                |n| (10..=1000).contains(n),
                ("a whole number from 10 to 1000", " 10 到 1000 的整数"),
            )?,
            ..retrieval.fusion
        },
        vectors: flightdeck_retrieval::VectorSettings {
            graph_from: table.get(
                "search.graph_from",
                retrieval.vectors.graph_from,
                |_| true,
                ("a whole number", "整数"),
            )?,
            scan_below_percent: table.get(
                "search.scan_below_percent",
                retrieval.vectors.scan_below_percent,
                |n| *n <= 100,
                ("a whole number from 0 to 100", " 0 到 100 的整数"),
            )?,
            window_share: table.get(
                "search.window_share",
                retrieval.vectors.window_share,
                |share| (0.0..=1.0).contains(share),
                ("a number from 0 to 1", " 0 到 1 的数"),
            )?,
        },
    })
}

/// An address and a name make a server embed; all else only says how.
fn embedder(table: &Table) -> Result<Option<HttpEmbedderSettings>, Failure> {
    let (address, model) = match (table.text("embedder.address"), table.text("embedder.model")) {
        (None, None) => return Ok(None),
        (Some(address), Some(model)) => (address, model),
        (known, _) => {
            let (there, missing) = match known {
                Some(_) => ("embedder.address", "embedder.model"),
                None => ("embedder.model", "embedder.address"),
            };
            return Err(Failure::new(
                format!("`{there}` is set and `{missing}` is not; an embedding server needs both"),
                format!("已设置 {there}，但缺少 {missing}；使用向量服务需要两项都设置"),
            ));
        }
    };
    let protocol = table.get(
        "embedder.protocol",
        "openai".to_owned(),
        |name: &String| matches!(name.as_str(), "openai" | "tei"),
        ("one of openai, tei", " openai、tei 之一"),
    )?;
    let number = |key, default, most: usize| {
        let wanted = (format!("a whole number from 1 to {most}"), format!(" 1 到 {most} 的整数"));
        table.get(key, default, |n: &usize| (1..=most).contains(n), (&wanted.0, &wanted.1))
    };
    let dimension = match table.text("embedder.dimension") {
        Some(_) => Some(number("embedder.dimension", 1, 8192)?),
        None => None,
    };
    // A blank at a prefix's end is part of it.
    let prefix = |key| table.0.get(key).map(|value| value.text.clone()).unwrap_or_default();
    Ok(Some(HttpEmbedderSettings {
        address,
        protocol: if protocol == "tei" { EmbeddingProtocol::Tei } else { EmbeddingProtocol::OpenAi },
        model,
        key: table.text("embedder.key").map(Secret::new),
        dimension,
        query_prefix: prefix("embedder.query_prefix"),
        passage_prefix: prefix("embedder.passage_prefix"),
        max_tokens: number("embedder.max_tokens", 512, 131_072)?,
        batch: number("embedder.batch", 32, 2048)?,
        timeout: seconds(table, "embedder.timeout_seconds", 30.0)?,
        retries: table.get(
            "embedder.retries",
            3,
            |n| *n <= 10,
            ("a whole number from 0 to 10", " 0 到 10 的整数"),
        )?,
    }))
}

/// Whether a model words answers is said by a file, or by an address and a name; all else only says how.
fn generator(table: &Table, around: &Surroundings<'_>) -> Result<Option<GeneratorConfig>, Failure> {
    let file = table.path("generator.file", around);
    let (address, model) = (table.text("generator.address"), table.text("generator.model"));
    let server = match (address, model) {
        (None, None) => None,
        (Some(address), Some(model)) => Some((address, model)),
        (known, _) => {
            let (there, missing) = match known {
                Some(_) => ("generator.address", "generator.model"),
                None => ("generator.model", "generator.address"),
            };
            return Err(Failure::new(
                format!("`{there}` is set and `{missing}` is not; a model behind a server needs both"),
                format!("已设置 {there}，但缺少 {missing}；使用语言模型服务需要两项都设置"),
            ));
        }
    };
    let source = match (file, server) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(Failure::new(
                "`generator.file` and `generator.address` are both set; keep one of them",
                "generator.file 与 generator.address 只能设置一个；请去掉其中一个",
            ));
        }
        (Some(file), None) => GeneratorSource::Local(local_generator(table, file)?),
        (None, Some((address, model))) => GeneratorSource::Http(http_generator(table, address, model)?),
    };
    let is_local = matches!(source, GeneratorSource::Local(_));
    let concurrent = table.get(
        "generator.concurrent",
        if is_local { 1 } else { 4 },
        |n| (1..=1024).contains(n),
        ("a whole number from 1 to 1024", " 1 到 1024 的整数"),
    )?;
    if is_local && concurrent > 1 {
        return Err(Failure::new(
            "`generator.concurrent` must be 1 with `generator.file`: a model here words one answer at a time",
            "使用 generator.file 时 generator.concurrent 只能为 1：本机模型一次只写一个回答",
        ));
    }
    Ok(Some(GeneratorConfig { source, concurrent }))
}

fn seconds(table: &Table, key: &'static str, default: f64) -> Result<Duration, Failure> {
    let fits = |seconds: &f64| (0.1..=600.0).contains(seconds);
    let wanted = ("a number of seconds from 0.1 to 600", " 0.1 到 600 的秒数");
    table.get(key, default, fits, wanted).map(Duration::from_secs_f64)
}

/// Tokens of prompt and answer together, and of the answer at most.
fn generator_tokens(table: &Table, context: usize, answer: usize) -> Result<(usize, usize), Failure> {
    let tokens = |key, default| {
        let wanted = ("a whole number from 64 to 2000000", " 64 到 2000000 的整数");
        table.get(key, default, |n: &usize| (64..=2_000_000).contains(n), wanted)
    };
    let context = tokens("generator.context_tokens", context)?;
    let answer = tokens("generator.answer_tokens", answer.min(context / 2))?;
    if answer > context / 2 {
        return Err(Failure::new(
            format!(
                "`generator.answer_tokens` is {answer}, but must be at most half of `generator.context_tokens`, \
                 which is {context}"
            ),
            format!(
                "generator.answer_tokens 为 {answer}，不能超过 generator.context_tokens（{context}）的一半"
            ),
        ));
    }
    Ok((context, answer))
}

fn temperature(table: &Table) -> Result<f64, Failure> {
    let wanted = ("a number from 0 to 2", " 0 到 2 的数");
    table.get("generator.temperature", 0.0, |t| (0.0..=2.0).contains(t), wanted)
}

fn local_generator(table: &Table, file: PathBuf) -> Result<LocalSettings, Failure> {
    let (context_tokens, answer_tokens) = generator_tokens(table, 4096, 512)?;
    Ok(LocalSettings {
        file,
        first_text: seconds(table, "generator.first_text_seconds", 60.0)?,
        total: seconds(table, "generator.total_seconds", 180.0)?,
        context_tokens,
        answer_tokens,
        temperature: temperature(table)?,
    })
}

fn http_generator(table: &Table, address: String, model: String) -> Result<HttpSettings, Failure> {
    let price = |key| {
        let wanted = ("the price of a million tokens, 0 or more", "每百万 token 的价格，不小于 0");
        table.get(key, 0.0, |price: &f64| price.is_finite() && *price >= 0.0, wanted)
    };
    let has_prices =
        ["generator.prompt_price", "generator.answer_price"].iter().any(|key| table.text(key).is_some());
    let prices =
        Prices { prompt: price("generator.prompt_price")?, completion: price("generator.answer_price")? };
    let proxy = table.text("generator.proxy").map(|address| ProxySettings {
        address: Secret::new(address),
        except: table.text("generator.proxy_except").unwrap_or_default(),
    });
    let (context_tokens, answer_tokens) = generator_tokens(table, 8192, 1024)?;
    let retries = table.get(
        "generator.retries",
        2,
        |n| *n <= 10,
        ("a whole number from 0 to 10", " 0 到 10 的整数"),
    )?;
    Ok(HttpSettings {
        address,
        model,
        key: table.text("generator.key").map(Secret::new),
        proxy,
        connect: seconds(table, "generator.connect_seconds", 5.0)?,
        first_text: seconds(table, "generator.first_text_seconds", 8.0)?,
        total: seconds(table, "generator.total_seconds", 60.0)?,
        retries,
        context_tokens,
        answer_tokens,
        temperature: temperature(table)?,
        prices: has_prices.then_some(prices),
    })
}

fn widget_origins(table: &Table) -> Result<Vec<String>, Failure> {
    let origins = table.get(
        "widget.origins",
        String::new(),
        |origins: &String| origins.split_whitespace().all(|text| flightdeck_records::origin(text).is_some()),
        (
            "origins with spaces between, e.g. https://crm.example.com http://localhost:3000",
            "以空格分隔的网页来源，例如 https://crm.example.com http://localhost:3000",
        ),
    )?;
    Ok(origins.split_whitespace().filter_map(flightdeck_records::origin).collect())
}

#[derive(Clone, Copy)]
enum LanguageSetting {
    Auto,
    Fixed(Language),
}

impl LanguageSetting {
    fn settle(self, around: &Surroundings<'_>) -> Language {
        match self {
            Self::Fixed(language) => language,
            Self::Auto => Language::from_locale(|name| around.variables.get(name).cloned()),
        }
    }
}

impl FromStr for LanguageSetting {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "auto" => Ok(Self::Auto),
            "zh" => Ok(Self::Fixed(Language::Chinese)),
            "en" => Ok(Self::Fixed(Language::English)),
            _ => Err(()),
        }
    }
}

impl FromStr for LogFormat {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gather(dir: &Path, flags: &Flags, variables: &[(&str, &str)]) -> Result<Config, Failure> {
        let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let around =
            Surroundings { variables: &variables, current_dir: dir, executable: None, parallelism: 2 };
        Config::gather(flags, &around)
    }

    fn folder(toml: Option<&str>) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a temporary folder can be made");
        if let Some(toml) = toml {
            std::fs::write(dir.path().join(DEFAULT_FILE), toml).expect("the folder is writable");
        }
        dir
    }

    #[test]
    fn later_places_win() {
        let dir = folder(Some("knowledge = \"from-file\"\nthreads = 3\n[search]\ndense_weight = 0.25\n"));
        let config = gather(dir.path(), &Flags::default(), &[]).expect("the file is right");
        assert_eq!(config.knowledge, dir.path().join("from-file"));
        assert_eq!((config.threads, config.retrieval.fusion.dense_weight), (3, 0.25));

        let variables = [("FLIGHTDECK_KNOWLEDGE", "from-env"), ("FLIGHTDECK_SEARCH_DENSE_WEIGHT", "0.75")];
        let config = gather(dir.path(), &Flags::default(), &variables).expect("the variables are right");
        assert_eq!(config.knowledge, dir.path().join("from-env"));
        assert_eq!((config.threads, config.retrieval.fusion.dense_weight), (3, 0.75));

        let flags = Flags { knowledge: Some("/from/flag".into()), ..Flags::default() };
        let config = gather(dir.path(), &flags, &variables).expect("the flags are right");
        assert_eq!(config.knowledge, PathBuf::from("/from/flag"));
    }

    #[test]
    fn without_any_the_defaults_are_the_contract_s() {
        let dir = folder(None);
        let config = gather(dir.path(), &Flags::default(), &[]).expect("the defaults are right");
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.knowledge, dir.path().join("knowledge"));
        assert_eq!(config.data, dir.path().join("data"));
        assert_eq!(config.corpus, flightdeck_corpus::Settings::default());
        assert_eq!(config.retrieval, flightdeck_retrieval::Settings::default());
    }

    #[test]
    fn a_complaint_names_the_key_and_where_it_came_from() {
        let complaint = |toml: Option<&str>, flags: Flags, variables: &[(&str, &str)]| {
            let dir = folder(toml);
            let failure = gather(dir.path(), &flags, variables).expect_err("the value is wrong");
            failure.text(Language::English).to_owned()
        };
        let text = complaint(None, Flags::default(), &[("FLIGHTDECK_SEARCH_DENSE_WEIGHT", "2")]);
        assert!(text.contains("`search.dense_weight` is \"2\""), "{text}");
        assert!(text.contains("FLIGHTDECK_SEARCH_DENSE_WEIGHT") && text.contains("0 to 1"), "{text}");
        for wrong in ["*", "https://", "https://a.example/path", "https://a.example;", "ftp://a.example"] {
            let text = complaint(None, Flags::default(), &[("FLIGHTDECK_WIDGET_ORIGINS", wrong)]);
            assert!(text.contains("`widget.origins`"), "{text}");
        }
        for (wrong, names) in [
            ("model = \"qwen\"", "`generator.address` is not"),
            ("address = \"http://m\"", "`generator.model` is not"),
            ("address = \"http://m\"\nmodel = \"q\"\nfile = \"q.gguf\"", "`generator.file` and"),
            ("file = \"q.gguf\"\nconcurrent = 2", "`generator.concurrent`"),
            (
                "address = \"http://m\"\nmodel = \"q\"\nfirst_text_seconds = 0",
                "`generator.first_text_seconds`",
            ),
            ("address = \"http://m\"\nmodel = \"q\"\nanswer_tokens = 5000", "`generator.answer_tokens`"),
            ("address = \"http://m\"\nmodel = \"q\"\nprompt_price = -1", "`generator.prompt_price`"),
        ] {
            let text = complaint(Some(&format!("[generator]\n{wrong}")), Flags::default(), &[]);
            assert!(text.contains(names), "{text}");
        }
        let text = complaint(Some("threads = 0"), Flags::default(), &[]);
        assert!(text.contains("`threads`") && text.contains("flightdeck.toml"), "{text}");
        let text = complaint(None, Flags { listen: Some("8080".into()), ..Flags::default() }, &[]);
        assert!(text.contains("--listen") && text.contains("127.0.0.1:8080"), "{text}");
        let text = complaint(Some("[search]\nweight = 1"), Flags::default(), &[]);
        assert!(text.contains("unknown setting `search.weight`"), "{text}");
        let text = complaint(Some("\nthreads = = 1"), Flags::default(), &[]);
        assert!(text.contains("line 2"), "{text}");
        let text = complaint(None, Flags { config: Some("none.toml".into()), ..Flags::default() }, &[]);
        assert!(text.contains("none.toml") && text.contains("--config"), "{text}");
    }

    #[test]
    fn a_folder_makes_a_reranker_read_and_without_one_nothing_does() {
        let dir = folder(Some("reranker = \"models/some\"\nreranker_passages = 8\n"));
        let config = gather(dir.path(), &Flags::default(), &[("FLIGHTDECK_RERANKER_SECONDS", "1.5")]);
        let reranker = config.expect("the settings are right").reranker.expect("one is named");
        assert_eq!((reranker.folder, reranker.passages), (dir.path().join("models/some"), 8));
        assert_eq!((reranker.weight, reranker.budget), (1.0, Duration::from_millis(1500)));
        let dir = folder(Some("reranker_passages = 8"));
        assert_eq!(gather(dir.path(), &Flags::default(), &[]).expect("that is no mistake").reranker, None);
        let dir = folder(Some("reranker_weight = 2"));
        let failure = gather(dir.path(), &Flags::default(), &[]).expect_err("that is too much");
        assert!(failure.text(Language::English).contains("`reranker_weight`"));
    }

    #[test]
    fn a_server_embeds_where_an_address_and_a_name_say_so() {
        let dir = folder(Some(
            "[embedder]\naddress = \"http://tei\"\nmodel = \"bge\"\nprotocol = \"tei\"\nquery_prefix = \"q: \"\n",
        ));
        let config = gather(dir.path(), &Flags::default(), &[("FLIGHTDECK_EMBEDDER_DIMENSION", "512")]);
        let embedder = config.expect("the settings are right").embedder.expect("a server is named");
        assert_eq!((embedder.protocol, embedder.dimension), (EmbeddingProtocol::Tei, Some(512)));
        assert_eq!((embedder.query_prefix.as_str(), embedder.batch), ("q: ", 32));
        for wrong in
            ["address = \"http://tei\"", "address = \"http://t\"\nmodel = \"m\"\nprotocol = \"grpc\""]
        {
            let dir = folder(Some(&format!("[embedder]\n{wrong}")));
            let failure = gather(dir.path(), &Flags::default(), &[]).expect_err("a setting is wrong");
            assert!(failure.text(Language::English).contains("`embedder."));
        }
    }

    #[test]
    fn a_language_model_is_asked_where_an_address_and_a_name_say_so() {
        let dir = folder(Some(
            "prompts = \"mine\"\n[generator]\naddress = \"https://api.example.com/v1\"\nmodel = \"qwen\"\n\
             first_text_seconds = 2.5\nanswer_price = 8\n",
        ));
        let variables = [("FLIGHTDECK_GENERATOR_KEY", "sk-secret")];
        let config = gather(dir.path(), &Flags::default(), &variables).expect("the settings are right");
        assert_eq!(config.prompts, Some(dir.path().join("mine")));
        assert!(!format!("{config:?}").contains("sk-secret"));
        let GeneratorConfig { source: GeneratorSource::Http(http), concurrent } =
            config.generator.expect("a model is named")
        else {
            panic!("it is behind a server");
        };
        assert_eq!((http.address.as_str(), http.model.as_str()), ("https://api.example.com/v1", "qwen"));
        assert_eq!(http.key, Some(Secret::new("sk-secret")));
        assert_eq!((http.first_text, http.total), (Duration::from_millis(2500), Duration::from_mins(1)));
        assert_eq!(http.prices, Some(Prices { prompt: 0.0, completion: 8.0 }));
        assert_eq!((http.context_tokens, http.answer_tokens, concurrent), (8192, 1024, 4));

        let dir = folder(Some("[generator]\nfile = \"q.gguf\"\nanswer_tokens = 100"));
        let config = gather(dir.path(), &Flags::default(), &[]).expect("the settings are right");
        let local = LocalSettings {
            file: dir.path().join("q.gguf"),
            first_text: Duration::from_mins(1),
            total: Duration::from_mins(3),
            context_tokens: 4096,
            answer_tokens: 100,
            temperature: 0.0,
        };
        let expected = GeneratorConfig { source: GeneratorSource::Local(local), concurrent: 1 };
        assert_eq!(config.generator, Some(expected));

        let dir = folder(None);
        let config = gather(dir.path(), &Flags::default(), &variables).expect("a key alone asks nobody");
        assert_eq!((config.generator, config.prompts), (None, None));
    }
}
