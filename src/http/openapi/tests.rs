//! Tests of the complete document and of the schemas in it.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::account_document::with_custom_fields;
use super::contact_schemas::ContactSchemas;
use super::{batch_schemas, schemas, search};
use crate::fields::registry_fixtures as fixtures;
use crate::http::router::openapi_document;

fn public_document() -> &'static Value {
    static DOCUMENT: LazyLock<Value> =
        LazyLock::new(|| serde_json::to_value(openapi_document()).expect("a document is JSON"));
    &DOCUMENT
}

#[test]
fn account_document_has_the_custom_fields_in_every_contact_schema() {
    let document = with_custom_fields(public_document(), &fixtures::registry());
    let schemas = &document["components"]["schemas"];
    for name in ["Contact", "ContactResult", "ContactFields"] {
        assert_eq!(schemas[name]["properties"]["shoe_size"]["type"], json!(["number", "null"]), "{name}");
        let tags = &schemas[name]["properties"]["tags"];
        let value = if name == "ContactFields" { &tags["else"] } else { tags };
        assert_eq!(value["items"]["$ref"], "#/components/schemas/TagsOption", "{name}");
    }
    let changes = &schemas["ContactFields"]["properties"]["tags"]["then"]["properties"];
    assert_eq!(changes["add"]["items"]["$ref"], "#/components/schemas/TagsOption");
    assert_eq!(schemas["TagsOption"]["enum"], json!(["red", "green", "blue"]));
    assert_eq!(schemas["ContactFields"]["additionalProperties"], false);
    let has_value = |name: &str, value: &str| {
        schemas[name]["enum"].as_array().is_some_and(|names| names.iter().any(|name| name == value))
    };
    assert!(has_value("PropertyName", "tags") && has_value("PropertyName", "id"));
    assert!(has_value("UniqueProperty", "badge") && has_value("UniqueProperty", "id"));
    assert!(has_value("KeyProperty", "badge"));
    assert!(!has_value("UniqueProperty", "shoe_size") && !has_value("KeyProperty", "id"));
}

#[test]
fn account_document_has_the_same_schemas_as_the_public_document() {
    let names = |document: &Value| -> Vec<String> {
        document["components"]["schemas"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
    };
    let account_document = with_custom_fields(public_document(), &fixtures::registry());
    let is_of_account = |name: &String| name.ends_with("Option") && name != "FieldOption";
    let shared: Vec<_> = names(&account_document).into_iter().filter(|name| !is_of_account(name)).collect();
    assert_eq!(shared, names(public_document()));
    for (name, schema) in ContactSchemas::for_system_fields().schemas() {
        assert_eq!(public_document()["components"]["schemas"][&name], schema, "{name}");
    }
}

#[test]
fn schemas_written_as_json_appear_unchanged_in_the_document() {
    for (written, schema) in
        schemas::all_schemas().into_iter().chain(batch_schemas::all_schemas()).chain(search::all_schemas())
    {
        assert_eq!(serde_json::to_value(schema).expect("JSON"), written);
    }
}

/// Some generated clients send every default, or require the members that have one.
#[test]
fn no_schema_states_a_default() {
    fn defaults(node: &Value) -> usize {
        match node {
            Value::Array(items) => items.iter().map(defaults).sum(),
            // A member named `default` has a schema, which is an object.
            Value::Object(members) => {
                let is_default = members.get("default").is_some_and(|value| !value.is_object());
                usize::from(is_default) + members.values().map(defaults).sum::<usize>()
            }
            _ => 0,
        }
    }
    assert_eq!(defaults(public_document()), 0);
}
