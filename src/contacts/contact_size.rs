//! The limit of the size of a contact (`docs/api-reference.md#limits`).
//!
//! The size is the length of the compact JSON object `{internal_name: value}` of the contact's set writable fields, in
//! bytes of UTF-8, with each value as the API renders it. A write must not make a contact larger than
//! [`MAX_CONTACT_BYTES`], unless the contact was at least as large before.
//!
//! A write loads a contact with the custom fields that it needs, which may be a small part of them. What is not loaded
//! stays unchanged, so the loaded values alone tell whether the write makes the contact larger. To tell whether it
//! exceeds the limit, each contact has an upper bound of the size of the other values ([`Contact::unloaded_bytes`]).
//! The database stores the bound with the contact, so the document with the custom values is not read for it:
//!
//! - Most writes end here: the bound, the loaded values and the patch together are below the limit.
//! - Otherwise, the contact is loaded again with all custom fields (`incomplete_contacts.rs`), unless the
//!   write cannot make it larger. The check is then exact.
//!
//! The bound counts the longest possible name for each custom field, because it is stored, and not the name, which
//! depends on the account's registry. It also counts values of deleted fields until the contact is loaded completely.

use super::Contact;
use crate::fields::{FieldId, Issue, IssueCode, Registry, Value, Values};

/// The maximum size of a contact, in bytes.
pub const MAX_CONTACT_BYTES: usize = 262_144;
/// The maximum length of the internal name of a field.
const MAX_NAME_BYTES: usize = 63;

/// Returns the issue of a contact that would be too large.
#[must_use]
pub fn contact_too_large_issue() -> Issue {
    let message = format!("the values of a contact together can have at most {MAX_CONTACT_BYTES} bytes as JSON");
    Issue::new("fields", IssueCode::ContactTooLarge, message)
}

/// Returns the size of a member of a JSON object: `"name":value`, and the comma or brace after it.
fn member_bytes(name_bytes: usize, value: &Value) -> usize {
    name_bytes + r#""":,"#.len() + value.json_bytes()
}

/// Returns an upper bound of the size of these values.
pub(super) fn max_bytes<'a>(values: impl Iterator<Item = (FieldId, &'a Value)>) -> usize {
    values.map(|(_, value)| member_bytes(MAX_NAME_BYTES, value)).sum()
}

/// Returns the size of the values of the fields that the account has.
fn bytes_of(values: &Values, registry: &Registry) -> usize {
    let field_of = |(id, value)| registry.by_id(id).map(|field| (field, value));
    let members = values.iter().filter_map(field_of);
    "{".len() + members.map(|(field, value)| member_bytes(field.internal_name.len(), value)).sum::<usize>()
}

fn is_custom((field, _): &(FieldId, &Value)) -> bool {
    field.is_custom()
}

impl Contact {
    /// Returns this contact, loaded with some of its custom fields. `custom_bytes` is an upper bound of the size of all
    /// custom values; `None` if it is unknown.
    #[must_use]
    pub fn with_custom_bytes(self, custom_bytes: Option<usize>) -> Self {
        let loaded = max_bytes(self.values.iter().filter(is_custom));
        Self { unloaded_bytes: custom_bytes.map(|bytes| bytes.saturating_sub(loaded)), ..self }
    }

    /// Returns an upper bound of the size of all custom values; `None` if it is unknown.
    #[must_use]
    pub fn custom_bytes(&self) -> Option<usize> {
        Some(self.unloaded_bytes? + max_bytes(self.values.iter().filter(is_custom)))
    }

    /// Returns whether the contact is too large, and larger than `before`, the state that it replaces.
    pub(super) fn is_too_large(&self, before: Option<&Self>, registry: &Registry) -> bool {
        if self.max_bytes().is_some_and(|bytes| bytes < MAX_CONTACT_BYTES) {
            return false;
        }
        let size = bytes_of(&self.values, registry);
        let is_larger = before.is_none_or(|before| size > bytes_of(&before.values, registry));
        is_larger && self.unloaded_bytes.is_none_or(|unloaded| size + unloaded > MAX_CONTACT_BYTES)
    }

    /// Returns an upper bound of the size of the contact; `None` if it is unknown.
    pub(super) fn max_bytes(&self) -> Option<usize> {
        Some(self.unloaded_bytes? + "{".len() + max_bytes(self.values.iter()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contacts::ContactPatch;
    use crate::fields::registry_fixtures as fixtures;
    use crate::json::{self, Json};

    const SIZE: FieldId = FieldId(100);

    fn patch(fields: &str) -> ContactPatch {
        let fields = json::parse(fields.as_bytes()).ok().and_then(Json::into_object).expect("a JSON object");
        ContactPatch::parse(&fields, &fixtures::registry()).expect("valid fields")
    }

    #[test]
    fn size_is_the_length_of_the_json_object() {
        let values = r#"{"first_name": "\u0001\"Größe\" 😀", "tags": ["red", "blue"], "shoe_size": -1.5}"#;
        let contact = Contact::new(&patch(values));
        let json = r#"{"first_name":"\u0001\"Größe\" 😀","tags":["red","blue"],"shoe_size":-1.5}"#;
        assert_eq!(bytes_of(&contact.values, &fixtures::registry()), json.len());
    }

    #[test]
    fn bound_of_unloaded_values_decides_with_the_loaded_values() {
        let contact = Contact::new(&patch(r#"{"first_name": "A", "shoe_size": 38}"#));
        let registry = fixtures::registry();
        let stored = contact.clone().with_custom_bytes(Some(1_000));
        assert_eq!(stored.custom_bytes(), Some(1_000));
        let without_size = {
            let mut contact = stored.clone();
            contact.values.set(SIZE, None);
            contact.with_custom_bytes(Some(1_000))
        };
        assert_eq!(without_size.unloaded_bytes, Some(1_000));
        assert_eq!(
            stored.unloaded_bytes,
            Some(1_000 - member_bytes(MAX_NAME_BYTES, stored.values.get(SIZE).expect("set")))
        );
        let unloaded_bytes = Some(MAX_CONTACT_BYTES - bytes_of(&contact.values, &registry));
        let full = Contact { unloaded_bytes, ..contact };
        let next = |fields| full.patched(&patch(fields), &registry).expect("a change");
        assert!(!next(r#"{"first_name": "B"}"#).is_too_large(Some(&full), &registry));
        assert!(next(r#"{"first_name": "BB"}"#).is_too_large(Some(&full), &registry));
    }
}
