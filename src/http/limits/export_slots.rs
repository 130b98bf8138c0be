//! The slots for exports over HTTP. An export takes long, so only few run at a time.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

/// The maximum number of exports at a time (`docs/api-reference.md#limits`).
const MAX_EXPORTS: usize = 4;

/// The accounts of the exports that are running. An account can have one.
#[derive(Default)]
pub(in crate::http) struct ExportSlots(Arc<Mutex<HashSet<Uuid>>>);

/// A slot, which is free again when it is dropped.
pub(in crate::http) struct ExportSlot {
    account: Uuid,
    running: Arc<Mutex<HashSet<Uuid>>>,
}

impl ExportSlots {
    /// Takes a slot. Returns `None` if the account has an export already, or if there are too many.
    pub(in crate::http) fn try_take(&self, account: Uuid) -> Option<ExportSlot> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_free = running.len() < MAX_EXPORTS && running.insert(account);
        is_free.then(|| ExportSlot { account, running: Arc::clone(&self.0) })
    }
}

impl Drop for ExportSlot {
    fn drop(&mut self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_has_one_export_and_all_accounts_together_have_four() {
        let slots = ExportSlots::default();
        let take = |account| slots.try_take(Uuid::from_u128(account));
        let first = take(1);
        assert!(first.is_some() && take(1).is_none());
        let others: Vec<_> = (2..=4).map(take).collect();
        assert!(others.iter().all(Option::is_some) && take(5).is_none());
        drop(first);
        assert!(take(5).is_some());
    }
}
