//! Writes chunks one after another.

use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use uuid::Uuid;

use super::chunk::Chunk;
use super::import_summary::ImportSummary;
use super::key_lines::KeyLines;
use super::progress::ImportProgress;
use super::read_chunks::ChunkReader;
use super::refused_rows_report::RefusedRowsReport;
use super::rows_without_key::RowsWithoutKey;
use super::tally::Tally;
use crate::cli::error::CliError;
use crate::fields::Kind;
use crate::import_export::{ColumnMapping, MappingOptions, TableSample};
use crate::repository::{FieldError, Idempotent, Repository, StorageError, WriteError, WriteOutcomes};

/// The number of attempts to write a chunk while the database is down.
///
/// The pause doubles after each attempt, up to [`MAX_PAUSE`]. All attempts together take about a minute.
const MAX_ATTEMPTS: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// Writes the chunks of an import and counts the results.
pub(super) struct ChunkWriter<'a> {
    pub(super) repository: &'a Repository,
    pub(super) account: Uuid,
    pub(super) actor: Arc<str>,
    pub(super) dry_run: bool,
    pub(super) header: &'a [String],
    pub(super) sample: &'a TableSample,
    pub(super) options: &'a MappingOptions,
    /// The mapping of the columns to the current fields of the account.
    pub(super) columns: &'a ArcSwap<ColumnMapping>,
    pub(super) progress: ImportProgress,
    pub(super) report: &'a mut RefusedRowsReport,
    pub(super) summary: &'a mut ImportSummary,
    pub(super) key_lines: KeyLines,
    pub(super) rows_without_key: RowsWithoutKey,
}

impl ChunkWriter<'_> {
    /// Writes all chunks in the order of the file.
    ///
    /// # Errors
    /// Fails if the input, the report or the database fails, or if a field of the file was deleted from the account.
    /// The chunks before the failure stay written.
    pub(super) async fn write_all(&mut self, mut reader: ChunkReader) -> Result<(), CliError> {
        let mut last_line = 1;
        let error_after = |line: u64, error: &dyn Display| CliError::Other(format!("{error} (after line {line})"));
        let unreadable =
            |line: u64, error: io::Error| error_after(line, &format!("could not read the rest of the file: {error}"));
        while let Some(chunk) = reader.next().await.map_err(|error| unreadable(last_line, error))? {
            let end = chunk.last_line().max(last_line);
            self.write_chunk(chunk).await.map_err(|error| error_after(last_line, &error))?;
            last_line = end;
        }
        Ok(())
    }

    /// Writes a chunk, reports its refused rows, and counts the results.
    async fn write_chunk(&mut self, mut chunk: Chunk) -> Result<(), CliError> {
        self.create_fields(&mut chunk).await?;
        let (row_count, end_offset) = (chunk.row_count(), chunk.end_offset);
        let tally = self.write_rows(&mut chunk).await?;
        let mut reported: Vec<_> = tally.refused.iter().chain(&tally.skipped_cells).cloned().collect();
        reported.sort_by_key(|row| row.line);
        self.report.add(&reported)?;
        self.summary.add_left_out(std::mem::take(&mut chunk.left_out));
        self.summary.add(tally);
        self.progress.advance(row_count, end_offset);
        free_in_background(chunk);
        Ok(())
    }

    /// Writes the rows of a chunk, and retries while the database is down.
    ///
    /// A retry is safe even if an earlier attempt was committed, because upserts are idempotent, and rows without a key are
    /// recognized.
    async fn write_rows(&mut self, chunk: &mut Chunk) -> Result<Tally, CliError> {
        let (mut attempts, mut pause) = (1, FIRST_PAUSE);
        loop {
            match self.try_write(chunk).await {
                Ok(tally) => return Ok(tally),
                Err(WriteError::RegistryChanged) => self.reload_columns().await?,
                // The existing contacts of a chunk may be too large to be checked together in a dry run.
                Err(WriteError::TooLarge) if chunk.row_count() > 1 => {
                    let mut second_half = chunk.split_off_half();
                    chunk.recheck(&self.columns.load());
                    second_half.recheck(&self.columns.load());
                    let mut tally = Box::pin(self.write_rows(chunk)).await?;
                    tally.append(Box::pin(self.write_rows(&mut second_half)).await?);
                    return Ok(tally);
                }
                Err(WriteError::Storage(error)) if attempts < MAX_ATTEMPTS && is_transient(&error) => {
                    self.progress.print_line(&format!("{error}. Retrying in {} ms", pause.as_millis()));
                    tokio::time::sleep(pause).await;
                    (attempts, pause) = (attempts + 1, (pause * 2).min(MAX_PAUSE));
                }
                Err(error) => return Err(CliError::Other(format!("could not write the contacts: {error}"))),
            }
            chunk.recheck(&self.columns.load());
        }
    }

    async fn try_write(&mut self, chunk: &mut Chunk) -> Result<Tally, WriteError> {
        let claimed =
            self.rows_without_key.claim(self.repository, self.account, &mut chunk.checked, self.dry_run).await?;
        let outcomes = if chunk.checked.has_writes() {
            self.repository.write_contacts(chunk.take_writes(self.account, &self.actor, self.dry_run)).await?
        } else {
            Idempotent::Fresh(WriteOutcomes::default())
        };
        let outcomes = match outcomes {
            Idempotent::Fresh(outcomes) => outcomes,
            // Only writes with an idempotency key have a stored response, and these have none.
            Idempotent::Stored(_) | Idempotent::Replayed(_) => WriteOutcomes::default(),
        };
        let mut tally = chunk.tally(&outcomes, &mut self.key_lines);
        self.rows_without_key
            .finish(self.repository, self.account, claimed, &outcomes, &mut tally, self.dry_run)
            .await?;
        free_in_background(outcomes);
        Ok(tally)
    }

    /// Creates the fields of `--create-fields` before the first rows are stored.
    async fn create_fields(&self, chunk: &mut Chunk) -> Result<(), CliError> {
        let columns = self.columns.load_full();
        if self.dry_run || columns.new_fields().is_empty() || !chunk.checked.has_writes() {
            return Ok(());
        }
        for new in columns.new_fields() {
            match self.repository.create_field(self.account, new, None).await {
                Ok(_) => self.progress.print_line(&format!(
                    "Created the {} field {}. To remove it with its values: DELETE /fields/{}",
                    Kind::as_str(new.kind),
                    new.internal_name,
                    new.internal_name
                )),
                // Another process created the field first, or a field with a similar name. When the header is mapped again,
                // the field is found, or a similar name is a problem.
                Err(FieldError::Duplicate) => {}
                Err(error) => return Err(CliError::Other(format!("could not create the fields: {error}"))),
            }
        }
        self.reload_columns().await?;
        chunk.recheck(&self.columns.load());
        Ok(())
    }

    /// Maps the columns again after the fields of the account have changed.
    ///
    /// # Errors
    /// Fails if a field of the file was deleted.
    async fn reload_columns(&self) -> Result<(), CliError> {
        let registry = self.repository.reload_registry(self.account).await;
        let registry = registry.map_err(|error| CliError::Other(format!("could not load the fields: {error}")))?;
        let columns = ColumnMapping::new(self.header, self.sample, self.options, &registry)
            .map_err(|error| CliError::Other(error.to_string()))?;
        // Before the first rows are stored, all new fields were created.
        if !self.dry_run && !columns.new_fields().is_empty() {
            return Err(CliError::Other(
                "a field of the file was deleted from the account. Run the import again".to_owned(),
            ));
        }
        self.columns.store(Arc::new(columns));
        Ok(())
    }
}

/// Frees the memory of a chunk while the next one is written: with all its values, that takes a thirtieth of the import.
fn free_in_background(memory: impl Send + 'static) {
    tokio::task::spawn_blocking(move || drop(memory));
}

/// Returns whether a later attempt can succeed.
fn is_transient(error: &StorageError) -> bool {
    !matches!(error, StorageError::Bug(_))
}
