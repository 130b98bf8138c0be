//! Measures the throughput of the service, and compares it with `pgbench` on the same rows and the same machine.
//!
//! `cargo bench` starts a separate PostgreSQL with durable settings, fills it, prints a table for each scenario and
//! stops everything it started. All results are medians over rounds, and each round measures every operation once.
//! Arguments after `--`:
//!
//! - `--rows N` (1000000), `--rounds N` (3), `--seconds N` (3), `--connections N` (1, 16, 64 and 256)
//! - `--only NAME`: only one scenario: `requests`, `writes`, `empty-database`, `custom-fields`, `long-polls`, `purge`,
//!   `instances`, `storage`, `open-snapshot`, `scale`, `import` or `search`
//! - `--operations "TEXT|TEXT"`: only the operations whose names contain one of these texts
//! - `--against PATH`: another `contacts` binary, which is measured in alternation with this one
//! - `--quick`: only PATCH and its baseline
//! - `--scale`: the same as `--only scale`: how the cost of a PATCH grows with the data
//! - `--import`: the same as `--only import`: `contacts import` of that many rows, compared with `COPY`

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs, unreachable_pub)]

mod bench;
mod client;
mod cluster;
mod data;
mod options;
mod pgbench;
mod report;
mod scenarios;
mod server;

use options::Options;

#[tokio::main]
async fn main() {
    scenarios::run_all(&Options::from_arguments()).await;
}
