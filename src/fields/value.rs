//! The values of fields in canonical form, so that `==` is the equality of
//! `docs/api-reference.md#comparison-and-trimming`.

use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::{FieldId, Number};
use crate::json::Json;

/// The size of the counters of an [`Arc`], in bytes.
const ARC_BYTES: usize = 2 * size_of::<usize>();

/// A valid value of a field, in canonical form. An unset field has no value.
///
/// Cheap to clone, so that the states of a contact before and after a write share the values that stay the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A value of a type whose JSON is a string: text as sent, a date as `YYYY-MM-DD`, a datetime as
    /// `YYYY-MM-DDTHH:MM:SS.mmmZ`, or the internal name of an option.
    Text(Arc<str>),
    /// The value of a number field.
    Number(Number),
    /// The value of a checkbox.
    Checkbox(bool),
    /// The internal names of the chosen options: at least one, sorted, without duplicates.
    Options(Arc<[String]>),
}

impl Value {
    /// Parses a value from its stored JSON. Returns `None` for JSON that a [`Value`] never serializes to.
    #[must_use]
    pub fn from_stored(json: Json<'_>) -> Option<Self> {
        match json {
            Json::String(text) => Some(Self::Text(text.into())),
            Json::Number(digits) => Number::parse(digits).map(Self::Number),
            Json::Bool(checked) => Some(Self::Checkbox(checked)),
            Json::Array(items) => items
                .into_iter()
                .map(|item| match item {
                    Json::String(name) => Some(name.into_owned()),
                    _ => None,
                })
                .collect::<Option<_>>()
                .map(Self::Options),
            Json::Null | Json::Object(_) => None,
        }
    }

    /// Returns the length of the value as compact JSON, in bytes.
    #[must_use]
    pub fn json_bytes(&self) -> usize {
        match self {
            Self::Text(text) => json_string_bytes(text),
            Self::Number(number) => number.to_string().len(),
            Self::Checkbox(checked) => if *checked { "true" } else { "false" }.len(),
            Self::Options(names) => {
                let commas = names.len().saturating_sub(1);
                "[]".len() + commas + names.iter().map(|name| json_string_bytes(name)).sum::<usize>()
            }
        }
    }

    /// Returns the memory of the value, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let on_heap = match self {
            Self::Text(text) => ARC_BYTES + text.len(),
            Self::Number(_) | Self::Checkbox(_) => 0,
            Self::Options(names) => {
                ARC_BYTES + names.iter().map(|name| size_of::<String>() + name.capacity()).sum::<usize>()
            }
        };
        size_of::<Self>() + on_heap
    }

    /// Returns the text of a [`Value::Text`].
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Returns the length of a string as JSON, in bytes. Only control characters, quotes and backslashes are escaped.
pub(super) fn json_string_bytes(text: &str) -> usize {
    let is_escaped = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\');
    let added_bytes = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => r"\n".len() - 1,
        _ => r"\u0000".len() - 1,
    };
    "\"\"".len() + text.len() + text.bytes().filter(is_escaped).map(added_bytes).sum::<usize>()
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => number.serialize(serializer),
            Self::Checkbox(checked) => serializer.serialize_bool(*checked),
            Self::Options(names) => (**names).serialize(serializer),
        }
    }
}

/// The values of a contact, by field. Unset fields are absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values(Vec<(FieldId, Value)>);

impl Values {
    /// Returns the value of a field, if it is set.
    #[must_use]
    pub fn get(&self, field: FieldId) -> Option<&Value> {
        self.position(field).ok().map(|index| &self.0[index].1)
    }

    /// Returns the text of a field, if it is set to a [`Value::Text`].
    #[must_use]
    pub fn text(&self, field: FieldId) -> Option<&str> {
        self.get(field).and_then(Value::as_text)
    }

    /// Sets a field, or clears it if `value` is `None`.
    pub fn set(&mut self, field: FieldId, value: Option<Value>) {
        match (self.position(field), value) {
            (Ok(index), Some(value)) => self.0[index].1 = value,
            (Ok(index), None) => drop(self.0.remove(index)),
            (Err(index), Some(value)) => self.0.insert(index, (field, value)),
            (Err(_), None) => {}
        }
    }

    /// Removes the values of all fields for which `keep` returns `false`.
    pub fn retain(&mut self, mut keep: impl FnMut(FieldId) -> bool) {
        self.0.retain(|(field, _)| keep(*field));
    }

    /// Returns the values, ordered by field id.
    pub fn iter(&self) -> impl Iterator<Item = (FieldId, &Value)> {
        self.0.iter().map(|(field, value)| (*field, value))
    }

    /// Returns the values of custom fields for storage: a JSON object with field ids as keys.
    #[must_use]
    pub fn custom(&self) -> CustomValues<'_> {
        CustomValues(self)
    }

    /// Returns the changes of custom fields from `before` to these values.
    #[must_use]
    pub fn custom_changes<'a>(&'a self, before: &'a Self) -> CustomChanges<'a> {
        CustomChanges { before, after: self }
    }

    /// Returns the memory of the values, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.0.iter().map(|(_, value)| size_of::<FieldId>() + value.memory_bytes()).sum()
    }

    fn position(&self, field: FieldId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&field, |(id, _)| *id)
    }
}

/// The values of a contact's custom fields. Serializes to the stored form: `{"100": value, …}`.
#[derive(Debug)]
pub struct CustomValues<'a>(&'a Values);

impl Serialize for CustomValues<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (field, value) in self.0.iter().filter(|(field, _)| field.is_custom()) {
            map.serialize_entry(&field.0, value)?;
        }
        map.end()
    }
}

/// The changes of a contact's custom fields.
#[derive(Debug, Clone, Copy)]
pub struct CustomChanges<'a> {
    before: &'a Values,
    after: &'a Values,
}

impl<'a> CustomChanges<'a> {
    /// Returns the fields with a new value, for storage; `None` if there are none.
    #[must_use]
    pub fn set(self) -> Option<Self> {
        self.new_values().next().is_some().then_some(self)
    }

    /// Returns the fields that are cleared; `None` if there are none.
    #[must_use]
    pub fn removed(self) -> Option<Vec<FieldId>> {
        let is_removed = |field: &FieldId| field.is_custom() && self.after.get(*field).is_none();
        let removed: Vec<_> = self.before.iter().map(|(field, _)| field).filter(is_removed).collect();
        (!removed.is_empty()).then_some(removed)
    }

    /// Returns the memory of the new values, in bytes.
    #[must_use]
    pub fn memory_bytes(self) -> usize {
        self.new_values().map(|(_, value)| value.memory_bytes()).sum()
    }

    fn new_values(self) -> impl Iterator<Item = (FieldId, &'a Value)> {
        self.after.iter().filter(move |(field, value)| field.is_custom() && self.before.get(*field) != Some(*value))
    }
}

/// Serializes the fields with a new value to the stored form: `{"100": value, …}`.
impl Serialize for CustomChanges<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (field, value) in self.new_values() {
            map.serialize_entry(&field.0, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    #[test]
    fn stored_values_parse_to_equal_values() {
        let values = [
            Value::Text("Größe \"42\" 😀".into()),
            Value::Number(Number::parse("18446744073709551615").expect("an integer of 64 bits")),
            Value::Number(Number::parse("-0.1").expect("a shortest double")),
            Value::Checkbox(false),
            Value::Options(["a".into(), "b".into()].into()),
        ];
        for value in values {
            let stored = serde_json::to_string(&value).expect("values serialize");
            let json = json::parse(stored.as_bytes()).expect("valid JSON");
            assert_eq!(Value::from_stored(json), Some(value));
        }
    }

    #[test]
    fn json_bytes_is_the_length_of_the_serialized_value() {
        let every_ascii_character: String = (0..=127_u8).map(char::from).collect();
        for value in [
            Value::Text(every_ascii_character.into()),
            Value::Text("Größe 😀\u{2028}\u{85}".into()),
            Value::Number(Number::parse("-1.5e-7").expect("a double")),
            Value::Number(Number::parse("18446744073709551615").expect("an integer of 64 bits")),
            Value::Checkbox(true),
            Value::Checkbox(false),
            Value::Options(["blue".into()].into()),
            Value::Options(["blue".into(), "red".into()].into()),
        ] {
            assert_eq!(value.json_bytes(), serde_json::to_string(&value).expect("values serialize").len(), "{value:?}");
        }
    }

    #[test]
    fn values_behave_as_a_map_and_serialize_only_custom_fields() {
        let (email, size, flag) = (FieldId(5), FieldId(100), FieldId(101));
        let mut values = Values::default();
        values.set(flag, Some(Value::Checkbox(true)));
        values.set(email, Some(Value::Text("ada@example.com".into())));
        values.set(size, Some(Value::Text("38".into())));
        values.set(size, Some(Value::Text("39".into())));
        values.set(flag, None);
        values.set(flag, None);
        assert_eq!(values.text(size), Some("39"));
        assert_eq!(values.get(flag), None);
        assert_eq!(serde_json::to_string(&values.custom()).expect("values serialize"), r#"{"100":"39"}"#);
        values.retain(|field| field == email);
        assert_eq!(values.iter().count(), 1);
    }

    #[test]
    fn custom_changes_contain_only_the_custom_fields_that_differ() {
        let values = |pairs: &[(i32, &str)]| {
            let mut values = Values::default();
            pairs.iter().for_each(|(id, text)| values.set(FieldId(*id), Some(Value::Text((*text).into()))));
            values
        };
        let before = values(&[(5, "a"), (100, "same"), (101, "old"), (102, "cleared")]);
        let after = values(&[(5, "b"), (100, "same"), (101, "new"), (103, "added")]);
        let changes = after.custom_changes(&before);
        let set = serde_json::to_string(&changes.set().expect("new values")).expect("values serialize");
        assert_eq!(set, r#"{"101":"new","103":"added"}"#);
        assert_eq!(changes.removed(), Some(vec![FieldId(102)]));
        let unchanged = before.custom_changes(&before);
        assert!(unchanged.set().is_none() && unchanged.removed().is_none());
    }
}
