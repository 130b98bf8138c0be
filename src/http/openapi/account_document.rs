//! The OpenAPI document of one account, whose contact schemas contain the account's custom fields.

use serde_json::{Map, Value};

use super::contact_schemas::ContactSchemas;
use crate::fields::Registry;

/// Returns the public document with the contact schemas replaced by the schemas of an account.
pub(super) fn with_custom_fields(public: &Value, registry: &Registry) -> Value {
    let mut document = public.clone();
    let public_schemas = public["components"]["schemas"].as_object().into_iter().flat_map(Map::keys);
    for (name, schema) in ContactSchemas::for_account(registry, public_schemas).schemas() {
        document["components"]["schemas"][name] = schema;
    }
    document
}
