//! The memory for responses. A response is complete in memory before its status is sent, so that a failure has a status
//! of its own.

use std::io::Write;

use serde::Serialize;
use uuid::Uuid;

use crate::fair_semaphore::FairPermit;
use crate::http::buffered_body::{BufferedBody, ChunkedBuffer};
use crate::http::error::ApiError;
use crate::memory_budget::MemoryBudget;

/// The first bytes of a response are not counted. The number of concurrent requests limits their total memory.
const UNCOUNTED_BYTES: usize = 64 * 1024;
/// The sizes for which a growing response reserves memory.
const STEPS: [usize; 3] = [1024 * 1024, 8 * 1024 * 1024, MAX_RESPONSE_BYTES];
/// The size up to which the response to a batch contains contacts.
pub(in crate::http) const MAX_RESPONSE_BYTES: usize = 32 * 1024 * 1024;

/// The memory budget of all responses that are being rendered or sent.
pub(in crate::http) struct ResponseMemory {
    budget: MemoryBudget,
}

impl ResponseMemory {
    /// Creates a budget of `bytes`, rounded up to full permits.
    pub(super) fn new(bytes: usize) -> Self {
        Self { budget: MemoryBudget::new(bytes) }
    }

    /// Returns an empty response for an account.
    pub(in crate::http) fn new_response(&self, account: Uuid) -> ResponseBuffer<'_> {
        ResponseBuffer { memory: self, account, buffer: ChunkedBuffer::default(), permit: None }
    }

    /// Reserves memory for a response of up to `bytes`, before it is rendered. Returns `None` for a small response,
    /// which needs no permit.
    ///
    /// # Errors
    /// [`ApiError::Unavailable`] if not enough memory is free within 2 s.
    pub(in crate::http) async fn reserve(&self, account: Uuid, bytes: usize) -> Result<Option<FairPermit>, ApiError> {
        if bytes <= UNCOUNTED_BYTES {
            return Ok(None);
        }
        Ok(Some(self.budget.reserve(account, bytes).await?))
    }
}

/// A response that is being rendered.
pub(in crate::http) struct ResponseBuffer<'a> {
    memory: &'a ResponseMemory,
    account: Uuid,
    buffer: ChunkedBuffer,
    permit: Option<FairPermit>,
}

impl ResponseBuffer<'_> {
    /// Returns the number of bytes.
    pub(in crate::http) fn length(&self) -> usize {
        self.buffer.length()
    }

    /// Appends bytes. The caller then calls [`Self::grow`] before it appends more.
    pub(in crate::http) fn push(&mut self, bytes: &[u8]) -> Result<(), ApiError> {
        self.buffer.write_all(bytes).map_err(|error| ApiError::Internal(error.to_string().into()))
    }

    /// Appends a value as JSON. The caller then calls [`Self::grow`] before it appends more.
    pub(in crate::http) fn push_json(&mut self, value: &impl Serialize) -> Result<(), ApiError> {
        serde_json::to_writer(&mut self.buffer, value).map_err(|error| ApiError::Internal(error.to_string().into()))
    }

    /// Removes the bytes from `length` on.
    pub(in crate::http) fn truncate(&mut self, length: usize) {
        self.buffer.truncate(length);
    }

    /// Reserves memory for the bytes so far, in steps. Beyond the last step, and beyond the share of the account,
    /// nothing more is reserved.
    ///
    /// # Errors
    /// [`ApiError::Unavailable`] if not enough memory is free within 2 s. Dropping the response then returns what it
    /// holds, so that no two responses wait for each other.
    pub(in crate::http) async fn grow(&mut self) -> Result<(), ApiError> {
        let length = self.length();
        if length <= UNCOUNTED_BYTES {
            return Ok(());
        }
        let step = STEPS.into_iter().find(|step| length <= *step).unwrap_or(MAX_RESPONSE_BYTES);
        match &mut self.permit {
            Some(permit) => self.memory.budget.grow(permit, step).await?,
            None => self.permit = self.memory.reserve(self.account, step).await?,
        }
        Ok(())
    }

    /// Returns the complete body, which holds memory for its size only.
    pub(in crate::http) fn finish(self) -> BufferedBody {
        BufferedBody::new(self.buffer, self.permit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1024;
    const MIB: usize = 1024 * KIB;

    /// Returns the memory that a response of this size holds while it grows, and when it is complete.
    async fn held(memory: &ResponseMemory, length: usize) -> (usize, usize) {
        let total = memory.budget.free_bytes();
        let mut response = memory.new_response(Uuid::nil());
        for _ in 0..length / KIB {
            response.push(&[b'x'; KIB]).expect("memory grows");
            response.grow().await.expect("memory is free");
        }
        let growing = total - memory.budget.free_bytes();
        let body = response.finish();
        assert_eq!(body.length(), length);
        (growing, total - memory.budget.free_bytes())
    }

    #[tokio::test]
    async fn response_grows_in_steps_and_keeps_what_it_needs() {
        let memory = ResponseMemory::new(64 * MIB);
        assert_eq!(held(&memory, 64 * KIB).await, (0, 0));
        assert_eq!(held(&memory, 65 * KIB).await, (MIB, 65 * KIB));
        assert_eq!(held(&memory, MIB).await, (MIB, MIB));
        assert_eq!(held(&memory, MIB + KIB).await, (8 * MIB, MIB + KIB));
        assert_eq!(held(&memory, 9 * MIB).await, (32 * MIB, 9 * MIB));
        assert_eq!(memory.budget.free_bytes(), 64 * MIB);
    }

    #[tokio::test]
    async fn response_larger_than_the_share_of_an_account_holds_this_share() {
        let memory = ResponseMemory::new(4 * MIB);
        assert_eq!(held(&memory, 9 * MIB).await, (3 * MIB, 3 * MIB));
    }

    #[tokio::test(start_paused = true)]
    async fn responses_that_wait_for_each_other_fail_and_return_their_memory() {
        let memory = ResponseMemory::new(12 * MIB);
        let render = async || {
            let mut response = memory.new_response(Uuid::nil());
            for _ in 0..2 * MIB / KIB {
                response.push(&[b'x'; KIB])?;
                response.grow().await?;
                tokio::task::yield_now().await;
            }
            Ok::<_, ApiError>(response.finish())
        };
        let (first, second) = tokio::join!(render(), render());
        assert!(matches!(
            (first, second),
            (Ok(_), Err(ApiError::Unavailable(_))) | (Err(ApiError::Unavailable(_)), Ok(_))
        ));
        assert_eq!(memory.budget.free_bytes(), 12 * MIB);
    }

    #[tokio::test]
    async fn truncated_response_ends_at_the_length() {
        let memory = ResponseMemory::new(64 * MIB);
        let mut response = memory.new_response(Uuid::nil());
        response.push(&[b'a'; 65 * KIB]).expect("memory grows");
        response.push(&[b'b'; MIB]).expect("memory grows");
        response.truncate(65 * KIB);
        assert_eq!(response.length(), 65 * KIB);
        response.push(b"c").expect("memory grows");
        let mut bytes = vec![];
        response.finish().copy_to(&mut bytes);
        assert_eq!(bytes, [&[b'a'; 65 * KIB][..], b"c"].concat());
    }
}
