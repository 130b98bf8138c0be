//! Callers who keep a connection without taking anything from it.

use axum::Router;
use axum::routing::get;
use hyper::client::conn::http2;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tower::util::MapRequest;

use super::*;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(300);
const PATIENT: Patience = Patience { head: LONG, idle: LONG, write: LONG, goodbye: LONG };
/// What all of HTTP/2 begins with (RFC 9113 §3.4): these words, and settings, here none.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A connection that is served.
struct Served {
    caller: TcpStream,
    task: JoinHandle<()>,
    stopping: watch::Sender<()>,
}

impl Served {
    async fn with(patience: Patience) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let caller = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("a connection");
        let (stream, _) = listener.accept().await.expect("a connection");
        let router = Router::new().route("/", get(|| async { "an answer" }));
        let service: Service = MapRequest::new(router, |request| request);
        let (stopping, told_to_stop) = watch::channel(());
        let place = Arc::new(Semaphore::new(1)).acquire_owned().await.expect("a place");
        let task = tokio::spawn(converse(stream, service, patience, told_to_stop, place));
        Self { caller, task, stopping }
    }
}

#[tokio::test]
async fn an_answer_for_which_there_is_no_window_ends_the_connection() {
    let Served { caller, mut task, stopping: _stopping } = Served::with(Patience { write: SHORT, ..PATIENT }).await;
    // The library answers pings, and takes all that is written.
    let builder = http2::Builder::new(TokioExecutor::new()).initial_stream_window_size(0).clone();
    let (mut client, connection) = builder.handshake(TokioIo::new(caller)).await.expect("a handshake");
    tokio::spawn(connection);
    let request = Request::get("http://x/").body(String::new()).expect("a request");
    let answer = client.send_request(request).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert!(timeout(SHORT / 3, &mut task).await.is_err(), "it has its time");
    timeout(Duration::from_secs(5), task).await.expect("ended").expect("no panic");
}

#[tokio::test]
async fn who_says_nothing_to_a_goodbye_does_not_hold_up_the_end() {
    for said in [PREFACE, b"GET / HT", b"PRI * HTT", b"GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HT"] {
        let Served { mut caller, mut task, stopping } = Served::with(Patience { goodbye: SHORT, ..PATIENT }).await;
        caller.write_all(said).await.expect("sent");
        assert!(timeout(SHORT, &mut task).await.is_err(), "not told yet");
        drop(stopping);
        timeout(Duration::from_secs(5), task).await.expect("ended").expect("no panic");
    }
}
