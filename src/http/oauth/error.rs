//! Errors of the token endpoint, in the format of RFC 6749 §5.2.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::error::ApiError;

/// The `WWW-Authenticate` header of 401 responses.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"contacts\"");

/// The reason why a client gets no token.
#[derive(Debug)]
pub(super) enum TokenError {
    /// The request is malformed.
    InvalidRequest(&'static str),
    /// Credentials are missing or malformed.
    MissingCredentials(&'static str),
    /// The client does not exist or is revoked, or the secret is wrong.
    WrongCredentials,
    /// A grant other than `client_credentials`.
    UnsupportedGrantType,
    /// A scope does not exist, or the client does not have it.
    InvalidScope(&'static str),
    /// Too many wrong secrets. This one is wrong too.
    SlowDown {
        /// The number of seconds until the next attempt is below the limit again.
        retry_after: u64,
    },
    /// An error that any route can have.
    Api(ApiError),
}

impl From<ApiError> for TokenError {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

/// An error of the token endpoint (RFC 6749 §5.2)
#[derive(Serialize, ToSchema)]
pub(super) struct TokenRefusal {
    /// Machine-readable error code.
    #[schema(example = "invalid_client")]
    error: &'static str,
    /// Human-readable explanation.
    #[schema(example = "Unknown client, revoked client, or wrong secret")]
    error_description: &'static str,
}

impl IntoResponse for TokenError {
    fn into_response(self) -> Response {
        let retry_after = match self {
            Self::SlowDown { retry_after } => Some(retry_after),
            _ => None,
        };
        let (error, error_description) = match self {
            Self::InvalidRequest(description) => ("invalid_request", description),
            Self::MissingCredentials(description) => ("invalid_client", description),
            Self::WrongCredentials => ("invalid_client", "Unknown client, revoked client, or wrong secret"),
            Self::UnsupportedGrantType => ("unsupported_grant_type", "grant_type must be client_credentials"),
            Self::InvalidScope(description) => ("invalid_scope", description),
            Self::SlowDown { .. } => {
                ("slow_down", "Too many wrong secrets. This one is wrong too: check the credentials")
            }
            // The middleware in `request_context.rs` logs the error and writes its body.
            Self::Api(error) => return error.into_response(),
        };
        let body = Json(TokenRefusal { error, error_description });
        if error == "invalid_client" {
            return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, CHALLENGE)], body).into_response();
        }
        if let Some(retry_after) = retry_after {
            let retry_after = HeaderValue::from(retry_after);
            return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, retry_after)], body).into_response();
        }
        (StatusCode::BAD_REQUEST, body).into_response()
    }
}

/// Returns the body for an error that any route can have, in the format of the token endpoint.
///
/// RFC 6749 defines no codes for server errors of this endpoint, so this function uses the codes of the authorization
/// endpoint (RFC 6749 §4.1.2.1).
pub(in crate::http) fn error_body(error: &ApiError) -> Vec<u8> {
    let (error, error_description) = match error {
        ApiError::PayloadTooLarge { .. } => ("invalid_request", "The body is too large"),
        ApiError::RequestTimeout => ("invalid_request", "The body did not arrive in time"),
        ApiError::UnsupportedContentEncoding => {
            ("invalid_request", "Send the body without Content-Encoding, or with exactly one of gzip, zstd and br")
        }
        ApiError::Unavailable(_) => ("temporarily_unavailable", "The service cannot process the request now. Retry it"),
        _ => ("server_error", "Internal error, logged with the X-Request-Id of this response"),
    };
    serde_json::to_vec(&TokenRefusal { error, error_description }).unwrap_or_default()
}
