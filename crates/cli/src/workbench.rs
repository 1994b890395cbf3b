//! What most commands need before they can start: the models, the reader, the index.

use std::path::Path;
use std::sync::Arc;

use flightdeck_assistant::{Prompts, Writer};
use flightdeck_corpus::{ReadLimits, Reader, Worker};
use flightdeck_models::{
    Embedder, Generator, HttpEmbedder, HttpGenerator, LoadOptions, LocalGenerator, ModelError, SetupError,
};
use flightdeck_retrieval::{Access, Index, Reranking, RetrievalError, Store};
use jiff::civil::Date;

use crate::args::READ_WORKER;
use crate::failure::Failure;
use crate::output;
use crate::progress::UpdateBar;
use crate::settings::{Config, GeneratorSource};

/// The day that validity is judged by: today, where the computer stands.
pub fn today() -> Date {
    jiff::Zoned::now().date()
}

/// Loads the configured model, or reaches for the server that embeds.
///
/// # Errors
/// When a file of it is missing or damaged, or the server does not answer.
pub fn load_model(config: &Config) -> Result<Arc<dyn Embedder>, Failure> {
    let Some(server) = &config.embedder else {
        return Ok(Arc::new(flightdeck_models::load_with(&config.model, load_options(config))?));
    };
    Ok(Arc::new(HttpEmbedder::new(server.clone()).map_err(|error| unusable_embedder(&error))?))
}

/// Loads the cross-encoder, if the settings name one.
///
/// # Errors
/// When its folder holds no reranker that can be used.
pub fn reranking(config: &Config) -> Result<Option<Reranking>, Failure> {
    let Some(reranker) = &config.reranker else { return Ok(None) };
    let model = flightdeck_models::load_reranker(&reranker.folder, load_options(config)).map_err(|error| {
        Failure::new(
            format!(
                "`reranker` cannot be used: {error}; name the folder of a reranker, e.g. one that `flightdeck \
                 models pull bge-reranker-base` fetched, or remove the setting"
            ),
            format!(
                "reranker 无法使用：{error}；请指定重排模型的文件夹（例如用 flightdeck models pull \
                 bge-reranker-base 下载的），或去掉这项设置"
            ),
        )
    })?;
    Ok(Some(Reranking {
        model: Arc::new(model),
        passages: reranker.passages,
        weight: reranker.weight,
        budget: reranker.budget,
    }))
}

fn load_options(config: &Config) -> LoadOptions {
    LoadOptions { threads: config.threads, kernel: config.kernel }
}

fn unusable_embedder(error: &SetupError) -> Failure {
    let (advice_en, advice_zh) = match error {
        SetupError::Address(_) => ("correct `embedder.address`", "请修正 embedder.address"),
        SetupError::Key => ("correct `embedder.key`", "请修正 embedder.key"),
        SetupError::Proxy | SetupError::Client(_) => (
            "check that the server runs, or name `embedder.dimension` to start without it",
            "请确认服务已启动，或设置 embedder.dimension 后再启动",
        ),
    };
    Failure::new(
        format!("the embedding server cannot be used: {error}; {advice_en}"),
        format!("无法使用向量服务：{error}；{advice_zh}"),
    )
}

/// Another model than the configured one, by its id, where it lies beside it or was fetched or imported: an index that was
/// made with it can serve until it is made anew.
fn other_model(config: &Config, id: &str) -> Option<Arc<dyn Embedder>> {
    let beside = config.model.parent().map(Path::to_owned);
    let folders = beside.into_iter().chain([config.data.join("models")]);
    let (folder, _) = folders
        .filter_map(|folder| flightdeck_models::list(&folder).ok())
        .flatten()
        .find(|(_, manifest)| manifest.as_ref().is_ok_and(|manifest| manifest.embedder_id() == id))?;
    match flightdeck_models::load_with(&folder, load_options(config)) {
        Ok(model) => Some(Arc::new(model)),
        Err(error) => {
            tracing::warn!(%error, "the model that the index was made with cannot be loaded");
            None
        }
    }
}

/// The language model that words answers, if the settings name one. A server is not asked anything yet; a file is
/// read, which takes some seconds.
///
/// # Errors
/// When the settings, the file or the prompts cannot be used.
pub fn writer(config: &Config) -> Result<Option<Writer>, Failure> {
    let prompts = match &config.prompts {
        Some(folder) => Prompts::from_folder(folder)?,
        None => Prompts::built_in(),
    };
    let Some(generator) = &config.generator else { return Ok(None) };
    let made: Arc<dyn Generator> = match &generator.source {
        GeneratorSource::Http(http) => Arc::new(HttpGenerator::new(http.clone())?),
        GeneratorSource::Local(local) => {
            Arc::new(LocalGenerator::load(local.clone()).map_err(|error| unusable_generator(&error))?)
        }
    };
    Ok(Some(Writer::new(made, prompts, generator.concurrent)))
}

fn unusable_generator(error: &ModelError) -> Failure {
    Failure::new(
        format!(
            "`generator.file` cannot be used: {error}; name a GGUF file of a Qwen2, Qwen2.5 or Qwen3 chat model"
        ),
        format!("generator.file 无法使用：{error}；请指定 Qwen2、Qwen2.5 或 Qwen3 对话模型的 GGUF 文件"),
    )
}

/// A reader of the knowledge folder.
pub fn reader(config: &Config) -> Reader {
    Reader::new(&config.knowledge, config.corpus.clone()).with_worker(Arc::new(worker(config)))
}

/// This program in the role that reads files which can crash their parser.
pub fn worker(config: &Config) -> Worker {
    Worker::new(&config.program, [READ_WORKER], ReadLimits::default())
}

/// Opens the index of the data folder, and tells the person when what lay there cannot be used.
///
/// # Errors
/// When another process writes or the folder cannot be made or opened.
pub fn open_store(
    config: &Config,
    access: Access,
    embedder: Arc<dyn Embedder>,
) -> Result<Store, RetrievalError> {
    let find = |id: &str| other_model(config, id);
    let store = Store::open_with_models(&config.data, access, embedder, config.retrieval, &find)?;
    if let Some(damage) = store.damage() {
        let lead = config.language.pick(
            "the index on disk cannot be used and is made anew from the knowledge folder",
            "磁盘上的索引无法使用，将根据知识文件夹重新建立",
        );
        output::note(&format!("{lead}: {damage}"));
    }
    Ok(store)
}

/// An index to ask, brought up to date where that is possible; the store keeps it open.
///
/// Asking must not fail because somebody else is just updating or the data folder is read-only: then what is there
/// answers, and a line says so.
///
/// # Errors
/// When there is no index and none can be made.
pub fn open_for_asking(config: &Config) -> Result<(Arc<Store>, Arc<Index>), Failure> {
    let embedder = load_model(config)?;
    let reranking = reranking(config)?;
    let mut reader = reader(config);
    let reading = Store::open_with(&config.data, Access::Read, embedder.clone(), config.retrieval)?
        .with_reranking(reranking.clone());
    if reading.is_up_to_date(&reader)? {
        return with_index(reading);
    }
    let updated = open_store(config, Access::Write, embedder).and_then(|store| {
        let note = match store.current() {
            None => config.language.pick("no index yet: making one", "还没有索引，正在建立"),
            Some(_) => config.language.pick(
                "the knowledge folder has changed: updating the index",
                "知识文件夹有变化，正在更新索引",
            ),
        };
        output::note(note);
        let bar = UpdateBar::new(config.language);
        store.update(&mut reader, false, &|progress| bar.show(progress))?;
        Ok(store.with_reranking(reranking))
    });
    match updated {
        Ok(store) => with_index(store),
        Err(error @ (RetrievalError::Locked(_) | RetrievalError::Io { .. }))
            if reading.current().is_some() =>
        {
            let lead = config.language.pick(
                "answering from an older index, which cannot be updated now",
                "索引暂时无法更新，用现有的旧索引回答",
            );
            output::note(&format!("{lead}: {error}"));
            with_index(reading)
        }
        Err(error) => Err(error.into()),
    }
}

fn with_index(store: Store) -> Result<(Arc<Store>, Arc<Index>), Failure> {
    let index = store.current().ok_or(flightdeck_assistant::AssistantError::NoIndex)?;
    Ok((Arc::new(store), index))
}
