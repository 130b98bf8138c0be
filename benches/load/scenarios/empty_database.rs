//! The first contacts in an empty database, which the planner has no statistics of.

use std::time::{Duration, Instant};

use super::{PATCH, print_progress};
use crate::bench::{Bench, Operation, Target};
use crate::client::load::{RunningLoad, Sample};
use crate::client::workload::{RequestBuilder, Workload};
use crate::data::DataSet;
use crate::report::FigureTable;
use crate::server::{self, BATCHED, ServerProcess};

const CONNECTIONS: usize = 64;
/// The seconds of creations without statistics.
const SECONDS: usize = 20;
/// The seconds of the window whose rate is the slowest.
const WINDOW: usize = 4;
/// The seconds of creations after ANALYZE.
const SECONDS_AFTER: usize = 6;

/// Prints the slowest four seconds of a new account's first 20 s of upserts, and the rate after ANALYZE.
pub async fn print_table(bench: &Bench) {
    let mut table = FigureTable::new("Empty database: new contacts by PUT with an external id, 64 connections");
    for round in 0..bench.rounds {
        print_progress("empty-database", round, bench.rounds);
        for (index, target) in bench.targets_of_round(round) {
            let patch = Operation {
                name: PATCH,
                reference: None,
                workload: Workload::Patch,
                connections: CONNECTIONS,
                set: bench.main,
                time: bench.time,
            };
            let patch_rate = bench.measure_target(target, &target.server, patch).await.rate;
            let (slowest, after) = measure_first_contacts(bench, target).await;
            table.record("slowest four seconds, contacts a second", 0, index, slowest);
            table.record("after ANALYZE, contacts a second", 0, index, after);
            table.record("slowest four seconds, ratio to after ANALYZE", 2, index, slowest / after);
            table.record("PATCH of the main data, 64 connections, a second", 0, index, patch_rate);
            table.record("slowest four seconds, ratio to PATCH", 2, index, slowest / patch_rate);
            table.record("after ANALYZE, ratio to PATCH", 2, index, after / patch_rate);
        }
    }
    table.print(bench.is_comparison());
}

/// Returns the rate of the slowest window in an empty database without autovacuum, and the rate after ANALYZE.
async fn measure_first_contacts(bench: &Bench, target: &Target) -> (f64, f64) {
    let database = format!("empty_{}", target.name);
    bench.cluster.stop_autovacuum().await;
    bench.cluster.create_database(&database).await;
    let url = bench.cluster.url(&database);
    server::migrate(&target.binary, &url);
    let server = ServerProcess::start(&target.binary, &url, BATCHED, bench.cluster.folder()).await;
    let counts = create_contacts(&server, SECONDS).await;
    eprintln!("contacts in each second: {counts:?}");
    let slowest = counts.windows(WINDOW).map(|window| window.iter().sum::<u32>()).min().unwrap();
    bench.cluster.execute(&database, ["ANALYZE".to_owned()]).await;
    let after: u32 = create_contacts(&server, SECONDS_AFTER).await.iter().sum();
    drop(server);
    bench.cluster.drop_database(&database).await;
    bench.cluster.start_autovacuum().await;
    (f64::from(slowest) / WINDOW as f64, f64::from(after) / SECONDS_AFTER as f64)
}

/// Creates contacts of one account for this many seconds, and returns the number of contacts in each second.
async fn create_contacts(server: &ServerProcess, seconds: usize) -> Vec<u32> {
    let set = DataSet::narrow(0, 1, 1);
    let builder = RequestBuilder::new(server.address, Workload::UpsertNew, set).await.unwrap();
    let started = Instant::now();
    let load = RunningLoad::start(server.address, builder, CONNECTIONS);
    tokio::time::sleep(Duration::from_secs(seconds as u64)).await;
    count_by_second(&load.stop().await, started, seconds)
}

/// Returns the number of requests that ended in each second.
fn count_by_second(samples: &[Sample], started: Instant, seconds: usize) -> Vec<u32> {
    let mut counts = vec![0; seconds];
    for sample in samples {
        let second = sample.ended().duration_since(started).as_secs();
        if let Some(count) = usize::try_from(second).ok().and_then(|second| counts.get_mut(second)) {
            *count += 1;
        }
    }
    counts
}
