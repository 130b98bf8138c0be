//! The shapes of bodies, for the document. Those that depend on the fields are in `contact.rs`.

use std::borrow::Cow;

use serde_json::{Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use super::contact::Shape;
use super::problem::{error, problem};
use crate::fields::Kind;

/// Defines a type that stands for a schema written as JSON.
macro_rules! schemas {
    ($($(#[$doc:meta])* $name:ident => $schema:expr, uses [$($used:ident),*];)+) => {$(
        $(#[$doc])*
        pub(in crate::http) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                RefOr::T(serde_json::from_value($schema).expect("utoipa knows all of it"))
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            #[allow(unused_variables, reason = "a schema may use no other")]
            fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
                $(
                    schemas.push(($used::name().into_owned(), $used::schema()));
                    $used::schemas(schemas);
                )*
            }
        }
    )+

        /// Each as it is written, and as the document has it.
        #[cfg(test)]
        pub(super) fn all() -> Vec<(serde_json::Value, RefOr<Schema>)> {
            vec![$(($schema, $name::schema())),+]
        }
    };
}
pub(in crate::http) use schemas;

schemas! {
    /// A contact in an answer.
    Contact => Shape::of_everybody().contact(), uses [];
    /// A contact in the answer to its creation, which may only have been tried.
    NewContact => Shape::of_everybody().new_contact(), uses [];
    /// The values of a write.
    ContactFields => Shape::of_everybody().contact_fields(), uses [];
    /// The name of a field.
    PropertyName => Shape::of_everybody().property_name(), uses [];
    /// The name of a unique field.
    UniqueProperty => Shape::of_everybody().unique_property(), uses [];
    /// The name of a unique field that callers give values.
    KeyProperty => Shape::of_everybody().key_property(), uses [];
    /// What a search can be sorted by.
    SortKey => Shape::of_everybody().sort_key(), uses [];
    /// The body of a write.
    ContactInput => json!({
        "type": "object",
        "required": ["fields"],
        "properties": {"fields": {"$ref": "#/components/schemas/ContactFields"}},
        "additionalProperties": false,
        "examples": [{"fields": {"first_name": "Ada", "job_title": "Analyst"}}]
    }), uses [ContactFields];
    /// A page of a list.
    ContactPage => json!({
        "type": "object",
        "required": ["data", "pagination"],
        "properties": {
            "data": {"type": "array", "items": {"$ref": "#/components/schemas/Contact"}},
            "pagination": {
                "type": "object",
                "required": ["limit", "next"],
                "properties": {
                    "limit": {"type": "integer", "examples": [10]},
                    "offset": {"type": "integer", "description": "Not with after", "examples": [0]},
                    "count": {"type": "integer", "description": "How many there are in all. Not with after", "examples": [1]},
                    "next": {"type": ["string", "null"], "description": "A cursor; null exactly when nothing follows"}
                }
            }
        }
    }), uses [Contact];
    /// New contacts.
    BatchNew => envelope(json!({"fields": {"$ref": "#/components/schemas/ContactFields"}}), &["fields"], false,
        json!({"inputs": [{"fields": {"first_name": "Grace"}}, {"fields": {"first_name": "Alan"}}]})), uses [ContactFields, PropertyName];
    /// Contacts to change.
    BatchUpdates => envelope(json!({"id": batch_id(), "fields": {"$ref": "#/components/schemas/ContactFields"}}), &["id", "fields"], true,
        json!({"inputs": [{"id": "sample-1", "fields": {"job_title": "Analyst"}}], "id_property": "external_id"})), uses [ContactFields, PropertyName, UniqueProperty];
    /// Contacts to create or change.
    BatchUpserts => upserts(), uses [ContactFields, PropertyName, KeyProperty];
    /// Contacts by name.
    BatchIds => envelope(json!({"id": batch_id()}), &["id"], true,
        json!({"inputs": [{"id": "sample-2"}], "id_property": "external_id"})), uses [PropertyName, UniqueProperty];
    /// The results of a batch.
    BatchResults => json!({
        "type": "object",
        "required": ["results", "summary"],
        "properties": {
            "results": {"type": "array", "description": "One for each input, in their order", "items": {
                "type": "object",
                "required": ["status"],
                "properties": {
                    "status": {"type": "integer", "description": "What the call for this input alone would have answered", "examples": [200]},
                    "contact": {"$ref": "#/components/schemas/NewContact"},
                    "error": {"$ref": "#/components/schemas/Problem"}
                }
            }},
            "summary": {
                "type": "object",
                "required": ["total", "succeeded", "failed"],
                "properties": {"total": {"type": "integer"}, "succeeded": {"type": "integer"}, "failed": {"type": "integer"}}
            }
        }
    }), uses [NewContact, Problem];
    /// An entry of the change feed.
    Change => json!({
        "type": "object",
        "required": ["cursor", "type", "contact_id", "actor", "at", "changed"],
        "properties": {
            "cursor": {"type": "string", "description": "The place after this entry"},
            "type": {"type": "string", "enum": ["created", "updated", "archived", "restored", "purged"]},
            "contact_id": {"type": "string", "format": "uuid"},
            "actor": {"type": ["string", "null"], "description": "The `sub` of the token that made the change"},
            "at": {"type": "string", "format": "date-time", "description": "The contact's updated_at from then on"},
            "changed": {
                "type": "object",
                "description": "The values that differ, by internal name; empty once the contact is purged",
                "additionalProperties": {
                    "type": "object",
                    "required": ["old", "new"],
                    "properties": {"old": any_value("Null when it was unset"), "new": any_value("Null when it was cleared")}
                }
            }
        },
        "examples": [{
            "cursor": "AAAAAAAAAAcW0T3xk2vUQg", "type": "updated", "contact_id": "01980000-0000-7000-8000-000000000001",
            "actor": "developer", "at": "2026-05-01T10:00:00.000Z", "changed": {"job_title": {"old": "Analyst", "new": "Countess"}}
        }]
    }), uses [];
    /// A part of the change feed.
    ChangePage => json!({
        "type": "object",
        "required": ["data", "next"],
        "properties": {
            "data": {"type": "array", "items": {"$ref": "#/components/schemas/Change"}},
            "next": {"type": "string", "description": "Where to go on; always there"}
        }
    }), uses [Change];
    /// A part of a contact's history.
    HistoryPage => json!({
        "type": "object",
        "required": ["data", "next"],
        "properties": {
            "data": {"type": "array", "items": {"$ref": "#/components/schemas/Change"}},
            "next": {"type": ["string", "null"], "description": "A cursor; null when nothing follows"}
        }
    }), uses [Change];
    /// What is wrong with an input of a batch.
    Problem => problem(), uses [];
    /// An option of a field.
    Option => json!({
        "type": "object",
        "required": ["internal_name", "label"],
        "properties": {"internal_name": name(), "label": label()},
        "examples": [{"internal_name": "large", "label": "Large"}]
    }), uses [];
    /// An option of a field to be.
    OptionInput => json!({
        "type": "object",
        "required": ["label"],
        "properties": {"internal_name": optional_name("Made from the label when left out"), "label": label()},
        "additionalProperties": false,
        "examples": [{"label": "Large"}]
    }), uses [];
    /// A field in an answer.
    Field => json!({
        "type": "object",
        "required": ["internal_name", "label", "type", "system", "default", "writable", "unique", "created_at", "updated_at"],
        "properties": {
            "internal_name": name(),
            "label": label(),
            "type": {"type": "string", "examples": ["number"]},
            "system": {"type": "boolean", "description": "The same for every account"},
            "default": {"type": "boolean", "description": "In every answer"},
            "writable": {"type": "boolean"},
            "unique": {"type": "boolean", "description": "No two active contacts share a value"},
            "options": {"type": "array", "items": {"$ref": "#/components/schemas/Option"}, "description": "Of the option types only"},
            "created_at": {"type": ["string", "null"], "format": "date-time"},
            "updated_at": {"type": ["string", "null"], "format": "date-time"}
        }
    }), uses [Option];
    /// The list of fields.
    FieldList => json!({
        "type": "object",
        "required": ["data"],
        "properties": {"data": {"type": "array", "items": {"$ref": "#/components/schemas/Field"}}}
    }), uses [Field];
    /// The definition of a custom field.
    FieldInput => json!({
        "oneOf": [
            {"$ref": "#/components/schemas/KeyFieldInput"},
            {"$ref": "#/components/schemas/PlainFieldInput"},
            {"$ref": "#/components/schemas/OptionFieldInput"}
        ],
        "examples": [{"label": "Loyalty points", "type": "number"}]
    }), uses [KeyFieldInput, PlainFieldInput, OptionFieldInput];
    /// The definition of a field that can be unique.
    KeyFieldInput => field_input(Kind::can_be_unique, &["label", "type"], json!({
        "unique": {"type": ["boolean", "null"], "default": false, "description": "No two active contacts may share a value"}
    })), uses [];
    /// The definition of a field that can not.
    PlainFieldInput => field_input(|kind| !kind.can_be_unique() && !kind.has_options(), &["label", "type"], json!({})), uses [];
    /// The definition of a field with options.
    OptionFieldInput => field_input(Kind::has_options, &["label", "type", "options"], json!({
        "options": options("In their order, with distinct names")
    })), uses [OptionInput];
    /// A change to a custom field.
    FieldChange => json!({
        "type": "object",
        "properties": {"label": label(), "options": options("The whole new list")},
        "additionalProperties": false,
        "examples": [{"label": "Shoe size (EU)"}]
    }), uses [OptionInput];
    /// The one shape of errors.
    Error => error(), uses [];
    /// An OpenAPI document.
    OpenApiDocument => json!({"type": "object", "required": ["openapi", "info", "paths"]}), uses [];
}

/// The body of a batch whose inputs have these members.
fn envelope(members: Value, required: &[&str], is_keyed: bool, example: Value) -> Value {
    let input = json!({"type": "object", "required": required, "properties": members, "additionalProperties": false});
    let mut schema = json!({
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "inputs": {"type": "array", "items": input, "minItems": 1, "maxItems": 1_000},
            "properties": {"type": ["array", "null"], "items": {"$ref": "#/components/schemas/PropertyName"}, "description": "Names of fields to show besides the default ones"},
            "atomic": {"type": "boolean", "default": false, "description": "All or nothing: when an input fails, the others are 424 not_applied"}
        },
        "additionalProperties": false,
        "examples": [example]
    });
    if is_keyed {
        let description = "The unique property whose values the inputs have as their id; left out, they have ids";
        schema["properties"]["id_property"] =
            json!({"$ref": "#/components/schemas/UniqueProperty", "description": description});
    }
    schema
}

fn upserts() -> Value {
    let members = json!({"id": batch_id(), "fields": {"$ref": "#/components/schemas/ContactFields"}});
    let input = json!({"id": "crm-1815", "fields": {"first_name": "Ada"}});
    let mut schema =
        envelope(members, &["id", "fields"], true, json!({"inputs": [input], "id_property": "external_id"}));
    schema["required"] = json!(["inputs", "id_property"]);
    schema["properties"]["id_property"] = json!({
        "$ref": "#/components/schemas/KeyProperty",
        "description": "The unique property whose values the inputs have as their id"
    });
    schema
}

/// A value of a field of any type.
fn any_value(description: &str) -> Value {
    let types = ["string", "number", "boolean", "array", "null"];
    json!({"type": types, "items": {"type": "string"}, "description": description})
}

fn batch_id() -> Value {
    json!({"type": ["string", "number"], "description": "The contact's id, or its value of id_property"})
}

fn name() -> Value {
    json!({"type": "string", "pattern": "^[a-z][a-z0-9_]{0,62}$", "examples": ["shoe_size"]})
}

fn label() -> Value {
    // Something that is not blank, and no NUL.
    let pattern = r"^[^\u0000]*[^\s\u0000][^\u0000]*$";
    json!({"type": "string", "minLength": 1, "maxLength": 255, "pattern": pattern, "examples": ["Shoe size"]})
}

/// The definition of a field of some of the types, with what else it has besides a name and a label.
fn field_input(keep: fn(Kind) -> bool, required: &[&str], others: Value) -> Value {
    let types: Vec<_> = Kind::CUSTOM.into_iter().filter(|kind| keep(*kind)).map(Kind::as_str).collect();
    let mut properties = json!({
        "internal_name": optional_name("Made from the label when left out"),
        "label": label(),
        "type": {"type": "string", "enum": types}
    });
    if let (Value::Object(properties), Value::Object(others)) = (&mut properties, others) {
        properties.extend(others);
    }
    json!({"type": "object", "required": required, "properties": properties, "additionalProperties": false})
}

fn optional_name(description: &str) -> Value {
    let mut name = name();
    name["type"] = json!(["string", "null"]);
    name["description"] = json!(description);
    name
}

fn options(description: &str) -> Value {
    let items = json!({"$ref": "#/components/schemas/OptionInput"});
    json!({"type": "array", "items": items, "minItems": 1, "maxItems": 1_000, "description": description})
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_of_a_schema_is_lost_on_its_way_to_the_document() {
        for (written, schema) in super::all().into_iter().chain(super::super::search::all()) {
            assert_eq!(serde_json::to_value(schema).expect("JSON"), written);
        }
    }
}
