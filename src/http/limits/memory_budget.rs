//! Memory that the requests of all accounts share.

use std::time::Duration;

use uuid::Uuid;

use crate::fair_semaphore::{FairPermit, FairSemaphore};
use crate::http::error::ApiError;

/// The number of bytes that one permit of the semaphore reserves.
const BYTES_PER_PERMIT: usize = 1024;
/// How long a request waits for memory.
const RESERVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Returns the number of permits that reserve this many bytes.
fn permits_for(bytes: usize) -> usize {
    bytes.div_ceil(BYTES_PER_PERMIT)
}

/// Returns the memory that a permit does not need for `bytes` to its budget.
pub(in crate::http) fn release_unused(permit: &mut FairPermit, bytes: usize) {
    permit.shrink_to(permits_for(bytes));
}

/// Moves the memory that a permit does not need for `bytes` into a permit of its own.
pub(in crate::http) fn split_unused(permit: &mut FairPermit, bytes: usize) -> FairPermit {
    permit.split(permit.count().saturating_sub(permits_for(bytes)))
}

/// A budget of memory, of which every account has its share.
pub(super) struct MemoryBudget {
    permits: FairSemaphore,
}

impl MemoryBudget {
    /// Creates a budget of `bytes`, rounded up to full KiB.
    pub(super) fn new(bytes: usize) -> Self {
        Self { permits: FairSemaphore::new(bytes.div_ceil(BYTES_PER_PERMIT)) }
    }

    /// Reserves memory until the permit is dropped. A request for more than the share of an account gets all of this
    /// share.
    ///
    /// # Errors
    /// [`ApiError::Unavailable`] if not enough memory is free within 2 s.
    pub(super) async fn reserve(&self, account: Uuid, bytes: usize) -> Result<FairPermit, ApiError> {
        self.acquire(account, self.permits_for(bytes)).await
    }

    /// Adds memory to a permit until it covers `bytes`, or the share of the account.
    ///
    /// # Errors
    /// [`ApiError::Unavailable`] if not enough memory is free within 2 s.
    pub(super) async fn grow(&self, permit: &mut FairPermit, bytes: usize) -> Result<(), ApiError> {
        let missing = self.permits_for(bytes).saturating_sub(permit.count());
        if missing > 0 {
            permit.merge(self.acquire(permit.account(), missing).await?);
        }
        Ok(())
    }

    fn permits_for(&self, bytes: usize) -> usize {
        permits_for(bytes).min(self.permits.max_of_account())
    }

    async fn acquire(&self, account: Uuid, permits: usize) -> Result<FairPermit, ApiError> {
        let permit = tokio::time::timeout(RESERVE_TIMEOUT, self.permits.acquire(account, permits)).await;
        permit.map_err(|_| ApiError::Unavailable("no memory is free for a large body".into()))
    }

    /// Returns the number of free bytes.
    #[cfg(test)]
    pub(super) fn free_bytes(&self) -> usize {
        self.permits.free() * BYTES_PER_PERMIT
    }
}
