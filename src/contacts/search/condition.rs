//! The parsed filters of a search.
//!
//! The fingerprint of a cursor is made of the serialized form: the names in `serde(rename)` must never change, or
//! cursors would end with an upgrade. They do not depend on the names in the code.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::fields::{Field, Value};

/// A condition on the value of one field.
#[derive(Debug, Clone)]
pub struct Condition {
    /// The field.
    pub field: Arc<Field>,
    /// The predicate that its value must satisfy.
    pub predicate: Predicate,
}

/// A predicate on a value. An unset value satisfies only `IsUnset`, `NoneOf`, and a `OneOf` that includes unset values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Predicate {
    /// The field is set.
    #[serde(rename = "IsSet")]
    IsSet,
    /// The field is unset.
    #[serde(rename = "IsUnset")]
    IsUnset,
    /// The value is one of these values.
    #[serde(rename = "OneOf")]
    OneOf(ValueSet),
    /// The value is none of these values.
    #[serde(rename = "NoneOf")]
    NoneOf(ValueSet),
    /// The value satisfies every one of these comparisons.
    #[serde(rename = "Compared")]
    Compared(Vec<(Comparison, Value)>),
    /// The text contains this text, ignoring case.
    #[serde(rename = "Contains")]
    Contains(String),
    /// The text starts with this text, ignoring case.
    #[serde(rename = "StartsWith")]
    StartsWith(String),
    /// The set of options contains this option.
    #[serde(rename = "ContainsOption")]
    ContainsOption(String),
}

/// The values of `eq`, `neq`, `in` and `not_in`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ValueSet {
    /// The values. Emails are in lower case, because they compare case-insensitively.
    #[serde(rename = "values")]
    pub values: Vec<Value>,
    /// Whether the set includes unset values: `archived: false` matches contacts without a time of archiving.
    #[serde(rename = "includes_unset")]
    pub includes_unset: bool,
}

/// A comparison of two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Comparison {
    /// `lt`
    #[serde(rename = "Less")]
    Less,
    /// `lte`
    #[serde(rename = "AtMost")]
    AtMost,
    /// `gt`
    #[serde(rename = "Greater")]
    Greater,
    /// `gte`
    #[serde(rename = "AtLeast")]
    AtLeast,
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.field.id == other.field.id && self.predicate == other.predicate
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.field.id.0, &self.predicate).serialize(serializer)
    }
}
