//! The rate limit: requests per account and minute (`docs/api-reference.md#limits`). Used requests become available
//! again evenly, a sixtieth of the limit each second.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use governor::clock::{Clock, MonotonicClock, Reference};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{NotUntil, Quota, RateLimiter};
use uuid::Uuid;

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

const MINUTE: Duration = Duration::from_secs(60);

type Limiter<C> = RateLimiter<Uuid, DashMapStateStore<Uuid>, C, StateInformationMiddleware>;

/// The remaining requests of each account. Accounts with their full limit take no memory after a while.
pub(in crate::http) struct RateLimits<C: Clock = MonotonicClock> {
    limiter: Limiter<C>,
    limit: NonZeroU32,
    clock: C,
    last_cleanup: Mutex<C::Instant>,
}

/// The state of an account's rate limit, as the `RateLimit-*` headers report it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct RateLimitStatus {
    limit: u32,
    remaining: u32,
    /// The number of seconds until the full limit is available again. After a rejection: until the rejected request can
    /// be repeated.
    reset: u64,
}

impl RateLimitStatus {
    /// Returns the number of seconds until a rejected request can be repeated.
    pub(in crate::http) fn retry_after(&self) -> u64 {
        self.reset
    }
}

impl RateLimits {
    /// Creates a limit of `limit` requests a minute for each account.
    pub(super) fn new(limit: NonZeroU32) -> Self {
        Self::with_clock(limit, MonotonicClock)
    }
}

impl<C: Clock + Clone> RateLimits<C> {
    fn with_clock(limit: NonZeroU32, clock: C) -> Self {
        let limiter = RateLimiter::dashmap_with_clock(Quota::per_minute(limit), clock.clone());
        let last_cleanup = Mutex::new(clock.now());
        Self { limiter: limiter.with_middleware(), limit, clock, last_cleanup }
    }

    /// Charges an account for one request.
    ///
    /// # Errors
    /// The status of the account if it has no request left.
    pub(in crate::http) fn charge_request(&self, account: Uuid) -> Result<RateLimitStatus, RateLimitStatus> {
        self.remove_idle_accounts_once_a_minute();
        match self.limiter.check_key(&account) {
            Ok(state) => Ok(self.status(state.remaining_burst_capacity())),
            Err(not_until) => Err(self.rejected_status(&not_until, NonZeroU32::MIN, 0)),
        }
    }

    /// Charges an account for the additional cost of a request that has been charged once. A request that costs more
    /// than the whole limit costs the whole limit: otherwise it could never succeed.
    ///
    /// # Errors
    /// The status of the account if it does not have enough requests left. Then it is not charged.
    pub(in crate::http) fn charge_additional(
        &self,
        account: Uuid,
        cost: NonZeroU32,
    ) -> Result<RateLimitStatus, RateLimitStatus> {
        let max_cost = NonZeroU32::new(self.limit.get() - 1);
        let Some(cost) = max_cost.map(|max| cost.min(max)) else { return Ok(self.status(0)) };
        match self.limiter.check_key_n(&account, cost) {
            Ok(Ok(state)) => Ok(self.status(state.remaining_burst_capacity())),
            // A repeated request must first pay the charge for one request again.
            Ok(Err(not_until)) => Err(self.rejected_status(&not_until, cost, 1)),
            // The cost is larger than the limit, which `min` above excludes.
            Err(_) => Ok(self.status(0)),
        }
    }

    fn status(&self, remaining: u32) -> RateLimitStatus {
        let limit = self.limit.get();
        RateLimitStatus {
            limit,
            remaining,
            reset: round_up_to_seconds(self.refill_time(limit.saturating_sub(remaining))),
        }
    }

    /// Returns the status of an account after a charge of `rejected` requests failed. Repeating the request costs
    /// `additional` requests more than that charge.
    fn rejected_status(
        &self,
        not_until: &NotUntil<C::Instant>,
        rejected: NonZeroU32,
        additional: u32,
    ) -> RateLimitStatus {
        let wait = not_until.wait_time_from(self.clock.now());
        let missing = (wait.as_nanos() * u128::from(self.limit.get())).div_ceil(MINUTE.as_nanos());
        let remaining = rejected.get().saturating_sub(u32::try_from(missing).unwrap_or(u32::MAX));
        let reset = round_up_to_seconds(wait + self.refill_time(additional)).max(1);
        RateLimitStatus { limit: self.limit.get(), remaining, reset }
    }

    /// Returns the time in which this number of requests becomes available.
    fn refill_time(&self, requests: u32) -> Duration {
        MINUTE * requests / self.limit.get()
    }

    /// Frees the memory of accounts that have their full limit, at most once a minute.
    fn remove_idle_accounts_once_a_minute(&self) {
        let Ok(mut last_cleanup) = self.last_cleanup.try_lock() else { return };
        let now = self.clock.now();
        if Duration::from(now.duration_since(*last_cleanup)) >= MINUTE {
            *last_cleanup = now;
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
    }
}

/// Returns a duration in seconds, rounded up.
pub(super) fn round_up_to_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// Carries the rate-limit status of a request from authentication, where the account becomes known, to the middleware
/// that adds the headers.
#[derive(Debug, Clone, Default)]
pub(in crate::http) struct RateLimitRecorder(Arc<Mutex<Option<RateLimitStatus>>>);

impl RateLimitRecorder {
    /// Stores the status, and replaces an earlier status.
    pub(in crate::http) fn record(&self, status: RateLimitStatus) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
    }

    /// Inserts the `RateLimit-*` headers if a status has been recorded.
    pub(in crate::http) fn insert_headers(&self, headers: &mut HeaderMap) {
        let Some(status) = *self.0.lock().unwrap_or_else(PoisonError::into_inner) else { return };
        headers.insert(LIMIT, HeaderValue::from(status.limit));
        headers.insert(REMAINING, HeaderValue::from(status.remaining));
        headers.insert(RESET, HeaderValue::from(status.reset));
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limits(limit: u32) -> (RateLimits<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (RateLimits::with_clock(NonZeroU32::new(limit).expect("the limit is above 0"), clock.clone()), clock)
    }

    fn status(limit: u32, remaining: u32, reset: u64) -> RateLimitStatus {
        RateLimitStatus { limit, remaining, reset }
    }

    #[test]
    fn requests_count_down_and_become_available_evenly() {
        let (limits, clock) = limits(3);
        let account = Uuid::now_v7();
        assert_eq!(limits.charge_request(account), Ok(status(3, 2, 20)));
        assert_eq!(limits.charge_request(account), Ok(status(3, 1, 40)));
        assert_eq!(limits.charge_request(account), Ok(status(3, 0, 60)));
        assert_eq!(limits.charge_request(account), Err(status(3, 0, 20)));
        clock.advance(Duration::from_millis(18_500));
        assert_eq!(limits.charge_request(account), Err(status(3, 0, 2)), "rounded up");
        assert_eq!(limits.charge_request(Uuid::now_v7()), Ok(status(3, 2, 20)), "another account has its own limit");
        clock.advance(Duration::from_millis(1_500));
        assert_eq!(limits.charge_request(account), Ok(status(3, 0, 60)));
    }

    #[test]
    fn rejected_request_succeeds_after_its_retry_after() {
        for (cost, before) in [(50, 20), (100, 1), (2, 59)] {
            let (limits, clock) = limits(60);
            let account = Uuid::now_v7();
            for _ in 0..before {
                limits.charge_request(account).expect("requests are left");
            }
            let additional = NonZeroU32::new(cost - 1).expect("the cost is above 1");
            let charge = || limits.charge_request(account).and_then(|_| limits.charge_additional(account, additional));
            let rejected = charge().expect_err("too few requests are left");
            clock.advance(Duration::from_secs(rejected.retry_after()));
            assert!(charge().is_ok(), "{cost} after {before}: {rejected:?}");
        }
    }

    #[test]
    fn rejected_request_reports_the_remaining_requests() {
        let (limits, _) = limits(60);
        let account = Uuid::now_v7();
        for _ in 0..55 {
            limits.charge_request(account).expect("requests are left");
        }
        let rejected = limits
            .charge_request(account)
            .and_then(|_| limits.charge_additional(account, NonZeroU32::new(49).expect("the cost is above 0")));
        assert_eq!(rejected, Err(status(60, 4, 46)));
        assert_eq!(limits.charge_request(account), Ok(status(60, 3, 57)));
    }

    #[test]
    fn expensive_request_costs_at_most_the_whole_limit() {
        let (limits, _) = limits(10);
        let account = Uuid::now_v7();
        assert_eq!(limits.charge_request(account), Ok(status(10, 9, 6)));
        assert_eq!(limits.charge_additional(account, NonZeroU32::MAX), Ok(status(10, 0, 60)));
        assert!(limits.charge_additional(account, NonZeroU32::MIN).is_err());
    }

    #[test]
    fn accounts_with_their_full_limit_are_removed_from_memory() {
        let (limits, clock) = limits(6);
        for _ in 0..1_000 {
            limits.charge_request(Uuid::now_v7()).expect("the first request is allowed");
        }
        assert_eq!(limits.limiter.len(), 1_000);
        clock.advance(MINUTE * 2);
        limits.charge_request(Uuid::now_v7()).expect("the first request is allowed");
        assert_eq!(limits.limiter.len(), 1);
    }
}
