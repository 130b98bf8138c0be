//! The catalogue of errors: every response that is not a success, with its status, code and headers
//! (`docs/api-reference.md#error-codes`).

use std::borrow::Cow;
use std::sync::Arc;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use crate::clients::Scope;
use crate::contacts::UnmetPrecondition;
use crate::fields::Issues;
use crate::json::JsonError;

/// RFC 5789 §3.1.
pub(in crate::http) const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

/// The reason why a request fails.
///
/// The `Display` text is for logs: it contains no value that the caller sent in the path, query or body. The caller
/// gets the message of [`ApiError::body`].
#[derive(Debug, thiserror::Error)]
pub(in crate::http) enum ApiError {
    /// The path lacks the contact's id.
    #[error("Missing contactId")]
    MissingContactId,
    /// `properties` contains names that are not fields of the account.
    #[error("unknown properties")]
    InvalidProperties(Issues),
    /// Query parameters, or the criteria of a search, are malformed.
    #[error("invalid query")]
    InvalidQuery(Issues),
    /// The body is not JSON.
    #[error("invalid JSON")]
    InvalidJson(#[from] JsonError),
    /// The body is JSON, but does not have the shape that the route requires. The text tells the caller how to fix it.
    #[error("invalid body")]
    InvalidBody(Cow<'static, str>),
    /// The names or values of fields in the body are invalid, or the `Idempotency-Key` is malformed.
    #[error("invalid fields")]
    ValidationFailed(Issues),
    /// The token is valid but names no account.
    #[error("Unauthorized: missing account context")]
    MissingAccountContext,
    /// The request carries no bearer token.
    #[error("missing token")]
    MissingToken,
    /// The request carries a token that is not valid. The text is the reason. It contains no part of the token.
    #[error("invalid token: {0}")]
    InvalidToken(Cow<'static, str>),
    /// The token is limited to scopes that do not cover the request.
    #[error("missing scope: {}", needed.as_str())]
    InsufficientScope {
        /// The scope that covers the request.
        needed: Scope,
    },
    /// The token has no scope claim, and the service requires one.
    #[error("missing scope claim")]
    MissingScopeClaim {
        /// The name of the claim.
        claim: String,
    },
    /// The account has no such object.
    #[error("no such object")]
    NotFound,
    /// The account has no such contact.
    #[error("no such contact")]
    ContactNotFound,
    /// The requested contact id is not a UUID, so no contact has it. Contains the id as the caller sent it.
    #[error("no such contact: the id is not a UUID")]
    InvalidContactId(String),
    /// The account has no such field.
    #[error("no such field")]
    FieldNotFound,
    /// No route has this path.
    #[error("no such path")]
    RouteNotFound,
    /// The path does not support this method.
    #[error("method not allowed")]
    MethodNotAllowed,
    /// The contact is archived.
    #[error("Object is archived — cannot update")]
    ContactArchived,
    /// An archived contact has the key of an upsert that refuses to create another contact.
    #[error("an archived contact has the same unique key")]
    ArchivedHolder(Duplicate),
    /// Unique keys belong to other active contacts.
    #[error("unique keys belong to other contacts")]
    DuplicateContact(Vec<Duplicate>),
    /// Another field has the internal name.
    #[error("duplicate internal_name")]
    DuplicateField,
    /// Contacts still use options that the request removes. Contains the names of these options.
    #[error("options are still in use")]
    OptionInUse(Vec<String>),
    /// The account has reached its limit of custom fields.
    #[error("too many custom fields")]
    TooManyFields {
        /// The maximum number of fields.
        limit: usize,
        /// Whether this is the limit of unique custom fields.
        unique: bool,
    },
    /// The change feed no longer contains the entries after a cursor.
    #[error("expired cursor")]
    CursorExpired,
    /// The `Idempotency-Key` belongs to another request.
    #[error("reused Idempotency-Key")]
    IdempotencyKeyReused,
    /// The input is valid, but another input of the same atomic batch failed.
    #[error("another input of the atomic batch failed")]
    NotApplied,
    /// The contact does not meet `If-Match` or `If-None-Match`.
    #[error("precondition failed: {0:?}")]
    PreconditionFailed(UnmetPrecondition),
    /// The body is larger than the limit.
    #[error("the body is larger than {limit} bytes")]
    PayloadTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The contact does not fit into the response to the batch.
    #[error("the response would be too large")]
    ResponseTooLarge,
    /// The contacts of a batch that is applied as a whole are too large together. Nothing was applied.
    #[error("the contacts of the batch are too large together")]
    BatchTooLarge,
    /// The client pauses too long within the body, or sends it too slowly. Nothing of the request has been applied.
    #[error("the body did not arrive in time")]
    RequestTimeout,
    /// `Host` or `Transfer-Encoding` is malformed.
    #[error("malformed request")]
    MalformedRequest,
    /// The account has used up its requests.
    #[error("rate limit exceeded")]
    RateLimited {
        /// The number of seconds until the request can be repeated.
        retry_after: u64,
    },
    /// The declared content type is not JSON.
    #[error("the content type is not JSON")]
    UnsupportedMediaType,
    /// The body is declared as JSON Patch, which the service does not support.
    #[error("the content type is JSON Patch")]
    UnsupportedJsonPatch,
    /// The body has a content coding that the service does not support, or several of them.
    #[error("the content coding is not supported")]
    UnsupportedContentEncoding,
    /// A bug in the service. The text is for the log only.
    #[error("internal error: {0}")]
    Internal(Cow<'static, str>),
    /// A search had to read all contacts of the account, and did not end in time.
    #[error("a search of all contacts did not end in time")]
    SlowSearch,
    /// The service cannot process the request now. The text is for the log only.
    #[error("unavailable: {0}")]
    Unavailable(Cow<'static, str>),
}

/// A unique key of a request that another contact has.
#[derive(Debug)]
pub(in crate::http) struct Duplicate {
    /// The internal name of the field.
    pub field: String,
    /// The contact that has the key. `None` if the same request would have created that contact.
    pub existing_id: Option<Uuid>,
}

impl ApiError {
    /// Returns the memory of the error in addition to its own size, in bytes.
    pub(in crate::http) fn memory_bytes(&self) -> usize {
        match self {
            Self::ValidationFailed(issues) | Self::InvalidQuery(issues) | Self::InvalidProperties(issues) => {
                issues.memory_bytes()
            }
            Self::InvalidContactId(text) => text.capacity(),
            _ => 0,
        }
    }

    /// Returns the status of the response.
    pub(in crate::http) fn status(&self) -> StatusCode {
        self.status_and_code().0
    }

    /// Returns the machine-readable code.
    pub(in crate::http) fn code(&self) -> &'static str {
        self.status_and_code().1
    }

    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::MissingContactId => (StatusCode::BAD_REQUEST, "missing_contact_id"),
            Self::InvalidProperties(_) => (StatusCode::BAD_REQUEST, "invalid_properties"),
            Self::InvalidQuery(_) => (StatusCode::BAD_REQUEST, "invalid_query"),
            Self::InvalidJson(_) => (StatusCode::BAD_REQUEST, "invalid_json"),
            Self::InvalidBody(_) => (StatusCode::BAD_REQUEST, "invalid_body"),
            Self::ValidationFailed(_) => (StatusCode::BAD_REQUEST, "validation_failed"),
            Self::MissingAccountContext => (StatusCode::UNAUTHORIZED, "missing_account_context"),
            Self::MissingToken | Self::InvalidToken(_) => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::InsufficientScope { .. } | Self::MissingScopeClaim { .. } => {
                (StatusCode::FORBIDDEN, "insufficient_scope")
            }
            Self::NotFound | Self::ContactNotFound | Self::InvalidContactId(_) | Self::FieldNotFound => {
                (StatusCode::NOT_FOUND, "not_found")
            }
            Self::RouteNotFound => (StatusCode::NOT_FOUND, "route_not_found"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::ContactArchived | Self::ArchivedHolder(_) => (StatusCode::CONFLICT, "contact_archived"),
            Self::DuplicateContact(_) => (StatusCode::CONFLICT, "duplicate_contact"),
            Self::DuplicateField => (StatusCode::CONFLICT, "duplicate_field"),
            Self::OptionInUse(_) => (StatusCode::CONFLICT, "option_in_use"),
            Self::TooManyFields { .. } => (StatusCode::CONFLICT, "too_many_fields"),
            Self::CursorExpired => (StatusCode::GONE, "cursor_expired"),
            Self::PreconditionFailed(_) => (StatusCode::PRECONDITION_FAILED, "precondition_failed"),
            Self::IdempotencyKeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused"),
            Self::NotApplied => (StatusCode::FAILED_DEPENDENCY, "not_applied"),
            Self::PayloadTooLarge { .. } | Self::BatchTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large"),
            Self::ResponseTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "response_too_large"),
            Self::UnsupportedMediaType | Self::UnsupportedJsonPatch | Self::UnsupportedContentEncoding => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type")
            }
            Self::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "request_timeout"),
            Self::MalformedRequest => (StatusCode::BAD_REQUEST, "malformed_request"),
            Self::RateLimited { .. } => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
            Self::SlowSearch | Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        }
    }

    /// Returns the header that this error adds to the response.
    pub(in crate::http) fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        let challenge = |value| Some((header::WWW_AUTHENTICATE, HeaderValue::from_static(value)));
        match self {
            Self::MissingToken => challenge("Bearer"),
            Self::InvalidToken(reason) => Some((header::WWW_AUTHENTICATE, invalid_token_challenge(reason))),
            Self::MissingAccountContext => {
                Some((header::WWW_AUTHENTICATE, invalid_token_challenge("missing account context")))
            }
            Self::InsufficientScope { .. } | Self::MissingScopeClaim { .. } => {
                challenge("Bearer error=\"insufficient_scope\"")
            }
            Self::SlowSearch | Self::Unavailable(_) => Some((header::RETRY_AFTER, HeaderValue::from_static("1"))),
            Self::RateLimited { retry_after } => Some((header::RETRY_AFTER, HeaderValue::from(*retry_after))),
            Self::UnsupportedContentEncoding => {
                Some((header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd, br")))
            }
            Self::UnsupportedJsonPatch => Some((ACCEPT_PATCH, HeaderValue::from_static("application/json"))),
            // The end of the request is not known, so no other request can follow it on the connection. HTTP/2 has no
            // such header: there, only the stream ends.
            Self::MalformedRequest | Self::RequestTimeout => {
                Some((header::CONNECTION, HeaderValue::from_static("close")))
            }
            _ => None,
        }
    }
}

/// Returns the challenge for a token that is not valid, with the reason (RFC 6750 §3). The description may contain only
/// printable ASCII without `"` and `\`; other characters become `?`.
fn invalid_token_challenge(reason: &str) -> HeaderValue {
    let is_allowed = |character: char| matches!(character, ' '..='~') && !matches!(character, '"' | '\\');
    let reason: String = reason.chars().map(|character| if is_allowed(character) { character } else { '?' }).collect();
    let challenge = format!("Bearer error=\"invalid_token\", error_description=\"{reason}\"");
    HeaderValue::try_from(challenge).unwrap_or(HeaderValue::from_static("Bearer error=\"invalid_token\""))
}

/// Sets the status and stores the error as an extension. The request context middleware writes the body, because it
/// knows the request id.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenge_contains_only_characters_that_need_no_escape() {
        let challenge = |reason: &str| invalid_token_challenge(reason).to_str().expect("ASCII").to_owned();
        assert_eq!(
            challenge("the token expired at 2026-01-02T03:04:05Z (`exp`)"),
            "Bearer error=\"invalid_token\", error_description=\"the token expired at 2026-01-02T03:04:05Z (`exp`)\""
        );
        assert_eq!(
            challenge("a\"b\\c\r\nd\u{e9}\u{7f}"),
            "Bearer error=\"invalid_token\", error_description=\"a?b?c??d??\""
        );
    }
}
