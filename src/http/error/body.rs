//! The bodies of error responses: the code, a message that says how to fix the request, and every detail
//! (`docs/api-reference.md#errors`).

use std::borrow::Cow;

use serde::Serialize;
use uuid::Uuid;

use super::api_error::{ApiError, Duplicate};
use crate::contacts::UnmetPrecondition;
use crate::fields::{Issue, IssueCode, MAX_ISSUES};
use crate::http::limits::MAX_RESPONSE_BYTES;

/// The number of characters of a contact id that a message repeats.
const MAX_QUOTED_CHARACTERS: usize = 100;

/// One entry of `details`.
#[derive(Debug, Serialize)]
struct ErrorDetail<'a> {
    field: &'a str,
    code: &'static str,
    message: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    existing_id: Option<Uuid>,
}

impl<'a> ErrorDetail<'a> {
    fn from_issue(issue: &'a Issue) -> Self {
        let message = Cow::Borrowed(&*issue.message);
        Self { field: &issue.field, code: issue.code.as_str(), message, existing_id: None }
    }

    fn from_duplicate(duplicate: &'a Duplicate) -> Self {
        let message = Cow::Borrowed("belongs to another active contact");
        Self { field: &duplicate.field, code: "duplicate", message, existing_id: duplicate.existing_id }
    }

    fn from_archived_holder(holder: &'a Duplicate) -> Self {
        let message = Cow::Borrowed("belongs to an archived contact");
        Self { field: &holder.field, code: "archived", message, existing_id: holder.existing_id }
    }

    fn from_used_option(option: &str) -> Self {
        let message = Cow::Owned(format!("contacts still use the option \"{option}\". Change these contacts first"));
        Self { field: "options", code: "option_in_use", message, existing_id: None }
    }
}

/// The body of an error response.
#[derive(Debug, Serialize)]
struct ErrorBody<'a> {
    error: bool,
    #[serde(flatten)]
    problem: Problem<'a>,
    request_id: &'a str,
}

/// The description of an error, as part of an error response or of the result of a batch input.
#[derive(Debug, Serialize)]
pub(in crate::http) struct Problem<'a> {
    code: &'static str,
    message: Cow<'a, str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<ErrorDetail<'a>>,
    /// The number of details that are left out.
    #[serde(skip_serializing_if = "is_zero")]
    details_omitted: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl ApiError {
    /// Returns the JSON body of the response. Its message says how to fix the request and contains no internals.
    pub(in crate::http) fn body(&self, request_id: &str) -> Vec<u8> {
        serde_json::to_vec(&ErrorBody { error: true, problem: self.problem(), request_id }).unwrap_or_default()
    }

    /// Returns the code, message and details.
    pub(in crate::http) fn problem(&self) -> Problem<'_> {
        let (details, details_omitted) = self.details();
        Problem { code: self.code(), message: self.message(), details, details_omitted }
    }

    fn message(&self) -> Cow<'static, str> {
        match self {
            Self::MissingContactId | Self::MissingAccountContext | Self::ContactArchived => self.to_string().into(),
            Self::InvalidProperties(issues) => {
                let total = issues.len() + issues.omitted();
                count_and_join(total, issue_fields(issues), "property is unknown", "properties are unknown")
            }
            Self::InvalidQuery(issues) => match &**issues {
                [issue] if issue.field == "id_property" && issue.code == IssueCode::Required => {
                    "Missing query parameter id_property, for example ?id_property=external_id".into()
                }
                [issue] => format!("Invalid query: {} {}", issue.field, issue.message).into(),
                listed => format!("Invalid query: {}", join_names(issue_fields(listed))).into(),
            },
            Self::ValidationFailed(issues) => {
                let total = issues.len() + issues.omitted();
                count_and_join(total, issue_fields(issues), "field is invalid", "fields are invalid")
            }
            Self::InvalidJson(error) => format!("The body is not valid JSON: {error}").into(),
            Self::InvalidBody(rule) => rule.clone(),
            Self::MissingToken => "Missing token. Send Authorization: Bearer <JWT>".into(),
            Self::InvalidToken(reason) => format!("Invalid token: {reason}").into(),
            Self::InsufficientScope { needed } => format!("Missing scope: {}", needed.as_str()).into(),
            Self::MissingScopeClaim { claim } => {
                format!("The token has no claim {claim}, and this service requires one. Get a token with scopes").into()
            }
            Self::NotFound => "No such object in this account".into(),
            Self::ContactNotFound => "No such contact in this account".into(),
            Self::InvalidContactId(id) => invalid_contact_id(id).into(),
            Self::FieldNotFound => "No such field in this account. GET /fields lists all fields".into(),
            Self::RouteNotFound => "Unknown path. GET /openapi.json lists all routes".into(),
            Self::MethodNotAllowed => {
                "This path does not support this method. The Allow header lists the supported methods".into()
            }
            Self::DuplicateContact(duplicates) => count_and_join(
                duplicates.len(),
                duplicates.iter().map(|duplicate| &*duplicate.field),
                "unique field is taken",
                "unique fields are taken",
            ),
            Self::ArchivedHolder(holder) => format!(
                "An archived contact has this {}. Restore it, or send on_archived=create or on_archived=restore",
                holder.field
            )
            .into(),
            Self::DuplicateField => {
                "A field with this internal_name, or one that differs only in underscores before digits, already exists. \
                 Choose another name"
                    .into()
            },
            Self::OptionInUse(options) => count_and_join(
                options.len(),
                options.iter().map(|option| &**option),
                "option is still in use",
                "options are still in use",
            ),
            Self::TooManyFields { limit, unique } => {
                let kind = if *unique { "unique " } else { "" };
                format!("An account can have at most {limit} custom {kind}fields. Delete a field first").into()
            }
            Self::PreconditionFailed(unmet) => precondition_message(*unmet).into(),
            Self::CursorExpired => {
                "The change feed no longer has the entries after this cursor. Get a new cursor with after=now, then \
                 read all contacts again"
                    .into()
            }
            Self::IdempotencyKeyReused => {
                "This Idempotency-Key belongs to another request. Use a new key for each request".into()
            }
            Self::NotApplied => "Not applied because another input of the atomic batch failed".into(),
            Self::PayloadTooLarge { limit } => format!("The body is larger than {limit} bytes").into(),
            Self::ResponseTooLarge => {
                format!(
                    "The response would be larger than {MAX_RESPONSE_BYTES} bytes. Read this contact in another call, \
                     with fewer inputs or properties"
                )
                .into()
            }
            Self::BatchTooLarge => {
                "The contacts of this batch are too large together to be checked or changed as a whole. Send fewer inputs"
                    .into()
            }
            Self::UnsupportedMediaType => "Send the body with Content-Type: application/json".into(),
            Self::UnsupportedJsonPatch => {
                "JSON Patch is not supported. Send {\"fields\": {internal_name: value, …}} as application/json".into()
            }
            Self::UnsupportedContentEncoding => {
                "Send the body without Content-Encoding, or with exactly one of gzip, zstd and br".into()
            }
            Self::RequestTimeout => {
                "The body did not arrive in time. Nothing was applied: send the request again, without pauses".into()
            }
            Self::MalformedRequest => "The Host or Transfer-Encoding header is malformed. See RFC 9112".into(),
            Self::RateLimited { retry_after } => {
                format!("The account has used up its requests. Retry in {retry_after} s").into()
            }
            Self::Internal(_) => "Internal error. It has been logged with this request_id".into(),
            Self::SlowSearch => {
                "This search reads all contacts of the account, and took too long. Add a query, or a filter that has an index: \
                 eq or in on a unique field; eq, in or starts_with on first_name, last_name, phone, mobile_phone or \
                 company_name; gte on created_at or updated_at. Leave out sorts, or sort by one of these fields except updated_at"
                    .into()
            }
            Self::Unavailable(_) => "Temporarily unavailable. Retry after the seconds in Retry-After".into(),
        }
    }

    /// Returns the first details, and the number of the others.
    fn details(&self) -> (Vec<ErrorDetail<'_>>, usize) {
        match self {
            Self::InvalidProperties(issues) | Self::InvalidQuery(issues) | Self::ValidationFailed(issues) => {
                (issues.iter().map(ErrorDetail::from_issue).collect(), issues.omitted())
            }
            Self::DuplicateContact(duplicates) => (duplicates.iter().map(ErrorDetail::from_duplicate).collect(), 0),
            Self::ArchivedHolder(holder) => (vec![ErrorDetail::from_archived_holder(holder)], 0),
            Self::OptionInUse(options) => {
                let listed = options.iter().take(MAX_ISSUES).map(|option| ErrorDetail::from_used_option(option));
                (listed.collect(), options.len().saturating_sub(MAX_ISSUES))
            }
            _ => (vec![], 0),
        }
    }
}

fn precondition_message(unmet: UnmetPrecondition) -> &'static str {
    match unmet {
        UnmetPrecondition::OtherVersion => {
            "The contact has changed since you read it. Fetch it again and retry with the new ETag"
        }
        UnmetPrecondition::Missing => "The contact does not exist, and If-Match only updates contacts that exist",
        UnmetPrecondition::SameVersion => "The contact has the ETag in If-None-Match, so it is not written",
        UnmetPrecondition::Exists => "The contact already exists, and If-None-Match: * only creates contacts",
    }
}

/// Returns the message for a contact id that is not a UUID. It depends only on the id that was sent, never on the
/// contacts that exist.
fn invalid_contact_id(id: &str) -> String {
    let property = if id.contains('@') { "email" } else { "external_id" };
    let id: String = id.chars().take(MAX_QUOTED_CHARACTERS).collect();
    format!("No contact with id \"{id}\". To look up by {property}, add id_property={property}")
}

fn issue_fields(issues: &[Issue]) -> impl ExactSizeIterator<Item = &str> {
    issues.iter().map(|issue| &*issue.field)
}

/// Returns a number, a text, and names: "2 fields are invalid: email, shoe_size".
fn count_and_join<'a>(
    count: usize,
    names: impl ExactSizeIterator<Item = &'a str>,
    singular: &str,
    plural: &str,
) -> Cow<'static, str> {
    format!("{count} {}: {}", if count == 1 { singular } else { plural }, join_names(names)).into()
}

/// Joins names, at most the first 20: "email, shoe_size".
fn join_names<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    const MAX_LISTED: usize = 20;
    let more = if names.len() > MAX_LISTED { ", …" } else { "" };
    let names: Vec<_> = names.take(MAX_LISTED).collect();
    names.join(", ") + more
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(error: &ApiError) -> serde_json::Value {
        serde_json::from_slice(&error.body("r1")).expect("the body is JSON")
    }

    #[test]
    fn error_body_has_the_documented_shape() {
        let issues = vec![
            Issue::new("email", IssueCode::InvalidFormat, "must be an email address"),
            Issue::new("shoe_size", IssueCode::UnknownField, "is not a field"),
        ];
        let expected = serde_json::json!({
            "error": true, "code": "validation_failed", "message": "2 fields are invalid: email, shoe_size",
            "details": [{"field": "email", "code": "invalid_format", "message": "must be an email address"},
                        {"field": "shoe_size", "code": "unknown_field", "message": "is not a field"}],
            "request_id": "r1"
        });
        assert_eq!(body(&ApiError::ValidationFailed(issues.into())), expected);
    }

    #[test]
    fn documented_messages_are_exact() {
        for (error, message) in [
            (ApiError::MissingContactId, "Missing contactId"),
            (ApiError::MissingAccountContext, "Unauthorized: missing account context"),
            (ApiError::ContactArchived, "Object is archived — cannot update"),
        ] {
            assert_eq!(body(&error)["message"], message);
            assert!(body(&error).get("details").is_none());
        }
    }

    #[test]
    fn internal_causes_are_not_in_the_body() {
        for error in [ApiError::Internal("SELECT secret".into()), ApiError::Unavailable("SELECT secret".into())] {
            assert!(!String::from_utf8_lossy(&error.body("r1")).contains("secret"));
        }
    }
}
