//! The long poll of the change feed: waits for the next change instead of returning an empty page.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::app::App;
use super::error::ApiError;
use crate::repository::{FeedPage, FeedRequest, FeedStart};

/// How often a waiting long poll reads the feed. Changes made by this instance wake it at once; changes made by other
/// instances are found by this poll.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Reads the change feed until the page has an entry, `wait` has passed, or the service is shutting down.
pub(super) async fn wait_for_changes(
    app: &App,
    account: Uuid,
    mut request: FeedRequest,
    wait: Duration,
) -> Result<FeedPage, ApiError> {
    let deadline = Instant::now() + wait;
    loop {
        // Subscribe before reading: a change between the two wakes the wait below.
        let next_change = app.repository().wait_for_change(account);
        let page = app.repository().read_changes(account, &request).await?;
        let remaining = deadline.saturating_duration_since(Instant::now());
        if !page.entries.is_empty() || remaining.is_zero() || app.is_draining() {
            return Ok(page);
        }
        let previous = std::mem::replace(&mut request.after, FeedStart::Cursor(page.next));
        if previous != request.after {
            // The read skipped excluded entries. Read on at once, because an entry that is not excluded may follow
            // them.
            continue;
        }
        let _waiting = app.metrics().track_long_poll();
        let _ = tokio::time::timeout(remaining.min(POLL_INTERVAL), next_change).await;
    }
}
