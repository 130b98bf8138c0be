//! Tests with clients that keep a connection open but read nothing from it.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::Request;
use axum::routing::get;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tower::util::MapRequest;

use super::connection::serve_connection;
use super::connection_state::Timeouts;
use crate::http::router::Service;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(300);
const LONG_TIMEOUTS: Timeouts = Timeouts { head: LONG, idle: LONG, write: LONG, shutdown: LONG };
const LARGE_BODY: usize = 2 * 1024 * 1024;
/// The size of the buffers of sockets, which is small so that a client that reads slowly blocks the server.
const SOCKET_BUFFER: u32 = 64 * 1024;
/// The connection preface of HTTP/2 (RFC 9113 §3.4): a fixed text and an empty SETTINGS frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A connection between a client and the server.
struct TestConnection {
    client: TcpStream,
    server_task: JoinHandle<()>,
    shutdown_sender: watch::Sender<()>,
}

impl TestConnection {
    async fn with_timeouts(timeouts: Timeouts) -> Self {
        let (server, client) = (TcpSocket::new_v4().expect("a socket"), TcpSocket::new_v4().expect("a socket"));
        server.set_send_buffer_size(SOCKET_BUFFER).expect("a valid size");
        client.set_recv_buffer_size(SOCKET_BUFFER).expect("a valid size");
        server.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
        let listener = server.listen(1).expect("a listener");
        let client = client.connect(listener.local_addr().expect("an address")).await.expect("a connection");
        let (stream, _) = listener.accept().await.expect("a connection");
        let router = Router::new()
            .route("/", get(|| async { "a response" }))
            .route("/large", get(|| async { vec![b'x'; LARGE_BODY] }));
        let service: Service = MapRequest::new(router, |request| request);
        let (shutdown_sender, shutdown) = watch::channel(());
        let server_task =
            tokio::spawn(serve_connection(stream, service, timeouts, Arc::new(Semaphore::new(1)), shutdown));
        Self { client, server_task, shutdown_sender }
    }
}

#[tokio::test]
async fn http2_response_without_a_flow_control_window_ends_the_connection_after_the_write_timeout() {
    let timeouts = Timeouts { write: SHORT, ..LONG_TIMEOUTS };
    let TestConnection { client, mut server_task, shutdown_sender: _sender } =
        TestConnection::with_timeouts(timeouts).await;
    // The library answers pings and reads all frames, so only the flow control blocks the response.
    let builder = http2::Builder::new(TokioExecutor::new()).initial_stream_window_size(0).clone();
    let (mut client, connection) = builder.handshake(TokioIo::new(client)).await.expect("a handshake");
    tokio::spawn(connection);
    let request = Request::get("http://x/").body(String::new()).expect("a valid request");
    let response = client.send_request(request).await.expect("a response");
    assert_eq!(response.status(), 200);
    assert!(timeout(SHORT / 3, &mut server_task).await.is_err(), "the connection ended before the timeout");
    timeout(Duration::from_secs(5), server_task).await.expect("the connection ends").expect("no panic");
}

#[tokio::test]
async fn client_that_reads_a_large_response_slowly_is_disconnected() {
    let write = Duration::from_secs(1);
    let timeouts = Timeouts { write, ..LONG_TIMEOUTS };
    let TestConnection { mut client, mut server_task, shutdown_sender: _sender } =
        TestConnection::with_timeouts(timeouts).await;
    client.write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("the bytes are sent");
    // The client reads all the time, so no single write is blocked for long, but it needs 10 s for all of the response.
    let read_slowly = async {
        let mut part = vec![0; LARGE_BODY / 100];
        while client.read(&mut part).await.is_ok_and(|count| count > 0) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let started = Instant::now();
    tokio::select! {
        () = read_slowly => panic!("the client read to the end"),
        ended = timeout(Duration::from_secs(20), &mut server_task) => {
            ended.expect("the connection ends").expect("no panic");
        }
    }
    // The write timeout, and a second for each MiB.
    assert!(started.elapsed() >= write + Duration::from_secs(2), "{:?}", started.elapsed());
}

#[tokio::test]
async fn silent_client_does_not_delay_a_graceful_shutdown() {
    for sent in [PREFACE, b"GET / HT", b"PRI * HTT", b"GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HT"] {
        let timeouts = Timeouts { shutdown: SHORT, ..LONG_TIMEOUTS };
        let TestConnection { mut client, mut server_task, shutdown_sender } =
            TestConnection::with_timeouts(timeouts).await;
        client.write_all(sent).await.expect("the bytes are sent");
        assert!(timeout(SHORT, &mut server_task).await.is_err(), "the connection ended before the shutdown");
        drop(shutdown_sender);
        timeout(Duration::from_secs(5), server_task).await.expect("the connection ends").expect("no panic");
    }
}
