//! Writes chunks, one after another, until each is done. While one is stored, the next is prepared.

use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use uuid::Uuid;

use super::chunk::{Chunk, Tally};
use super::preparing::{Preparing, Ready};
use super::progress::Progress;
use super::report::Report;
use crate::cli::{CliError, print};
use crate::repository::{self, Repository, StorageError, WriteError};
use crate::transfer::{Columns, Naming};

/// How often a chunk is tried while the database is away, each time after a longer pause: for about a minute.
const ATTEMPTS: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// An import under way.
pub(super) struct Writing<'a> {
    pub(super) repository: &'a Repository,
    pub(super) account: Uuid,
    pub(super) actor: Arc<str>,
    pub(super) dry_run: bool,
    pub(super) header: &'a [String],
    pub(super) naming: &'a Naming,
    /// The columns by the fields that the account has at the moment.
    pub(super) columns: &'a ArcSwap<Columns>,
    pub(super) progress: Progress,
    pub(super) report: &'a mut Report,
    pub(super) done: Done,
}

/// What has been done so far.
#[derive(Debug, Default)]
pub(super) struct Done {
    created: u64,
    updated: u64,
    unchanged: u64,
}

impl Writing<'_> {
    /// Writes all chunks, in order.
    ///
    /// # Errors
    /// The input, the report, the database, or that the columns no longer fit the account's fields. What comes before is
    /// done.
    pub(super) async fn write_all(&mut self, mut preparing: Preparing<'_>) -> Result<(), CliError> {
        let mut last_line = 1;
        let after = |line: u64, error: &dyn Display| CliError::Other(format!("{error} (after line {line})"));
        let unreadable = |line: u64, error: io::Error| after(line, &format!("could not read on: {error}"));
        let mut next = preparing.next().await.map_err(|error| unreadable(last_line, error))?;
        while let Some(ready) = next {
            let end = ready.chunk.last_line().max(last_line);
            let (written, prepared) = tokio::join!(self.finish(ready), preparing.next());
            written.map_err(|error| after(last_line, &error))?;
            next = prepared.map_err(|error| unreadable(end, error))?;
            last_line = end;
        }
        Ok(())
    }

    /// Writes a chunk, and takes note of what has become of its rows.
    async fn finish(&mut self, Ready { mut chunk, prepared }: Ready) -> Result<(), CliError> {
        let stored = match prepared {
            Some(prepared) => self.repository.store(prepared).await.ok(),
            None => None,
        };
        let tally = match stored {
            Some(repository::Done::Fresh(outcomes)) => chunk.checked.tally(&outcomes),
            _ => self.write(&mut chunk).await?,
        };
        self.report.add(&tally.refused)?;
        self.done.created += tally.created;
        self.done.updated += tally.updated;
        self.done.unchanged += tally.unchanged;
        self.progress.advance(chunk.len(), chunk.consumed);
        Ok(())
    }

    /// Writes a chunk by itself. Trying it again does no harm: its rows say what is to be, not what is to be done.
    async fn write(&mut self, chunk: &mut Chunk) -> Result<Tally, CliError> {
        let (mut attempts, mut pause) = (1, FIRST_PAUSE);
        loop {
            chunk.check(&self.columns.load());
            match self.repository.write(chunk.work(self.account, &self.actor, self.dry_run)).await {
                Ok(repository::Done::Fresh(outcomes)) => return Ok(chunk.checked.tally(&outcomes)),
                // Only what carries a key is ever answered twice.
                Ok(repository::Done::Replayed(_)) => {
                    return Err(CliError::Other("a bug: an answer from before".into()));
                }
                Err(WriteError::RegistryChanged) => self.read_columns_again().await?,
                Err(WriteError::Storage(error)) if attempts < ATTEMPTS && may_pass(&error) => {
                    self.progress.say(&format!("{error}: trying again in {} ms", pause.as_millis()));
                    tokio::time::sleep(pause).await;
                    (attempts, pause) = (attempts + 1, (pause * 2).min(LONGEST_PAUSE));
                }
                Err(error) => return Err(CliError::Other(format!("could not write: {error}"))),
            }
        }
    }

    /// The account's fields are others than at the start: they may still fit.
    async fn read_columns_again(&self) -> Result<(), CliError> {
        let registry = self.repository.reload_registry(self.account).await;
        let registry = registry.map_err(|error| CliError::Other(format!("could not read the fields: {error}")))?;
        let columns = Columns::read(self.header, self.naming, &registry).ok();
        let columns = columns.filter(|columns| self.dry_run || columns.new_fields().is_empty());
        let gone = || CliError::Other("a field of the file is gone from the account: run it again".to_owned());
        self.columns.store(Arc::new(columns.ok_or_else(gone)?));
        Ok(())
    }

    /// Tells what has been done.
    ///
    /// # Errors
    /// Standard output.
    pub(super) fn summarise(&self) -> Result<(), CliError> {
        self.progress.finish();
        let Done { created, updated, unchanged } = self.done;
        let refused = self.report.rows();
        let (rows, rate) = (self.progress.rows(), self.progress.rate());
        let seconds = self.progress.elapsed().as_secs_f64();
        let dry_run = if self.dry_run { "dry run: nothing was written\n" } else { "" };
        print(&format!(
            "{created} created, {updated} updated, {unchanged} unchanged, {refused} refused\n\
             {rows} rows in {seconds:.1} s ({rate} rows/s)\n{dry_run}"
        ))
    }
}

/// Whether it may be gone when it is tried again.
fn may_pass(error: &StorageError) -> bool {
    !matches!(error, StorageError::Bug(_))
}
