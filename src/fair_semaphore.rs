//! A semaphore whose permits accounts share, so that no account can take what the others need.
//!
//! The last quarter of the permits is kept for accounts that hold less than a sixteenth of all permits. Where callers
//! wait, the accounts are served in turn, each of them in order of arrival.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use uuid::Uuid;

/// A semaphore with fewer permits keeps none of them back.
const MIN_DIVISIBLE: usize = 4;

/// A semaphore for many accounts. Cheap to clone.
#[derive(Clone)]
pub(crate) struct FairSemaphore(Arc<Shared>);

struct Shared {
    total: usize,
    state: Mutex<State>,
}

struct State {
    free: usize,
    /// The permits of each account that has any.
    held: HashMap<Uuid, usize>,
    /// The callers that wait, by account. No queue is empty.
    waiting: HashMap<Uuid, VecDeque<Waiter>>,
    /// The accounts with waiting callers, in the order in which they are served.
    turns: VecDeque<Uuid>,
}

struct Waiter {
    count: usize,
    sender: oneshot::Sender<FairPermit>,
}

/// Permits of one account, which return to the semaphore when they are dropped.
#[must_use]
pub(crate) struct FairPermit {
    semaphore: FairSemaphore,
    account: Uuid,
    count: usize,
}

impl FairSemaphore {
    /// Creates a semaphore with this many permits.
    #[must_use]
    pub(crate) fn new(total: usize) -> Self {
        let state = State { free: total, held: HashMap::new(), waiting: HashMap::new(), turns: VecDeque::new() };
        Self(Arc::new(Shared { total, state: Mutex::new(state) }))
    }

    /// Returns the number of permits that a single account can have.
    #[must_use]
    pub(crate) fn max_of_account(&self) -> usize {
        self.0.total - self.kept()
    }

    /// Returns the number of permits that are kept for accounts that hold few.
    fn kept(&self) -> usize {
        if self.0.total < MIN_DIVISIBLE { 0 } else { self.0.total / 4 }
    }

    /// Returns the number of free permits.
    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        self.state().free
    }

    /// Returns the number of callers that are served before a new caller of an account; 0 if it need not wait.
    pub(crate) fn callers_ahead(&self, account: Uuid) -> usize {
        let state = self.state();
        let own = state.waiting.get(&account).map_or(0, VecDeque::len);
        if own == 0 && self.can_take(&state, account, 1) {
            return 0;
        }
        // Each turn serves one caller of every account.
        let ahead =
            |(other, queue): (&Uuid, &VecDeque<Waiter>)| if *other == account { own } else { queue.len().min(own + 1) };
        state.waiting.iter().map(ahead).sum()
    }

    /// Takes `count` permits for an account. Returns `None` if the account would have to wait for them.
    #[must_use]
    pub(crate) fn try_acquire(&self, account: Uuid, count: usize) -> Option<FairPermit> {
        let mut state = self.state();
        let can_take = !state.waiting.contains_key(&account) && self.can_take(&state, account, count);
        can_take.then(|| self.take(&mut state, account, count))
    }

    /// Takes `count` permits for an account, as soon as they are free and it is the turn of the account. A caller that
    /// stops polling the future gives up its place.
    ///
    /// `count` must not be greater than [`Self::max_of_account`]: the caller would wait forever.
    pub(crate) async fn acquire(&self, account: Uuid, count: usize) -> FairPermit {
        loop {
            let receiver = {
                let mut state = self.state();
                if !state.waiting.contains_key(&account) && self.can_take(&state, account, count) {
                    return self.take(&mut state, account, count);
                }
                state.add_waiter(account, count)
            };
            let mut place = Place { semaphore: self, receiver };
            // A sender is dropped without a permit only after its receiver.
            if let Ok(permit) = (&mut place.receiver).await {
                return permit;
            }
        }
    }

    /// Returns whether an account may take permits now.
    fn can_take(&self, state: &State, account: Uuid, count: usize) -> bool {
        let held = state.held.get(&account).copied().unwrap_or_default();
        let is_small = held + count <= self.0.total.div_ceil(16);
        count <= state.free && (is_small || count + self.kept() <= state.free)
    }

    fn take(&self, state: &mut State, account: Uuid, count: usize) -> FairPermit {
        state.free -= count;
        *state.held.entry(account).or_default() += count;
        FairPermit { semaphore: self.clone(), account, count }
    }

    fn release(&self, account: Uuid, count: usize) {
        let mut state = self.state();
        state.free += count;
        if let Some(held) = state.held.get_mut(&account) {
            *held -= count;
            if *held == 0 {
                state.held.remove(&account);
            }
        }
        drop(state);
        self.serve_waiters();
    }

    /// Gives free permits to callers that wait, one caller of each account in turn, until no account can take any.
    /// Removes callers that have stopped waiting.
    fn serve_waiters(&self) {
        // Permits of callers that have just stopped waiting. Dropping them locks the state, so they outlive its guard.
        let mut unused = vec![];
        let mut guard = self.state();
        let state = &mut *guard;
        let mut not_served = 0;
        while not_served < state.turns.len() {
            let Some(account) = state.turns.pop_front() else { break };
            match state.next_waiter_count(account) {
                // All callers of the account have stopped waiting.
                None => continue,
                Some(count) if self.can_take(state, account, count) => {
                    not_served = 0;
                    let permit = self.take(state, account, count);
                    if let Some(waiter) = state.pop_waiter(account)
                        && let Err(permit) = waiter.sender.send(permit)
                    {
                        unused.push(permit);
                    }
                }
                Some(_) => not_served += 1,
            }
            if state.waiting.contains_key(&account) {
                state.turns.push_back(account);
            }
        }
        drop(guard);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add_waiter(&mut self, account: Uuid, count: usize) -> oneshot::Receiver<FairPermit> {
        let (sender, receiver) = oneshot::channel();
        let queue = self.waiting.entry(account).or_default();
        if queue.is_empty() {
            self.turns.push_back(account);
        }
        queue.push_back(Waiter { count, sender });
        receiver
    }

    /// Returns the number of permits that the first caller of an account waits for. Removes callers that have stopped
    /// waiting.
    fn next_waiter_count(&mut self, account: Uuid) -> Option<usize> {
        let queue = self.waiting.get_mut(&account)?;
        while queue.front().is_some_and(|waiter| waiter.sender.is_closed()) {
            queue.pop_front();
        }
        let count = queue.front().map(|waiter| waiter.count);
        if count.is_none() {
            self.waiting.remove(&account);
        }
        count
    }

    fn pop_waiter(&mut self, account: Uuid) -> Option<Waiter> {
        let queue = self.waiting.get_mut(&account)?;
        let waiter = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&account);
        }
        waiter
    }
}

/// The place of a caller in the queue.
struct Place<'a> {
    semaphore: &'a FairSemaphore,
    receiver: oneshot::Receiver<FairPermit>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.receiver.close();
        // Others may be able to take what this caller has waited for.
        self.semaphore.serve_waiters();
    }
}

impl FairPermit {
    /// Returns the number of permits.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Returns the account that holds the permits.
    pub(crate) fn account(&self) -> Uuid {
        self.account
    }

    /// Adds further permits of the same account and semaphore.
    pub(crate) fn merge(&mut self, mut other: Self) {
        self.count += std::mem::take(&mut other.count);
    }

    /// Moves up to `count` permits into a permit of their own.
    pub(crate) fn split(&mut self, count: usize) -> Self {
        let count = count.min(self.count);
        self.count -= count;
        Self { semaphore: self.semaphore.clone(), account: self.account, count }
    }

    /// Returns all permits but `count` to the semaphore.
    pub(crate) fn shrink_to(&mut self, count: usize) {
        if count < self.count {
            self.semaphore.release(self.account, self.count - count);
            self.count = count;
        }
    }
}

impl Drop for FairPermit {
    fn drop(&mut self) {
        if self.count > 0 {
            self.semaphore.release(self.account, self.count);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const A: Uuid = Uuid::from_u128(1);
    const B: Uuid = Uuid::from_u128(2);
    const C: Uuid = Uuid::from_u128(3);

    /// Takes single permits until there are no more, and returns them.
    fn take_all(semaphore: &FairSemaphore, account: Uuid) -> Vec<FairPermit> {
        std::iter::from_fn(|| semaphore.try_acquire(account, 1)).collect()
    }

    /// Polls a future once.
    async fn poll_once<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
        timeout(Duration::ZERO, future).await.ok()
    }

    #[test]
    fn last_quarter_is_kept_for_accounts_that_hold_little() {
        let semaphore = FairSemaphore::new(64);
        let of_a = take_all(&semaphore, A);
        assert_eq!(of_a.len(), 48);
        let of_b = take_all(&semaphore, B);
        assert_eq!(of_b.len(), 4);
        assert!(semaphore.try_acquire(C, 5).is_none() && semaphore.try_acquire(C, 4).is_some());
        drop(of_a);
        assert_eq!(take_all(&semaphore, B).len(), 44);
    }

    #[test]
    fn few_permits_are_not_divided() {
        let expected = [(1, 1), (3, 3), (4, 3), (8, 6)];
        assert_eq!(expected.map(|(total, _)| (total, take_all(&FairSemaphore::new(total), A).len())), expected);
    }

    #[test]
    fn permit_grows_and_shrinks() {
        let semaphore = FairSemaphore::new(16);
        let mut permit = semaphore.try_acquire(A, 2).expect("permits are free");
        permit.merge(semaphore.try_acquire(A, 8).expect("permits are free"));
        assert_eq!((permit.count(), semaphore.free()), (10, 6));
        permit.shrink_to(11);
        permit.shrink_to(4);
        assert_eq!((permit.count(), semaphore.free()), (4, 12));
        drop(permit.split(3));
        assert_eq!((permit.count(), semaphore.free()), (1, 15));
        assert_eq!((permit.split(2).count(), permit.count()), (1, 0));
        drop(permit);
        assert_eq!(semaphore.free(), 16);
    }

    #[tokio::test]
    async fn waiting_accounts_are_served_in_turn() {
        let semaphore = FairSemaphore::new(2);
        let mut held = vec![semaphore.acquire(A, 1).await, semaphore.acquire(A, 1).await];
        let served = Arc::new(Mutex::new(vec![]));
        let waiters = [A, A, A, B, C, B].map(|account| {
            let (semaphore, served) = (semaphore.clone(), Arc::clone(&served));
            async move {
                let permit = semaphore.acquire(account, 1).await;
                served.lock().expect("not poisoned").push(account);
                permit
            }
        });
        let mut waiters = tokio::task::JoinSet::from_iter(waiters);
        tokio::task::yield_now().await;
        while let Some(permit) = held.pop() {
            drop(permit);
            if let Some(next) = waiters.join_next().await {
                held.push(next.expect("no panic"));
            }
        }
        assert_eq!(*served.lock().expect("not poisoned"), [A, B, C, A, B, A]);
        assert_eq!(semaphore.free(), 2);
    }

    #[tokio::test]
    async fn callers_ahead_are_those_of_the_turns_before() {
        let semaphore = FairSemaphore::new(1);
        let _held = semaphore.acquire(A, 1).await;
        let mut waiters: Vec<_> = [A, A, A, B].map(|account| Box::pin(semaphore.acquire(account, 1))).into();
        for waiter in &mut waiters {
            assert!(poll_once(waiter).await.is_none());
        }
        assert_eq!([A, B, C].map(|account| semaphore.callers_ahead(account)), [4, 3, 2]);
        assert_eq!(FairSemaphore::new(1).callers_ahead(A), 0);
    }

    #[tokio::test]
    async fn caller_that_stops_waiting_keeps_no_permit() {
        let semaphore = FairSemaphore::new(1);
        let held = semaphore.acquire(A, 1).await;
        {
            let mut served = Box::pin(semaphore.acquire(B, 1));
            let mut gone = Box::pin(semaphore.acquire(C, 1));
            assert!(poll_once(&mut gone).await.is_none() && poll_once(&mut served).await.is_none());
            drop(gone);
            drop(held);
            drop(poll_once(&mut served).await.expect("the next caller that still waits is served"));
        }
        assert!(semaphore.state().waiting.is_empty() && semaphore.state().turns.is_empty());
        // The permit was sent to a caller that stops waiting before it takes it.
        let held = semaphore.acquire(A, 1).await;
        let mut waiter = Box::pin(semaphore.acquire(B, 1));
        assert!(poll_once(&mut waiter).await.is_none());
        drop(held);
        drop(waiter);
        assert_eq!(semaphore.free(), 1);
    }

    #[tokio::test]
    async fn large_request_does_not_delay_small_ones() {
        let semaphore = FairSemaphore::new(16);
        let held = semaphore.acquire(A, 12).await;
        let mut large = Box::pin(semaphore.acquire(B, 8));
        assert!(poll_once(&mut large).await.is_none());
        assert!(semaphore.try_acquire(C, 1).is_some());
        let mut small = Box::pin(semaphore.acquire(B, 1));
        assert!(poll_once(&mut small).await.is_none(), "the callers of one account are served in order of arrival");
        drop(large);
        assert!(poll_once(&mut small).await.is_some(), "the caller before it has stopped waiting");
        let mut large = Box::pin(semaphore.acquire(B, 8));
        assert!(poll_once(&mut large).await.is_none());
        drop(held);
        assert!(poll_once(&mut large).await.is_some());
    }
}
