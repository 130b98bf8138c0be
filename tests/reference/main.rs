//! Tests of the API reference on `contacts dev`: the code samples of the OpenAPI document, and the page in a browser.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod browser;
mod code_samples;
mod dev_server;
mod page;
