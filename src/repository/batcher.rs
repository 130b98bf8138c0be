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

/// The end of a queue from which its worker takes batches.
pub(super) struct BatchReceiver<T> {
    receiver: mpsc::Receiver<T>,
    max_batch: usize,
    service_time: Arc<ServiceTime>,
    metrics: QueueMetrics,
}

/// Creates a queue of which a worker takes up to `max_batch` jobs at a time. Its metrics have the label
/// `queue="<name>"`.
pub(super) fn new_queue<T>(name: &'static str, max_batch: usize) -> (BatchQueue<T>, BatchReceiver<T>) {
    let metrics = storage_metrics::queue_metrics(name);
    let (sender, receiver) = mpsc::channel(MAX_QUEUED);
    let service_time = Arc::<ServiceTime>::default();
    let rejections = metrics.rejections.clone();
    let queue = BatchQueue { sender, max_batch, service_time: Arc::clone(&service_time), rejections };
    (queue, BatchReceiver { receiver, max_batch, service_time, metrics })
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

impl<T> BatchReceiver<T> {
    /// Adds queued jobs to a batch, after waiting until there is one. Returns false when the queue was dropped, or the
    /// batch has its maximum size. Nothing is lost if the future is dropped.
    pub(super) async fn receive(&mut self, jobs: &mut Vec<T>) -> bool {
        let free = self.max_batch.saturating_sub(jobs.len());
        free > 0 && self.receiver.recv_many(jobs, free).await > 0
    }

    /// Adds the jobs to a batch that are queued now.
    pub(super) fn receive_queued(&mut self, jobs: &mut Vec<T>) {
        while jobs.len() < self.max_batch
            && let Ok(job) = self.receiver.try_recv()
        {
            jobs.push(job);
        }
    }

    /// Records the number of jobs of a batch.
    pub(super) fn record_size(&self, jobs: usize) {
        self.metrics.batch_sizes.record(jobs as f64);
    }

    /// Records the duration of a batch.
    pub(super) fn record_duration(&self, duration: Duration) {
        self.service_time.record(duration);
        self.metrics.batch_durations.record(duration);
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
    let (queue, mut receiver) = new_queue(name, max_batch);
    tokio::spawn(async move {
        let mut jobs = Vec::with_capacity(max_batch);
        while receiver.receive(&mut jobs).await {
            receiver.record_size(jobs.len());
            let started = Instant::now();
            // The batch runs on its own task: neither a panic nor a dead connection may end the worker. Aborting the
            // task drops the jobs, so their callers get no reply and fail.
            let mut task = tokio::spawn(process_batch(std::mem::take(&mut jobs)));
            if tokio::time::timeout(time_limit, &mut task).await.is_err() {
                task.abort();
            }
            receiver.record_duration(started.elapsed());
        }
    });
    queue
}
