//! How many requests a second the service answers, beside what `pgbench` does with the same rows on the same machine.
//!
//! `cargo bench` starts a PostgreSQL of its own with durable settings, fills it, and prints a table; it stops all it
//! started. All figures are medians of rounds in which every way takes its turn. Arguments after `--`:
//! `--rows N` (1000000), `--rounds N` (3), `--seconds N` (5), `--connections N` (1, 16, 64 and 256), `--quick` (PATCH
//! and its baseline alone), `--scale` (how cost grows, instead of the table), `--import` (`contacts import` of that many
//! rows, beside `COPY` of the same file).

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs, unreachable_pub)]

mod client;
mod data;
mod import;
mod pgbench;
mod report;
mod server;
mod stage;

use std::time::Duration;

use client::Work;
use report::{Row, median};
use stage::{Shape, Stage};

/// What the command line asks for.
pub struct Plan {
    rows: u64,
    rounds: usize,
    time: Duration,
    quick: bool,
    /// Numbers of connections for PATCH.
    connections: Vec<usize>,
    scale: bool,
    import: bool,
}

impl Plan {
    fn read() -> Self {
        let arguments: Vec<_> = std::env::args().collect();
        let number = |name: &str, default: u64| {
            let place = arguments.iter().position(|argument| argument == name);
            place.and_then(|place| arguments.get(place + 1)?.parse().ok()).unwrap_or(default)
        };
        Self {
            rows: number("--rows", 1_000_000),
            rounds: usize::try_from(number("--rounds", 3)).unwrap(),
            time: Duration::from_secs(number("--seconds", 5)),
            connections: match number("--connections", 0) {
                0 => vec![1, 16, 64, 256],
                only => vec![usize::try_from(only).unwrap()],
            },
            quick: arguments.iter().any(|argument| argument == "--quick"),
            scale: arguments.iter().any(|argument| argument == "--scale"),
            import: arguments.iter().any(|argument| argument == "--import"),
        }
    }
}

#[tokio::main]
async fn main() {
    let plan = Plan::read();
    if plan.scale {
        scale(&plan).await;
    } else if plan.import {
        import::table(&plan).await;
    } else {
        table(&plan).await;
    }
}

/// The table of the README.
async fn table(plan: &Plan) {
    let stage = Stage::set(Shape { rows: plan.rows, accounts: 100, fields: 10, keys: true }).await;
    let (batched, single) = (stage.serve(256).await, stage.serve(1).await);
    let mut rows: Vec<Row> = Vec::new();
    let mut take = |name: String, figures| match rows.iter_mut().find(|row| row.name == name) {
        Some(row) => row.figures.push(figures),
        None => rows.push(Row { name, figures: vec![figures] }),
    };
    for round in 0..plan.rounds {
        eprintln!("round {} of {}", round + 1, plan.rounds);
        for clients in if plan.quick { vec![64] } else { vec![1, 16, 64] } {
            take(format!("pgbench UPDATE, {clients}"), stage.pgbench(pgbench::UPDATE, clients, plan.time).await);
        }
        for &connections in &plan.connections {
            take(format!("PATCH, {connections}"), stage.drive(&batched, Work::Patch, connections, plan.time).await);
            if !plan.quick {
                let figures = stage.drive(&single, Work::Patch, connections, plan.time).await;
                take(format!("PATCH unbatched, {connections}"), figures);
            }
        }
        if plan.quick {
            continue;
        }
        take("pgbench SELECT, 64".into(), stage.pgbench(pgbench::SELECT, 64, plan.time).await);
        take("GET /healthz, 64".into(), stage.drive(&batched, Work::Healthz, 64, plan.time).await);
        take("PUT by external id unbatched, 16".into(), stage.drive(&single, Work::Upsert, 16, plan.time).await);
        // Upserts before the keys they go by are changed.
        for (name, work, connections) in [
            ("PATCH of a custom field", Work::PatchCustom, 64),
            ("GET by id", Work::Get, 64),
            ("POST", Work::Post, 64),
            ("list of 100", Work::List, 64),
            ("search, its first page of 100", Work::Search, 16),
            ("search, its last page of 100", Work::SearchEnd, 16),
            ("PUT by external id", Work::Upsert, 16),
            ("batch of 1,000 upserts", Work::UpsertBatch, 1),
            ("batch of 1,000 upserts", Work::UpsertBatch, 2),
        ] {
            take(format!("{name}, {connections}"), stage.drive(&batched, work, connections, plan.time).await);
        }
    }
    for _ in 0..if plan.quick { 0 } else { plan.rounds } {
        let figures = stage.drive(&batched, Work::PatchKey, 64, plan.time).await;
        take("PATCH of a unique key, 64".into(), figures);
    }
    report::print(&rows, "pgbench UPDATE, 64");
}

/// How the cost of a PATCH grows, at 64 connections.
async fn scale(plan: &Plan) {
    println!("| rows | accounts | custom fields | PATCH/s | ratio to pgbench, 64 | p50 ms | p99 ms |");
    println!("|---|---|---|---|---|---|---|");
    for (rows, accounts, fields) in
        [(10_000, 100, 10), (1_000_000, 100, 10), (1_000_000, 100, 500), (1_000_000, 1, 10), (10_000_000, 100, 10)]
    {
        let stage = Stage::set(Shape { rows, accounts, fields, keys: false }).await;
        let server = stage.serve(256).await;
        let (mut baseline, mut figures) = (vec![], vec![]);
        for _ in 0..plan.rounds {
            baseline.push(stage.pgbench(pgbench::UPDATE, 64, plan.time).await);
            figures.push(stage.drive(&server, Work::PatchCustom, 64, plan.time).await);
        }
        let rate = median(figures.iter().map(|figures| figures.rate));
        println!(
            "| {rows} | {accounts} | {fields} | {rate:.0} | {:.2} | {:.2} | {:.2} |",
            rate / median(baseline.iter().map(|figures| figures.rate)),
            median(figures.iter().map(|figures| figures.p50)),
            median(figures.iter().map(|figures| figures.p99)),
        );
    }
}
