//! The HTTP API: routes, middleware, handlers, and the connections that carry them.
//!
//! Handlers use the repository and the domain modules. No code in this module runs SQL.

mod app;
mod array_response;
mod authentication;
mod batch;
mod bodiless_responses;
mod buffered_body;
mod change_feed;
mod conditional_headers;
mod contacts;
mod content_coding;
mod cors;
mod docs;
mod drain_body;
mod error;
mod export;
mod extractors;
mod fallbacks;
mod fields;
mod header_validation;
mod health;
mod idempotency;
mod json_response;
mod limits;
mod long_poll;
mod me;
mod metrics_endpoint;
mod metrics_text;
mod next_link;
mod oauth;
mod openapi;
mod peer;
mod query;
mod readiness;
mod representation_tag;
mod request_context;
mod request_metrics;
mod request_span;
mod request_timeout;
mod required_scope;
mod reserved_segments;
mod response_compression;
mod return_preference;
mod router;
mod search;
mod server;
mod static_content;
mod write_request;

pub use app::App;
pub use fields::FieldResponse;
pub use router::openapi_document;
pub use server::{listen, listen_for_metrics};
