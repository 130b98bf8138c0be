//! Tests of the service, as a process, under failures: crashes, an unavailable database, overload and long runs.
//!
//! `cargo test` runs a short form of each test. `docs/reliability.md` describes the long forms and their results.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "../api/changes/concurrent_writers.rs"]
mod concurrent_writers;
mod consistency;
mod crash;
mod database_proxy;
mod linearizable;
mod model;
mod moved_database;
mod overload;
mod pgbouncer;
#[allow(dead_code, reason = "another program uses the rest")]
mod service_process;
mod soak;
mod stopped_instance;
#[path = "../api/support/mod.rs"]
mod support;
mod unavailable_database;
mod wrong_clock;
