//! `MAX_CONCURRENT_REQUESTS`, `MAX_LONG_POLLS` and `MAX_CONNECTIONS`.

use std::time::Duration;

use serde_json::json;

use super::raw_connection::RawConnection;
use crate::support::{Account, Server, Stopwatch, run_concurrently};

/// Starts a server that processes at most `count` requests concurrently.
fn server_with_concurrency_limit(name: &str, count: usize) -> Server {
    Server::with_own_database(name, |settings| settings.limits.concurrent_requests = count)
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_over_the_concurrency_limit_are_503_at_once_and_running_ones_finish() {
    // The last quarter is kept for other accounts.
    let server = server_with_concurrency_limit("overload", 4);
    let (account, other) = (Account::on_server(&server), Account::on_server(&server));
    let id = account.create(json!({"first_name": "A"})).await;
    let lock_holder = account.lock_contacts().await;
    let running: Vec<_> = (0..3)
        .map(|_| {
            let (account, id) = (account.clone(), id.clone());
            tokio::spawn(async move { account.patch(&id, json!({"first_name": "B"})).await.status })
        })
        .collect();
    server.wait_for_in_flight(3).await;
    let started = Stopwatch::start();
    // The limit applies after the token is checked and before the body is read.
    let large_body = "x".repeat(900_000);
    for call in [
        account.call("GET", "/contacts"),
        account.call("PATCH", &format!("/contacts/{id}")).body_without_content_type(large_body),
        account.call("GET", "/openapi.json"),
    ] {
        let rejected = call.send().await.expect_error(503, "unavailable");
        assert_eq!(rejected.header("retry-after"), "1");
    }
    account.anonymous("GET", "/contacts").send().await.expect_error(401, "unauthorized");
    other.get("/contacts").await.expect(200);
    // Health checks, requests without a token, and long polls are not subject to this limit.
    account.anonymous("GET", "/openapi.json").send().await.expect(200);
    account.anonymous("GET", "/healthz").send().await.expect(200);
    account.anonymous("GET", "/readyz").send().await.expect(200);
    account.get("/contacts/changes?after=now&wait=1").await.expect(200);
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    drop(lock_holder);
    for update in running {
        assert_eq!(update.await.unwrap(), 200);
    }
    account.get("/contacts").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_polls_have_their_own_concurrency_limit() {
    let server = Server::with_own_database("many_polls", |settings| {
        settings.limits.concurrent_requests = 2;
        settings.limits.long_polls = 4;
    });
    let (account, other) = (Account::on_server(&server), Account::on_server(&server));
    // The last quarter is kept for other accounts.
    let polls: Vec<_> = (0..3)
        .map(|_| {
            let account = account.clone();
            tokio::spawn(async move { account.get("/contacts/changes?after=now&wait=20").await.status })
        })
        .collect();
    server.wait_for_in_flight(3).await;
    let rejected = account.get("/contacts/changes?after=now&wait=20").await.expect_error(503, "unavailable");
    assert_eq!(rejected.header("retry-after"), "1");
    other.get("/contacts/changes?after=now&wait=1").await.expect(200);
    account.get("/contacts/changes?after=now").await.expect(200);
    account.get("/contacts").await.expect(200);
    account.create(json!({"first_name": "A"})).await;
    for poll in polls {
        assert_eq!(poll.await.unwrap(), 200);
    }
    // The slots are free again.
    account.get("/contacts/changes?after=now&wait=1").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn disconnected_client_frees_its_slot() {
    let server = server_with_concurrency_limit("freed_slots", 2);
    let account = Account::on_server(&server);
    for _ in 0..5 {
        let stalled: Vec<_> = (0..2).map(|_| RawConnection::start_request(&account, "POST /contacts", 100)).collect();
        server.wait_for_in_flight(2).await;
        account.get("/contacts").await.expect_error(503, "unavailable");
        drop(stalled);
        server.wait_for_in_flight(0).await;
    }
    account.get("/contacts").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_of_a_burst_is_answered_and_no_slot_leaks() {
    let server = server_with_concurrency_limit("burst", 8);
    let account = Account::on_server(&server);
    let burst = (0..200).map(|_| {
        let account = account.clone();
        async move { account.post("/contacts", json!({"fields": {"first_name": "A"}})).await }
    });
    let responses = run_concurrently(burst).await;
    let created = responses.iter().filter(|response| response.status == 201).count();
    assert!(responses.iter().all(|response| [201, 503].contains(&response.status)));
    assert!(created >= 6);
    server.wait_for_in_flight(0).await;
    let page = account.get("/contacts").await.expect(200);
    assert_eq!(page.body["pagination"]["count"], created);
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_over_the_limit_waits_until_another_closes() {
    let server = Server::with_own_database("connections", |settings| settings.limits.connections = 2);
    let mut open: Vec<_> = (0..2).map(|_| RawConnection::connect(&server)).collect();
    for connection in &mut open {
        connection.send("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
        assert!(connection.read_response().starts_with("HTTP/1.1 200"));
    }
    let mut waiting = RawConnection::connect(&server);
    waiting.send("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
    waiting.stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut byte = [0];
    assert!(std::io::Read::read(&mut waiting.stream, &mut byte).is_err(), "a connection over the limit was served");
    open.pop();
    waiting.stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    assert!(waiting.read_response().starts_with("HTTP/1.1 200"));
}
