//! The slots for concurrent requests.

use uuid::Uuid;

use crate::fair_semaphore::{FairPermit, FairSemaphore};

/// The slots for concurrent requests. Accounts share them.
pub(in crate::http) struct RequestSlots {
    requests: FairSemaphore,
    /// Long polls have their own slots, because they use almost no resources while they wait.
    long_polls: FairSemaphore,
}

impl RequestSlots {
    /// Creates slots for this many requests, and for this many long polls.
    pub(super) fn new(requests: usize, long_polls: usize) -> Self {
        Self { requests: FairSemaphore::new(requests), long_polls: FairSemaphore::new(long_polls) }
    }

    /// Takes a slot until the permit is dropped. Returns `None` if the account can have no slot now.
    pub(in crate::http) fn try_take(&self, account: Uuid, is_long_poll: bool) -> Option<FairPermit> {
        let slots = if is_long_poll { &self.long_polls } else { &self.requests };
        slots.try_acquire(account, 1)
    }
}
