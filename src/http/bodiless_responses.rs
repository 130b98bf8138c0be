//! Responses whose status allows no body.

use axum::http::{StatusCode, header};
use axum::response::Response;

/// Removes `Content-Length` from responses whose status allows no body (RFC 9110 §8.6): 204, and 304, where a length of
/// 0 would mean that the resource is empty. The router adds the header to every response.
pub(super) fn remove_content_length(mut response: Response) -> Response {
    if matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    response
}
