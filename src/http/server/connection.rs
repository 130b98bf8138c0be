//! Serving one connection until it ends, times out, or shuts down gracefully.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt;

use super::accept::AcceptedConnection;
use super::connection_state::{ConnectionState, MAX_HEAD_BYTES, MAX_LARGE_HEADS, Timeout, Timeouts};
use super::observed_stream::ObservedStream;
use super::tracked_body::TrackedBody;
use crate::http::bodiless_responses::remove_content_length;
use crate::http::peer::TcpPeer;
use crate::http::router::Service;

/// The maximum size of an HTTP/2 header list in bytes, after decompression.
const MAX_HEADER_LIST_BYTES: u32 = 64 * 1024;
/// The maximum number of concurrent requests on an HTTP/2 connection.
const MAX_STREAMS: u32 = 128;
/// The part of a body that an HTTP/2 client may send before the handler reads it. It stays in memory uncounted while a
/// request waits for memory, so it is as small as RFC 9113 suggests, and not hyper's 1 MiB.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
/// The first bytes of every HTTP/2 connection (RFC 9113 §3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The interval of pings on a quiet HTTP/2 connection, and the time for the response to a ping.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// The service, timeouts and shutdown signal that all connections of a server share.
pub(super) struct ConnectionServer {
    service: Service,
    timeouts: Timeouts,
    /// The permits for heads that are larger than the buffer of a connection.
    large_heads: Arc<Semaphore>,
    shutdown: watch::Receiver<()>,
}

impl ConnectionServer {
    /// Creates a server whose connections end gracefully after the sender of `shutdown` is dropped.
    pub(super) fn new(service: Service, timeouts: Timeouts, shutdown: watch::Receiver<()>) -> Self {
        Self { service, timeouts, large_heads: Arc::new(Semaphore::new(MAX_LARGE_HEADS)), shutdown }
    }

    /// Serves a connection in a new task.
    pub(super) fn spawn(&self, accepted: AcceptedConnection) {
        let AcceptedConnection { stream, permit } = accepted;
        let (service, timeouts, shutdown) = (self.service.clone(), self.timeouts, self.shutdown.clone());
        let large_heads = Arc::clone(&self.large_heads);
        // The task creates the future of the connection itself. If it captured the future, it would store it twice.
        tokio::spawn(async move {
            serve_connection(stream, service, timeouts, large_heads, shutdown).await;
            drop(permit);
        });
    }
}

/// Serves a connection until it ends.
pub(super) async fn serve_connection(
    stream: TcpStream,
    service: Service,
    timeouts: Timeouts,
    large_heads: Arc<Semaphore>,
    mut shutdown: watch::Receiver<()>,
) {
    let state = Arc::new(ConnectionState::new());
    // The call fails only if the client has disconnected.
    let peer = TcpPeer(stream.peer_addr().map_or(Ipv4Addr::UNSPECIFIED.into(), |address| address.ip()));
    let builder = tokio::select! {
        biased;
        builder = builder_for_first_bytes(&stream) => builder,
        // The client has sent nothing yet.
        _ = shutdown.changed() => return,
        _ = state.wait_for_timeout(timeouts) => return,
    };
    let stream = TokioIo::new(ObservedStream::new(stream, Arc::clone(&state), large_heads));
    let handle = |request| handle_request(service.clone(), &state, timeouts, peer, request);
    let mut connection = pin!(builder.serve_connection(stream, service_fn(handle)));
    let mut is_ending = false;
    loop {
        tokio::select! {
            biased;
            // Errors of a connection concern only its client.
            _ = connection.as_mut() => return,
            // The channel has no messages. It reports that the sender was dropped.
            _ = shutdown.changed(), if !is_ending => {}
            timeout = state.wait_for_timeout(timeouts) => match timeout {
                // End gracefully: HTTP/2 then tells the client which of its requests were processed.
                Timeout::Idle if !is_ending => {}
                _ => return,
            }
        }
        is_ending = true;
        state.begin_shutdown();
        connection.as_mut().graceful_shutdown();
    }
}

/// Handles a request. The request counts as in flight until the body of its response has been sent.
fn handle_request(
    service: Service,
    state: &Arc<ConnectionState>,
    timeouts: Timeouts,
    peer: TcpPeer,
    mut request: Request<Incoming>,
) -> impl Future<Output = Result<Response<TrackedBody>, Infallible>> + use<> {
    let exchange = state.begin_exchange(request.version());
    request.extensions_mut().insert(peer);
    async move {
        let response = service.oneshot(request.map(Body::new)).await?;
        Ok(remove_content_length(response).map(|body| TrackedBody::new(body, exchange, timeouts)))
    }
}

/// Waits for the first bytes of a connection, and returns a builder for their version of HTTP. The bytes stay in the
/// stream.
///
/// A builder for both versions reads the first request over HTTP/1 in two parts, and then hyper allocates 16 KiB for
/// its head instead of 8 KiB, for as long as the connection is open. Many connections of long polls are open at a time.
async fn builder_for_first_bytes(stream: &TcpStream) -> Builder<TokioExecutor> {
    let mut first = [0; HTTP2_PREFACE.len()];
    let count = stream.peek(&mut first).await.unwrap_or_default();
    let may_be_http2 = HTTP2_PREFACE.starts_with(&first[..count]);
    if may_be_http2 { builder() } else { builder().http1_only() }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // `ConnectionState` has the timeout for heads. Hyper's own timeout also applies to the pause between two requests.
    builder.http1().header_read_timeout(None).max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL);
    builder
}
