//! The result of an import: one line on standard output, and the details on standard error.

use std::collections::BTreeMap;

use super::plan::count_rows;
use super::printable::{printable, printable_up_to};
use super::row::ImportRow;
use super::tally::{ReportedRow, Tally};
use crate::cli::error::CliError;
use crate::cli::output::print;
use crate::fields::format_instant;
use crate::repository::ImportLabel;

/// The maximum number of lines about values that are not stored.
const MAX_LINES: u64 = 100;
/// The maximum number of characters of values that are not stored: people copy them from the terminal.
const MAX_VALUES: usize = 1_000;
/// The maximum number of rows of a footer that are shown.
const MAX_FOOTER_ROWS: usize = 10;

/// Counts the rows of an import by result.
#[derive(Debug, Default)]
pub(super) struct ImportSummary {
    created: u64,
    updated: u64,
    unchanged: u64,
    skipped: u64,
    pub(super) refused: u64,
    pub(super) rows_with_skipped_cells: u64,
    /// The number of refused rows by reason, with the first of them.
    reasons: BTreeMap<String, (u64, ReportedRow)>,
    imported_before: BTreeMap<ImportLabel, u64>,
    other_values: u64,
    left_out: Vec<ImportRow>,
}

impl ImportSummary {
    /// Adds the results of rows. Names the values that are not stored.
    pub(super) fn add(&mut self, tally: Tally) {
        self.created += tally.created;
        self.updated += tally.updated;
        self.unchanged += tally.unchanged;
        self.skipped += tally.skipped;
        self.refused += tally.refused.len() as u64;
        self.rows_with_skipped_cells += tally.skipped_cells.len() as u64;
        for row in tally.refused.into_iter().chain(tally.skipped_cells) {
            let reason = self.reasons.entry(row.reason.group.clone());
            reason.and_modify(|(count, _)| *count += 1).or_insert((1, row));
        }
        for (import, rows) in tally.imported_before {
            *self.imported_before.entry(import).or_default() += rows;
        }
        for (line, values) in tally.other_values {
            self.other_values += 1;
            if self.other_values <= MAX_LINES {
                eprintln!("Line {line}: not imported, {}", printable_up_to(MAX_VALUES, &values));
            }
        }
    }

    /// Adds rows that are not imported, because they belong to no contact.
    pub(super) fn add_left_out(&mut self, rows: Vec<ImportRow>) {
        self.left_out.extend(rows);
    }

    /// Prints the details on standard error, and the number of rows by result on standard output.
    ///
    /// # Errors
    /// Fails if standard output cannot be written.
    pub(super) fn print(&self) -> Result<(), CliError> {
        if self.other_values > MAX_LINES {
            eprintln!("{} more cells have values that are not imported", self.other_values - MAX_LINES);
        }
        self.print_left_out();
        for (import, rows) in &self.imported_before {
            let (at, file) = (format_instant(import.started_at), printable(&import.file_name));
            let (are, contacts) = if *rows == 1 { ("is", "its contact") } else { ("are", "their contacts") };
            let rows = count_rows(*rows);
            eprintln!("{rows} without a key {are} unchanged: the import of {file} at {at} has created {contacts}");
        }
        if !self.reasons.is_empty() {
            eprintln!("Refused, by reason:");
        }
        let mut reasons: Vec<_> = self.reasons.iter().collect();
        reasons.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
        for (group, (count, example)) in reasons {
            let cells: Vec<_> = example.cells.iter().filter(|cell| !cell.trim().is_empty()).take(3).collect();
            let shown: Vec<_> = cells.into_iter().map(|cell| printable(cell)).collect();
            eprintln!("  {count} × {group}\n      for example line {}: {}", example.line, shown.join(" | "));
        }
        let Self { created, updated, unchanged, skipped, refused, .. } = self;
        print(&format!(
            "{created} created, {updated} updated, {unchanged} unchanged, {skipped} skipped, {refused} refused\n"
        ))
    }

    /// Names the rows that are not imported.
    fn print_left_out(&self) {
        let Some(first) = self.left_out.first() else { return };
        let count = count_rows(self.left_out.len() as u64);
        eprintln!("Left out from line {}: {count} without a contact", first.line);
        for row in self.left_out.iter().take(MAX_FOOTER_ROWS) {
            let cells: Vec<_> = row.cells().filter(|cell| !cell.trim().is_empty()).map(printable).collect();
            eprintln!("  line {}: {}", row.line, cells.join(" | "));
        }
    }
}
