//! Nothing that was acknowledged is lost: many callers write and remember what they were answered, while the service,
//! its database or both are killed at random moments.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::process::Process;
use crate::storm::{self, Log, PROPERTIES};
use crate::support::{Account, Dice, OwnCluster, Reader, Replay};

const WRITERS: u64 = 16;
/// How many kills there are, unless `CRASH_ROUNDS` says otherwise.
const ROUNDS: u64 = 5;
/// How long a slow machine may take until the writers have done something of every kind.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is killed in a round.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Service,
    Database,
    Both,
}

/// Kills, starts again what was killed, and returns how long it took from the kill until the service was ready.
async fn strike(victim: Victim, service: &mut Process, database: &mut OwnCluster) -> Duration {
    let struck = Instant::now();
    if matches!(victim, Victim::Service | Victim::Both) {
        service.kill();
    }
    if matches!(victim, Victim::Database | Victim::Both) {
        database.kill();
        database.start().await;
    }
    service.start();
    service.ready().await;
    struck.elapsed()
}

/// Everyone's account of what happened agrees: callers, feed, and what there is.
async fn expect_nothing_lost(account: &Account, log: &Log) {
    let feed = Reader::all_of(account).await;
    log.expect_told(&feed);
    let replay = Replay::of(&feed);
    replay.expect_state_of(account, PROPERTIES).await;
    let active = replay.contacts.values().filter(|contact| contact["archived"] == false);
    for key in ["external_id", "badge"] {
        let mut held = HashSet::new();
        let holders = active.clone().filter_map(|contact| contact.get(key)?.as_str());
        holders.for_each(|value| assert!(held.insert(value), "two contacts have the {key} {value}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_whatever_is_killed() {
    let rounds = std::env::var("CRASH_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let mut database = OwnCluster::new().await;
    let mut service = Process::new(database.url(), &[]);
    service.start();
    service.ready().await;
    let account = Account::on(&database.server()).at_address(service.address());
    storm::prepare(&account).await;
    let log = Arc::new(Log::default());
    let write = |seed| tokio::spawn(storm::write(account.clone(), Arc::clone(&log), seed, usize::MAX));
    let writers: Vec<_> = (0..WRITERS).map(write).collect();

    let mut dice = Dice::new(rounds);
    let mut recoveries = vec![];
    for round in 0..rounds {
        tokio::time::sleep(Duration::from_millis(300 + dice.roll(400))).await;
        let victim = [Victim::Service, Victim::Database, Victim::Both][usize::try_from(round % 3).unwrap()];
        recoveries.push(strike(victim, &mut service, &mut database).await);
    }
    let calm = Instant::now();
    while !log.tells_enough() && calm.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    log.stop();
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(log.unknown() > 0, "no writer has noticed");
    expect_nothing_lost(&account, &log).await;
    recoveries.sort();
    println!(
        "{} writes acknowledged, {} left unknown, {rounds} kills, 0 lost; ready again after {:?} (median), {:?} (longest)",
        log.acknowledged(),
        log.unknown(),
        recoveries[recoveries.len() / 2],
        recoveries[recoveries.len() - 1],
    );
    assert!(!service.log().contains("panicked"), "{}", service.log());
}
