//! The bodies of errors: what went wrong, every detail of it, and how to mend the request (contract §2).

use std::borrow::Cow;

use serde::Serialize;
use uuid::Uuid;

use super::{ApiError, Duplicate};
use crate::fields::Issue;

/// One entry of `details`.
#[derive(Debug, Serialize)]
struct Detail<'a> {
    field: &'a str,
    code: &'static str,
    message: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    existing_id: Option<Uuid>,
}

impl<'a> Detail<'a> {
    fn of_issue(issue: &'a Issue) -> Self {
        let message = Cow::Borrowed(&*issue.message);
        Self { field: &issue.field, code: issue.code.as_str(), message, existing_id: None }
    }

    fn of_duplicate(duplicate: &'a Duplicate) -> Self {
        let message = Cow::Borrowed("belongs to another active contact");
        Self { field: &duplicate.field, code: "duplicate", message, existing_id: duplicate.existing_id }
    }

    fn of_used_option(option: &str) -> Self {
        let message = Cow::Owned(format!("contacts still have the option {option}: change them first"));
        Self { field: "options", code: "option_in_use", message, existing_id: None }
    }
}

/// The body of an error.
#[derive(Debug, Serialize)]
struct Body<'a> {
    error: bool,
    #[serde(flatten)]
    problem: Problem<'a>,
    request_id: &'a str,
}

/// What went wrong, and how to mend it: the body of an error, or of an input of a batch.
#[derive(Debug, Serialize)]
pub(in crate::http) struct Problem<'a> {
    code: &'static str,
    message: Cow<'a, str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Detail<'a>>,
}

impl ApiError {
    /// The body of the answer. Says how to mend the request, and nothing of our insides.
    pub(in crate::http) fn body(&self, request_id: &str) -> Vec<u8> {
        serde_json::to_vec(&Body { error: true, problem: self.problem(), request_id }).unwrap_or_default()
    }

    /// What went wrong, and how to mend it.
    pub(in crate::http) fn problem(&self) -> Problem<'_> {
        Problem { code: self.catalogue().1, message: self.message(), details: self.details() }
    }

    fn message(&self) -> Cow<'static, str> {
        match self {
            Self::MissingContactId | Self::MissingAccountContext | Self::ContactArchived => self.to_string().into(),
            Self::InvalidProperties(issues) => {
                list(issues.iter().map(|issue| &*issue.field), "property is unknown", "properties are unknown")
            }
            Self::InvalidQuery(issues) => list(
                issues.iter().map(|issue| &*issue.field),
                "part of the query is invalid",
                "parts of the query are invalid",
            ),
            Self::ValidationFailed(issues) => {
                list(issues.iter().map(|issue| &*issue.field), "field is invalid", "fields are invalid")
            }
            Self::InvalidJson(error) => format!("The body is not valid JSON: {error}").into(),
            Self::InvalidBody(rule) => rule.clone(),
            Self::Unauthorized { token_sent: false } => "Send a token: Authorization: Bearer <JWT>".into(),
            Self::Unauthorized { token_sent: true } => "The token is not valid: get a new one".into(),
            Self::InsufficientScope { needed } => {
                format!("The token's scope does not cover this call: get one with {}", needed.as_str()).into()
            }
            Self::NotFound => "There is no such object in this account".into(),
            Self::RouteNotFound => "There is no such path".into(),
            Self::MethodNotAllowed => "This path does not take this method: see the Allow header".into(),
            Self::DuplicateContact(duplicates) => list(
                duplicates.iter().map(|duplicate| &*duplicate.field),
                "unique field is taken",
                "unique fields are taken",
            ),
            Self::DuplicateField => "A field of this internal_name exists already".into(),
            Self::OptionInUse(options) => {
                list(options.iter().map(|option| &**option), "option is still in use", "options are still in use")
            }
            Self::TooManyFields { limit, unique } => {
                let kind = if *unique { "unique " } else { "" };
                format!("An account can have at most {limit} custom {kind}fields: delete one first").into()
            }
            Self::PreconditionFailed => {
                "The contact is not as If-Match or If-None-Match demands: read it again and send its present ETag"
                    .into()
            }
            Self::CursorExpired => {
                "The feed no longer has what follows this cursor: read all contacts anew, then go on from after=now"
                    .into()
            }
            Self::IdempotencyKeyReused => "This Idempotency-Key was sent with another request: use a new one".into(),
            Self::NotApplied => "Not applied, because another input of the atomic batch was refused".into(),
            Self::PayloadTooLarge { limit } => format!("The body is larger than {limit} bytes").into(),
            Self::UnsupportedMediaType => "Send the body as application/json".into(),
            Self::MalformedRequest => "What was sent is not an HTTP request: see RFC 9112".into(),
            Self::UriTooLong => "The path and query are too long".into(),
            Self::HeadTooLarge => "There are too many headers, or they are too large: send fewer".into(),
            Self::RateLimited { retry_after } => {
                format!("The account sends too many requests a minute: try again in {retry_after} s").into()
            }
            Self::Internal(_) => "An error on our side; it has been logged with this request_id".into(),
            Self::Unavailable(_) => "The service can't answer now: try again".into(),
        }
    }

    fn details(&self) -> Vec<Detail<'_>> {
        match self {
            Self::InvalidProperties(issues) | Self::InvalidQuery(issues) | Self::ValidationFailed(issues) => {
                issues.iter().map(Detail::of_issue).collect()
            }
            Self::DuplicateContact(duplicates) => duplicates.iter().map(Detail::of_duplicate).collect(),
            Self::OptionInUse(options) => options.iter().map(|option| Detail::of_used_option(option)).collect(),
            _ => vec![],
        }
    }
}

/// "2 fields are invalid: email, shoe_size"
fn list<'a>(names: impl ExactSizeIterator<Item = &'a str>, one: &str, many: &str) -> Cow<'static, str> {
    const SHOWN: usize = 20;
    let count = names.len();
    let shown: Vec<_> = names.take(SHOWN).collect();
    let more = if count > SHOWN { ", …" } else { "" };
    format!("{count} {}: {}{more}", if count == 1 { one } else { many }, shown.join(", ")).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::IssueCode;

    fn body(error: &ApiError) -> serde_json::Value {
        serde_json::from_slice(&error.body("r1")).expect("JSON")
    }

    #[test]
    fn has_the_one_shape_of_the_contract() {
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
        assert_eq!(body(&ApiError::ValidationFailed(issues)), expected);
    }

    #[test]
    fn has_the_messages_that_the_contract_fixes() {
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
    fn leaks_nothing_of_what_went_wrong_inside() {
        for error in [ApiError::Internal("SELECT secret".into()), ApiError::Unavailable("SELECT secret".into())] {
            assert!(!String::from_utf8_lossy(&error.body("r1")).contains("secret"));
        }
    }
}
