//! The body of a write. Accepted values are stored, returned and accepted again unchanged.

use contacts::contacts::{Contact, ContactPatch, Upsert};
use contacts::fields::{Issue, Issues, Selection, Value};
use contacts::json::{self, Json, JsonError, Object};

use super::account::REGISTRY;
use super::expect_complete_issues;

/// Parses `{"fields": {…}}`, or the inner object alone.
pub fn body(bytes: &[u8]) {
    let parsed = json::parse(bytes);
    expect_same_as_serde(bytes, &parsed);
    let Some(mut members) = parsed.ok().and_then(Json::into_object) else { return };
    match members.iter().position(|(name, value)| name == "fields" && matches!(value, Json::Object(_))) {
        Some(fields) => check_fields(&members.swap_remove(fields).1.into_object().unwrap()),
        None => check_fields(&members),
    }
}

/// Compares the parser with serde_json. Input that this parser accepts has the same value in serde_json. This parser
/// rejects only duplicate keys and deep nesting in addition.
fn expect_same_as_serde(bytes: &[u8], parsed: &Result<Json<'_>, JsonError>) {
    let expected = serde_json::from_slice::<serde_json::Value>(bytes);
    match (parsed, expected) {
        (Ok(parsed), Ok(expected)) => assert_eq!(to_serde_value(parsed), Some(expected)),
        // serde_json cannot represent such numbers.
        (Ok(_), Err(error)) => assert!(error.to_string().starts_with("number out of range"), "{error}"),
        (Err(JsonError::DuplicateKey(_) | JsonError::TooDeep), _) => {}
        (Err(error), expected) => assert!(expected.is_err(), "{error}"),
    }
}

fn to_serde_value(json: &Json<'_>) -> Option<serde_json::Value> {
    Some(match json {
        Json::Null => serde_json::Value::Null,
        Json::Bool(flag) => (*flag).into(),
        Json::Number(digits) => serde_json::from_str(digits).ok()?,
        Json::String(text) => (**text).into(),
        Json::Array(items) => items.iter().map(to_serde_value).collect::<Option<Vec<_>>>()?.into(),
        Json::Object(members) => {
            let members = members.iter().map(|(name, value)| Some((name.clone().into_owned(), to_serde_value(value)?)));
            serde_json::Value::Object(members.collect::<Option<_>>()?)
        }
    })
}

fn check_fields(fields: &Object<'_>) {
    let (change, new) = (ContactPatch::parse(fields, &REGISTRY), ContactPatch::parse_new(fields, &REGISTRY));
    match (&change, new) {
        (Ok(change), Ok(new)) => assert!(new == *change && new.has_identity()),
        (Ok(change), Err(issues)) => assert!(!change.has_identity() && issues.len() == 3, "{issues:?}"),
        (Err(issues), Err(for_new)) => assert!(for_new.starts_with(issues)),
        (Err(issues), Ok(_)) => panic!("a creation accepts values that an update rejects: {issues:?}"),
    }
    expect_same_as_upserts(fields, &change);
    match change {
        Ok(patch) => expect_round_trip(&patch),
        Err(issues) => expect_issues_in_order(&issues, fields),
    }
}

/// Checks that the issues name each rejected key once, in the order of the body.
fn expect_issues_in_order(issues: &[Issue], fields: &Object<'_>) {
    expect_complete_issues(issues);
    let mut names = fields.iter().map(|(name, _)| &**name);
    for issue in issues {
        assert!(names.any(|name| name == issue.field), "{issue:?}");
    }
}

/// Checks that an upsert by a unique property also accepts the same value in the body.
fn expect_same_as_upserts(fields: &Object<'_>, change: &Result<ContactPatch, Issues>) {
    for property in REGISTRY.unique_fields() {
        let sent = fields.iter().find(|(name, _)| *name == property.internal_name);
        let Some(Ok(Some(named))) = sent.map(|(_, json)| property.parse(json)) else { continue };
        let upsert = Upsert::parse(property, Ok(named), fields, &REGISTRY);
        assert_eq!(upsert.map(|upsert| upsert.patch).as_ref(), change.as_ref());
    }
}

/// Checks that accepted values survive storage, and that a response with them is accepted as a body again.
fn expect_round_trip(patch: &ContactPatch) {
    let contact = Contact::new(patch);
    assert_eq!(contact.patched(patch, &REGISTRY), None);
    for (_, value) in contact.values.iter() {
        let stored = serde_json::to_string(value).unwrap();
        assert_eq!(json::parse(stored.as_bytes()).ok().and_then(Value::from_stored).as_ref(), Some(value));
        assert!(value.as_text().is_none_or(|text| !text.contains('\0')), "PostgreSQL cannot store {stored}");
    }
    for key in patch.unique_keys(&REGISTRY) {
        assert!((1..=255).contains(&key.key.chars().count()), "{key:?}");
    }
    let returned = serde_json::to_vec(&contact.render(&Selection::all(&REGISTRY))).unwrap();
    let mut returned = super::parse_object(&returned).expect("a response is strict JSON");
    returned.retain(|(name, _)| REGISTRY.get(name).unwrap().writable);
    let sent_back = ContactPatch::parse(&returned, &REGISTRY).expect("a response is valid as a body");
    assert_eq!(Contact::new(&sent_back).values, contact.values);
    assert_eq!(contact.patched(&sent_back, &REGISTRY), None);
}
