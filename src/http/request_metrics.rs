//! The metrics of requests: responses by route, errors by code, requests without a valid token, and long polls.
//!
//! The counters of responses are cached, because every request needs them. Other metrics are looked up by their labels
//! when they change. All labels come from fixed sets, so that callers cannot create new series.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use metrics::{Counter, Gauge, Histogram, Unit};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::auth::RejectReason;
use crate::telemetry::GaugeGuard;

const REQUESTS: &str = "contacts_http_requests_total";
const DURATIONS: &str = "contacts_http_request_duration_seconds";
const IN_FLIGHT: &str = "contacts_http_requests_in_flight";
const ERRORS: &str = "contacts_http_errors_total";
const TOKEN_FAILURES: &str = "contacts_token_failures_total";
const LONG_POLLS: &str = "contacts_feed_long_polls_waiting";
const LONG_POLL_READS: &str = "contacts_feed_long_poll_reads_total";

/// The route label of requests for unknown paths.
const NO_ROUTE: &str = "none";

/// The metrics of the requests of an instance.
pub(super) struct RequestMetrics {
    routes: ArcSwap<HashMap<String, RouteSeries>>,
    in_flight: Gauge,
    long_polls: Gauge,
    long_poll_reads: Counter,
}

/// The series of a route, by method and status.
type RouteSeries = HashMap<(&'static str, u16), ResponseSeries>;

/// The number and the durations of the responses with one route, method and status.
#[derive(Clone)]
struct ResponseSeries {
    requests: Counter,
    durations: Histogram,
}

impl RequestMetrics {
    pub(super) fn new() -> Self {
        describe_counter!(REQUESTS, "Requests, by route template, method and response status.");
        describe_histogram!(DURATIONS, Unit::Seconds, "Time from a request's head to the head of its response.");
        describe_gauge!(IN_FLIGHT, "Requests in flight, except the request for the metrics.");
        describe_counter!(ERRORS, "Error responses, by error code.");
        describe_counter!(TOKEN_FAILURES, "Requests without a valid token, by reason.");
        describe_gauge!(LONG_POLLS, "Long polls of the change feed that are waiting for a change.");
        describe_counter!(LONG_POLL_READS, "Reads of the change feed by long polls.");
        AuthenticationFailure::all().for_each(|failure| failure.count(0));
        Self {
            routes: ArcSwap::default(),
            in_flight: gauge!(IN_FLIGHT),
            long_polls: gauge!(LONG_POLLS),
            long_poll_reads: counter!(LONG_POLL_READS),
        }
    }

    /// Records a response and its duration. `route` is the route's template, empty for an unknown path.
    pub(super) fn record_response(&self, route: &str, method: &'static str, status: u16, duration: Duration) {
        let route = if route.is_empty() { NO_ROUTE } else { route };
        let routes = self.routes.load();
        match routes.get(route).and_then(|series| series.get(&(method, status))) {
            Some(series) => series.record(duration),
            None => self.register_series(route, method, status).record(duration),
        }
    }

    /// Registers the series of a route, method and status that occur for the first time.
    fn register_series(&self, route: &str, method: &'static str, status: u16) -> ResponseSeries {
        let series = ResponseSeries::new(route, method, status);
        self.routes.rcu(|current| {
            let mut routes = HashMap::clone(current);
            routes.entry(route.to_owned()).or_default().insert((method, status), series.clone());
            Arc::new(routes)
        });
        series
    }

    /// Sets the number of requests in flight.
    pub(super) fn set_in_flight(&self, requests: usize) {
        self.in_flight.set(requests as f64);
    }

    /// Counts a waiting long poll until the guard is dropped.
    pub(super) fn track_long_poll(&self) -> GaugeGuard<'_> {
        GaugeGuard::new(&self.long_polls)
    }

    /// Counts a read of the feed by a long poll.
    pub(super) fn count_long_poll_read(&self) {
        self.long_poll_reads.increment(1);
    }
}

impl ResponseSeries {
    fn new(route: &str, method: &'static str, status: u16) -> Self {
        let labels = [("route", route.to_owned()), ("method", method.to_owned()), ("status", status.to_string())];
        Self { requests: counter!(REQUESTS, &labels), durations: histogram!(DURATIONS, &labels) }
    }

    fn record(&self, duration: Duration) {
        self.requests.increment(1);
        self.durations.record(duration);
    }
}

/// Counts an error response by its code. `rate_limited` and `unavailable` show how often callers had to retry.
pub(super) fn count_error_response(code: &'static str) {
    counter!(ERRORS, "code" => code).increment(1);
}

/// The reason why a request has no authenticated caller.
#[derive(Debug, Clone, Copy)]
pub(super) enum AuthenticationFailure {
    /// No token was sent.
    Missing,
    /// The `Authorization` header does not contain a token.
    Unreadable,
    /// The token failed verification.
    Invalid(RejectReason),
    /// The API client of the token is revoked.
    Revoked,
    /// The token names no account.
    NoAccount,
}

impl AuthenticationFailure {
    fn all() -> impl Iterator<Item = Self> {
        let invalid = RejectReason::ALL.into_iter().map(Self::Invalid);
        [Self::Missing, Self::Unreadable, Self::Revoked, Self::NoAccount].into_iter().chain(invalid)
    }

    /// Adds a number of requests to the counter of this reason.
    pub(super) fn count(self, requests: u64) {
        let reason = match self {
            Self::Missing => "missing",
            Self::Unreadable => "unreadable",
            Self::Invalid(reason) => reason.as_str(),
            Self::Revoked => "revoked",
            Self::NoAccount => "no_account",
        };
        counter!(TOKEN_FAILURES, "reason" => reason).increment(requests);
    }
}
