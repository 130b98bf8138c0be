//! The contract as a few lines: what contacts there are, and what each call does to them. Simple enough to be right.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// The fields that calls write, and whether they are unique.
pub const FIELDS: [(&str, bool); 6] = [
    ("first_name", false),
    ("email", true),
    ("external_id", true),
    ("job_title", false),
    ("score", false),
    ("badge", true),
];
/// A new contact needs one of these.
const IDENTIFYING: [&str; 3] = ["email", "first_name", "last_name"];
/// What answers have to show for that.
pub const PROPERTIES: &str = "job_title,score,badge";

/// A contact of an account, by the number of its creation. No two accounts share one.
pub type Number = usize;

/// What a call is about.
#[derive(Debug, Clone)]
pub enum Target {
    /// A contact, perhaps another account's, or one that is gone.
    Contact(Number),
    /// Whoever holds this `external_id`.
    Key(String),
}

#[derive(Debug, Clone)]
pub enum Call {
    Create(Map<String, Value>),
    Get(Target),
    Patch(Target, Map<String, Value>),
    Put(String, Map<String, Value>),
    Archive(Target),
    Restore(Number),
    Purge(Number),
}

impl Call {
    /// The number of the contact that it is about, if it names one by that.
    pub fn number(&mut self) -> Option<&mut Number> {
        match self {
            Self::Get(Target::Contact(number))
            | Self::Patch(Target::Contact(number), _)
            | Self::Archive(Target::Contact(number))
            | Self::Restore(number)
            | Self::Purge(number) => Some(number),
            _ => None,
        }
    }
}

/// What a call has to be answered.
#[derive(Debug, PartialEq)]
pub enum Expected {
    /// A contact as it is now.
    Contact { status: u16, number: Number, is_changed: bool },
    /// Nothing: the contact is gone.
    Gone,
    /// An error, and the fields that its details name.
    Refused { status: u16, code: &'static str, fields: Vec<&'static str> },
}

#[derive(Debug, Clone, Default)]
pub struct Contact {
    pub account: usize,
    /// The values that are set.
    pub values: BTreeMap<&'static str, Value>,
    pub is_archived: bool,
}

/// All contacts of all accounts.
#[derive(Debug, Default)]
pub struct Model {
    pub contacts: BTreeMap<Number, Contact>,
    /// How many were ever created.
    pub created: Number,
}

impl Model {
    /// Does what an account calls for.
    pub fn apply(&mut self, account: usize, call: &Call) -> Expected {
        match call {
            Call::Create(fields) => match draft(fields, None) {
                Ok(values) => self.create(account, values),
                // Both kinds of fault are of one stage: all are named.
                Err(Expected::Refused { status, code, fields: wrong }) => {
                    let is_named = |name| fields.get(name).is_some_and(|value| !value.is_null() && value != "");
                    let lacking = if is_named("email") || is_named("first_name") { &[][..] } else { &IDENTIFYING };
                    refused(status, code, wrong.into_iter().chain(lacking.iter().copied()))
                }
                Err(other) => other,
            },
            Call::Get(target) => match self.find(account, target) {
                Some(number) => Expected::Contact { status: 200, number, is_changed: false },
                None => not_found(),
            },
            Call::Patch(target, fields) => match (draft(fields, None), self.find(account, target)) {
                (Err(refused), _) => refused,
                (_, None) => not_found(),
                (Ok(values), Some(number)) => self.update(number, values),
            },
            Call::Put(key, fields) => match (draft(fields, Some(key)), self.find(account, &Target::Key(key.clone()))) {
                (Err(refused), _) => refused,
                (Ok(values), Some(number)) => self.update(number, values),
                (Ok(mut values), None) => {
                    values.insert("external_id", json!(key));
                    self.create(account, values)
                }
            },
            Call::Archive(target) => match self.active(account, target) {
                Some(number) => self.set_archived(number, true),
                None => not_found(),
            },
            Call::Restore(number) => self.restore(account, *number),
            Call::Purge(number) => match self.find(account, &Target::Contact(*number)) {
                Some(number) => {
                    self.contacts.remove(&number);
                    Expected::Gone
                }
                None => not_found(),
            },
        }
    }

    fn find(&self, account: usize, target: &Target) -> Option<Number> {
        match target {
            Target::Contact(number) => {
                self.contacts.get(number).filter(|contact| contact.account == account).map(|_| *number)
            }
            Target::Key(key) => {
                let holds = |contact: &Contact| contact.values.get("external_id") == Some(&json!(key));
                let mut active =
                    self.contacts.iter().filter(|(_, contact)| contact.account == account && !contact.is_archived);
                active.find(|(_, contact)| holds(contact)).map(|(number, _)| *number)
            }
        }
    }

    fn active(&self, account: usize, target: &Target) -> Option<Number> {
        self.find(account, target).filter(|number| !self.contacts[number].is_archived)
    }

    fn create(&mut self, account: usize, values: BTreeMap<&'static str, Value>) -> Expected {
        let values: BTreeMap<_, _> = values.into_iter().filter(|(_, value)| !value.is_null()).collect();
        if !values.contains_key("email") && !values.contains_key("first_name") {
            return refused(400, "validation_failed", IDENTIFYING);
        }
        let contact = Contact { account, values, is_archived: false };
        let taken = self.taken(usize::MAX, &contact);
        if !taken.is_empty() {
            return refused(409, "duplicate_contact", taken);
        }
        let number = self.created;
        self.created += 1;
        self.contacts.insert(number, contact);
        Expected::Contact { status: 201, number, is_changed: true }
    }

    fn update(&mut self, number: Number, values: BTreeMap<&'static str, Value>) -> Expected {
        let before = self.contacts[&number].clone();
        if before.is_archived {
            return refused(409, "contact_archived", []);
        }
        let mut after = before.clone();
        for (name, value) in values {
            if value.is_null() {
                after.values.remove(name);
            } else {
                after.values.insert(name, value);
            }
        }
        let taken = self.taken(number, &after);
        if !taken.is_empty() {
            return refused(409, "duplicate_contact", taken);
        }
        let is_changed = before.values != after.values;
        self.contacts.insert(number, after);
        Expected::Contact { status: 200, number, is_changed }
    }

    fn restore(&mut self, account: usize, number: Number) -> Expected {
        let Some(number) = self.find(account, &Target::Contact(number)) else { return not_found() };
        let contact = &self.contacts[&number];
        if !contact.is_archived {
            return Expected::Contact { status: 200, number, is_changed: false };
        }
        let taken = self.taken(number, contact);
        if taken.is_empty() { self.set_archived(number, false) } else { refused(409, "duplicate_contact", taken) }
    }

    fn set_archived(&mut self, number: Number, is_archived: bool) -> Expected {
        self.contacts.entry(number).and_modify(|contact| contact.is_archived = is_archived);
        Expected::Contact { status: 200, number, is_changed: true }
    }

    /// The unique fields whose value another active contact of the account holds.
    fn taken(&self, number: Number, contact: &Contact) -> Vec<&'static str> {
        let key = |contact: &Contact, name| contact.values.get(name).map(|value| folded(name, value));
        let others = self
            .contacts
            .iter()
            .filter(|(other, held)| **other != number && held.account == contact.account && !held.is_archived);
        let others: Vec<_> = others.map(|(_, held)| held).collect();
        let is_taken =
            |name| key(contact, name).is_some_and(|own| others.iter().any(|held| key(held, name) == Some(own.clone())));
        FIELDS.iter().filter(|(name, unique)| *unique && is_taken(name)).map(|(name, _)| *name).collect()
    }
}

/// A value as it is compared with others.
fn folded(name: &str, value: &Value) -> Value {
    if name == "email" { json!(value.as_str().unwrap().to_ascii_lowercase()) } else { value.clone() }
}

/// The values that a body sets and clears (null), or why it is refused. `key` is the `external_id` in the path.
fn draft(fields: &Map<String, Value>, key: Option<&str>) -> Result<BTreeMap<&'static str, Value>, Expected> {
    let mut values = BTreeMap::new();
    let mut wrong = vec![];
    for (name, _) in FIELDS {
        let Some(value) = fields.get(name) else { continue };
        let value = if value == "" && name != "score" { Value::Null } else { value.clone() };
        let has_type = value.is_null() || if name == "score" { value.is_number() } else { value.is_string() };
        let fits_path = name != "external_id" || key.is_none_or(|key| value == key);
        if has_type && fits_path {
            values.insert(name, value);
        } else {
            wrong.push(name);
        }
    }
    if wrong.is_empty() { Ok(values) } else { Err(refused(400, "validation_failed", wrong)) }
}

fn not_found() -> Expected {
    refused(404, "not_found", [])
}

fn refused(status: u16, code: &'static str, fields: impl IntoIterator<Item = &'static str>) -> Expected {
    let mut fields: Vec<_> = fields.into_iter().collect();
    fields.sort_unstable();
    Expected::Refused { status, code, fields }
}
