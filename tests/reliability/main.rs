//! What is promised when things break: the service as a process, its database, and someone who breaks them.
//!
//! Each test has a short form, and a long one for figures: see docs/reliability.md.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod crash;
mod process;
// Not all of it is used here.
#[allow(dead_code, unused_imports)]
#[path = "../api/changes/storm.rs"]
mod storm;
#[allow(dead_code, unused_imports)]
#[path = "../api/support/mod.rs"]
mod support;
