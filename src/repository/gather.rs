//! Natural batching, as in group commit: a worker takes whatever waits at this moment, has it settled together, and
//! comes back for what has gathered meanwhile. An idle service adds no wait: what comes alone is a batch of one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::Counter;
use tokio::sync::mpsc;

use super::StorageError;
use super::line::Pace;
use super::meters::{self, QueueMeters};

/// How much may wait for a worker before more is turned away.
const MAX_WAITING: usize = 4_096;

/// Where things wait for their worker.
pub(super) struct Queue<T> {
    sender: mpsc::Sender<T>,
    max_batch: usize,
    /// How long a batch takes.
    pace: Arc<Pace>,
    refusals: Counter,
}

impl<T> Queue<T> {
    /// Adds a thing.
    ///
    /// # Errors
    /// [`StorageError::Overloaded`]: too much waits already, or for too long.
    pub(super) fn add(&self, thing: T) -> Result<(), StorageError> {
        let turn = self.pace.expect_turn(self.depth() / self.max_batch);
        let added = turn.and_then(|()| self.sender.try_send(thing).map_err(|_| StorageError::Overloaded));
        added.inspect_err(|_| self.refusals.increment(1))
    }

    /// How many things wait.
    pub(super) fn depth(&self) -> usize {
        self.sender.max_capacity() - self.sender.capacity()
    }
}

/// Starts a worker that settles at most `max_batch` things at a time, and gives a batch up after `time_limit`. It ends
/// when no one can send it any more. What it does is measured under `name`.
pub(super) fn start<T: Send + 'static, F: Future<Output = ()> + Send + 'static>(
    name: &'static str,
    max_batch: usize,
    time_limit: Duration,
    settle: impl Fn(Vec<T>) -> F + Send + 'static,
) -> Queue<T> {
    let QueueMeters { sizes, durations, refusals } = meters::queue(name);
    let (sender, mut waiting) = mpsc::channel(MAX_WAITING);
    let pace = Arc::<Pace>::default();
    let moving = Arc::clone(&pace);
    tokio::spawn(async move {
        let mut batch = Vec::with_capacity(max_batch);
        while waiting.recv_many(&mut batch, max_batch).await > 0 {
            sizes.record(batch.len() as f64);
            let started = Instant::now();
            // A task of its own: neither a panic nor a dead connection may end the worker. Those who are left without
            // an answer learn that.
            let mut task = tokio::spawn(settle(std::mem::take(&mut batch)));
            if tokio::time::timeout(time_limit, &mut task).await.is_err() {
                task.abort();
            }
            let took = started.elapsed();
            moving.note(took);
            durations.record(took);
        }
    });
    Queue { sender, max_batch, pace, refusals }
}
