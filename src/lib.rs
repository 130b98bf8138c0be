//! A multi-tenant contacts service with an HTTP API, on PostgreSQL.
//!
//! `tests/architecture` lists which module may use which, and checks it.

/// Signing and verification of bearer tokens.
pub mod auth;
/// The command line, with one file for each command.
pub mod cli;
/// API clients: ids, names, secrets and scopes.
pub mod clients;
/// Settings. The only module that reads environment variables.
pub mod config;
/// Contacts: patches, changes, queries and unique keys.
pub mod contacts;
/// A private PostgreSQL for `contacts dev` and the tests.
pub mod embedded;
mod fair_semaphore;
/// Fields: definitions, types, values and validation.
pub mod fields;
/// The HTTP API.
pub mod http;
/// The client for the HTTP requests that the service itself sends.
mod http_client;
/// Import and export of contacts as CSV.
pub mod import_export;
/// A strict JSON parser.
pub mod json;
mod memory_budget;
/// The database: all SQL of the service.
pub mod repository;
/// Logs, metrics and traces.
pub mod telemetry;
#[cfg(test)]
#[path = "../tests/api/support/test_seed.rs"]
#[allow(unreachable_pub)]
mod test_seed;
