//! A model of the API: the contacts that exist, and the effect of each call on them.
//!
//! The model is simple, so that its correctness is evident.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// The fields that calls write, and whether each is unique.
pub const FIELDS: [(&str, bool); 6] = [
    ("first_name", false),
    ("email", true),
    ("external_id", true),
    ("job_title", false),
    ("score", false),
    ("badge", true),
];
/// A new contact needs at least one of these fields.
const IDENTIFYING: [&str; 3] = ["email", "first_name", "last_name"];
/// The value of `properties` that makes responses contain all of [`FIELDS`].
pub const PROPERTIES: &str = "job_title,score,badge";

/// The number of a contact, in the order of creation across all accounts.
pub type ContactNumber = usize;

/// The contact that a call addresses.
#[derive(Debug, Clone)]
pub enum Target {
    /// A contact by its number. It may be purged or belong to another account.
    Contact(ContactNumber),
    /// The active contact with this `external_id`.
    Key(String),
}

/// A call of the API.
#[derive(Debug, Clone)]
pub enum Call {
    Create(Map<String, Value>),
    Get(Target),
    Patch(Target, Map<String, Value>),
    Put(String, Map<String, Value>),
    Archive(Target),
    Restore(ContactNumber),
    Purge(ContactNumber),
}

impl Call {
    /// Returns the number of the addressed contact, if the call addresses it by number.
    pub fn number(&mut self) -> Option<&mut ContactNumber> {
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

/// The response that the model expects.
#[derive(Debug, PartialEq)]
pub enum ExpectedResponse {
    /// The contact in its current state.
    Contact { status: u16, number: ContactNumber, is_changed: bool },
    /// No content: the contact has been purged.
    Purged,
    /// An error, with the fields that its details name.
    Error { status: u16, code: &'static str, fields: Vec<&'static str> },
}

/// A contact of the model.
#[derive(Debug, Clone, Default)]
pub struct Contact {
    pub account: usize,
    /// The values that are not null.
    pub values: BTreeMap<&'static str, Value>,
    pub is_archived: bool,
}

/// All contacts of all accounts.
#[derive(Debug, Default)]
pub struct Model {
    pub contacts: BTreeMap<ContactNumber, Contact>,
    /// The number of contacts ever created.
    pub created: ContactNumber,
}

impl Model {
    /// Applies a call of an account and returns the expected response.
    pub fn apply(&mut self, account: usize, call: &Call) -> ExpectedResponse {
        match call {
            Call::Create(fields) => match parse_fields(fields, None) {
                Ok(values) => self.create(account, values),
                // Invalid values and missing required fields belong to the same check, so the error names both.
                Err(ExpectedResponse::Error { status, code, fields: wrong }) => {
                    let is_named = |name| fields.get(name).is_some_and(|value| !value.is_null() && value != "");
                    let missing = if is_named("email") || is_named("first_name") { &[][..] } else { &IDENTIFYING };
                    error_response(status, code, wrong.into_iter().chain(missing.iter().copied()))
                }
                Err(other) => other,
            },
            Call::Get(target) => match self.find(account, target) {
                Some(number) => ExpectedResponse::Contact { status: 200, number, is_changed: false },
                None => not_found(),
            },
            Call::Patch(target, fields) => match (parse_fields(fields, None), self.find(account, target)) {
                (Err(refused), _) => refused,
                (_, None) => not_found(),
                (Ok(values), Some(number)) => self.update(number, values),
            },
            Call::Put(key, fields) => {
                match (parse_fields(fields, Some(key)), self.find(account, &Target::Key(key.clone()))) {
                    (Err(refused), _) => refused,
                    (Ok(values), Some(number)) => self.update(number, values),
                    (Ok(mut values), None) => {
                        values.insert("external_id", json!(key));
                        self.create(account, values)
                    }
                }
            }
            Call::Archive(target) => match self.active(account, target) {
                Some(number) => self.set_archived(number, true),
                None => not_found(),
            },
            Call::Restore(number) => self.restore(account, *number),
            Call::Purge(number) => match self.find(account, &Target::Contact(*number)) {
                Some(number) => {
                    self.contacts.remove(&number);
                    ExpectedResponse::Purged
                }
                None => not_found(),
            },
        }
    }

    fn find(&self, account: usize, target: &Target) -> Option<ContactNumber> {
        match target {
            Target::Contact(number) => {
                self.contacts.get(number).filter(|contact| contact.account == account).map(|_| *number)
            }
            Target::Key(key) => {
                let has_key = |contact: &Contact| contact.values.get("external_id") == Some(&json!(key));
                let mut active =
                    self.contacts.iter().filter(|(_, contact)| contact.account == account && !contact.is_archived);
                active.find(|(_, contact)| has_key(contact)).map(|(number, _)| *number)
            }
        }
    }

    fn active(&self, account: usize, target: &Target) -> Option<ContactNumber> {
        self.find(account, target).filter(|number| !self.contacts[number].is_archived)
    }

    fn create(&mut self, account: usize, values: BTreeMap<&'static str, Value>) -> ExpectedResponse {
        let values: BTreeMap<_, _> = values.into_iter().filter(|(_, value)| !value.is_null()).collect();
        if !values.contains_key("email") && !values.contains_key("first_name") {
            return error_response(400, "validation_failed", IDENTIFYING);
        }
        let contact = Contact { account, values, is_archived: false };
        let taken = self.taken_fields(usize::MAX, &contact);
        if !taken.is_empty() {
            return error_response(409, "duplicate_contact", taken);
        }
        let number = self.created;
        self.created += 1;
        self.contacts.insert(number, contact);
        ExpectedResponse::Contact { status: 201, number, is_changed: true }
    }

    fn update(&mut self, number: ContactNumber, values: BTreeMap<&'static str, Value>) -> ExpectedResponse {
        let before = self.contacts[&number].clone();
        if before.is_archived {
            return error_response(409, "contact_archived", []);
        }
        let mut after = before.clone();
        for (name, value) in values {
            if value.is_null() {
                after.values.remove(name);
            } else {
                after.values.insert(name, value);
            }
        }
        let taken = self.taken_fields(number, &after);
        if !taken.is_empty() {
            return error_response(409, "duplicate_contact", taken);
        }
        let is_changed = before.values != after.values;
        self.contacts.insert(number, after);
        ExpectedResponse::Contact { status: 200, number, is_changed }
    }

    fn restore(&mut self, account: usize, number: ContactNumber) -> ExpectedResponse {
        let Some(number) = self.find(account, &Target::Contact(number)) else { return not_found() };
        let contact = &self.contacts[&number];
        if !contact.is_archived {
            return ExpectedResponse::Contact { status: 200, number, is_changed: false };
        }
        let taken = self.taken_fields(number, contact);
        if taken.is_empty() {
            self.set_archived(number, false)
        } else {
            error_response(409, "duplicate_contact", taken)
        }
    }

    fn set_archived(&mut self, number: ContactNumber, is_archived: bool) -> ExpectedResponse {
        self.contacts.entry(number).and_modify(|contact| contact.is_archived = is_archived);
        ExpectedResponse::Contact { status: 200, number, is_changed: true }
    }

    /// Returns the unique fields whose value another active contact of the account holds.
    fn taken_fields(&self, number: ContactNumber, contact: &Contact) -> Vec<&'static str> {
        let key = |contact: &Contact, name| contact.values.get(name).map(|value| normalized(name, value));
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

/// Returns a value in the form in which unique values are compared: emails in lower case.
fn normalized(name: &str, value: &Value) -> Value {
    if name == "email" { json!(value.as_str().unwrap().to_ascii_lowercase()) } else { value.clone() }
}

/// Returns the values that a body sets, with null for each value that it clears. `key` is the `external_id` in the
/// path.
///
/// # Errors
///
/// The expected error response if a value is invalid.
fn parse_fields(
    fields: &Map<String, Value>,
    key: Option<&str>,
) -> Result<BTreeMap<&'static str, Value>, ExpectedResponse> {
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
    if wrong.is_empty() { Ok(values) } else { Err(error_response(400, "validation_failed", wrong)) }
}

fn not_found() -> ExpectedResponse {
    error_response(404, "not_found", [])
}

fn error_response(status: u16, code: &'static str, fields: impl IntoIterator<Item = &'static str>) -> ExpectedResponse {
    let mut fields: Vec<_> = fields.into_iter().collect();
    fields.sort_unstable();
    ExpectedResponse::Error { status, code, fields }
}
