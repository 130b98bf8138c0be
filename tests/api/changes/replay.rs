//! The change feed contains every change exactly once and in commit order. The responses to the writers, the pages that
//! concurrent readers get, and the stored contacts at the end all agree.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::concurrent_writers::{self, PROPERTIES, WriteLog};
use super::interfering_transactions::InterferingTransactions;
use crate::support::{Account, DedicatedCluster, FeedReader, FeedReplay, Server, Stopwatch, test_seed};

/// Starts a task that reads the feed page by page, and the count of the contacts, until the log is stopped. The service may be
/// down meanwhile.
fn spawn_reader(
    account: Account,
    log: &Arc<WriteLog>,
    parameters: &'static str,
) -> tokio::task::JoinHandle<FeedReader> {
    let log = Arc::clone(log);
    tokio::spawn(async move {
        let mut reader = FeedReader::default();
        while !log.is_stopped() {
            if reader.read(&account, parameters).await.is_none_or(|read| read == 0) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            account.get("/contacts?limit=1").await;
        }
        reader
    })
}

/// Starts this many writers, distributed over these instances.
fn spawn_writers(
    accounts: &[Account],
    log: &Arc<WriteLog>,
    count: u64,
    times: usize,
) -> Vec<tokio::task::JoinHandle<()>> {
    let (account, seed) =
        (|index: u64| accounts[usize::try_from(index).unwrap() % accounts.len()].clone(), test_seed());
    let writer = |index| concurrent_writers::send_random_writes(account(index), Arc::clone(log), seed + index, times);
    (0..count).map(|index| tokio::spawn(writer(index))).collect()
}

/// Checks that the log, the feed, the readers, the stored contacts and the histories agree.
async fn expect_consistent(account: &Account, log: &WriteLog, readers: Vec<FeedReader>) {
    let feed = FeedReader::read_entire_feed(account).await;
    log.expect_matches_feed(&feed);
    FeedReplay::from_entries(&feed).expect_matches_contacts_of(account, PROPERTIES).await;
    for mut reader in readers {
        let entries = reader.read_all(account).await;
        let summary = |entry: &Value| json!([entry["cursor"], entry["type"], entry["contact_id"], entry["actor"]]);
        assert_eq!(entries.iter().map(summary).collect::<Vec<_>>(), feed.iter().map(summary).collect::<Vec<_>>());
        FeedReplay::from_entries(entries).expect_matches_contacts_of(account, PROPERTIES).await;
    }
    expect_histories_match_feed(account, &feed).await;
    account.expect_real_counts().await;
}

/// Checks that the history of each contact equals its feed entries in reverse order.
async fn expect_histories_match_feed(account: &Account, feed: &[Value]) {
    for id in FeedReplay::from_entries(feed).contacts.keys() {
        let history = account.get(&format!("/contacts/{id}/history?limit=1000")).await.expect(200);
        let expected = feed.iter().rev().filter(|entry| entry["contact_id"] == **id);
        let summary = |entry: &Value| json!([entry["type"], entry["at"], entry["changed"]]);
        let history: Vec<_> = history.body["data"].as_array().unwrap().iter().map(summary).collect();
        assert_eq!(history, expected.map(summary).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replayed_feed_equals_the_stored_contacts_under_concurrent_writes() {
    let server = Server::with_own_database("replay", |_| {});
    let account = Account::on_server(&server);
    concurrent_writers::define_fields(&account).await;
    let instances = [account.clone(), account.on_instance(&server.second_instance())];
    let log = Arc::new(WriteLog::default());
    let interference = InterferingTransactions::start(&account, &log);
    let readers = [
        spawn_reader(instances[0].clone(), &log, "limit=7"),
        spawn_reader(instances[1].clone(), &log, "limit=1000"),
        spawn_reader(instances[1].clone(), &log, "limit=3&wait=1"),
    ];
    for writer in spawn_writers(&instances, &log, 16, 40) {
        writer.await.unwrap();
    }
    log.stop();
    drop(interference);
    let mut read = vec![];
    for reader in readers {
        read.push(reader.await.unwrap());
    }
    assert!(log.unknown_count() < 5, "too many writes got 503");
    expect_consistent(&account, &log, read).await;
    instances[1].expect_real_counts().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replayed_feed_equals_the_stored_contacts_if_some_are_not_stored_at_random() {
    let server = Server::with_own_postgresql_database("replay_skip");
    let account = Account::on_server(&server);
    concurrent_writers::define_fields(&account).await;
    concurrent_writers::skip_writes_at_random(&account, 0.15, 0.1).await;
    let instances = [account.clone(), account.on_instance(&server.second_instance())];
    let log = Arc::new(WriteLog::default());
    let reader = spawn_reader(instances[1].clone(), &log, "limit=7");
    for writer in spawn_writers(&instances, &log, 16, 40) {
        writer.await.unwrap();
    }
    log.stop();
    // A write that is not stored again and again is rejected with a 503.
    assert!(log.unknown_count() < log.acknowledged_count() / 4, "too many writes got 503");
    expect_consistent(&account, &log, vec![reader.await.unwrap()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replayed_feed_equals_the_stored_contacts_after_a_database_crash_and_restarts() {
    let mut cluster = DedicatedCluster::new().await;
    let first = Account::on_server(&cluster.server());
    concurrent_writers::define_fields(&first).await;
    let log = Arc::new(WriteLog::default());
    let reader = spawn_reader(first.clone(), &log, "limit=5");
    let writers = spawn_writers(std::slice::from_ref(&first), &log, 8, usize::MAX);
    tokio::time::sleep(Duration::from_millis(700)).await;
    for is_crash in [true, false] {
        if is_crash {
            cluster.crash();
        } else {
            cluster.stop();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        cluster.start().await;
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    // On a busy machine, the writers need longer.
    let started = Stopwatch::start();
    while !log.has_enough_writes() && started.elapsed() < Duration::from_secs(30) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    log.stop();
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(log.unknown_count() > 0, "the outage affected no writer");
    // The reader continues on another instance with its cursor.
    let second = first.on_instance(&cluster.server());
    expect_consistent(&second, &log, vec![reader.await.unwrap()]).await;
    first.expect_real_counts().await;
}
