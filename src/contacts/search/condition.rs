//! What must hold of a contact: the filters of a search, understood.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::fields::{Field, Value};

/// What must hold of a field.
#[derive(Debug, Clone)]
pub struct Condition {
    /// The field.
    pub field: Arc<Field>,
    /// What must hold of its value.
    pub test: Test,
}

/// What must hold of a value. One that is unset passes `IsUnset` and `NoneOf` only, or a choice that includes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Test {
    /// It has one.
    IsSet,
    /// It has none.
    IsUnset,
    /// It is one of these.
    OneOf(Choice),
    /// It is none of these.
    NoneOf(Choice),
    /// It stands so to each of these.
    Compared(Vec<(Comparison, Value)>),
    /// The text holds this part, in any case.
    Contains(String),
    /// The text begins with this part, in any case.
    StartsWith(String),
    /// The set holds this option.
    Holds(String),
}

/// The values of `eq`, `neq`, `in` and `not_in`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// The values; emails in lower case, in which they are compared.
    pub values: Vec<Value>,
    /// Unset as well: `archived: false` is the one value that stands for it.
    pub unset: bool,
}

/// How a value stands to another.
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
        self.field.id == other.field.id && self.test == other.test
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.field.id.0, &self.test).serialize(serializer)
    }
}
