//! Connection handling in HTTP/1.1: pipelining, `Expect: 100-continue`, upgrades and closed connections.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use super::{
    PROBE_REQUEST, READ_TIMEOUT, SMUGGLED_REQUEST, exchange, expect_healthy, parse_responses, request, responses,
    responses_after_half_close,
};
use crate::support::{Account, Stopwatch};

const BODY: &str = r#"{"fields":{"first_name":"A"}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order_until_a_malformed_one() {
    let account = Account::new().await;
    let get = |path: &str| request(&account, &format!("GET {path} HTTP/1.1"), "");
    let requests: String = ["/contacts", "/nowhere", "/fields", "/contacts/x", "/healthz"].map(get).concat().repeat(2);
    let five = ["200", "404 route_not_found", "200", "404 not_found", "200"];
    assert_eq!(responses(&account.server, &requests), [&five[..], &five, &["probe"]].concat());
    // A request after a body that is rejected or ignored is a request of its own.
    let (size, half) = (BODY.len(), format!("content-length: 1\r\n\r\n{{{SMUGGLED_REQUEST}"));
    let request_line_and_host = "POST /contacts?dry_run=true HTTP/1.1\r\nhost: x\r\n";
    for (sent, expected) in [
        (
            request(&account, "POST /contacts?dry_run=true HTTP/1.1", "").trim_end().to_owned() + "\r\n" + &half,
            "400 invalid_json",
        ),
        (format!("{request_line_and_host}content-length: {size}\r\n\r\n{BODY}{SMUGGLED_REQUEST}"), "401 unauthorized"),
        (format!("GET /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: {size}\r\n\r\n{BODY}{SMUGGLED_REQUEST}"), "200"),
    ] {
        assert_eq!(responses(&account.server, sent), [expected, "404 route_not_found", "probe"]);
    }
    // Requests before a malformed one are answered, however long they take. Requests after it are not.
    for before in [get("/contacts"), get("/contacts/changes?after=now&wait=1"), get("/openapi.json")] {
        for count in [1, 3] {
            let sent = format!("{}nonsense\r\n\r\n{SMUGGLED_REQUEST}", before.repeat(count));
            let expected = [vec!["200"; count], vec!["400 bare"]].concat();
            assert_eq!(responses(&account.server, sent), expected);
        }
    }
    // Requests after one with `Connection: close` are not answered.
    let last = request(&account, "GET /contacts HTTP/1.1", "connection: close\r\n");
    assert_eq!(responses(&account.server, last + SMUGGLED_REQUEST), ["200"]);
    expect_healthy(&account.server);
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_writes_are_all_applied_in_order() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let patch = |number: usize| {
        let body = json!({"fields": {"last_name": format!("N{number}")}}).to_string();
        let request_line = format!("PATCH /contacts/{id} HTTP/1.1");
        request(&account, &request_line, &format!("content-length: {}\r\n", body.len())) + &body
    };
    let sent: String = (0..10).map(patch).collect();
    assert_eq!(responses(&account.server, sent), [vec!["200"; 10], vec!["probe"]].concat());
    assert_eq!(account.get(&format!("/contacts/{id}")).await.body["last_name"], "N9");
    let history = account.get(&format!("/contacts/{id}/history?limit=50")).await;
    assert_eq!(history.body["data"].as_array().unwrap().len(), 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn status_100_is_sent_only_when_the_body_is_read() {
    let account = Account::new().await;
    let request_with_expect = |expectation: &str| {
        let headers = format!("expect: {expectation}\r\ncontent-length: {}\r\n", BODY.len());
        request(&account, "POST /contacts?dry_run=true HTTP/1.1", &headers)
    };
    let mut client = TcpStream::connect(account.server.address).unwrap();
    client.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
    client.write_all(request_with_expect("100-continue").as_bytes()).unwrap();
    let mut interim_response = [0; 25];
    client.read_exact(&mut interim_response).unwrap();
    assert_eq!(&interim_response, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(format!("{BODY}{PROBE_REQUEST}").as_bytes()).unwrap();
    let mut received = vec![];
    client.read_to_end(&mut received).unwrap();
    assert_eq!(parse_responses(&received), ["201", "probe"]);
    // The request is rejected before its body is sent. The next bytes may or may not be the body, so the service closes
    // the connection.
    let length = BODY.len();
    let headers = format!("expect: 100-continue\r\ncontent-length: {length}\r\n\r\n");
    let unauthorized = format!("POST /contacts HTTP/1.1\r\nhost: x\r\n{headers}");
    assert_eq!(parse_responses(&exchange(&account.server, unauthorized.as_bytes(), false)), ["401 unauthorized"]);
    // Unknown expectations are ignored, which RFC 9110 §10.1.1 allows.
    for other in ["200-ok", "100-continue; x=y", ""] {
        assert_eq!(responses(&account.server, request_with_expect(other) + BODY), ["201", "probe"], "{other}");
    }
    let without_body = request(&account, "GET /contacts HTTP/1.1", "expect: 100-continue\r\n");
    assert_eq!(responses(&account.server, without_body), ["200", "probe"]);
    expect_healthy(&account.server);
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrade_requests_are_ignored_and_other_protocols_are_400() {
    let account = Account::new().await;
    for headers in [
        "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n",
        "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n",
        "connection: upgrade\r\nupgrade: TLS/1.2\r\n",
        "connection: upgrade\r\n",
        "upgrade: h2c\r\n",
    ] {
        let sent = request(&account, "GET /contacts HTTP/1.1", headers);
        assert_eq!(responses(&account.server, sent), ["200", "probe"], "{headers}");
    }
    // Other protocols.
    for sent in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 client hello\r\n\r\n"[..],
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"\0\0\0\x08\x04\xd2\x16\x2f",
        b"*1\r\n$4\r\nPING\r\n",
    ] {
        let received = responses(&account.server, sent);
        assert_eq!(received, ["400 bare"], "{}", String::from_utf8_lossy(sent));
    }
    expect_healthy(&account.server);
}

#[tokio::test(flavor = "multi_thread")]
async fn half_close_ends_incomplete_requests_and_long_polls() {
    let account = Account::new().await;
    let get = request(&account, "GET /healthz HTTP/1.1", "");
    for (sent, expected) in [
        (String::new(), &[][..]),
        (get[..20].to_owned(), &[]),
        (get[..get.len() - 1].to_owned(), &[]),
        (request(&account, "POST /contacts HTTP/1.1", "content-length: 100\r\n") + "{", &["400 invalid_body"]),
        (request(&account, "POST /contacts HTTP/1.1", "content-length: 100\r\n"), &["400 invalid_body"]),
    ] {
        assert_eq!(responses_after_half_close(&account.server, &sent), expected, "{sent}");
    }
    // A half-close counts as a disconnect: the service cancels the running long poll and frees its slot.
    let waiting = request(&account, "GET /contacts/changes?after=now&wait=30 HTTP/1.1", "");
    let started = Stopwatch::start();
    assert_eq!(responses_after_half_close(&account.server, waiting), Vec::<String>::new());
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
    expect_healthy(&account.server);
}
