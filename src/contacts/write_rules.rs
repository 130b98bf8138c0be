//! The rules of each write (`docs/api-reference.md#contacts`): when it is rejected, how it changes the contact, and
//! which unique keys it moves.

use std::sync::Arc;

use uuid::Uuid;

use super::{
    ChangeKind, Collision, Contact, ContactPatch, ContactTarget, KeyChanges, Preconditions, UniqueKey, UnitOfWork,
    Upsert, Write, WriteOutcome, WriteRejection, WrittenContact,
};
use crate::fields::Registry;

impl UnitOfWork {
    /// Applies a write. The caller must have loaded the contacts and keys that the write needs, see
    /// [`UnitOfWork::collect_required_lookups`].
    ///
    /// # Errors
    /// Returns the reason why the write is rejected. A rejected write changes nothing.
    pub fn apply(&mut self, write: &Write, actor: Option<&Arc<str>>, registry: &Registry) -> WriteOutcome {
        match write {
            Write::Create(patch) => self.create(patch, actor, registry),
            Write::Update { target, patch, preconditions } => {
                let contact = self.find_contact(target).ok_or(WriteRejection::NotFound)?;
                self.update(contact, patch, preconditions, actor, registry)
            }
            Write::Upsert(upsert) => self.upsert(upsert, actor, registry),
            Write::Archive { target, preconditions } => self.archive(target, preconditions, actor, registry),
            Write::Restore { id, preconditions } => self.restore(*id, preconditions, actor, registry),
            Write::Purge { id, preconditions } => self.purge(*id, preconditions, actor, registry),
        }
    }

    /// Creates a contact. Rejects values that are too large together, then keys that other active contacts hold.
    fn create(&mut self, patch: &ContactPatch, actor: Option<&Arc<str>>, registry: &Registry) -> WriteOutcome {
        let mut contact = Contact::new(patch);
        if patch.id().is_none() {
            contact.id = self.next_id();
        }
        if contact.is_too_large(None, registry) {
            return Err(WriteRejection::TooLarge);
        }
        self.move_keys(contact.id, KeyChanges::for_new(&contact.values, registry))?;
        let contact = self.record_change(ChangeKind::Created, None, contact, actor);
        let changed_at = Some(contact.position);
        Ok(WrittenContact { contact, before: None, created: true, changed_at, has_omitted_properties: false })
    }

    /// Updates a contact. Rejects archived contacts, then preconditions that are not met, then values
    /// that are too large together, then keys that other active contacts hold. Equal values change nothing.
    fn update(
        &mut self,
        contact: Arc<Contact>,
        patch: &ContactPatch,
        preconditions: &Preconditions,
        actor: Option<&Arc<str>>,
        registry: &Registry,
    ) -> WriteOutcome {
        if contact.archival.is_some() {
            return Err(WriteRejection::Archived);
        }
        preconditions.check(&contact)?;
        let Some(next) = contact.patched(patch, registry) else { return Ok(WrittenContact::unchanged(contact)) };
        if next.is_too_large(Some(&contact), registry) {
            return Err(WriteRejection::TooLarge);
        }
        self.move_keys(contact.id, KeyChanges::between(&contact.values, &next.values, registry))?;
        Ok(self.record_replacement(ChangeKind::Updated, contact, next, actor))
    }

    /// Updates the active contact that holds the key, or creates a contact with the key's value. Rejects a creation if
    /// there is an `If-Match` condition, or neither an email nor a name.
    fn upsert(&mut self, upsert: &Upsert, actor: Option<&Arc<str>>, registry: &Registry) -> WriteOutcome {
        if let Some(contact) = self.find_contact(&ContactTarget::Key(upsert.key.clone())) {
            return self.update(contact, &upsert.patch, &upsert.preconditions, actor, registry);
        }
        upsert.preconditions.check_missing()?;
        let patch = upsert.patch.with_default(&upsert.property_value);
        if !patch.has_identity() {
            return Err(WriteRejection::Incomplete);
        }
        self.create(&patch, actor, registry)
    }

    /// Archives an active contact, which releases its keys. An archived contact is rejected with
    /// [`WriteRejection::NotFound`].
    fn archive(
        &mut self,
        target: &ContactTarget,
        preconditions: &Preconditions,
        actor: Option<&Arc<str>>,
        registry: &Registry,
    ) -> WriteOutcome {
        let contact = self.find_contact(target).filter(|contact| contact.archival.is_none());
        let contact = contact.ok_or(WriteRejection::NotFound)?;
        preconditions.check(&contact)?;
        self.move_keys(contact.id, KeyChanges::for_removed(&contact.values, registry))?;
        let archived = contact.archived(actor.map(|actor| &**actor), registry);
        Ok(self.record_replacement(ChangeKind::Archived, contact, archived, actor))
    }

    /// Makes an archived contact active again. Rejects keys that other active contacts hold. An active contact stays
    /// unchanged.
    fn restore(
        &mut self,
        id: Uuid,
        preconditions: &Preconditions,
        actor: Option<&Arc<str>>,
        registry: &Registry,
    ) -> WriteOutcome {
        let contact = self.find_contact(&ContactTarget::Id(id)).ok_or(WriteRejection::NotFound)?;
        preconditions.check(&contact)?;
        if contact.archival.is_none() {
            return Ok(WrittenContact::unchanged(contact));
        }
        self.move_keys(id, KeyChanges::for_new(&contact.values, registry))?;
        let restored = contact.restored(registry);
        Ok(self.record_replacement(ChangeKind::Restored, contact, restored, actor))
    }

    /// Deletes an active or archived contact permanently and releases its keys.
    fn purge(
        &mut self,
        id: Uuid,
        preconditions: &Preconditions,
        actor: Option<&Arc<str>>,
        registry: &Registry,
    ) -> WriteOutcome {
        let contact = self.find_contact(&ContactTarget::Id(id)).ok_or(WriteRejection::NotFound)?;
        preconditions.check(&contact)?;
        if contact.archival.is_none() {
            self.move_keys(id, KeyChanges::for_removed(&contact.values, registry))?;
        }
        let position = self.record_purge(&contact, actor);
        Ok(WrittenContact { changed_at: Some(position), ..WrittenContact::unchanged(contact) })
    }

    /// Releases and claims keys for a contact. Rejects the change if other active contacts hold claimed keys; the
    /// rejection lists all of them, by field.
    fn move_keys(&mut self, contact: Uuid, changes: KeyChanges) -> Result<(), WriteRejection> {
        let other_holder = |key: &UniqueKey| self.key_holder(key).filter(|holder| *holder != contact);
        let collision = |key: &UniqueKey| Some(Collision { field: key.field, existing_id: Some(other_holder(key)?) });
        let mut collisions: Vec<_> = changes.claimed.iter().filter_map(collision).collect();
        if !collisions.is_empty() {
            collisions.sort_by_key(|collision| collision.field);
            return Err(WriteRejection::Duplicate(collisions));
        }
        changes.released.into_iter().for_each(|key| self.set_key_holder(key, None));
        changes.claimed.into_iter().for_each(|key| self.set_key_holder(key, Some(contact)));
        Ok(())
    }

    /// Replaces an existing contact with its next state.
    fn record_replacement(
        &mut self,
        kind: ChangeKind,
        before: Arc<Contact>,
        next: Contact,
        actor: Option<&Arc<str>>,
    ) -> WrittenContact {
        let contact = self.record_change(kind, Some(Arc::clone(&before)), next, actor);
        WrittenContact { changed_at: Some(contact.position), contact, ..WrittenContact::unchanged(before) }
    }
}

#[cfg(test)]
mod tests;
