//! How a conversation goes: many requests at once, promises, upgrades, and goodbyes.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use super::{HIDDEN, PATIENCE, PROBE, answers, answers_to_the_end, expect_well, request};
use crate::support::{Account, Stopwatch};

const BODY: &str = r#"{"fields":{"first_name":"A"}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_come_at_once_are_answered_in_order() {
    let account = Account::new().await;
    let get = |path: &str| request(&account, &format!("GET {path} HTTP/1.1"), "");
    let ten: String = ["/contacts", "/nowhere", "/fields", "/contacts/x", "/healthz"].map(get).concat().repeat(2);
    let five = ["200", "404 route_not_found", "200", "404 not_found", "200"];
    assert_eq!(answers(&account.server, &ten), [&five[..], &five, &["probe"]].concat());
    // What comes behind a body that is refused, or was never wanted, is not taken for a part of it.
    let (size, half) = (BODY.len(), format!("content-length: 1\r\n\r\n{{{HIDDEN}"));
    let line = "POST /contacts?dry_run=true HTTP/1.1\r\nhost: x\r\n";
    for (sent, answer) in [
        (
            request(&account, "POST /contacts?dry_run=true HTTP/1.1", "").trim_end().to_owned() + "\r\n" + &half,
            "400 invalid_json",
        ),
        (format!("{line}content-length: {size}\r\n\r\n{BODY}{HIDDEN}"), "401 unauthorized"),
        (format!("GET /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: {size}\r\n\r\n{BODY}{HIDDEN}"), "200"),
    ] {
        assert_eq!(answers(&account.server, sent), [answer, "404 route_not_found", "probe"]);
    }
    // One is malformed: those before it are answered, those behind it are not. However long they take.
    for before in [get("/contacts"), get("/contacts/changes?after=now&wait=1"), get("/openapi.json")] {
        for count in [1, 3] {
            let sent = format!("{}nonsense\r\n\r\n{HIDDEN}", before.repeat(count));
            let expected = [vec!["200"; count], vec!["400 malformed_request"]].concat();
            assert_eq!(answers(&account.server, sent), expected);
        }
    }
    // Nothing is answered behind a goodbye.
    let last = request(&account, "GET /contacts HTTP/1.1", "connection: close\r\n");
    assert_eq!(answers(&account.server, last + HIDDEN), ["200"]);
    expect_well(&account.server);
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_come_at_once_are_all_done_in_order() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let patch = |number: usize| {
        let body = json!({"fields": {"last_name": format!("N{number}")}}).to_string();
        let line = format!("PATCH /contacts/{id} HTTP/1.1");
        request(&account, &line, &format!("content-length: {}\r\n", body.len())) + &body
    };
    let sent: String = (0..10).map(patch).collect();
    assert_eq!(answers(&account.server, sent), [vec!["200"; 10], vec!["probe"]].concat());
    assert_eq!(account.get(&format!("/contacts/{id}")).await.body["last_name"], "N9");
    let history = account.get(&format!("/contacts/{id}/history?limit=50")).await;
    assert_eq!(history.body["data"].as_array().unwrap().len(), 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_asked_for_only_where_it_is_read() {
    let account = Account::new().await;
    let expecting = |what: &str| {
        let headers = format!("expect: {what}\r\ncontent-length: {}\r\n", BODY.len());
        request(&account, "POST /contacts?dry_run=true HTTP/1.1", &headers)
    };
    let mut patient = TcpStream::connect(account.server.address).unwrap();
    patient.set_read_timeout(Some(PATIENCE)).unwrap();
    patient.write_all(expecting("100-continue").as_bytes()).unwrap();
    let mut told = [0; 25];
    patient.read_exact(&mut told).unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    patient.write_all(format!("{BODY}{PROBE}").as_bytes()).unwrap();
    let mut heard = vec![];
    patient.read_to_end(&mut heard).unwrap();
    assert_eq!(super::read(&heard), ["201", "probe"]);
    // Refused before it was sent: what comes next may be the body or not, so the connection ends.
    let length = BODY.len();
    let expects = format!("expect: 100-continue\r\ncontent-length: {length}\r\n\r\n");
    let unauthorized = format!("POST /contacts HTTP/1.1\r\nhost: x\r\n{expects}");
    assert_eq!(super::read(&super::all_for(&account.server, unauthorized.as_bytes(), false)), ["401 unauthorized"]);
    // An expectation that nobody knows is ignored, as RFC 9110 §10.1.1 lets us.
    for other in ["200-ok", "100-continue; x=y", ""] {
        assert_eq!(answers(&account.server, expecting(other) + BODY), ["201", "probe"], "{other}");
    }
    let without_body = request(&account, "GET /contacts HTTP/1.1", "expect: 100-continue\r\n");
    assert_eq!(answers(&account.server, without_body), ["200", "probe"]);
    expect_well(&account.server);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_upgraded() {
    let account = Account::new().await;
    for headers in [
        "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n",
        "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n",
        "connection: upgrade\r\nupgrade: TLS/1.2\r\n",
        "connection: upgrade\r\n",
        "upgrade: h2c\r\n",
    ] {
        let sent = request(&account, "GET /contacts HTTP/1.1", headers);
        assert_eq!(answers(&account.server, sent), ["200", "probe"], "{headers}");
    }
    // Other languages.
    for sent in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 client hello\r\n\r\n"[..],
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"\0\0\0\x08\x04\xd2\x16\x2f",
        b"*1\r\n$4\r\nPING\r\n",
    ] {
        let heard = answers(&account.server, sent);
        assert_eq!(heard, ["400 malformed_request"], "{}", String::from_utf8_lossy(sent));
    }
    expect_well(&account.server);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_sending_is_answered_what_was_sent_in_time() {
    let account = Account::new().await;
    let get = request(&account, "GET /healthz HTTP/1.1", "");
    for (sent, expected) in [
        (String::new(), &[][..]),
        (get[..20].to_owned(), &[]),
        (get[..get.len() - 1].to_owned(), &[]),
        (request(&account, "POST /contacts HTTP/1.1", "content-length: 100\r\n") + "{", &["400 invalid_body"]),
        (request(&account, "POST /contacts HTTP/1.1", "content-length: 100\r\n"), &["400 invalid_body"]),
    ] {
        assert_eq!(answers_to_the_end(&account.server, &sent), expected, "{sent}");
    }
    // To have closed one's side is to be gone: what is still open is given up, and so is its place.
    let waiting = request(&account, "GET /contacts/changes?after=now&wait=30 HTTP/1.1", "");
    let started = Stopwatch::start();
    assert_eq!(answers_to_the_end(&account.server, waiting), Vec::<String>::new());
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
    expect_well(&account.server);
}
