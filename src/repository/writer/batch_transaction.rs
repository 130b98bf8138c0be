//! Writes batches of jobs: loads the state they depend on, applies them in memory, and stores the effects if their
//! accounts have not changed meanwhile.

use std::collections::{BTreeMap, HashSet};

use sqlx::Connection;
use sqlx::postgres::{PgConnection, PgTransaction};
use uuid::Uuid;

use super::account_batch::AccountBatch;
use super::load_state::load_state;
use super::lock_wait::set_lock_timeout;
use super::purge_replies::reply_to_stored_batch;
use super::store_batch::{self, ContactKey, StoredAccounts};
use super::transaction_memory::{TransactionMemory, WriteMemory};
use super::write_job::WriteJob;
use crate::repository::accounts::insert_accounts;
use crate::repository::error::StorageError;
use crate::repository::history_erasure::PendingErasure;
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
            updated.chain(batch.effects.purged.iter().map(|(id, _)| *id)).collect::<Vec<_>>()
        };
        let contacts = batches.values().flat_map(changed).collect();
        Self { error, jobs: batches.into_values().flat_map(AccountBatch::into_jobs).collect(), contacts }
    }
}

/// Returns a batch for each account of the jobs, in order of account id.
fn group_by_account(jobs: Vec<WriteJob>) -> BTreeMap<Uuid, AccountBatch> {
    let mut accounts: BTreeMap<Uuid, Vec<WriteJob>> = BTreeMap::new();
    for job in jobs {
        accounts.entry(job.request.account).or_default().push(job);
    }
    accounts.into_iter().map(|(account, jobs)| (account, AccountBatch::new(account, jobs))).collect()
}

/// The jobs of a batch that were not stored.
#[derive(Default)]
pub(super) struct UnstoredJobs {
    /// The jobs of accounts that another transaction is writing.
    pub(super) conflicting: Vec<WriteJob>,
    /// The jobs that did not fit into the memory of the transaction.
    pub(super) deferred: Vec<WriteJob>,
}

/// Writes jobs of any accounts without waiting for locks, and replies to those that were stored. Returns the others.
///
/// # Errors
/// Fails if the database fails or is overloaded. Nothing was written, unless the error leaves it unknown whether the
/// transaction was committed.
pub(super) async fn write_unlocked(
    connection: &DedicatedConnection,
    shared_pool: &Pool,
    memory: &WriteMemory,
    jobs: Vec<WriteJob>,
) -> Result<UnstoredJobs, FailedBatch> {
    let mut batches = group_by_account(jobs);
    let mut memory = memory.for_accounts();
    match try_write_unlocked(connection, &mut memory, &mut batches).await {
        Ok(stored) => {
            let mut unstored = UnstoredJobs::default();
            batches.into_values().for_each(|batch| stored.send_replies(shared_pool, batch, &mut unstored));
            Ok(unstored)
        }
        Err(error) => Err(FailedBatch::new(error, batches)),
    }
}

/// The contacts that were stored individually, and the accounts whose batch was stored completely.
#[derive(Default)]
struct StoredRows {
    contacts: HashSet<ContactKey>,
    accounts: StoredAccounts,
}

impl StoredRows {
    /// Replies to the jobs that were stored or had nothing to store. Adds the others to `unstored`.
    fn send_replies(&self, shared_pool: &Pool, batch: AccountBatch, unstored: &mut UnstoredJobs) {
        let account = batch.account;
        if batch.is_stale() {
            return unstored.conflicting.extend(batch.into_jobs());
        }
        if !batch.has_effects() || self.accounts.accounts.contains(&account) {
            let deferred = reply_to_stored_batch(shared_pool, batch, &self.accounts.pending_erasures);
            return unstored.deferred.extend(deferred);
        }
        let is_stored = |contact: Uuid| self.contacts.contains(&(account, contact));
        if batch.is_values_only() && batch.unit_of_work.changes().iter().any(|change| is_stored(change.contact_id)) {
            let (conflicting, deferred) = batch.finish_stored_jobs(is_stored);
            unstored.conflicting.extend(conflicting);
            return unstored.deferred.extend(deferred);
        }
        // Not even a rejection is certain: the write that it conflicts with was not stored.
        unstored.conflicting.extend(batch.into_jobs());
    }
}

async fn try_write_unlocked(
    dedicated: &DedicatedConnection,
    memory: &mut TransactionMemory,
    batches: &mut BTreeMap<Uuid, AccountBatch>,
) -> Result<StoredRows, StorageError> {
    let mut connection = dedicated.acquire().await?;
    load_state(&mut connection, batches, memory).await?;
    batches.values_mut().for_each(|batch| batch.apply(memory));
    let changed: Vec<_> = batches.values().filter(|batch| batch.has_effects()).collect();
    insert_new_accounts(&mut connection, &changed).await?;
    let (values_only, other): (Vec<_>, Vec<_>) = changed.into_iter().partition(|batch| batch.is_values_only());
    let mut stored = StoredRows::default();
    if !other.is_empty() {
        let mut transaction = connection.begin().await?;
        stored.accounts = store_batch::store_all(&mut transaction, &other).await?;
        transaction.commit().await?;
    }
    if !values_only.is_empty() {
        stored.contacts = match store_batch::store_values(&mut connection, &values_only).await {
            // The other batches are committed, and their jobs must get their replies. Only the jobs that change nothing
            // but values are retried.
            Err(error) if !other.is_empty() && error.is_retryable() => HashSet::new(),
            contacts => contacts?,
        };
    }
    dedicated.put_back(connection);
    Ok(stored)
}

/// Inserts the rows of accounts that are about to get their first contact.
async fn insert_new_accounts(connection: &mut PgConnection, batches: &[&AccountBatch]) -> Result<(), StorageError> {
    let new: Vec<_> = batches.iter().filter(|batch| batch.state.is_none()).map(|batch| batch.account).collect();
    if !new.is_empty() {
        insert_accounts(connection, &new).await?;
    }
    Ok(())
}

/// Writes jobs of one account under the row lock of the account, after waiting for it, and replies to them. The only
/// transactions that can conflict are those that lock a contact without locking its account.
///
/// Returns the jobs that need another transaction, in order, because they do not fit into the memory of this one.
///
/// # Errors
/// Fails if the database fails or is overloaded. Nothing was written, unless the error leaves it unknown whether the
/// transaction was committed.
pub(super) async fn write_locked(
    pool: &Pool,
    memory: &WriteMemory,
    account: Uuid,
    jobs: Vec<WriteJob>,
) -> Result<Vec<WriteJob>, FailedBatch> {
    let mut batches = BTreeMap::from([(account, AccountBatch::new(account, jobs))]);
    let mut memory = memory.for_account(account);
    match try_write_locked(pool, &mut memory, account, &mut batches).await {
        Ok(pending) => {
            Ok(batches.into_values().flat_map(|batch| reply_to_stored_batch(pool, batch, &pending)).collect())
        }
        Err(error) => Err(FailedBatch::new(error, batches)),
    }
}

async fn try_write_locked(
    pool: &Pool,
    memory: &mut TransactionMemory,
    account: Uuid,
    batches: &mut BTreeMap<Uuid, AccountBatch>,
) -> Result<Vec<PendingErasure>, StorageError> {
    const LOCK: &str = "SELECT 1 FROM accounts WHERE account_id = $1 FOR NO KEY UPDATE";
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin().await?;
    sqlx::query(LOCK).bind(account).execute(&mut *transaction).await?;
    set_lock_timeout(&mut transaction).await?;
    load_state(&mut transaction, batches, memory).await?;
    batches.values_mut().for_each(|batch| batch.apply(memory));
    memory.reserve_required().await;
    // A new account has no row to lock, so its batch may be stale nevertheless.
    let Some(batch) = batches.get(&account) else { return Ok(vec![]) };
    commit_batch(transaction, batch).await
}

/// Stores a batch that has been applied, without waiting for locks, and replies to its jobs.
///
/// # Errors
/// Fails if the database fails or is overloaded, and with [`StorageError::Stale`] when the account has changed since
/// the batch was loaded. Nothing was written, unless the error leaves it unknown whether the transaction was committed.
pub(super) async fn store_applied(pool: &Pool, batch: AccountBatch) -> Result<(), FailedBatch> {
    match try_store_applied(pool, &batch).await {
        // A batch that does not fit into the memory of one transaction is stale and was not stored.
        Ok(pending) => drop(reply_to_stored_batch(pool, batch, &pending)),
        Err(error) => return Err(FailedBatch::new(error, BTreeMap::from([(batch.account, batch)]))),
    }
    Ok(())
}

async fn try_store_applied(pool: &Pool, batch: &AccountBatch) -> Result<Vec<PendingErasure>, StorageError> {
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin().await?;
    set_lock_timeout(&mut transaction).await?;
    commit_batch(transaction, batch).await
}

/// Stores all changes of a batch and commits, if its account has not changed since it was read. Returns the erasures that
/// are pending after the commit.
async fn commit_batch(
    mut transaction: PgTransaction<'_>,
    batch: &AccountBatch,
) -> Result<Vec<PendingErasure>, StorageError> {
    if batch.is_stale() {
        return Err(StorageError::Stale);
    }
    if !batch.has_effects() {
        return Ok(vec![]);
    }
    insert_new_accounts(&mut transaction, &[batch]).await?;
    let stored = store_batch::store_all(&mut transaction, &[batch]).await?;
    if !stored.accounts.contains(&batch.account) {
        return Err(StorageError::Stale);
    }
    transaction.commit().await?;
    Ok(stored.pending_erasures)
}
