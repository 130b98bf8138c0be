//! An account in memory, and shorthands for the writes of tests.

use super::*;
use crate::fields::{FieldId, Value, registry_samples as samples};
use crate::json::{self, Json};

pub(super) const BADGE: FieldId = FieldId(102);

/// A workspace in which everything is known that its writes ask for: the contacts that were there, and no other.
pub(super) struct Account {
    pub(super) there: Vec<Contact>,
    pub(super) workspace: Workspace,
    pub(super) registry: Registry,
    pub(super) actor: Arc<str>,
}

impl Account {
    /// An account with contacts of these values, active, at positions from 1.
    pub(super) fn with(contacts: &[&str]) -> Self {
        let contact =
            |(index, fields): (usize, &&str)| Contact { position: index as i64 + 1, ..Contact::new(&draft(fields)) };
        let there: Vec<_> = contacts.iter().enumerate().map(contact).collect();
        let workspace = Workspace::at(there.len() as i64);
        Self { there, workspace, registry: samples::registry(), actor: "u1".into() }
    }

    pub(super) fn id(&self, index: usize) -> Uuid {
        self.there[index].id
    }

    /// Looks up whatever the writes need, until they need no more. Returns the number of rounds.
    pub(super) fn load(&mut self, writes: &[Write]) -> usize {
        for round in 0..10 {
            let mut wanted = Wanted::default();
            self.workspace.want(writes, &self.registry, &mut wanted);
            if wanted == Wanted::default() {
                return round;
            }
            for id in wanted.ids {
                self.workspace.know_contact(id, self.there.iter().find(|contact| contact.id == id).cloned());
            }
            for key in wanted.keys {
                let holds = |contact: &&Contact| {
                    let keys = KeyChanges::of_new(&contact.values, &self.registry).claimed;
                    contact.archival.is_none() && keys.contains(&key)
                };
                let holder = self.there.iter().find(holds).map(|contact| contact.id);
                self.workspace.know_holder(key, holder);
            }
        }
        panic!("the look-ups have no end");
    }

    /// Applies writes one after another, all looked up beforehand, as a batch is.
    pub(super) fn apply(&mut self, writes: &[Write]) -> Vec<WriteOutcome> {
        self.load(writes);
        writes.iter().map(|write| self.workspace.apply(write, Some(&self.actor), &self.registry)).collect()
    }

    pub(super) fn one(&mut self, write: Write) -> WriteOutcome {
        self.apply(&[write]).pop().expect("an outcome")
    }

    pub(super) fn kinds(&self) -> Vec<ChangeKind> {
        self.workspace.changes().iter().map(|change| change.kind).collect()
    }
}

pub(super) fn draft(fields: &str) -> Draft {
    let fields = json::parse(fields.as_bytes()).ok().and_then(Json::into_object).expect("an object");
    Draft::parse(&fields, &samples::registry()).expect("valid fields")
}

pub(super) fn key(field: FieldId, key: &str) -> UniqueKey {
    UniqueKey { field, key: key.to_owned() }
}

pub(super) fn create(fields: &str) -> Write {
    Write::Create(draft(fields))
}

pub(super) fn update(target: Target, fields: &str) -> Write {
    Write::Update { target, draft: draft(fields), precondition: Precondition::None }
}

pub(super) fn upsert(badge: &str, fields: &str) -> Write {
    Write::Upsert(Upsert {
        key: key(BADGE, badge),
        named: (BADGE, Value::Text(badge.into())),
        draft: draft(fields),
        precondition: Precondition::None,
        unless: Precondition::None,
    })
}

pub(super) fn archive(target: Target) -> Write {
    Write::Archive { target, precondition: Precondition::None }
}

pub(super) fn restore(id: Uuid) -> Write {
    Write::Restore { id, precondition: Precondition::None }
}

pub(super) fn by_badge(badge: &str) -> Target {
    Target::Key(key(BADGE, badge))
}

pub(super) fn refusals(outcomes: &[WriteOutcome]) -> Vec<Option<&WriteRefusal>> {
    outcomes.iter().map(|outcome| outcome.as_ref().err()).collect()
}

pub(super) fn taken(field: FieldId, by: Uuid) -> WriteRefusal {
    WriteRefusal::Duplicate(vec![Collision { field, existing_id: Some(by) }])
}
