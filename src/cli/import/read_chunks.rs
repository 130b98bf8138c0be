//! Reads and checks chunks of rows on a separate thread, while earlier chunks are written.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use super::chunk::Chunk;
use super::row_source::TableRows;
use crate::import_export::ColumnMapping;

/// The maximum number of rows in a chunk, which is one transaction.
///
/// The transaction holds the lock of the account. Larger chunks are hardly faster, and other writes to the account
/// would wait longer.
const MAX_CHUNK_ROWS: usize = 2_000;
/// A chunk ends with the row that brings it to this size in bytes, so that large rows do not fill the memory.
const MAX_CHUNK_BYTES: usize = 8 * 1024 * 1024;
/// The number of chunks that are read ahead.
const READ_AHEAD: usize = 2;

/// Reads a file on a separate thread.
pub(super) struct ChunkReader {
    chunks: mpsc::Receiver<io::Result<Chunk>>,
    /// The thread that reads the file. `None` after it has ended.
    thread: Option<JoinHandle<()>>,
}

impl ChunkReader {
    /// Starts the thread. `columns` is the current mapping, which can be replaced while the thread runs.
    ///
    /// The thread ends early if the `ChunkReader` is dropped.
    pub(super) fn start(rows: TableRows, columns: Arc<ArcSwap<ColumnMapping>>) -> Self {
        let (send, chunks) = mpsc::channel(READ_AHEAD);
        let thread = std::thread::spawn(move || read_all(rows, &columns, &send));
        Self { chunks, thread: Some(thread) }
    }

    /// Returns the next chunk, or `None` at the end of the file.
    ///
    /// # Errors
    /// Fails if the file cannot be read, or if the thread has panicked. The rest of the file is not read then.
    pub(super) async fn next(&mut self) -> io::Result<Option<Chunk>> {
        if let Some(chunk) = self.chunks.recv().await {
            return chunk.map(Some);
        }
        // The channel is closed, so the thread has ended and `join` returns immediately.
        let ended = self.thread.take().map_or(Ok(()), JoinHandle::join);
        ended
            .map(|()| None)
            .map_err(|_| io::Error::other("internal error: the thread that reads the file has panicked"))
    }
}

fn read_all(mut rows: TableRows, columns: &ArcSwap<ColumnMapping>, chunks: &mpsc::Sender<io::Result<Chunk>>) {
    while let Some(chunk) = read_chunk(&mut rows, columns).transpose() {
        let is_last = chunk.is_err();
        if chunks.blocking_send(chunk).is_err() || is_last {
            return;
        }
    }
}

/// Reads the next chunk. Returns `None` at the end of the file.
fn read_chunk(rows: &mut TableRows, columns: &ArcSwap<ColumnMapping>) -> io::Result<Option<Chunk>> {
    let mut chunk_rows = Vec::with_capacity(MAX_CHUNK_ROWS);
    let mut size = 0;
    while chunk_rows.len() < MAX_CHUNK_ROWS
        && size < MAX_CHUNK_BYTES
        && let Some(row) = rows.next()?
    {
        size += row.memory_size();
        chunk_rows.push(row);
    }
    let left_out = rows.take_left_out();
    let is_end = chunk_rows.is_empty() && left_out.is_empty();
    Ok((!is_end).then(|| Chunk::new(chunk_rows, left_out, rows.offset(), &columns.load())))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::cli::import::csv_rows::CsvRows;
    use crate::cli::import::row_source::RowSource;
    use crate::fields::registry_fixtures as fixtures;
    use crate::import_export::{MappingOptions, TableSample};

    fn start_reader(source: impl Read + Send + 'static) -> ChunkReader {
        let (header, sample) = (["email".to_owned()], TableSample::new(1, false));
        let columns = ColumnMapping::new(&header, &sample, &MappingOptions::default(), &Arc::new(fixtures::registry()))
            .expect("a valid header");
        let rows = RowSource::Csv(CsvRows::new(Box::new(source), b',', false));
        ChunkReader::start(TableRows::new(rows, &header), Arc::new(ArcSwap::from_pointee(columns)))
    }

    /// A source that panics when it is read.
    struct PanickingSource;

    impl Read for PanickingSource {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panic!("this source always panics")
        }
    }

    #[tokio::test]
    async fn panic_of_the_reading_thread_is_an_error_and_not_the_end_of_the_file() {
        let mut reader = start_reader(io::Cursor::new("a@b.cd\n".repeat(MAX_CHUNK_ROWS + 1)).chain(PanickingSource));
        assert!(
            reader
                .next()
                .await
                .is_ok_and(|chunk| chunk.is_some_and(|chunk| chunk.row_count() == MAX_CHUNK_ROWS as u64))
        );
        assert!(reader.next().await.is_err_and(|error| error.to_string().contains("panicked")));
    }

    #[tokio::test]
    async fn file_is_read_in_chunks_to_its_end() {
        let mut reader = start_reader(io::Cursor::new("a@b.cd\n".repeat(2 * MAX_CHUNK_ROWS)));
        for _ in 0..2 {
            assert!(
                reader
                    .next()
                    .await
                    .is_ok_and(|chunk| chunk.is_some_and(|chunk| chunk.row_count() == MAX_CHUNK_ROWS as u64))
            );
        }
        for _ in 0..2 {
            assert!(reader.next().await.is_ok_and(|chunk| chunk.is_none()));
        }
    }

    #[tokio::test]
    async fn chunk_of_large_rows_ends_at_the_size_limit() {
        let row = format!("{}\n", "x".repeat(MAX_CHUNK_BYTES / 3));
        let mut reader = start_reader(io::Cursor::new(row.repeat(4)));
        for rows in [3, 1] {
            assert!(reader.next().await.is_ok_and(|chunk| chunk.is_some_and(|chunk| chunk.row_count() == rows)));
        }
    }
}
