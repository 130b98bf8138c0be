//! Writes chunks one after another.

use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use uuid::Uuid;

use super::chunk::{Chunk, Tally};
use super::progress::ImportProgress;
use super::read_chunks::ChunkReader;
use super::rejected_rows_report::RejectedRowsReport;
use crate::cli::error::CliError;
use crate::cli::output::print;
use crate::import_export::{ColumnMapping, MappingOptions};
use crate::repository::{self, Repository, StorageError, WriteError};

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
    pub(super) options: &'a MappingOptions,
    /// The mapping of the columns to the current fields of the account.
    pub(super) columns: &'a ArcSwap<ColumnMapping>,
    pub(super) progress: ImportProgress,
    pub(super) report: &'a mut RejectedRowsReport,
    pub(super) totals: ImportTotals,
}

/// The number of rows by result.
#[derive(Debug, Default)]
pub(super) struct ImportTotals {
    created: u64,
    updated: u64,
    unchanged: u64,
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

    /// Writes a chunk, reports its rejected rows, and counts the results.
    async fn write_chunk(&mut self, mut chunk: Chunk) -> Result<(), CliError> {
        let row_count = chunk.row_count();
        let tally = self.write_rows(&mut chunk).await?;
        self.report.add(&tally.rejected)?;
        self.totals.created += tally.created;
        self.totals.updated += tally.updated;
        self.totals.unchanged += tally.unchanged;
        self.progress.advance(row_count, chunk.end_offset);
        Ok(())
    }

    /// Writes the rows of a chunk, and retries while the database is down.
    ///
    /// A retry is safe even if an earlier attempt was committed, because upserts are idempotent.
    async fn write_rows(&mut self, chunk: &mut Chunk) -> Result<Tally, CliError> {
        let (mut attempts, mut pause) = (1, FIRST_PAUSE);
        loop {
            match self.repository.write_contacts(chunk.take_writes(self.account, &self.actor, self.dry_run)).await {
                Ok(repository::Idempotent::Fresh(outcomes)) => return Ok(chunk.checked.tally(&outcomes)),
                // Only writes with an idempotency key have a stored response, and these have none.
                Ok(repository::Idempotent::Stored(_) | repository::Idempotent::Replayed(_)) => {
                    return Err(CliError::Other("internal error: the response of a request was returned".into()));
                }
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

    /// Maps the columns again after the fields of the account have changed.
    ///
    /// # Errors
    /// Fails if a field of the file was deleted.
    async fn reload_columns(&self) -> Result<(), CliError> {
        let registry = self.repository.reload_registry(self.account).await;
        let registry = registry.map_err(|error| CliError::Other(format!("could not load the fields: {error}")))?;
        let columns = ColumnMapping::new(self.header, self.options, &registry).ok();
        let columns = columns.filter(|columns| self.dry_run || columns.new_fields().is_empty());
        let field_deleted =
            || CliError::Other("a field of the file was deleted from the account. Run the import again".to_owned());
        self.columns.store(Arc::new(columns.ok_or_else(field_deleted)?));
        Ok(())
    }

    /// Prints the number of rows by result, and the speed.
    ///
    /// # Errors
    /// Fails if standard output cannot be written.
    pub(super) fn print_summary(&self) -> Result<(), CliError> {
        self.progress.finish();
        let ImportTotals { created, updated, unchanged } = self.totals;
        let rejected = self.report.row_count();
        let (rows, rate) = (self.progress.row_count(), self.progress.rate());
        let seconds = self.progress.elapsed().as_secs_f64();
        let dry_run = if self.dry_run { "Dry run: nothing was written\n" } else { "" };
        print(&format!(
            "{created} created, {updated} updated, {unchanged} unchanged, {rejected} rejected\n\
             {rows} rows in {seconds:.1} s ({rate} rows/s)\n{dry_run}"
        ))
    }
}

/// Returns whether a later attempt can succeed.
fn is_transient(error: &StorageError) -> bool {
    !matches!(error, StorageError::Bug(_))
}
