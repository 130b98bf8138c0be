//! The trace span of a request, with the attributes of OpenTelemetry's semantic conventions for HTTP servers. It has no
//! `url.path` and no `url.query`, because those contain ids and unique values.

use axum::http::{HeaderMap, HeaderName, StatusCode};
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt, TraceId};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The name that the semantic conventions give to unknown methods.
const OTHER_METHOD: &str = "_OTHER";
const TRACEPARENT: &str = "traceparent";

/// Starts the span of a request. It continues the caller's trace if `traceparent` is valid.
///
/// `method` is `None` for an unknown method, and `route` is empty for an unknown path. Without a trace collector the
/// span is disabled and costs nothing.
pub(super) fn start_span(headers: &HeaderMap, method: Option<&'static str>, route: &str) -> Span {
    let span = tracing::info_span!(
        "request",
        otel.kind = "server",
        otel.name = format!("{} {route}", method.unwrap_or("HTTP")).trim_end(),
        otel.status_code = Empty,
        http.request.method = method.unwrap_or(OTHER_METHOD),
        http.route = Some(route).filter(|route| !route.is_empty()),
        http.response.status_code = Empty,
        "error.type" = Empty,
    );
    if !span.is_disabled() {
        // A malformed `traceparent` is ignored (W3C Trace Context §4.3).
        let parent = TraceContextPropagator::new().extract(&TraceHeaders(headers));
        if parent.span().span_context().is_valid() {
            let _ = span.set_parent(parent);
        }
    }
    span
}

/// Returns the id of the span's trace, for the log. `None` without a trace collector.
pub(super) fn trace_id(span: &Span) -> Option<TraceId> {
    if span.is_disabled() {
        return None;
    }
    Some(span.context().span().span_context().trace_id())
}

/// Records the status of the response, and the code of an error. Only a 5xx status marks the span as failed.
pub(super) fn record_response(span: &Span, status: StatusCode, error_code: Option<&'static str>) {
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", error_code.unwrap_or(status.as_str()));
    }
}

/// Returns whether a `traceparent` has the exact format. The library also accepts numbers that are too short or have a
/// sign.
fn is_well_formed(traceparent: &str) -> bool {
    // Version, trace id, parent id and flags. A version above 00 may have more parts after another dash.
    const FORMAT: &[u8] = b"00-00000000000000000000000000000000-0000000000000000-00";
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let matches = |(byte, format): (u8, &u8)| if *format == b'-' { byte == b'-' } else { is_digit(byte) };
    let has_valid_end = traceparent.as_bytes().get(FORMAT.len()).is_none_or(|byte| *byte == b'-');
    traceparent.len() >= FORMAT.len() && has_valid_end && traceparent.bytes().zip(FORMAT).all(matches)
}

/// The headers from which the propagator reads the trace context.
struct TraceHeaders<'a>(&'a HeaderMap);

impl Extractor for TraceHeaders<'_> {
    /// Returns the value of a header that is sent once. Repeated headers are ignored, because they are ambiguous.
    fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.get_all(name).iter();
        let value = values.next().filter(|_| values.next().is_none())?.to_str().ok()?;
        Some(value).filter(|value| name != TRACEPARENT || is_well_formed(value))
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true)]
    #[case("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", true)]
    #[case("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.more", false)]
    #[case("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1", false)]
    #[case("00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-01", false)]
    #[case("00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false)]
    #[case("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", false)]
    #[case("", false)]
    fn only_well_formed_traceparent_is_accepted(#[case] traceparent: &str, #[case] is_valid: bool) {
        let headers =
            HeaderMap::from_iter([(HeaderName::from_static(TRACEPARENT), traceparent.parse().expect("text"))]);
        assert_eq!(TraceHeaders(&headers).get(TRACEPARENT).is_some(), is_valid);
    }

    #[test]
    fn traceparent_sent_twice_is_ignored() {
        let name = HeaderName::from_static(TRACEPARENT);
        let value = HeaderValue::from_static("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let mut headers = HeaderMap::from_iter([(name.clone(), value.clone())]);
        assert!(TraceHeaders(&headers).get(TRACEPARENT).is_some());
        headers.append(name, value);
        assert_eq!(TraceHeaders(&headers).get(TRACEPARENT), None);
    }
}
