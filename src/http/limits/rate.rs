//! How many requests an account has a minute (contract §2, 429). What is used up comes back evenly, a sixtieth of it each
//! second, so that nobody has to wait for a minute to be over.

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

/// What each account has left. Accounts that have all of it are forgotten.
pub(in crate::http) struct Rates<C: Clock = MonotonicClock> {
    limiter: Limiter<C>,
    limit: NonZeroU32,
    clock: C,
    /// When idle accounts were last forgotten.
    swept: Mutex<C::Instant>,
}

/// How an account stands with its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct Standing {
    limit: u32,
    remaining: u32,
    /// In how many seconds all of it is there again; once refused, what was refused.
    reset: u64,
}

impl Standing {
    /// In how many seconds a refused request would pass.
    pub(in crate::http) fn retry_after(&self) -> u64 {
        self.reset
    }
}

impl Rates {
    /// A limit of so many requests a minute.
    pub(super) fn new(limit: NonZeroU32) -> Self {
        Self::with_clock(limit, MonotonicClock)
    }
}

impl<C: Clock + Clone> Rates<C> {
    fn with_clock(limit: NonZeroU32, clock: C) -> Self {
        let limiter = RateLimiter::dashmap_with_clock(Quota::per_minute(limit), clock.clone());
        let swept = Mutex::new(clock.now());
        Self { limiter: limiter.with_middleware(), limit, clock, swept }
    }

    /// Takes one request from what an account has left.
    ///
    /// # Errors
    /// That there is none.
    pub(in crate::http) fn take_one(&self, account: Uuid) -> Result<Standing, Standing> {
        self.sweep_now_and_then();
        match self.limiter.check_key(&account) {
            Ok(left) => Ok(self.with(left.remaining_burst_capacity())),
            Err(until) => Err(self.short_of(&until, NonZeroU32::MIN, 0)),
        }
    }

    /// Takes the rest of what a request costs of which one is paid. One that costs more than an account ever has costs all
    /// of that: it must be possible.
    ///
    /// # Errors
    /// That there is too little left; then nothing is taken.
    pub(in crate::http) fn take_rest(&self, account: Uuid, rest: NonZeroU32) -> Result<Standing, Standing> {
        let most = NonZeroU32::new(self.limit.get() - 1);
        let Some(rest) = most.map(|most| rest.min(most)) else { return Ok(self.with(0)) };
        match self.limiter.check_key_n(&account, rest) {
            Ok(Ok(left)) => Ok(self.with(left.remaining_burst_capacity())),
            // The one that is paid has to be paid again.
            Ok(Err(until)) => Err(self.short_of(&until, rest, 1)),
            // It can't be: that much there is.
            Err(_) => Ok(self.with(0)),
        }
    }

    fn with(&self, remaining: u32) -> Standing {
        let limit = self.limit.get();
        Standing { limit, remaining, reset: seconds(self.time_of(limit.saturating_sub(remaining))) }
    }

    /// How an account stands that has been refused this much, and when it comes again will need so many more.
    fn short_of(&self, until: &NotUntil<C::Instant>, refused: NonZeroU32, more: u32) -> Standing {
        let wait = until.wait_time_from(self.clock.now());
        let missing = (wait.as_nanos() * u128::from(self.limit.get())).div_ceil(MINUTE.as_nanos());
        let remaining = refused.get().saturating_sub(u32::try_from(missing).unwrap_or(u32::MAX));
        let reset = seconds(wait + self.time_of(more)).max(1);
        Standing { limit: self.limit.get(), remaining, reset }
    }

    /// In what time so many requests come back.
    fn time_of(&self, requests: u32) -> Duration {
        MINUTE * requests / self.limit.get()
    }

    fn sweep_now_and_then(&self) {
        let Ok(mut swept) = self.swept.try_lock() else { return };
        let now = self.clock.now();
        if Duration::from(now.duration_since(*swept)) >= MINUTE {
            *swept = now;
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
    }
}

fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// Carries to the edge how the account of a request stands: what names the account lies further within.
#[derive(Debug, Clone, Default)]
pub(in crate::http) struct NotedStanding(Arc<Mutex<Option<Standing>>>);

impl NotedStanding {
    /// Notes how the account stands.
    pub(in crate::http) fn note(&self, standing: Standing) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(standing);
    }

    /// Says it in the headers of an answer, if the request named an account.
    pub(in crate::http) fn write(&self, headers: &mut HeaderMap) {
        let Some(standing) = *self.0.lock().unwrap_or_else(PoisonError::into_inner) else { return };
        headers.insert(LIMIT, HeaderValue::from(standing.limit));
        headers.insert(REMAINING, HeaderValue::from(standing.remaining));
        headers.insert(RESET, HeaderValue::from(standing.reset));
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn rates(limit: u32) -> (Rates<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (Rates::with_clock(NonZeroU32::new(limit).expect("a limit"), clock.clone()), clock)
    }

    fn standing(limit: u32, remaining: u32, reset: u64) -> Standing {
        Standing { limit, remaining, reset }
    }

    #[test]
    fn counts_down_and_comes_back_evenly() {
        let (rates, clock) = rates(3);
        let account = Uuid::now_v7();
        assert_eq!(rates.take_one(account), Ok(standing(3, 2, 20)));
        assert_eq!(rates.take_one(account), Ok(standing(3, 1, 40)));
        assert_eq!(rates.take_one(account), Ok(standing(3, 0, 60)));
        assert_eq!(rates.take_one(account), Err(standing(3, 0, 20)));
        clock.advance(Duration::from_millis(18_500));
        assert_eq!(rates.take_one(account), Err(standing(3, 0, 2)), "rounded up");
        assert_eq!(rates.take_one(Uuid::now_v7()), Ok(standing(3, 2, 20)), "another account's are its own");
        clock.advance(Duration::from_millis(1_500));
        assert_eq!(rates.take_one(account), Ok(standing(3, 0, 60)));
    }

    #[test]
    fn what_is_refused_passes_when_it_is_told_to_come_again() {
        for (cost, before) in [(50, 20), (100, 1), (2, 59)] {
            let (rates, clock) = rates(60);
            let account = Uuid::now_v7();
            for _ in 0..before {
                rates.take_one(account).expect("there is some left");
            }
            let rest = NonZeroU32::new(cost - 1).expect("more than one");
            let pay = || rates.take_one(account).and_then(|_| rates.take_rest(account, rest));
            let refused = pay().expect_err("there is too little left");
            clock.advance(Duration::from_secs(refused.retry_after()));
            assert!(pay().is_ok(), "{cost} after {before}: {refused:?}");
        }
    }

    #[test]
    fn a_refusal_says_how_much_is_left() {
        let (rates, _) = rates(60);
        let account = Uuid::now_v7();
        for _ in 0..55 {
            rates.take_one(account).expect("there is some left");
        }
        let refused = rates.take_one(account).and_then(|_| rates.take_rest(account, NonZeroU32::new(49).expect("49")));
        assert_eq!(refused, Err(standing(60, 4, 46)));
        assert_eq!(rates.take_one(account), Ok(standing(60, 3, 57)));
    }

    #[test]
    fn a_dear_request_costs_at_most_all_of_it() {
        let (rates, _) = rates(10);
        let account = Uuid::now_v7();
        assert_eq!(rates.take_one(account), Ok(standing(10, 9, 6)));
        assert_eq!(rates.take_rest(account, NonZeroU32::MAX), Ok(standing(10, 0, 60)));
        assert!(rates.take_rest(account, NonZeroU32::MIN).is_err());
    }

    #[test]
    fn forgets_accounts_that_have_all_of_it() {
        let (rates, clock) = rates(6);
        for _ in 0..1_000 {
            rates.take_one(Uuid::now_v7()).expect("the first");
        }
        assert_eq!(rates.limiter.len(), 1_000);
        clock.advance(MINUTE * 2);
        rates.take_one(Uuid::now_v7()).expect("the first");
        assert_eq!(rates.limiter.len(), 1);
    }
}
