//! Memory that the requests of all accounts share.

use std::time::Duration;

use uuid::Uuid;

use crate::fair_semaphore::{FairPermit, FairSemaphore};
use crate::http::error::ApiError;

/// The number of bytes that one permit of the semaphore reserves.
const BYTES_PER_PERMIT: usize = 1024;
/// How long a request waits for memory.
const RESERVE_TIMEOUT: Duration = Duration::from_secs(2);

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
        let permits = bytes.div_ceil(BYTES_PER_PERMIT).min(self.permits.max_of_account());
        let permit = tokio::time::timeout(RESERVE_TIMEOUT, self.permits.acquire(account, permits)).await;
        permit.map_err(|_| ApiError::Unavailable("no memory is free for a large body".into()))
    }

    /// Returns the number of free bytes.
    #[cfg(test)]
    pub(super) fn free_bytes(&self) -> usize {
        self.permits.free() * BYTES_PER_PERMIT
    }
}
