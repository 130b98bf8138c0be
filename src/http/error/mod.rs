//! The catalogue of errors: every answer that is not a success, in one shape (contract §2).

mod body;
mod causes;

use std::borrow::Cow;
use std::sync::Arc;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

pub(super) use body::Problem;

use crate::clients::Scope;
use crate::fields::Issue;
use crate::json::JsonError;

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
    /// The token is limited to scopes that don't cover the call.
    #[error("the token lacks the scope {}", needed.as_str())]
    InsufficientScope {
        /// The scope that would.
        needed: Scope,
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
    /// The entries of the feed after a cursor are no longer kept.
    #[error("the cursor has expired")]
    CursorExpired,
    /// The `Idempotency-Key` belongs to another request.
    #[error("the Idempotency-Key belongs to another request")]
    IdempotencyKeyReused,
    /// Another input that this one stands or falls with was refused.
    #[error("another input was refused")]
    NotApplied,
    /// `If-Match` does not match.
    #[error("the precondition does not hold")]
    PreconditionFailed,
    /// The body is larger than is read.
    #[error("the body is larger than {limit} bytes")]
    PayloadTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// What was sent is no HTTP request.
    #[error("what was sent is no request")]
    MalformedRequest,
    /// The path and query are too long.
    #[error("the URI is too long")]
    UriTooLong,
    /// There are too many headers, or they are too large.
    #[error("the headers are too large")]
    HeadTooLarge,
    /// The account has sent as many requests as it may.
    #[error("the account has no requests left")]
    RateLimited {
        /// In how many seconds it may send this one.
        retry_after: u64,
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
    /// The contact that holds the key; `None` for one that would have been created by the same request.
    pub existing_id: Option<Uuid>,
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
            Self::InsufficientScope { .. } => (StatusCode::FORBIDDEN, "insufficient_scope"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Self::RouteNotFound => (StatusCode::NOT_FOUND, "route_not_found"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::ContactArchived => (StatusCode::CONFLICT, "contact_archived"),
            Self::DuplicateContact(_) => (StatusCode::CONFLICT, "duplicate_contact"),
            Self::DuplicateField => (StatusCode::CONFLICT, "duplicate_field"),
            Self::OptionInUse(_) => (StatusCode::CONFLICT, "option_in_use"),
            Self::TooManyFields { .. } => (StatusCode::CONFLICT, "too_many_fields"),
            Self::CursorExpired => (StatusCode::GONE, "cursor_expired"),
            Self::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, "precondition_failed"),
            Self::IdempotencyKeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused"),
            Self::NotApplied => (StatusCode::FAILED_DEPENDENCY, "not_applied"),
            Self::PayloadTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large"),
            Self::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
            Self::MalformedRequest => (StatusCode::BAD_REQUEST, "malformed_request"),
            Self::UriTooLong => (StatusCode::URI_TOO_LONG, "uri_too_long"),
            Self::HeadTooLarge => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large"),
            Self::RateLimited { .. } => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        }
    }

    /// The header that this error adds to the answer.
    pub(super) fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        let challenge = |value| Some((header::WWW_AUTHENTICATE, HeaderValue::from_static(value)));
        match self {
            Self::Unauthorized { token_sent: false } => challenge("Bearer"),
            Self::Unauthorized { token_sent: true } | Self::MissingAccountContext => {
                challenge("Bearer error=\"invalid_token\"")
            }
            Self::InsufficientScope { .. } => challenge("Bearer error=\"insufficient_scope\""),
            Self::Unavailable(_) => Some((header::RETRY_AFTER, HeaderValue::from_static("1"))),
            Self::RateLimited { retry_after } => Some((header::RETRY_AFTER, HeaderValue::from(*retry_after))),
            // Where one request ends and the next begins is then anyone's guess.
            Self::MalformedRequest => Some((header::CONNECTION, HeaderValue::from_static("close"))),
            _ => None,
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
