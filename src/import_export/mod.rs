//! CSV import and export (docs/api-reference.md#command-line): maps the columns of a file to fields, converts rows to
//! writes, and converts contacts to rows.
//!
//! This module does no I/O. The rules for values and writes are in `fields` and `contacts`.

mod cell_values;
mod column_mapping;
mod export_rows;
mod rejected_row;

pub use column_mapping::{ColumnMapping, HeaderError, MappingOptions};
pub use export_rows::{export_cells, export_header};
pub use rejected_row::RejectedRow;
