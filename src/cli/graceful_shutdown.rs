//! Graceful shutdown (`docs/api-reference.md#operations`): waits for SIGTERM or SIGINT, turns readiness off, and drains
//! the requests in flight. Every step has a time limit.

use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::http::App;
use crate::telemetry;

/// The minimum time between `/readyz` turning 503 and the server closing its listener.
///
/// Load balancers that poll `/readyz` more often than this stop sending requests before connections are refused.
const MIN_UNREADY_TIME: Duration = Duration::from_millis(500);
/// The maximum time for closing the connections to the database.
const CLOSE_DATABASE_TIMEOUT: Duration = Duration::from_secs(2);
/// The maximum time for exporting the spans of the last requests.
const FLUSH_TRACES_TIMEOUT: Duration = Duration::from_secs(2);

/// Waits until the process receives SIGTERM, or SIGINT (Ctrl-C in a terminal).
pub(super) async fn wait_for_shutdown_signal() {
    let received = |kind| async move {
        match signal(kind) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = received(SignalKind::terminate()) => {}
        () = received(SignalKind::interrupt()) => {}
    }
}

/// Turns readiness off, answers the requests in flight, and stops the server.
///
/// The listener stays open until no request is in flight, for at least [`MIN_UNREADY_TIME`] and at most half of
/// `SHUTDOWN_TIMEOUT_MS`. `stop_server` then closes it. Requests that are not answered within `SHUTDOWN_TIMEOUT_MS` are
/// abandoned.
pub(super) async fn drain_and_stop<T>(app: &App, server: JoinHandle<T>, stop_server: oneshot::Sender<()>) {
    let timeout = app.settings().shutdown_timeout;
    let started = Instant::now();
    tracing::info!("shutting down");
    drain_requests(app, started + timeout / 2).await;
    let _ = stop_server.send(());
    if tokio::time::timeout_at((started + timeout).into(), server).await.is_err() {
        tracing::warn!("shutdown timeout reached: some requests were not answered");
    }
}

/// Makes `/readyz` answer 503, and waits until no request is in flight or the deadline passes.
async fn drain_requests(app: &App, deadline: Instant) {
    app.drain();
    tokio::time::sleep_until((Instant::now() + MIN_UNREADY_TIME).min(deadline).into()).await;
    while app.in_flight() > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Closes the connections to the database and exports the remaining spans.
///
/// Both steps have a timeout, so that an unresponsive database or collector cannot keep the process alive.
pub(super) async fn close_connections(app: &App) {
    let _ = tokio::time::timeout(CLOSE_DATABASE_TIMEOUT, app.repository().close()).await;
    let _ = tokio::task::spawn_blocking(|| telemetry::flush_traces(FLUSH_TRACES_TIMEOUT)).await;
    tracing::info!("shutdown complete");
}
