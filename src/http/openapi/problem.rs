//! The one shape of errors, for the document.

use serde_json::{Value, json};

/// What went wrong, and how to mend it.
pub(super) fn problem() -> Value {
    json!({
        "type": "object",
        "required": ["code", "message"],
        "properties": {
            "code": {"type": "string", "enum": CODES, "description": "What went wrong, for programs"},
            "message": {"type": "string", "description": "How to mend the request, for people"},
            "details": {
                "type": "array",
                "description": "Every offending field, where there is any",
                "items": {
                    "type": "object",
                    "required": ["field", "code", "message"],
                    "properties": {
                        "field": {"type": "string"},
                        "code": {"type": "string", "enum": DETAIL_CODES},
                        "message": {"type": "string"},
                        "existing_id": {"type": "string", "format": "uuid", "description": "The contact that holds a unique key"}
                    }
                }
            }
        }
    })
}

/// The same, as the body of an answer.
pub(super) fn error() -> Value {
    let mut error = problem();
    error["required"] = json!(["error", "code", "message", "request_id"]);
    error["properties"]["error"] = json!({"type": "boolean", "enum": [true]});
    error["properties"]["request_id"] = json!({"type": "string"});
    error
}

/// The codes of errors, in the order of contract §2. The API's tests check every error they meet against it.
const CODES: [&str; 29] = [
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
    "contact_archived",
    "duplicate_contact",
    "duplicate_field",
    "option_in_use",
    "too_many_fields",
    "cursor_expired",
    "precondition_failed",
    "payload_too_large",
    "unsupported_media_type",
    "idempotency_key_reused",
    "not_applied",
    "rate_limited",
    "internal_error",
    "unavailable",
    "malformed_request",
    "uri_too_long",
    "headers_too_large",
];
const DETAIL_CODES: [&str; 10] = [
    "unknown_field",
    "forbidden_field",
    "invalid_type",
    "invalid_format",
    "invalid_option",
    "too_long",
    "out_of_range",
    "required",
    "duplicate",
    "option_in_use",
];
