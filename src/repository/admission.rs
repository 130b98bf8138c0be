//! Admission control: a caller is rejected at once when it would wait too long.
//!
//! A queue that grows without limit serves every caller too late: each waits until its timeout instead of failing
//! early. Queue limits adapt to the measured service time; there is nothing to configure.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::error::StorageError;
use crate::fair_semaphore::{FairPermit, FairSemaphore};

/// The longest expected wait for which a caller is still admitted to a queue.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// The number of measurements that a [`ServiceTime`] remembers.
const SAMPLES: usize = 3;

/// The time that a queue needs to advance by one step, such as one batch or one caller. Zero before the first
/// measurements.
#[derive(Default)]
pub(super) struct ServiceTime(Mutex<[Duration; SAMPLES]>);

impl ServiceTime {
    /// Records the duration of a step.
    pub(super) fn record(&self, step: Duration) {
        let mut samples = self.samples();
        samples.rotate_left(1);
        samples[SAMPLES - 1] = step;
    }

    /// Admits a caller that has to wait for `steps_ahead` steps, unless that would take more than 2 s.
    ///
    /// # Errors
    /// [`StorageError::Overloaded`] when the caller is not admitted.
    pub(super) fn try_admit(&self, steps_ahead: usize) -> Result<(), StorageError> {
        let steps_ahead = u32::try_from(steps_ahead).unwrap_or(u32::MAX);
        let is_short_wait = steps_ahead == 0 || self.median().saturating_mul(steps_ahead) <= MAX_WAIT;
        if is_short_wait { Ok(()) } else { Err(StorageError::Overloaded) }
    }

    /// Returns the median duration of the last steps. The median ignores a single long step: it means that the queue
    /// was blocked once, not that the queue is slow.
    fn median(&self) -> Duration {
        let mut samples = *self.samples();
        samples.sort_unstable();
        samples[SAMPLES / 2]
    }

    fn samples(&self) -> MutexGuard<'_, [Duration; SAMPLES]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts the callers that wait for a resource, and measures how fast they are served.
pub(super) struct AdmissionQueue {
    length: AtomicUsize,
    round: Mutex<ServiceRound>,
    service_time: ServiceTime,
}

impl AdmissionQueue {
    /// Creates a queue for a resource that `capacity` callers can use at a time.
    pub(super) fn new(capacity: u32) -> Self {
        Self {
            length: AtomicUsize::new(0),
            round: Mutex::new(ServiceRound::new(capacity)),
            service_time: ServiceTime::default(),
        }
    }

    /// Returns the number of callers in the queue.
    pub(super) fn length(&self) -> usize {
        self.length.load(Ordering::Relaxed)
    }

    /// Admits a new caller, unless it would wait for more than 2 s. `callers_ahead` is the number of callers that are
    /// served before it.
    ///
    /// # Errors
    /// [`StorageError::Overloaded`].
    pub(super) fn try_admit(&self, callers_ahead: usize) -> Result<(), StorageError> {
        self.service_time.try_admit(callers_ahead)
    }

    /// Waits for `acquire`, the acquisition of the resource. The caller counts as queued until then.
    pub(super) async fn wait_in_queue<T>(&self, acquire: impl Future<Output = T>) -> T {
        let ticket = QueueTicket::enqueue(self);
        if ticket.ahead == 0 {
            self.round().skip_idle_time(Instant::now());
        }
        let acquired = acquire.await;
        if let Some(step) = self.round().record_acquisition(Instant::now()) {
            self.service_time.record(step);
        }
        acquired
    }

    fn round(&self) -> MutexGuard<'_, ServiceRound> {
        self.round.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A measurement over as many acquisitions as can be held at a time. They are measured together because they may happen
/// together: callers that were blocked by the same cause all continue at once.
struct ServiceRound {
    capacity: u32,
    acquisitions: u32,
    /// The time in this round during which callers were queued.
    busy: Duration,
    /// The moment up to which `busy` is counted.
    counted_until: Instant,
}

impl ServiceRound {
    fn new(capacity: u32) -> Self {
        Self { capacity, acquisitions: 0, busy: Duration::ZERO, counted_until: Instant::now() }
    }

    /// Excludes the time until `now`, because the queue was empty.
    fn skip_idle_time(&mut self, now: Instant) {
        self.counted_until = now;
    }

    /// Counts an acquisition. Returns the average time of an acquisition when the round is complete.
    fn record_acquisition(&mut self, now: Instant) -> Option<Duration> {
        self.acquisitions += 1;
        self.busy += now.saturating_duration_since(self.counted_until);
        self.counted_until = now;
        if self.acquisitions < self.capacity {
            return None;
        }
        self.acquisitions = 0;
        Some(std::mem::take(&mut self.busy) / self.capacity)
    }
}

/// Counts a caller as queued until the ticket is dropped, which happens when the caller is served or disconnects.
struct QueueTicket<'a> {
    queue: &'a AdmissionQueue,
    /// The number of callers that were queued before this one.
    ahead: usize,
}

impl<'a> QueueTicket<'a> {
    fn enqueue(queue: &'a AdmissionQueue) -> Self {
        Self { queue, ahead: queue.length.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for QueueTicket<'_> {
    fn drop(&mut self) {
        self.queue.length.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A semaphore that rejects callers when they would wait too long for a permit. The accounts of the callers are served in
/// turn.
pub(super) struct ConcurrencyLimiter {
    permits: FairSemaphore,
    queue: AdmissionQueue,
}

impl ConcurrencyLimiter {
    /// Creates a limiter with `permits` permits, at least one.
    pub(super) fn new(permits: u32) -> Self {
        let permits = permits.max(1);
        Self { permits: FairSemaphore::new(permits as usize), queue: AdmissionQueue::new(permits) }
    }

    /// Admits a new caller, unless it would wait for a permit for more than 2 s.
    ///
    /// # Errors
    /// [`StorageError::Overloaded`].
    pub(super) fn try_admit(&self, account: Uuid) -> Result<(), StorageError> {
        self.queue.try_admit(self.permits.callers_ahead(account))
    }

    /// Waits for a permit, which is returned to the limiter when it is dropped.
    pub(super) async fn acquire(&self, account: Uuid) -> FairPermit {
        self.queue.wait_in_queue(self.permits.acquire(account, 1)).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const ACCOUNT: Uuid = Uuid::nil();

    const STEP: Duration = Duration::from_millis(100);

    /// Holds a permit for [`STEP`].
    async fn hold_permit(limiter: Arc<ConcurrencyLimiter>) {
        let permit = limiter.acquire(ACCOUNT).await;
        tokio::time::sleep(STEP).await;
        drop(permit);
    }

    #[tokio::test]
    async fn limiter_rejects_callers_that_would_wait_longer_than_two_seconds() {
        let limiter = Arc::new(ConcurrencyLimiter::new(2));
        limiter.try_admit(ACCOUNT).expect("the queue is empty");
        let mut callers = tokio::task::JoinSet::new();
        for _ in 0..80 {
            limiter.try_admit(ACCOUNT).expect("the service time is not known yet");
            callers.spawn(hold_permit(Arc::clone(&limiter)));
        }
        tokio::time::sleep(STEP * 5).await;
        // Two callers are served every 100 ms: the next would wait for more than three seconds.
        assert!(limiter.queue.length() > 60);
        assert!(matches!(limiter.try_admit(ACCOUNT), Err(StorageError::Overloaded)));
        while limiter.queue.length() > 10 {
            callers.join_next().await.expect("callers are left").expect("no panic");
        }
        limiter.try_admit(ACCOUNT).expect("a wait of half a second is admitted");
        callers.join_all().await;
        for _ in 0..2 * SAMPLES {
            drop(limiter.acquire(ACCOUNT).await);
        }
        assert!(limiter.queue.service_time.median() < Duration::from_millis(1), "an empty queue is fast");
    }

    #[tokio::test]
    async fn blocked_limiter_is_not_measured_as_slow() {
        const PERMITS: u32 = 8;
        let limiter = Arc::new(ConcurrencyLimiter::new(PERMITS));
        // The share of one account.
        let all_permits = limiter.permits.acquire(ACCOUNT, limiter.permits.max_of_account()).await;
        let mut callers = tokio::task::JoinSet::new();
        (0..80).for_each(|_| drop(callers.spawn(hold_permit(Arc::clone(&limiter)))));
        tokio::time::sleep(STEP * 8).await;
        drop(all_permits);
        tokio::time::sleep(STEP / 2).await;
        assert!(limiter.queue.length() > 60);
        limiter.try_admit(ACCOUNT).expect("a wait of ten steps is admitted");
        callers.join_all().await;
    }

    #[tokio::test]
    async fn caller_that_stops_waiting_leaves_the_queue() {
        let limiter = ConcurrencyLimiter::new(1);
        let permit = limiter.acquire(ACCOUNT).await;
        assert!(tokio::time::timeout(Duration::from_millis(1), limiter.acquire(ACCOUNT)).await.is_err());
        assert_eq!(limiter.queue.length(), 0);
        drop(permit);
        drop(limiter.acquire(ACCOUNT).await);
    }
}
