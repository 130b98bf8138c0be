//! Chunks: consecutive rows of a file that are written together.

use std::sync::Arc;

use uuid::Uuid;

use super::key_lines::KeyLines;
use super::row::{ImportRow, RowProblem};
use super::tally::{ReportedRow, Tally};
use crate::contacts::{Collision, UniqueKey, Write, WriteOutcome, WriteRejection};
use crate::fields::{CustomSelection, FieldId};
use crate::import_export::{AllowedWrites, ColumnMapping, ParsedRow, RefusedRow, RowAction, RowHash};
use crate::repository::{AccountWrites, Atomicity, ContentMemory};

/// Consecutive rows of a file, and the writes for them.
pub(super) struct Chunk {
    rows: Vec<ImportRow>,
    /// How far the file was read at the end of this chunk.
    pub(super) end_offset: u64,
    /// The rows that are not imported, because they belong to no contact.
    pub(super) left_out: Vec<ImportRow>,
    pub(super) checked: CheckedRows,
}

impl Chunk {
    pub(super) fn new(
        rows: Vec<ImportRow>,
        left_out: Vec<ImportRow>,
        end_offset: u64,
        columns: &Arc<ColumnMapping>,
    ) -> Self {
        let checked = CheckedRows::from_rows(&rows, columns);
        Self { rows, end_offset, left_out, checked }
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
        let rows = self.rows.split_off(self.rows.len() / 2);
        Self { rows, end_offset: self.end_offset, left_out: vec![], checked }
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

    /// Counts the rows by result. `outcomes` are the outcomes of the writes.
    pub(super) fn tally(&self, outcomes: &[WriteOutcome], key_lines: &mut KeyLines) -> Tally {
        let mut tally = Tally { skipped: self.checked.skipped, ..Tally::default() };
        tally.other_values.extend(self.checked.other_values.iter().cloned());
        for (row, reason) in &self.checked.refused {
            tally.refused.push(self.report(*row, reason.clone()));
        }
        for (origin, outcome) in self.checked.origins.iter().zip(outcomes) {
            let line = self.rows[origin.row].line;
            match outcome {
                Ok(written) if written.created => tally.created += 1,
                Ok(written) if written.changed_at.is_none() && !origin.has_new_values => tally.unchanged += 1,
                Ok(_) => tally.updated += 1,
                Err(rejected) if self.rules_out(origin, &rejected.reason) => tally.skipped += 1,
                Err(rejected) => {
                    let line_of = |collision: &Collision| key_lines.line_of_field(&origin.keys, collision.field);
                    let registry = self.checked.columns.registry();
                    let reason = RefusedRow::from_write_rejection(&rejected.reason, registry, line_of);
                    tally.refused.push(self.report(origin.row, reason));
                    continue;
                }
            }
            if let Some(skipped) = &origin.skipped_cells {
                tally.skipped_cells.push(self.report(origin.row, skipped.clone()));
            }
            key_lines.add(&origin.keys, line);
        }
        tally.refused.sort_by_key(|refused| refused.line);
        tally
    }

    /// Returns whether the options rule a row out whose write was rejected for this reason.
    fn rules_out(&self, origin: &WriteOrigin, rejection: &WriteRejection) -> bool {
        match (self.checked.columns.allowed_writes(), rejection) {
            (AllowedWrites::UpdateOnly, WriteRejection::NotFound) => true,
            (AllowedWrites::CreateOnly, WriteRejection::Duplicate(collisions)) => {
                collisions.iter().any(|collision| Some(collision.field) == origin.match_field)
            }
            _ => false,
        }
    }

    fn report(&self, row: usize, reason: RefusedRow) -> ReportedRow {
        let row = &self.rows[row];
        ReportedRow { line: row.line, cells: row.cells().map(str::to_owned).collect(), reason }
    }
}

/// The writes for rows, checked against one version of the account's field registry.
pub(super) struct CheckedRows {
    pub(super) columns: Arc<ColumnMapping>,
    pub(super) writes: Vec<Write>,
    /// The origin of each write.
    pub(super) origins: Vec<WriteOrigin>,
    /// The rows that failed the check, by index.
    refused: Vec<(usize, RefusedRow)>,
    /// The number of rows that the options rule out.
    skipped: u64,
    /// The values that are not stored, with their lines.
    other_values: Vec<(u64, String)>,
}

/// The row of a write.
pub(super) struct WriteOrigin {
    /// The index of the row.
    row: usize,
    /// The field that identifies the contact.
    match_field: Option<FieldId>,
    /// The hash of a row without a key.
    pub(super) hash: Option<RowHash>,
    keys: Vec<UniqueKey>,
    skipped_cells: Option<RefusedRow>,
    /// Whether the row has values of fields that do not exist yet. Only in a dry run are such rows written.
    has_new_values: bool,
}

impl CheckedRows {
    fn from_rows(rows: &[ImportRow], columns: &Arc<ColumnMapping>) -> Self {
        let (writes, origins) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        let columns = Arc::clone(columns);
        let mut checked = Self { columns, writes, origins, refused: vec![], skipped: 0, other_values: vec![] };
        for (index, row) in rows.iter().enumerate() {
            let parsed = match row.problem {
                None => checked.columns.parse_row(row.cells()),
                Some(problem) => Err(refuse(problem)),
            };
            let parsed = match parsed {
                Ok(parsed) => parsed,
                Err(refused) => {
                    checked.refused.push((index, refused));
                    continue;
                }
            };
            checked.other_values.extend(parsed.other_values.into_iter().map(|values| (row.line, values)));
            let (write, match_field, hash) = match parsed.action {
                RowAction::Write(write, field) => (write, Some(field), None),
                RowAction::CreateWithoutKey(patch, hash) => (Write::Create(patch), None, Some(hash)),
                RowAction::Skip => {
                    checked.skipped += 1;
                    continue;
                }
            };
            checked.writes.push(write);
            let ParsedRow { keys, skipped_cells, has_new_values, .. } = parsed;
            checked.origins.push(WriteOrigin { row: index, match_field, hash, keys, skipped_cells, has_new_values });
        }
        checked
    }

    /// Returns whether any row has to be written.
    pub(super) fn has_writes(&self) -> bool {
        !self.writes.is_empty()
    }
}

/// Returns the refusal of a row that cannot be read.
fn refuse(problem: RowProblem) -> RefusedRow {
    match problem {
        RowProblem::InvalidEncoding => RefusedRow::for_invalid_encoding(),
        RowProblem::OpenQuote(line) => RefusedRow::for_open_quote(line),
        RowProblem::StrayQuote(line) => RefusedRow::for_stray_quote(line),
        RowProblem::EmbeddedRows(line) => RefusedRow::for_embedded_rows(line),
        RowProblem::TooLarge => {
            RefusedRow::for_too_large_row(super::csv_rows::MAX_ROW_SIZE >> 20, super::csv_rows::MAX_CELLS)
        }
        RowProblem::InvalidVCard(reason) => RefusedRow::for_vcard(reason),
    }
}
