//! The promise of the feed, without a database: whatever is written, in whatever batches, the changes applied one after
//! another give the contacts, and what is stored is what was written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use uuid::Uuid;

use super::{
    Change, ChangeKind, Contact, Draft, Effects, KeyChanges, Precondition, Target, UniqueKey, Upsert, Wanted,
    Workspace, Write,
};
use crate::fields::{Registry, Value, registry_samples as samples, system};
use crate::json::{self, Json};

/// A write; contacts are named by their place among those ever created.
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

fn step() -> impl Strategy<Value = Step> {
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

fn draft(fields: &str, registry: &Registry) -> Draft {
    let fields = json::parse(fields.as_bytes()).ok().and_then(Json::into_object).expect("an object");
    Draft::parse(&fields, registry).expect("valid fields")
}

impl Step {
    fn write(&self, created: &[Uuid], registry: &Registry) -> Write {
        let id = |place: &usize| created.get(*place).copied().unwrap_or(Uuid::nil());
        let key = |key: &str| UniqueKey { field: system::EXTERNAL_ID, key: key.to_owned() };
        let update = |target, fields: &str| Write::Update {
            target,
            draft: draft(fields, registry),
            precondition: Precondition::None,
        };
        match self {
            Self::Create(fields) => Write::Create(draft(fields, registry)),
            Self::Update(place, fields) => update(Target::Id(id(place)), fields),
            Self::UpdateByKey(text, fields) => update(Target::Key(key(text)), fields),
            Self::Upsert(text, fields) => Write::Upsert(Upsert {
                key: key(text),
                named: (system::EXTERNAL_ID, Value::Text((*text).to_owned())),
                draft: draft(fields, registry),
                precondition: Precondition::None,
                unless: Precondition::None,
            }),
            Self::Archive(place) => Write::Archive { target: Target::Id(id(place)), precondition: Precondition::None },
            Self::Restore(place) => Write::Restore { id: id(place), precondition: Precondition::None },
            Self::Purge(place) => Write::Purge { id: id(place) },
        }
    }
}

/// What a database holds of one account.
#[derive(Default)]
struct Stored {
    position: i64,
    contacts: BTreeMap<Uuid, Contact>,
    /// Each key of a contact, and whether the contact is active.
    keys: BTreeMap<(Uuid, UniqueKey), bool>,
}

impl Stored {
    /// A workspace that knows all that these writes are about.
    fn load(&self, writes: &[Write], registry: &Registry) -> Workspace {
        let mut workspace = Workspace::at(self.position);
        loop {
            let mut wanted = Wanted::default();
            workspace.want(writes, registry, &mut wanted);
            if wanted == Wanted::default() {
                return workspace;
            }
            for id in wanted.ids {
                workspace.know_contact(id, self.contacts.get(&id).cloned());
            }
            for key in wanted.keys {
                let holds =
                    |((id, held), active): (&(Uuid, UniqueKey), &bool)| (*active && *held == key).then_some(*id);
                let holder = self.keys.iter().find_map(holds);
                workspace.know_holder(key, holder);
            }
        }
    }

    fn store(&mut self, effects: &Effects, position: i64) {
        self.position = position;
        for (base, contact) in &effects.updated {
            let before = self.contacts.insert(contact.id, Contact::clone(contact)).expect("is there");
            assert_eq!(before.version, *base);
        }
        for contact in &effects.created {
            assert!(self.contacts.insert(contact.id, Contact::clone(contact)).is_none());
        }
        for (id, key) in &effects.keys_gone {
            assert!(self.keys.remove(&(*id, key.clone())).is_some(), "{key:?} is not there");
        }
        for (id, key, active) in &effects.keys_new {
            assert!(self.keys.insert((*id, key.clone()), *active).is_none(), "{key:?} is there");
        }
        for (id, last) in &effects.purged {
            assert_eq!(self.contacts.remove(id).expect("is there").position, *last);
            self.keys.retain(|(holder, _), _| holder != id);
        }
    }

    /// The keys are those of the contacts, and no two active ones share one.
    fn check_keys(&self, registry: &Registry) {
        let keys_of = |contact: &Contact| {
            let (id, active) = (contact.id, contact.archival.is_none());
            KeyChanges::of_new(&contact.values, registry).claimed.into_iter().map(move |key| ((id, key), active))
        };
        assert_eq!(self.keys, self.contacts.values().flat_map(keys_of).collect());
        let active: Vec<_> = self.keys.iter().filter(|(_, active)| **active).map(|((_, key), _)| key).collect();
        assert_eq!(active.iter().collect::<BTreeSet<_>>().len(), active.len());
    }
}

type Members = serde_json::Map<String, serde_json::Value>;

/// The contacts as a reader of the feed knows them: their values, and the place of their last change.
#[derive(Default)]
struct Reader {
    position: i64,
    contacts: BTreeMap<Uuid, (Members, i64)>,
}

impl Reader {
    fn read(&mut self, change: &Change) {
        assert_eq!(change.position, self.position + 1);
        self.position = change.position;
        if change.kind == ChangeKind::Created {
            assert!(self.contacts.insert(change.contact_id, (Members::new(), 0)).is_none());
        }
        let (values, last) = self.contacts.get_mut(&change.contact_id).expect("a contact that was created");
        assert_eq!(change.previous, std::mem::replace(last, change.position));
        let changed = serde_json::to_value(change.changed()).expect("serializes");
        for (field, pair) in changed.as_object().expect("an object") {
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

    /// What it knows of a contact is what there is.
    fn check(&self, contact: &Contact) {
        let (values, last) = &self.contacts[&contact.id];
        assert_eq!(*last, contact.position);
        let archived = [system::ARCHIVED, system::ARCHIVED_BY].map(|field| field.0.to_string());
        let told: Members = values.iter().filter(|(field, _)| !archived.contains(field)).map(own).collect();
        let value = |value: &Value| serde_json::to_value(value).expect("serializes");
        assert_eq!(told, contact.values.iter().map(|(field, set)| (field.0.to_string(), value(set))).collect());
        let is_archived = values.get(&archived[0]).is_some_and(serde_json::Value::is_string);
        assert_eq!(is_archived, contact.archival.is_some());
    }
}

fn own((name, value): (&String, &serde_json::Value)) -> (String, serde_json::Value) {
    (name.clone(), value.clone())
}

proptest! {
    #[test]
    fn the_changes_give_the_contacts(batches in prop::collection::vec(prop::collection::vec(step(), 1..8), 1..8)) {
        let (registry, actor) = (samples::registry(), Arc::from("tester"));
        let (mut stored, mut reader, mut created) = (Stored::default(), Reader::default(), vec![]);
        for steps in batches {
            let writes: Vec<_> = steps.iter().map(|step| step.write(&created, &registry)).collect();
            let mut workspace = stored.load(&writes, &registry);
            for write in &writes {
                let before = workspace.changes().len();
                let outcome = workspace.apply(write, Some(&actor), &registry);
                let made = &workspace.changes()[before..];
                prop_assert!(made.len() <= usize::from(outcome.is_ok()), "a refused write leaves no change");
                // Read at once: a purge empties what came before it.
                made.iter().for_each(|change| reader.read(change));
                created.extend(outcome.ok().filter(|written| written.created).map(|written| written.contact.id));
            }
            stored.store(&workspace.effects(&registry), workspace.position());
            stored.check_keys(&registry);
            prop_assert_eq!(reader.contacts.keys().collect::<Vec<_>>(), stored.contacts.keys().collect::<Vec<_>>());
            stored.contacts.values().for_each(|contact| reader.check(contact));
            let is_gone = |change: &&Change| !stored.contacts.contains_key(&change.contact_id);
            for change in workspace.changes().iter().filter(is_gone) {
                prop_assert_eq!(serde_json::to_string(&change.changed()).expect("serializes"), "{}");
            }
        }
    }
}
