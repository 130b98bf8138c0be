//! Measures the throughput of the service, and compares it with `pgbench` on the same rows and the same machine.
//!
//! `cargo bench` starts a separate PostgreSQL with durable settings, fills it, prints a table and stops everything it
//! started. All results are medians over rounds, and each round measures every operation once. Arguments after `--`:
//!
//! - `--rows N` (1000000), `--rounds N` (3), `--seconds N` (5), `--connections N` (1, 16, 64 and 256)
//! - `--quick`: only PATCH and its baseline
//! - `--scale`: how the cost of a PATCH grows with the data, instead of the table
//! - `--import`: `contacts import` of that many rows, compared with `COPY` of the same file

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs, unreachable_pub)]

mod bench_database;
mod client;
mod data;
mod import;
mod options;
mod pgbench;
mod report;
mod server;

use bench_database::BenchDatabase;
use client::Workload;
use data::DataSize;
use options::Options;
use report::{ResultRow, median};

#[tokio::main]
async fn main() {
    let options = Options::from_arguments();
    if options.is_scale {
        print_scale_table(&options).await;
    } else if options.is_import {
        import::print_import_table(&options).await;
    } else {
        print_request_table(&options).await;
    }
}

/// Prints the benchmark table of docs/performance.md.
async fn print_request_table(options: &Options) {
    let database =
        BenchDatabase::start(DataSize { rows: options.rows, accounts: 100, fields: 10, has_unique_keys: true }).await;
    let (batched, single) = (database.start_server(256).await, database.start_server(1).await);
    let mut rows: Vec<ResultRow> = Vec::new();
    let mut record = |name: String, measurement| match rows.iter_mut().find(|row| row.name == name) {
        Some(row) => row.measurements.push(measurement),
        None => rows.push(ResultRow { name, measurements: vec![measurement] }),
    };
    for round in 0..options.rounds {
        eprintln!("round {} of {}", round + 1, options.rounds);
        for clients in if options.is_quick { vec![64] } else { vec![1, 16, 64] } {
            record(
                format!("pgbench UPDATE, {clients}"),
                database.measure_pgbench(pgbench::UPDATE, clients, options.time).await,
            );
        }
        for &connections in &options.connections {
            record(
                format!("PATCH, {connections}"),
                database.measure_requests(&batched, Workload::Patch, connections, options.time).await,
            );
            if !options.is_quick {
                let measurement = database.measure_requests(&single, Workload::Patch, connections, options.time).await;
                record(format!("PATCH unbatched, {connections}"), measurement);
            }
        }
        if options.is_quick {
            continue;
        }
        record("pgbench SELECT, 64".into(), database.measure_pgbench(pgbench::SELECT, 64, options.time).await);
        record(
            "GET /healthz, 64".into(),
            database.measure_requests(&batched, Workload::Healthz, 64, options.time).await,
        );
        record(
            "PUT by external id unbatched, 16".into(),
            database.measure_requests(&single, Workload::Upsert, 16, options.time).await,
        );
        // PATCH of a unique key runs after all rounds, because it changes the external ids that upserts use.
        for (name, workload, connections) in [
            ("PATCH of a custom field", Workload::PatchCustom, 64),
            ("GET by id", Workload::Get, 64),
            ("POST", Workload::Post, 64),
            ("list of 100", Workload::List, 64),
            ("search, its first page of 100", Workload::Search, 16),
            ("search, its last page of 100", Workload::SearchEnd, 16),
            ("PUT by external id", Workload::Upsert, 16),
            ("batch of 1,000 upserts", Workload::UpsertBatch, 1),
            ("batch of 1,000 upserts", Workload::UpsertBatch, 2),
        ] {
            record(
                format!("{name}, {connections}"),
                database.measure_requests(&batched, workload, connections, options.time).await,
            );
        }
    }
    for _ in 0..if options.is_quick { 0 } else { options.rounds } {
        let measurement = database.measure_requests(&batched, Workload::PatchKey, 64, options.time).await;
        record("PATCH of a unique key, 64".into(), measurement);
    }
    report::print_table(&rows, "pgbench UPDATE, 64");
}

/// Prints how the cost of a PATCH grows with the data, at 64 connections.
async fn print_scale_table(options: &Options) {
    println!("| rows | accounts | custom fields | PATCH/s | ratio to pgbench, 64 | p50 ms | p99 ms |");
    println!("|---|---|---|---|---|---|---|");
    for (rows, accounts, fields) in
        [(10_000, 100, 10), (1_000_000, 100, 10), (1_000_000, 100, 500), (1_000_000, 1, 10), (10_000_000, 100, 10)]
    {
        let database = BenchDatabase::start(DataSize { rows, accounts, fields, has_unique_keys: false }).await;
        let server = database.start_server(256).await;
        let (mut baseline, mut measurements) = (vec![], vec![]);
        for _ in 0..options.rounds {
            baseline.push(database.measure_pgbench(pgbench::UPDATE, 64, options.time).await);
            measurements.push(database.measure_requests(&server, Workload::PatchCustom, 64, options.time).await);
        }
        let rate = median(measurements.iter().map(|measurement| measurement.rate));
        println!(
            "| {rows} | {accounts} | {fields} | {rate:.0} | {:.2} | {:.2} | {:.2} |",
            rate / median(baseline.iter().map(|measurement| measurement.rate)),
            median(measurements.iter().map(|measurement| measurement.p50)),
            median(measurements.iter().map(|measurement| measurement.p99)),
        );
    }
}
