//! The span of a request, for those who collect traces (OpenTelemetry's semantic conventions for HTTP servers). It has no
//! `url.path` and no `url.query`: those hold ids and keys.

use axum::http::{HeaderMap, HeaderName, StatusCode};
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt, TraceId};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// What the conventions call a method that is none of theirs.
const OTHER_METHOD: &str = "_OTHER";
const TRACEPARENT: &str = "traceparent";

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
pub(super) fn trace_id(span: &Span) -> Option<TraceId> {
    if span.is_disabled() {
        return None;
    }
    Some(span.context().span().span_context().trace_id())
}

/// Notes how the request was answered, with which code when it is an error. Only what is our fault makes the span one.
pub(super) fn answered(span: &Span, status: StatusCode, code: Option<&'static str>) {
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", code.unwrap_or(status.as_str()));
    }
}

/// Whether a `traceparent` has the form of one: the library takes numbers that are too short, or have a sign.
fn has_form(traceparent: &str) -> bool {
    // Version, trace, parent and flags; a later version than ours may go on after another dash.
    const FORM: &[u8] = b"00-00000000000000000000000000000000-0000000000000000-00";
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let fits = |(byte, form): (u8, &u8)| if *form == b'-' { byte == b'-' } else { is_digit(byte) };
    let is_longer_rightly = traceparent.as_bytes().get(FORM.len()).is_none_or(|byte| *byte == b'-');
    traceparent.len() >= FORM.len() && is_longer_rightly && traceparent.bytes().zip(FORM).all(fits)
}

struct Parent<'a>(&'a HeaderMap);

impl Extractor for Parent<'_> {
    /// The value of a header that is there once: of several it is unknown which one is meant.
    fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.get_all(name).iter();
        let value = values.next().filter(|_| values.next().is_none())?.to_str().ok()?;
        Some(value).filter(|value| name != TRACEPARENT || has_form(value))
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
    fn knows_the_form_of_a_parent(#[case] traceparent: &str, #[case] is_good: bool) {
        let headers =
            HeaderMap::from_iter([(HeaderName::from_static(TRACEPARENT), traceparent.parse().expect("text"))]);
        assert_eq!(Parent(&headers).get(TRACEPARENT).is_some(), is_good);
    }

    #[test]
    fn takes_a_parent_that_is_named_once_only() {
        let name = HeaderName::from_static(TRACEPARENT);
        let value = HeaderValue::from_static("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let mut headers = HeaderMap::from_iter([(name.clone(), value.clone())]);
        assert!(Parent(&headers).get(TRACEPARENT).is_some());
        headers.append(name, value);
        assert_eq!(Parent(&headers).get(TRACEPARENT), None);
    }
}
