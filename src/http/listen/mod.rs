//! Connections: how many there are, how long each may dawdle, and how they end.

mod conversation;
mod refusal;
#[cfg(test)]
mod tests;
mod wire;

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::ServiceExt;

use super::{App, Service, metrics_service, service};
use crate::config::LimitSettings;
use conversation::{Answered, Conversation, Overdue, Patience};
use wire::Wire;

/// How long a caller may leave an answer lying.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection that is told to end may take for it, when no request is open.
const GOODBYE: Duration = Duration::from_secs(5);
/// How long the queue of a listener that closes has to be empty. (And twenty times as long at most, if it never is.)
const LAST_CALL: Duration = Duration::from_millis(20);
/// How long to wait for a free descriptor before the next connection is tried to be accepted.
const RETRY_ACCEPT_AFTER: Duration = Duration::from_millis(100);

/// The largest head of a request, in bytes; of a body as much is buffered beyond what its reader has taken.
const MAX_HEAD_BYTES: usize = 128 * 1024;
/// The same of HTTP/2, where a head is compressed.
const MAX_HEADER_LIST_BYTES: u32 = 64 * 1024;
/// How many requests a connection of HTTP/2 may have at once.
const MAX_STREAMS: u32 = 128;
/// How often a quiet connection of HTTP/2 is asked whether it still lives, and how long it has to say so.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// Serves the API over HTTP/1.1, and HTTP/2 by prior knowledge, until told to stop; then ends when every request is
/// answered.
///
/// Nothing else ends it: what goes wrong with a connection ends that connection, and when there are no descriptors for
/// more, the next one waits until there are.
pub async fn listen(app: App, listener: TcpListener, stop: impl Future<Output = ()>) {
    let limits = app.settings().limits.clone();
    serve(service(app), &limits, listener, stop).await;
}

/// Serves the metrics alone, on a listener of their own, for as long as it is polled.
pub async fn listen_for_metrics(app: App, listener: TcpListener) {
    let limits = app.settings().limits.clone();
    serve(metrics_service(app), &limits, listener, std::future::pending()).await;
}

async fn serve(service: Service, limits: &LimitSettings, listener: TcpListener, stop: impl Future<Output = ()>) {
    let patience = Patience {
        head: limits.header_read_timeout,
        idle: limits.idle_timeout,
        write: WRITE_TIMEOUT,
        goodbye: GOODBYE,
    };
    let capacity = limits.connections;
    let places = Arc::new(Semaphore::new(capacity));
    let (stopping, told_to_stop) = watch::channel(());
    // Whoever finds no place waits in the queue of the listener.
    let arrival = async || (Arc::clone(&places).acquire_owned().await, accept(&listener).await);
    let admit = |(place, stream): (Result<OwnedSemaphorePermit, _>, TcpStream)| {
        if let Ok(place) = place {
            tokio::spawn(converse(stream, service.clone(), patience, told_to_stop.clone(), place));
        }
    };
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            arrived = arrival() => admit(arrived),
            () = &mut stop => break,
        }
    }
    // Who is in the queue when the listener closes is cut off, though his request may be there already.
    let last_call = async {
        while let Ok(arrived) = tokio::time::timeout(LAST_CALL, arrival()).await {
            admit(arrived);
        }
    };
    let _ = tokio::time::timeout(LAST_CALL * 20, last_call).await;
    drop((listener, stopping, told_to_stop));
    // When all places are free, all connections have ended.
    let _ = places.acquire_many(u32::try_from(capacity).unwrap_or(u32::MAX)).await;
}

/// The next connection. Whatever goes wrong, there will be one.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Answers are whole: waiting to fill a packet only delays them.
                let _ = stream.set_nodelay(true);
                return stream;
            }
            Err(error) if is_of_caller(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "can't accept connections");
                tokio::time::sleep(RETRY_ACCEPT_AFTER).await;
            }
        }
    }
}

/// Whether the caller is gone already, which is no trouble of ours.
fn is_of_caller(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Serves one connection to its end.
async fn converse(
    stream: TcpStream,
    service: Service,
    patience: Patience,
    mut told_to_stop: watch::Receiver<()>,
    _place: OwnedSemaphorePermit,
) {
    let conversation = Arc::new(Conversation::new());
    let wire = TokioIo::new(Wire::new(stream, Arc::clone(&conversation)));
    let answer = |request| answer(service.clone(), &conversation, request);
    let builder = builder();
    let mut connection = pin!(builder.serve_connection(wire, service_fn(answer)));
    let mut ending = false;
    loop {
        tokio::select! {
            biased;
            // How it went is the caller's affair.
            _ = connection.as_mut() => return,
            // The sender never sends: that it is gone is the word.
            _ = told_to_stop.changed(), if !ending => {}
            overdue = conversation.overdue(patience) => match overdue {
                // So that HTTP/2 tells the caller which of its requests were taken.
                Overdue::Idle if !ending => {}
                _ => return,
            }
        }
        ending = true;
        conversation.end();
        connection.as_mut().graceful_shutdown();
    }
}

/// Answers one request; it counts as being answered until the answer's body has been taken.
fn answer(
    service: Service,
    conversation: &Arc<Conversation>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<Answered>, Infallible>> + use<> {
    let exchange = conversation.begin(request.version());
    async move {
        let response = service.oneshot(request.map(Body::new)).await?;
        Ok(response.map(|body| Answered::new(body, exchange)))
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // The conversation keeps the time of heads: what is built in also cuts off those who pause between two requests.
    builder.http1().header_read_timeout(None).max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST_BYTES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL);
    builder
}
