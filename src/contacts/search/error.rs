//! The reasons to reject the body of a search.

use crate::fields::Issues;

/// The reason why the body of a search is rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchError {
    /// The body does not have the structure of a search. Contains a message for the caller.
    InvalidBody(String),
    /// `properties` contains unknown names, and everything else is valid.
    InvalidProperties(Issues),
    /// Any other problems, and the unknown names in `properties`. Each issue names its path in the body, such as
    /// `filters[0].operator`.
    InvalidQuery(Issues),
}
