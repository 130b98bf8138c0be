//! A multi-tenant contacts service. Its heart is `PATCH /contacts/{contactId}`.
//!
//! The rooms, from the door inwards. Who may know whom is held by `tests/architecture.rs`.

/// Bearer tokens.
pub mod auth;
/// The command line: a file a command.
pub mod cli;
/// What an API client is.
pub mod clients;
/// The settings; the only reader of the environment.
pub mod config;
/// What a contact is.
pub mod contacts;
/// A private PostgreSQL for `contacts dev` and the tests.
pub mod embedded;
/// What a field is.
pub mod fields;
/// Everything that speaks HTTP.
pub mod http;
/// Strict JSON, exactly as sent.
pub mod json;
/// Requests that the service itself sends.
mod outward;
/// Every line of SQL.
pub mod repository;
/// The log, the metrics, the traces.
pub mod telemetry;
/// Contacts as rows of text, for files.
pub mod transfer;
