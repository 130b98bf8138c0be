//! Reads and checks rows on a thread of its own, while those before them are written.

use std::io::{self, Read};
use std::sync::Arc;
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use super::chunk::Chunk;
use super::rows::Rows;
use crate::transfer::Columns;

/// How many rows are written in one transaction. The account's lock is held for as long: more are hardly faster, and
/// would let other writers of the account wait.
const ROWS: usize = 2_000;
/// A chunk ends with the row that brings it to so many bytes: large rows must not fill the memory.
const BYTES: usize = 8 * 1024 * 1024;
/// How many chunks are read ahead.
const READ_AHEAD: usize = 2;

/// A file that is being read.
pub(super) struct Reading {
    chunks: mpsc::Receiver<io::Result<Chunk>>,
    /// What reads; `None` once it has ended.
    thread: Option<JoinHandle<()>>,
}

impl Reading {
    /// Begins to read; `columns` are those that hold at the moment. Ends early when this is dropped.
    pub(super) fn start<R: Read + Send + 'static>(rows: Rows<R>, columns: Arc<ArcSwap<Columns>>) -> Self {
        let (send, chunks) = mpsc::channel(READ_AHEAD);
        let thread = std::thread::spawn(move || read_all(rows, &columns, &send));
        Self { chunks, thread: Some(thread) }
    }

    /// The next chunk; `None` at the end of the file.
    ///
    /// # Errors
    /// The file, and that its reader has panicked: what is left of the file was not read then.
    pub(super) async fn next(&mut self) -> io::Result<Option<Chunk>> {
        if let Some(chunk) = self.chunks.recv().await {
            return chunk.map(Some);
        }
        // Only a thread that ends drops its end of the channel, so this waits for no one.
        let ended = self.thread.take().map_or(Ok(()), JoinHandle::join);
        ended.map(|()| None).map_err(|_| io::Error::other("a bug: what reads the file has panicked"))
    }
}

fn read_all<R: Read>(mut rows: Rows<R>, columns: &ArcSwap<Columns>, chunks: &mpsc::Sender<io::Result<Chunk>>) {
    while let Some(chunk) = read(&mut rows, columns).transpose() {
        let is_last = chunk.is_err();
        if chunks.blocking_send(chunk).is_err() || is_last {
            return;
        }
    }
}

/// The next rows; `None` when there are no more.
fn read<R: Read>(rows: &mut Rows<R>, columns: &ArcSwap<Columns>) -> io::Result<Option<Chunk>> {
    let mut taken = Vec::with_capacity(ROWS);
    let mut size = 0;
    while taken.len() < ROWS
        && size < BYTES
        && let Some(row) = rows.next()?
    {
        size += row.size();
        taken.push(row);
    }
    Ok((!taken.is_empty()).then(|| Chunk::of(taken, rows.consumed(), &columns.load())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::registry_samples as samples;
    use crate::transfer::Naming;

    fn start(source: impl Read + Send + 'static) -> Reading {
        let naming = Naming { maps: vec![], property: "email".into(), create_fields: false };
        let columns =
            Columns::read(&["email".to_owned()], &naming, &Arc::new(samples::registry())).expect("good columns");
        Reading::start(Rows::new(source), Arc::new(ArcSwap::from_pointee(columns)))
    }

    /// A source with a bug.
    struct Broken;

    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panic!("a bug of a test")
        }
    }

    #[tokio::test]
    async fn takes_no_panic_for_the_end() {
        let mut reading = start(io::Cursor::new("a@b.cd\n".repeat(ROWS + 1)).chain(Broken));
        assert!(reading.next().await.is_ok_and(|chunk| chunk.is_some_and(|chunk| chunk.len() == ROWS as u64)));
        assert!(reading.next().await.is_err_and(|error| error.to_string().contains("panicked")));
    }

    #[tokio::test]
    async fn reads_chunks_to_the_end() {
        let mut reading = start(io::Cursor::new("a@b.cd\n".repeat(2 * ROWS)));
        for _ in 0..2 {
            assert!(reading.next().await.is_ok_and(|chunk| chunk.is_some_and(|chunk| chunk.len() == ROWS as u64)));
        }
        for _ in 0..2 {
            assert!(reading.next().await.is_ok_and(|chunk| chunk.is_none()));
        }
    }

    #[tokio::test]
    async fn ends_a_chunk_by_its_size_too() {
        let row = format!("{}\n", "x".repeat(BYTES / 3));
        let mut reading = start(io::Cursor::new(row.repeat(4)));
        for rows in [3, 1] {
            assert!(reading.next().await.is_ok_and(|chunk| chunk.is_some_and(|chunk| chunk.len() == rows)));
        }
    }
}
