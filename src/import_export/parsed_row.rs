//! Rows that were converted to writes.

use super::refused_row::RefusedRow;
use super::row_hash::RowHash;
use crate::contacts::{ContactPatch, UniqueKey, Write};
use crate::fields::FieldId;

/// A row that passed the check.
#[derive(Debug)]
pub struct ParsedRow {
    /// What the row does.
    pub action: RowAction,
    /// The unique keys of the row, if it can clash with other rows.
    pub keys: Vec<UniqueKey>,
    /// The values that are not stored, each after the reason and the name of the field.
    pub other_values: Vec<String>,
    /// The invalid cells without which the row is stored.
    pub skipped_cells: Option<RefusedRow>,
    /// Whether the row has values of fields that do not exist yet, which a dry run does not create.
    pub has_new_values: bool,
}

/// What a row does.
#[derive(Debug)]
pub enum RowAction {
    /// Writes the contact that its key identifies.
    Write(Write, FieldId),
    /// Creates a contact, because the row has no key.
    CreateWithoutKey(ContactPatch, RowHash),
    /// Nothing: the options rule the row out.
    Skip,
}
