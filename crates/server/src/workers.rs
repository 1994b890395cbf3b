//! The one place where CPU-bound work leaves the asynchronous threads.
//!
//! As many jobs run as there are cores; more would only make each slower. A bounded number waits, so that a burst is
//! answered a little later and a flood is turned away at once instead of piling up. A job that has begun keeps its place
//! until it ends, also when its caller has gone or its time is over, so the bounds hold. All that ends early then is the
//! reading of passages by a cross-encoder, which is the only part that may take seconds.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};
use tracing::Span;

use crate::error::ApiError;

pub(crate) struct Workers {
    /// Places for running and waiting jobs together.
    places: Arc<Semaphore>,
    cores: Arc<Semaphore>,
    n_places: usize,
    n_cores: usize,
    timeout: Duration,
}

/// A place in the queue, given back when the job has ended.
pub(crate) struct Admission {
    place: OwnedSemaphorePermit,
    cores: Arc<Semaphore>,
    deadline: Instant,
}

impl Workers {
    pub fn new(cores: NonZeroUsize, max_waiting: usize, timeout: Duration) -> Self {
        let n_places = cores.get() + max_waiting;
        Self {
            places: Arc::new(Semaphore::new(n_places)),
            cores: Arc::new(Semaphore::new(cores.get())),
            n_places,
            n_cores: cores.get(),
            timeout,
        }
    }

    /// A place for one job; its time begins now.
    ///
    /// # Errors
    /// `overloaded` when as many are waiting as may.
    pub fn admit(&self) -> Result<Admission, ApiError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            ApiError::unavailable("overloaded", "too many requests are waiting; try again shortly", 1)
        })?;
        Ok(Admission { place, cores: Arc::clone(&self.cores), deadline: Instant::now() + self.timeout })
    }

    /// Jobs that run at the same time.
    pub fn cores(&self) -> usize {
        self.n_cores
    }

    /// Jobs that run now, and jobs that wait.
    pub fn load(&self) -> (usize, usize) {
        let n_running = self.n_cores - self.cores.available_permits();
        let n_admitted = self.n_places - self.places.available_permits();
        (n_running, n_admitted.saturating_sub(n_running))
    }
}

/// Says no once nobody waits for the job's result.
struct Wanted(Arc<AtomicBool>);

impl Default for Wanted {
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl Admission {
    /// Runs `work` on a thread that may block.
    ///
    /// # Errors
    /// `timeout` when the result is not there in time; `internal` when `work` panics.
    pub async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let Self { place, cores, deadline } = self;
        let too_late = |_| ApiError::unavailable("timeout", "the answer took too long; try again", 5);
        let core = timeout_at(deadline, cores.acquire_owned())
            .await
            .map_err(too_late)?
            .expect("the semaphore is never closed");
        let span = Span::current();
        let wanted = Wanted::default();
        let flag = wanted.0.clone();
        let job = spawn_blocking(move || {
            let result = span.in_scope(|| flightdeck_retrieval::while_wanted(flag, work));
            drop((core, place));
            result
        });
        match timeout_at(deadline, job).await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(failed)) => Err(ApiError::internal(&failed)),
            Err(elapsed) => Err(too_late(elapsed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn workers(max_waiting: usize, timeout: Duration) -> Workers {
        Workers::new(NonZeroUsize::MIN, max_waiting, timeout)
    }

    #[tokio::test]
    async fn what_cannot_wait_is_turned_away_and_places_come_back() {
        let workers = workers(1, Duration::from_mins(1));
        let (finish, finished) = mpsc::channel::<()>();
        let (begin, has_begun) = tokio::sync::oneshot::channel();
        let running = workers.admit().unwrap().run(move || {
            begin.send(()).unwrap();
            finished.recv().unwrap();
        });
        let running = tokio::spawn(running);
        has_begun.await.unwrap();
        let waiting = tokio::spawn(workers.admit().unwrap().run(|| 7));
        assert_eq!(workers.load(), (1, 1));

        let refused = workers.admit().err().unwrap();
        assert_eq!(
            (refused.status.as_u16(), refused.code, refused.retry_after),
            (503, "overloaded", Some(1))
        );

        finish.send(()).unwrap();
        running.await.unwrap().unwrap();
        assert_eq!(waiting.await.unwrap(), Ok(7));
        assert_eq!(workers.load(), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_takes_too_long_is_a_timeout_and_keeps_its_core_until_it_ends() {
        let workers = workers(0, Duration::from_secs(30));
        let (finish, finished) = mpsc::channel::<()>();
        let (end, ended) = tokio::sync::oneshot::channel();
        let admission = workers.admit().unwrap();
        // Advancing a paused clock takes no time.
        let late = tokio::spawn(admission.run(move || {
            finished.recv().unwrap();
            end.send(()).unwrap();
        }));
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(late.await.unwrap().unwrap_err().code, "timeout");
        assert_eq!(workers.load().0, 1);
        finish.send(()).unwrap();
        ended.await.unwrap();
    }

    #[tokio::test]
    async fn a_panic_inside_is_an_internal_error_and_gives_its_place_back() {
        let workers = workers(0, Duration::from_mins(1));
        let result = workers.admit().unwrap().run(|| -> () { panic!("a bug") }).await;
        assert_eq!(result.unwrap_err().status.as_u16(), 500);
        assert_eq!(workers.load(), (0, 0));
    }
}
