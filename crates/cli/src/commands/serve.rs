//! `serve`: the server, with the index kept up to date behind it.
//!
//! What can go wrong at the start goes wrong before the first request is taken, with one line: the folder, the port,
//! the data folder, the model. Then the server answers from the index that is there, if there is one, while a thread
//! brings it up to date; without one `/readyz` says 503 until the first is made.

use std::io::IsTerminal;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flightdeck_assistant::Assistant;
use flightdeck_records::Records;
use flightdeck_retrieval::{Access, Store, UpdateReport};
use flightdeck_server::{AppState, CurationSettings, Limits};

use super::customers::RECORDS_FILE;
use crate::failure::Failure;
use crate::language::Language;
use crate::output::{Colour, note};
use crate::progress::UpdateBar;
use crate::settings::Config;
use crate::watch::{Listener, Watcher};
use crate::{Verdict, workbench};

/// Old states of knowledge files, in the data folder.
const VERSIONS_FOLDER: &str = "versions";

/// Runs `serve` until it is told to stop.
///
/// # Errors
/// When it cannot start; afterwards only when the listening socket fails.
pub fn run(config: &Config) -> Result<Verdict, Failure> {
    let reader = workbench::reader(config);
    reader.scan()?;
    let writer = workbench::writer(config)?;
    let socket = listen(config.listen)?;
    let address = socket.local_addr().map_err(|error| cannot_listen(config.listen, &error))?;
    let reranking = workbench::reranking(config)?;
    let store = workbench::open_store(config, Access::Write, workbench::load_model(config)?)?;
    let store = Arc::new(store.with_reranking(reranking));
    let records = Arc::new(Records::open(config.data.join(RECORDS_FILE))?);
    let runtime = tokio::runtime::Runtime::new().map_err(|error| cannot_run(&error))?;

    let state =
        AppState::with_widget_origins(records.clone(), Limits::default(), config.widget_origins.clone());
    let model = writer.as_ref().map(|writer| writer.model().to_owned());
    let assistant = Assistant::new(store.clone(), Some(records)).with_writer(writer);
    state.attach(store.clone(), Arc::new(assistant));
    state.keep_tables_in(config.knowledge.clone());
    state.curate(CurationSettings {
        knowledge: config.knowledge.clone(),
        versions: config.data.join(VERSIONS_FOLDER),
        max_file_bytes: config.corpus.max_file_bytes,
        limits: config.versions,
        findings: config.findings.clone(),
        worker: Some(Arc::new(workbench::worker(config))),
    });
    if !config.channels.is_empty() {
        let worded = config.generator.as_ref().map_or(0, |generator| generator.concurrent);
        state.connect(config.channels.clone(), worded).map_err(|error| cannot_connect(&error))?;
    }
    greet(config, address, &store, model.as_deref());
    let listener = listener(config.language, state.clone());
    let poll = Duration::from_secs(config.poll_seconds);
    let watcher = Watcher::start(store, reader, poll, listener).map_err(|error| cannot_run(&error))?;

    let served = runtime.block_on(async {
        let socket = tokio::net::TcpListener::from_std(socket)?;
        flightdeck_server::serve(socket, state, told_to_stop()).await
    });
    drop(watcher);
    served.map_err(|error| cannot_listen(address, &error))?;
    Ok(Verdict::Well)
}

fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    let socket = TcpListener::bind(address).and_then(|socket| {
        socket.set_nonblocking(true)?;
        Ok(socket)
    });
    socket.map_err(|error| cannot_listen(address, &error))
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => Failure::new(
            format!(
                "{address} is in use by another program; stop that one, or listen elsewhere with `serve --listen \
                 127.0.0.1:0`"
            ),
            format!("{address} 已被其他程序占用；请先停止它，或用 serve --listen 127.0.0.1:0 换一个端口"),
        ),
        _ => Failure::new(
            format!("cannot listen on {address}: {error}; name another address with `serve --listen ADDR`"),
            format!("无法监听 {address}：{error}；请用 serve --listen ADDR 换一个地址"),
        ),
    }
}

fn cannot_run(error: &std::io::Error) -> Failure {
    Failure::new(
        format!("cannot start threads: {error}; check the limits of this machine"),
        format!("无法启动线程：{error}；请检查本机的资源限制"),
    )
}

fn cannot_connect(error: &str) -> Failure {
    Failure::new(
        format!("cannot prepare connections to chat platforms: {error}; check this machine's certificates"),
        format!("无法准备与聊天平台的连接：{error}；请检查本机的证书"),
    )
}

/// Ends when the person or the system says so (Ctrl-C, `SIGTERM`).
async fn told_to_stop() {
    let interrupted = async {
        // Without a handler the default one ends the program, which is what was asked for.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        () = interrupted => {}
        () = terminated => {}
    }
    tracing::info!("stopping");
}

/// The first lines; scripts read the address from the one that holds `http://`.
fn greet(config: &Config, address: SocketAddr, store: &Store, model: Option<&str>) {
    let language = config.language;
    let title = language.pick("Flightdeck is listening on", "Flightdeck 已启动：");
    note(&format!("{} http://{address}", on_stderr(Colour::Bold, title)));
    note(&format!("  {} {}", language.pick("knowledge", "知识文件夹"), config.knowledge.display()));
    note(&format!("  {} {}", language.pick("data     ", "数据文件夹"), config.data.display()));
    if let Some(model) = model {
        note(&format!("  {} {model}", language.pick("worded by", "语言模型  ")));
    }
    match store.current() {
        Some(index) => {
            note(&format!("  {}", counts(language, index.summary().documents, index.summary().chunks)));
        }
        None => note(&format!("  {}", language.pick("making the first index …", "正在建立首个索引……"))),
    }
}

fn counts(language: Language, documents: usize, chunks: usize) -> String {
    match language {
        Language::English => format!("{documents} documents, {chunks} passages"),
        Language::Chinese => format!("{documents} 份文档，{chunks} 个片段"),
    }
}

fn listener(language: Language, state: AppState) -> Listener {
    // Only the first update has a bar; later ones are quick and happen behind a person's back.
    let bar = Arc::new(Mutex::new(Some(UpdateBar::new(language))));
    let shown = bar.clone();
    let watched = state.clone();
    Listener {
        progress: Box::new(move |progress| {
            watched.show_progress(progress);
            if let Some(bar) = shown.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
                bar.show(progress);
            }
        }),
        updated: Box::new(move |update| {
            let is_first = bar.lock().unwrap_or_else(PoisonError::into_inner).take().is_some();
            match update {
                Ok(report) => {
                    state.record_update(report);
                    if is_first {
                        ready(language, report);
                    }
                }
                Err(error) => {
                    state.show_failure(&error);
                    tracing::error!(error, "the index could not be updated; serving the last one");
                }
            }
        }),
    }
}

fn ready(language: Language, report: &UpdateReport) {
    let counted = counts(language, report.documents, report.chunks);
    let problems = report.problems.len();
    let state = on_stderr(Colour::Green, language.pick("ready", "已就绪"));
    let trouble = match (problems, language) {
        (0, _) => String::new(),
        (n, Language::English) => {
            on_stderr(Colour::Yellow, &format!(", {n} problems: see `flightdeck check`"))
        }
        (n, Language::Chinese) => {
            on_stderr(Colour::Yellow, &format!("，发现 {n} 个问题，可运行 flightdeck check 查看"))
        }
    };
    note(&format!("  {state}: {counted}{trouble}"));
}

fn on_stderr(code: Colour, text: &str) -> String {
    let wanted = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    if wanted { format!("\u{1B}[{}m{text}\u{1B}[0m", code as u8) } else { text.to_owned() }
}
