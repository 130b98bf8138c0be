//! Parses the bodies of requests as JSON. Limits the memory of parsed bodies, and keeps the parsing of large bodies off
//! the threads that serve other requests.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::error::ApiError;
use crate::json::{ArrayLimit, Json, JsonText};

/// The size from which on a body is large. Smaller bodies take no permits: each thread parses one at a time.
const LARGE_BODY: usize = 64 * 1024;
/// The memory for large bodies that are parsed at the same time. A body with the maximum number of values takes all of
/// it.
const TOTAL_BYTES: usize = 64 * 1024 * 1024;
/// The number of bytes that one permit of the semaphore reserves.
const BYTES_PER_PERMIT: usize = 1024;
/// How long a large body waits for memory.
const RESERVE_TIMEOUT: Duration = Duration::from_secs(2);

/// The memory for parsed bodies.
pub(in crate::http) struct BodyParser {
    permits: Arc<Semaphore>,
}

impl BodyParser {
    pub(super) fn new() -> Self {
        Self { permits: Arc::new(Semaphore::new(TOTAL_BYTES / BYTES_PER_PERMIT)) }
    }

    /// Parses a body and converts the JSON. The memory of the JSON is free when this returns, so `convert` should do
    /// everything that needs it.
    ///
    /// # Errors
    /// [`ApiError::InvalidJson`], the errors of `convert`, and [`ApiError::Unavailable`] if there is no memory.
    pub(in crate::http) async fn parse<T>(
        &self,
        bytes: &[u8],
        limit: Option<ArrayLimit>,
        convert: impl FnOnce(Json<'_>) -> Result<T, ApiError> + Send,
    ) -> Result<T, ApiError> {
        if bytes.len() < LARGE_BODY {
            return convert(JsonText::check(bytes)?.parse(limit)?);
        }
        let text = run_blocking(|| JsonText::check(bytes))?;
        let _permit = self.reserve(text.parsed_bytes()).await?;
        run_blocking(|| convert(text.parse(limit)?))
    }

    /// Reserves memory. A body that needs more than there is gets all of it.
    async fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit, ApiError> {
        let permits = bytes.min(TOTAL_BYTES).div_ceil(BYTES_PER_PERMIT);
        let permits = u32::try_from(permits).unwrap_or(u32::MAX);
        let acquire = Arc::clone(&self.permits).acquire_many_owned(permits);
        let permit = tokio::time::timeout(RESERVE_TIMEOUT, acquire).await;
        permit.ok().and_then(Result::ok).ok_or(ApiError::Unavailable("no memory is free to parse a large body".into()))
    }
}

/// Runs a long computation while another thread takes over this thread's other tasks. A runtime with one thread has no
/// other thread.
fn run_blocking<T>(compute: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(compute),
        _ => compute(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn memory_of_a_large_body_is_free_after_its_conversion() {
        let parser = BodyParser::new();
        let total = parser.permits.available_permits();
        let body = format!("[{}1]", "1,".repeat(LARGE_BODY));
        let during = parser.parse(body.as_bytes(), None, |_| Ok(parser.permits.available_permits())).await;
        assert!(during.is_ok_and(|during| during < total));
        assert_eq!(parser.permits.available_permits(), total);
        let small = parser.parse(b"[1]", None, |_| Ok(parser.permits.available_permits())).await;
        assert_eq!(small.ok(), Some(total));
    }

    #[tokio::test(start_paused = true)]
    async fn large_body_waits_for_memory_and_is_then_rejected() {
        let parser = BodyParser::new();
        let body = format!("[{}1]", "1,".repeat(crate::json::MAX_VALUES - 2));
        let permit = parser.reserve(TOTAL_BYTES).await.expect("memory is free");
        assert!(matches!(parser.parse(body.as_bytes(), None, |_| Ok(())).await, Err(ApiError::Unavailable(_))));
        drop(permit);
        assert!(parser.parse(body.as_bytes(), None, |_| Ok(())).await.is_ok());
    }
}
