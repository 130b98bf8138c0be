//! The fuzz targets. Each target passes arbitrary bytes to the code of the service that parses such input, and checks
//! rules that hold for every input. `tests/fuzz` runs the targets on stable Rust. The crate `fuzz/` uses this module as
//! its library, so that cargo-fuzz can run them.

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

/// Parses a JSON object. Returns `None` for other input.
fn parse_object(bytes: &[u8]) -> Option<Object<'_>> {
    json::parse(bytes).ok().and_then(Json::into_object)
}

/// Checks that every issue of an error response has a message and a code.
fn expect_complete_issues(issues: &[Issue]) {
    assert!(!issues.is_empty());
    for issue in issues {
        assert!(!issue.message.is_empty() && !issue.code.as_str().is_empty(), "{issue:?}");
    }
}
