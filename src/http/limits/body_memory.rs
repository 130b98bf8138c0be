//! The memory for request bodies: limits their size, the pauses between their parts, and the total memory that large
//! bodies take.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http_body_util::BodyExt;
use uuid::Uuid;

use super::body_wait::BodyWait;
use super::decoded_body::{DecodedBody, decoder_bytes};
use crate::fair_semaphore::FairPermit;
use crate::http::content_coding::RequestCoding;
use crate::http::error::ApiError;
use crate::memory_budget::MemoryBudget;

/// Bodies up to this size are not counted. The number of concurrent requests limits their total memory.
const UNCOUNTED_BYTES: usize = 64 * 1024;

/// The memory budget for large request bodies, and the timeout for reading them.
pub(in crate::http) struct BodyMemory {
    budget: MemoryBudget,
    /// The longest pause within a body.
    read_timeout: Duration,
}

impl BodyMemory {
    /// Creates a budget of `bytes`, rounded up to full permits.
    pub(super) fn new(bytes: usize, read_timeout: Duration) -> Self {
        Self { budget: MemoryBudget::new(bytes), read_timeout }
    }

    /// Reads a body of at most `limit` bytes for an account, and decodes it. Its memory is released when the last clone of the bytes
    /// is dropped.
    ///
    /// # Errors
    /// [`ApiError::PayloadTooLarge`], [`ApiError::InvalidBody`] if the body ends early or does not decode,
    /// [`ApiError::RequestTimeout`] if the client pauses for too long, and [`ApiError::Unavailable`] if there is no
    /// memory.
    pub(in crate::http) async fn read(
        &self,
        account: Uuid,
        body: Body,
        coding: Option<RequestCoding>,
        limit: usize,
        wait: &BodyWait,
    ) -> Result<Bytes, ApiError> {
        match coding {
            None => self.read_plain(account, body, limit, wait).await,
            // The state of a decoder is large, and most bodies need none.
            Some(coding) => Box::pin(self.read_coded(account, body, coding, limit, wait)).await,
        }
    }

    async fn read_plain(
        &self,
        account: Uuid,
        mut body: Body,
        limit: usize,
        wait: &BodyWait,
    ) -> Result<Bytes, ApiError> {
        // A body without a declared size can become as large as the limit, so the limit is reserved at once. If bodies
        // reserved memory step by step, many of them could each hold some and wait for more.
        let size = body.size_hint().exact().map_or(limit, |size| usize::try_from(size).unwrap_or(limit).min(limit));
        let mut buffer = BodyBuffer::new(account, size, limit, 0);
        while let Some(part) = wait.track(self.next_part(&mut body)).await? {
            if buffer.bytes.is_empty() && body.is_end_stream() && part.len() <= UNCOUNTED_BYTES.min(limit) {
                return Ok(part);
            }
            buffer.push(&part, self).await?;
        }
        Ok(buffer.into_bytes())
    }

    async fn read_coded(
        &self,
        account: Uuid,
        body: Body,
        coding: RequestCoding,
        limit: usize,
        wait: &BodyWait,
    ) -> Result<Bytes, ApiError> {
        let mut body = wait.track(DecodedBody::new(body, coding, limit, self.read_timeout)).await?;
        // The decoded size is not known before the end.
        let mut buffer = BodyBuffer::new(account, limit, limit, decoder_bytes(coding, limit));
        while let Some(part) = wait.track(body.next_part()).await? {
            buffer.push(&part, self).await?;
        }
        Ok(buffer.into_bytes())
    }

    /// Returns the next part of a body, or `None` at its end.
    async fn next_part(&self, body: &mut Body) -> Result<Option<Bytes>, ApiError> {
        loop {
            let frame = tokio::time::timeout(self.read_timeout, body.frame()).await;
            match frame.map_err(|_| ApiError::RequestTimeout)? {
                None => return Ok(None),
                Some(Err(_)) => return Err(ApiError::InvalidBody("The body ended early or is malformed".into())),
                Some(Ok(frame)) => {
                    // Frames without data are trailers, which are ignored.
                    if let Ok(part) = frame.into_data() {
                        return Ok(Some(part));
                    }
                }
            }
        }
    }
}

/// The part of a body that has been read.
struct BodyBuffer {
    account: Uuid,
    bytes: Vec<u8>,
    permit: Option<FairPermit>,
    /// The size of the whole body, as far as it is known.
    size: usize,
    limit: usize,
    /// The memory that reading takes in addition to the bytes.
    additional_bytes: usize,
}

impl BodyBuffer {
    fn new(account: Uuid, size: usize, limit: usize, additional_bytes: usize) -> Self {
        Self { account, bytes: vec![], permit: None, size, limit, additional_bytes }
    }

    /// Appends a part. Reserves memory for the whole body as soon as the body is large.
    async fn push(&mut self, part: &[u8], memory: &BodyMemory) -> Result<(), ApiError> {
        if part.len() > self.limit - self.bytes.len() {
            return Err(ApiError::PayloadTooLarge { limit: self.limit });
        }
        if self.permit.is_none() && self.bytes.len() + part.len() > UNCOUNTED_BYTES {
            self.permit = Some(memory.budget.reserve(self.account, self.size + self.additional_bytes).await?);
            self.bytes.reserve_exact(self.size - self.bytes.len());
        }
        self.bytes.extend_from_slice(part);
        Ok(())
    }

    fn into_bytes(self) -> Bytes {
        Bytes::from_owner(BudgetedBytes { bytes: self.bytes, _permit: self.permit })
    }
}

/// The bytes of a body, with the permit for their memory.
struct BudgetedBytes {
    bytes: Vec<u8>,
    _permit: Option<FairPermit>,
}

impl AsRef<[u8]> for BudgetedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1024 * 1024;

    fn memory_with_bytes(bytes: usize) -> BodyMemory {
        BodyMemory::new(bytes, Duration::from_secs(1))
    }

    async fn read(memory: &BodyMemory, body: Body) -> Result<Bytes, ApiError> {
        memory.read(Uuid::nil(), body, None, LIMIT, &BodyWait::default()).await
    }

    #[tokio::test]
    async fn body_is_read_as_sent_up_to_the_limit() {
        let memory = memory_with_bytes(LIMIT);
        for size in [0, 1, UNCOUNTED_BYTES, UNCOUNTED_BYTES + 1, LIMIT] {
            let sent = vec![b'x'; size];
            assert_eq!(read(&memory, Body::from(sent.clone())).await.expect("the body is read"), sent);
        }
        let too_large = read(&memory, Body::from(vec![b'x'; LIMIT + 1])).await;
        assert!(matches!(too_large, Err(ApiError::PayloadTooLarge { limit: LIMIT })));
    }

    #[tokio::test]
    async fn memory_is_released_when_the_last_bytes_are_dropped() {
        let memory = memory_with_bytes(LIMIT);
        let body = read(&memory, Body::from(vec![b'x'; LIMIT / 2])).await.expect("memory is free");
        let same = body.slice(1..);
        assert_eq!(memory.budget.free_bytes(), 512 * 1024);
        drop(body);
        assert_eq!(memory.budget.free_bytes(), 512 * 1024);
        drop(same);
        assert_eq!(memory.budget.free_bytes(), 1024 * 1024);
    }

    #[tokio::test]
    async fn body_larger_than_the_share_of_an_account_takes_all_of_it() {
        let memory = memory_with_bytes(100 * 1024);
        let body = read(&memory, Body::from(vec![b'x'; LIMIT])).await.expect("memory is free");
        assert_eq!(memory.budget.free_bytes(), 25 * 1024);
        let rejected = read(&memory, Body::from(vec![b'x'; LIMIT])).await;
        assert!(matches!(rejected, Err(ApiError::Unavailable(_))));
        read(&memory, Body::from(vec![b'x'; UNCOUNTED_BYTES])).await.expect("small bodies need no permit");
        drop(body);
        assert_eq!(memory.budget.free_bytes(), 100 * 1024);
    }
}
