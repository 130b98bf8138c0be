//! Acknowledged writes survive crashes: many clients write and record the responses, while the service, its database or
//! both are killed at random times.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::concurrent_writers::{self, PROPERTIES, WriteLog};
use crate::service_process::ServiceProcess;
use crate::support::{Account, DedicatedCluster, FeedReader, FeedReplay, SeededRandom, test_seed};

/// The number of concurrent writers.
const WRITERS: u64 = 16;
/// The number of kills without `CRASH_ROUNDS`.
const ROUNDS: u64 = 5;
/// The longest wait after the last kill until the writers have recorded a write of every kind.
const WRITES_TIMEOUT: Duration = Duration::from_secs(30);

/// The processes that are killed in a round.
#[derive(Debug, Clone, Copy)]
enum KillTarget {
    Service,
    Database,
    Both,
}

/// Kills processes and restarts them. Returns the time from the kill until the service is ready.
async fn kill_and_restart(
    target: KillTarget,
    service: &mut ServiceProcess,
    database: &mut DedicatedCluster,
) -> Duration {
    let killed_at = Instant::now();
    if matches!(target, KillTarget::Service | KillTarget::Both) {
        service.kill();
    }
    if matches!(target, KillTarget::Database | KillTarget::Both) {
        database.kill_postmaster();
        database.start().await;
    }
    service.start();
    service.wait_until_ready().await;
    killed_at.elapsed()
}

/// Checks that the writers' log, the feed and the stored contacts agree.
async fn expect_no_lost_writes(account: &Account, log: &WriteLog) {
    let feed = FeedReader::read_entire_feed(account).await;
    log.expect_matches_feed(&feed);
    let replay = FeedReplay::from_entries(&feed);
    replay.expect_matches_contacts_of(account, PROPERTIES).await;
    let active = replay.contacts.values().filter(|contact| contact["archived"] == false);
    for key in ["external_id", "badge"] {
        let mut values = HashSet::new();
        let holders = active.clone().filter_map(|contact| contact.get(key)?.as_str());
        holders.for_each(|value| assert!(values.insert(value), "two contacts have the {key} {value}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_writes_survive_kills_of_the_service_and_its_database() {
    let rounds = std::env::var("CRASH_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let mut database = DedicatedCluster::new().await;
    let mut service = ServiceProcess::new(database.url(), &[]);
    service.start();
    service.wait_until_ready().await;
    let account = Account::on_server(&database.server()).on_address(service.address());
    concurrent_writers::define_fields(&account).await;
    let log = Arc::new(WriteLog::default());
    let write = |seed| {
        tokio::spawn(concurrent_writers::send_random_writes(account.clone(), Arc::clone(&log), seed, usize::MAX))
    };
    let first_seed = test_seed();
    let writers: Vec<_> = (first_seed..first_seed + WRITERS).map(write).collect();

    let mut random = SeededRandom::new(first_seed);
    let mut recoveries = vec![];
    for round in 0..rounds {
        tokio::time::sleep(Duration::from_millis(300 + random.below(400))).await;
        let target = [KillTarget::Service, KillTarget::Database, KillTarget::Both][usize::try_from(round % 3).unwrap()];
        recoveries.push(kill_and_restart(target, &mut service, &mut database).await);
    }
    let last_kill = Instant::now();
    while !log.has_enough_writes() && last_kill.elapsed() < WRITES_TIMEOUT {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    log.stop();
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(log.unknown_count() > 0, "no write was interrupted");
    expect_no_lost_writes(&account, &log).await;
    recoveries.sort();
    println!(
        "{} writes acknowledged, {} unknown, {rounds} kills, 0 lost; ready again after {:?} (median), {:?} (longest)",
        log.acknowledged_count(),
        log.unknown_count(),
        recoveries[recoveries.len() / 2],
        recoveries[recoveries.len() - 1],
    );
    assert!(!service.log().contains("panicked"), "{}", service.log());
}
