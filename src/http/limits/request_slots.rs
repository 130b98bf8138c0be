//! The slots for concurrent requests.

use tokio::sync::{Semaphore, SemaphorePermit};

/// The free slots for concurrent requests.
pub(in crate::http) struct RequestSlots {
    requests: Semaphore,
    /// Long polls have their own slots, because they use almost no resources while they wait.
    long_polls: Semaphore,
}

impl RequestSlots {
    /// Creates slots for this many requests, and for this many long polls.
    pub(super) fn new(requests: usize, long_polls: usize) -> Self {
        Self { requests: Semaphore::new(requests), long_polls: Semaphore::new(long_polls) }
    }

    /// Takes a slot until the permit is dropped. Returns `None` if no slot is free.
    pub(in crate::http) fn try_take(&self, is_long_poll: bool) -> Option<SemaphorePermit<'_>> {
        let slots = if is_long_poll { &self.long_polls } else { &self.requests };
        slots.try_acquire().ok()
    }
}
