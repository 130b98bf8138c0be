//! Refusals of the token endpoint, in the format of RFC 6749 §5.2.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::error::ApiError;

/// How a client that is not known is asked to show its credentials.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"contacts\"");

/// Why a client got no token.
#[derive(Debug)]
pub(super) enum TokenError {
    /// The request can't be understood.
    InvalidRequest(&'static str),
    /// No credentials are sent, or not in a way that is understood.
    MissingCredentials(&'static str),
    /// There is no such client, it is revoked, or its secret is another.
    WrongCredentials,
    /// A grant other than `client_credentials`.
    UnsupportedGrantType,
    /// A scope that does not exist, or that the client does not have.
    InvalidScope(&'static str),
    /// What can go wrong on any route.
    Api(ApiError),
}

impl From<ApiError> for TokenError {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

/// A refusal of the token endpoint (RFC 6749 §5.2)
#[derive(Serialize, ToSchema)]
pub(super) struct TokenRefusal {
    /// What went wrong, for programs.
    #[schema(example = "invalid_client")]
    error: &'static str,
    /// How to mend the request, for people.
    #[schema(example = "There is no such client, or the secret is another")]
    error_description: &'static str,
}

impl IntoResponse for TokenError {
    fn into_response(self) -> Response {
        let (error, error_description) = match self {
            Self::InvalidRequest(how) => ("invalid_request", how),
            Self::MissingCredentials(how) => ("invalid_client", how),
            Self::WrongCredentials => {
                ("invalid_client", "There is no such client, it is revoked, or the secret is another")
            }
            Self::UnsupportedGrantType => ("unsupported_grant_type", "grant_type must be client_credentials"),
            Self::InvalidScope(how) => ("invalid_scope", how),
            // The edge logs it and writes its body.
            Self::Api(error) => return error.into_response(),
        };
        let refusal = Json(TokenRefusal { error, error_description });
        if error == "invalid_client" {
            return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, CHALLENGE)], refusal).into_response();
        }
        (StatusCode::BAD_REQUEST, refusal).into_response()
    }
}

/// The body of an error that any route can have, as the token endpoint answers it. The standard has no codes for what
/// is not the caller's fault: these are its codes of the other endpoint (RFC 6749 §4.1.2.1).
pub(in crate::http) fn body(error: &ApiError) -> Vec<u8> {
    let (error, error_description) = match error {
        ApiError::PayloadTooLarge { .. } => ("invalid_request", "The body is too large"),
        ApiError::Unavailable(_) => ("temporarily_unavailable", "The service can't answer now: try again"),
        _ => ("server_error", "An error on our side; it has been logged with the X-Request-Id of this answer"),
    };
    serde_json::to_vec(&TokenRefusal { error, error_description }).unwrap_or_default()
}
