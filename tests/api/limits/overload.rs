//! `MAX_CONCURRENT_REQUESTS` and `MAX_CONNECTIONS`

use std::time::Duration;

use serde_json::json;
use sqlx::PgConnection;

use super::raw::Raw;
use crate::support::{Account, Server, Stopwatch, at_once};

/// A server that works on so many requests at once.
fn narrow(name: &str, count: usize) -> Server {
    Server::on_own_database(name, |settings| settings.limits.concurrent_requests = count)
}

/// Waits until so many requests are under way.
async fn under_way(server: &Server, count: usize) {
    let started = Stopwatch::start();
    while server.app.in_flight() != count {
        assert!(started.elapsed() < Duration::from_secs(5), "{} are under way", server.app.in_flight());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Holds the contacts, so that every write waits until the connection is dropped.
async fn hold(account: &Account) -> PgConnection {
    let mut holder = account.database().await;
    sqlx::query("BEGIN").execute(&mut holder).await.unwrap();
    sqlx::query("SELECT 1 FROM contacts FOR UPDATE").execute(&mut holder).await.unwrap();
    holder
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_above_is_turned_away_at_once_and_what_is_worked_on_is_not() {
    let server = narrow("overload", 3);
    let account = Account::on(&server);
    let id = account.create(json!({"first_name": "A"})).await;
    let holder = hold(&account).await;
    let working: Vec<_> = (0..3)
        .map(|_| {
            let (account, id) = (account.clone(), id.clone());
            tokio::spawn(async move { account.patch(&id, json!({"first_name": "B"})).await.status })
        })
        .collect();
    under_way(&server, 3).await;
    let started = Stopwatch::start();
    // Before the token, and before the body.
    let unread = "x".repeat(900_000);
    for call in [
        account.call("GET", "/contacts"),
        account.anonymous("GET", "/contacts"),
        account.call("PATCH", &format!("/contacts/{id}")).bare(unread),
        account.anonymous("GET", "/openapi.json"),
    ] {
        let refused = call.send().await.expect_error(503, "unavailable");
        assert_eq!(refused.header("retry-after"), "1");
    }
    // What watches the service gets through, and so does who only waits.
    account.anonymous("GET", "/healthz").send().await.expect(200);
    account.anonymous("GET", "/readyz").send().await.expect(200);
    account.get("/contacts/changes?after=now&wait=1").await.expect(200);
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    drop(holder);
    for working in working {
        assert_eq!(working.await.unwrap(), 200);
    }
    account.get("/contacts").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_polls_take_no_slots_of_others_and_have_a_bound_of_their_own() {
    let server = narrow("many_polls", 4);
    let account = Account::on(&server);
    let polls: Vec<_> = (0..4)
        .map(|_| {
            let account = account.clone();
            tokio::spawn(async move { account.get("/contacts/changes?after=now&wait=20").await.status })
        })
        .collect();
    under_way(&server, 4).await;
    account.get("/contacts/changes?after=now&wait=20").await.expect_error(503, "unavailable");
    account.get("/contacts/changes?after=now").await.expect(200);
    account.create(json!({"first_name": "A"})).await;
    for poll in polls {
        assert_eq!(poll.await.unwrap(), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_away_gives_the_slot_back() {
    let server = narrow("gone_slots", 2);
    let account = Account::on(&server);
    for _ in 0..5 {
        let stalled: Vec<_> = (0..2).map(|_| Raw::begin(&account, "POST /contacts", 100)).collect();
        under_way(&server, 2).await;
        account.get("/contacts").await.expect_error(503, "unavailable");
        drop(stalled);
        under_way(&server, 0).await;
    }
    account.get("/contacts").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_is_answered_in_full_and_leaves_nothing_behind() {
    let server = narrow("storm", 8);
    let account = Account::on(&server);
    let storm = (0..200).map(|_| {
        let account = account.clone();
        async move { account.post("/contacts", json!({"fields": {"first_name": "A"}})).await }
    });
    let answers = at_once(storm).await;
    let created = answers.iter().filter(|answer| answer.status == 201).count();
    assert!(answers.iter().all(|answer| [201, 503].contains(&answer.status)));
    assert!(created >= 8);
    under_way(&server, 0).await;
    let page = account.get("/contacts").await.expect(200);
    assert_eq!(page.body["pagination"]["count"], created);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_above_the_bound_wait_for_a_place() {
    let server = Server::on_own_database("connections", |settings| settings.limits.connections = 2);
    let mut open: Vec<_> = (0..2).map(|_| Raw::to(&server)).collect();
    for raw in &mut open {
        raw.send("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
        assert!(raw.read_answer().starts_with("HTTP/1.1 200"));
    }
    let mut waiting = Raw::to(&server);
    waiting.send("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
    waiting.0.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut byte = [0];
    assert!(std::io::Read::read(&mut waiting.0, &mut byte).is_err(), "it was answered beyond the bound");
    open.pop();
    waiting.0.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    assert!(waiting.read_answer().starts_with("HTTP/1.1 200"));
}
