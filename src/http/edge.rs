//! The edge of the service: what holds for every request, whatever its route. Its id, its log line, the headers of its
//! answer, and the body of its error.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;
use uuid::Uuid;

use super::error::ApiError;
use super::limits::NotedStanding;
use super::state::App;
use super::{meters, oauth, trace};

const REQUEST_ID: &str = "x-request-id";
const MAX_REQUEST_ID_LENGTH: usize = 128;
/// What a method that a caller made up is called.
pub(super) const OTHER_METHOD: &str = "OTHER";

/// Wraps the handling of every request.
pub(super) async fn edge(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let request_id = request_id(&request);
    // The template, never the path: that holds ids and keys.
    let _in_flight = app.enter();
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str).to_owned();
    let method = method_name(request.method());
    let traced = trace::span(request.headers(), method, &route);
    let trace_id = trace::trace_id(&traced).map(tracing::field::display);
    let span = tracing::info_span!("request", id = %request_id, account = tracing::field::Empty, trace_id);
    let noted = app.limits().rates.as_ref().map(|_| NotedStanding::default());
    if let Some(noted) = &noted {
        request.extensions_mut().insert(noted.clone());
    }
    let mut response = async {
        let answer = next.run(request).await;
        let code = answer.extensions().get::<Arc<ApiError>>().map(|error| error.catalogue().1);
        let response = finish(answer, &request_id, oauth::answers(method, &route));
        let (status, after) = (response.status(), started.elapsed());
        tracing::info!(method, route, status = status.as_u16(), ms = millis(after), "answered");
        app.meters().answered(&route, method, status.as_u16(), after);
        code.into_iter().for_each(meters::count_error);
        trace::answered(&traced, status, code);
        response
    }
    .instrument(span)
    .instrument(traced.clone())
    .await;
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    if let Some(noted) = noted {
        noted.write(response.headers_mut());
    }
    if app.is_draining() {
        // Who keeps connections open sends the next request elsewhere, rather than into a closing one.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The method, unless it is one that a caller made up.
fn method_name(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];
    KNOWN.into_iter().find(|known| method == *known).unwrap_or(OTHER_METHOD)
}

/// The caller's id when it is 1–128 visible ASCII characters, else a fresh one (contract §1).
fn request_id(request: &Request) -> String {
    let sent = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let is_good =
        |id: &&str| (1..=MAX_REQUEST_ID_LENGTH).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    sent.filter(is_good).map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

/// Writes the body of an error, logs what only we may know of it, and completes the headers.
fn finish(mut response: Response, request_id: &str, is_of_oauth: bool) -> Response {
    if let Some(error) = response.extensions_mut().remove::<Arc<ApiError>>() {
        match &*error {
            ApiError::Internal(cause) => tracing::error!(%cause, "internal error"),
            ApiError::Unavailable(cause) => tracing::warn!(%cause, "unavailable"),
            _ => {}
        }
        let body = if is_of_oauth { oauth::error_body(&error) } else { error.body(request_id) };
        *response.body_mut() = body.into();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // Of the empty body that the error had so far.
        headers.remove(header::CONTENT_LENGTH);
        headers.extend(error.header());
    }
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}
