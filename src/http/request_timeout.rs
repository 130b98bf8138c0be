//! The middleware that limits the time of each request.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::app::App;
use super::drain_body::drain_body;
use super::error::ApiError;
use super::limits::BodyWait;
use super::query::requested_wait;

/// Cancels a request after `REQUEST_TIMEOUT_MS`: with 408 while it waits for its body, because nothing has been applied
/// then, and otherwise with 503. A long poll may take its `wait` in addition.
pub(super) async fn limit_time(State(app): State<App>, request: Request, next: Next) -> Response {
    let timeout = app.settings().request_timeout + requested_wait(request.extensions(), request.uri());
    let body_wait = BodyWait::default();
    let mut request = drain_body(request, &body_wait);
    request.extensions_mut().insert(body_wait.clone());
    let response = tokio::time::timeout(timeout, next.run(request)).await;
    response.unwrap_or_else(|_| timeout_error(&body_wait).into_response())
}

fn timeout_error(body_wait: &BodyWait) -> ApiError {
    if body_wait.is_waiting() {
        ApiError::RequestTimeout
    } else {
        ApiError::Unavailable("the request timed out".into())
    }
}
