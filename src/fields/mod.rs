//! What a field is: its kind, its limits, and the registry that knows every field of an account (contract §4).
//!
//! Pure: no I/O, no axum, no sqlx.

mod definition;
mod issue;
mod kind;
mod kinds;
mod names;
mod registry;
mod schema;
mod selection;
pub mod system;
mod value;

pub use definition::{FieldPatch, NewField, refuse_system_field};
pub use issue::{Issue, IssueCode, Refusal};
pub use kind::Kind;
pub(crate) use kinds::datetime::format as format_instant;
pub use kinds::number::Number;
pub use registry::{Field, FieldId, FieldOption, MAX_CUSTOM_FIELDS, MAX_UNIQUE_FIELDS, Registry};
pub use selection::Selection;
pub use value::{Value, Values};

#[cfg(test)]
pub(crate) use registry::samples as registry_samples;
