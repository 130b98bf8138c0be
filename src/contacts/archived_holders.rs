//! The archived contacts that have the key of an upsert. An archived contact holds no key, so the upsert does not find it:
//! `on_archived` decides what happens then (`docs/api-reference.md#upsert`).

use std::collections::HashMap;

use uuid::Uuid;

use super::UniqueKey;

/// The maximum number of archived contacts that are loaded for a key. Of several, the one that was archived last counts.
pub const MAX_ARCHIVED_HOLDERS: usize = 8;

/// The archived contacts with each key that was looked up, the one archived last first.
#[derive(Debug, Clone, Default)]
pub(super) struct ArchivedHolders(HashMap<UniqueKey, Vec<Uuid>>);

impl ArchivedHolders {
    /// Adds the contacts that were loaded for a key.
    pub(super) fn add_loaded(&mut self, key: UniqueKey, contacts: Vec<Uuid>) {
        self.0.entry(key).or_insert(contacts);
    }

    /// Records that a contact with these keys has been archived.
    pub(super) fn record(&mut self, contact: Uuid, keys: impl IntoIterator<Item = UniqueKey>) {
        for key in keys {
            self.0.entry(key).or_default().insert(0, contact);
        }
    }

    /// Returns whether any contact was loaded.
    pub(super) fn is_empty(&self) -> bool {
        self.0.values().all(Vec::is_empty)
    }

    /// Returns the contact with this key that was archived last, of those that still are archived contacts with the key.
    pub(super) fn newest(&self, key: &UniqueKey, is_archived: impl Fn(Uuid) -> bool) -> Option<Uuid> {
        self.0.get(key)?.iter().copied().find(|contact| is_archived(*contact))
    }
}
