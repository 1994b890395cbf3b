//! Listening, and stopping without cutting anyone off.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::channels::expiring;
use crate::router;
use crate::state::AppState;

/// How long requests that are under way may take to end after the shutdown has begun.
const GRACE: Duration = Duration::from_secs(10);

const FOLD_EVERY: Duration = Duration::from_secs(10);

/// Serves until `shutdown` is done; then takes no new connection, lets requests under way end for up to ten seconds,
/// and returns.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    state: AppState,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    // Answers are small and events must not wait for the next one.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
    });
    let (telemetry, channels, knowledge) = (state.clone(), state.clone(), state.clone());
    let service = router(state).into_make_service_with_connect_info::<SocketAddr>();
    let (stopping, told_to_stop) = oneshot::channel();
    let serving = axum::serve(listener, service).with_graceful_shutdown(async move {
        shutdown.await;
        // Nobody listens any more when the server has failed meanwhile.
        let _ = stopping.send(());
    });
    let delivering = async {
        if let Some(pipeline) = channels.pipeline() {
            pipeline.run().await;
        }
        pending::<()>().await;
    };
    let reminding = async {
        expiring::watch(&knowledge).await;
        pending::<()>().await;
    };
    let folding = async {
        let mut ticks = interval(FOLD_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            telemetry.telemetry().fold();
        }
    };
    let out_of_patience = async {
        if told_to_stop.await.is_err() {
            pending::<()>().await;
        }
        sleep(GRACE).await;
    };
    tokio::select! {
        served = serving => served,
        () = out_of_patience => {
            tracing::warn!("stopped with requests under way");
            Ok(())
        }
        () = folding => unreachable!("it goes on for ever"),
        () = delivering => unreachable!("it goes on for ever"),
        () = reminding => unreachable!("it goes on for ever"),
    }
}
