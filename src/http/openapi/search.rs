//! The shapes of searches, for the document.

use std::borrow::Cow;

use serde_json::json;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use super::schemas::{PropertyName, SortKey, schemas};

schemas! {
    /// A filter of a search.
    SearchFilter => json!({
        "type": "object",
        "required": ["property", "operator"],
        "properties": {
            "property": {"$ref": "#/components/schemas/PropertyName"},
            "operator": {
                "type": "string",
                "enum": OPERATORS,
                "description": "lt, lte, gt, gte, between: number, date, datetime, archived. contains: text, email, phone, url, user, \
                                and one option of a multi_select. starts_with: text, email, phone, url, user. The others: every type"
            },
            "value": {
                "anyOf": [
                    {"type": "string"},
                    {"type": "number"},
                    {"type": "boolean"},
                    {"type": "array", "items": {"type": ["string", "number", "boolean"]}, "minItems": 1, "maxItems": 100}
                ],
                "description": "A value of the field, by its own rule; an array of 1 to 100 of them for in and not_in, of two for \
                                between; left out for has_value and has_no_value. Never null or empty"
            }
        },
        "additionalProperties": false,
        "examples": [{"property": "email", "operator": "contains", "value": "@example."}]
    }), uses [PropertyName];
    /// The body of a search.
    SearchInput => json!({
        "type": "object",
        "properties": {
            "filters": {
                "type": ["array", "null"],
                "items": {"$ref": "#/components/schemas/SearchFilter"},
                "maxItems": 50,
                "description": "All of these hold. At most 50, those of filter_groups included"
            },
            "filter_groups": {
                "type": ["array", "null"],
                "maxItems": 5,
                "description": "Of these groups, if there are any, one holds wholly",
                "items": {
                    "type": "object",
                    "required": ["filters"],
                    "properties": {"filters": {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/SearchFilter"}}},
                    "additionalProperties": false
                }
            },
            "sorts": {
                "type": ["array", "null"],
                "items": {"$ref": "#/components/schemas/SortKey"},
                "maxItems": 10,
                "description": "The most important first; then by id. Unset values come last in both directions"
            },
            "query": {
                "type": ["string", "null"],
                "maxLength": 1_000,
                "description": "Words, at most 20. Each begins a word of a name, the email, a phone number or the company, in any case"
            },
            "properties": {"type": ["array", "null"], "items": {"$ref": "#/components/schemas/PropertyName"}, "description": "Names of fields to show besides the default ones"},
            "limit": {"type": ["integer", "null"], "minimum": 1, "maximum": 100, "default": 10},
            "after": {"type": ["string", "null"], "description": "Where to go on: the next of the page before, with the same search"},
            "archived": {"type": ["boolean", "null"], "default": false, "description": "Archived contacts too"}
        },
        "additionalProperties": false,
        "examples": [
            {
                "filters": [
                    {"property": "email", "operator": "contains", "value": "@example."},
                    {"property": "created_at", "operator": "gte", "value": "2026-01-01T00:00:00Z"}
                ],
                "sorts": ["company_name", "-updated_at"],
                "properties": ["company_name"],
                "limit": 50
            },
            {
                "filter_groups": [
                    {"filters": [{"property": "external_id", "operator": "in", "value": ["crm-1815", "crm-1852"]}]},
                    {"filters": [{"property": "contact_owner", "operator": "has_no_value"}]}
                ]
            },
            {"query": "ada love"}
        ]
    }), uses [SearchFilter, SortKey, PropertyName];
}

const OPERATORS: [&str; 13] = [
    "eq",
    "neq",
    "in",
    "not_in",
    "has_value",
    "has_no_value",
    "lt",
    "lte",
    "gt",
    "gte",
    "between",
    "contains",
    "starts_with",
];
