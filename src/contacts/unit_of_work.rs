//! The contacts and unique keys that a batch of writes of one account affects, in memory.
//!
//! The caller loads them, applies the writes one after another (`write_rules.rs`), and stores the effects in one
//! transaction.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use uuid::Uuid;

use super::archived_holders::ArchivedHolders;
use super::{Change, ChangeKind, Contact, ContactTarget, KeyChanges, SourceTimes, UniqueKey, Write};
use crate::fields::Registry;

/// The contacts and keys that the writes of one account affect: their state before the writes, and their current state.
#[derive(Debug, Clone, Default)]
pub struct UnitOfWork {
    /// The newest id of the account's contacts, as far as it is known.
    newest_id: Option<Uuid>,
    /// Their values contain the custom fields that the writes need, not necessarily all
    /// ([`Write::add_required_custom_fields`]).
    contacts: BTreeMap<Uuid, ContactState>,
    /// The holder of each key that has been loaded or moved.
    holders: HashMap<UniqueKey, KeyHolder>,
    /// The archived contacts that have the keys of upserts.
    archived_holders: ArchivedHolders,
    /// The newest `source_updated_at` of the contacts that the writes address.
    pub source_times: SourceTimes,
    changes: Vec<Change>,
}

/// A contact before and after the writes; `None` if the contact does not exist.
#[derive(Debug, Clone)]
struct ContactState {
    before: Option<Arc<Contact>>,
    now: Option<Arc<Contact>>,
}

/// The active contact that holds a key, if there is one.
#[derive(Debug, Clone, Copy)]
struct KeyHolder {
    contact: Option<Uuid>,
    /// Whether a write of this unit of work has moved the key.
    is_moved: bool,
    /// Whether no stored contact holds the key.
    was_free: bool,
}

/// The contacts and keys that must be loaded before writes can be applied.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Lookups {
    /// The ids of contacts.
    pub ids: Vec<Uuid>,
    /// The keys whose holders are needed.
    pub keys: Vec<UniqueKey>,
    /// The keys whose holders are needed, and with them the contacts that hold them.
    pub targets: Vec<UniqueKey>,
    /// The ids of contacts that are loaded but need all custom fields.
    pub incomplete_ids: Vec<Uuid>,
}

/// The effects of the writes, to be stored.
#[derive(Debug, Default)]
pub struct Effects {
    /// The new contacts.
    pub created: Vec<Arc<Contact>>,
    /// The changed contacts.
    pub updated: Vec<UpdatedContact>,
    /// The stored contacts that are purged.
    pub purged: Vec<Arc<Contact>>,
    /// The keys that contacts no longer have.
    pub keys_removed: Vec<(Uuid, UniqueKey)>,
    /// The keys that contacts now have, each with whether the contact is active.
    pub keys_added: Vec<(Uuid, UniqueKey, bool)>,
    /// The keys that no contact held and that a write has claimed, even if a later write has released them. The writes are
    /// only correct as long as no other contact holds these keys.
    pub free_keys_claimed: Vec<UniqueKey>,
}

/// A contact before and after the writes that have changed it.
#[derive(Debug)]
pub struct UpdatedContact {
    /// The stored contact.
    pub before: Arc<Contact>,
    /// The contact after the writes.
    pub now: Arc<Contact>,
}

impl UnitOfWork {
    /// Sets the newest id of the account's contacts. The ids of new contacts are higher.
    pub fn set_newest_id(&mut self, newest: Uuid) {
        self.newest_id = self.newest_id.max(Some(newest));
    }

    /// Returns the id of a new contact. Its time is the later of the clock and the newest id, so that ids are in the order
    /// of creation even if the clocks of the instances differ.
    pub(super) fn next_id(&mut self) -> Uuid {
        let id = self.newest_id.map_or_else(Uuid::now_v7, |newest| Uuid::now_v7().max(id_after(newest)));
        self.newest_id = Some(id);
        id
    }

    /// Returns the changes so far, in order.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Returns whether the writes so far have changed only values of active contacts, and no keys.
    #[must_use]
    pub fn is_values_only(&self) -> bool {
        !self.holders.values().any(|holder| holder.is_moved)
            && self.changes.iter().all(|change| change.kind == ChangeKind::Updated)
    }

    /// Returns the stored contacts that the writes depend on, each with the version that was read.
    pub fn read_versions(&self) -> impl Iterator<Item = (Uuid, i64)> {
        self.contacts.iter().filter_map(|(id, state)| Some((*id, state.before.as_ref()?.version)))
    }

    /// Returns the keys that the writes so far have claimed or released.
    pub fn moved_keys(&self) -> impl Iterator<Item = &UniqueKey> {
        self.holders.iter().filter(|(_, holder)| holder.is_moved).map(|(key, _)| key)
    }

    /// Adds the contacts and keys that these writes need and that are not loaded yet. The caller loads them and calls
    /// this method again until nothing is added: a loaded key leads to its contact, and a contact to restore leads to
    /// its keys.
    pub fn collect_required_lookups(&self, writes: &[Write], registry: &Registry, required: &mut Lookups) {
        for write in writes {
            let mut keys = write.claimed_keys(registry);
            if let Some(ContactTarget::Key(key)) = write.target()
                && !self.holders.contains_key(&key)
            {
                required.targets.push(key);
            }
            match self.addressed_contact(write).map(|id| (id, self.contacts.get(&id))) {
                Some((id, None)) => required.ids.push(id),
                Some((_, Some(ContactState { now: Some(contact), .. }))) if write.restores() => {
                    keys.extend(KeyChanges::for_new(&contact.values, registry).claimed);
                }
                _ => {}
            }
            required.keys.extend(keys.into_iter().filter(|key| !self.holders.contains_key(key)));
        }
    }

    /// Adds a contact that was loaded by id; `None` if no contact has this id. A contact that is already known stays,
    /// unless only this one is loaded with all custom fields. All contacts are loaded before the first write is applied.
    pub fn add_loaded_contact(&mut self, id: Uuid, contact: Option<Contact>) {
        let is_complete = |contact: Option<&Contact>| contact.is_none_or(|contact| contact.unloaded_bytes == Some(0));
        let known = self.contacts.get(&id);
        if known.is_none_or(|known| !is_complete(known.now.as_deref()) && is_complete(contact.as_ref())) {
            let contact = contact.map(Arc::new);
            self.contacts.insert(id, ContactState { before: contact.clone(), now: contact });
        }
    }

    /// Returns the version of a contact as it was loaded: `None` if it was not loaded, and `Some(None)` if it does not exist.
    #[must_use]
    pub fn loaded_version(&self, id: Uuid) -> Option<Option<i64>> {
        self.contacts.get(&id).map(|state| state.before.as_ref().map(|contact| contact.version))
    }

    /// Adds the active contact that holds a key; `None` if no contact holds it. A holder that is already known stays.
    pub fn add_loaded_key_holder(&mut self, key: UniqueKey, holder: Option<Uuid>) {
        let loaded = KeyHolder { contact: holder, is_moved: false, was_free: holder.is_none() };
        self.holders.entry(key).or_insert(loaded);
    }

    /// Adds the archived contacts that have the key of an upsert, the one archived last first.
    pub fn add_archived_holders(&mut self, key: UniqueKey, contacts: Vec<Uuid>) {
        self.archived_holders.add_loaded(key, contacts);
    }

    /// Returns whether an archived contact has the key of an upsert. The outcome of the upsert then depends on it.
    #[must_use]
    pub fn depends_on_archived_contacts(&self) -> bool {
        !self.archived_holders.is_empty()
    }

    /// Returns the effects of the writes so far on the stored contacts and keys.
    #[must_use]
    pub fn effects(&self, registry: &Registry) -> Effects {
        let mut effects = Effects::default();
        for (id, state) in &self.contacts {
            match (&state.before, &state.now) {
                (None, Some(now)) => effects.created.push(Arc::clone(now)),
                (Some(before), Some(now)) if !Arc::ptr_eq(before, now) => {
                    let (before, now) = (Arc::clone(before), Arc::clone(now));
                    effects.updated.push(UpdatedContact { before, now });
                }
                (Some(before), None) => effects.purged.push(Arc::clone(before)),
                _ => continue,
            }
            effects.add_key_changes(*id, state.before.as_deref(), state.now.as_deref(), registry);
        }
        let claimed = self.holders.iter().filter(|(_, holder)| holder.is_moved && holder.was_free);
        effects.free_keys_claimed = claimed.map(|(key, _)| key.clone()).collect();
        effects
    }

    /// Returns the active contact that holds a key.
    pub(super) fn key_holder(&self, key: &UniqueKey) -> Option<Uuid> {
        self.holders.get(key)?.contact
    }

    /// Moves a key to a contact, or to no contact.
    pub(super) fn set_key_holder(&mut self, key: UniqueKey, contact: Option<Uuid>) {
        // A key whose holder was not loaded is released by its stored holder.
        let was_free = self.holders.get(&key).is_some_and(|holder| holder.was_free);
        self.holders.insert(key, KeyHolder { contact, is_moved: true, was_free });
    }

    /// Returns the current state of a contact.
    pub(super) fn find_contact(&self, target: &ContactTarget) -> Option<Arc<Contact>> {
        self.contacts.get(&self.target_id(target)?)?.now.clone()
    }

    /// Returns the id of the contact that a target currently addresses.
    #[must_use]
    pub fn target_id(&self, target: &ContactTarget) -> Option<Uuid> {
        match target {
            ContactTarget::Id(id) => Some(*id),
            ContactTarget::Key(key) => self.key_holder(key),
        }
    }

    /// Returns the id of the contact that a write currently addresses. If no active contact has the key of an upsert that
    /// restores, it is the archived contact that has the key.
    #[must_use]
    pub fn addressed_contact(&self, write: &Write) -> Option<Uuid> {
        match write.target()? {
            ContactTarget::Key(key) if write.restores() => self.key_holder(&key).or_else(|| self.archived_holder(&key)),
            target => self.target_id(&target),
        }
    }

    /// Returns the contact with this key that was archived last, and still is archived.
    pub(super) fn archived_holder(&self, key: &UniqueKey) -> Option<Uuid> {
        self.archived_holders.newest(key, |id| match self.contacts.get(&id) {
            // Its stored state is archived, and no write has changed it.
            None => true,
            Some(state) => state.now.as_ref().is_some_and(|contact| contact.archival.is_some()),
        })
    }

    /// Records that a contact with these keys has been archived.
    pub(super) fn record_archived_holder(&mut self, contact: Uuid, keys: impl IntoIterator<Item = UniqueKey>) {
        self.archived_holders.record(contact, keys);
    }

    /// Returns the current state of all loaded contacts.
    pub(super) fn loaded_contacts(&self) -> impl Iterator<Item = &Contact> {
        self.contacts.values().filter_map(|state| state.now.as_deref())
    }

    /// Replaces a contact with its next state and records the change.
    pub(super) fn record_change(
        &mut self,
        kind: ChangeKind,
        before: Option<Arc<Contact>>,
        mut next: Contact,
        actor: Option<&Arc<str>>,
    ) -> Arc<Contact> {
        let position = self.next_position();
        let previous_position = std::mem::replace(&mut next.position, position);
        let next = Arc::new(next);
        self.changes.push(Change {
            position,
            previous_position,
            contact_id: next.id,
            kind,
            at: next.updated_at,
            actor: actor.cloned(),
            before,
            after: Some(Arc::clone(&next)),
        });
        let state = self.contacts.entry(next.id).or_insert(ContactState { before: None, now: None });
        state.now = Some(Arc::clone(&next));
        next
    }

    /// Removes a contact and records the purge. Also removes its values from the changes that are not stored yet. Returns
    /// the position of the change.
    pub(super) fn record_purge(&mut self, contact: &Contact, actor: Option<&Arc<str>>) -> i64 {
        self.source_times.remove_contact(contact.id);
        for change in self.changes.iter_mut().filter(|change| change.contact_id == contact.id) {
            (change.before, change.after) = (None, None);
        }
        let position = self.next_position();
        self.changes.push(Change {
            position,
            previous_position: contact.position,
            contact_id: contact.id,
            kind: ChangeKind::Purged,
            at: contact.next_updated_at(),
            actor: actor.cloned(),
            before: None,
            after: None,
        });
        if let Some(state) = self.contacts.get_mut(&contact.id) {
            state.now = None;
        }
        position
    }

    /// Returns the provisional position of the next change.
    fn next_position(&self) -> i64 {
        -(self.changes.len() as i64) - 1
    }
}

/// Returns a random UUIDv7 after this id, usually with the same time.
fn id_after(id: Uuid) -> Uuid {
    const LOW: u128 = (1 << 62) - 1;
    const MIDDLE: u128 = 0xfff;
    let bits = id.as_u128();
    // The id without its version and variant.
    let number = (bits >> 80 << 74) | ((bits >> 64 & MIDDLE) << 62) | (bits & LOW);
    let step = (Uuid::new_v4().as_u128() >> 96) + 1;
    let next = number + step;
    Uuid::from_u128((next >> 74 << 80) | (7 << 76) | ((next >> 62 & MIDDLE) << 64) | (0b10 << 62) | (next & LOW))
}

impl Lookups {
    /// Returns whether nothing has to be loaded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty() && self.keys.is_empty() && self.targets.is_empty() && self.incomplete_ids.is_empty()
    }
}

impl Effects {
    /// Returns the stored contacts that are changed or purged, each with the version that was read.
    pub fn replaced_versions(&self) -> impl Iterator<Item = (Uuid, i64)> {
        let updated = self.updated.iter().map(|updated| (updated.before.id, updated.before.version));
        updated.chain(self.purged.iter().map(|purged| (purged.id, purged.version)))
    }

    /// Adds the changes of the keys of one contact.
    fn add_key_changes(&mut self, id: Uuid, before: Option<&Contact>, now: Option<&Contact>, registry: &Registry) {
        let Some(now) = now else {
            let removed = before.map(|before| KeyChanges::for_removed(&before.values, registry).released);
            return self.keys_removed.extend(removed.into_iter().flatten().map(|key| (id, key)));
        };
        let is_active = now.archival.is_none();
        let changes = match before {
            Some(before) if before.archival.is_none() == is_active => {
                KeyChanges::between(&before.values, &now.values, registry)
            }
            // A stored key records whether its contact is active, so every key changes.
            before => KeyChanges {
                released: before
                    .map(|before| KeyChanges::for_removed(&before.values, registry).released)
                    .unwrap_or_default(),
                claimed: KeyChanges::for_new(&now.values, registry).claimed,
            },
        };
        self.keys_removed.extend(changes.released.into_iter().map(|key| (id, key)));
        self.keys_added.extend(changes.claimed.into_iter().map(|key| (id, key, is_active)));
    }
}

#[cfg(test)]
pub(super) mod fixtures;
#[cfg(test)]
mod replay_tests;
#[cfg(test)]
mod tests;
