//! Import and export of contacts (docs/import.md): recognizes files, maps their columns to fields, converts rows to writes,
//! and converts contacts to rows.
//!
//! This module does no I/O. The rules for values and writes are in `fields` and `contacts`.
//!
//! | step of an import | files |
//! |---|---|
//! | Recognize the file | `file_format`, `text_encoding`, `charset`, `text_layout`, `header_row`, `vcard` |
//! | Find the meaning of its headers | `header_name`, `header_words`, `field_aliases`, `column_values`, `header_meaning` |
//! | Map its columns to fields | `table_sample`, `column_mapping`, `match_fields`, `new_fields`, `column_description` |
//! | Convert its rows | `row_parser`, `cell_values`, `full_name`, `forms_of_address`, `organization_names`, `row_hash`, `refused_row` |

mod cell_values;
mod charset;
mod column_description;
mod column_mapping;
mod column_target;
mod column_values;
mod export_rows;
mod field_aliases;
mod file_format;
mod forms_of_address;
mod full_name;
mod header_meaning;
mod header_name;
mod header_row;
mod header_words;
mod mapping_options;
mod match_fields;
mod new_fields;
mod organization_names;
mod parsed_row;
mod refused_row;
mod row_hash;
mod row_parser;
mod table_sample;
mod text_encoding;
mod text_layout;
mod vcard;

pub use charset::{Charset, TextDecoder};
pub use column_description::ColumnDescription;
pub use column_mapping::{ColumnMapping, HeaderError};
pub use column_values::is_address;
pub use export_rows::{export_cells, export_header};
pub use file_format::{FileFormat, is_vcard_property};
pub use header_meaning::{REPORT_HEADERS, is_report};
pub use header_row::{MAX_HEADER_LINE, find_header_row, known_headers};
pub use mapping_options::{AllowedWrites, ColumnChoice, DateFormat, MappingOptions, OnBadCell, RowRules, WithoutKey};
pub use parsed_row::{ParsedRow, RowAction};
pub use refused_row::RefusedRow;
pub use row_hash::RowHash;
pub use table_sample::TableSample;
pub use text_encoding::TextEncoding;
pub use text_layout::{TextLayout, csv_line_cells};
pub use vcard::{VCARD_HEADERS, VCardContent, parse_vcard};
