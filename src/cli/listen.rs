//! Serving until the process is told to stop: what `contacts serve` and `contacts dev` have in common.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::CliError;
use super::stop::told_to_stop;
use crate::http::{self, App};
use crate::telemetry;

/// For how long at least a service that stops says so at `/readyz`, for those that send it requests.
const DRAIN: Duration = Duration::from_millis(500);
/// How long the connections to the database may take to close.
const CLOSE: Duration = Duration::from_secs(2);
/// How long the spans of the last requests may take to be sent.
const FINISH_TRACES: Duration = Duration::from_secs(2);

/// Listens where the setting of this name says, and tells where that is: a port of 0 means any that is free.
pub(super) async fn bind(name: &str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), CliError> {
    let refused = |error| CliError::Other(format!("{name} {address} can't be listened on: {error}"));
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    Ok((listener, bound))
}

/// Serves until the process is told to stop, and every request in flight is answered.
pub(super) async fn until_stopped(app: App, listener: TcpListener) -> Result<(), CliError> {
    serve_metrics(&app).await?;
    let repository = app.repository().clone();
    let background = tokio::spawn(async move { repository.run_background_work().await });
    let keys = tokio::spawn({
        let app = app.clone();
        async move { app.verifier().keep_keys_fresh().await }
    });
    let (stop, stopped) = oneshot::channel::<()>();
    let mut server = tokio::spawn(http::listen(app.clone(), listener, async move { drop(stopped.await) }));
    tokio::select! {
        ended = &mut server => return Err(CliError::Other(format!("the server ended: {ended:?}"))),
        () = told_to_stop() => {}
    }
    let patience = app.settings().shutdown_timeout;
    let started = Instant::now();
    tracing::info!("stopping");
    drain(&app, started + patience / 2).await;
    let _ = stop.send(());
    if tokio::time::timeout_at((started + patience).into(), server).await.is_err() {
        tracing::warn!("stopped with requests unanswered");
    }
    background.abort();
    keys.abort();
    // A database that hangs must not keep the process.
    let _ = tokio::time::timeout(CLOSE, app.repository().close()).await;
    let _ = tokio::task::spawn_blocking(|| telemetry::finish(FINISH_TRACES)).await;
    tracing::info!("stopped");
    Ok(())
}

/// Serves the metrics where they have a listener of their own, to the very end.
async fn serve_metrics(app: &App) -> Result<(), CliError> {
    if let Some(address) = app.settings().metrics_addr {
        let (listener, address) = bind("METRICS_ADDR", address).await?;
        tokio::spawn(http::listen_for_metrics(app.clone(), listener));
        tracing::info!(%address, "serving metrics");
    }
    Ok(())
}

/// Says that it is stopping, and goes on answering until nothing is in flight.
async fn drain(app: &App, deadline: Instant) {
    app.drain();
    tokio::time::sleep_until((Instant::now() + DRAIN).min(deadline).into()).await;
    while app.in_flight() > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
