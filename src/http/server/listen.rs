//! The entry points of the API server and of the metrics server.

use std::pin::pin;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use super::accept::Acceptor;
use super::connection::ConnectionServer;
use super::connection_state::Timeouts;
use super::graceful_shutdown::shut_down;
use crate::config::LimitSettings;
use crate::http::app::App;
use crate::http::router::{Service, api_service, metrics_service};

/// How long a client may leave a response unread.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection without requests in flight may take to end after its shutdown has begun.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// The maximum number of open connections for metrics. Their file descriptors are not part of `MAX_CONNECTIONS`.
const METRICS_CONNECTIONS: usize = 16;

/// Serves the API over HTTP/1.1, and over HTTP/2 with prior knowledge, until `stop` completes. Then shuts down
/// gracefully and returns after the last response.
///
/// Nothing else ends the server. An error on a connection ends only that connection. If the process has no free file
/// descriptors, the next connection waits until there is one.
pub async fn listen(app: App, listener: TcpListener, stop: impl Future<Output = ()>) {
    let limits = app.settings().limits.clone();
    let checks = app.database_readiness().check_periodically(app.repository());
    let server = serve(api_service(app.clone()), limits.connections, &limits, listener, stop);
    tokio::select! {
        () = server => {}
        () = checks => {}
    }
}

/// Serves only the metrics, on their own listener, for as long as the future is polled.
pub async fn listen_for_metrics(app: App, listener: TcpListener) {
    let limits = app.settings().limits.clone();
    serve(metrics_service(app), METRICS_CONNECTIONS, &limits, listener, std::future::pending()).await;
}

async fn serve(
    service: Service,
    max_connections: usize,
    limits: &LimitSettings,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
) {
    let timeouts = Timeouts {
        head: limits.header_read_timeout,
        idle: limits.idle_timeout,
        write: WRITE_TIMEOUT,
        shutdown: SHUTDOWN_TIMEOUT,
    };
    let acceptor = Acceptor::new(listener, max_connections);
    let (shutdown_sender, shutdown_receiver) = watch::channel(());
    let server = ConnectionServer::new(service, timeouts, shutdown_receiver);
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            accepted = acceptor.accept() => server.spawn(accepted),
            () = &mut stop => break,
        }
    }
    shut_down(acceptor, server, shutdown_sender).await;
}
