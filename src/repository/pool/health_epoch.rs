//! Decides which idle connections are tested before use.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A connection that was idle for longer than this is tested before use.
///
/// A ping before every use would cost a sixth of the throughput. Without any ping, the first requests after a restart
/// of the database would fail. [`HealthEpoch`] covers the connections that were used within this time.
const TEST_AFTER_IDLE: Duration = Duration::from_secs(1);

/// The time at which a broken connection was last detected, shared by all pools of a database.
///
/// The database may have restarted at that time. So every connection that has not been used since then is suspect.
#[derive(Clone, Default)]
pub(in crate::repository) struct HealthEpoch(Arc<Mutex<Option<Instant>>>);

impl HealthEpoch {
    /// Records that a broken connection was detected now.
    pub(super) fn record_broken_connection(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether a connection that was idle for this long must be tested before use.
    pub(super) fn requires_test(&self, idle: Duration) -> bool {
        let last_broken = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle > TEST_AFTER_IDLE || last_broken.is_some_and(|last_broken| idle > last_broken.elapsed())
    }
}
