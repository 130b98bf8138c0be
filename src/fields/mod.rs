//! Fields of contacts: their types, their limits, and the registry of all fields of an account
//! (`docs/api-reference.md#fields`).
//!
//! This module has no I/O and uses neither axum nor sqlx.

mod custom_selection;
mod definition;
mod field;
mod field_id;
mod internal_names;
mod issues;
mod json_schema;
mod kind;
mod kinds;
mod number;
mod option_changes;
mod parse_value;
mod registry;
mod selection;
pub mod system;
mod validation_issue;
mod value;

pub use custom_selection::CustomSelection;
pub use definition::{FieldPatch, NewField, reject_system_field};
pub use field::{Field, FieldOption};
pub use field_id::FieldId;
pub use internal_names::RESERVED_NAMES;
pub use issues::{Issues, MAX_ISSUES};
pub use kind::Kind;
pub(crate) use kinds::datetime::{format as format_instant, parse_instant};
pub use number::Number;
pub use option_changes::OptionChanges;
#[cfg(test)]
pub(crate) use registry::fixtures as registry_fixtures;
pub use registry::{MAX_CUSTOM_FIELDS, MAX_UNIQUE_FIELDS, Registry, RegistryVersion, UnsupportedField};
pub use selection::{SELECTION_WORDS, Selection};
pub use validation_issue::{InvalidValue, Issue, IssueCode};
pub use value::{Value, Values};
