//! The middleware around all handlers. It gives each request an id, logs and measures its response, writes the bodies
//! of errors, compresses bodies, and adds the headers that every response has.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;
use tracing::field::Empty;
use uuid::Uuid;

use super::app::App;
use super::error::ApiError;
use super::header_validation::has_valid_headers;
use super::limits::RateLimitRecorder;
use super::peer::Peer;
use super::response_compression::PreferredCoding;
use super::{oauth, request_metrics, request_span};

const REQUEST_ID: &str = "x-request-id";
const MAX_REQUEST_ID_LENGTH: usize = 128;
/// The name of all unknown methods in logs and metrics, so that callers cannot create new label values.
const OTHER_METHOD: &str = "OTHER";

/// The routes that load balancers, orchestrators and Prometheus call.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Runs the rest of the middleware and the handler. Adds the request id, the log line, the metrics, the trace span,
/// error bodies and common headers.
pub(super) async fn with_request_context(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let request_id = request_id(&request);
    let _in_flight = app.track_request();
    // Logs and metrics get the route's template, never the path, which contains ids and unique values.
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str).to_owned();
    let known_method = known_method(request.method());
    let method = known_method.unwrap_or(OTHER_METHOD);
    let exported_span = request_span::start_span(request.headers(), known_method, &route);
    let trace_id = request_span::trace_id(&exported_span).map(tracing::field::display);
    let peer = Peer::from_request(&request, &app.settings().trusted_proxies);
    request.extensions_mut().insert(peer);
    let log_span = tracing::info_span!(
        "request",
        id = %request_id,
        peer = %peer.address(),
        account = Empty,
        actor = Empty,
        client_id = Empty,
        trace_id
    );
    let rate_limit = app.limits().rates.as_ref().map(|_| RateLimitRecorder::default());
    if let Some(rate_limit) = &rate_limit {
        request.extensions_mut().insert(rate_limit.clone());
    }
    let preferred_coding = PreferredCoding::from_headers(request.headers());
    let mut response = async {
        let mut response = if has_valid_headers(&request) {
            next.run(request).await
        } else {
            ApiError::MalformedRequest.into_response()
        };
        let error_code = response.extensions().get::<Arc<ApiError>>().map(|error| error.code());
        write_error_body(&mut response, &request_id, oauth::is_token_request(method, &route));
        response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        let response = preferred_coding.complete(response, &app.limits().computations).await;
        let (status, duration) = (response.status(), started.elapsed());
        log_response(method, &route, status, duration);
        app.metrics().record_response(&route, method, status.as_u16(), duration);
        if let Some(error_code) = error_code {
            request_metrics::count_error_response(error_code);
        }
        request_span::record_response(&exported_span, status, error_code);
        response
    }
    .instrument(log_span)
    .instrument(exported_span.clone())
    .await;
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    if let Some(rate_limit) = rate_limit {
        rate_limit.insert_headers(response.headers_mut());
    }
    if app.is_draining() {
        // The client then sends its next request on a new connection, and not on one that is about to close.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Returns the name of a standard method, or `None` for any other.
fn known_method(method: &Method) -> Option<&'static str> {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];
    KNOWN.into_iter().find(|known| method == *known)
}

/// Returns the caller's `X-Request-Id` if it is 1–128 visible ASCII characters, otherwise a new id
/// (`docs/api-reference.md#requests-and-responses`).
fn request_id(request: &Request) -> String {
    let sent = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let is_valid =
        |id: &&str| (1..=MAX_REQUEST_ID_LENGTH).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    sent.filter(is_valid).map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

/// Writes the body and headers of an error response, and logs its cause, which the caller must not see.
fn write_error_body(response: &mut Response, request_id: &str, is_token_request: bool) {
    let Some(error) = response.extensions_mut().remove::<Arc<ApiError>>() else { return };
    match &*error {
        ApiError::Internal(cause) => tracing::error!(%cause, "internal error"),
        ApiError::Unavailable(cause) => tracing::warn!(%cause, "unavailable"),
        _ => {}
    }
    let body = if is_token_request { oauth::error_body(&error) } else { error.body(request_id) };
    *response.body_mut() = body.into();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // The old header is the length of the empty body that the error response had before.
    headers.remove(header::CONTENT_LENGTH);
    headers.extend(error.header());
}

/// Logs a response. Successful probes and scrapes, which come every few seconds, are of no interest except for debugging.
fn log_response(method: &str, route: &str, status: StatusCode, duration: Duration) {
    let (code, ms) = (status.as_u16(), milliseconds(duration));
    if status.is_success() && PROBES.contains(&route) {
        tracing::debug!(method, route, status = code, ms, "answered");
    } else {
        tracing::info!(method, route, status = code, ms, "answered");
    }
}

/// Returns a duration in milliseconds, rounded to tenths.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}
