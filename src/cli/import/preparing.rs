//! Prepares chunks: what they ask for is looked up and applied in memory, while the chunk before is stored.

use std::io;
use std::sync::Arc;

use uuid::Uuid;

use super::chunk::Chunk;
use super::reading::Reading;
use crate::repository::{Outlook, Prepared, Repository};

/// Chunks that are being prepared.
pub(super) struct Preparing<'a> {
    pub(super) repository: &'a Repository,
    pub(super) reading: Reading,
    pub(super) account: Uuid,
    pub(super) actor: Arc<str>,
    pub(super) dry_run: bool,
    /// What will be there once the chunks so far are written, if that can be said.
    pub(super) outlook: Option<Outlook>,
}

/// A chunk that is next to be written.
pub(super) struct Ready {
    pub(super) chunk: Chunk,
    /// `None` where it could not be prepared, or is not to be stored: it is written by itself then.
    pub(super) prepared: Option<Prepared>,
}

impl Preparing<'_> {
    /// The next chunk, prepared upon what will be there by then; `None` at the end of the file.
    ///
    /// # Errors
    /// The file.
    pub(super) async fn next(&mut self) -> io::Result<Option<Ready>> {
        let Some(mut chunk) = self.reading.next().await? else { return Ok(None) };
        if self.dry_run {
            return Ok(Some(Ready { chunk, prepared: None }));
        }
        let work = chunk.work(self.account, &self.actor, false);
        // Whatever is in the way is told when the chunk is written by itself.
        let prepared = self.repository.prepare(work, self.outlook.take()).await.ok();
        let (prepared, outlook) = prepared.unzip();
        self.outlook = outlook;
        Ok(Some(Ready { chunk, prepared }))
    }
}
