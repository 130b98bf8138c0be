//! Chunks: consecutive rows of a file that are written together.

use std::sync::Arc;

use uuid::Uuid;

use super::csv_rows::CsvRow;
use crate::contacts::{Write, WriteOutcome};
use crate::fields::CustomSelection;
use crate::import_export::{ColumnMapping, RejectedRow};
use crate::repository::{AccountWrites, Atomicity, ContentMemory};

/// Consecutive rows of a file, and the writes for them.
pub(super) struct Chunk {
    rows: Vec<CsvRow>,
    /// The number of bytes of the file up to the end of this chunk.
    pub(super) end_offset: u64,
    pub(super) checked: CheckedRows,
}

impl Chunk {
    pub(super) fn new(rows: Vec<CsvRow>, end_offset: u64, columns: &Arc<ColumnMapping>) -> Self {
        let checked = CheckedRows::from_rows(&rows, columns);
        Self { rows, end_offset, checked }
    }

    /// Returns the number of rows.
    pub(super) fn row_count(&self) -> u64 {
        self.rows.len() as u64
    }

    /// Returns the line on which the last row begins.
    pub(super) fn last_line(&self) -> u64 {
        self.rows.last().map_or(0, |row| row.line)
    }

    /// Splits off the second half of the rows. The writes of both halves have to be created again.
    pub(super) fn split_off_half(&mut self) -> Self {
        let checked = CheckedRows::from_rows(&[], &self.checked.columns);
        Self { rows: self.rows.split_off(self.rows.len() / 2), end_offset: self.end_offset, checked }
    }

    /// Takes the writes for the rows out of the chunk. [`Self::recheck`] creates them again.
    pub(super) fn take_writes(&mut self, account: Uuid, actor: &Arc<str>, dry_run: bool) -> AccountWrites {
        AccountWrites {
            account,
            registry: Arc::clone(self.checked.columns.registry()),
            actor: Some(Arc::clone(actor)),
            writes: std::mem::take(&mut self.checked.writes),
            atomicity: Atomicity::Independent,
            dry_run,
            custom_fields: CustomSelection::default(),
            idempotent_request: None,
            memory: ContentMemory::default(),
        }
    }

    /// Checks the rows and creates their writes again, for another attempt to write them or because the fields of the
    /// account have changed.
    pub(super) fn recheck(&mut self, columns: &Arc<ColumnMapping>) {
        self.checked = CheckedRows::from_rows(&self.rows, columns);
    }
}

/// The writes for rows, checked against one version of the account's field registry.
pub(super) struct CheckedRows {
    pub(super) columns: Arc<ColumnMapping>,
    pub(super) writes: Vec<Write>,
    /// The line of the file for each write.
    lines: Vec<u64>,
    /// The rows that failed the check, with their lines.
    rejected: Vec<(u64, RejectedRow)>,
}

impl CheckedRows {
    fn from_rows(rows: &[CsvRow], columns: &Arc<ColumnMapping>) -> Self {
        let columns = Arc::clone(columns);
        let (writes, lines) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        let mut checked = Self { columns, writes, lines, rejected: vec![] };
        for row in rows {
            match row
                .cells()
                .ok_or_else(RejectedRow::for_invalid_encoding)
                .and_then(|cells| checked.columns.parse_row(cells))
            {
                Ok(write) => {
                    checked.writes.push(write);
                    checked.lines.push(row.line);
                }
                Err(rejected) => checked.rejected.push((row.line, rejected)),
            }
        }
        checked
    }

    /// Counts the rows by result. `outcomes` are the outcomes of the writes.
    pub(super) fn tally(&self, outcomes: &[WriteOutcome]) -> Tally {
        let mut tally = Tally { rejected: self.rejected.clone(), ..Tally::default() };
        for (line, outcome) in self.lines.iter().zip(outcomes) {
            match outcome {
                Ok(written) if written.created => tally.created += 1,
                Ok(written) if written.changed_at.is_none() => tally.unchanged += 1,
                Ok(_) => tally.updated += 1,
                Err(rejected) => {
                    tally
                        .rejected
                        .push((*line, RejectedRow::from_write_rejection(&rejected.reason, self.columns.registry())));
                }
            }
        }
        tally.rejected.sort_by_key(|(line, _)| *line);
        tally
    }
}

/// The number of rows by result, and the rejected rows.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) created: u64,
    pub(super) updated: u64,
    pub(super) unchanged: u64,
    /// The rejected rows, each with the line on which it begins, in the order of the file.
    pub(super) rejected: Vec<(u64, RejectedRow)>,
}

impl Tally {
    /// Adds the rows that follow these rows in the file.
    pub(super) fn append(&mut self, following: Self) {
        self.created += following.created;
        self.updated += following.updated;
        self.unchanged += following.unchanged;
        self.rejected.extend(following.rejected);
    }
}
