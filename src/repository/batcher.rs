//! Natural batching, as in group commit: a worker drains its queue, processes the jobs as one batch, and then takes the
//! jobs that were queued meanwhile. An idle service adds no delay: a single job is a batch of one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::Counter;
use tokio::sync::mpsc;

use super::admission::ServiceTime;
use super::error::StorageError;
use super::storage_metrics::{self, QueueMetrics};

/// The number of queued jobs at which a queue rejects more.
const MAX_QUEUED: usize = 4_096;

/// The queue of a worker.
pub(super) struct BatchQueue<T> {
    sender: mpsc::Sender<T>,
    max_batch: usize,
    /// The duration of a batch.
    service_time: Arc<ServiceTime>,
    rejections: Counter,
}

impl<T> BatchQueue<T> {
    /// Adds a job.
    ///
    /// # Errors
    /// [`StorageError::Overloaded`] when the queue is full or the job would wait too long.
    pub(super) fn add(&self, job: T) -> Result<(), StorageError> {
        let admitted = self.service_time.try_admit(self.depth() / self.max_batch);
        let added = admitted.and_then(|()| self.sender.try_send(job).map_err(|_| StorageError::Overloaded));
        added.inspect_err(|_| self.rejections.increment(1))
    }

    /// Returns the number of queued jobs.
    pub(super) fn depth(&self) -> usize {
        self.sender.max_capacity() - self.sender.capacity()
    }
}

/// Starts a worker that passes up to `max_batch` jobs at a time to `process_batch` and aborts a batch after
/// `time_limit`. The worker ends when its queue is dropped. Its metrics have the label `queue="<name>"`.
pub(super) fn start_worker<T: Send + 'static, F: Future<Output = ()> + Send + 'static>(
    name: &'static str,
    max_batch: usize,
    time_limit: Duration,
    process_batch: impl Fn(Vec<T>) -> F + Send + 'static,
) -> BatchQueue<T> {
    let QueueMetrics { batch_sizes, batch_durations, rejections } = storage_metrics::queue_metrics(name);
    let (sender, mut receiver) = mpsc::channel(MAX_QUEUED);
    let service_time = Arc::<ServiceTime>::default();
    let recorded_time = Arc::clone(&service_time);
    tokio::spawn(async move {
        let mut jobs = Vec::with_capacity(max_batch);
        while receiver.recv_many(&mut jobs, max_batch).await > 0 {
            batch_sizes.record(jobs.len() as f64);
            let started = Instant::now();
            // The batch runs on its own task: neither a panic nor a dead connection may end the worker. Aborting the
            // task drops the jobs, so their callers get no reply and fail.
            let mut task = tokio::spawn(process_batch(std::mem::take(&mut jobs)));
            if tokio::time::timeout(time_limit, &mut task).await.is_err() {
                task.abort();
            }
            let elapsed = started.elapsed();
            recorded_time.record(elapsed);
            batch_durations.record(elapsed);
        }
    });
    BatchQueue { sender, max_batch, service_time, rejections }
}
