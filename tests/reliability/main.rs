//! What is promised when things break: the service as a process, its database, and someone who breaks them.
//!
//! Each test has a short form, and a long one for figures: see docs/reliability.md.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod away;
mod consistency;
mod crash;
mod linearizable;
mod model;
mod overload;
mod process;
mod proxy;
mod soak;
#[path = "../api/changes/storm.rs"]
mod storm;
#[path = "../api/support/mod.rs"]
mod support;
