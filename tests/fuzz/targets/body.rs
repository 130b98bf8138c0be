//! The body of a write: what is taken of it is stored, shown and sent again as the same.

use contacts::contacts::{Contact, Draft, Upsert};
use contacts::fields::{Issue, Selection, Value};
use contacts::json::{self, Json, JsonError, Object};

use super::account::REGISTRY;
use super::expect_told;

/// `{"fields": {…}}`, or the inner object alone.
pub fn body(bytes: &[u8]) {
    let parsed = json::parse(bytes);
    expect_same_as_serde(bytes, &parsed);
    let Some(mut members) = parsed.ok().and_then(Json::into_object) else { return };
    match members.iter().position(|(name, value)| name == "fields" && matches!(value, Json::Object(_))) {
        Some(fields) => read(&members.swap_remove(fields).1.into_object().unwrap()),
        None => read(&members),
    }
}

/// Strict is stricter: what we take, others take as the same, and nothing but what is ambiguous is refused besides.
fn expect_same_as_serde(bytes: &[u8], ours: &Result<Json<'_>, JsonError>) {
    let theirs = serde_json::from_slice::<serde_json::Value>(bytes);
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => assert_eq!(as_serde(ours), Some(theirs)),
        // It has no place for such numbers.
        (Ok(_), Err(error)) => assert!(error.to_string().starts_with("number out of range"), "{error}"),
        (Err(JsonError::DuplicateKey(_) | JsonError::TooDeep), _) => {}
        (Err(error), theirs) => assert!(theirs.is_err(), "{error}"),
    }
}

fn as_serde(json: &Json<'_>) -> Option<serde_json::Value> {
    Some(match json {
        Json::Null => serde_json::Value::Null,
        Json::Bool(flag) => (*flag).into(),
        Json::Number(digits) => serde_json::from_str(digits).ok()?,
        Json::String(text) => (**text).into(),
        Json::Array(items) => items.iter().map(as_serde).collect::<Option<Vec<_>>>()?.into(),
        Json::Object(members) => {
            let members = members.iter().map(|(name, value)| Some((name.clone().into_owned(), as_serde(value)?)));
            serde_json::Value::Object(members.collect::<Option<_>>()?)
        }
    })
}

fn read(fields: &Object<'_>) {
    let (change, new) = (Draft::parse(fields, &REGISTRY), Draft::parse_new(fields, &REGISTRY));
    match (&change, new) {
        (Ok(change), Ok(new)) => assert!(new == *change && new.identifies()),
        (Ok(change), Err(issues)) => assert!(!change.identifies() && issues.len() == 3, "{issues:?}"),
        (Err(issues), Err(of_new)) => assert!(of_new.starts_with(issues)),
        (Err(issues), Ok(_)) => panic!("a new contact may hold what no change may: {issues:?}"),
    }
    expect_same_as_upserts(fields, &change);
    match change {
        Ok(draft) => expect_kept(&draft),
        Err(issues) => expect_named(&issues, fields),
    }
}

/// Each key that is refused is named once, in the order sent.
fn expect_named(issues: &[Issue], fields: &Object<'_>) {
    expect_told(issues);
    let mut names = fields.iter().map(|(name, _)| &**name);
    for issue in issues {
        assert!(names.any(|name| name == issue.field), "{issue:?}");
    }
}

/// Who names a contact by a value may send that value along.
fn expect_same_as_upserts(fields: &Object<'_>, change: &Result<Draft, Vec<Issue>>) {
    for property in REGISTRY.unique_fields() {
        let sent = fields.iter().find(|(name, _)| *name == property.internal_name);
        let Some(Ok(Some(named))) = sent.map(|(_, json)| property.parse(json)) else { continue };
        let upsert = Upsert::parse(property, Ok(named), fields, &REGISTRY);
        assert_eq!(upsert.map(|upsert| upsert.draft).as_ref(), change.as_ref());
    }
}

/// What was taken is there: in the database, in answers, and when an answer is sent back.
fn expect_kept(draft: &Draft) {
    let contact = Contact::new(draft);
    assert_eq!(contact.patched(draft, &REGISTRY), None);
    for (_, value) in contact.values.iter() {
        let stored = serde_json::to_string(value).unwrap();
        assert_eq!(json::parse(stored.as_bytes()).ok().and_then(Value::from_stored).as_ref(), Some(value));
        assert!(value.as_text().is_none_or(|text| !text.contains('\0')), "PostgreSQL has no place for {stored}");
    }
    for key in draft.keys(&REGISTRY) {
        assert!((1..=255).contains(&key.key.chars().count()), "{key:?}");
    }
    let shown = serde_json::to_vec(&contact.show(&Selection::all(&REGISTRY))).unwrap();
    let mut shown = super::object(&shown).expect("an answer is strict JSON");
    shown.retain(|(name, _)| REGISTRY.get(name).unwrap().writable);
    let sent_back = Draft::parse(&shown, &REGISTRY).expect("an answer can be sent back");
    assert_eq!(Contact::new(&sent_back).values, contact.values);
    assert_eq!(contact.patched(&sent_back, &REGISTRY), None);
}
