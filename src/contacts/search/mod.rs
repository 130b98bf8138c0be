//! What a search looks for, in which order, and from where (contract §6).
//!
//! A body is read in two steps: its shape (`shape.rs`), then what it says by the account's registry (`request.rs`).

mod condition;
mod filter;
mod operand;
mod operator;
mod place;
mod request;
mod shape;
mod sort;
mod words;

use serde::Serialize;

pub use condition::{Choice, Comparison, Condition, Test};
pub use place::Place;
pub use request::SearchRequest;
pub use sort::Sort;

use crate::fields::Issue;

/// Which contacts of an account a search finds, and their order. Serializes to what tells it from any other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Search {
    /// All of these hold.
    pub conditions: Vec<Condition>,
    /// Of these groups, if there are any, one holds wholly.
    pub groups: Vec<Vec<Condition>>,
    /// Each begins a word of a name, the email, a phone number or the company.
    pub words: Vec<String>,
    /// The order: the last one is always by id, so that no two contacts are equal.
    pub sorts: Vec<Sort>,
    /// Archived contacts too.
    pub archived: bool,
}

/// Why the body of a search is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchError {
    /// The body, or a part of it, has another shape than a search. Says which.
    Shape(String),
    /// `properties` names unknown fields, and nothing else is wrong.
    Properties(Vec<Issue>),
    /// Anything else, `properties` included: each place in the body, such as `filters[0].operator`.
    Query(Vec<Issue>),
}
