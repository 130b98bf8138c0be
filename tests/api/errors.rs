//! What holds for every answer: request ids, headers, the one shape of errors (contract §1, §2).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use crate::support::{Account, Server};

#[tokio::test]
async fn every_answer_carries_the_request_id() {
    let account = Account::new().await;
    for (method, path) in
        [("GET", "/contacts"), ("GET", "/healthz"), ("GET", "/nope"), ("OPTIONS", "/contacts"), ("PUT", "/contacts")]
    {
        let sent = account.call(method, path).header("x-request-id", "order-66~!").send().await;
        assert_eq!(sent.header("x-request-id"), "order-66~!", "{method} {path}");
        let fresh = account.call(method, path).send().await;
        assert_eq!(fresh.header("x-request-id").len(), 36, "{method} {path}");
        assert_eq!(fresh.header("x-content-type-options"), "nosniff");
    }
    for bad in ["", "a b", &"x".repeat(129), "a\tb"] {
        let answer =
            account.call("GET", "/nope").header("x-request-id", bad).send().await.expect_error(404, "route_not_found");
        assert_eq!(answer.header("x-request-id").len(), 36, "{bad:?}");
    }
    let longest = "x".repeat(128);
    assert_eq!(
        account.call("GET", "/nope").header("x-request-id", &longest).send().await.header("x-request-id"),
        longest
    );
}

#[tokio::test]
async fn errors_are_not_stored_and_need_no_cors() {
    let account = Account::new().await;
    let answer = account
        .call("GET", "/nope")
        .header("origin", "https://evil.example")
        .send()
        .await
        .expect_error(404, "route_not_found");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control")));
}

#[tokio::test]
async fn options_says_what_a_path_takes() {
    let account = Account::new().await;
    let answer = account.anonymous("OPTIONS", "/contacts/x").send().await.expect(204);
    for method in ["GET", "HEAD", "PATCH", "DELETE"] {
        assert!(answer.header("allow").contains(method), "{}", answer.header("allow"));
    }
    account.anonymous("OPTIONS", "/nope").send().await.expect_error(404, "route_not_found");
}

#[tokio::test]
async fn unknown_query_parameters_are_ignored() {
    let account = Account::new().await;
    account.get("/contacts?utm_source=x&limit=5&=&&a").await.expect(200);
    account.get("/fields?x=%ff").await.expect_error(400, "invalid_query");
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_given_up() {
    let server = Server::on_own_database("slow", |settings| settings.request_timeout = Duration::from_millis(300));
    let account = Account::on(&server);
    let id = account.create(json!({"first_name": "A"})).await;
    let mut database = account.database().await;
    sqlx::query("BEGIN").execute(&mut database).await.unwrap();
    sqlx::query("SELECT 1 FROM contacts FOR UPDATE").execute(&mut database).await.unwrap();
    let answer = account.patch(&id, json!({"first_name": "B"})).await.expect_error(503, "unavailable");
    assert_eq!(answer.header("retry-after"), "1");
    sqlx::query("ROLLBACK").execute(&mut database).await.unwrap();
    // Whether the write was done is unknown; the next one works.
    let answer = account.patch(&id, json!({"last_name": "C"})).await.expect(200);
    assert_eq!(answer.body["last_name"], "C");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_grows_beyond_the_limit_is_cut_off() {
    let account = Account::new().await;
    let mut stream = TcpStream::connect(account.server.address).unwrap();
    let head = format!(
        "PATCH /contacts/x HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
        account.token
    );
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x1_0000));
    // 17 chunks of 64 KiB: the service may answer, and close, before the last is sent.
    for _ in 0..17 {
        if stream.write_all(chunk.as_bytes()).is_err() {
            break;
        }
    }
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}
