//! Hostile callers: no caller can exhaust the memory of the service, and none can keep other accounts from being served.
//!
//! These tests need all processors, so they are a program of their own, and run one after another.
//! `docs/reliability.md` describes their long forms and their results.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod connection;
mod exports;
mod fairness;
mod fixture;
mod many_connections;
mod memory;
#[allow(dead_code, reason = "another program uses the rest")]
#[path = "../reliability/service_process.rs"]
mod service_process;
mod shapes;
#[path = "../api/support/mod.rs"]
mod support;
mod timings;
