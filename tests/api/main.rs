//! Tests of the API over HTTP, against a real PostgreSQL. The modules follow the structure of the URLs.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod changes;
mod cleanup;
mod contacts;
mod content_encoding;
mod cors;
mod docs;
mod errors;
mod export;
mod field_names;
mod fields;
#[path = "../../src/auth/fixtures.rs"]
mod fixtures;
mod fuzz;
mod health;
mod history_fork;
mod idempotency;
mod isolation;
mod jwks;
mod limits;
mod me;
mod metrics;
mod next_links;
mod oauth;
mod openapi;
mod order_of_checks;
mod response_compression;
mod scopes;
mod support;
mod tokens;
mod unknown_parameters;
mod unsupported_fields;
mod wire;
