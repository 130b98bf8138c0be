//! Many long polls that wait while other accounts write, or nobody.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::{PATCH, print_progress, set_index};
use crate::bench::{Bench, Operation, Target};
use crate::client::connection::HttpConnection;
use crate::client::workload::{self, Workload};
use crate::data::DataSet;
use crate::report::{FigureTable, RequestTable};

/// The number of long polls, each of an account of its own.
const COUNT: u64 = 900;
/// The time after which the service has finished the work of opening or closing many connections.
const SETTLE_TIME: Duration = Duration::from_secs(2);

/// Prints PATCH with and without 900 long polls that wait, and the processor time while nobody writes.
pub async fn print_table(bench: &Bench) {
    let set = DataSet { fields: 0, filled_fields: 0, ..DataSet::narrow(set_index::POLLERS, COUNT, COUNT) };
    bench.fill(set, set.feed_statements()).await;
    let mut table = RequestTable::new("900 waiting long polls of other accounts", PATCH, "ratio without long polls");
    let mut figures = FigureTable::new("Processor time while nobody writes, in percent of a core");
    // A vacuum would be counted as the cost of waiting.
    bench.cluster.stop_autovacuum().await;
    for round in 0..bench.rounds {
        print_progress("long-polls", round, bench.rounds);
        for (index, target) in bench.targets_of_round(round) {
            measure_target(bench, &mut table, &mut figures, index, target, set).await;
        }
    }
    bench.cluster.start_autovacuum().await;
    table.print(bench.is_comparison());
    figures.print(bench.is_comparison());
}

async fn measure_target(
    bench: &Bench,
    table: &mut RequestTable,
    figures: &mut FigureTable,
    index: usize,
    target: &Target,
    set: DataSet,
) {
    let patch = Operation {
        name: PATCH,
        reference: None,
        workload: Workload::Patch,
        connections: 64,
        set: bench.main,
        time: bench.time,
    };
    let measurement = bench.measure_target(target, &target.server, patch).await;
    table.record(PATCH, None, index, measurement);
    let (service, database) = measure_idle(bench, target).await;
    figures.record("service + database, no long polls", 1, index, service + database);
    let memory = target.server.memory();
    let polls = WaitingPolls::start(target.server.address, set).await;
    let (service, database) = measure_idle(bench, target).await;
    figures.record("service + database, 900 long polls", 1, index, service + database);
    figures.record("service, 900 long polls", 1, index, service);
    figures.record("database, 900 long polls", 1, index, database);
    let growth = (target.server.memory() - memory) * 1_024.0 / COUNT as f64;
    figures.record("memory of the service for each long poll, KiB", 1, index, growth);
    let measurement = bench.measure_target(target, &target.server, patch).await;
    table.record("PATCH, 64, beside 900 long polls", Some(PATCH), index, measurement);
    polls.stop().await;
}

/// Returns the processor time of the service and of the database while nobody writes, in percent of a core.
async fn measure_idle(bench: &Bench, target: &Target) -> (f64, f64) {
    // Otherwise the database may still write out earlier changes.
    bench.cluster.execute(&target.database, ["CHECKPOINT".to_owned()]).await;
    tokio::time::sleep(SETTLE_TIME).await;
    let (started, service, database) = (Instant::now(), target.server.cpu(), bench.cluster.cpu());
    tokio::time::sleep(bench.time).await;
    let elapsed = started.elapsed().as_secs_f64();
    let percent = |before: Duration, after: Duration| after.saturating_sub(before).as_secs_f64() / elapsed * 100.0;
    (percent(service, target.server.cpu()), percent(database, bench.cluster.cpu()))
}

/// Long polls that wait, and start again when they end.
struct WaitingPolls {
    tasks: JoinSet<()>,
}

impl WaitingPolls {
    /// Starts a long poll for each account of the set. Returns when all of them wait.
    async fn start(address: SocketAddr, set: DataSet) -> Self {
        let mut tasks = JoinSet::new();
        let mut connection = HttpConnection::open(address).await;
        for token in workload::account_tokens(set) {
            let cursor = poll(&mut connection, &token, "now", 0).await;
            tasks.spawn(async move {
                let (mut connection, mut cursor) = (HttpConnection::open(address).await, cursor);
                loop {
                    cursor = poll(&mut connection, &token, &cursor, 30).await;
                }
            });
        }
        tokio::time::sleep(SETTLE_TIME).await;
        Self { tasks }
    }

    /// Stops the long polls. Panics if one has failed.
    async fn stop(mut self) {
        if let Some(result) = self.tasks.try_join_next() {
            result.unwrap();
        }
        self.tasks.shutdown().await;
        tokio::time::sleep(SETTLE_TIME).await;
    }
}

/// Reads the change feed of an account, and returns the next cursor.
async fn poll(connection: &mut HttpConnection, token: &str, after: &str, wait: u64) -> String {
    let request = format!(
        "GET /contacts/changes?after={after}&wait={wait} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    let response = connection.exchange(&request, "\"next\"").await.unwrap_or_else(|reason| panic!("{reason}"));
    workload::next_cursor(response).unwrap()
}
