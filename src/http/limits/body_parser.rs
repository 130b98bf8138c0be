//! Parses the bodies of requests as JSON. Limits the memory of parsed bodies, and keeps the parsing of large bodies off
//! the threads that serve other requests.
//!
//! What a body is converted to can be larger than the body: `"ab",` in an array becomes a text of its own, and an unknown
//! field an issue with a message. So the result of the conversion is counted, too, until its request ends.

use tokio::runtime::{Handle, RuntimeFlavor};
use uuid::Uuid;

use crate::fair_semaphore::FairSemaphore;
use crate::http::error::ApiError;
use crate::json::{ArrayLimit, Json, JsonText};
use crate::memory_budget::{ContentMemory, MemoryBudget, release_unused};

/// The size from which on a body is parsed on a thread for blocking work.
const LARGE_BODY: usize = 64 * 1024;
/// The number of values up to which a body of less than [`LARGE_BODY`] takes no permit: each thread parses one at a time,
/// and their number limits the memory of the results.
const MAX_UNCOUNTED_VALUES: usize = 256;
/// The memory of the result of a conversion for each value. Only an issue with a very long message takes more.
const CONVERTED_BYTES: usize = 256;
/// The memory for large bodies that are parsed at the same time, and for what they are converted to. A body with the
/// maximum number of values takes the whole share of its account.
const TOTAL_BYTES: usize = 32 * 1024 * 1024;

/// The memory for parsed bodies.
pub(in crate::http) struct BodyParser {
    memory: MemoryBudget,
    /// The permits for parsing large bodies. Each of them occupies a thread, and the allocator keeps free memory for each
    /// thread: 40 threads kept 200 MiB.
    computations: FairSemaphore,
}

impl BodyParser {
    /// Creates a parser that parses this many large bodies at a time.
    pub(super) fn new(computations: usize) -> Self {
        Self { memory: MemoryBudget::new(TOTAL_BYTES), computations: FairSemaphore::new(computations) }
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
        self.parse_counted(account, bytes, limit, convert, |_| 0).await.map(|(converted, _)| converted)
    }

    /// Parses a body as [`Self::parse`] does. If the result takes memory from the budget, `memory_bytes` returns how much,
    /// in bytes, and it stays reserved until the returned memory is dropped.
    ///
    /// # Errors
    /// The errors of [`Self::parse`].
    pub(in crate::http) async fn parse_counted<T>(
        &self,
        account: Uuid,
        bytes: &[u8],
        limit: Option<ArrayLimit>,
        convert: impl FnOnce(Json<'_>) -> Result<T, ApiError> + Send,
        memory_bytes: impl FnOnce(&T) -> usize + Send,
    ) -> Result<(T, ContentMemory), ApiError> {
        let is_large = bytes.len() >= LARGE_BODY;
        let check = || JsonText::check(bytes);
        let text = if is_large { self.run_blocking(account, check).await } else { check() }?;
        if !is_large && text.value_count() <= MAX_UNCOUNTED_VALUES {
            return Ok((convert(text.parse(limit)?)?, ContentMemory::default()));
        }
        let max_converted_bytes = bytes.len() + text.value_count() * CONVERTED_BYTES;
        let mut permit = self.memory.reserve(account, text.parsed_bytes() + max_converted_bytes).await?;
        let convert = || convert(text.parse(limit)?);
        let converted = if is_large { self.run_blocking(account, convert).await } else { convert() }?;
        let converted_bytes = memory_bytes(&converted);
        self.memory.try_grow(&mut permit, converted_bytes)?;
        release_unused(&mut permit, converted_bytes);
        Ok((converted, permit.into()))
    }

    /// Runs a long computation while another thread takes over this thread's other tasks. A runtime with one thread has
    /// no other thread.
    async fn run_blocking<T>(&self, account: Uuid, compute: impl FnOnce() -> T) -> T {
        let _permit = self.computations.acquire(account, 1).await;
        match Handle::try_current().map(|handle| handle.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(compute),
            _ => compute(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn memory_of_a_large_body_is_free_after_its_conversion() {
        let parser = BodyParser::new(1);
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
        let parser = BodyParser::new(1);
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
