//! Long polling with `wait`: the response arrives soon after a change, or when the wait is over.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Account, FeedReader, Server, Stopwatch, run_concurrently};

/// The task of a long poll. Its result is the page and the time until the response.
type LongPoll = tokio::task::JoinHandle<(Value, Duration)>;

/// How many of the 300 long polls start at a time.
const GROUP: usize = 10;

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
    let excluding = start_long_poll(&account, "wait=20&exclude_actor=me").await;
    server.app.drain();
    let drained = Stopwatch::start();
    let (page, time) = waiting.await.unwrap();
    assert!(page["next"].is_string());
    assert!(time < Duration::from_secs(2), "{time:?}");
    assert_eq!(entry_count(&excluding.await.unwrap().0), 0);
    assert!(drained.elapsed() < Duration::from_secs(1), "{:?}", drained.elapsed());
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
    assert_eq!(server.app.repository().subscribed_account_count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_poll_is_woken_at_once_by_a_write_on_its_own_instance() {
    let account = Account::new().await;
    let mut times = vec![];
    for _ in 0..9 {
        let waiting = start_long_poll(&account, "wait=20").await;
        let written = Stopwatch::start();
        account.create(json!({"first_name": "A"})).await;
        assert_eq!(entry_count(&waiting.await.unwrap().0), 1);
        times.push(written.elapsed());
    }
    // The database is asked every 500 ms for changes of other instances. Without a notification, half of the polls
    // would wait for more than 250 ms.
    times.sort_unstable();
    assert!(times[times.len() / 2] < Duration::from_millis(200), "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn long_poll_is_woken_within_a_second_by_a_write_on_another_instance() {
    let account = Account::new().await;
    let writer = account.on_instance(&Server::shared().second_instance());
    for _ in 0..5 {
        let waiting = start_long_poll(&account, "wait=20").await;
        writer.create(json!({"first_name": "A"})).await;
        let written = Stopwatch::start();
        assert_eq!(entry_count(&waiting.await.unwrap().0), 1);
        assert!(written.elapsed() < Duration::from_secs(1), "took {:?}", written.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn write_at_any_moment_of_a_long_poll_is_not_missed() {
    let account = Account::new().await;
    let other = account.on_instance(&Server::shared().second_instance());
    let mut reader = FeedReader::default();
    for round in 0..60 {
        let is_remote = round % 6 == 5;
        let writer = if is_remote { other.clone() } else { account.clone() };
        let write = tokio::spawn(async move {
            // The write comes before, during or after the first read of the poll.
            tokio::time::sleep(Duration::from_micros(round * 250)).await;
            writer.create(json!({"first_name": "A"})).await
        });
        let started = Stopwatch::start();
        assert_eq!(reader.read(&account, "wait=20").await, Some(1));
        assert!(started.elapsed() < Duration::from_secs(2), "round {round} took {:?}", started.elapsed());
        write.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_300_long_polls_gets_the_change_of_its_own_account() {
    let server = Server::with_own_database("300_polls", |_| {});
    let first = Account::on_server(&server);
    let accounts: Vec<_> = (0..300).map(|_| first.for_new_account()).collect();
    let mut polls = vec![];
    // A few calls at a time: the service rejects calls that would wait for more than 2 s for the database.
    for group in accounts.chunks(GROUP) {
        polls.extend(group.iter().cloned().map(|account| tokio::spawn(first_entry(account))));
        wait_until(|| server.app.repository().subscribed_account_count() == polls.len()).await;
    }
    let mut ids = vec![];
    for group in accounts.chunks(GROUP) {
        let created =
            group.iter().cloned().map(|account| async move { account.create(json!({"first_name": "A"})).await });
        ids.extend(run_concurrently(created).await);
    }
    for (poll, id) in polls.into_iter().zip(ids) {
        assert_eq!(poll.await.unwrap()["contact_id"], json!(id));
    }
    wait_until(|| server.app.repository().subscribed_account_count() == 0).await;
}

/// Polls until there is an entry, which is the only one, and returns it.
async fn first_entry(account: Account) -> Value {
    loop {
        let page = account.get("/contacts/changes?wait=30").await.expect(200).body;
        match page["data"].as_array().unwrap().as_slice() {
            [] => {}
            [entry] => return entry.clone(),
            more => panic!("{} entries", more.len()),
        }
    }
}

/// Returns when the condition is true. Panics after a minute.
async fn wait_until(condition: impl Fn() -> bool) {
    let started = Stopwatch::start();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(60), "the condition is still false");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
