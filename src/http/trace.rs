//! The span of a request, for those who collect traces (OpenTelemetry's semantic conventions for HTTP servers). It has no
//! `url.path` and no `url.query`: those hold ids and keys.

use axum::http::{HeaderMap, HeaderName, StatusCode};
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// What the conventions call a method that is none of theirs.
const OTHER_METHOD: &str = "_OTHER";

/// The span of a request, part of the caller's trace where `traceparent` names one. While nobody collects traces it is
/// disabled, and free.
pub(super) fn span(headers: &HeaderMap, method: &'static str, route: &str) -> Span {
    let is_known = method != super::edge::OTHER_METHOD;
    let span = tracing::info_span!(
        "request",
        otel.kind = "server",
        otel.name = format!("{} {route}", if is_known { method } else { "HTTP" }).trim_end(),
        otel.status_code = Empty,
        http.request.method = if is_known { method } else { OTHER_METHOD },
        http.route = Some(route).filter(|route| !route.is_empty()),
        http.response.status_code = Empty,
        "error.type" = Empty,
    );
    if !span.is_disabled() {
        // Malformed ones are as good as none (W3C Trace Context §4.3).
        let parent = TraceContextPropagator::new().extract(&Parent(headers));
        if parent.span().span_context().is_valid() {
            let _ = span.set_parent(parent);
        }
    }
    span
}

/// Its trace's id, for the log; `None` while nobody collects traces.
pub(super) fn trace_id(span: &Span) -> Option<String> {
    if span.is_disabled() {
        return None;
    }
    Some(span.context().span().span_context().trace_id().to_string())
}

/// Notes how the request was answered, with which code when it is an error. Only what is our fault makes the span one.
pub(super) fn answered(span: &Span, status: StatusCode, code: Option<&'static str>) {
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", code.unwrap_or(status.as_str()));
    }
}

struct Parent<'a>(&'a HeaderMap);

impl Extractor for Parent<'_> {
    /// The value of a header that is there once: of several it is unknown which one is meant.
    fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.get_all(name).iter();
        let value = values.next().filter(|_| values.next().is_none());
        value.and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}
