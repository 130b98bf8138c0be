//! Memory that the work of all accounts shares.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::fair_semaphore::{FairPermit, FairSemaphore};

/// The number of bytes that one permit of the semaphore reserves.
const BYTES_PER_PERMIT: usize = 1024;
/// The longest wait for memory.
const RESERVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Returns the number of permits that reserve this many bytes.
fn permits_for(bytes: usize) -> usize {
    bytes.div_ceil(BYTES_PER_PERMIT)
}

/// Returns the memory that a permit does not need for `bytes` to its budget.
pub(crate) fn release_unused(permit: &mut FairPermit, bytes: usize) {
    permit.shrink_to(permits_for(bytes));
}

/// Moves the memory that a permit does not need for `bytes` into a permit of its own.
pub(crate) fn split_unused(permit: &mut FairPermit, bytes: usize) -> FairPermit {
    permit.split(permit.count().saturating_sub(permits_for(bytes)))
}

/// The memory of the content of a request, which is released when the last clone is dropped. Cheap to clone.
#[derive(Clone, Default)]
pub struct ContentMemory {
    _permit: Option<Arc<FairPermit>>,
}

impl From<FairPermit> for ContentMemory {
    fn from(permit: FairPermit) -> Self {
        Self { _permit: Some(Arc::new(permit)) }
    }
}

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
        Self { permits: FairSemaphore::new(permits_for(bytes)) }
    }

    /// Reserves memory until the permit is dropped. A request for more than the share of an account gets all of this
    /// share.
    ///
    /// # Errors
    /// [`OutOfMemory`] if not enough memory is free within 2 s.
    pub(crate) async fn reserve(&self, account: Uuid, bytes: usize) -> Result<FairPermit, OutOfMemory> {
        self.acquire(account, self.permit_count(bytes)).await
    }

    /// Adds memory to a permit until it covers `bytes`, or the share of the account.
    ///
    /// # Errors
    /// [`OutOfMemory`] if not enough memory is free within 2 s.
    pub(crate) async fn grow(&self, permit: &mut FairPermit, bytes: usize) -> Result<(), OutOfMemory> {
        let missing = self.permit_count(bytes).saturating_sub(permit.count());
        if missing > 0 {
            permit.merge(self.acquire(permit.account(), missing).await?);
        }
        Ok(())
    }

    async fn acquire(&self, account: Uuid, count: usize) -> Result<FairPermit, OutOfMemory> {
        let permit = self.permits.acquire(account, count);
        tokio::time::timeout(RESERVE_TIMEOUT, permit).await.map_err(|_| OutOfMemory)
    }

    /// Reserves memory like [`Self::reserve`], but without waiting.
    ///
    /// # Errors
    /// [`OutOfMemory`] if not enough memory is free now.
    pub(crate) fn try_reserve(&self, account: Uuid, bytes: usize) -> Result<FairPermit, OutOfMemory> {
        self.permits.try_acquire(account, self.permit_count(bytes)).ok_or(OutOfMemory)
    }

    /// Adds memory to a permit like [`Self::grow`], but without waiting.
    ///
    /// # Errors
    /// [`OutOfMemory`] if not enough memory is free now.
    pub(crate) fn try_grow(&self, permit: &mut FairPermit, bytes: usize) -> Result<(), OutOfMemory> {
        let missing = self.permit_count(bytes).saturating_sub(permit.count());
        if missing > 0 {
            permit.merge(self.permits.try_acquire(permit.account(), missing).ok_or(OutOfMemory)?);
        }
        Ok(())
    }

    fn permit_count(&self, bytes: usize) -> usize {
        permits_for(bytes).min(self.permits.max_of_account())
    }

    /// Returns the number of free bytes.
    #[cfg(test)]
    pub(crate) fn free_bytes(&self) -> usize {
        self.permits.free() * BYTES_PER_PERMIT
    }
}
