//! The criteria and the order of a search.

use serde::Serialize;

use super::{Condition, Sort};

/// The contacts that a search matches, and their order. The serialized form identifies the search in the fingerprint of
/// its cursors: the names and the order of its members must never change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SearchCriteria {
    /// A contact must meet all of these conditions.
    #[serde(rename = "conditions")]
    pub conditions: Vec<Condition>,
    /// A contact must meet all conditions of at least one group, unless there are no groups.
    #[serde(rename = "condition_groups")]
    pub condition_groups: Vec<Vec<Condition>>,
    /// Each query word must be the beginning of a word of a name, the email, a phone number or the company.
    #[serde(rename = "query_words")]
    pub query_words: Vec<String>,
    /// The order. The last sort is always by id, so that no two contacts compare as equal.
    #[serde(rename = "sorts")]
    pub sorts: Vec<Sort>,
    /// Whether the search matches archived contacts too.
    #[serde(rename = "include_archived")]
    pub include_archived: bool,
}

impl SearchCriteria {
    /// Returns the number of conditions, without the one that excludes archived contacts. 0: all contacts match.
    #[must_use]
    pub fn condition_count(&self) -> usize {
        let in_groups: usize = self.condition_groups.iter().map(Vec::len).sum();
        self.conditions.len() + in_groups + self.query_words.len()
    }
}
