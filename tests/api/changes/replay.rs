//! None skipped, none twice, in the order of commits: what callers were answered, what readers of the feed were told
//! meanwhile, and what there is in the end are one story.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::obstacles::Obstacles;
use super::storm::{self, Log, PROPERTIES};
use crate::support::{Account, OwnCluster, Reader, Replay, Server};

/// Reads the feed from page to page until it is told to stop; the service may be away.
fn keep_reading(account: Account, log: &Arc<Log>, parameters: &'static str) -> tokio::task::JoinHandle<Reader> {
    let log = Arc::clone(log);
    tokio::spawn(async move {
        let mut reader = Reader::default();
        while !log.is_stopped() {
            if reader.read(&account, parameters).await.is_none_or(|read| read == 0) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        reader
    })
}

/// Starts as many writers, in turn on each of these instances.
fn writers(accounts: &[Account], log: &Arc<Log>, count: u64, times: usize) -> Vec<tokio::task::JoinHandle<()>> {
    let account = |seed: u64| accounts[usize::try_from(seed).unwrap() % accounts.len()].clone();
    (0..count).map(|seed| tokio::spawn(storm::write(account(seed), Arc::clone(log), seed, times))).collect()
}

/// Checks the whole story.
async fn expect_one_story(account: &Account, log: &Log, readers: Vec<Reader>) {
    let feed = Reader::all_of(account).await;
    log.expect_told(&feed);
    Replay::of(&feed).expect_state_of(account, PROPERTIES).await;
    for mut reader in readers {
        let entries = reader.read_all(account).await;
        let place = |entry: &Value| json!([entry["cursor"], entry["type"], entry["contact_id"], entry["actor"]]);
        assert_eq!(entries.iter().map(place).collect::<Vec<_>>(), feed.iter().map(place).collect::<Vec<_>>());
        Replay::of(entries).expect_state_of(account, PROPERTIES).await;
    }
    expect_histories(account, &feed).await;
}

/// The history of each contact is its part of the feed, the other way round.
async fn expect_histories(account: &Account, feed: &[Value]) {
    for id in Replay::of(feed).contacts.keys() {
        let history = account.get(&format!("/contacts/{id}/history?limit=1000")).await.expect(200);
        let told = feed.iter().rev().filter(|entry| entry["contact_id"] == **id);
        let place = |entry: &Value| json!([entry["type"], entry["at"], entry["changed"]]);
        let history: Vec<_> = history.body["data"].as_array().unwrap().iter().map(place).collect();
        assert_eq!(history, told.map(place).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replaying_the_feed_gives_what_there_is() {
    let server = Server::on_own_database("replay", |_| {});
    let account = Account::on(&server);
    storm::prepare(&account).await;
    let both = [account.clone(), account.at(&server.twin())];
    let log = Arc::new(Log::default());
    let obstacles = Obstacles::of(&account, &log);
    let readers = [
        keep_reading(both[0].clone(), &log, "limit=7"),
        keep_reading(both[1].clone(), &log, "limit=1000"),
        keep_reading(both[1].clone(), &log, "limit=3&wait=1"),
    ];
    for writer in writers(&both, &log, 16, 40) {
        writer.await.unwrap();
    }
    log.stop();
    drop(obstacles);
    let mut read = vec![];
    for reader in readers {
        read.push(reader.await.unwrap());
    }
    assert!(log.unknown() < 5, "writers were turned away");
    expect_one_story(&account, &log, read).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_holds_across_restarts_of_the_service_and_crashes_of_the_database() {
    let mut cluster = OwnCluster::new().await;
    let first = Account::on(&cluster.server());
    storm::prepare(&first).await;
    let log = Arc::new(Log::default());
    let reader = keep_reading(first.clone(), &log, "limit=5");
    let writers = writers(std::slice::from_ref(&first), &log, 8, usize::MAX);
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
    log.stop();
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(log.unknown() > 0, "no writer has noticed");
    // Another instance, and a reader that goes on there with the cursor that it has.
    let second = first.at(&cluster.server());
    expect_one_story(&second, &log, vec![reader.await.unwrap()]).await;
}
