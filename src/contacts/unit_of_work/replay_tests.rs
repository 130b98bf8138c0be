//! Property test of the change feed, without a database. For any writes in any batches, replaying the changes in order
//! reproduces the contacts, and the stored effects equal the written contacts.

use crate::contacts::UpdatedContact;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use uuid::Uuid;

use super::{Effects, Lookups, UnitOfWork};
use crate::contacts::{
    Change, ChangeKind, Contact, ContactPatch, ContactTarget, KeyChanges, LastChange, OnArchived, Preconditions,
    UniqueKey, Upsert, Write,
};
use crate::fields::{Registry, Value, registry_fixtures as fixtures, system};
use crate::json::{self, Json};

/// A write. Contacts are identified by their index among all contacts ever created.
#[derive(Debug, Clone)]
enum Step {
    Create(String),
    Update(usize, String),
    UpdateByKey(&'static str, String),
    Upsert(&'static str, String),
    Archive(usize),
    Restore(usize),
    Purge(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    let value = |texts: &'static [&'static str]| prop::option::of(prop::sample::select(texts));
    let fields = (
        value(&[r#""A""#, r#""B""#]),
        value(&[r#""a@b.cd""#, r#""A@b.cd""#, r#""c@d.ef""#, "null"]),
        value(&[r#""x""#, r#""y""#, "null"]),
        value(&["1", "1.0", "2", "null"]),
        value(&[r#""X""#, r#""Y""#, "null"]),
    );
    let fields = fields.prop_map(|(name, email, external_id, size, badge)| {
        let fields = [
            ("first_name", name),
            ("email", email),
            ("external_id", external_id),
            ("shoe_size", size),
            ("badge", badge),
        ];
        let sent = fields.iter().filter_map(|(name, value)| Some(format!(r#""{name}": {}"#, (*value)?)));
        format!("{{{}}}", sent.collect::<Vec<_>>().join(", "))
    });
    let key = || prop::sample::select(&["x", "y", "z"][..]);
    prop_oneof![
        3 => fields.clone().prop_map(Step::Create),
        6 => (0..6_usize, fields.clone()).prop_map(|(contact, fields)| Step::Update(contact, fields)),
        1 => (key(), fields.clone()).prop_map(|(key, fields)| Step::UpdateByKey(key, fields)),
        2 => (key(), fields).prop_map(|(key, fields)| Step::Upsert(key, fields)),
        2 => (0..6_usize).prop_map(Step::Archive),
        2 => (0..6_usize).prop_map(Step::Restore),
        1 => (0..6_usize).prop_map(Step::Purge),
    ]
}

fn patch(fields: &str, registry: &Registry) -> ContactPatch {
    let fields = json::parse(fields.as_bytes()).ok().and_then(Json::into_object).expect("a JSON object");
    ContactPatch::parse(&fields, registry).expect("valid fields")
}

impl Step {
    /// Returns the write of this step.
    fn to_write(&self, created: &[Uuid], registry: &Registry) -> Write {
        let id = |index: &usize| created.get(*index).copied().unwrap_or(Uuid::nil());
        let key = |key: &str| UniqueKey { field: system::EXTERNAL_ID, key: key.to_owned() };
        let update = |target, fields: &str| Write::Update {
            target,
            patch: patch(fields, registry),
            preconditions: Preconditions::default(),
            source_updated_at: None,
        };
        match self {
            Self::Create(fields) => Write::Create(patch(fields, registry)),
            Self::Update(index, fields) => update(ContactTarget::Id(id(index)), fields),
            Self::UpdateByKey(text, fields) => update(ContactTarget::Key(key(text)), fields),
            Self::Upsert(text, fields) => Write::Upsert(Upsert {
                key: key(text),
                property_value: (system::EXTERNAL_ID, Value::Text((*text).into())),
                patch: patch(fields, registry),
                preconditions: Preconditions::default(),
                source_updated_at: None,
                on_archived: OnArchived::default(),
                named_by_company: false,
            }),
            Self::Archive(index) => {
                Write::Archive { target: ContactTarget::Id(id(index)), preconditions: Preconditions::default() }
            }
            Self::Restore(index) => Write::Restore { id: id(index), preconditions: Preconditions::default() },
            Self::Purge(index) => Write::Purge { id: id(index), preconditions: Preconditions::default() },
        }
    }
}

/// The stored state of one account.
#[derive(Default)]
struct StoredAccount {
    position: i64,
    contacts: BTreeMap<Uuid, Contact>,
    /// Each key of a contact, and whether the contact is active.
    keys: BTreeMap<(Uuid, UniqueKey), bool>,
}

impl StoredAccount {
    /// Returns a unit of work with the contacts and keys that these writes need.
    fn load_unit_of_work(&self, writes: &[Write], registry: &Registry) -> UnitOfWork {
        let mut unit_of_work = UnitOfWork::default();
        loop {
            let mut required = Lookups::default();
            unit_of_work.collect_required_lookups(writes, registry, &mut required);
            if required == Lookups::default() {
                return unit_of_work;
            }
            for id in required.ids {
                unit_of_work.add_loaded_contact(id, self.contacts.get(&id).cloned());
            }
            for key in required.keys.into_iter().chain(required.targets) {
                let active_holder =
                    |((id, held), active): (&(Uuid, UniqueKey), &bool)| (*active && *held == key).then_some(*id);
                let holder = self.keys.iter().find_map(active_holder);
                unit_of_work.add_loaded_key_holder(key, holder);
            }
        }
    }

    /// Stores the effects of a batch.
    fn store_effects(&mut self, effects: &Effects, changes: usize) {
        let last = LastChange { position: self.position, at: None };
        self.position += changes as i64;
        let placed = |contact: &Contact| Contact { position: last.place_position(contact.position), ..contact.clone() };
        for UpdatedContact { before, now } in &effects.updated {
            let stored = self.contacts.insert(now.id, placed(now)).expect("the contact is stored");
            assert_eq!(stored.version, before.version);
        }
        for contact in &effects.created {
            assert!(self.contacts.insert(contact.id, placed(contact)).is_none());
        }
        for (id, key) in &effects.keys_removed {
            assert!(self.keys.remove(&(*id, key.clone())).is_some(), "{key:?} is not stored");
        }
        for (id, key, active) in &effects.keys_added {
            assert!(self.keys.insert((*id, key.clone()), *active).is_none(), "{key:?} is already stored");
        }
        for purged in &effects.purged {
            assert_eq!(self.contacts.remove(&purged.id).expect("the contact is stored").position, purged.position);
            self.keys.retain(|(holder, _), _| *holder != purged.id);
        }
    }

    /// Checks that the stored keys are the keys of the contacts, and that no two active contacts share a key.
    fn check_keys(&self, registry: &Registry) {
        let contact_keys = |contact: &Contact| {
            let (id, active) = (contact.id, contact.archival.is_none());
            KeyChanges::for_new(&contact.values, registry).claimed.into_iter().map(move |key| ((id, key), active))
        };
        assert_eq!(self.keys, self.contacts.values().flat_map(contact_keys).collect());
        let active: Vec<_> = self.keys.iter().filter(|(_, active)| **active).map(|((_, key), _)| key).collect();
        assert_eq!(active.iter().collect::<BTreeSet<_>>().len(), active.len());
    }
}

type JsonMembers = serde_json::Map<String, serde_json::Value>;

/// The contacts as a reader of the feed reconstructs them: their values, and the position of their last change.
#[derive(Default)]
struct FeedReader {
    position: i64,
    contacts: BTreeMap<Uuid, (JsonMembers, i64)>,
}

impl FeedReader {
    /// Applies a change to the reconstructed contacts. Checks that its positions and old values match them.
    fn replay(&mut self, change: &Change, last: LastChange) {
        let position = last.place_position(change.position);
        assert_eq!(position, self.position + 1);
        self.position = position;
        if change.kind == ChangeKind::Created {
            assert!(self.contacts.insert(change.contact_id, (JsonMembers::new(), 0)).is_none());
        }
        let previous_position = last.place_position(change.previous_position);
        let (values, last) = self.contacts.get_mut(&change.contact_id).expect("the contact was created before");
        assert_eq!(previous_position, std::mem::replace(last, position));
        let changed = serde_json::to_value(change.changed_values()).expect("changes serialize");
        for (field, pair) in changed.as_object().expect("a JSON object") {
            let before = values.remove(field).unwrap_or(serde_json::Value::Null);
            let is_archival = *field == system::ARCHIVED.0.to_string();
            assert!(
                before == pair[0] || (is_archival && before.is_null() && pair[0] == false),
                "{field}: {before} {pair}"
            );
            if !pair[1].is_null() {
                values.insert(field.clone(), pair[1].clone());
            }
        }
        if change.kind == ChangeKind::Purged {
            self.contacts.remove(&change.contact_id);
        }
    }

    /// Checks that the reader has reconstructed the contact.
    fn check_contact(&self, contact: &Contact) {
        let (values, last) = &self.contacts[&contact.id];
        assert_eq!(*last, contact.position);
        let archived = [system::ARCHIVED, system::ARCHIVED_BY].map(|field| field.0.to_string());
        let read: JsonMembers =
            values.iter().filter(|(field, _)| !archived.contains(field)).map(to_owned_member).collect();
        let value = |value: &Value| serde_json::to_value(value).expect("changes serialize");
        assert_eq!(read, contact.values.iter().map(|(field, set)| (field.0.to_string(), value(set))).collect());
        let is_archived = values.get(&archived[0]).is_some_and(serde_json::Value::is_string);
        assert_eq!(is_archived, contact.archival.is_some());
    }
}

fn to_owned_member((name, value): (&String, &serde_json::Value)) -> (String, serde_json::Value) {
    (name.clone(), value.clone())
}

proptest! {
    #![proptest_config(crate::test_seed::proptest_config())]

    #[test]
    fn replaying_the_changes_reproduces_the_contacts(
        batches in prop::collection::vec(prop::collection::vec(any_step(), 1..8), 1..8),
    ) {
        let (registry, actor) = (fixtures::registry(), Arc::from("tester"));
        let (mut stored, mut reader, mut created) = (StoredAccount::default(), FeedReader::default(), vec![]);
        for steps in batches {
            let writes: Vec<_> = steps.iter().map(|step| step.to_write(&created, &registry)).collect();
            let last = LastChange { position: stored.position, at: None };
            let mut unit_of_work = stored.load_unit_of_work(&writes, &registry);
            for write in &writes {
                let before = unit_of_work.changes().len();
                let outcome = unit_of_work.apply(write, Some(&actor), &registry);
                let recorded = &unit_of_work.changes()[before..];
                prop_assert!(recorded.len() <= usize::from(outcome.is_ok()), "a rejected write records no change");
                // Apply the changes at once, because a purge removes the values from earlier changes.
                recorded.iter().for_each(|change| reader.replay(change, last));
                created.extend(outcome.ok().filter(|written| written.created).map(|written| written.contact.id));
            }
            stored.store_effects(&unit_of_work.effects(&registry), unit_of_work.changes().len());
            stored.check_keys(&registry);
            prop_assert_eq!(reader.contacts.keys().collect::<Vec<_>>(), stored.contacts.keys().collect::<Vec<_>>());
            stored.contacts.values().for_each(|contact| reader.check_contact(contact));
            let is_purged = |change: &&Change| !stored.contacts.contains_key(&change.contact_id);
            for change in unit_of_work.changes().iter().filter(is_purged) {
                prop_assert_eq!(serde_json::to_string(&change.changed_values()).expect("changes serialize"), "{}");
            }
        }
    }
}
