//! The schemas of bodies. Schemas that depend on the fields come from `contact_schemas.rs`.

use std::borrow::Cow;

use serde_json::{Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType};
use utoipa::{PartialSchema, ToSchema};

use super::contact_schemas::{ContactSchemas, archived_schema};
use super::error_schema::{code_schema, detail_schema, error_schema, problem_schema};
use crate::fields::Kind;

/// Defines types, each of which describes a schema that is written as JSON. The name of the type is the name of the
/// schema.
macro_rules! schemas {
    ($($(#[$doc:meta])* $name:ident => $schema:expr, uses [$($used:ident),*];)+) => {$(
        $(#[$doc])*
        pub(in crate::http) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                RefOr::T(serde_json::from_value($schema).expect("utoipa supports every keyword of the schema"))
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            #[allow(unused_variables, reason = "a schema may refer to no other schema")]
            fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
                $(
                    schemas.push(($used::name().into_owned(), $used::schema()));
                    $used::schemas(schemas);
                )*
            }
        }
    )+

        /// Returns every schema in two forms: the JSON as written, and the schema in the document.
        #[cfg(test)]
        pub(super) fn all_schemas() -> Vec<(serde_json::Value, RefOr<Schema>)> {
            vec![$(($schema, $name::schema())),+]
        }
    };
}
pub(in crate::http) use schemas;

schemas! {
    /// A contact in a response.
    Contact => ContactSchemas::for_system_fields().contact(), uses [Archived];
    /// A contact in the response to a write that may be the dry run of a creation.
    ContactResult => ContactSchemas::for_system_fields().contact_result(), uses [Archived];
    /// The values of a write.
    ContactFields => ContactSchemas::for_system_fields().contact_fields(), uses [];
    /// The value of the field `archived`.
    Archived => archived_schema(), uses [];
    /// The name of a field.
    PropertyName => ContactSchemas::for_system_fields().property_name(), uses [];
    /// An item of a list of properties.
    SelectedProperty => ContactSchemas::for_system_fields().selected_property(), uses [];
    /// The name of a unique field.
    UniqueProperty => ContactSchemas::for_system_fields().unique_property(), uses [];
    /// The name of a unique field whose values callers set.
    KeyProperty => ContactSchemas::for_system_fields().key_property(), uses [];
    /// A sort key of a search.
    SortKey => json!({
        "type": "string",
        "pattern": "^-?[a-z][a-z0-9_]{0,62}$",
        "description": "The internal name of a field. A leading - sorts in descending order",
        "examples": ["-updated_at"]
    }), uses [];
    /// What an upsert does if only an archived contact has its key.
    OnArchived => json!({
        "type": "string",
        "enum": ["create", "restore", "refuse"],
        "description": "What happens if no active contact has the key, but an archived contact does. Default: create"
    }), uses [];
    /// The format of an export.
    ExportFormat => json!({"type": "string", "enum": ["csv", "ndjson"], "examples": ["ndjson"]}), uses [];
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
            "pagination": {"$ref": "#/components/schemas/Pagination"}
        }
    }), uses [Contact, Pagination];
    /// The position of a page in a list.
    Pagination => json!({
        "type": "object",
        "required": ["limit", "next"],
        "properties": {
            "limit": {"type": "integer", "examples": [10]},
            "offset": {"type": "integer", "description": "Absent when paging with `after`", "examples": [0]},
            "count": {"type": "integer", "description": "Total number of matching contacts. Absent when paging with `after`", "examples": [1]},
            "next": {"type": ["string", "null"], "description": "Cursor of the next page. null exactly when this is the last page"}
        }
    }), uses [];
    /// An entry of the change feed.
    Change => json!({
        "type": "object",
        "required": ["cursor", "type", "contact_id", "external_id", "actor", "at", "changed"],
        "properties": {
            "cursor": {"type": "string", "description": "The position after this entry"},
            "type": {"type": "string", "enum": ["created", "updated", "archived", "restored", "purged"], "description": "Later versions can add types. If the type is unknown, read the contact again: 404 and 410 mean that it is gone"},
            "contact_id": {"type": "string", "format": "uuid"},
            "external_id": {"type": ["string", "null"], "description": "The contact's `external_id` when the entry is read. null if it is unset, or the contact was purged"},
            "actor": {"type": ["string", "null"], "description": "The `sub` of the token that made the change"},
            "at": {"type": "string", "format": "date-time", "description": "The `updated_at` of the contact after the change"},
            "changed": {
                "type": "object",
                "description": "The changed values, by internal name. Empty after the contact is purged",
                "additionalProperties": {"$ref": "#/components/schemas/ValueChange"}
            },
            "properties": {
                "type": ["object", "null"],
                "description": "Only with the parameter `properties`: the values of these fields when the entry is read, null for a field without a value. null after the contact is purged",
                "additionalProperties": {"$ref": "#/components/schemas/FieldValue"}
            }
        },
        "examples": [{
            "cursor": "AAAAAAAAAAcW0T3xk2vUQg", "type": "updated", "contact_id": "01980000-0000-7000-8000-000000000001",
            "external_id": "sample-1", "actor": "developer", "at": "2026-05-01T10:00:00.000Z", "changed": {"job_title": {"old": "Analyst", "new": "Countess"}}
        }]
    }), uses [ValueChange, FieldValue];
    /// A changed value.
    ValueChange => json!({
        "type": "object",
        "required": ["old", "new"],
        "properties": {
            "old": {"$ref": "#/components/schemas/FieldValue", "description": "null if the field had no value"},
            "new": {"$ref": "#/components/schemas/FieldValue", "description": "null if the value was cleared"}
        }
    }), uses [FieldValue];
    /// A page of the change feed.
    ChangePage => json!({
        "type": "object",
        "required": ["data", "next"],
        "properties": {
            "data": {"type": "array", "items": {"$ref": "#/components/schemas/Change"}},
            "next": {"type": "string", "description": "Cursor of the next page. Never null"}
        }
    }), uses [Change];
    /// A page of a contact's history.
    HistoryPage => json!({
        "type": "object",
        "required": ["data", "next"],
        "properties": {
            "data": {"type": "array", "items": {"$ref": "#/components/schemas/Change"}},
            "next": {"type": ["string", "null"], "description": "Cursor of the next page. null on the last page"}
        }
    }), uses [Change];
    /// The error of a batch input.
    Problem => problem_schema(), uses [ErrorCode, ErrorDetail];
    /// The code of an error.
    ErrorCode => code_schema(), uses [];
    /// An invalid field in an error.
    ErrorDetail => detail_schema(), uses [];
    /// An option of a field.
    FieldOption => json!({
        "type": "object",
        "required": ["internal_name", "label"],
        "properties": {"internal_name": name_schema(), "label": label_schema()},
        "examples": [{"internal_name": "large", "label": "Large"}]
    }), uses [];
    /// An option in the definition of a field.
    OptionInput => json!({
        "type": "object",
        "required": ["label"],
        "properties": {"internal_name": optional_name_schema(name_schema(), "Default: derived from the label"), "label": label_schema()},
        "additionalProperties": false,
        "examples": [{"label": "Large"}]
    }), uses [];
    /// A field in a response.
    FieldDefinition => json!({
        "type": "object",
        "required": ["internal_name", "label", "type", "system", "default", "writable", "unique", "created_at", "updated_at"],
        "properties": {
            "internal_name": name_schema(),
            "label": label_schema(),
            "type": {"type": "string", "examples": ["dropdown"]},
            "system": {"type": "boolean", "examples": [false], "description": "true for fields that every account has"},
            "default": {"type": "boolean", "examples": [false], "description": "true for fields that are in every response"},
            "writable": {"type": "boolean", "examples": [true]},
            "unique": {"type": "boolean", "examples": [false], "description": "No two active contacts can have the same value"},
            "options": {"type": "array", "items": {"$ref": "#/components/schemas/FieldOption"}, "description": "Only for fields with options"},
            "created_at": {"type": ["string", "null"], "format": "date-time"},
            "updated_at": {"type": ["string", "null"], "format": "date-time"}
        }
    }), uses [FieldOption];
    /// The list of fields.
    FieldList => json!({
        "type": "object",
        "required": ["data"],
        "properties": {"data": {"type": "array", "items": {"$ref": "#/components/schemas/FieldDefinition"}}}
    }), uses [FieldDefinition];
    /// The definition of a custom field.
    FieldInput => json!({
        "anyOf": [
            {"$ref": "#/components/schemas/KeyFieldInput"},
            {"$ref": "#/components/schemas/PlainFieldInput"},
            {"$ref": "#/components/schemas/OptionFieldInput"}
        ],
        "examples": [
            {"label": "Loyalty points", "type": "number"},
            {"label": "Priority", "type": "dropdown", "options": [{"label": "High"}, {"label": "Low"}]}
        ]
    }), uses [KeyFieldInput, PlainFieldInput, OptionFieldInput];
    /// The definition of a field that can be unique.
    KeyFieldInput => field_input_schema(Kind::can_be_unique, &["label", "type"], json!({
        "unique": {"type": ["boolean", "null"], "description": "No two active contacts can have the same value. Default: false"}
    })), uses [];
    /// The definition of a field that cannot be unique and has no options.
    PlainFieldInput => field_input_schema(|kind| !kind.can_be_unique() && !kind.has_options(), &["label", "type"], json!({})), uses [];
    /// The definition of a field with options.
    OptionFieldInput => field_input_schema(Kind::has_options, &["label", "type", "options"], json!({
        "options": options_schema("The options in display order, with distinct names")
    })), uses [OptionInput];
    /// A change to a custom field.
    FieldChange => json!({
        "type": "object",
        "properties": {"label": label_schema(), "options": options_schema("The complete new list of options")},
        "additionalProperties": false,
        "examples": [{"label": "Shoe size (EU)"}]
    }), uses [OptionInput];
    /// The account, the scopes and the limits of a token.
    Me => json!({
        "type": "object",
        "required": ["account_id", "actor", "client_id", "scopes", "expires_at", "limits"],
        "properties": {
            "account_id": {"type": "string", "format": "uuid"},
            "actor": {"type": ["string", "null"], "description": "The `sub` of the token: the actor of its changes in the change feed"},
            "client_id": {"type": ["string", "null"], "description": "The API client that the token was issued to"},
            "scopes": {"type": ["array", "null"], "items": {"type": "string"}, "description": "The scopes that limit the token. null: it may do everything"},
            "expires_at": {"type": ["string", "null"], "format": "date-time"},
            "limits": {"$ref": "#/components/schemas/MeLimits"}
        }
    }), uses [MeLimits];
    /// The limits of a token's account.
    MeLimits => json!({
        "type": "object",
        "required": ["requests_per_minute", "body_bytes", "batch_body_bytes", "batch_inputs", "page_contacts", "page_changes", "contact_bytes", "custom_fields", "unique_fields"],
        "properties": {
            "requests_per_minute": {"type": ["integer", "null"], "description": "The rate limit of the account. null: there is none"},
            "body_bytes": {"type": "integer", "description": "The largest body"},
            "batch_body_bytes": {"type": "integer", "description": "The largest body of a batch"},
            "batch_inputs": {"type": "integer", "description": "The maximum number of inputs of a batch"},
            "page_contacts": {"type": "integer", "description": "The largest `limit` of a list and of a search"},
            "page_changes": {"type": "integer", "description": "The largest `limit` of the change feed and of a history"},
            "contact_bytes": {"type": "integer", "description": "The largest size of the values of a contact together"},
            "custom_fields": {"type": "integer", "description": "The maximum number of custom fields"},
            "unique_fields": {"type": "integer", "description": "The maximum number of unique custom fields"}
        }
    }), uses [];
    /// The body of an error response.
    ApiError => error_schema(), uses [ErrorCode, ErrorDetail];
    /// An OpenAPI document.
    OpenApiDocument => json!({"type": "object", "required": ["openapi", "info", "paths"]}), uses [];
}

/// A value of any field. The schema has no type, because client generators do not support an array beside scalars.
pub(in crate::http) struct FieldValue;

impl PartialSchema for FieldValue {
    fn schema() -> RefOr<Schema> {
        let value = ObjectBuilder::new().schema_type(SchemaType::AnyValue);
        value.description(Some("A value of a field, as the type of the field has it")).into()
    }
}

impl ToSchema for FieldValue {}

fn name_schema() -> Value {
    json!({"type": "string", "pattern": "^[a-z][a-z0-9_]{0,62}$", "examples": ["shoe_size"]})
}

fn label_schema() -> Value {
    // At least one non-blank character, and no U+0000.
    let pattern = r"^[^\u0000]*[^\s\u0000][^\u0000]*$";
    json!({"type": "string", "minLength": 1, "maxLength": 255, "pattern": pattern, "examples": ["Shoe size"]})
}

/// Returns the schema of the definition of a field of some types, with these additional properties.
fn field_input_schema(has_type: fn(Kind) -> bool, required: &[&str], others: Value) -> Value {
    let types: Vec<_> = Kind::CUSTOM.into_iter().filter(|kind| has_type(*kind)).map(Kind::as_str).collect();
    let mut properties = json!({
        "internal_name": optional_name_schema(new_field_name_schema(), "Default: derived from the label. Reserved names are rejected"),
        "label": label_schema(),
        "type": {"type": "string", "enum": types}
    });
    if let (Value::Object(properties), Value::Object(others)) = (&mut properties, others) {
        properties.extend(others);
    }
    json!({"type": "object", "required": required, "properties": properties, "additionalProperties": false})
}

/// Returns the schema of a name that a new field can have. Fields of earlier builds have other names.
fn new_field_name_schema() -> Value {
    let pattern = "^[a-z][a-z0-9]*(_[a-z0-9]+)*$";
    json!({"type": "string", "maxLength": 63, "pattern": pattern, "examples": ["shoe_size"]})
}

fn optional_name_schema(mut name: Value, description: &str) -> Value {
    name["type"] = json!(["string", "null"]);
    name["description"] = json!(description);
    name
}

fn options_schema(description: &str) -> Value {
    let items = json!({"$ref": "#/components/schemas/OptionInput"});
    json!({"type": "array", "items": items, "minItems": 1, "maxItems": 1_000, "description": description})
}
