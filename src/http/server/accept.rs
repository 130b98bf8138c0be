//! Accepting connections, up to `MAX_CONNECTIONS` at a time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long to wait for a free file descriptor before the next attempt to accept a connection.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// A listener, and a limit on the number of open connections.
pub(super) struct Acceptor {
    listener: TcpListener,
    permits: Arc<Semaphore>,
    max_connections: usize,
}

/// An accepted connection, with its share of the limit.
pub(super) struct AcceptedConnection {
    pub(super) stream: TcpStream,
    /// The connection counts as open until this is dropped.
    pub(super) permit: OwnedSemaphorePermit,
}

impl Acceptor {
    pub(super) fn new(listener: TcpListener, max_connections: usize) -> Self {
        Self { listener, permits: Arc::new(Semaphore::new(max_connections)), max_connections }
    }

    /// Accepts the next connection. While the limit is reached, new connections wait in the listener's queue.
    pub(super) async fn accept(&self) -> AcceptedConnection {
        match Arc::clone(&self.permits).acquire_owned().await {
            Ok(permit) => AcceptedConnection { stream: accept_stream(&self.listener).await, permit },
            // The semaphore is never closed.
            Err(_) => std::future::pending().await,
        }
    }

    /// Closes the listener, and waits until every accepted connection has ended.
    pub(super) async fn close(self) {
        drop(self.listener);
        let all = u32::try_from(self.max_connections).unwrap_or(u32::MAX);
        let _ = self.permits.acquire_many(all).await;
    }
}

/// Accepts the next connection, and retries after errors.
async fn accept_stream(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Responses are written as a whole, so waiting to fill a packet would only delay them.
                let _ = stream.set_nodelay(true);
                return stream;
            }
            Err(error) if is_client_disconnect(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(RETRY_DELAY).await;
            }
        }
    }
}

/// Returns whether the client closed the connection before it was accepted, which is not an error of the service.
fn is_client_disconnect(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
