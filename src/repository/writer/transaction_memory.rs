//! The memory of write transactions: how much of it one transaction may take, and how much all of them together.
//!
//! A transaction reads contacts, and their values stay in memory until it is stored. What exceeds the limit of one
//! transaction is written in the next one. The results of a request with many writes stay in memory until its response
//! is built. They have a budget of their own: a request whose results take memory never waits for another such request.

use std::sync::Arc;

use uuid::Uuid;

use crate::fair_semaphore::FairPermit;
use crate::memory_budget::MemoryBudget;

/// The memory that one transaction may take, in bytes. A single contact always fits.
pub(super) const MAX_TRANSACTION_BYTES: usize = 32 * MIB;
/// The memory that a transaction takes without a permit. Most transactions take less.
const FREE_BYTES: usize = MIB;
/// The sizes to which the permit of a transaction grows. The permit for the first size is a sixteenth of the budget or
/// less, so that it may come from the part that is kept for accounts that use little.
const STEPS: [usize; 2] = [4 * MIB, MAX_TRANSACTION_BYTES];
/// The memory of all transactions together.
const TRANSACTIONS_BYTES: usize = 64 * MIB;
/// The memory of the outcomes of all requests with several writes.
const OUTCOMES_BYTES: usize = 32 * MIB;
const MIB: usize = 1024 * 1024;

/// The memory of all write transactions. Cheap to clone.
#[derive(Clone)]
pub(super) struct WriteMemory(Arc<WriteBudgets>);

struct WriteBudgets {
    transactions: MemoryBudget,
    outcomes: MemoryBudget,
}

impl WriteMemory {
    pub(super) fn new() -> Self {
        let (transactions, outcomes) = (MemoryBudget::new(TRANSACTIONS_BYTES), MemoryBudget::new(OUTCOMES_BYTES));
        Self(Arc::new(WriteBudgets { transactions, outcomes }))
    }

    /// Returns the memory of a new transaction, which waits for more memory if none is free.
    pub(super) fn for_account(&self, account: Uuid) -> TransactionMemory {
        TransactionMemory::new(self, account, true)
    }

    /// Returns the memory of a new transaction of several accounts. It does not wait for memory and takes no more than the
    /// first step: the accounts would wait for one another.
    pub(super) fn for_accounts(&self) -> TransactionMemory {
        TransactionMemory::new(self, Uuid::nil(), false)
    }
}

/// The memory of one transaction. It is released when this is dropped.
///
/// Three quarters of it are for what the transaction reads: the rest is for what it stores.
pub(super) struct TransactionMemory {
    budgets: WriteMemory,
    account: Uuid,
    may_wait: bool,
    used: usize,
    /// The memory that the transaction may use now.
    granted: usize,
    permits: Vec<FairPermit>,
    /// Whether something that was read did not fit.
    is_full: bool,
    /// Whether something did not fit because no memory was free.
    is_short_of_memory: bool,
    /// Whether everything that is read fits.
    is_unlimited: bool,
    /// Whether a write has been applied.
    has_write: bool,
}

impl TransactionMemory {
    fn new(budgets: &WriteMemory, account: Uuid, may_wait: bool) -> Self {
        Self {
            budgets: budgets.clone(),
            account,
            may_wait,
            used: 0,
            granted: FREE_BYTES,
            permits: vec![],
            is_full: false,
            is_short_of_memory: false,
            is_unlimited: false,
            has_write: false,
        }
    }

    /// Takes memory for something that was read, and waits for it up to 2 s. Returns false if it does not fit. Then
    /// nothing else fits either. The first bytes always fit.
    pub(super) async fn take_for_read(&mut self, bytes: usize) -> bool {
        let used = self.used + bytes;
        let needed = used.div_ceil(3) * 4;
        if let Some(missing) = self.missing(needed).filter(|_| !self.is_full) {
            let budget = &self.budgets.0.transactions;
            let permit = match self.may_wait {
                true => budget.reserve(self.account, missing).await,
                false => budget.try_reserve(self.account, missing),
            };
            self.add_permit(permit.ok(), missing);
        }
        self.is_full |= needed > self.granted && self.used > 0 && !self.is_unlimited;
        if !self.is_full {
            self.used = used;
        }
        !self.is_full
    }

    /// Takes memory for what a write stores, without waiting for it. Returns false if it does not fit. The first write of
    /// a transaction always fits.
    pub(super) fn try_take_for_write(&mut self, bytes: usize) -> bool {
        let fits = self.try_take(bytes) || !self.has_write;
        if fits {
            self.used += bytes;
            self.has_write = true;
        }
        fits
    }

    /// Takes memory for several writes that are stored together or not at all. Returns false if they do not fit.
    pub(super) fn try_take_for_writes(&mut self, bytes: usize) -> bool {
        let fits = self.try_take(bytes);
        if fits {
            self.used += bytes;
            self.has_write = true;
        }
        fits
    }

    /// Returns whether a write has been applied.
    pub(super) fn has_write(&self) -> bool {
        self.has_write
    }

    /// Takes memory that the transaction needs in any case. Fewer other writes fit then.
    pub(super) fn take_required(&mut self, bytes: usize) {
        self.used += bytes;
    }

    /// Reserves the memory that the transaction needs in any case, as far as it is free within 2 s.
    pub(super) async fn reserve_required(&mut self) {
        let missing = self.used.saturating_sub(self.granted);
        if missing > 0 {
            let permit = self.budgets.0.transactions.reserve(self.account, missing).await;
            self.add_permit(permit.ok(), missing);
        }
    }

    /// Returns whether this memory is granted, after trying to reserve it without waiting.
    fn try_take(&mut self, bytes: usize) -> bool {
        let needed = self.used + bytes;
        if let Some(missing) = self.missing(needed) {
            let permit = self.budgets.0.transactions.try_reserve(self.account, missing);
            self.add_permit(permit.ok(), missing);
        }
        needed <= self.granted
    }

    /// Returns the memory to reserve before the transaction may use `needed` bytes. `None` if it needs no more memory, or
    /// more than it may have.
    fn missing(&self, needed: usize) -> Option<usize> {
        let steps = if self.may_wait { &STEPS[..] } else { &STEPS[..1] };
        let step = steps.iter().find(|step| needed <= **step)?;
        (needed > self.granted).then(|| step - self.granted)
    }

    fn add_permit(&mut self, permit: Option<FairPermit>, bytes: usize) {
        self.is_short_of_memory |= permit.is_none();
        if let Some(permit) = permit {
            self.granted += bytes;
            self.permits.push(permit);
        }
    }

    /// Returns whether the transaction takes only little memory.
    pub(super) fn is_small(&self) -> bool {
        self.used <= FREE_BYTES
    }

    /// Returns whether something that was read did not fit.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Returns whether something did not fit because no memory was free, and not because of the limit of a transaction.
    pub(super) fn is_short_of_memory(&self) -> bool {
        self.is_short_of_memory
    }

    /// Forgets what was read, because it is read again. The permits stay.
    pub(super) fn clear(&mut self) {
        (self.used, self.is_full) = (0, false);
    }

    /// Forgets what was read, and lets everything fit that is read from now on: the data of a single write.
    pub(super) fn clear_and_lift_limit(&mut self) {
        self.clear();
        self.is_unlimited = true;
    }

    /// Reserves memory for outcomes of an account. Returns `None` if none is free.
    pub(super) fn reserve_for_outcomes(&self, account: Uuid, bytes: usize) -> Option<FairPermit> {
        self.budgets.0.outcomes.try_reserve(account, bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: Uuid = Uuid::from_u128(1);

    fn reserved_mib(memory: &WriteMemory) -> usize {
        (TRANSACTIONS_BYTES - memory.0.transactions.free_bytes()) / MIB
    }

    #[tokio::test]
    async fn transaction_reads_into_three_quarters_of_its_memory_which_grows_in_steps() {
        let budgets = WriteMemory::new();
        let mut memory = budgets.for_account(ACCOUNT);
        for (bytes, reserved) in [(700 * 1024, 0), (100 * 1024, 3), (2 * MIB, 3), (2 * MIB, 31), (18 * MIB, 31)] {
            assert!(memory.take_for_read(bytes).await);
            assert_eq!(reserved_mib(&budgets), reserved);
        }
        assert!(!memory.take_for_read(2 * MIB).await && memory.is_full() && !memory.is_short_of_memory());
        assert!(!memory.take_for_read(1).await, "what is read after that does not fit either");
        assert!(memory.try_take_for_write(9 * MIB) && !memory.try_take_for_write(MIB));
        memory.clear();
        assert!(memory.take_for_read(MAX_TRANSACTION_BYTES / 4 * 3).await);
        drop(memory);
        assert_eq!(reserved_mib(&budgets), 0);
    }

    #[tokio::test]
    async fn first_contact_and_first_write_always_fit() {
        let budgets = WriteMemory::new();
        let mut memory = budgets.for_accounts();
        assert!(!memory.try_take_for_writes(2 * MAX_TRANSACTION_BYTES));
        assert!(memory.take_for_read(2 * MAX_TRANSACTION_BYTES).await && !memory.take_for_read(1).await);
        assert!(memory.try_take_for_write(2 * MAX_TRANSACTION_BYTES) && !memory.try_take_for_write(1));
        let mut memory = budgets.for_accounts();
        memory.clear_and_lift_limit();
        assert!(memory.take_for_read(MAX_TRANSACTION_BYTES).await && memory.take_for_read(MAX_TRANSACTION_BYTES).await);
    }

    #[tokio::test(start_paused = true)]
    async fn transaction_without_free_memory_continues_with_what_it_has() {
        let budgets = WriteMemory::new();
        let mut others = vec![];
        for account in 2..5 {
            let mut memory = budgets.for_account(Uuid::from_u128(account));
            memory.take_for_read(20 * MIB).await;
            others.push(memory);
        }
        let mut memory = budgets.for_account(ACCOUNT);
        assert!(memory.take_for_read(MIB / 2).await);
        assert!(!memory.take_for_read(20 * MIB).await && memory.is_short_of_memory());
        assert!(memory.try_take_for_write(MIB / 4));
        drop(others);
        memory.clear();
        assert!(memory.take_for_read(20 * MIB).await);
    }
}
