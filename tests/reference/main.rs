//! Tests of the API reference on `contacts dev`: the examples of the OpenAPI document, and the page in a browser.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod browser;
mod dev_server;
mod examples;
mod page;
