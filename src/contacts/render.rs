//! A contact as answers show it: one flat object (contract §1, §5).

use std::sync::Arc;

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::Contact;
use crate::fields::{Field, Kind, Selection, Value, format_instant, system};

/// A contact with the fields that an answer shows of it. Serializes to the flat object.
#[derive(Debug)]
pub struct Shown<'a> {
    contact: &'a Contact,
    selection: &'a Selection,
    has_id: bool,
}

impl Contact {
    /// This contact as an answer with `selection` shows it.
    #[must_use]
    pub fn show<'a>(&'a self, selection: &'a Selection) -> Shown<'a> {
        Shown { contact: self, selection, has_id: true }
    }

    /// The same for one that is not really created, and so has no id (contract §6, dry run).
    #[must_use]
    pub fn show_without_id<'a>(&'a self, selection: &'a Selection) -> Shown<'a> {
        Shown { has_id: false, ..self.show(selection) }
    }
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let extra = self.selection.extra();
        // An archived contact always says by whom.
        let is_due =
            |field: &&Arc<Field>| field.default || (field.id == system::ARCHIVED_BY && self.contact.archival.is_some());
        let is_shown = |field: &&Arc<Field>| !is_due(field);
        let mut map = serializer.serialize_map(None)?;
        for field in system::all().iter().filter(is_due).chain(extra.iter().filter(is_shown)) {
            map.serialize_key(&field.internal_name)?;
            if field.id == system::ID && !self.has_id {
                map.serialize_value(&())?;
            } else {
                map.serialize_value(&Shape { contact: self.contact, field })?;
            }
        }
        map.end()
    }
}

/// One field of a contact.
struct Shape<'a> {
    contact: &'a Contact,
    field: &'a Field,
}

impl Serialize for Shape<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { contact, field } = self;
        match field.id {
            system::ID => contact.id.serialize(serializer),
            system::CREATED_AT => serializer.serialize_str(&format_instant(contact.created_at)),
            system::UPDATED_AT => serializer.serialize_str(&format_instant(contact.updated_at)),
            system::ARCHIVED => match &contact.archival {
                Some(archival) => serializer.serialize_str(&format_instant(archival.at)),
                None => serializer.serialize_bool(false),
            },
            system::ARCHIVED_BY => {
                contact.archival.as_ref().and_then(|archival| archival.by.as_deref()).serialize(serializer)
            }
            id => ShownValue { field, value: contact.values.get(id) }.serialize(serializer),
        }
    }
}

/// A value of a field as answers show it; `null` when it is unset.
#[derive(Debug)]
pub(super) struct ShownValue<'a> {
    pub(super) field: &'a Field,
    pub(super) value: Option<&'a Value>,
}

impl Serialize for ShownValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Some(Value::Options(chosen)) if self.field.kind == Kind::MultiSelect => {
                self.field.in_option_order(chosen).serialize(serializer)
            }
            value => value.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;
    use crate::contacts::Archival;
    use crate::fields::{FieldId, Values, registry_samples as samples};

    fn contact() -> Contact {
        let mut values = Values::default();
        values.set(system::EMAIL, Some(Value::Text("ada@example.com".into())));
        values.set(FieldId(101), Some(Value::Options(vec!["blue".into(), "red".into()])));
        let at = DateTime::from_timestamp_millis(1_777_629_600_007).expect("a time");
        Contact { id: Uuid::nil(), version: 1, position: 0, values, archival: None, created_at: at, updated_at: at }
    }

    fn shown(contact: &Contact, properties: &str) -> String {
        let selection = Selection::parse(properties.split(','), &samples::registry()).expect("known names");
        serde_json::to_string(&contact.show(&selection)).expect("serializes")
    }

    #[test]
    fn shows_the_default_fields_flat_and_unset_ones_as_null() {
        assert_eq!(
            shown(&contact(), ""),
            r#"{"id":"00000000-0000-0000-0000-000000000000","first_name":null,"last_name":null,"email":"ada@example.com","contact_owner":null,"external_id":null,"archived":false,"created_at":"2026-05-01T10:00:00.007Z","updated_at":"2026-05-01T10:00:00.007Z"}"#
        );
    }

    #[test]
    fn adds_selected_fields_with_options_in_option_order() {
        let json = shown(&contact(), "tags,shoe_size,archived_by");
        assert!(json.ends_with(r#","tags":["red","blue"],"shoe_size":null,"archived_by":null}"#), "{json}");
    }

    #[test]
    fn says_when_and_by_whom_an_archived_contact_was_archived() {
        let archival = Archival { at: contact().created_at, by: Some("u1".into()) };
        let json = shown(&Contact { archival: Some(archival), ..contact() }, "archived_by");
        assert!(json.contains(r#""archived":"2026-05-01T10:00:00.007Z""#), "{json}");
        assert!(json.ends_with(r#""archived_by":"u1"}"#), "{json}");
    }
}
