//! Notifies waiting long polls of changes that this instance has written. The polls query the database for changes of
//! other instances.

use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use uuid::Uuid;

use super::shard::shard_of;

/// The number of notifiers. Accounts share them: a wake-up may be for another account's change.
const SHARDS: usize = 64;

/// Notifiers by account.
pub(super) struct ChangeNotifier([Notify; SHARDS]);

impl ChangeNotifier {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| Notify::new()))
    }

    /// Wakes the subscribers of an account.
    pub(super) fn notify(&self, account: Uuid) {
        self.0[shard_of(account, SHARDS)].notify_waiters();
    }

    /// Returns a future that completes at the next notification for the account.
    pub(super) fn subscribe(&self, account: Uuid) -> Notified<'_> {
        self.0[shard_of(account, SHARDS)].notified()
    }
}
