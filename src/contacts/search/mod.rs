//! Searches of contacts (`docs/api-reference.md#search`).
//!
//! The body of a search is parsed in two steps: first its structure (`search_body.rs`), then its content against the
//! account's registry (`request.rs`).

mod condition;
mod criteria;
mod error;
mod filter;
mod operand;
mod operator;
mod query_words;
mod request;
mod search_body;
mod search_cursor;
mod sort;

pub use condition::{Comparison, Condition, Predicate, ValueSet};
pub use criteria::SearchCriteria;
pub use error::SearchError;
pub use request::SearchRequest;
pub use search_cursor::SearchCursor;
pub use sort::Sort;
