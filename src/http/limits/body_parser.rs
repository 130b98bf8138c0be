//! Parses the bodies of requests as JSON. Limits the memory of parsed bodies, and keeps the parsing of large bodies off
//! the threads that serve other requests.

use tokio::runtime::{Handle, RuntimeFlavor};
use uuid::Uuid;

use crate::http::error::ApiError;
use crate::json::{ArrayLimit, Json, JsonText};
use crate::memory_budget::MemoryBudget;

/// The size from which on a body is large. Smaller bodies take no permits: each thread parses one at a time.
const LARGE_BODY: usize = 64 * 1024;
/// The memory for large bodies that are parsed at the same time. A body with the maximum number of values takes the whole
/// share of its account.
const TOTAL_BYTES: usize = 64 * 1024 * 1024;

/// The memory for parsed bodies.
pub(in crate::http) struct BodyParser {
    memory: MemoryBudget,
}

impl BodyParser {
    pub(super) fn new() -> Self {
        Self { memory: MemoryBudget::new(TOTAL_BYTES) }
    }

    /// Parses a body of an account and converts the JSON. The memory of the JSON is free when this returns, so `convert` should do
    /// everything that needs it.
    ///
    /// # Errors
    /// [`ApiError::InvalidJson`], the errors of `convert`, and [`ApiError::Unavailable`] if there is no memory.
    pub(in crate::http) async fn parse<T>(
        &self,
        account: Uuid,
        bytes: &[u8],
        limit: Option<ArrayLimit>,
        convert: impl FnOnce(Json<'_>) -> Result<T, ApiError> + Send,
    ) -> Result<T, ApiError> {
        if bytes.len() < LARGE_BODY {
            return convert(JsonText::check(bytes)?.parse(limit)?);
        }
        let text = run_blocking(|| JsonText::check(bytes))?;
        let _permit = self.memory.reserve(account, text.parsed_bytes()).await?;
        run_blocking(|| convert(text.parse(limit)?))
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
        let total = parser.memory.free_bytes();
        let body = format!("[{}1]", "1,".repeat(LARGE_BODY));
        let during = parser.parse(Uuid::nil(), body.as_bytes(), None, |_| Ok(parser.memory.free_bytes())).await;
        assert!(during.is_ok_and(|during| during < total));
        assert_eq!(parser.memory.free_bytes(), total);
        let small = parser.parse(Uuid::nil(), b"[1]", None, |_| Ok(parser.memory.free_bytes())).await;
        assert_eq!(small.ok(), Some(total));
    }

    #[tokio::test(start_paused = true)]
    async fn large_body_waits_for_memory_and_is_then_rejected() {
        let parser = BodyParser::new();
        let body = format!("[{}1]", "1,".repeat(crate::json::MAX_VALUES - 2));
        let permit = parser.memory.reserve(Uuid::nil(), TOTAL_BYTES).await.expect("memory is free");
        assert!(matches!(
            parser.parse(Uuid::nil(), body.as_bytes(), None, |_| Ok(())).await,
            Err(ApiError::Unavailable(_))
        ));
        drop(permit);
        assert!(parser.parse(Uuid::nil(), body.as_bytes(), None, |_| Ok(())).await.is_ok());
    }
}
