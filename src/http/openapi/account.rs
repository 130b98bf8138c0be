//! The document of one account: its contacts also have the account's custom fields, so that a client generated from it
//! is typed.

use std::sync::LazyLock;

use serde_json::Value;

use super::complete;
use super::contact::Shape;
use crate::fields::Registry;

/// The document for everybody.
pub(super) fn public() -> &'static Value {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::to_value(complete()).unwrap_or_default());
    &DOCUMENT
}

/// The same, with all fields of an account.
pub(super) fn with_fields_of(registry: &Registry) -> Value {
    let mut document = public().clone();
    for (name, schema) in Shape::of_account(registry).schemas() {
        document["components"]["schemas"][name] = schema;
    }
    document
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fields::registry_samples as samples;

    #[test]
    fn holds_the_custom_fields_wherever_fields_are_named() {
        let document = with_fields_of(&samples::registry());
        let schemas = &document["components"]["schemas"];
        for shape in ["Contact", "NewContact", "ContactFields"] {
            assert_eq!(schemas[shape]["properties"]["shoe_size"]["type"], json!(["number", "null"]), "{shape}");
            assert_eq!(schemas[shape]["properties"]["tags"]["items"]["enum"], json!(["red", "green", "blue"]));
        }
        assert_eq!(schemas["ContactFields"]["additionalProperties"], false);
        let holds = |name: &str, value: &str| {
            schemas[name]["enum"].as_array().is_some_and(|names| names.iter().any(|name| name == value))
        };
        assert!(holds("PropertyName", "tags") && holds("PropertyName", "id") && holds("SortKey", "-badge"));
        assert!(holds("UniqueProperty", "badge") && holds("UniqueProperty", "id") && holds("KeyProperty", "badge"));
        assert!(!holds("UniqueProperty", "shoe_size") && !holds("KeyProperty", "id"));
    }

    #[test]
    fn has_the_schemas_of_the_public_one_and_no_other() {
        let names = |document: &Value| -> Vec<String> {
            document["components"]["schemas"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
        };
        assert_eq!(names(&with_fields_of(&samples::registry())), names(public()));
        for (name, schema) in Shape::of_everybody().schemas() {
            assert_eq!(public()["components"]["schemas"][name], schema, "{name}");
        }
    }
}
