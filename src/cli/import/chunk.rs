//! Rows that are written together.

use std::sync::Arc;

use uuid::Uuid;

use super::rows::Row;
use crate::contacts::{Write, WriteOutcome};
use crate::repository::{Unit, Work};
use crate::transfer::{Columns, Refusal};

/// Rows that follow one another, and the writes that they ask for.
pub(super) struct Chunk {
    rows: Vec<Row>,
    /// How many bytes of the file have been taken with them.
    pub(super) consumed: u64,
    pub(super) checked: Checked,
}

impl Chunk {
    pub(super) fn of(rows: Vec<Row>, consumed: u64, columns: &Arc<Columns>) -> Self {
        let checked = Checked::of(&rows, columns);
        Self { rows, consumed, checked }
    }

    pub(super) fn len(&self) -> u64 {
        self.rows.len() as u64
    }

    /// The line of its last row.
    pub(super) fn last_line(&self) -> u64 {
        self.rows.last().map_or(0, |row| row.line)
    }

    /// What its rows ask for. To be had once: see [`Self::check`].
    pub(super) fn work(&mut self, account: Uuid, actor: &Arc<str>, dry_run: bool) -> Work {
        Work {
            account,
            registry: Arc::clone(self.checked.columns.registry()),
            actor: Some(Arc::clone(actor)),
            writes: std::mem::take(&mut self.checked.writes),
            unit: Unit::Each,
            dry_run,
            keep: None,
        }
    }

    /// Checks its rows anew, for writes are used up by trying them, and fields can change.
    pub(super) fn check(&mut self, columns: &Arc<Columns>) {
        self.checked = Checked::of(&self.rows, columns);
    }
}

/// What rows ask for, by one version of the account's registry.
pub(super) struct Checked {
    pub(super) columns: Arc<Columns>,
    pub(super) writes: Vec<Write>,
    /// The line of each write.
    lines: Vec<u64>,
    refused: Vec<(u64, Refusal)>,
}

impl Checked {
    fn of(rows: &[Row], columns: &Arc<Columns>) -> Self {
        let columns = Arc::clone(columns);
        let (writes, lines) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        let mut checked = Self { columns, writes, lines, refused: vec![] };
        for row in rows {
            match row.cells().ok_or_else(Refusal::of_encoding).and_then(|cells| checked.columns.write(cells)) {
                Ok(write) => {
                    checked.writes.push(write);
                    checked.lines.push(row.line);
                }
                Err(refusal) => checked.refused.push((row.line, refusal)),
            }
        }
        checked
    }

    /// What has become of the rows, once their writes are done.
    pub(super) fn tally(&self, outcomes: &[WriteOutcome]) -> Tally {
        let mut tally = Tally { refused: self.refused.clone(), ..Tally::default() };
        for (line, outcome) in self.lines.iter().zip(outcomes) {
            match outcome {
                Ok(written) if written.created => tally.created += 1,
                Ok(written) if written.before.as_ref().is_some_and(|before| Arc::ptr_eq(before, &written.contact)) => {
                    tally.unchanged += 1;
                }
                Ok(_) => tally.updated += 1,
                Err(refusal) => tally.refused.push((*line, Refusal::of_write(refusal, self.columns.registry()))),
            }
        }
        tally.refused.sort_by_key(|(line, _)| *line);
        tally
    }
}

/// What has become of rows.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) created: u64,
    pub(super) updated: u64,
    pub(super) unchanged: u64,
    /// Each with the line that it begins on, in order.
    pub(super) refused: Vec<(u64, Refusal)>,
}
