//! Many connections that take memory without an account, or before their request is complete.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::Request;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::connection::{Connection, RawRequest};
use crate::fixture::Caller;

/// The number of connections that a test keeps open, below the limit of the service (8,192).
const MAX_CONNECTIONS: u64 = 8_000;
/// The file descriptors of the test for everything else.
const OTHER_DESCRIPTORS: u64 = 500;
/// The number of connections that are opened at a time. The queue of the listener is short.
const OPENED_AT_A_TIME: usize = 256;
/// The part of a head that is sent. A head may have 128 KiB.
const HEAD_BYTES: usize = 120 * 1024;
/// How long a connection tries to send its head.
const MAX_SEND_TIME: Duration = Duration::from_millis(100);
/// The number of uploads over HTTP/2 of each caller, each on its own connection.
const UPLOADS: usize = 96;
/// The size of each upload, and of its parts.
const PART_BYTES: usize = 64 * 1024;
const UPLOAD_BYTES: usize = 16 * 1024 * 1024;

/// Returns the number of connections that the limit of file descriptors allows.
fn connection_count() -> usize {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    MAX_CONNECTIONS.min(hard.saturating_sub(OTHER_DESCRIPTORS)) as usize
}

/// Opens connections, and lets each of them run `begin`.
async fn open_connections(
    address: SocketAddr,
    count: usize,
    begin: impl AsyncFn(&mut Connection) + Copy,
) -> Vec<Connection> {
    let mut open = vec![];
    while open.len() < count {
        let opened = (0..OPENED_AT_A_TIME.min(count - open.len())).map(|_| async move {
            let mut connection = Connection::open(address).await.unwrap();
            begin(&mut connection).await;
            connection
        });
        open.extend(futures_util::future::join_all(opened).await);
    }
    open
}

/// Opens as many connections as possible, each idle after a request. Returns them.
pub async fn open_idle_connections(address: SocketAddr) -> Vec<Connection> {
    let request = RawRequest::new("GET /healthz", "", "");
    let request = RawRequest { head: request.head.replace("authorization: Bearer \r\n", ""), ..request };
    let request = &request;
    open_connections(address, connection_count(), async |connection: &mut Connection| {
        assert_eq!(connection.exchange(request).await.unwrap().status, 200);
    })
    .await
}

/// Opens many connections, each with a head that does not end. Returns them.
pub async fn open_endless_heads(address: SocketAddr) -> Vec<Connection> {
    let head = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx-long: {}", "x".repeat(HEAD_BYTES));
    let head = head.as_str();
    open_connections(address, connection_count() / 2, async |connection: &mut Connection| {
        // The service reads the beginning only, and may close the connection.
        let _ = tokio::time::timeout(MAX_SEND_TIME, connection.send_bytes(head.as_bytes())).await;
    })
    .await
}

/// Uploads bodies over HTTP/2, faster than they can be read, for some seconds. Returns the number of responses.
pub async fn upload_over_http2(address: SocketAddr, callers: &[Caller], duration: Duration) -> usize {
    let body = Bytes::from(" ".repeat(UPLOAD_BYTES));
    let mut uploads = JoinSet::new();
    for caller in callers {
        for _ in 0..UPLOADS {
            let (token, body) = (caller.account.token.clone(), body.clone());
            uploads.spawn(async move { tokio::time::timeout(duration, upload(address, token, body)).await.is_ok() });
        }
    }
    uploads.join_all().await.into_iter().filter(|has_response| *has_response).count()
}

async fn upload(address: SocketAddr, token: String, body: Bytes) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let parts = (0..body.len())
        .step_by(PART_BYTES)
        .map(move |start| Ok::<_, Infallible>(body.slice(start..start + PART_BYTES)));
    let body = Body::from_stream(futures_util::stream::iter(parts));
    let request = Request::builder().method("POST").uri("http://x/contacts/batch/create");
    let request = request.header("authorization", format!("Bearer {token}")).body(body).unwrap();
    let response = client.send_request(request).await;
    drop(response);
    connection.abort();
}
