//! Loads the data that a batch of writes depends on: the states of its accounts, the contacts that it writes, the
//! holders of the unique keys that it sets, and the responses stored under its idempotency keys.
//!
//! One statement reads most batches. A change after it is detected when the batch is stored, or when a later read finds the
//! account in another state or a contact in another version.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use futures_util::TryStreamExt;
use uuid::Uuid;

use super::account_batch::{AccountBatch, shard_accounts};
use super::load_contacts::load_contacts_and_keys;
use super::transaction_memory::TransactionMemory;
use crate::repository::error::StorageError;
use crate::repository::idempotency::IdempotencyKeys;
use crate::repository::pool::DatabaseConnection;
use crate::repository::source_times;

/// Loads the data that the jobs of all batches need to be applied. The result of a lookup may require further lookups.
///
/// The jobs whose data does not fit into the memory of the transaction are deferred. If there is only one batch, at least
/// the data of its first write is loaded.
pub(super) async fn load_state(
    connection: &mut DatabaseConnection,
    batches: &mut BTreeMap<Uuid, AccountBatch>,
    memory: &mut TransactionMemory,
) -> Result<(), StorageError> {
    loop {
        load_contacts_and_keys(connection, batches, memory).await?;
        if !memory.is_full() {
            break;
        }
        batches.values_mut().for_each(AccountBatch::defer_unloaded_writes);
        let only = if batches.len() == 1 { batches.values_mut().next() } else { None };
        let Some(batch) = only.filter(|batch| batch.is_unloaded()) else { break };
        let is_single_write = batch.reduce();
        if batch.is_too_large() {
            break;
        }
        if is_single_write {
            memory.clear_and_lift_limit();
        } else {
            memory.clear();
        }
    }
    load_source_times(connection, batches).await?;
    // Responses are loaded last. If the response of an earlier attempt of the same request is not stored yet, then its
    // effects were not visible above either. In the other order, the response could be missing while the effects are
    // visible, and the job would be rejected as a duplicate of itself.
    load_stored_responses(connection, batches, memory).await?;
    find_purged_contacts(connection, batches).await
}

/// Loads the newest times of the contacts that jobs with a `source_updated_at` address. Such jobs run under the lock of
/// their account ([`WriteJob::has_source_times`]), so the times fit to the contacts.
async fn load_source_times(
    connection: &mut DatabaseConnection,
    batches: &mut BTreeMap<Uuid, AccountBatch>,
) -> Result<(), StorageError> {
    let required: Vec<_> = batches.values().flat_map(AccountBatch::required_source_times).collect();
    if required.is_empty() {
        return Ok(());
    }
    let shard = shard_accounts(batches.values());
    for (account, key, time) in source_times::load_source_times(connection, &required, &shard).await? {
        let Some(batch) = batches.get_mut(&account) else { continue };
        batch.unit_of_work.source_times.add_loaded(key, Some(time));
    }
    Ok(())
}

/// Loads the responses stored under the idempotency keys of all jobs, until the memory of the transaction is full.
async fn load_stored_responses(
    connection: &mut DatabaseConnection,
    batches: &mut BTreeMap<Uuid, AccountBatch>,
    memory: &mut TransactionMemory,
) -> Result<(), StorageError> {
    let mut keys = IdempotencyKeys::default();
    for batch in batches.values() {
        let requests = batch.jobs.iter().filter_map(|job| job.request.idempotent_request.as_ref());
        requests.for_each(|request| keys.add(batch.account, &request.key, &request.fingerprint));
    }
    if keys.is_empty() {
        return Ok(());
    }
    let shard = shard_accounts(batches.values());
    let mut responses = keys.find_responses(connection, &shard);
    while let Some((account, key, stored)) = responses.try_next().await? {
        let Some(batch) = batches.get_mut(&account) else { continue };
        let bytes = stored.response().map_or(0, Bytes::len);
        if memory.take_for_read(bytes).await || !batch.skip_stored_response(&key) {
            batch.add_stored_response(key, stored);
        }
    }
    batches.values_mut().for_each(AccountBatch::defer_jobs_without_response);
    Ok(())
}

/// Finds the contacts that earlier transactions of the jobs have written and that have been purged since. The response
/// of such a job must not be stored: the purge could not erase it.
async fn find_purged_contacts(
    connection: &mut DatabaseConnection,
    batches: &mut BTreeMap<Uuid, AccountBatch>,
) -> Result<(), StorageError> {
    const EXISTING: &str = "SELECT id FROM contacts WHERE account_id = $1 AND id = ANY ($2)";
    for batch in batches.values_mut() {
        let started = batch.jobs.iter().filter(|job| job.is_started() && job.request.idempotent_request.is_some());
        let written = started.flat_map(|job| job.outcomes.iter().flatten().map(|written| written.contact.id));
        let written: HashSet<_> = written.collect();
        if !written.is_empty() {
            let ids: Vec<_> = written.iter().copied().collect();
            let existing: Vec<Uuid> =
                sqlx::query_scalar(EXISTING).bind(batch.account).bind(ids).fetch_all(&mut *connection).await?;
            let existing: HashSet<_> = existing.into_iter().collect();
            batch.purged_contacts = written.difference(&existing).copied().collect();
        }
    }
    Ok(())
}
