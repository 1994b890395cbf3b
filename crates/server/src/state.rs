//! What all requests share.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use flightdeck_assistant::Assistant;
use flightdeck_records::Records;
use flightdeck_retrieval::{Index, Progress, Store, UpdateReport};

use flightdeck_channels::{Guard, Outward, Pipeline, Timing};

use crate::channels::{AssistantEngine, ChannelSettings, Queue, Rejections};
use crate::curation::{Curation, CurationSettings};
use crate::error::ApiError;
use crate::telemetry::Telemetry;
use crate::turns::Turns;
use crate::workers::Workers;

/// How much is done at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Searches and answers that run at the same time.
    pub concurrent: NonZeroUsize,
    /// Searches and answers that may wait for one of those to end; more are refused with 503.
    pub waiting: usize,
    /// From the request's arrival to its answer; then it is refused with 503.
    pub timeout: Duration,
}

impl Default for Limits {
    /// One per core, sixteen waiting for each, thirty seconds.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self { concurrent: cores, waiting: 16 * cores.get(), timeout: Duration::from_secs(30) }
    }
}

/// What all requests share; cheap to clone.
///
/// It begins without an index, so that the server can listen while the model and the index are still loading:
/// `/healthz` answers, `/readyz`, search and chat say 503 until [`AppState::attach`].
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

struct Shared {
    records: Arc<Records>,
    engine: OnceLock<Engine>,
    workers: Workers,
    turns: Turns,
    telemetry: Telemetry,
    widget_origins: Vec<String>,
    pipeline: OnceLock<Pipeline>,
    /// The knowledge folder, where answers written in the console go.
    kept_tables: OnceLock<PathBuf>,
    rejections: Rejections,
    curation: OnceLock<Arc<Curation>>,
}

/// A state that does not keep itself alive, for what the state itself holds.
#[derive(Clone)]
pub(crate) struct WeakState(Weak<Shared>);

impl WeakState {
    /// The state, while it lives.
    pub fn upgrade(&self) -> Option<AppState> {
        self.0.upgrade().map(AppState)
    }
}

/// What answers questions.
#[derive(Clone)]
pub(crate) struct Engine {
    pub store: Arc<Store>,
    pub assistant: Arc<Assistant>,
}

impl AppState {
    /// A state without an index, whose widget no other site may show.
    pub fn new(records: Arc<Records>, limits: Limits) -> Self {
        Self::with_widget_origins(records, limits, Vec::new())
    }

    /// A state without an index, whose widget the pages of these origins may show (`https://crm.example.com`).
    pub fn with_widget_origins(records: Arc<Records>, limits: Limits, widget_origins: Vec<String>) -> Self {
        Self(Arc::new(Shared {
            widget_origins,
            records,
            engine: OnceLock::new(),
            workers: Workers::new(limits.concurrent, limits.waiting, limits.timeout),
            turns: Turns::default(),
            telemetry: Telemetry::new(),
            pipeline: OnceLock::new(),
            kept_tables: OnceLock::new(),
            rejections: Rejections::default(),
            curation: OnceLock::new(),
        }))
    }

    /// Answers from this store from now on; later updates of the store are seen by themselves. Only the first call
    /// counts, whose store the running server keeps; whether this was the first.
    pub fn attach(&self, store: Arc<Store>, assistant: Arc<Assistant>) -> bool {
        self.0.engine.set(Engine { store, assistant }).is_ok()
    }

    /// Lets answers that are written in the console become rows of tables in this knowledge folder. Only the first call
    /// counts.
    pub fn keep_tables_in(&self, knowledge: PathBuf) {
        // A second call leaves the folder that is known.
        let _ = self.0.kept_tables.set(knowledge);
    }

    /// The knowledge folder.
    ///
    /// # Errors
    /// `unavailable` where the server was started without one that it may write.
    pub(crate) fn kept_tables(&self) -> Result<&Path, ApiError> {
        self.0.kept_tables.get().map(PathBuf::as_path).ok_or_else(|| {
            ApiError::unavailable("not_available", "this server has no knowledge folder to write to", 60)
        })
    }

    /// Counts an update of the index in the metrics, keeps the states in which the files were found, and asks the questions
    /// again that wait for what it brought.
    pub fn record_update(&self, report: &UpdateReport) {
        self.0.telemetry.index_updated(report);
        if let Some(curation) = self.0.curation.get() {
            curation.set_done(None);
            if let Err(error) = curation.note_folder(&self.0.records) {
                tracing::error!(%error, "the states of the knowledge files could not be kept");
            }
        }
        if report.changed
            && let Err(error) = crate::gaps::ask_again(self)
        {
            tracing::warn!(code = error.code, "questions without an answer could not be asked again");
        }
    }

    /// Lets those who look after the knowledge change this folder. Only the first call counts.
    pub fn curate(&self, settings: CurationSettings) {
        // A second call leaves the folder that is open.
        let _ = self.0.curation.set(Arc::new(Curation::new(settings)));
    }

    /// Tells those who watch how far the running update is.
    pub fn show_progress(&self, progress: Progress) {
        if let Some(curation) = self.0.curation.get() {
            curation.set_step(progress);
        }
    }

    /// Tells those who watch that the update has failed.
    pub fn show_failure(&self, error: &str) {
        if let Some(curation) = self.0.curation.get() {
            curation.set_done(Some(error.to_owned()));
        }
    }

    /// The folder as it can be changed.
    ///
    /// # Errors
    /// `not_ready` where the server was started without one.
    pub(crate) fn curation(&self) -> Result<Arc<Curation>, ApiError> {
        self.0.curation.get().cloned().ok_or_else(ApiError::not_ready)
    }

    /// Runs `work` on the folder, on a thread that may wait for a disk.
    ///
    /// # Errors
    /// Those of `work`; `internal` when it panics.
    pub(crate) async fn with_curation<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Curation, &Records) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let curation = self.curation()?;
        self.with_records(move |records| work(&curation, records)).await
    }

    /// The engine and the generation that is current now.
    ///
    /// # Errors
    /// `not_ready` when there is none yet.
    pub(crate) fn engine(&self) -> Result<(Engine, Arc<Index>), ApiError> {
        let engine = self.0.engine.get().ok_or_else(ApiError::not_ready)?;
        let index = engine.store.current().ok_or_else(ApiError::not_ready)?;
        Ok((engine.clone(), index))
    }

    /// Connects these chat platforms and webhooks; [`crate::serve`] keeps their queue moving. Only the first call
    /// counts. Messages are worked on as many at once as there are cores, or `worded` where that is more: answers
    /// that a language model words elsewhere wait without needing a core.
    ///
    /// # Errors
    /// Why no connection can be made at all: the machine's certificates cannot be read.
    pub fn connect(&self, settings: ChannelSettings, worded: usize) -> Result<(), String> {
        let engine = AssistantEngine(WeakState(Arc::downgrade(&self.0)));
        self.connect_with(settings, Arc::new(engine), worded, Timing::default())
    }

    pub(crate) fn connect_with(
        &self,
        settings: ChannelSettings,
        engine: Arc<dyn flightdeck_channels::Engine>,
        worded: usize,
        timing: Timing,
    ) -> Result<(), String> {
        let pipeline = Pipeline::new(
            Arc::new(Queue(Arc::clone(&self.0.records))),
            engine,
            Outward::new(Guard::allowing(settings.private_hosts))?,
            settings.accounts,
            settings.hooks,
            worded.max(self.0.workers.cores()),
            timing,
        );
        // A second call leaves the pipeline that runs.
        let _ = self.0.pipeline.set(pipeline);
        Ok(())
    }

    /// What works on the messages of chat platforms; `None` where none is connected.
    pub(crate) fn pipeline(&self) -> Option<&Pipeline> {
        self.0.pipeline.get()
    }

    pub(crate) fn rejections(&self) -> &Rejections {
        &self.0.rejections
    }

    pub(crate) fn records(&self) -> &Arc<Records> {
        &self.0.records
    }

    /// Runs `work` on the records, on a thread that may wait for a disk.
    ///
    /// # Errors
    /// Those of `work`; `internal` when it panics.
    pub(crate) async fn with_records<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Records) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let records = Arc::clone(self.records());
        let done = tokio::task::spawn_blocking(move || work(&records)).await;
        done.map_err(|failed| ApiError::internal(&failed))?
    }

    pub(crate) fn widget_origins(&self) -> &[String] {
        &self.0.widget_origins
    }

    pub(crate) fn workers(&self) -> &Workers {
        &self.0.workers
    }

    pub(crate) fn turns(&self) -> &Turns {
        &self.0.turns
    }

    pub(crate) fn telemetry(&self) -> &Telemetry {
        &self.0.telemetry
    }
}
