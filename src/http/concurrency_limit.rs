//! The middleware that limits the number of concurrent requests and the time of each request.
//!
//! Requests over the limit are rejected at once. In a queue, they would wait so long that their clients time out before
//! the response.

use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::app::App;
use super::drain_body::drain_body;
use super::error::ApiError;
use super::limits::BodyWait;
use super::oauth;
use super::query::requested_wait;

/// The routes that the limit does not apply to: monitoring must work above all while the service is overloaded.
const EXEMPT_ROUTES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Processes a request if fewer than `MAX_CONCURRENT_REQUESTS`, or for a long poll `MAX_LONG_POLLS`, are in progress.
/// Cancels it after `REQUEST_TIMEOUT_MS`: with 408 while it waits for its body, because nothing has been applied then, and
/// otherwise with 503.
pub(super) async fn limit_concurrency(State(app): State<App>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let is_feed = route == "/contacts/changes";
    // A long poll may take its `wait` in addition to the request timeout.
    let wait = if is_feed { requested_wait(request.uri().query()) } else { Duration::ZERO };
    // Callers without a token send token requests, so these have slots of their own.
    let is_exempt = EXEMPT_ROUTES.contains(&route) || oauth::is_token_request(request.method().as_str(), route);
    let body_wait = BodyWait::default();
    let mut request = drain_body(request, &body_wait);
    request.extensions_mut().insert(body_wait.clone());
    let slot = if is_exempt { None } else { app.limits().slots.try_take(!wait.is_zero()) };
    if slot.is_none() && !is_exempt {
        return ApiError::Unavailable("too many concurrent requests".into()).into_response();
    }
    let timeout = app.settings().request_timeout + wait;
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
