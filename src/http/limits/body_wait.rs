//! Tells whether a request waits for its client to send the body.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::http::error::ApiError;

/// Whether a request waits for the next part of its body. Shared by the reader of the body, the request timeout, and the
/// code that discards the rest of the body.
#[derive(Debug, Clone, Default)]
pub(in crate::http) struct BodyWait(Arc<AtomicBool>);

impl BodyWait {
    /// Waits for a part of the body. If the wait is cancelled or times out, [`Self::is_waiting`] stays true.
    pub(super) async fn track<T>(&self, read: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
        self.0.store(true, Ordering::Relaxed);
        let part = read.await;
        self.0.store(matches!(part, Err(ApiError::RequestTimeout)), Ordering::Relaxed);
        part
    }

    /// Returns whether the request waits for its body, or was cancelled while it did. It has then applied nothing,
    /// because a handler reads the whole body before it writes.
    pub(in crate::http) fn is_waiting(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
