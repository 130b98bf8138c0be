//! `MAX_BUFFERED_BODY_BYTES` and `BODY_READ_TIMEOUT_MS`.

use std::time::Duration;

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

#[tokio::test(flavor = "multi_thread")]
async fn stalled_body_is_503_and_slow_body_is_accepted() {
    let server = Server::with_own_database("stalls", |settings| {
        settings.limits.body_read_timeout = Duration::from_millis(600);
    });
    let account = Account::on_server(&server);
    let body = r#"{"fields": {"first_name": "A"}}"#;
    let mut slow = RawConnection::start_request(&account, "POST /contacts", body.len());
    for piece in body.as_bytes().chunks(4) {
        slow.send(std::str::from_utf8(piece).unwrap());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(slow.read_response().starts_with("HTTP/1.1 201"));

    let mut stalled = RawConnection::start_request(&account, "POST /contacts", body.len());
    stalled.send(&body[..10]);
    let started = Stopwatch::start();
    let response = stalled.read_response();
    started.expect_milliseconds(500..2_000);
    assert!(response.starts_with("HTTP/1.1 503") && response.contains("\"code\":\"unavailable\""), "{response}");
    assert!(response.contains("retry-after: 1"), "{response}");
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
