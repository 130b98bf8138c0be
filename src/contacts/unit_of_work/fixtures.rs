//! An account in memory, and constructors for the writes of tests.

use std::sync::Arc;

use uuid::Uuid;

use super::{Lookups, UnitOfWork};
use crate::contacts::{
    ChangeKind, Collision, Contact, ContactPatch, ContactTarget, KeyChanges, OnArchived, Preconditions, UniqueKey,
    Upsert, Write, WriteOutcome, WriteRejection,
};
use crate::fields::{FieldId, Registry, Value, registry_fixtures as fixtures};
use crate::json::{self, Json};

pub(in crate::contacts) const BADGE: FieldId = FieldId(102);

/// An account with stored contacts, and a unit of work that loads from them the contacts and keys that its writes need.
pub(in crate::contacts) struct AccountFixture {
    pub(in crate::contacts) stored: Vec<Contact>,
    pub(in crate::contacts) unit_of_work: UnitOfWork,
    pub(in crate::contacts) registry: Registry,
    actor: Arc<str>,
}

impl AccountFixture {
    /// Creates an account with active contacts of these values, at positions from 1.
    pub(in crate::contacts) fn with_contacts(contacts: &[&str]) -> Self {
        let contact =
            |(index, fields): (usize, &&str)| Contact { position: index as i64 + 1, ..Contact::new(&patch(fields)) };
        let stored: Vec<_> = contacts.iter().enumerate().map(contact).collect();
        Self { stored, unit_of_work: UnitOfWork::default(), registry: fixtures::registry(), actor: "u1".into() }
    }

    pub(in crate::contacts) fn id(&self, index: usize) -> Uuid {
        self.stored[index].id
    }

    /// Loads the contacts and keys that the writes need. Returns the number of rounds of lookups.
    pub(in crate::contacts) fn load_lookups(&mut self, writes: &[Write]) -> usize {
        for round in 0..10 {
            let mut required = Lookups::default();
            self.unit_of_work.collect_required_lookups(writes, &self.registry, &mut required);
            if required == Lookups::default() {
                return round;
            }
            for id in required.ids {
                self.unit_of_work.add_loaded_contact(id, self.stored.iter().find(|contact| contact.id == id).cloned());
            }
            for key in required.targets.iter().chain(&required.keys) {
                let has_key =
                    |contact: &Contact| KeyChanges::for_new(&contact.values, &self.registry).claimed.contains(key);
                let holder = self.stored.iter().find(|contact| has_key(contact) && contact.archival.is_none()).cloned();
                self.unit_of_work.add_loaded_key_holder(key.clone(), holder.as_ref().map(|contact| contact.id));
                let mut archived: Vec<_> =
                    self.stored.iter().filter(|contact| has_key(contact) && contact.archival.is_some()).collect();
                archived
                    .sort_by_key(|contact| std::cmp::Reverse(contact.archival.as_ref().map(|archival| archival.at)));
                let archived = archived.into_iter().map(|contact| contact.id).collect();
                self.unit_of_work.add_archived_holders(key.clone(), archived);
                if let Some(holder) = holder.filter(|_| required.targets.contains(key)) {
                    self.unit_of_work.add_loaded_contact(holder.id, Some(holder));
                }
            }
        }
        panic!("the lookups do not end");
    }

    /// Loads the contacts and keys that the writes need, then applies the writes one after another, as a batch does.
    pub(in crate::contacts) fn apply(&mut self, writes: &[Write]) -> Vec<WriteOutcome> {
        self.load_lookups(writes);
        writes.iter().map(|write| self.unit_of_work.apply(write, Some(&self.actor), &self.registry)).collect()
    }

    pub(in crate::contacts) fn apply_one(&mut self, write: Write) -> WriteOutcome {
        self.apply(&[write]).pop().expect("one outcome")
    }

    pub(in crate::contacts) fn change_kinds(&self) -> Vec<ChangeKind> {
        self.unit_of_work.changes().iter().map(|change| change.kind).collect()
    }
}

pub(in crate::contacts) fn patch(fields: &str) -> ContactPatch {
    let fields = json::parse(fields.as_bytes()).ok().and_then(Json::into_object).expect("a JSON object");
    ContactPatch::parse(&fields, &fixtures::registry()).expect("valid fields")
}

pub(in crate::contacts) fn key(field: FieldId, key: &str) -> UniqueKey {
    UniqueKey { field, key: key.to_owned() }
}

pub(in crate::contacts) fn create(fields: &str) -> Write {
    Write::Create(patch(fields))
}

pub(in crate::contacts) fn update(target: ContactTarget, fields: &str) -> Write {
    Write::Update { target, patch: patch(fields), preconditions: Preconditions::default(), source_updated_at: None }
}

pub(in crate::contacts) fn upsert(badge: &str, fields: &str) -> Write {
    Write::Upsert(Upsert {
        key: key(BADGE, badge),
        property_value: (BADGE, Value::Text(badge.into())),
        patch: patch(fields),
        preconditions: Preconditions::default(),
        source_updated_at: None,
        on_archived: OnArchived::default(),
        named_by_company: false,
    })
}

pub(in crate::contacts) fn archive(target: ContactTarget) -> Write {
    Write::Archive { target, preconditions: Preconditions::default() }
}

pub(in crate::contacts) fn restore(id: Uuid) -> Write {
    Write::Restore { id, preconditions: Preconditions::default() }
}

pub(in crate::contacts) fn purge(id: Uuid) -> Write {
    Write::Purge { id, preconditions: Preconditions::default() }
}

pub(in crate::contacts) fn by_badge(badge: &str) -> ContactTarget {
    ContactTarget::Key(key(BADGE, badge))
}

pub(in crate::contacts) fn rejections(outcomes: &[WriteOutcome]) -> Vec<Option<&WriteRejection>> {
    outcomes.iter().map(rejection).collect()
}

pub(in crate::contacts) fn rejection(outcome: &WriteOutcome) -> Option<&WriteRejection> {
    outcome.as_ref().err().map(|rejected| &rejected.reason)
}

pub(in crate::contacts) fn duplicate_rejection(field: FieldId, holder: Uuid) -> WriteRejection {
    WriteRejection::Duplicate(vec![Collision { field, existing_id: Some(holder) }])
}
