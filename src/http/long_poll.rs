//! The long poll of the change feed: waits for the next change instead of returning an empty page.
//!
//! While it waits, a long poll has no timer except its deadline, asks the database nothing and holds no connection.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::app::App;
use super::error::ApiError;
use crate::repository::{FeedPage, FeedRequest, FeedStart};

/// The minimum time between two reads of a long poll. Changes that follow one another faster, such as those that the
/// poll excludes, are read together.
const MIN_READ_INTERVAL: Duration = Duration::from_millis(100);

/// Reads the change feed until the page has an entry, `wait` has passed, or the service is shutting down.
pub(super) async fn wait_for_changes(
    app: &App,
    account: Uuid,
    mut request: FeedRequest,
    wait: Duration,
) -> Result<FeedPage, ApiError> {
    if wait.is_zero() {
        return Ok(app.repository().read_changes(account, &request).await?);
    }
    let deadline = Instant::now() + wait;
    let mut changes = app.repository().subscribe_to_changes(account);
    loop {
        let known_position = changes.newest_position();
        app.metrics().count_long_poll_read();
        let page = app.repository().read_changes(account, &request).await?;
        if page.entries.is_some() || app.is_draining() || Instant::now() >= deadline {
            return Ok(page);
        }
        let previous = std::mem::replace(&mut request.after, FeedStart::Cursor(page.next));
        if previous != request.after && page.next.position() < page.account_position {
            // The read ended at the limit of entries that it scans, and all of them are excluded. Read on at once.
            continue;
        }
        let next_read = Instant::now() + MIN_READ_INTERVAL;
        let _waiting = app.metrics().track_long_poll();
        let change = async {
            changes.wait_for_change_after(known_position.max(page.account_position)).await;
            sleep_until(next_read.min(deadline)).await;
        };
        tokio::select! {
            // A change that is already known is read even if the deadline has passed.
            biased;
            () = change => {}
            () = app.wait_for_drain() => return Ok(page),
            () = sleep_until(deadline) => return Ok(page),
        }
    }
}
