//! The middleware that limits the time of each request.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::app::App;
use super::drain_body::drain_body;
use super::error::ApiError;
use super::query::requested_wait;

/// Cancels a request after `REQUEST_TIMEOUT_MS`. A long poll may take its `wait` in addition.
pub(super) async fn limit_time(State(app): State<App>, request: Request, next: Next) -> Response {
    let timeout = app.settings().request_timeout + requested_wait(request.extensions(), request.uri());
    let response = tokio::time::timeout(timeout, next.run(drain_body(request))).await;
    response.unwrap_or_else(|_| ApiError::Unavailable("the request timed out".into()).into_response())
}
