//! The schemas of errors (`docs/api-reference.md#errors`).

use serde_json::{Value, json};

/// Returns the schema of the error of one batch input.
pub(super) fn problem_schema() -> Value {
    json!({
        "type": "object",
        "required": ["code", "message"],
        "properties": {
            "code": {"$ref": "#/components/schemas/ErrorCode"},
            "message": {"type": "string", "description": "Human-readable explanation"},
            "details": {
                "type": "array",
                "description": "Every invalid field, if the error is about fields",
                "items": {"$ref": "#/components/schemas/ErrorDetail"}
            },
            "details_omitted": {
                "type": "integer",
                "minimum": 1,
                "description": "The number of further invalid fields, if there are more than 100"
            }
        }
    })
}

/// Returns the schema of an error code.
pub(super) fn code_schema() -> Value {
    json!({"type": "string", "enum": CODES, "description": "Machine-readable error code"})
}

/// Returns the schema of an invalid field.
pub(super) fn detail_schema() -> Value {
    json!({
        "type": "object",
        "required": ["field", "code", "message"],
        "properties": {
            "field": {"type": "string", "description": "The field, query parameter, header, or path into the body"},
            "code": {"type": "string", "enum": DETAIL_CODES},
            "message": {"type": "string", "description": "How to fix this field"},
            "existing_id": {"type": "string", "format": "uuid", "description": "The contact that has this value of a unique field"}
        }
    })
}

/// Returns the schema of the body of an error response.
pub(super) fn error_schema() -> Value {
    let mut error = problem_schema();
    error["required"] = json!(["error", "code", "message", "request_id"]);
    error["properties"]["error"] = json!({"type": "boolean", "description": "Always true"});
    error["properties"]["request_id"] = json!({"type": "string"});
    error
}

/// The error codes (`docs/api-reference.md#error-codes`). The API tests check every error response against this list.
const CODES: [&str; 31] = [
    "missing_contact_id",
    "invalid_properties",
    "invalid_query",
    "invalid_json",
    "invalid_body",
    "validation_failed",
    "missing_account_context",
    "unauthorized",
    "insufficient_scope",
    "not_found",
    "route_not_found",
    "method_not_allowed",
    "request_timeout",
    "contact_archived",
    "duplicate_contact",
    "duplicate_field",
    "option_in_use",
    "too_many_fields",
    "cursor_expired",
    "precondition_failed",
    "payload_too_large",
    "response_too_large",
    "unsupported_media_type",
    "idempotency_key_reused",
    "not_applied",
    "rate_limited",
    "internal_error",
    "unavailable",
    "malformed_request",
    // Earlier builds sent these two. The HTTP parser now answers such requests with a bare 414 or 431
    // (docs/api-reference.md#bare-responses).
    "uri_too_long",
    "headers_too_large",
];
/// The codes of `details` (`docs/api-reference.md#detail-codes`).
const DETAIL_CODES: [&str; 13] = [
    "unknown_field",
    "unknown_parameter",
    "forbidden_field",
    "invalid_type",
    "invalid_format",
    "invalid_option",
    "too_long",
    "contact_too_large",
    "out_of_range",
    "required",
    "duplicate",
    "archived",
    "option_in_use",
];
