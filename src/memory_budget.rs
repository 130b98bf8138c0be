//! Memory that the work of all accounts shares.

use std::time::Duration;

use uuid::Uuid;

use crate::fair_semaphore::{FairPermit, FairSemaphore};

/// The number of bytes that one permit of the semaphore reserves.
const BYTES_PER_PERMIT: usize = 1024;
/// The longest wait for memory.
const RESERVE_TIMEOUT: Duration = Duration::from_secs(2);

/// A budget of memory, of which every account has its share.
pub(crate) struct MemoryBudget {
    permits: FairSemaphore,
}

/// The error of a reservation for which not enough memory is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not enough memory is free")]
pub(crate) struct OutOfMemory;

impl MemoryBudget {
    /// Creates a budget of `bytes`, rounded up to full KiB.
    #[must_use]
    pub(crate) fn new(bytes: usize) -> Self {
        Self { permits: FairSemaphore::new(bytes.div_ceil(BYTES_PER_PERMIT)) }
    }

    /// Reserves memory until the permit is dropped. A request for more than the share of an account gets all of this
    /// share.
    ///
    /// # Errors
    /// [`OutOfMemory`] if not enough memory is free within 2 s.
    pub(crate) async fn reserve(&self, account: Uuid, bytes: usize) -> Result<FairPermit, OutOfMemory> {
        let permit = self.permits.acquire(account, self.permit_count(bytes));
        tokio::time::timeout(RESERVE_TIMEOUT, permit).await.map_err(|_| OutOfMemory)
    }

    /// Reserves memory like [`Self::reserve`], but without waiting.
    ///
    /// # Errors
    /// [`OutOfMemory`] if not enough memory is free now.
    pub(crate) fn try_reserve(&self, account: Uuid, bytes: usize) -> Result<FairPermit, OutOfMemory> {
        self.permits.try_acquire(account, self.permit_count(bytes)).ok_or(OutOfMemory)
    }

    fn permit_count(&self, bytes: usize) -> usize {
        bytes.div_ceil(BYTES_PER_PERMIT).min(self.permits.max_of_account())
    }

    /// Returns the number of free bytes.
    #[cfg(test)]
    pub(crate) fn free_bytes(&self) -> usize {
        self.permits.free() * BYTES_PER_PERMIT
    }
}
