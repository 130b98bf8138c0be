//! Rules for every response: request ids, headers and the format of errors (`docs/api-reference.md#conventions` and
//! `docs/api-reference.md#errors`).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Account, Server};

#[tokio::test]
async fn every_response_carries_x_request_id() {
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
        let response =
            account.call("GET", "/nope").header("x-request-id", bad).send().await.expect_error(404, "route_not_found");
        assert_eq!(response.header("x-request-id").len(), 36, "{bad:?}");
    }
    let longest = "x".repeat(128);
    assert_eq!(
        account.call("GET", "/nope").header("x-request-id", &longest).send().await.header("x-request-id"),
        longest
    );
}

#[tokio::test]
async fn errors_are_no_store_and_have_no_cors_headers_by_default() {
    let account = Account::new().await;
    let response = account
        .call("GET", "/nope")
        .header("origin", "https://evil.example")
        .send()
        .await
        .expect_error(404, "route_not_found");
    assert_eq!(response.header("cache-control"), "no-store");
    assert!(response.headers.keys().all(|name| !name.as_str().starts_with("access-control")));
}

#[tokio::test]
async fn options_lists_the_methods_of_a_path_in_allow() {
    let account = Account::new().await;
    let response = account.anonymous("OPTIONS", "/contacts/x").send().await.expect(204);
    for method in ["GET", "HEAD", "PATCH", "DELETE"] {
        assert!(response.header("allow").contains(method), "{}", response.header("allow"));
    }
    account.anonymous("OPTIONS", "/nope").send().await.expect_error(404, "route_not_found");
}

#[tokio::test]
async fn query_may_have_empty_parts_but_must_be_utf8() {
    let account = Account::new().await;
    account.get("/contacts?&limit=5&&").await.expect(200);
    account.get("/fields?x=%ff").await.expect_error(400, "invalid_query");
}

#[tokio::test]
async fn request_longer_than_the_timeout_is_503() {
    let server = Server::with_own_database("slow", |settings| settings.request_timeout = Duration::from_millis(300));
    let account = Account::on_server(&server);
    let id = account.create(json!({"first_name": "A"})).await;
    let mut database = account.lock_contacts().await;
    let response = account.patch(&id, json!({"first_name": "B"})).await.expect_error(503, "unavailable");
    assert_eq!(response.header("retry-after"), "1");
    sqlx::query("ROLLBACK").execute(&mut database).await.unwrap();
    // The 503 leaves it unknown whether the write was applied. The next write succeeds.
    let response = account.patch(&id, json!({"last_name": "C"})).await.expect(200);
    assert_eq!(response.body["last_name"], "C");
}

#[tokio::test(flavor = "multi_thread")]
async fn chunked_body_over_the_limit_is_413() {
    let account = Account::new().await;
    let mut stream = TcpStream::connect(account.server.address).unwrap();
    let head = format!(
        "PATCH /contacts/x HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n",
        account.token
    );
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x1_0000));
    // 17 chunks of 64 KiB exceed the limit of 1 MiB. The service may respond and close the connection before the
    // last chunk is sent.
    for _ in 0..17 {
        if stream.write_all(chunk.as_bytes()).is_err() {
            break;
        }
    }
    let mut response = [0; 12];
    stream.read_exact(&mut response).unwrap();
    assert_eq!(&response, b"HTTP/1.1 413");
}

#[tokio::test]
async fn error_lists_at_most_100_details_and_counts_the_others() {
    let account = Account::new().await;
    let unknown = |count: usize| -> Value {
        let names = (0..count).map(|number| (format!("nope_{number}"), json!(1)));
        Value::Object(names.chain([("first_name".to_owned(), json!("A"))]).collect())
    };
    for (count, omitted) in [(100, json!(null)), (101, json!(1)), (5_000, json!(4_900))] {
        let error = account.post("/contacts", json!({"fields": unknown(count)})).await;
        let error = error.expect_error(400, "validation_failed").body;
        assert_eq!(error["details"].as_array().unwrap().len(), 100);
        assert_eq!((&error["details"][99]["field"], &error["details_omitted"]), (&json!("nope_99"), &omitted));
        assert!(
            error["message"].as_str().unwrap().starts_with(&format!("{count} fields are invalid: nope_0, nope_1,"))
        );
    }
    let batch = json!({"inputs": [{"fields": unknown(102)}, {"fields": unknown(0)}]});
    let results = account.batch("create", batch).await.expect(207).body;
    let error = &results["results"][0]["error"];
    assert_eq!((error["details"].as_array().unwrap().len(), &error["details_omitted"]), (100, &json!(2)));
    let properties: Vec<_> = (0..150).map(|number| format!("nope_{number}")).collect();
    let list = account.get(&format!("/contacts?properties={}", properties.join(","))).await;
    assert_eq!(list.expect_error(400, "invalid_properties").body["details_omitted"], 50);
}
