//! The shapes that depend on which fields there are: contacts, and the names of their properties. Of the system fields
//! alone in the document for everybody, of all fields of an account in its own.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::fields::{Field, Registry, system};

/// Fields, and whether an account has others besides.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape<'a> {
    fields: &'a [Arc<Field>],
    /// Whether these are all: a document for everybody does not know the custom fields.
    closed: bool,
}

impl Shape<'static> {
    /// What every account has.
    pub(super) fn of_everybody() -> Self {
        Self { fields: system::all(), closed: false }
    }
}

impl<'a> Shape<'a> {
    /// What an account has.
    pub(super) fn of_account(registry: &'a Registry) -> Self {
        Self { fields: registry.fields(), closed: true }
    }

    /// Every schema that depends on the fields, with its name.
    pub(super) fn schemas(self) -> [(&'static str, Value); 7] {
        [
            ("Contact", self.contact()),
            ("NewContact", self.new_contact()),
            ("ContactFields", self.contact_fields()),
            ("PropertyName", self.property_name()),
            ("UniqueProperty", self.unique_property()),
            ("KeyProperty", self.key_property()),
            ("SortKey", self.sort_key()),
        ]
    }

    /// A contact in an answer: the default fields are always there.
    pub(super) fn contact(self) -> Value {
        let required: Vec<_> =
            self.fields.iter().filter(|field| field.default).map(|field| &field.internal_name).collect();
        json!({
            "type": "object",
            "description": "The default fields, and those asked for by `properties`: custom fields stand beside the system ones",
            "required": required,
            "properties": self.properties(|_| true),
            "additionalProperties": true,
            "examples": [example()]
        })
    }

    /// The same, of one that may only have been tried to create.
    pub(super) fn new_contact(self) -> Value {
        let mut contact = self.contact();
        contact["description"] = json!("The contact. After a dry run of its creation it has no id");
        contact["properties"]["id"]["type"] = json!(["string", "null"]);
        contact
    }

    /// The fields that can be written.
    pub(super) fn contact_fields(self) -> Value {
        let description = if self.closed {
            "Values by internal name; null clears a field"
        } else {
            "Values by internal name, custom fields included; null clears a field"
        };
        json!({
            "type": "object",
            "description": description,
            "properties": self.properties(|field| field.writable),
            "additionalProperties": !self.closed
        })
    }

    /// The name of a field.
    pub(super) fn property_name(self) -> Value {
        self.name_of("The internal name of a field", "phone", |_| true)
    }

    /// The name of a field that no two contacts share a value of.
    pub(super) fn unique_property(self) -> Value {
        self.name_of("`id`, `email`, `external_id` or a unique custom field", "external_id", |field| field.unique)
    }

    /// The same, of values that callers give.
    pub(super) fn key_property(self) -> Value {
        let is_key = |field: &Field| field.unique && field.writable;
        self.name_of("`email`, `external_id` or a unique custom field", "external_id", is_key)
    }

    /// What a search can be sorted by.
    pub(super) fn sort_key(self) -> Value {
        let names = self.names(|_| true);
        let both: Vec<_> = names.iter().flat_map(|name| [(*name).to_owned(), format!("-{name}")]).collect();
        let description = "The internal name of a field; with a leading - downwards";
        self.choice("^-?[a-z][a-z0-9_]{0,62}$", json!(both), description, "-updated_at")
    }

    fn name_of(self, description: &str, example: &str, keep: impl Fn(&Field) -> bool) -> Value {
        self.choice("^[a-z][a-z0-9_]{0,62}$", json!(self.names(keep)), description, example)
    }

    /// One of these names; where there are others besides, what all of them look like.
    fn choice(self, pattern: &str, names: Value, description: &str, example: &str) -> Value {
        let mut schema = json!({"type": "string", "description": description, "examples": [example]});
        let (keyword, rule) = if self.closed { ("enum", names) } else { ("pattern", json!(pattern)) };
        schema[keyword] = rule;
        schema
    }

    fn names(self, keep: impl Fn(&Field) -> bool) -> Vec<&'a str> {
        self.fields.iter().filter(|field| keep(field)).map(|field| field.internal_name.as_str()).collect()
    }

    fn properties(self, keep: impl Fn(&Field) -> bool) -> Map<String, Value> {
        let kept = self.fields.iter().filter(|field| keep(field));
        kept.map(|field| (field.internal_name.clone(), field.schema())).collect()
    }
}

/// A contact with the examples of the system fields.
fn example() -> Value {
    let shown = Shape::of_everybody().properties(|field| field.default || field.id == system::JOB_TITLE);
    shown.into_iter().map(|(name, schema)| (name, schema["examples"][0].clone())).collect::<Map<_, _>>().into()
}
