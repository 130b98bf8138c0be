//! `contacts serve`: the production door.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::CliError;
use crate::auth::{Signer, Verifier};
use crate::config::{Environment, ServeSettings};
use crate::http::{self, App};
use crate::repository::Repository;

/// For how long at least a service that stops says so at `/readyz`, for those that send it requests.
const DRAIN: Duration = Duration::from_millis(500);
/// How long the connections to the database may take to close.
const CLOSE: Duration = Duration::from_secs(2);
const RETRY_MIGRATIONS_AFTER: Duration = Duration::from_secs(1);

pub(super) async fn run(environment: &Environment) -> Result<(), CliError> {
    let settings = ServeSettings::read(environment)?;
    let verifier = Verifier::new(&settings.tokens)?;
    let repository = Repository::new(&settings.database)?;
    let listener = bind(settings.http.bind_addr).await?;
    if settings.database.migrate_on_start {
        tokio::spawn(migrate(repository.clone()));
    }
    tracing::info!(address = %settings.http.bind_addr, version = env!("CARGO_PKG_VERSION"), "serving");
    let signer = Signer::for_clients(&settings.tokens);
    listen(App::new(repository, verifier, signer, settings.http), listener).await
}

/// Listens where it is told to.
pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener, CliError> {
    let refused = |error| CliError::Other(format!("BIND_ADDR {address} can't be listened on: {error}"));
    TcpListener::bind(address).await.map_err(refused)
}

/// Serves until the process is told to stop, and every request in flight is answered.
pub(super) async fn listen(app: App, listener: TcpListener) -> Result<(), CliError> {
    let repository = app.repository().clone();
    let background = tokio::spawn(async move { repository.run_background_work().await });
    let (stop, stopped) = oneshot::channel::<()>();
    let listener = listener.tap_io(|stream| {
        // Answers are whole: waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
    });
    let server = axum::serve(listener, http::service(app.clone()));
    let server = server.with_graceful_shutdown(async move { drop(stopped.await) });
    let mut server = tokio::spawn(server.into_future());
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
    // A database that hangs must not keep the process.
    let _ = tokio::time::timeout(CLOSE, app.repository().close()).await;
    tracing::info!("stopped");
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

/// Done when the process is told to stop.
pub(super) async fn told_to_stop() {
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

/// Applies pending migrations, as soon as the database is there.
async fn migrate(repository: Repository) {
    loop {
        match repository.migrate().await {
            Ok(applied) => return tracing::info!(applied, "the schema is up to date"),
            Err(error) => tracing::warn!(%error, "could not migrate yet"),
        }
        tokio::time::sleep(RETRY_MIGRATIONS_AFTER).await;
    }
}
