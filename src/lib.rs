//! A multi-tenant contacts service. Its heart is `PATCH /contacts/{contactId}`.
//!
//! The rooms, from the door inwards; who may know whom is held by `tests/architecture.rs`.

pub mod auth;
pub mod config;
pub mod contacts;
pub mod fields;
pub mod json;
pub mod telemetry;
