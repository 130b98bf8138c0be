//! The limits on wrong secrets at the token endpoint (`docs/api-reference.md#client-credentials`). They slow down guessing
//! and never reject a right secret, because the secret is checked first.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use moka::sync::Cache;

use super::rate_limit::round_up_to_seconds;
use crate::clients::ClientId;

/// Wrong secrets per minute for a pair of client id and peer.
const PER_PAIR: NonZeroU32 = NonZeroU32::new(10).expect("above 0");
/// Wrong secrets per minute for a peer.
const PER_PEER: NonZeroU32 = NonZeroU32::new(100).expect("above 0");
/// The maximum number of entries of a table. A table over it drops entries that are used less than others.
const MAX_ENTRIES: u64 = 20_000;
/// The time after which an unused entry is dropped. Its limit is available again after a minute.
const IDLE_TIME: Duration = Duration::from_secs(120);

/// The wrong secrets of each peer, and of each pair of client id and peer. `C` is the clock.
pub(in crate::http) struct WrongSecrets<C: Clock = MonotonicClock> {
    pairs: RateTable<(ClientId, IpAddr), C>,
    peers: RateTable<IpAddr, C>,
}

impl WrongSecrets {
    /// Creates empty tables.
    pub(super) fn new() -> Self {
        Self::with_clock(&MonotonicClock)
    }
}

impl<C: Clock + Clone + Send + Sync + 'static> WrongSecrets<C> {
    fn with_clock(clock: &C) -> Self {
        Self { pairs: RateTable::new(PER_PAIR, clock), peers: RateTable::new(PER_PEER, clock) }
    }

    /// Counts a wrong secret. `client` is `None` if the client id is malformed.
    ///
    /// # Errors
    /// The number of seconds until the next wrong secret is below both limits again, at least 1.
    pub(in crate::http) fn count(&self, client: Option<ClientId>, peer: IpAddr) -> Result<(), u64> {
        let of_peer = self.peers.count(peer);
        let of_pair = client.map_or(Ok(()), |client| self.pairs.count((client, peer)));
        match of_peer.err().max(of_pair.err()) {
            Some(wait) => Err(round_up_to_seconds(wait).max(1)),
            None => Ok(()),
        }
    }
}

type KeyLimiter<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// A limit per key and minute, refilled evenly, for a limited number of keys.
struct RateTable<K, C: Clock> {
    limiters: Cache<K, Arc<KeyLimiter<C>>>,
    quota: Quota,
    clock: C,
}

impl<K, C> RateTable<K, C>
where
    K: Hash + Eq + Send + Sync + 'static,
    C: Clock + Clone + Send + Sync + 'static,
{
    fn new(per_minute: NonZeroU32, clock: &C) -> Self {
        let limiters = Cache::builder().max_capacity(MAX_ENTRIES).time_to_idle(IDLE_TIME).build();
        Self { limiters, quota: Quota::per_minute(per_minute), clock: clock.clone() }
    }

    /// Counts an event. If the key is over its limit, returns the time until the next event is allowed.
    fn count(&self, key: K) -> Result<(), Duration> {
        let new_limiter = || Arc::new(RateLimiter::direct_with_clock(self.quota, self.clock.clone()));
        let limiter = self.limiters.get_with(key, new_limiter);
        limiter.check().map_err(|not_until| not_until.wait_time_from(self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;
    use uuid::Uuid;

    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn pair_of_client_and_peer_has_10_wrong_secrets_a_minute_that_refill_evenly() {
        let clock = FakeRelativeClock::default();
        let (limits, client) = (WrongSecrets::with_clock(&clock), ClientId::new(Uuid::now_v7()));
        for _ in 0..10 {
            assert_eq!(limits.count(Some(client), PEER), Ok(()));
        }
        assert_eq!(limits.count(Some(client), PEER), Err(6));
        let (other_client, other_peer) = (ClientId::new(Uuid::now_v7()), IpAddr::from([192, 0, 2, 2]));
        assert_eq!(limits.count(Some(other_client), PEER), Ok(()));
        assert_eq!(limits.count(Some(client), other_peer), Ok(()));
        clock.advance(Duration::from_secs(6));
        assert_eq!(limits.count(Some(client), PEER), Ok(()));
        assert_eq!(limits.count(Some(client), PEER), Err(6));
    }

    #[test]
    fn peer_has_100_wrong_secrets_a_minute_over_all_clients() {
        let limits = WrongSecrets::with_clock(&FakeRelativeClock::default());
        for number in 0..100 {
            let client = Some(ClientId::new(Uuid::now_v7())).filter(|_| number % 2 == 0);
            assert_eq!(limits.count(client, PEER), Ok(()), "{number}");
        }
        assert_eq!(limits.count(None, PEER), Err(1));
        assert_eq!(limits.count(None, IpAddr::from([192, 0, 2, 2])), Ok(()));
    }

    #[test]
    fn table_has_a_limited_number_of_entries() {
        let limits = WrongSecrets::with_clock(&FakeRelativeClock::default());
        for number in 0..u32::try_from(MAX_ENTRIES).expect("a small number") + 1_000 {
            let _ = limits.count(None, IpAddr::from(number.to_be_bytes()));
        }
        limits.peers.limiters.run_pending_tasks();
        assert!(limits.peers.limiters.entry_count() <= MAX_ENTRIES);
    }
}
