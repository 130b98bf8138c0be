//! The OpenAPI document (`docs/api-reference.md#generated-clients`).
//!
//! Each handler describes its own operation. This module holds the types that those descriptions refer to, the parts
//! that operations share, and the handler of `GET /openapi.json`. The router collects the operations.

mod account_document;
pub(super) mod base_document;
pub(super) mod batch_schemas;
pub(super) mod code_samples;
mod contact_schemas;
pub(super) mod endpoint;
mod error_schema;
mod operations;
mod option_schemas;
pub(super) mod parameters;
pub(super) mod responses;
pub(super) mod schemas;
mod scopes;
pub(super) mod search;
pub(super) mod shared_parts;
#[cfg(test)]
mod tests;
