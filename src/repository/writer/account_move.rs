//! How a stored batch has changed an account. The next batch may have been loaded before that: if it depends on nothing of
//! what was changed, it is still valid, and expects the account's last position to be the new one.

use std::collections::HashSet;

use uuid::Uuid;

use super::account_batch::AccountBatch;
use crate::contacts::UniqueKey;

/// The last position of an account before and after a batch, and what the batch has changed.
pub(super) struct AccountMove {
    from: i64,
    to: i64,
    contacts: HashSet<Uuid>,
    keys: HashSet<UniqueKey>,
}

impl AccountMove {
    /// Returns the effect of a batch that was placed. Its changes of contacts for which `is_stored` returns false were not
    /// stored. Returns `None` if no change was stored.
    pub(super) fn new(batch: &AccountBatch, is_stored: impl Fn(Uuid) -> bool) -> Option<Self> {
        let stored = batch.unit_of_work.changes().iter().filter(|change| is_stored(change.contact_id));
        let to = stored.clone().map(|change| batch.last.place_position(change.position)).max()?;
        let contacts = stored.map(|change| change.contact_id).collect();
        let keys = batch.unit_of_work.moved_keys().cloned().collect();
        Some(Self { from: batch.last.position, to, contacts, keys })
    }

    /// Returns the position that `next` expects, which has read the position `read`.
    fn expected_position(&self, next: &AccountBatch, read: i64) -> i64 {
        let is_changed = next.effects.replaced_versions().any(|(contact, _)| self.contacts.contains(&contact))
            || next.effects.free_keys_claimed.iter().any(|key| self.keys.contains(key));
        if read == self.from && !is_changed { self.to } else { read }
    }
}

/// Returns the last position of the account that a batch expects: the one that it has read, or the one after the batch
/// before. `None` if it has read none.
pub(super) fn expected_position(batch: &AccountBatch, previous: Option<&AccountMove>) -> Option<i64> {
    // An account without a row has no change.
    let read = batch.state.map_or(Some(0), |state| state.position)?;
    Some(previous.map_or(read, |previous| previous.expected_position(batch, read)))
}
