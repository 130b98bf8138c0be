//! The schemas that depend on the fields: contacts, and the names of their properties.
//!
//! The public document describes the system fields. The document of an account describes all fields of that account.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::option_schemas::OptionSchemas;
use crate::fields::{Field, Kind, Registry, SELECTION_WORDS, system};

/// A new value of a unique text field is empty, or not only white space.
const UNIQUE_TEXT_PATTERN: &str = r"^([^\u0000]*[^\s\u0085\u0000][^\u0000]*)?$";

/// The fields of a document, and whether an account can have other fields.
#[derive(Debug, Clone)]
pub(super) struct ContactSchemas<'a> {
    fields: &'a [Arc<Field>],
    /// Whether these are all fields. False in the public document, which does not know the custom fields.
    is_complete: bool,
    options: OptionSchemas<'a>,
}

impl ContactSchemas<'static> {
    /// Returns the schemas for the public document: the system fields, which every account has.
    pub(super) fn for_system_fields() -> Self {
        Self { fields: system::all(), is_complete: false, options: OptionSchemas::default() }
    }
}

impl<'a> ContactSchemas<'a> {
    /// Returns the schemas for the document of an account: all its fields. `public_schemas` are the names of the
    /// schemas of the public document.
    pub(super) fn for_account<'b>(
        registry: &'a Registry,
        public_schemas: impl IntoIterator<Item = &'b String>,
    ) -> Self {
        let fields = registry.fields();
        Self { fields, is_complete: true, options: OptionSchemas::new(fields, public_schemas) }
    }

    /// Returns every schema that depends on the fields, with its name.
    pub(super) fn schemas(&self) -> Vec<(String, Value)> {
        let named = [
            ("Contact", self.contact()),
            ("ContactResult", self.contact_result()),
            ("ContactFields", self.contact_fields()),
            ("PropertyName", self.property_name()),
            ("SelectedProperty", self.selected_property()),
            ("UniqueProperty", self.unique_property()),
            ("KeyProperty", self.key_property()),
        ];
        named.into_iter().map(|(name, schema)| (name.to_owned(), schema)).chain(self.options.schemas()).collect()
    }

    /// Returns the schema of a contact in a response. The default fields are always present.
    pub(super) fn contact(&self) -> Value {
        let required: Vec<_> =
            self.fields.iter().filter(|field| field.default).map(|field| &field.internal_name).collect();
        json!({
            "type": "object",
            "description": "The default fields, and the fields requested with `properties`. Custom fields are at the same level as system fields",
            "required": required,
            "properties": self.properties(|_| true),
            "additionalProperties": true,
            "examples": [example_contact()]
        })
    }

    /// Returns the schema of a contact in the response to a write that may be the dry run of a creation.
    pub(super) fn contact_result(&self) -> Value {
        let mut contact = self.contact();
        contact["description"] = json!("The contact. In the response to a dry run that would create it, `id` is null");
        contact["properties"]["id"]["type"] = json!(["string", "null"]);
        contact
    }

    /// Returns the schema of the fields that can be written.
    pub(super) fn contact_fields(&self) -> Value {
        let description = if self.is_complete {
            "Values by internal name. null clears a field"
        } else {
            "Values by internal name, including custom fields. null clears a field"
        };
        let mut properties = self.properties(|field| field.writable);
        let unique_texts = self.fields.iter().filter(|field| field.unique && field.kind == Kind::Text);
        for field in unique_texts.filter(|field| field.writable) {
            properties[&field.internal_name]["pattern"] = json!(UNIQUE_TEXT_PATTERN);
        }
        for field in self.fields.iter().filter(|field| field.kind == Kind::MultiSelect) {
            let value = properties[&field.internal_name].take();
            properties[&field.internal_name] = with_option_changes(value);
        }
        json!({
            "type": "object",
            "description": description,
            "properties": properties,
            "additionalProperties": !self.is_complete
        })
    }

    /// Returns the schema of the name of a field.
    pub(super) fn property_name(&self) -> Value {
        self.field_name("The internal name of a field", "phone", |_| true)
    }

    /// Returns the schema of an item of a list of properties: the name of a field, or a word for several fields.
    pub(super) fn selected_property(&self) -> Value {
        let names = self.names(|_| true);
        let words = SELECTION_WORDS.into_iter().filter(|word| !names.contains(word));
        let items: Vec<_> = words.chain(names.iter().copied()).collect();
        let description = "The internal name of a field, or `*` for all fields, `custom` for the custom fields, `system` for the system fields";
        self.string_schema(r"^([a-z][a-z0-9_]{0,62}|\*)$", json!(items), description, "phone")
    }

    /// Returns the schema of the name of a unique field, including `id`.
    pub(super) fn unique_property(&self) -> Value {
        self.field_name("`id`, `email`, `external_id` or a unique custom field", "external_id", |field| field.unique)
    }

    /// Returns the schema of the name of a unique field whose values callers set.
    pub(super) fn key_property(&self) -> Value {
        let is_key = |field: &Field| field.unique && field.writable;
        self.field_name("`email`, `external_id` or a unique custom field", "external_id", is_key)
    }

    fn field_name(&self, description: &str, example: &str, is_included: impl Fn(&Field) -> bool) -> Value {
        self.string_schema("^[a-z][a-z0-9_]{0,62}$", json!(self.names(is_included)), description, example)
    }

    /// Returns a string schema: an enumeration of `names` if all fields are known, otherwise the pattern of all names.
    fn string_schema(&self, pattern: &str, names: Value, description: &str, example: &str) -> Value {
        let mut schema = json!({"type": "string", "description": description, "examples": [example]});
        let (keyword, rule) = if self.is_complete { ("enum", names) } else { ("pattern", json!(pattern)) };
        schema[keyword] = rule;
        schema
    }

    fn names(&self, is_included: impl Fn(&Field) -> bool) -> Vec<&'a str> {
        self.fields.iter().filter(|field| is_included(field)).map(|field| field.internal_name.as_str()).collect()
    }

    fn properties(&self, is_included: impl Fn(&Field) -> bool) -> Map<String, Value> {
        let fields = self.fields.iter().filter(|field| is_included(field));
        fields.map(|field| (field.internal_name.clone(), self.property(field))).collect()
    }

    fn property(&self, field: &Field) -> Value {
        if field.kind == Kind::Archived {
            return json!({"$ref": "#/components/schemas/Archived"});
        }
        field.json_schema(&self.options.reference(field))
    }
}

/// Returns the schema of what a write sends for a `multi_select` field: a value, or the options to add and to remove.
///
/// Client generators do not read `if`: they take a value of any type. Some clients would not compile with `anyOf`, because
/// one of the types is an array.
fn with_option_changes(mut value: Value) -> Value {
    let take = |value: &mut Value, member: &str| value.as_object_mut().and_then(|members| members.remove(member));
    let description = take(&mut value, "description");
    let examples = take(&mut value, "examples");
    let options = json!({"type": "array", "items": value["items"]});
    let changes = json!({
        "properties": {"add": options, "remove": options},
        "minProperties": 1,
        "additionalProperties": false
    });
    let description = format!(
        "{}\n\nAn array of options, `{{\"add\": [\u{2026}], \"remove\": [\u{2026}]}}`, or null",
        description.as_ref().and_then(Value::as_str).unwrap_or_default()
    );
    json!({"description": description, "examples": examples, "if": {"type": "object"}, "then": changes, "else": value})
}

/// Returns a contact that consists of the examples of the system fields.
fn example_contact() -> Value {
    let fields = system::all().iter().filter(|field| field.default || field.id == system::JOB_TITLE);
    let example = |field: &Arc<Field>| (field.internal_name.clone(), field.example().unwrap_or_default());
    fields.map(example).collect::<Map<_, _>>().into()
}

/// Returns the schema of the value of the field `archived`.
pub(super) fn archived_schema() -> Value {
    let field = system::all().iter().find(|field| field.kind == Kind::Archived);
    let mut schema = field.map(|field| field.json_schema(&Value::Null)).unwrap_or_default();
    // utoipa has no title beside `anyOf`.
    schema.as_object_mut().and_then(|members| members.remove("title"));
    schema["description"] = json!("false, or the time of archiving");
    schema
}
