//! `MAX_BUFFERED_BODY_BYTES` and `BODY_READ_TIMEOUT_MS`.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::Request;
use hyper::body::Frame;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;

use super::raw_connection::RawConnection;
use crate::support::{Account, Server, Stopwatch};

const MIB: usize = 1024 * 1024;

/// Returns a batch of one contact, padded with spaces to `size` bytes.
fn padded_batch_body(size: usize) -> String {
    let batch = r#"{"inputs": [{"fields": {"first_name": "A"}}]}"#;
    format!("{batch}{}", " ".repeat(size - batch.len()))
}

#[tokio::test(flavor = "multi_thread")]
async fn large_body_waits_2_seconds_for_buffer_space_and_is_503_without_it() {
    let server = Server::with_own_database("body_buffer", |settings| {
        // An account has at most three quarters of it.
        settings.limits.buffered_body_bytes = 20 * MIB / 3;
        settings.limits.body_read_timeout = Duration::from_secs(9);
    });
    let account = Account::on_server(&server);
    // A body reserves buffer space for its declared length as soon as a part of it has arrived.
    let mut slow = RawConnection::start_request(&account, "POST /contacts/batch/create", 4 * MIB);
    slow.send(&" ".repeat(MIB));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let send_batch =
        |size: usize| account.call("POST", "/contacts/batch/create").json_text(padded_batch_body(size)).send();
    let started = Stopwatch::start();
    let rejected = send_batch(2 * MIB).await.expect_error(503, "unavailable");
    assert_eq!(rejected.header("retry-after"), "1");
    started.expect_milliseconds(1_900..4_000);
    send_batch(MIB).await.expect(200);
    account.create(json!({"first_name": "small bodies need no buffer space"})).await;
    // A waiting body gets the buffer space when it is released.
    let waiting = {
        let account = account.clone();
        tokio::spawn(async move {
            account.call("POST", "/contacts/batch/create").json_text(padded_batch_body(2 * MIB)).send().await.status
        })
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished());
    drop(slow);
    assert_eq!(waiting.await.unwrap(), 200);
    for _ in 0..5 {
        send_batch(4 * MIB).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chunked_bodies_below_and_above_the_buffer_limit_are_accepted() {
    let server = Server::with_own_database("chunked", |settings| settings.limits.buffered_body_bytes = MIB);
    let account = Account::on_server(&server);
    for size in [100, 100_000, 3 * MIB] {
        let mut connection = RawConnection::connect(&server);
        connection.send(&format!(
            "POST /contacts/batch/create HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
             transfer-encoding: chunked\r\nconnection: close\r\n\r\n",
            account.token
        ));
        for piece in padded_batch_body(size).as_bytes().chunks(50_000) {
            connection.send(&format!("{:x}\r\n{}\r\n", piece.len(), std::str::from_utf8(piece).unwrap()));
        }
        connection.send("0\r\n\r\n");
        let response = connection.read_to_end();
        assert!(response.starts_with("HTTP/1.1 200"), "{size}: {response}");
    }
}

const CONTACT: &str = r#"{"fields": {"first_name": "A"}}"#;

/// Checks that a connection receives a 408 with `Connection: close` and then ends. Returns the response.
fn expect_408_and_close(connection: &mut RawConnection) -> String {
    let response = connection.read_to_end();
    assert!(response.starts_with("HTTP/1.1 408") && response.contains("\r\nconnection: close\r\n"), "{response}");
    assert_eq!(response.matches("HTTP/1.1").count(), 1, "{response}");
    response
}

#[tokio::test(flavor = "multi_thread")]
async fn stalled_body_is_408_and_ends_its_connection_and_slow_body_is_accepted() {
    let server = Server::with_own_database("stalls", |settings| {
        settings.limits.body_read_timeout = Duration::from_millis(600);
    });
    let account = Account::on_server(&server);
    let mut slow = RawConnection::start_request(&account, "POST /contacts", CONTACT.len());
    for piece in CONTACT.as_bytes().chunks(4) {
        slow.send(std::str::from_utf8(piece).unwrap());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(slow.read_response().starts_with("HTTP/1.1 201"));

    for coding in ["identity", "gzip"] {
        let mut stalled = RawConnection::connect(&server);
        stalled.send(&format!(
            "POST /contacts HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-encoding: {coding}\r\n\
             content-length: 100\r\n\r\n",
            account.token
        ));
        let started = Stopwatch::start();
        let response = expect_408_and_close(&mut stalled);
        started.expect_milliseconds(500..4_000);
        assert!(response.contains("\"code\":\"request_timeout\""), "{response}");
    }
    assert_eq!(account.get("/contacts").await.expect(200).body["pagination"]["count"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn body_of_more_than_a_million_values_is_400_invalid_json() {
    let account = Account::new().await;
    // The body and its array are values, too.
    let inputs = |items: usize| format!(r#"{{"inputs": [{}1]}}"#, "1,".repeat(items - 1));
    let batch = async |body| account.call("POST", "/contacts/batch/read").json_text(body).send().await;
    batch(inputs(999_999)).await.expect_error(400, "invalid_json");
    let response = batch(inputs(999_998)).await.expect_error(400, "invalid_body");
    assert_eq!(response.body["message"], "inputs must contain 1 to 1000 objects");
    batch(inputs(1_001)).await.expect_error(400, "invalid_body");
    let elsewhere = format!(r#"{{"inputs": [{{"id": [{}1]}}]}}"#, "1,".repeat(999_000));
    let response = batch(elsewhere).await.expect(207);
    assert_eq!(response.body["results"][0]["error"]["code"], "invalid_body");
    // Keys do not count, and bodies of other shapes are rejected in the same way.
    let keys: Vec<_> = (0..20_000).map(|number| format!(r#""nope_{number}":1"#)).collect();
    let fields = format!(r#"{{"fields": {{{}}}}}"#, keys.join(","));
    let response = account.call("POST", "/contacts").json_text(fields).send().await;
    assert_eq!(response.expect_error(400, "validation_failed").body["details_omitted"], 20_000 + 3 - 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn body_that_is_incomplete_after_the_request_timeout_is_408_and_a_slow_database_is_503() {
    let server = Server::with_own_database("slow_bodies", |settings| {
        settings.request_timeout = Duration::from_millis(900);
    });
    let account = Account::on_server(&server);
    let id = account.create(json!({"first_name": "A"})).await;
    let mut slow = RawConnection::start_request(&account, "POST /contacts", 1_000);
    let started = Stopwatch::start();
    for _ in 0..7 {
        slow.send(" ");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    expect_408_and_close(&mut slow);
    started.expect_milliseconds(800..4_000);
    assert_eq!(account.get("/contacts").await.expect(200).body["pagination"]["count"], 1);

    let _lock_holder = account.lock_contacts().await;
    account.patch(&id, json!({"first_name": "B"})).await.expect_error(503, "unavailable");
}

/// A body that sends nothing and does not end.
struct PendingBody;

impl HttpBody for PendingBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stalled_body_over_http2_ends_only_its_stream() {
    let server = Server::with_own_database("stalled_stream", |settings| {
        settings.limits.body_read_timeout = Duration::from_millis(600);
    });
    let account = Account::on_server(&server);
    let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = |method: &str, body: Body| {
        let authorization = format!("Bearer {}", account.token);
        let request = Request::builder().method(method).uri("http://x/contacts").header("authorization", authorization);
        request.body(body).unwrap()
    };
    let never_ends = Body::new(PendingBody);
    let response = client.send_request(request("POST", never_ends)).await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers().get("connection")), (408, None));
    let response = client.send_request(request("GET", Body::empty())).await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
}
