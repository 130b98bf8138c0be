//! The criteria and the order of a search.

use serde::Serialize;

use super::{Condition, Sort};

/// The contacts that a search matches, and their order. The serialized form identifies the search in the fingerprint of
/// its cursors.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SearchCriteria {
    /// A contact must meet all of these conditions.
    pub conditions: Vec<Condition>,
    /// A contact must meet all conditions of at least one group, unless there are no groups.
    pub condition_groups: Vec<Vec<Condition>>,
    /// Each query word must be the beginning of a word of a name, the email, a phone number or the company.
    pub query_words: Vec<String>,
    /// The order. The last sort is always by id, so that no two contacts compare as equal.
    pub sorts: Vec<Sort>,
    /// Whether the search matches archived contacts too.
    pub include_archived: bool,
}
