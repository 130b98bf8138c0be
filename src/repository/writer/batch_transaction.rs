//! The two steps of a batch of jobs: to prepare it (load the state that the jobs depend on, and apply them in memory), and
//! to store the effects that still fit to the stored state.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::account_batch::AccountBatch;
use super::account_move::{AccountMove, expected_position};
use super::load_state::load_state;
use super::lock_accounts::Locking;
use super::lock_wait::{LockOrder, lock_account, set_batch_timeouts};
use super::purge_replies::reply_to_stored_batch;
use super::store_rows::store_rows;
use super::store_transaction::{self, StoredAccounts};
use super::store_values::{ContactKey, store_values};
use super::transaction_memory::{TransactionMemory, WriteMemory};
use super::write_job::{WriteJob, fail_jobs};
use crate::repository::accounts::insert_accounts;
use crate::repository::error::StorageError;
use crate::repository::pool::DatabaseConnection;
use crate::repository::pool::{DedicatedConnection, Pool};

/// Jobs that were not written and have no reply yet, with the error.
pub(super) struct FailedBatch {
    pub(super) error: StorageError,
    pub(super) jobs: Vec<WriteJob>,
    /// The contacts that the jobs would have changed.
    pub(super) contacts: Vec<Uuid>,
}

impl FailedBatch {
    fn new(error: StorageError, batches: BTreeMap<Uuid, AccountBatch>) -> Self {
        let changed = |batch: &AccountBatch| {
            let updated = batch.effects.updated.iter().map(|updated| updated.now.id);
            updated.chain(batch.effects.purged.iter().map(|purged| purged.id)).collect::<Vec<_>>()
        };
        let contacts = batches.values().flat_map(changed).collect();
        Self { error, jobs: batches.into_values().flat_map(AccountBatch::into_jobs).collect(), contacts }
    }
}

/// Groups jobs by account, in order of account id.
pub(super) fn group_by_account(jobs: Vec<WriteJob>) -> BTreeMap<Uuid, Vec<WriteJob>> {
    let mut accounts: BTreeMap<Uuid, Vec<WriteJob>> = BTreeMap::new();
    for job in jobs {
        accounts.entry(job.request.account).or_default().push(job);
    }
    accounts
}

/// How a batch has changed each account.
pub(super) type AccountMoves = HashMap<Uuid, AccountMove>;

/// The jobs of a batch that were not stored.
#[derive(Default)]
pub(super) struct UnstoredJobs {
    /// The jobs of accounts of which nothing was stored: another transaction has locked them, or they have changed.
    pub(super) locked: Vec<WriteJob>,
    /// The jobs that depend on something that has changed since it was read.
    pub(super) outdated: Vec<WriteJob>,
    /// The jobs that did not fit into the memory of the transaction.
    pub(super) deferred: Vec<WriteJob>,
}

/// A batch of jobs of any accounts that has been applied.
pub(super) struct PreparedBatch {
    accounts: BTreeMap<Uuid, AccountBatch>,
    /// The memory of the batch until it is stored.
    _memory: TransactionMemory,
}

impl PreparedBatch {
    /// Loads the state that the jobs depend on, and applies them in memory.
    ///
    /// # Errors
    /// Fails if the database fails or is overloaded.
    pub(super) async fn prepare(
        connection: &DedicatedConnection,
        memory: &WriteMemory,
        jobs: Vec<WriteJob>,
    ) -> Result<Self, FailedBatch> {
        let mut used = match connection.acquire().await {
            Ok(used) => used,
            Err(error) => return Err(FailedBatch { error: error.into(), jobs, contacts: vec![] }),
        };
        let is_distributed = connection.is_distributed();
        let batch = |(account, jobs)| (account, AccountBatch::new(account, jobs, is_distributed));
        let mut accounts = group_by_account(jobs).into_iter().map(batch).collect();
        let mut memory = memory.for_accounts();
        let prepared = async {
            load_and_apply(&mut used, &mut accounts, &mut memory).await?;
            connection.put_back(used);
            Ok(())
        };
        if let Err(error) = prepared.await {
            return Err(FailedBatch::new(error, accounts));
        }
        Ok(Self { accounts, _memory: memory })
    }

    /// Returns all jobs.
    pub(super) fn into_jobs(self) -> Vec<WriteJob> {
        self.accounts.into_values().flat_map(AccountBatch::into_jobs).collect()
    }

    /// Stores the batch, and replies to the jobs that were stored. Returns the others, and how the stored jobs have changed the
    /// accounts. `previous` is how the batch before has changed them.
    ///
    /// # Errors
    /// Fails if the database fails or is overloaded. Nothing was written, unless the error leaves it unknown whether the
    /// transaction was committed.
    pub(super) async fn store(
        mut self,
        connection: &DedicatedConnection,
        shared_pool: &Pool,
        previous: &AccountMoves,
        locking: Locking,
        advances_accounts: bool,
    ) -> Result<(UnstoredJobs, AccountMoves), FailedBatch> {
        for batch in self.accounts.values_mut() {
            batch.expected_position = expected_position(batch, previous.get(&batch.account));
        }
        match try_store(connection, &mut self.accounts, locking, advances_accounts).await {
            Ok(stored) => {
                let moves =
                    self.accounts.values().filter_map(|batch| Some((batch.account, stored.account_move(batch)?)));
                let (moves, mut unstored) = (moves.collect(), UnstoredJobs::default());
                self.accounts.into_values().for_each(|batch| stored.send_replies(shared_pool, batch, &mut unstored));
                Ok((unstored, moves))
            }
            Err(error) => Err(FailedBatch::new(error, self.accounts)),
        }
    }
}

/// The contacts that were stored individually, and the accounts whose batch was stored completely.
#[derive(Default)]
struct StoredRows {
    contacts: HashSet<ContactKey>,
    accounts: StoredAccounts,
    /// Why it is unknown whether the contacts were stored individually, after the accounts were stored.
    contacts_error: Option<StorageError>,
}

impl StoredRows {
    /// Returns how a batch has changed its account.
    fn account_move(&self, batch: &AccountBatch) -> Option<AccountMove> {
        let is_stored = self.accounts.accounts.contains(&batch.account);
        AccountMove::new(batch, |contact| is_stored || self.contacts.contains(&(batch.account, contact)))
    }

    /// Replies to the jobs that were stored or had nothing to store. Adds the others to `unstored`.
    fn send_replies(&self, shared_pool: &Pool, batch: AccountBatch, unstored: &mut UnstoredJobs) {
        let account = batch.account;
        if batch.is_stale() {
            return unstored.outdated.extend(batch.into_jobs());
        }
        if !batch.has_effects() || self.accounts.accounts.contains(&account) {
            let pending = reply_to_stored_batch(shared_pool, batch, &self.accounts.pending_erasures);
            return unstored.deferred.extend(pending);
        }
        if let Some(error) = self.contacts_error.as_ref().filter(|_| batch.is_values_only()) {
            return fail_jobs(batch.into_jobs(), error);
        }
        if !batch.fits_into_statement() {
            return unstored.deferred.extend(batch.into_jobs());
        }
        if !batch.is_values_only() {
            // Not even a rejection is certain: the write that it conflicts with was not stored.
            return unstored.locked.extend(batch.into_jobs());
        }
        let is_stored = |contact| self.contacts.contains(&(account, contact));
        let is_locked = !batch.unit_of_work.changes().iter().any(|change| is_stored(change.contact_id));
        let (jobs, deferred) = batch.finish_stored_jobs(is_stored);
        if is_locked { &mut unstored.locked } else { &mut unstored.outdated }.extend(jobs);
        unstored.deferred.extend(deferred);
    }
}

async fn try_store(
    dedicated: &DedicatedConnection,
    batches: &mut BTreeMap<Uuid, AccountBatch>,
    locking: Locking,
    advances_accounts: bool,
) -> Result<StoredRows, StorageError> {
    let changed: Vec<_> = batches.values_mut().filter(|batch| batch.has_effects()).collect();
    let mut stored = StoredRows::default();
    if changed.is_empty() {
        return Ok(stored);
    }
    let mut connection = dedicated.acquire().await?;
    if !dedicated.is_distributed() {
        insert_new_accounts(&mut connection, changed.iter().map(|batch| &**batch)).await?;
    }
    let (mut values_only, other): (Vec<_>, Vec<_>) = changed.into_iter().partition(|batch| batch.is_values_only());
    let mut other: Vec<_> = other.into_iter().filter(|batch| batch.fits_into_statement()).collect();
    if dedicated.is_distributed() {
        stored.accounts = store_in_transaction(&mut connection, &mut other, advances_accounts).await?;
    } else if !other.is_empty() {
        let accounts = store_rows(&mut connection, &mut other, locking, advances_accounts).await?;
        stored.accounts = StoredAccounts { accounts, ..StoredAccounts::default() };
    }
    if !values_only.is_empty() {
        let contacts = store_values(&mut connection, &mut values_only, locking, advances_accounts).await;
        match contacts {
            Ok(contacts) => stored.contacts = contacts,
            Err(error) if other.is_empty() => return Err(error),
            // The other batches are committed, and their jobs must get their replies. Only the jobs that change nothing
            // but values are retried, or fail.
            Err(error) if error.is_retryable() => {}
            Err(error) => stored.contacts_error = Some(error),
        }
    }
    // After such an error the connection may be broken.
    if stored.contacts_error.is_none() {
        dedicated.put_back(connection);
    }
    Ok(stored)
}

/// Stores batches of accounts of one shard on Citus, which does not support the statements that need no transaction.
async fn store_in_transaction(
    connection: &mut DatabaseConnection,
    batches: &mut [&mut AccountBatch],
    advances_accounts: bool,
) -> Result<StoredAccounts, StorageError> {
    if batches.is_empty() {
        return Ok(StoredAccounts::default());
    }
    let mut transaction = connection.begin().await?;
    set_batch_timeouts(&mut transaction).await?;
    insert_new_accounts(&mut transaction, batches.iter().map(|batch| &**batch)).await?;
    let stored = store_transaction::store_all(&mut transaction, batches, advances_accounts).await?;
    transaction.commit().await.map_err(StorageError::from_commit)?;
    Ok(stored)
}

/// Inserts the rows of accounts that are about to get their first contact.
async fn insert_new_accounts(
    connection: &mut DatabaseConnection,
    batches: impl Iterator<Item = &AccountBatch>,
) -> Result<(), StorageError> {
    let new: Vec<_> = batches.filter(|batch| batch.state.is_none()).collect();
    if let Some(first) = new.first() {
        let accounts: Vec<_> = new.iter().map(|batch| batch.account).collect();
        insert_accounts(connection, &accounts, first.is_distributed).await?;
    }
    Ok(())
}

/// Writes jobs of one account after waiting for the row lock of the account, and replies to those that were stored.
///
/// Returns the jobs that need another transaction, in order: what they depend on has changed since it was read, or they do
/// not fit into the memory of this transaction.
///
/// # Errors
/// Fails if the database fails or is overloaded. Nothing was written, unless the error leaves it unknown whether the
/// transaction was committed.
pub(super) async fn write_waiting(
    pool: &Pool,
    memory: &WriteMemory,
    account: Uuid,
    jobs: Vec<WriteJob>,
    order: LockOrder,
    advances_accounts: bool,
) -> Result<Vec<WriteJob>, FailedBatch> {
    let mut connection = match pool.acquire().await {
        Ok(connection) => connection,
        Err(error) => return Err(FailedBatch { error: error.into(), jobs, contacts: vec![] }),
    };
    let order = if jobs.iter().any(WriteJob::has_source_times) { LockOrder::LockFirst } else { order };
    let mut batches = BTreeMap::from([(account, AccountBatch::new(account, jobs, pool.is_distributed()))]);
    let mut memory = memory.for_account(account);
    let stored = try_write_waiting(&mut connection, &mut memory, &mut batches, order, advances_accounts).await;
    match stored {
        Ok(stored) => {
            let mut unstored = UnstoredJobs::default();
            batches.into_values().for_each(|batch| stored.send_replies(pool, batch, &mut unstored));
            let UnstoredJobs { locked, outdated, deferred } = unstored;
            Ok([locked, outdated, deferred].into_iter().flatten().collect())
        }
        Err(error) => Err(FailedBatch::new(error, batches)),
    }
}

async fn try_write_waiting(
    connection: &mut DatabaseConnection,
    memory: &mut TransactionMemory,
    batches: &mut BTreeMap<Uuid, AccountBatch>,
    order: LockOrder,
    advances_accounts: bool,
) -> Result<StoredRows, StorageError> {
    if order == LockOrder::LockLast {
        load_and_apply(connection, batches, memory).await?;
        memory.reserve_required().await;
        if batches.values().all(|batch| batch.is_stale() || !batch.has_effects()) {
            return Ok(StoredRows::default());
        }
        if batches.values().all(AccountBatch::is_divisible_by_contact) {
            // The statement waits for the lock, so that it is held for a shorter time than a transaction takes.
            let mut batches: Vec<_> = batches.values_mut().collect();
            let stored = store_values(connection, &mut batches, Locking::Wait, advances_accounts).await?;
            return Ok(StoredRows { contacts: stored, ..StoredRows::default() });
        }
    }
    let mut transaction = connection.begin().await?;
    for batch in batches.values() {
        lock_account(&mut transaction, batch, order, memory.is_small()).await?;
    }
    if order == LockOrder::LockFirst {
        load_and_apply(&mut transaction, batches, memory).await?;
        memory.reserve_required().await;
    }
    let mut stored = StoredRows::default();
    for batch in batches.values_mut().filter(|batch| batch.has_effects()) {
        insert_new_accounts(&mut transaction, std::iter::once(&*batch)).await?;
        if batch.is_divisible_by_contact() {
            let batches = &mut [batch];
            stored.contacts = store_values(&mut transaction, batches, Locking::SkipLocked, advances_accounts).await?;
        } else {
            stored.accounts = store_transaction::store_all(&mut transaction, &mut [batch], advances_accounts).await?;
        }
    }
    transaction.commit().await.map_err(StorageError::from_commit)?;
    Ok(stored)
}

/// Loads the state that the jobs depend on, and applies them in memory.
async fn load_and_apply(
    connection: &mut DatabaseConnection,
    batches: &mut BTreeMap<Uuid, AccountBatch>,
    memory: &mut TransactionMemory,
) -> Result<(), StorageError> {
    load_state(connection, batches, memory).await?;
    batches.values_mut().for_each(|batch| batch.apply(memory));
    Ok(())
}
