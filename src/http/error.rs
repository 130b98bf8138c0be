//! The catalogue of errors: every answer that is not a success, in one shape (contract §2).

use std::borrow::Cow;
use std::sync::Arc;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use uuid::Uuid;

use crate::contacts::Collision;
use crate::fields::{Issue, Registry};
use crate::json::JsonError;
use crate::repository::{FieldError, StorageError, WriteError};

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// The path lacks the contact's id.
    #[error("Missing contactId")]
    MissingContactId,
    /// `properties` names what can't be shown.
    #[error("properties names unknown fields")]
    InvalidProperties(Vec<Issue>),
    /// Query parameters, or what a search asks for, are malformed.
    #[error("the query is malformed")]
    InvalidQuery(Vec<Issue>),
    /// The body is not JSON.
    #[error("the body is not JSON: {0}")]
    InvalidJson(#[from] JsonError),
    /// The body is JSON, but not of the shape that the route takes.
    #[error("the body has another shape: {0}")]
    InvalidBody(Cow<'static, str>),
    /// Keys of the body are refused.
    #[error("fields are invalid")]
    ValidationFailed(Vec<Issue>),
    /// The token is good but names no account.
    #[error("Unauthorized: missing account context")]
    MissingAccountContext,
    /// There is no token, or it is not good.
    #[error("no valid token")]
    Unauthorized {
        /// Whether a token was sent.
        token_sent: bool,
    },
    /// The account has no such object.
    #[error("no such object")]
    NotFound,
    /// There is no such path.
    #[error("no such path")]
    RouteNotFound,
    /// The path has no such method.
    #[error("no such method")]
    MethodNotAllowed,
    /// The contact is archived.
    #[error("Object is archived — cannot update")]
    ContactArchived,
    /// Unique keys belong to other active contacts.
    #[error("unique keys are taken")]
    DuplicateContact(Vec<Duplicate>),
    /// The name of a field is taken.
    #[error("the internal_name is taken")]
    DuplicateField,
    /// Options that were to go are still used by contacts.
    #[error("options are in use")]
    OptionInUse(Vec<String>),
    /// The account has as many fields as it can have.
    #[error("too many fields")]
    TooManyFields {
        /// How many it can have.
        limit: usize,
        /// Whether of unique ones.
        unique: bool,
    },
    /// `If-Match` does not match.
    #[error("the precondition does not hold")]
    PreconditionFailed,
    /// The body is larger than is read.
    #[error("the body is larger than {limit} bytes")]
    PayloadTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The body is not declared as JSON.
    #[error("the content type is not JSON")]
    UnsupportedMediaType,
    /// A bug.
    #[error("internal error: {0}")]
    Internal(Cow<'static, str>),
    /// The service can't answer now.
    #[error("unavailable: {0}")]
    Unavailable(Cow<'static, str>),
}

/// A unique key of a request that another active contact holds.
#[derive(Debug)]
pub(super) struct Duplicate {
    /// The field's internal name.
    pub field: String,
    /// The contact that holds the key.
    pub existing_id: Uuid,
}

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
        Self { field: &duplicate.field, code: "duplicate", message, existing_id: Some(duplicate.existing_id) }
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
    code: &'static str,
    message: Cow<'a, str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Detail<'a>>,
    request_id: &'a str,
}

impl ApiError {
    /// The status and the code of each error.
    #[must_use]
    pub(super) fn catalogue(&self) -> (StatusCode, &'static str) {
        match self {
            Self::MissingContactId => (StatusCode::BAD_REQUEST, "missing_contact_id"),
            Self::InvalidProperties(_) => (StatusCode::BAD_REQUEST, "invalid_properties"),
            Self::InvalidQuery(_) => (StatusCode::BAD_REQUEST, "invalid_query"),
            Self::InvalidJson(_) => (StatusCode::BAD_REQUEST, "invalid_json"),
            Self::InvalidBody(_) => (StatusCode::BAD_REQUEST, "invalid_body"),
            Self::ValidationFailed(_) => (StatusCode::BAD_REQUEST, "validation_failed"),
            Self::MissingAccountContext => (StatusCode::UNAUTHORIZED, "missing_account_context"),
            Self::Unauthorized { .. } => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Self::RouteNotFound => (StatusCode::NOT_FOUND, "route_not_found"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::ContactArchived => (StatusCode::CONFLICT, "contact_archived"),
            Self::DuplicateContact(_) => (StatusCode::CONFLICT, "duplicate_contact"),
            Self::DuplicateField => (StatusCode::CONFLICT, "duplicate_field"),
            Self::OptionInUse(_) => (StatusCode::CONFLICT, "option_in_use"),
            Self::TooManyFields { .. } => (StatusCode::CONFLICT, "too_many_fields"),
            Self::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, "precondition_failed"),
            Self::PayloadTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large"),
            Self::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        }
    }

    /// The body of the answer. Says how to mend the request, and nothing of our insides.
    pub(super) fn body(&self, request_id: &str) -> Vec<u8> {
        let body = Body {
            error: true,
            code: self.catalogue().1,
            message: self.message(),
            details: self.details(),
            request_id,
        };
        serde_json::to_vec(&body).unwrap_or_default()
    }

    /// The header that this error adds to the answer.
    pub(super) fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        let challenge = |value| Some((header::WWW_AUTHENTICATE, HeaderValue::from_static(value)));
        match self {
            Self::Unauthorized { token_sent: false } => challenge("Bearer"),
            Self::Unauthorized { token_sent: true } | Self::MissingAccountContext => {
                challenge("Bearer error=\"invalid_token\"")
            }
            Self::Unavailable(_) => Some((header::RETRY_AFTER, HeaderValue::from_static("1"))),
            _ => None,
        }
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
            Self::PreconditionFailed => "The contact has changed: read it again and send its present ETag".into(),
            Self::PayloadTooLarge { limit } => format!("The body is larger than {limit} bytes").into(),
            Self::UnsupportedMediaType => "Send the body as application/json".into(),
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

    /// A failed write; `registry` names the fields.
    pub(super) fn of_write(error: WriteError, registry: &Registry) -> Self {
        let name = |collision: &Collision| {
            let name = registry.by_id(collision.field).map(|field| field.internal_name.clone()).unwrap_or_default();
            Duplicate { field: name, existing_id: collision.existing_id }
        };
        match error {
            WriteError::NotFound => Self::NotFound,
            WriteError::Archived => Self::ContactArchived,
            WriteError::PreconditionFailed => Self::PreconditionFailed,
            WriteError::Duplicate(collisions) => Self::DuplicateContact(collisions.iter().map(name).collect()),
            WriteError::RegistryChanged => Self::Unavailable("the registry keeps changing".into()),
            WriteError::Storage(error) => error.into(),
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

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Bug(_) => Self::Internal(error.to_string().into()),
            _ => Self::Unavailable(error.to_string().into()),
        }
    }
}

impl From<FieldError> for ApiError {
    fn from(error: FieldError) -> Self {
        match error {
            FieldError::NotFound => Self::NotFound,
            FieldError::Duplicate => Self::DuplicateField,
            FieldError::TooMany { limit, unique } => Self::TooManyFields { limit, unique },
            FieldError::OptionsInUse(options) => Self::OptionInUse(options),
            FieldError::Storage(error) => error.into(),
        }
    }
}

/// Only the status: the edge, which knows the request's id, writes the body.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.catalogue().0.into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
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
