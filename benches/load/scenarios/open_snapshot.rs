//! Writes while a snapshot is held open, as by `pg_dump` or an analyst's query: the database cannot remove row versions.

use std::time::Duration;

use sqlx::{Connection, PgConnection};

use crate::bench::{Bench, Operation, Target};
use crate::client::workload::Workload;
use crate::pgbench;
use crate::report::FigureTable;

/// How long the snapshot is held before the throughput is measured.
const HELD: Duration = Duration::from_secs(165);
/// How long the throughput is measured, before the snapshot, while it is held, and after it.
const MEASURED: Duration = Duration::from_secs(15);

/// Prints the throughput of PATCH, and of pgbench, at the end of the time in which a snapshot is held open and after it,
/// relative to the throughput before.
pub async fn print_table(bench: &Bench) {
    let mut table = FigureTable::new("Open snapshot");
    for (index, target) in bench.targets.iter().enumerate() {
        eprintln!("open snapshot: PATCH, {}", target.name);
        let before = patch_rate(bench, target, MEASURED).await;
        let snapshot = hold_snapshot(bench, target).await;
        patch_rate(bench, target, HELD).await;
        let held = patch_rate(bench, target, MEASURED).await;
        snapshot.close().await.unwrap();
        let after = patch_rate(bench, target, MEASURED).await;
        table.record("PATCH, 64: after 3 minutes ÷ before", 2, index, held / before);
        table.record("PATCH, 64: after the snapshot ÷ before", 2, index, after / before);
    }
    eprintln!("open snapshot: pgbench");
    let target = &bench.targets[0];
    let update = |time| pgbench::measure(&bench.cluster, &target.database, bench.main, pgbench::UPDATE, 64, time).rate;
    let before = update(MEASURED);
    let snapshot = hold_snapshot(bench, target).await;
    update(HELD);
    table.record("pgbench UPDATE, 64: after 3 minutes ÷ before", 2, 0, update(MEASURED) / before);
    snapshot.close().await.unwrap();
    table.print(bench.is_comparison());
}

/// Opens a snapshot. It is held until the connection closes.
async fn hold_snapshot(bench: &Bench, target: &Target) -> PgConnection {
    let mut connection = PgConnection::connect(bench.cluster.url(&target.database).expose()).await.unwrap();
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM accounts LIMIT 1";
    sqlx::raw_sql(begin).execute(&mut connection).await.unwrap();
    connection
}

/// Returns the PATCH requests per second.
async fn patch_rate(bench: &Bench, target: &Target, time: Duration) -> f64 {
    let (name, workload, set) = ("PATCH", Workload::Patch, bench.main);
    let operation = Operation { name, reference: None, workload, connections: 64, set, time };
    bench.measure_target(target, &target.server, operation).await.rate
}
