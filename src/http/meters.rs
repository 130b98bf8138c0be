//! What this room measures: requests by their route, and what is refused at the door.
//!
//! Handles of requests are kept, since every request needs one; the rest is looked up by its labels when it happens. All
//! labels come from fixed sets: what a caller makes up adds none.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use metrics::{Counter, Gauge, Histogram, Unit};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::auth::Flaw;
use crate::telemetry::Raised;

const REQUESTS: &str = "contacts_http_requests_total";
const DURATIONS: &str = "contacts_http_request_duration_seconds";
const IN_FLIGHT: &str = "contacts_http_requests_in_flight";
const ERRORS: &str = "contacts_http_errors_total";
const TOKEN_FAILURES: &str = "contacts_token_failures_total";
const LONG_POLLS: &str = "contacts_feed_long_polls_waiting";

/// The route of requests that have none.
const NO_ROUTE: &str = "none";

/// What a service measures of its requests.
pub(super) struct Meters {
    routes: ArcSwap<HashMap<String, Answers>>,
    in_flight: Gauge,
    long_polls: Gauge,
}

/// The series of a route, by method and status.
type Answers = HashMap<(&'static str, u16), Series>;

#[derive(Clone)]
struct Series {
    requests: Counter,
    durations: Histogram,
}

impl Meters {
    pub(super) fn new() -> Self {
        describe_counter!(REQUESTS, "Requests answered, by the template of their route, their method and the status.");
        describe_histogram!(DURATIONS, Unit::Seconds, "Time from a request's head to the head of its answer.");
        describe_gauge!(IN_FLIGHT, "Requests that are being answered, but for that for the metrics.");
        describe_counter!(ERRORS, "Requests answered with an error, by its code.");
        describe_counter!(TOKEN_FAILURES, "Requests without a token that is good, by what is wrong with it.");
        describe_gauge!(LONG_POLLS, "Readers of the change feed that wait for something to come.");
        NoCaller::all().for_each(|reason| reason.count(0));
        Self { routes: ArcSwap::default(), in_flight: gauge!(IN_FLIGHT), long_polls: gauge!(LONG_POLLS) }
    }

    /// Counts a request that is answered. `route` is the template of its route, empty when it has none.
    pub(super) fn answered(&self, route: &str, method: &'static str, status: u16, after: Duration) {
        let route = if route.is_empty() { NO_ROUTE } else { route };
        let known = self.routes.load();
        match known.get(route).and_then(|answers| answers.get(&(method, status))) {
            Some(series) => series.record(after),
            None => self.add(route, method, status).record(after),
        }
    }

    /// Registers the series of answers that have not been given before.
    fn add(&self, route: &str, method: &'static str, status: u16) -> Series {
        let series = Series::new(route, method, status);
        self.routes.rcu(|known| {
            let mut routes = HashMap::clone(known);
            routes.entry(route.to_owned()).or_default().insert((method, status), series.clone());
            Arc::new(routes)
        });
        series
    }

    /// Shows how many requests are being answered.
    pub(super) fn show_in_flight(&self, requests: usize) {
        self.in_flight.set(requests as f64);
    }

    /// Counts a reader of the feed who waits, until the guard is dropped.
    pub(super) fn long_poll(&self) -> Raised<'_> {
        Raised::new(&self.long_polls)
    }
}

impl Series {
    fn new(route: &str, method: &'static str, status: u16) -> Self {
        let labels = [("route", route.to_owned()), ("method", method.to_owned()), ("status", status.to_string())];
        Self { requests: counter!(REQUESTS, &labels), durations: histogram!(DURATIONS, &labels) }
    }

    fn record(&self, after: Duration) {
        self.requests.increment(1);
        self.durations.record(after);
    }
}

/// Counts an answer that is an error, by its code: also how often callers were told to come back later.
pub(super) fn count_error(code: &'static str) {
    counter!(ERRORS, "code" => code).increment(1);
}

/// Why a request has no caller.
#[derive(Debug, Clone, Copy)]
pub(super) enum NoCaller {
    /// No token was sent.
    Missing,
    /// What was sent can't be a token.
    Unreadable,
    /// The token is not good.
    Invalid(Flaw),
    /// Its client is revoked.
    Revoked,
    /// It names no account.
    NoAccount,
}

impl NoCaller {
    fn all() -> impl Iterator<Item = Self> {
        let invalid = Flaw::ALL.into_iter().map(Self::Invalid);
        [Self::Missing, Self::Unreadable, Self::Revoked, Self::NoAccount].into_iter().chain(invalid)
    }

    /// Counts so many requests that are refused for this.
    pub(super) fn count(self, requests: u64) {
        let reason = match self {
            Self::Missing => "missing",
            Self::Unreadable => "unreadable",
            Self::Invalid(flaw) => flaw.as_str(),
            Self::Revoked => "revoked",
            Self::NoAccount => "no_account",
        };
        counter!(TOKEN_FAILURES, "reason" => reason).increment(requests);
    }
}
