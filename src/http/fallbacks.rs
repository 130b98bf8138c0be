//! Responses to requests that no handler answers: unknown paths and methods, a missing contact id, and panics.

use std::any::Any;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;

use super::app::App;
use super::authentication::Caller;
use super::error::ApiError;

/// Answers a request for an unknown path with 404 `route_not_found`.
pub(super) async fn route_not_found() -> ApiError {
    ApiError::RouteNotFound
}

/// Answers any method on a path that lacks the contact's id with 400 `missing_contact_id`, after the token, rate limit
/// and scope checks (`docs/api-reference.md#order-of-checks`).
pub(super) async fn missing_contact_id(State(app): State<App>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    match Caller::from_request_parts(&mut parts, &app).await {
        Ok(_) => ApiError::MissingContactId.into_response(),
        Err(error) => error.into_response(),
    }
}

/// Answers methods that a route does not support with 405, and `OPTIONS` of any route with 204. The router adds
/// `Allow`.
pub(super) async fn method_not_allowed(state: State<App>, request: Request) -> Response {
    if lacks_contact_id(&request) {
        return missing_contact_id(state, request).await;
    }
    if request.method() == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    ApiError::MethodNotAllowed.into_response()
}

/// Returns whether a request is for one contact but its path has no id: a blank id, or PATCH or DELETE of `/contacts`.
fn lacks_contact_id(request: &Request) -> bool {
    match request.uri().path().strip_prefix("/contacts") {
        Some("") => matches!(*request.method(), Method::PATCH | Method::DELETE),
        Some(rest) => {
            let id = rest.split('/').nth(1).unwrap_or_default();
            percent_decode_str(id).decode_utf8().is_ok_and(|id| id.trim().is_empty())
        }
        None => false,
    }
}

/// Answers 500 when a handler panics, so that the connection stays open. The panic hook has logged the location.
pub(super) fn internal_error_after_panic(_: Box<dyn Any + Send>) -> Response {
    ApiError::Internal("a handler panicked".into()).into_response()
}
