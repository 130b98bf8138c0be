//! The parsed filters of a search.

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
    IsSet,
    /// The field is unset.
    IsUnset,
    /// The value is one of these values.
    OneOf(ValueSet),
    /// The value is none of these values.
    NoneOf(ValueSet),
    /// The value satisfies every one of these comparisons.
    Compared(Vec<(Comparison, Value)>),
    /// The text contains this text, ignoring case.
    Contains(String),
    /// The text starts with this text, ignoring case.
    StartsWith(String),
    /// The set of options contains this option.
    ContainsOption(String),
}

/// The values of `eq`, `neq`, `in` and `not_in`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ValueSet {
    /// The values. Emails are in lower case, because they compare case-insensitively.
    pub values: Vec<Value>,
    /// Whether the set includes unset values: `archived: false` matches contacts without a time of archiving.
    pub includes_unset: bool,
}

/// A comparison of two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Comparison {
    /// `lt`
    Less,
    /// `lte`
    AtMost,
    /// `gt`
    Greater,
    /// `gte`
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
