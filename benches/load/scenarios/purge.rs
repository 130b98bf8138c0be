//! The purge of a contact with a long history, beside writers of its own account and of other accounts.

use std::time::{Duration, Instant};

use super::{print_progress, set_index};
use crate::bench::{Bench, Target};
use crate::client::connection::HttpConnection;
use crate::client::load::{RunningLoad, Sample};
use crate::client::workload::{self, RequestBuilder, Workload};
use crate::data::DataSet;
use crate::report::FigureTable;

/// The number of changes of the purged contact.
const CHANGES: u64 = 137_000;
/// The number of contacts in the account of the purged contact that are written meanwhile.
const OWN_ROWS: u64 = 1_000;
const OWN_CONNECTIONS: usize = 16;
const OTHER_CONNECTIONS: usize = 48;
/// The time of writes before the purge.
const TIME_BEFORE: Duration = Duration::from_secs(2);

/// Prints the time of a purge, and the longest response time of other requests before it and meanwhile.
pub async fn print_table(bench: &Bench) {
    // The last contacts have histories, one for each round.
    let rows = OWN_ROWS + bench.rounds as u64;
    let set = DataSet::narrow(set_index::HISTORIES, rows, 1);
    bench.fill(set, set.history_statements(OWN_ROWS, CHANGES)).await;
    let mut table = FigureTable::new("Purge of a contact with 137,000 changes, beside PATCH at 64 connections");
    for round in 0..bench.rounds {
        print_progress("purge", round, bench.rounds);
        for (index, target) in bench.targets_of_round(round) {
            measure_target(bench, &mut table, index, target, set, OWN_ROWS + round as u64).await;
        }
    }
    table.print(bench.is_comparison());
}

async fn measure_target(
    bench: &Bench,
    table: &mut FigureTable,
    index: usize,
    target: &Target,
    set: DataSet,
    contact: u64,
) {
    let writers = DataSet { rows: OWN_ROWS, ..set };
    let other = start_writers(target, bench.main, OTHER_CONNECTIONS).await;
    let own = start_writers(target, writers, OWN_CONNECTIONS).await;
    tokio::time::sleep(TIME_BEFORE / 4).await;
    let calm = Instant::now();
    tokio::time::sleep(TIME_BEFORE).await;
    let started = Instant::now();
    purge(target, set, contact).await;
    let ended = Instant::now();
    let (other, own) = (other.stop().await, own.stop().await);
    table.record("the purge, ms", 0, index, milliseconds(ended - started));
    for (name_before, name_meanwhile, samples) in [
        ("other accounts: longest response before, ms", "other accounts: longest response meanwhile, ms", &other),
        ("its own account: longest response before, ms", "its own account: longest response meanwhile, ms", &own),
    ] {
        let before = samples.iter().filter(|sample| sample.started >= calm && sample.ended() < started);
        let meanwhile = samples.iter().filter(|sample| sample.started < ended && sample.ended() > started);
        table.record(name_before, 0, index, longest_response(before));
        table.record(name_meanwhile, 0, index, longest_response(meanwhile));
    }
    let ratio = rate_between(&other, started, ended) / rate_between(&other, calm, started);
    table.record("other accounts: PATCH meanwhile, ratio to PATCH before", 2, index, ratio);
}

async fn start_writers(target: &Target, set: DataSet, connections: usize) -> RunningLoad {
    let builder = RequestBuilder::new(target.server.address, Workload::Patch, set).await.unwrap();
    RunningLoad::start(target.server.address, builder, connections)
}

/// Purges a contact, and returns when the response has come.
async fn purge(target: &Target, set: DataSet, contact: u64) {
    let token = &workload::account_tokens(set)[0];
    let line = format!("POST /contacts/{}/purge HTTP/1.1", set.contact(contact));
    let request = format!("{line}\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: 0\r\n\r\n");
    let mut connection = HttpConnection::open(target.server.address).await;
    connection.exchange(&request, "").await.unwrap_or_else(|reason| panic!("{reason}"));
}

/// Returns the longest response time in milliseconds.
fn longest_response<'a>(samples: impl Iterator<Item = &'a Sample>) -> f64 {
    milliseconds(samples.map(|sample| sample.latency).max().unwrap_or_default())
}

/// Returns the rate of the requests that ended between two points in time.
fn rate_between(samples: &[Sample], from: Instant, to: Instant) -> f64 {
    let count = samples.iter().filter(|sample| sample.ended() >= from && sample.ended() < to).count();
    count as f64 / (to - from).as_secs_f64()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
