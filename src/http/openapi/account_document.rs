//! The OpenAPI document of one account, whose contact schemas contain the account's custom fields.

use serde_json::Value;

use super::contact_schemas::ContactSchemas;
use crate::fields::Registry;

/// Returns the public document with the contact schemas replaced by the schemas of an account.
pub(super) fn with_custom_fields(public: &Value, registry: &Registry) -> Value {
    let mut document = public.clone();
    for (name, schema) in ContactSchemas::for_account(registry).schemas() {
        document["components"]["schemas"][name] = schema;
    }
    document
}
