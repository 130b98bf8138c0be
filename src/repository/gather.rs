//! Natural batching, as in group commit: a worker takes whatever waits at this moment, has it settled together, and
//! comes back for what has gathered meanwhile. An idle service adds no wait: what comes alone is a batch of one.

use std::time::Duration;

use tokio::sync::mpsc;

/// How much may wait for a worker before more is turned away.
const MAX_WAITING: usize = 4_096;

/// Starts a worker that settles at most `max_batch` things at a time, and gives a batch up after `time_limit`. It ends
/// when no one can send it any more.
pub(super) fn start<T: Send + 'static, F: Future<Output = ()> + Send + 'static>(
    max_batch: usize,
    time_limit: Duration,
    settle: impl Fn(Vec<T>) -> F + Send + 'static,
) -> mpsc::Sender<T> {
    let (queue, mut waiting) = mpsc::channel(MAX_WAITING);
    tokio::spawn(async move {
        let mut batch = Vec::with_capacity(max_batch);
        while waiting.recv_many(&mut batch, max_batch).await > 0 {
            // A task of its own: neither a panic nor a dead connection may end the worker. Those who are left without
            // an answer learn that.
            let mut task = tokio::spawn(settle(std::mem::take(&mut batch)));
            if tokio::time::timeout(time_limit, &mut task).await.is_err() {
                task.abort();
            }
        }
    });
    queue
}
