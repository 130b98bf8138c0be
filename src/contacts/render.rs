//! Renders a contact for a response: one flat object (`docs/api-reference.md#contacts`).

use std::sync::{Arc, LazyLock};

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::Contact;
use super::contact_size::MAX_CONTACT_BYTES;
use crate::fields::{Field, Selection, Value, format_instant, system};

/// A contact with the fields that a response contains. Serializes to the flat object.
#[derive(Debug)]
pub struct RenderedContact<'a> {
    contact: &'a Contact,
    selection: &'a Selection,
    has_id: bool,
}

impl Contact {
    /// Renders this contact with the default fields and `selection`.
    #[must_use]
    pub fn render<'a>(&'a self, selection: &'a Selection) -> RenderedContact<'a> {
        RenderedContact { contact: self, selection, has_id: true }
    }

    /// Renders this contact with `id: null`, for a dry run that creates no contact (`docs/api-reference.md#dry-run`).
    #[must_use]
    pub fn render_without_id<'a>(&'a self, selection: &'a Selection) -> RenderedContact<'a> {
        RenderedContact { has_id: false, ..self.render(selection) }
    }
}

/// Returns an upper bound of the size of a contact that is rendered with `selection`, in bytes of JSON. Only a contact
/// that was stored before the limit for contacts existed can be larger.
#[must_use]
pub fn max_rendered_bytes(selection: &Selection) -> usize {
    static DEFAULT: LazyLock<(usize, usize)> =
        LazyLock::new(|| max_bytes(system::all().iter().filter(|field| field.default)));
    let (names, values) = max_bytes(selection.extra().iter());
    // The limit counts the values of writable fields. The others are short.
    DEFAULT.0 + names + (DEFAULT.1 + values).min(MAX_CONTACT_BYTES)
}

/// Returns upper bounds of the sizes of the names and of the values of fields.
fn max_bytes<'a>(fields: impl Iterator<Item = &'a Arc<Field>>) -> (usize, usize) {
    fields.fold((0, 0), |(names, values), field| {
        (names + field.internal_name.len() + r#""":null,"#.len(), values + field.max_json_bytes())
    })
}

impl Serialize for RenderedContact<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let extra = self.selection.extra();
        // `archived_by` is a default field of archived contacts.
        let is_default =
            |field: &&Arc<Field>| field.default || (field.id == system::ARCHIVED_BY && self.contact.archival.is_some());
        let is_extra = |field: &&Arc<Field>| !is_default(field);
        let mut map = serializer.serialize_map(None)?;
        for field in system::all().iter().filter(is_default).chain(extra.iter().filter(is_extra)) {
            map.serialize_key(&field.internal_name)?;
            if field.id == system::ID && !self.has_id {
                map.serialize_value(&())?;
            } else {
                map.serialize_value(&RenderedField { contact: self.contact, field })?;
            }
        }
        map.end()
    }
}

/// Some fields of a contact in a response. Serializes to an object.
#[derive(Debug)]
pub(super) struct RenderedFields<'a> {
    pub(super) contact: &'a Contact,
    pub(super) fields: &'a [Arc<Field>],
}

impl Serialize for RenderedFields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = self.fields.iter();
        serializer
            .collect_map(fields.map(|field| (&field.internal_name, RenderedField { contact: self.contact, field })))
    }
}

/// One field of a contact in a response.
struct RenderedField<'a> {
    contact: &'a Contact,
    field: &'a Field,
}

impl Serialize for RenderedField<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { contact, field } = self;
        match field.id {
            system::ID => contact.id.serialize(serializer),
            system::CREATED_AT => serializer.serialize_str(&format_instant(contact.created_at)),
            system::UPDATED_AT => serializer.serialize_str(&format_instant(contact.updated_at)),
            system::VERSION => contact.version.serialize(serializer),
            system::ARCHIVED => match &contact.archival {
                Some(archival) => serializer.serialize_str(&format_instant(archival.at)),
                None => serializer.serialize_bool(false),
            },
            system::ARCHIVED_BY => {
                contact.archival.as_ref().and_then(|archival| archival.by.as_deref()).serialize(serializer)
            }
            id => RenderedValue { field, value: contact.values.get(id) }.serialize(serializer),
        }
    }
}

/// A value of a field in a response; `null` if the field is unset.
#[derive(Debug)]
pub(super) struct RenderedValue<'a> {
    pub(super) field: &'a Field,
    pub(super) value: Option<&'a Value>,
}

impl Serialize for RenderedValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Some(value) if !self.field.kind.has_values_like(value) => {
                tracing::error!(field = self.field.id.0, "a stored value does not have the type of its field");
                serializer.serialize_none()
            }
            Some(Value::Options(chosen)) => self.field.in_option_order(chosen).serialize(serializer),
            value => value.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;
    use crate::contacts::{Archival, ContactPatch};
    use crate::fields::{FieldId, Kind, Values, registry_fixtures as fixtures};

    fn contact() -> Contact {
        let mut values = Values::default();
        values.set(system::EMAIL, Some(Value::Text("ada@example.com".into())));
        values.set(FieldId(101), Some(Value::Options(["blue".into(), "red".into()].into())));
        let at = DateTime::from_timestamp_millis(1_777_629_600_007).expect("a valid timestamp");
        Contact { id: Uuid::nil(), values, created_at: at, updated_at: at, ..Contact::new(&ContactPatch::default()) }
    }

    fn render(contact: &Contact, properties: &str) -> String {
        let selection = Selection::parse(properties.split(','), &fixtures::registry()).expect("all names are known");
        serde_json::to_string(&contact.render(&selection)).expect("contacts serialize")
    }

    #[test]
    fn default_fields_are_rendered_flat_with_null_for_unset_fields() {
        assert_eq!(
            render(&contact(), ""),
            r#"{"id":"00000000-0000-0000-0000-000000000000","first_name":null,"last_name":null,"email":"ada@example.com","contact_owner":null,"external_id":null,"archived":false,"created_at":"2026-05-01T10:00:00.007Z","updated_at":"2026-05-01T10:00:00.007Z"}"#
        );
    }

    #[test]
    fn selected_fields_are_appended_with_options_in_option_order() {
        let json = render(&contact(), "tags,shoe_size,archived_by");
        assert!(json.ends_with(r#","tags":["red","blue"],"shoe_size":null,"archived_by":null}"#), "{json}");
    }

    #[test]
    fn rendered_contact_is_not_larger_than_its_bound() {
        let registry = fixtures::registry();
        let selection = Selection::all(&registry);
        let longest = |field: &Field| Some(Value::Text("\u{1}".repeat(field.max_length).into()));
        let mut full = contact();
        for field in registry.fields().iter().filter(|field| field.writable && field.kind == Kind::Text) {
            full.values.set(field.id, longest(field));
        }
        let empty = Contact { values: Values::default(), ..contact() };
        for contact in [full, empty, contact()] {
            for selection in [Selection::default(), selection.clone()] {
                let rendered = serde_json::to_vec(&contact.render(&selection)).expect("contacts serialize");
                assert!(rendered.len() <= max_rendered_bytes(&selection), "{}", rendered.len());
            }
        }
        assert!(max_rendered_bytes(&Selection::default()) < 16 * 1024, "most responses reserve no memory");
    }

    #[test]
    fn archived_contact_is_rendered_with_time_and_actor_of_archiving() {
        let archival = Archival { at: contact().created_at, by: Some("u1".into()) };
        let json = render(&Contact { archival: Some(archival), ..contact() }, "archived_by");
        assert!(json.contains(r#""archived":"2026-05-01T10:00:00.007Z""#), "{json}");
        assert!(json.ends_with(r#""archived_by":"u1"}"#), "{json}");
    }
}
