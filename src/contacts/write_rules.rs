//! The rules of each write (`docs/api-reference.md#contacts`): when it is rejected, how it changes the contact, and
//! which unique keys it moves.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    ChangeKind, Collision, Contact, ContactPatch, ContactTarget, KeyChanges, OnArchived, PatchedValue, Preconditions,
    RejectedWrite, SourceTimes, UniqueKey, UnitOfWork, Upsert, Write, WriteOutcome, WriteRejection, WrittenContact,
};
use crate::fields::{Registry, system};

/// The result of applying the rules of a write.
type Applied = Result<WrittenContact, WriteRejection>;

/// The actor of a change, and the time that the actor's system gave it.
#[derive(Clone, Copy)]
struct SourceChange<'a> {
    actor: Option<&'a Arc<str>>,
    at: DateTime<Utc>,
}

impl UnitOfWork {
    /// Applies a write. The caller must have loaded the contacts and keys that the write needs, see
    /// [`UnitOfWork::collect_required_lookups`].
    ///
    /// # Errors
    /// Returns the reason why the write is rejected. A rejected write changes nothing.
    pub fn apply(&mut self, write: &Write, actor: Option<&Arc<str>>, registry: &Registry) -> WriteOutcome {
        self.apply_rules(write, actor, registry).map_err(|reason| {
            let contact = self.addressed_contact(write).filter(|_| reason != WriteRejection::NotFound);
            RejectedWrite { reason, contact }
        })
    }

    fn apply_rules(&mut self, write: &Write, actor: Option<&Arc<str>>, registry: &Registry) -> Applied {
        let source = write.source_updated_at().map(|at| SourceChange { actor, at });
        match write {
            Write::Create(patch) => self.create(patch, actor, registry),
            Write::Update { target, patch, preconditions, .. } => {
                let contact = self.find_contact(target).ok_or(WriteRejection::NotFound)?;
                if contact.archival.is_some() {
                    return Err(WriteRejection::Archived);
                }
                preconditions.check(&contact)?;
                self.unless_stale(contact, source, |unit, contact| unit.update(contact, patch, actor, registry))
            }
            Write::Upsert(upsert) => self.upsert(upsert, source, actor, registry),
            Write::Archive { target, preconditions } => self.archive(target, preconditions, actor, registry),
            Write::Restore { id, preconditions } => self.restore(*id, preconditions, actor, registry),
            Write::Purge { id, preconditions } => self.purge(*id, preconditions, actor, registry),
        }
    }

    /// Creates a contact. Rejects values that are too large together, then keys that other active contacts hold.
    fn create(&mut self, patch: &ContactPatch, actor: Option<&Arc<str>>, registry: &Registry) -> Applied {
        let mut contact = Contact::new(patch);
        if patch.id().is_none() {
            contact.id = self.next_id();
        }
        if contact.is_too_large(None, registry) {
            return Err(WriteRejection::TooLarge);
        }
        self.move_keys(contact.id, KeyChanges::for_new(&contact.values, registry))?;
        Ok(WrittenContact::created(self.record_change(ChangeKind::Created, None, contact, actor)))
    }

    /// Updates an active contact. Rejects values that are too large together, then keys that other active contacts hold.
    /// Equal values change nothing.
    fn update(
        &mut self,
        contact: Arc<Contact>,
        patch: &ContactPatch,
        actor: Option<&Arc<str>>,
        registry: &Registry,
    ) -> Applied {
        let Some(next) = contact.patched(patch, registry) else { return Ok(WrittenContact::unchanged(contact)) };
        if next.is_too_large(Some(&contact), registry) {
            return Err(WriteRejection::TooLarge);
        }
        self.move_keys(contact.id, KeyChanges::between(&contact.values, &next.values, registry))?;
        Ok(self.record_replacement(ChangeKind::Updated, contact, next, actor))
    }

    /// Applies a change of a contact, unless its source has sent a newer one before. Records its time if it is accepted.
    fn unless_stale(
        &mut self,
        contact: Arc<Contact>,
        source: Option<SourceChange<'_>>,
        apply: impl FnOnce(&mut Self, Arc<Contact>) -> Applied,
    ) -> Applied {
        let Some(SourceChange { actor, at }) = source else { return apply(self, contact) };
        let key = SourceTimes::key(contact.id, actor);
        if self.source_times.is_stale(&key, at) {
            return Ok(WrittenContact { is_stale: true, ..WrittenContact::unchanged(contact) });
        }
        let written = apply(self, contact)?;
        self.source_times.record(key, at);
        Ok(written)
    }

    /// Updates the active contact that holds the key, or creates a contact with the key's value. Rejects a creation if
    /// there is an `If-Match` condition, or neither an email nor a name.
    fn upsert(
        &mut self,
        upsert: &Upsert,
        source: Option<SourceChange<'_>>,
        actor: Option<&Arc<str>>,
        registry: &Registry,
    ) -> Applied {
        let Upsert { key, patch, preconditions, .. } = upsert;
        if let Some(contact) = self.find_contact(&ContactTarget::Key(key.clone())) {
            preconditions.check(&contact)?;
            return self.unless_stale(contact, source, |unit, contact| unit.update(contact, patch, actor, registry));
        }
        let archived = self.archived_holder(key);
        match (upsert.on_archived, archived) {
            (OnArchived::Refuse, Some(_)) => {
                return Err(WriteRejection::ArchivedHolder(Collision { field: key.field, existing_id: archived }));
            }
            (OnArchived::Restore, Some(id)) => {
                let contact = self.find_contact(&ContactTarget::Id(id)).ok_or(WriteRejection::NotFound)?;
                preconditions.check(&contact)?;
                let restore_and_update =
                    |unit: &mut Self, contact| unit.restore_and_update(contact, patch, actor, registry);
                return self.unless_stale(contact, source, restore_and_update);
            }
            _ => preconditions.check_missing()?,
        }
        let patch = new_contact(upsert);
        if !patch.has_identity() {
            return Err(WriteRejection::Incomplete);
        }
        let written = self.create(&patch, actor, registry)?;
        if let Some(SourceChange { actor, at }) = source {
            self.source_times.record(SourceTimes::key(written.contact.id, actor), at);
        }
        Ok(WrittenContact { created_beside: archived, ..written })
    }

    /// Makes an archived contact active again, and updates it. Only the keys that it has afterwards must be free.
    fn restore_and_update(
        &mut self,
        contact: Arc<Contact>,
        patch: &ContactPatch,
        actor: Option<&Arc<str>>,
        registry: &Registry,
    ) -> Applied {
        let restored = contact.restored(registry);
        let updated = restored.patched(patch, registry);
        let last = updated.as_ref().unwrap_or(&restored);
        if last.is_too_large(Some(&contact), registry) {
            return Err(WriteRejection::TooLarge);
        }
        self.move_keys(contact.id, KeyChanges::for_new(&last.values, registry))?;
        let mut written = self.record_replacement(ChangeKind::Restored, Arc::clone(&contact), restored, actor);
        // The restored contact has got its position now.
        if let Some(updated) = written.contact.patched(patch, registry) {
            written = self.record_replacement(ChangeKind::Updated, Arc::clone(&written.contact), updated, actor);
        }
        Ok(WrittenContact { before: Some(contact), ..written })
    }

    /// Archives an active contact, which releases its keys. An archived contact is rejected with
    /// [`WriteRejection::NotFound`].
    fn archive(
        &mut self,
        target: &ContactTarget,
        preconditions: &Preconditions,
        actor: Option<&Arc<str>>,
        registry: &Registry,
    ) -> Applied {
        let contact = self.find_contact(target).filter(|contact| contact.archival.is_none());
        let contact = contact.ok_or(WriteRejection::NotFound)?;
        preconditions.check(&contact)?;
        let keys = KeyChanges::for_removed(&contact.values, registry);
        self.record_archived_holder(contact.id, keys.released.iter().cloned());
        self.move_keys(contact.id, keys)?;
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
    ) -> Applied {
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
    ) -> Applied {
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

/// Returns the content of a contact that an upsert creates.
fn new_contact(upsert: &Upsert) -> ContactPatch {
    let patch = upsert.patch.with_default(&upsert.property_value);
    match patch.get(system::COMPANY_NAME) {
        PatchedValue::Value(company) if upsert.named_by_company && !patch.has_identity() => {
            patch.with_default(&(system::LAST_NAME, company.clone()))
        }
        _ => patch,
    }
}

#[cfg(test)]
mod tests;
