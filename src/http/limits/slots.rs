//! How many requests are worked on at once, and for how long each. What comes above is turned away at once: who waits in
//! a line that only grows is answered when nobody listens any more.

use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::http::error::ApiError;
use crate::http::linger::linger;
use crate::http::query::Query;
use crate::http::state::App;

/// What watches the service has to get through, above all when it is busy.
const EXEMPT: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// How many requests can still be begun.
pub(in crate::http) struct Slots {
    work: Semaphore,
    /// Long polls: they do next to nothing for most of their time.
    polls: Semaphore,
}

impl Slots {
    /// This many of each kind.
    pub(super) fn new(count: usize) -> Self {
        Self { work: Semaphore::new(count), polls: Semaphore::new(count) }
    }

    /// A slot of its kind, if one is free.
    fn take(&self, waits: bool) -> Option<SemaphorePermit<'_>> {
        if waits { &self.polls } else { &self.work }.try_acquire().ok()
    }
}

/// Has a request worked on, unless there are too many, and gives it up when it takes too long.
pub(in crate::http) async fn bounded(State(app): State<App>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    // A long poll has the time that it asked for besides.
    let wait = if route == "/contacts/changes" { Query::wait_of(request.uri().query()) } else { 0 };
    let is_exempt = EXEMPT.contains(&route);
    let request = linger(request);
    let slot = app.limits().slots.take(wait > 0);
    if slot.is_none() && !is_exempt {
        return ApiError::Unavailable("there are too many requests at once".into()).into_response();
    }
    let patience = app.settings().request_timeout + Duration::from_secs(wait);
    let answer = tokio::time::timeout(patience, next.run(request)).await;
    answer.unwrap_or_else(|_| ApiError::Unavailable("the request took too long".into()).into_response())
}
