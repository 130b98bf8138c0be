//! `wait`: one who waits learns of a change soon, and else when time is up.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Account, Reader, Server, Stopwatch};

/// What someone who waits is told, and after how long.
type Told = tokio::task::JoinHandle<(Value, Duration)>;

/// Waits for a change from here on, on a task of its own; it is surely waiting when this returns.
async fn wait_for_change(account: &Account, parameters: &str) -> Told {
    let mut reader = Reader::default();
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

fn count(page: &Value) -> usize {
    page["data"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_waits_is_told_soon_of_what_any_instance_writes() {
    let account = Account::new().await;
    for writer in [account.clone(), account.at(&Server::shared().twin())] {
        let waiting = wait_for_change(&account, "wait=20").await;
        let written = Stopwatch::start();
        writer.create(json!({"first_name": "A"})).await;
        let (page, _) = waiting.await.unwrap();
        assert_eq!(count(&page), 1);
        assert!(written.elapsed() < Duration::from_millis(1_500), "took {:?}", written.elapsed());
    }
}

#[tokio::test]
async fn does_not_wait_when_there_is_something() {
    let account = Account::new().await;
    account.create(json!({"first_name": "A"})).await;
    let started = Stopwatch::start();
    assert_eq!(count(&account.get("/contacts/changes?wait=20").await.expect(200).body), 1);
    // Nor for what was asked not to be waited for.
    assert_eq!(count(&account.get("/contacts/changes?wait=0&after=now").await.expect(200).body), 0);
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_on_while_there_are_only_entries_that_it_leaves_out() {
    let account = Account::new().await;
    let waiting = wait_for_change(&account, "wait=2&exclude_actor=me").await;
    account.create(json!({"first_name": "echo"})).await;
    let (page, time) = waiting.await.unwrap();
    assert_eq!(count(&page), 0);
    assert!(time >= Duration::from_secs(2), "{time:?}");
    let now = account.get("/contacts/changes?after=now").await.expect(200);
    assert_eq!(page["next"], now.body["next"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn time_to_wait_comes_on_top_of_the_time_of_a_request() {
    let server =
        Server::on_own_database("long_poll", |settings| settings.request_timeout = Duration::from_millis(1_000));
    let (page, time) = wait_for_change(&Account::on(&server), "wait=2").await.await.unwrap();
    assert_eq!(count(&page), 0);
    assert!((2..3).contains(&time.as_secs()), "{time:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_early_when_the_service_is_about_to_stop() {
    let server = Server::on_own_database("drain", |_| {});
    let account = Account::on(&server);
    let waiting = wait_for_change(&account, "wait=20").await;
    server.app.drain();
    let (page, time) = waiting.await.unwrap();
    assert!(page["next"].is_string());
    assert!(time < Duration::from_secs(2), "{time:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_away_leaves_nothing_behind() {
    let server = Server::on_own_database("gone", |_| {});
    let account = Account::on(&server);
    let mut waiting = vec![];
    for _ in 0..40 {
        let account = account.clone();
        waiting.push(tokio::spawn(async move { account.get("/contacts/changes?wait=30").await }));
    }
    until(|| server.app.in_flight() == 40).await;
    // They hold no connection to the database while they wait: there are fewer than readers.
    account.create(json!({"first_name": "A"})).await;
    for waiting in &mut waiting {
        assert_eq!(count(&waiting.await.unwrap().expect(200).body), 1);
    }
    let waiting = wait_for_change(&account, "wait=30").await;
    assert_eq!(server.app.in_flight(), 1);
    waiting.abort();
    until(|| server.app.in_flight() == 0).await;
}

/// Returns when this holds, which has to be soon.
async fn until(holds: impl Fn() -> bool) {
    let started = Stopwatch::start();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
