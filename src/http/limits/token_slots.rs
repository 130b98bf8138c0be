//! The slots for concurrent requests to the token endpoint, which callers without a token can send.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

/// The maximum number of concurrent token requests.
const MAX_REQUESTS: usize = 256;
/// The maximum number of concurrent token requests of one peer, so that no peer can take all slots.
const MAX_REQUESTS_OF_PEER: usize = MAX_REQUESTS / 2;
/// The number of slots that every peer can take. The others are kept for peers with fewer than
/// [`FEW_REQUESTS_OF_PEER`], so that a few peers cannot shut out all others.
const SLOTS_OF_ALL_PEERS: usize = MAX_REQUESTS / 4 * 3;
const FEW_REQUESTS_OF_PEER: usize = MAX_REQUESTS / 16;
/// The maximum number of database connections that look up API clients, so that requests with wrong secrets leave the
/// others to the API.
const MAX_LOOKUPS: usize = 2;
/// How long a token request waits for its look-up.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

/// The slots for token requests. They are separate from the slots of all other requests.
pub(in crate::http) struct TokenSlots {
    /// The number of token requests of each peer that has one.
    requests: Mutex<HashMap<IpAddr, usize>>,
    lookups: Semaphore,
}

impl TokenSlots {
    /// Creates free slots.
    pub(super) fn new() -> Self {
        Self { requests: Mutex::default(), lookups: Semaphore::new(MAX_LOOKUPS) }
    }

    /// Takes a slot for a request of this peer until the guard is dropped. Returns `None` if no slot is free.
    pub(in crate::http) fn try_take(&self, peer: IpAddr) -> Option<TokenSlot<'_>> {
        let mut requests = self.lock();
        let of_peer = requests.get(&peer).copied().unwrap_or(0);
        let max = if of_peer < FEW_REQUESTS_OF_PEER { MAX_REQUESTS } else { SLOTS_OF_ALL_PEERS };
        if of_peer >= MAX_REQUESTS_OF_PEER || requests.values().sum::<usize>() >= max {
            return None;
        }
        requests.insert(peer, of_peer + 1);
        Some(TokenSlot { slots: self, peer })
    }

    /// Waits until the client may be looked up in the database. Returns `None` if that takes too long.
    pub(in crate::http) async fn wait_for_lookup(&self) -> Option<SemaphorePermit<'_>> {
        tokio::time::timeout(LOOKUP_TIMEOUT, self.lookups.acquire()).await.ok()?.ok()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The slot of a token request.
pub(in crate::http) struct TokenSlot<'a> {
    slots: &'a TokenSlots,
    peer: IpAddr,
}

impl Drop for TokenSlot<'_> {
    fn drop(&mut self) {
        let mut requests = self.slots.lock();
        match requests.get_mut(&self.peer) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                requests.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    /// Takes as many slots for a peer as it can have.
    fn take_all(slots: &TokenSlots, peer: IpAddr) -> Vec<TokenSlot<'_>> {
        std::iter::from_fn(|| slots.try_take(peer)).collect()
    }

    #[test]
    fn few_peers_cannot_take_the_slots_of_others() {
        let slots = TokenSlots::new();
        let taken: Vec<_> = (0..10).map(|number| take_all(&slots, peer(number))).collect();
        assert_eq!(taken.iter().map(Vec::len).collect::<Vec<_>>(), [128, 64, 16, 16, 16, 16, 0, 0, 0, 0]);
    }

    #[test]
    fn slot_is_free_again_when_its_request_ends() {
        let slots = TokenSlots::new();
        let mut taken = take_all(&slots, peer(1));
        assert_eq!(taken.len(), MAX_REQUESTS_OF_PEER);
        taken.pop();
        let next = slots.try_take(peer(1));
        assert!(next.is_some() && slots.try_take(peer(1)).is_none());
        drop((taken, next));
        assert!(slots.lock().is_empty());
    }
}
