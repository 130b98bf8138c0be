//! Tells those who wait for changes of an account that there may be some. Only of this instance: what others write is
//! found by looking now and then.

use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use uuid::Uuid;

use super::writer::share_of;

/// How many bells there are: accounts share them, and who is woken for nothing looks in vain.
const BELLS: usize = 64;

/// Bells by account.
pub(super) struct Doorbells([Notify; BELLS]);

impl Doorbells {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| Notify::new()))
    }

    /// Wakes those who wait for this account.
    pub(super) fn ring(&self, account: Uuid) {
        self.0[share_of(account, BELLS)].notify_waiters();
    }

    /// Done when the bell rings after this call.
    pub(super) fn listen(&self, account: Uuid) -> Notified<'_> {
        self.0[share_of(account, BELLS)].notified()
    }
}
