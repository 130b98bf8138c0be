//! The schemas of searches (`docs/api-reference.md#search`).

use std::borrow::Cow;

use serde_json::json;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use super::schemas::{FieldValue, PropertyName, SelectedProperty, SortKey, schemas};

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
                "description": "lt, lte, gt, gte, between: fields of type number, date, datetime, archived. contains: text, email, \
                                phone, url, user, and multi_select (one option). starts_with: text, email, phone, url, user. \
                                All other operators: every type"
            },
            "value": {
                "$ref": "#/components/schemas/FieldValue",
                "description": "A valid value of the field. in and not_in: an array of 1 to 100 values. between: an array of two \
                                values. has_value and has_no_value: left out. Never null or empty"
            }
        },
        "additionalProperties": false,
        "examples": [{"property": "email", "operator": "contains", "value": "@example."}]
    }), uses [PropertyName, FieldValue];
    /// Filters of a search, of which a contact must match all.
    FilterGroup => json!({
        "type": "object",
        "required": ["filters"],
        "properties": {"filters": {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/SearchFilter"}}},
        "additionalProperties": false
    }), uses [SearchFilter];
    /// The body of a search.
    SearchInput => json!({
        "type": "object",
        "properties": {
            "filters": {
                "type": ["array", "null"],
                "items": {"$ref": "#/components/schemas/SearchFilter"},
                "maxItems": 50,
                "description": "A contact must match all of these filters. At most 50 filters in total, including filter_groups"
            },
            "filter_groups": {
                "type": ["array", "null"],
                "maxItems": 5,
                "description": "A contact must match all filters of at least one group",
                "items": {"$ref": "#/components/schemas/FilterGroup"}
            },
            "sorts": {
                "type": ["array", "null"],
                "items": {"$ref": "#/components/schemas/SortKey"},
                "maxItems": 10,
                "description": "Sort keys, most significant first. Ties are sorted by id. Unset values come last in both directions"
            },
            "query": {
                "type": ["string", "null"],
                "maxLength": 1_000,
                "description": "At most 20 words. Each must be the beginning of a word in a name, the email, a phone number or the company name. Ignores case"
            },
            "properties": {"type": ["array", "null"], "items": {"$ref": "#/components/schemas/SelectedProperty"}, "description": "Names of fields to return in addition to the default fields"},
            "limit": {"type": ["integer", "null"], "minimum": 1, "maximum": 1000, "description": "The maximum number of contacts in the response. Default: 10"},
            "after": {"type": ["string", "null"], "description": "The `next` cursor of the previous page. The search must be the same"},
            "archived": {"type": ["boolean", "null"], "description": "Include archived contacts. Default: false"}
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
    }), uses [SearchFilter, FilterGroup, SortKey, SelectedProperty];
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
