//! The API from outside, over real HTTP and a real PostgreSQL. The tree mirrors that of the URLs.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod changes;
mod contacts;
mod cors;
mod docs;
mod errors;
mod fields;
mod fuzz;
mod health;
mod idempotency;
mod isolation;
mod keys;
mod limits;
mod metrics;
mod oauth;
mod openapi;
mod order_of_checks;
#[path = "../../src/auth/samples.rs"]
mod samples;
mod scopes;
mod support;
mod tokens;
mod wire;
