//! The API reference as its reader meets it: on `contacts dev`, with the examples that stand in the document.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod browser;
mod dev;
mod examples;
mod page;
