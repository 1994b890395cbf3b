//! Keeps the index up to date while serving: the first update at the start, then one after every change.
//!
//! The system's notices (settled for a third of a second, because an editor writes a file in several steps) wake the
//! thread at once. They do not come from network mounts and some containers, so the folder's file list is also
//! compared every few seconds; that costs a directory walk and reads no file.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use flightdeck_corpus::Reader;
use flightdeck_retrieval::{Progress, Store, UpdateReport};
use notify::RecursiveMode;
use notify_debouncer_full::{DebounceEventResult, new_debouncer};

const SETTLE: Duration = Duration::from_millis(300);
/// After a failed update, so that a full disk does not fill the log too.
const AFTER_FAILURE: Duration = Duration::from_secs(30);

/// The thread that updates; stops and is waited for when dropped.
pub struct Watcher {
    stop: Arc<AtomicBool>,
    wake: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread tells.
pub struct Listener {
    /// How far the running update is.
    pub progress: Box<dyn Fn(Progress) + Send + Sync>,
    /// An update is done: `Ok` also when there was nothing to do, the first time.
    pub updated: OnUpdate,
}

/// Takes what an update did, or why it failed.
pub type OnUpdate = Box<dyn Fn(Result<&UpdateReport, String>) + Send>;

impl Watcher {
    /// Starts the thread. It updates once and then whenever the folder changes, or every `poll` when told so by
    /// nobody.
    ///
    /// # Errors
    /// When the system cannot start a thread.
    pub fn start(
        store: Arc<Store>,
        reader: Reader,
        poll: Duration,
        listener: Listener,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (wake, woken) = channel();
        let work = Work { store, reader, poll, listener, stop: stop.clone() };
        let notices = wake.clone();
        let thread =
            std::thread::Builder::new().name("watch".to_owned()).spawn(move || work.run(notices, &woken))?;
        Ok(Self { stop, wake, thread: Some(thread) })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.wake.send(());
        if let Some(thread) = self.thread.take() {
            // A panic there was told of when it happened.
            let _ = thread.join();
        }
    }
}

struct Work {
    store: Arc<Store>,
    reader: Reader,
    poll: Duration,
    listener: Listener,
    stop: Arc<AtomicBool>,
}

impl Work {
    fn run(mut self, notices: Sender<()>, woken: &Receiver<()>) {
        // Watching begins before the first update, so that no change falls between the two.
        let _debouncer = watch_folder(self.reader.root(), notices);
        let mut pause = if self.update(true) { self.poll } else { AFTER_FAILURE };
        loop {
            match woken.recv_timeout(pause) {
                // Many notices of one save make one update.
                Ok(()) => while woken.try_recv().is_ok() {},
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            pause = match self.store.is_up_to_date(&self.reader) {
                Ok(true) => self.poll,
                Ok(false) if self.update(false) => self.poll,
                Ok(false) => AFTER_FAILURE,
                Err(error) => {
                    tracing::warn!(%error, "the knowledge folder cannot be read; serving what is indexed");
                    AFTER_FAILURE
                }
            };
        }
    }

    /// Everybody is served already; what is read now, the first change need not wait for.
    fn read_ahead(&mut self) {
        let stop = &self.stop;
        if let Err(error) = self.store.read_ahead(&mut self.reader, &|| !stop.load(Ordering::Relaxed)) {
            tracing::debug!(%error, "the knowledge folder was not read ahead");
        }
    }

    /// Whether the index is as the folder is now.
    fn update(&mut self, is_first: bool) -> bool {
        let (stop, progress) = (&self.stop, &self.listener.progress);
        let go_on = |step: Progress| {
            progress(step);
            !stop.load(Ordering::Relaxed)
        };
        match self.store.update(&mut self.reader, false, &go_on) {
            Ok(report) => {
                if report.changed || is_first {
                    (self.listener.updated)(Ok(&report));
                }
                if !report.changed {
                    self.read_ahead();
                }
                true
            }
            Err(error) => {
                if !stop.load(Ordering::Relaxed) {
                    (self.listener.updated)(Err(error.to_string()));
                }
                false
            }
        }
    }
}

/// Passes the system's notices on; `None` where it gives none, and the comparison every few seconds has to do.
fn watch_folder(folder: &Path, notices: Sender<()>) -> Option<impl Drop + use<>> {
    let on_event = move |event: DebounceEventResult| {
        if event.is_ok() {
            let _ = notices.send(());
        }
    };
    let watching = new_debouncer(SETTLE, None, on_event).and_then(|mut debouncer| {
        debouncer.watch(folder, RecursiveMode::Recursive)?;
        Ok(debouncer)
    });
    watching
        .inspect_err(
            |error| tracing::warn!(%error, "no notices of file changes; comparing every few seconds"),
        )
        .ok()
}
