//! `mcp`: the Model Context Protocol on standard input and output, for a program on this machine that starts this one.
//!
//! Such programs start one process each and leave it running for days, beside a server and beside each other. So the
//! index is held open for reading only; where the folder has changed, whoever comes first takes the writer's place for
//! as long as an update takes, and the others find the new generation. Standard output belongs to the protocol.

use std::sync::Arc;
use std::time::Duration;

use flightdeck_assistant::Assistant;
use flightdeck_corpus::Reader;
use flightdeck_models::Embedder;
use flightdeck_records::Records;
use flightdeck_retrieval::{Access, RetrievalError, Store};
use flightdeck_server::{AppState, Limits, Pipe};

use super::customers::RECORDS_FILE;
use crate::args::{AudienceArg, McpArgs};
use crate::failure::Failure;
use crate::settings::Config;
use crate::{Verdict, output, workbench};

/// Holds the key of whoever is at the other end; an argument would stand in the list of processes.
pub const KEY_VARIABLE: &str = "FLIGHTDECK_KEY";

/// Runs `mcp` until the other end closes standard input.
///
/// # Errors
/// When the key opens nothing, there is no index and none can be made, or the records cannot be opened.
pub fn run(config: &Config, args: &McpArgs, key: Option<String>) -> Result<Verdict, Failure> {
    workbench::reader(config).scan()?;
    let records = Arc::new(Records::open(config.data.join(RECORDS_FILE))?);
    if let Some(key) = &key
        && records.authenticate(key)?.is_none()
    {
        return Err(Failure::new(
            format!("the key in {KEY_VARIABLE} is unknown or revoked; see `flightdeck keys list`"),
            format!("{KEY_VARIABLE} 中的密钥未知或已吊销；请看 flightdeck keys list"),
        ));
    }
    let writer = workbench::writer(config)?;
    let embedder = workbench::load_model(config)?;
    let open = || Store::open_with(&config.data, Access::Read, embedder.clone(), config.retrieval);
    let mut store = open()?;
    if store.current().is_none() {
        let note = config.language.pick("no index yet: making one", "还没有索引，正在建立");
        output::note(note);
        update(config, &embedder)?;
        store = open()?;
    }
    let store = Arc::new(store.with_reranking(workbench::reranking(config)?));
    let state = AppState::new(records.clone(), Limits::default());
    let assistant = Assistant::new(store.clone(), Some(records)).with_writer(writer);
    state.attach(store.clone(), Arc::new(assistant));
    keep_fresh(config.clone(), embedder, store)?;

    let runtime = tokio::runtime::Runtime::new().map_err(|error| broken(&error))?;
    let pipe = Pipe { key, customer_only: args.audience == AudienceArg::Customer };
    let served = runtime.block_on(flightdeck_server::serve_pipe(state, pipe));
    // A thread may still wait for a line that will not come.
    runtime.shutdown_background();
    served.map_err(|error| broken(&error))?;
    Ok(Verdict::Well)
}

/// Brings the index up to date, unless another process is just doing so.
fn update(config: &Config, embedder: &Arc<dyn Embedder>) -> Result<(), RetrievalError> {
    let store = match Store::open_with(&config.data, Access::Write, embedder.clone(), config.retrieval) {
        Err(RetrievalError::Locked(_)) => return Ok(()),
        opened => opened?,
    };
    store.update(&mut workbench::reader(config), false, &|_| true).map(|_| ())
}

/// Looks at the folder now and then; the thread ends with the program.
fn keep_fresh(config: Config, embedder: Arc<dyn Embedder>, store: Arc<Store>) -> Result<(), Failure> {
    let work = move || {
        let reader = workbench::reader(&config);
        loop {
            if let Err(error) = look(&config, &embedder, &store, &reader) {
                tracing::warn!(%error, "the index could not be updated; answering from the last one");
            }
            std::thread::park_timeout(Duration::from_secs(config.poll_seconds));
        }
    };
    std::thread::Builder::new()
        .name("watch".to_owned())
        .spawn(work)
        .map(|_| ())
        .map_err(|error| broken(&error))
}

fn look(
    config: &Config,
    embedder: &Arc<dyn Embedder>,
    store: &Store,
    reader: &Reader,
) -> Result<(), RetrievalError> {
    store.refresh()?;
    if !store.is_up_to_date(reader)? {
        update(config, embedder)?;
        store.refresh()?;
    }
    Ok(())
}

fn broken(error: &std::io::Error) -> Failure {
    Failure::new(
        format!(
            "cannot speak over standard input and output: {error}; start it from a program that keeps them open"
        ),
        format!("无法通过标准输入输出通信：{error}；请由保持其打开的程序启动"),
    )
}
