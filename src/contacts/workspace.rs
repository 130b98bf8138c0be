//! The part of an account that some writes are about, in memory: the writes are applied to it one after another, and
//! what has become of it is then stored as a whole. The rules of contract §5 and §6 for writes stand here.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use uuid::Uuid;

use super::{
    Change, ChangeKind, Collision, Contact, Draft, KeyChanges, Precondition, Target, UniqueKey, Upsert, Write,
    WriteRefusal,
};
use crate::fields::Registry;

/// A contact after a write.
#[derive(Debug, Clone)]
pub struct Written {
    /// The contact; the last state of one that was purged.
    pub contact: Arc<Contact>,
    /// The contact before the write, if it was there.
    pub before: Option<Arc<Contact>>,
    /// Whether the write created it.
    pub created: bool,
}

impl Written {
    fn unchanged(contact: Arc<Contact>) -> Self {
        Self { before: Some(Arc::clone(&contact)), contact, created: false }
    }
}

/// What a write comes to.
pub type WriteOutcome = Result<Written, WriteRefusal>;

/// The contacts and keys that some writes of an account are about, as they are and as the writes leave them.
#[derive(Debug, Clone, Default)]
pub struct Workspace {
    /// Of the account's last change.
    position: i64,
    contacts: BTreeMap<Uuid, Entry>,
    /// Who holds each key that was looked up.
    holders: HashMap<UniqueKey, Holder>,
    changes: Vec<Change>,
}

/// A contact before and after the writes; `None` where there is none.
#[derive(Debug, Clone)]
struct Entry {
    before: Option<Arc<Contact>>,
    now: Option<Arc<Contact>>,
}

/// The active contact that holds a key, if any does.
#[derive(Debug, Clone, Copy)]
struct Holder {
    contact: Option<Uuid>,
    /// Whether the key has changed hands.
    is_new: bool,
}

/// What has to be looked up before writes can be applied.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Contacts.
    pub ids: Vec<Uuid>,
    /// The holders of keys.
    pub keys: Vec<UniqueKey>,
}

/// What the writes did.
#[derive(Debug, Default)]
pub struct Effects {
    /// Contacts that are new.
    pub created: Vec<Arc<Contact>>,
    /// Contacts that have changed, each with the version that it had.
    pub updated: Vec<(i64, Arc<Contact>)>,
    /// Contacts that are gone, each with the position of the last change that was stored of it.
    pub purged: Vec<(Uuid, i64)>,
    /// Keys that contacts no longer have.
    pub keys_gone: Vec<(Uuid, UniqueKey)>,
    /// Keys that contacts have from now on, and whether as active ones.
    pub keys_new: Vec<(Uuid, UniqueKey, bool)>,
}

impl Workspace {
    /// An empty workspace of an account whose last change has this position.
    #[must_use]
    pub fn at(position: i64) -> Self {
        Self { position, ..Self::default() }
    }

    /// The workspace that the next writes find once these are stored. It knows what these have changed: nothing of that
    /// is to be looked up before it is stored, and all else is as it was.
    #[must_use]
    pub fn next(&self) -> Self {
        let after = |change: &Change| {
            let now = &self.contacts.get(&change.contact_id)?.now;
            Some((change.contact_id, Entry { before: now.clone(), now: now.clone() }))
        };
        let moved = self.holders.iter().filter(|(_, holder)| holder.is_new);
        Self {
            position: self.position,
            contacts: self.changes.iter().filter_map(after).collect(),
            holders: moved.map(|(key, holder)| (key.clone(), Holder { is_new: false, ..*holder })).collect(),
            changes: vec![],
        }
    }

    /// The position of the account's last change.
    #[must_use]
    pub fn position(&self) -> i64 {
        self.position
    }

    /// The changes made, in order.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Whether only values of active contacts have changed so far, and no keys.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        !self.holders.values().any(|holder| holder.is_new)
            && self.changes.iter().all(|change| change.kind == ChangeKind::Updated)
    }

    /// Adds what else these writes need to be looked up. To be asked again after that: one look-up leads to the next.
    pub fn want(&self, writes: &[Write], registry: &Registry, wanted: &mut Wanted) {
        for write in writes {
            let mut keys = write.claims(registry);
            let id = match write.target() {
                None => None,
                Some(Target::Id(id)) => Some(id),
                Some(Target::Key(key)) => {
                    let holder = self.holder(&key);
                    keys.push(key);
                    holder
                }
            };
            match id.map(|id| (id, self.contacts.get(&id))) {
                Some((id, None)) => wanted.ids.push(id),
                Some((_, Some(Entry { now: Some(contact), .. }))) if matches!(write, Write::Restore { .. }) => {
                    keys.extend(KeyChanges::of_new(&contact.values, registry).claimed);
                }
                _ => {}
            }
            wanted.keys.extend(keys.into_iter().filter(|key| !self.holders.contains_key(key)));
        }
    }

    /// Takes note of a contact, or that there is none with this id.
    pub fn know_contact(&mut self, id: Uuid, contact: Option<Contact>) {
        let contact = contact.map(Arc::new);
        self.contacts.entry(id).or_insert_with(|| Entry { before: contact.clone(), now: contact });
    }

    /// Takes note of the active contact that holds a key, or that none does.
    pub fn know_holder(&mut self, key: UniqueKey, holder: Option<Uuid>) {
        self.holders.entry(key).or_insert(Holder { contact: holder, is_new: false });
    }

    /// Applies a write.
    ///
    /// # Errors
    /// Why it is refused; nothing has changed then.
    pub fn apply(&mut self, write: &Write, actor: Option<&Arc<str>>, registry: &Registry) -> WriteOutcome {
        match write {
            Write::Create(draft) => self.create(draft, actor, registry),
            Write::Update { target, draft, precondition } => {
                let contact = self.find(target).ok_or(WriteRefusal::NotFound)?;
                self.update(contact, draft, precondition, actor, registry)
            }
            Write::Upsert(upsert) => self.upsert(upsert, actor, registry),
            Write::Archive { target, precondition } => {
                let contact = self.find(target).filter(|contact| contact.archival.is_none());
                self.archive(contact.ok_or(WriteRefusal::NotFound)?, precondition, actor, registry)
            }
            Write::Restore { id, precondition } => self.restore(*id, precondition, actor, registry),
            Write::Purge { id } => self.purge(*id, actor, registry),
        }
    }

    /// What the writes so far did to the contacts that were there, and to their keys.
    #[must_use]
    pub fn effects(&self, registry: &Registry) -> Effects {
        let mut effects = Effects::default();
        for (id, entry) in &self.contacts {
            match (&entry.before, &entry.now) {
                (None, Some(now)) => effects.created.push(Arc::clone(now)),
                (Some(before), Some(now)) if !Arc::ptr_eq(before, now) => {
                    effects.updated.push((before.version, Arc::clone(now)));
                }
                (Some(before), None) => effects.purged.push((*id, before.position)),
                _ => continue,
            }
            effects.add_keys(*id, entry.before.as_deref(), entry.now.as_deref(), registry);
        }
        effects
    }

    fn holder(&self, key: &UniqueKey) -> Option<Uuid> {
        self.holders.get(key)?.contact
    }

    fn find(&self, target: &Target) -> Option<Arc<Contact>> {
        let id = match target {
            Target::Id(id) => *id,
            Target::Key(key) => self.holder(key)?,
        };
        self.contacts.get(&id)?.now.clone()
    }

    fn create(&mut self, draft: &Draft, actor: Option<&Arc<str>>, registry: &Registry) -> WriteOutcome {
        let contact = Contact::new(draft);
        self.move_keys(contact.id, KeyChanges::of_new(&contact.values, registry))?;
        Ok(Written { contact: self.put(ChangeKind::Created, None, contact, actor), before: None, created: true })
    }

    fn update(
        &mut self,
        contact: Arc<Contact>,
        draft: &Draft,
        precondition: &Precondition,
        actor: Option<&Arc<str>>,
        registry: &Registry,
    ) -> WriteOutcome {
        if contact.archival.is_some() {
            return Err(WriteRefusal::Archived);
        }
        demand(precondition, &contact)?;
        let Some(next) = contact.patched(draft, registry) else { return Ok(Written::unchanged(contact)) };
        self.move_keys(contact.id, KeyChanges::between(&contact.values, &next.values, registry))?;
        Ok(self.change(ChangeKind::Updated, contact, next, actor))
    }

    fn upsert(&mut self, upsert: &Upsert, actor: Option<&Arc<str>>, registry: &Registry) -> WriteOutcome {
        if let Some(contact) = self.find(&Target::Key(upsert.key.clone())) {
            if upsert.unless != Precondition::None && upsert.unless.holds(&contact) {
                return Err(WriteRefusal::PreconditionFailed);
            }
            return self.update(contact, &upsert.draft, &upsert.precondition, actor, registry);
        }
        if upsert.precondition != Precondition::None {
            return Err(WriteRefusal::PreconditionFailed);
        }
        let draft = upsert.draft.with_default(&upsert.named);
        if !draft.identifies() {
            return Err(WriteRefusal::Incomplete);
        }
        self.create(&draft, actor, registry)
    }

    fn archive(
        &mut self,
        contact: Arc<Contact>,
        precondition: &Precondition,
        actor: Option<&Arc<str>>,
        registry: &Registry,
    ) -> WriteOutcome {
        demand(precondition, &contact)?;
        self.move_keys(contact.id, KeyChanges::of_gone(&contact.values, registry))?;
        let archived = contact.archived(actor.map(|actor| &**actor), registry);
        Ok(self.change(ChangeKind::Archived, contact, archived, actor))
    }

    fn restore(
        &mut self,
        id: Uuid,
        precondition: &Precondition,
        actor: Option<&Arc<str>>,
        registry: &Registry,
    ) -> WriteOutcome {
        let contact = self.find(&Target::Id(id)).ok_or(WriteRefusal::NotFound)?;
        demand(precondition, &contact)?;
        if contact.archival.is_none() {
            return Ok(Written::unchanged(contact));
        }
        self.move_keys(id, KeyChanges::of_new(&contact.values, registry))?;
        let restored = contact.restored(registry);
        Ok(self.change(ChangeKind::Restored, contact, restored, actor))
    }

    fn purge(&mut self, id: Uuid, actor: Option<&Arc<str>>, registry: &Registry) -> WriteOutcome {
        let contact = self.find(&Target::Id(id)).ok_or(WriteRefusal::NotFound)?;
        if contact.archival.is_none() {
            self.move_keys(id, KeyChanges::of_gone(&contact.values, registry))?;
        }
        // Also what this workspace was about to tell of it.
        for change in self.changes.iter_mut().filter(|change| change.contact_id == id) {
            (change.before, change.after) = (None, None);
        }
        self.position += 1;
        self.changes.push(Change {
            position: self.position,
            previous: contact.position,
            contact_id: id,
            kind: ChangeKind::Purged,
            at: contact.next_instant(),
            actor: actor.cloned(),
            before: None,
            after: None,
        });
        if let Some(entry) = self.contacts.get_mut(&id) {
            entry.now = None;
        }
        Ok(Written::unchanged(contact))
    }

    /// Hands keys on, if no other active contact holds one that is claimed.
    fn move_keys(&mut self, contact: Uuid, changes: KeyChanges) -> Result<(), WriteRefusal> {
        let holder = |key: &UniqueKey| self.holder(key).filter(|holder| *holder != contact);
        let collision = |key: &UniqueKey| Some(Collision { field: key.field, existing_id: Some(holder(key)?) });
        let mut collisions: Vec<_> = changes.claimed.iter().filter_map(collision).collect();
        if !collisions.is_empty() {
            collisions.sort_by_key(|collision| collision.field);
            return Err(WriteRefusal::Duplicate(collisions));
        }
        let hand = |contact| move |key| (key, Holder { contact, is_new: true });
        self.holders.extend(changes.released.into_iter().map(hand(None)));
        self.holders.extend(changes.claimed.into_iter().map(hand(Some(contact))));
        Ok(())
    }

    fn change(&mut self, kind: ChangeKind, before: Arc<Contact>, next: Contact, actor: Option<&Arc<str>>) -> Written {
        let contact = self.put(kind, Some(Arc::clone(&before)), next, actor);
        Written { contact, before: Some(before), created: false }
    }

    /// Replaces a contact by its next state, and takes note of the change.
    fn put(
        &mut self,
        kind: ChangeKind,
        before: Option<Arc<Contact>>,
        mut next: Contact,
        actor: Option<&Arc<str>>,
    ) -> Arc<Contact> {
        self.position += 1;
        let previous = std::mem::replace(&mut next.position, self.position);
        let next = Arc::new(next);
        self.changes.push(Change {
            position: self.position,
            previous,
            contact_id: next.id,
            kind,
            at: next.updated_at,
            actor: actor.cloned(),
            before,
            after: Some(Arc::clone(&next)),
        });
        let entry = self.contacts.entry(next.id).or_insert(Entry { before: None, now: None });
        entry.now = Some(Arc::clone(&next));
        next
    }
}

impl Effects {
    fn add_keys(&mut self, id: Uuid, before: Option<&Contact>, now: Option<&Contact>, registry: &Registry) {
        let Some(now) = now else {
            let gone = before.map(|before| KeyChanges::of_gone(&before.values, registry).released);
            return self.keys_gone.extend(gone.into_iter().flatten().map(|key| (id, key)));
        };
        let is_active = now.archival.is_none();
        let changes = match before {
            Some(before) if before.archival.is_none() == is_active => {
                KeyChanges::between(&before.values, &now.values, registry)
            }
            // Every key changes its state.
            before => KeyChanges {
                released: before
                    .map(|before| KeyChanges::of_gone(&before.values, registry).released)
                    .unwrap_or_default(),
                claimed: KeyChanges::of_new(&now.values, registry).claimed,
            },
        };
        self.keys_gone.extend(changes.released.into_iter().map(|key| (id, key)));
        self.keys_new.extend(changes.claimed.into_iter().map(|key| (id, key, is_active)));
    }
}

/// Refuses a write whose precondition does not hold for the contact as it is.
fn demand(precondition: &Precondition, contact: &Contact) -> Result<(), WriteRefusal> {
    if precondition.holds(contact) { Ok(()) } else { Err(WriteRefusal::PreconditionFailed) }
}

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
