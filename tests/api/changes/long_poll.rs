//! Long polling with `wait`: the response arrives soon after a change, or when the wait is over.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Account, FeedReader, Server, Stopwatch};

/// The task of a long poll. Its result is the page and the time until the response.
type LongPoll = tokio::task::JoinHandle<(Value, Duration)>;

/// Starts a long poll after the newest entry. The request is waiting when this function returns.
async fn start_long_poll(account: &Account, parameters: &str) -> LongPoll {
    let mut reader = FeedReader::default();
    reader.read(account, "after=now").await;
    let (account, parameters) = (account.clone(), parameters.to_owned());
    let waiting = tokio::spawn(async move {
        let started = Instant::now();
        let path = format!("/contacts/changes?{parameters}&after={}", reader.next.unwrap());
        (account.get(&path).await.expect(200).body, started.elapsed())
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    waiting
}

fn entry_count(page: &Value) -> usize {
    page["data"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn long_poll_returns_soon_after_a_write_on_any_instance() {
    let account = Account::new().await;
    for writer in [account.clone(), account.on_instance(&Server::shared().second_instance())] {
        let waiting = start_long_poll(&account, "wait=20").await;
        let written = Stopwatch::start();
        writer.create(json!({"first_name": "A"})).await;
        let (page, _) = waiting.await.unwrap();
        assert_eq!(entry_count(&page), 1);
        assert!(written.elapsed() < Duration::from_millis(1_500), "took {:?}", written.elapsed());
    }
}

#[tokio::test]
async fn long_poll_returns_at_once_when_there_is_an_entry_or_wait_is_zero() {
    let account = Account::new().await;
    account.create(json!({"first_name": "A"})).await;
    let started = Stopwatch::start();
    assert_eq!(entry_count(&account.get("/contacts/changes?wait=20").await.expect(200).body), 1);
    // `wait=0` does not wait either.
    assert_eq!(entry_count(&account.get("/contacts/changes?wait=0&after=now").await.expect(200).body), 0);
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn long_poll_keeps_waiting_while_all_new_entries_are_excluded() {
    let account = Account::new().await;
    let waiting = start_long_poll(&account, "wait=2&exclude_actor=me").await;
    account.create(json!({"first_name": "echo"})).await;
    let (page, time) = waiting.await.unwrap();
    assert_eq!(entry_count(&page), 0);
    assert!(time >= Duration::from_secs(2), "{time:?}");
    let now = account.get("/contacts/changes?after=now").await.expect(200);
    assert_eq!(page["next"], now.body["next"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn wait_extends_the_request_timeout() {
    let server =
        Server::with_own_database("long_poll", |settings| settings.request_timeout = Duration::from_millis(1_000));
    let (page, time) = start_long_poll(&Account::on_server(&server), "wait=2").await.await.unwrap();
    assert_eq!(entry_count(&page), 0);
    assert!((2..3).contains(&time.as_secs()), "{time:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn long_poll_ends_early_when_the_service_drains() {
    let server = Server::with_own_database("drain", |_| {});
    let account = Account::on_server(&server);
    let waiting = start_long_poll(&account, "wait=20").await;
    server.app.drain();
    let (page, time) = waiting.await.unwrap();
    assert!(page["next"].is_string());
    assert!(time < Duration::from_secs(2), "{time:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn long_poll_holds_no_database_connection_and_ends_when_the_client_disconnects() {
    let server = Server::with_own_database("disconnected", |_| {});
    let account = Account::on_server(&server);
    let mut waiting = vec![];
    for _ in 0..40 {
        let account = account.clone();
        waiting.push(tokio::spawn(async move { account.get("/contacts/changes?wait=30").await }));
    }
    wait_until(|| server.app.in_flight() == 40).await;
    // Waiting requests hold no database connection: the pool has fewer connections than there are requests.
    account.create(json!({"first_name": "A"})).await;
    for waiting in &mut waiting {
        assert_eq!(entry_count(&waiting.await.unwrap().expect(200).body), 1);
    }
    let waiting = start_long_poll(&account, "wait=30").await;
    assert_eq!(server.app.in_flight(), 1);
    waiting.abort();
    wait_until(|| server.app.in_flight() == 0).await;
}

/// Returns when the condition is true. Panics after ten seconds.
async fn wait_until(condition: impl Fn() -> bool) {
    let started = Stopwatch::start();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
