//! What is fuzzed. Each target takes any bytes, drives the code of the service that reads such bytes from outside, and
//! holds what comes of them to rules that hold for all of them. `tests/fuzz` runs them on stable Rust; of the crate
//! `fuzz/` this is the library, and cargo-fuzz runs them.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod account;
mod body;
mod csv;
mod cursors;
mod definition;
mod properties;
mod search;
mod token;

pub use body::body;
pub use csv::csv;
pub use cursors::cursors;
pub use definition::definition;
pub use properties::properties;
pub use search::search;
pub use token::token;

use contacts::fields::Issue;
use contacts::json::{self, Json, Object};

/// The object that these bytes are as JSON.
fn object(bytes: &[u8]) -> Option<Object<'_>> {
    json::parse(bytes).ok().and_then(Json::into_object)
}

/// What holds for every list of problems that a caller is told.
fn expect_told(issues: &[Issue]) {
    assert!(!issues.is_empty());
    for issue in issues {
        assert!(!issue.message.is_empty() && !issue.code.as_str().is_empty(), "{issue:?}");
    }
}
