//! The times that other systems gave their changes of contacts, `source_updated_at`: an older change must not replace a
//! newer one of the same actor (`docs/api-reference.md#changes-that-arrive-out-of-order`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// The contact and the actor of a time. The actor is empty for tokens without an actor.
pub type SourceKey = (Uuid, Arc<str>);

/// The newest times of contacts and actors.
#[derive(Debug, Clone, Default)]
pub struct SourceTimes {
    newest: BTreeMap<SourceKey, Option<DateTime<Utc>>>,
    /// The times that are not stored yet.
    changed: BTreeSet<SourceKey>,
}

impl SourceTimes {
    /// Returns the key of a contact and an actor.
    #[must_use]
    pub fn key(contact: Uuid, actor: Option<&Arc<str>>) -> SourceKey {
        (contact, actor.map_or_else(|| Arc::from(""), Arc::clone))
    }

    /// Adds a time that was loaded; `None` if there is none.
    pub fn add_loaded(&mut self, key: SourceKey, time: Option<DateTime<Utc>>) {
        self.newest.entry(key).or_insert(time);
    }

    /// Returns whether a change of this time is older than the newest one.
    pub(super) fn is_stale(&self, key: &SourceKey, time: DateTime<Utc>) -> bool {
        self.newest.get(key).copied().flatten().is_some_and(|newest| time < newest)
    }

    /// Records the time of a change that is not stale.
    pub(super) fn record(&mut self, key: SourceKey, time: DateTime<Utc>) {
        if self.newest.insert(key.clone(), Some(time)).flatten() != Some(time) {
            self.changed.insert(key);
        }
    }

    /// Removes the times of a contact that is purged.
    pub(super) fn remove_contact(&mut self, contact: Uuid) {
        self.newest.retain(|(id, _), _| *id != contact);
        self.changed.retain(|(id, _)| *id != contact);
    }

    /// Returns whether there are times to store.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Returns the times to store.
    pub fn changes(&self) -> impl Iterator<Item = (&SourceKey, DateTime<Utc>)> {
        self.changed.iter().filter_map(|key| Some((key, self.newest.get(key).copied().flatten()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("a valid timestamp")
    }

    #[test]
    fn only_older_changes_of_the_same_contact_and_actor_are_stale() {
        let key = |contact, actor: &str| SourceTimes::key(Uuid::from_u128(contact), Some(&actor.into()));
        let mut times = SourceTimes::default();
        times.add_loaded(key(1, "erp"), Some(time(10)));
        times.add_loaded(key(2, "erp"), None);
        assert!(times.is_stale(&key(1, "erp"), time(9)) && !times.is_stale(&key(1, "erp"), time(10)));
        for other in [key(2, "erp"), key(1, "crm"), SourceTimes::key(Uuid::from_u128(1), None)] {
            assert!(!times.is_stale(&other, time(9)));
        }
        times.record(key(1, "erp"), time(10));
        assert!(!times.has_changes());
        times.record(key(1, "erp"), time(11));
        times.record(key(2, "erp"), time(1));
        assert!(times.is_stale(&key(1, "erp"), time(10)));
        times.remove_contact(Uuid::from_u128(1));
        assert_eq!(times.changes().collect::<Vec<_>>(), [(&key(2, "erp"), time(1))]);
    }
}
