//! `HEADER_READ_TIMEOUT_MS`, and what is no request at all

use std::io::Read;
use std::time::Duration;

use hyper::Request;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;

use super::raw::Raw;
use crate::support::{Server, Stopwatch};

const REQUEST: &str = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";

fn impatient(name: &str) -> Server {
    Server::on_own_database(name, |settings| settings.limits.header_read_timeout = Duration::from_millis(700))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_come_to_its_end_is_not_waited_for() {
    let server = impatient("slow_heads");
    let mut silent = Raw::to(&server);
    let mut dribbling = Raw::to(&server);
    let mut second = Raw::to(&server);
    second.send(REQUEST);
    second.read_answer();
    second.send("GET /heal");
    let started = Stopwatch::start();
    // A byte now and then keeps nothing alive.
    let dribble = std::thread::spawn(move || {
        for byte in REQUEST.as_bytes() {
            if std::io::Write::write_all(&mut dribbling.0, &[*byte]).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        dribbling.read_to_end()
    });
    assert_eq!(silent.read_to_end(), "");
    assert_eq!(second.read_to_end(), "");
    started.expect_milliseconds(500..2_500);
    assert_eq!(dribble.join().unwrap(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_between_two_requests_may_last_longer() {
    let server = impatient("pauses");
    let mut raw = Raw::to(&server);
    for _ in 0..3 {
        raw.send(REQUEST);
        assert!(raw.read_answer().starts_with("HTTP/1.1 200"));
        tokio::time::sleep(Duration::from_millis(1_500)).await;
    }
    raw.send(REQUEST);
    assert!(raw.read_answer().starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_lasts_too_long_ends_the_connection_in_order() {
    let server = Server::on_own_database("idle", |settings| settings.limits.idle_timeout = Duration::from_millis(800));
    let mut raw = Raw::to(&server);
    raw.send(REQUEST);
    raw.read_answer();
    let started = Stopwatch::start();
    assert_eq!(raw.read_to_end(), "");
    started.expect_milliseconds(600..2_500);

    let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get("http://x/healthz").body(String::new()).unwrap();
    assert_eq!(client.send_request(request).await.unwrap().status(), 200);
    // Not cut off: it was told to go away, and went.
    connection.await.unwrap().unwrap();
}

/// That an answer has the one shape of errors; returns its code.
#[track_caller]
fn code_of(answer: &str) -> String {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap_or_default();
    let body: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"));
    assert_eq!(body["error"], true);
    assert_eq!((header("content-type"), header("x-content-type-options")), ("application/json", "nosniff"));
    assert_eq!(header("x-request-id"), body["request_id"].as_str().unwrap());
    assert!(!header("date").is_empty() && header("connection") == "close", "{head}");
    body["code"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_refused_in_the_shape_of_every_error() {
    let server = Server::shared();
    let many: String = (0..200).map(|number| format!("x-{number}: y\r\n")).collect();
    for (sent, status, code) in [
        ("nonsense\r\n\r\n".to_owned(), "400", "malformed_request"),
        ("GET /contacts HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n".to_owned(), "400", "malformed_request"),
        ("GET /contacts HTTP/9.9\r\n\r\n".to_owned(), "400", "malformed_request"),
        ("\u{16}\u{3}\u{1}\u{0}\u{5}client hello\r\n\r\n".to_owned(), "400", "malformed_request"),
        (format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(70_000)), "414", "uri_too_long"),
        (format!("GET / HTTP/1.1\r\nhost: x\r\n{many}\r\n"), "431", "headers_too_large"),
        (format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(600_000)), "431", "headers_too_large"),
    ] {
        // As the first request, and after another one.
        for requests in [0, 2] {
            let mut raw = Raw::to(server);
            for _ in 0..requests {
                raw.send(REQUEST);
                assert!(raw.read_answer().starts_with("HTTP/1.1 200"));
            }
            raw.send(&sent);
            let answer = raw.read_to_end();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
            assert_eq!(code_of(&answer), code);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_by_routes_are_theirs_to_word() {
    let mut raw = Raw::to(Server::shared());
    for _ in 0..3 {
        raw.send("GET /nope HTTP/1.1\r\nhost: x\r\nx-request-id: mine\r\n\r\n");
        let answer = raw.read_answer();
        assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("x-request-id: mine"), "{answer}");
        assert!(answer.contains("route_not_found") && !answer.contains("connection: close"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_is_served_by_prior_knowledge() {
    let server = impatient("http2");
    let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let (client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let get = |path: &str| {
        let request = Request::get(format!("http://x{path}")).body(String::new()).unwrap();
        let mut client = client.clone();
        async move { client.send_request(request).await.unwrap().status().as_u16() }
    };
    assert_eq!(get("/healthz").await, 200);
    // On the same connection, after a pause that is longer than a head may take.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(tokio::join!(get("/nope"), get("/contacts"), get("/healthz")), (404, 401, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_their_order() {
    let mut raw = Raw::to(Server::shared());
    raw.send("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\nGET /nope HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let mut answer = String::new();
    raw.0.read_to_string(&mut answer).unwrap();
    let second = answer.find("HTTP/1.1 404").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer[second..].contains("route_not_found"), "{answer}");
}
