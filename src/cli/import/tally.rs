//! The results of rows.

use std::collections::BTreeMap;

use crate::import_export::RefusedRow;
use crate::repository::ImportLabel;

/// A row for the report.
#[derive(Debug, Clone)]
pub(super) struct ReportedRow {
    /// The line on which the row begins.
    pub(super) line: u64,
    pub(super) cells: Vec<String>,
    pub(super) reason: RefusedRow,
}

/// The number of rows by result, and the rows to report.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) created: u64,
    pub(super) updated: u64,
    pub(super) unchanged: u64,
    /// The rows that the options rule out.
    pub(super) skipped: u64,
    /// The refused rows, in the order of the file.
    pub(super) refused: Vec<ReportedRow>,
    /// The rows that are stored without an invalid cell.
    pub(super) skipped_cells: Vec<ReportedRow>,
    /// The values that are not stored, each after the reason and its field, with their lines.
    pub(super) other_values: Vec<(u64, String)>,
    /// The number of unchanged rows that earlier imports have created, by import.
    pub(super) imported_before: BTreeMap<ImportLabel, u64>,
}

impl Tally {
    /// Adds the rows that follow these rows in the file.
    pub(super) fn append(&mut self, following: Self) {
        self.created += following.created;
        self.updated += following.updated;
        self.unchanged += following.unchanged;
        self.skipped += following.skipped;
        self.refused.extend(following.refused);
        self.skipped_cells.extend(following.skipped_cells);
        self.other_values.extend(following.other_values);
        for (import, rows) in following.imported_before {
            *self.imported_before.entry(import).or_default() += rows;
        }
    }
}
