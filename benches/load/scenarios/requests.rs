//! The operations of the API, compared with pgbench.

use super::{PATCH, print_progress, set_index};
use crate::bench::{Bench, Operation};
use crate::client::workload::Workload;
use crate::data::DataSet;
use crate::options::Options;
use crate::pgbench;
use crate::report::RequestTable;
use crate::server::ServerProcess;

const PGBENCH: &str = "pgbench UPDATE, 64";

/// Prints how fast each operation is.
pub async fn print_table(bench: &Bench, options: &Options) {
    let mut table = RequestTable::new("Requests", PATCH, "ratio to pgbench UPDATE, 64");
    // PATCH of a unique key has contacts of its own, because it changes the external ids that upserts use.
    let changing_keys = DataSet::narrow(set_index::CHANGING_KEYS, (options.rows / 10).max(1_000), 100);
    let mut unbatched_servers = vec![];
    if !options.is_quick {
        bench.fill(changing_keys, vec![]).await;
        for target in &bench.targets {
            let url = bench.cluster.url(&target.database);
            unbatched_servers.push(ServerProcess::start(&target.binary, &url, 1, bench.cluster.folder()).await);
        }
    }
    for round in 0..bench.rounds {
        print_progress("requests", round, bench.rounds);
        for clients in if options.is_quick { vec![64] } else { vec![1, 16, 64] } {
            let name = format!("pgbench UPDATE, {clients}");
            if bench.is_selected(&name) {
                table.record(&name, Some(PGBENCH), 0, bench.measure_pgbench(pgbench::UPDATE, clients));
            }
        }
        for &connections in &options.connections {
            let name = format!("PATCH, {connections}");
            bench.measure(&mut table, round, operation(bench, &name, Workload::Patch, connections)).await;
            if !options.is_quick {
                let name = format!("PATCH unbatched, {connections}");
                let patch = operation(bench, &name, Workload::Patch, connections);
                measure_unbatched(bench, &unbatched_servers, &mut table, round, patch).await;
            }
        }
        if options.is_quick {
            continue;
        }
        if bench.is_selected("pgbench SELECT, 64") {
            table.record("pgbench SELECT, 64", Some(PGBENCH), 0, bench.measure_pgbench(pgbench::SELECT, 64));
        }
        let upsert = operation(bench, "PUT by external id unbatched, 16", Workload::UpsertExisting, 16);
        measure_unbatched(bench, &unbatched_servers, &mut table, round, upsert).await;
        measure_other_operations(bench, &mut table, round, changing_keys).await;
    }
    table.print(bench.is_comparison());
}

fn operation<'a>(bench: &Bench, name: &'a str, workload: Workload, connections: usize) -> Operation<'a> {
    Operation { name, reference: Some(PGBENCH), workload, connections, set: bench.main, time: bench.time }
}

/// Measures an operation with services that write each request in its own transaction.
async fn measure_unbatched(
    bench: &Bench,
    servers: &[ServerProcess],
    table: &mut RequestTable,
    round: usize,
    operation: Operation<'_>,
) {
    if !bench.is_selected(operation.name) {
        return;
    }
    for (index, target) in bench.targets_of_round(round) {
        let measurement = bench.measure_target(target, &servers[index], operation).await;
        table.record(operation.name, operation.reference, index, measurement);
    }
}

async fn measure_other_operations(bench: &Bench, table: &mut RequestTable, round: usize, changing_keys: DataSet) {
    for (name, workload, connections) in [
        ("GET /healthz, 64", Workload::Healthz, 64),
        ("PATCH of a custom field, 64", Workload::PatchCustom, 64),
        ("GET by id, 64", Workload::Get, 64),
        ("POST, 64", Workload::Post, 64),
        ("list of 100, 64", Workload::List, 64),
        ("search, its first page of 100, 16", Workload::Search, 16),
        ("search, its last page of 100, 16", Workload::SearchEnd, 16),
        ("PUT by external id, 16", Workload::UpsertExisting, 16),
        ("batch of 1,000 upserts, 1", Workload::UpsertBatch, 1),
        ("batch of 1,000 upserts, 2", Workload::UpsertBatch, 2),
    ] {
        bench.measure(table, round, operation(bench, name, workload, connections)).await;
    }
    let patch = operation(bench, "PATCH of a unique key, 64", Workload::PatchUnique, 64);
    bench.measure(table, round, Operation { set: changing_keys, ..patch }).await;
}
