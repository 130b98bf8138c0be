//! Prepares chunks: loads the contacts that a chunk needs and applies its writes in memory, while the previous chunk is
//! stored.

use std::io;
use std::sync::Arc;

use uuid::Uuid;

use super::chunk::Chunk;
use super::read_chunks::ChunkReader;
use crate::repository::{PreparedBatch, Projection, Repository};

/// Prepares the chunks of a file one after another.
pub(super) struct ChunkPreparer<'a> {
    pub(super) repository: &'a Repository,
    pub(super) reader: ChunkReader,
    pub(super) account: Uuid,
    pub(super) actor: Arc<str>,
    pub(super) dry_run: bool,
    /// The projected state of the account after all prepared chunks are stored. `None` if it is not known.
    pub(super) projection: Option<Projection>,
}

/// The next chunk to write.
pub(super) struct PreparedChunk {
    pub(super) chunk: Chunk,
    /// `None` if the chunk could not be prepared, or in a dry run. The chunk is then written without preparation.
    pub(super) prepared: Option<PreparedBatch>,
}

impl ChunkPreparer<'_> {
    /// Returns the next chunk, or `None` at the end of the file.
    ///
    /// The chunk is prepared on the projected state of the account after the chunks before it.
    ///
    /// # Errors
    /// Fails if the file cannot be read.
    pub(super) async fn next(&mut self) -> io::Result<Option<PreparedChunk>> {
        let Some(mut chunk) = self.reader.next().await? else { return Ok(None) };
        if self.dry_run {
            return Ok(Some(PreparedChunk { chunk, prepared: None }));
        }
        let writes = chunk.take_writes(self.account, &self.actor, false);
        // An error is ignored here. If it persists, it is reported when the chunk is written without preparation.
        let prepared = self.repository.prepare_batch(writes, self.projection.take()).await.ok();
        let (prepared, projection) = prepared.unzip();
        self.projection = projection;
        Ok(Some(PreparedChunk { chunk, prepared }))
    }
}
