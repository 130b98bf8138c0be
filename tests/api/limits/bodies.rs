//! `MAX_BUFFERED_BODY_BYTES` and `BODY_READ_TIMEOUT_MS`

use std::time::Duration;

use serde_json::json;

use super::raw::Raw;
use crate::support::{Account, Server, Stopwatch};

const MIB: usize = 1024 * 1024;

/// A batch of one contact, in a body of this size.
fn batch_of(size: usize) -> String {
    let batch = r#"{"inputs": [{"fields": {"first_name": "A"}}]}"#;
    format!("{batch}{}", " ".repeat(size - batch.len()))
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_wait_for_room_and_are_refused_when_none_comes() {
    let server = Server::on_own_database("room", |settings| {
        settings.limits.buffered_body_bytes = 5 * MIB;
        settings.limits.body_read_timeout = Duration::from_secs(9);
    });
    let account = Account::on(&server);
    // One that says it is large and has sent a part holds room for all of it.
    let mut slow = Raw::begin(&account, "POST /contacts/batch/create", 4 * MIB);
    slow.send(&" ".repeat(MIB));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let large = |size: usize| account.call("POST", "/contacts/batch/create").json_text(batch_of(size)).send();
    let started = Stopwatch::start();
    let refused = large(2 * MIB).await.expect_error(503, "unavailable");
    assert_eq!(refused.header("retry-after"), "1");
    started.expect_milliseconds(1_900..4_000);
    large(MIB).await.expect(200);
    account.create(json!({"first_name": "small ones need no room"})).await;
    // Who waits gets the room when it is free.
    let waiting = {
        let account = account.clone();
        tokio::spawn(async move {
            account.call("POST", "/contacts/batch/create").json_text(batch_of(2 * MIB)).send().await.status
        })
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished());
    drop(slow);
    assert_eq!(waiting.await.unwrap(), 200);
    for _ in 0..5 {
        large(4 * MIB).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_undeclared_size_has_room_too() {
    let server = Server::on_own_database("chunked", |settings| settings.limits.buffered_body_bytes = MIB);
    let account = Account::on(&server);
    for size in [100, 100_000, 3 * MIB] {
        let mut raw = Raw::to(&server);
        raw.send(&format!(
            "POST /contacts/batch/create HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ntransfer-encoding: chunked\r\n\
             connection: close\r\n\r\n",
            account.token
        ));
        for piece in batch_of(size).as_bytes().chunks(50_000) {
            raw.send(&format!("{:x}\r\n{}\r\n", piece.len(), std::str::from_utf8(piece).unwrap()));
        }
        raw.send("0\r\n\r\n");
        let answer = raw.read_to_end();
        assert!(answer.starts_with("HTTP/1.1 200"), "{size}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_pauses_too_long_is_given_up_and_a_slow_one_is_not() {
    let server = Server::on_own_database("stalls", |settings| {
        settings.limits.body_read_timeout = Duration::from_millis(600);
    });
    let account = Account::on(&server);
    let body = r#"{"fields": {"first_name": "A"}}"#;
    let mut slow = Raw::begin(&account, "POST /contacts", body.len());
    for piece in body.as_bytes().chunks(4) {
        slow.send(std::str::from_utf8(piece).unwrap());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(slow.read_answer().starts_with("HTTP/1.1 201"));

    let mut stalled = Raw::begin(&account, "POST /contacts", body.len());
    stalled.send(&body[..10]);
    let started = Stopwatch::start();
    let answer = stalled.read_answer();
    started.expect_milliseconds(500..2_000);
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("\"code\":\"unavailable\""), "{answer}");
    assert!(answer.contains("retry-after: 1"), "{answer}");
    assert_eq!(account.get("/contacts").await.expect(200).body["pagination"]["count"], 1);
}
