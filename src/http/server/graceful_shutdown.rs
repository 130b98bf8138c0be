//! Graceful shutdown: no request that has reached the service is cut off.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::accept::Acceptor;
use super::connection::ConnectionServer;

/// The listener's queue counts as empty when no new connection arrives for this time.
const QUEUE_QUIET_TIME: Duration = Duration::from_millis(20);
/// The maximum time for emptying the listener's queue, if connections keep arriving.
const QUEUE_DRAIN_TIMEOUT: Duration = Duration::from_millis(400);

/// Shuts a server down:
///
/// 1. Accept the connections that are already in the listener's queue.
/// 2. Tell all connections to end after their requests in flight, and close the listener.
/// 3. Wait until all connections have ended.
pub(super) async fn shut_down(acceptor: Acceptor, server: ConnectionServer, shutdown_sender: watch::Sender<()>) {
    // Closing a listener resets the connections in its queue, even if their requests have already arrived.
    let _ = timeout(QUEUE_DRAIN_TIMEOUT, accept_queued_connections(&acceptor, &server)).await;
    drop((server, shutdown_sender));
    acceptor.close().await;
}

async fn accept_queued_connections(acceptor: &Acceptor, server: &ConnectionServer) {
    while let Ok(accepted) = timeout(QUEUE_QUIET_TIME, acceptor.accept()).await {
        server.spawn(accepted);
    }
}
