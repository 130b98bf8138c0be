//! Loads the data that a batch of writes depends on: the states of its accounts, the contacts that it writes, the
//! holders of the unique keys that it sets, and the responses stored under its idempotency keys.
//!
//! The state of an account is read first. A later change is detected when the batch is stored, or when a later read
//! finds the account in another state.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use uuid::Uuid;

use super::account_batch::{AccountBatch, AccountState};
use super::transaction_memory::{MAX_TRANSACTION_BYTES, TransactionMemory};
use crate::contacts::{Contact, Lookups, UniqueKey};
use crate::fields::CustomSelection;
use crate::repository::error::StorageError;
use crate::repository::idempotency::IdempotencyKeys;
use crate::repository::row_mapping::{self, contact_columns, custom_parameter};
use crate::repository::statement::sql;

/// The number of contacts that are read first. If all of them have the maximum size, they do not fit into the memory of a
/// transaction.
const FIRST_CONTACTS: usize = 128;
/// The maximum number of contacts that are read at a time. Those that do not fit into the memory are read in vain.
const MAX_CONTACTS: usize = 512;

/// Loads the data that the jobs of all batches need to be applied. The result of a lookup may require further lookups.
///
/// The jobs whose data does not fit into the memory of the transaction are deferred. If there is only one batch, at least
/// the data of its first write is loaded.
pub(super) async fn load_state(
    connection: &mut PgConnection,
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
        let Some(batch) = only.filter(|batch| batch.is_unloaded() && !batch.is_prepared()) else { break };
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
    // Responses are loaded last. If the response of an earlier attempt of the same request is not stored yet, then its
    // effects were not visible above either. In the other order, the response could be missing while the effects are
    // visible, and the job would be rejected as a duplicate of itself.
    load_stored_responses(connection, batches, memory).await?;
    find_purged_contacts(connection, batches).await
}

/// Loads contacts and key holders until the jobs need no others or the memory of the transaction is full.
async fn load_contacts_and_keys(
    connection: &mut PgConnection,
    batches: &mut BTreeMap<Uuid, AccountBatch>,
    memory: &mut TransactionMemory,
) -> Result<(), StorageError> {
    let mut required: Vec<_> = batches.values().map(|batch| (batch.account, batch.required_lookups())).collect();
    for (_, lookups) in required.iter_mut().filter(|(_, lookups)| lookups.ids.is_empty()) {
        // The state of an account is read with its contacts. So a batch without contacts looks up an id that never
        // exists.
        lookups.ids.push(Uuid::nil());
    }
    while !required.is_empty() {
        let (contacts, keys) = flatten_lookups(batches, required);
        load_contacts(connection, batches, contacts, memory).await?;
        load_key_holders(connection, batches, keys).await?;
        if memory.is_full() {
            return Ok(());
        }
        required = batches.values().map(|batch| (batch.account, batch.required_lookups())).collect();
        required.retain(|(_, lookups)| !lookups.is_empty());
    }
    Ok(())
}

/// Items with their accounts.
type PerAccount<T> = Vec<(Uuid, T)>;

/// A contact to load, and the custom fields to load with it.
struct RequiredContact {
    id: Uuid,
    /// The value of [`custom_parameter`].
    custom: Arc<str>,
}

fn flatten_lookups(
    batches: &BTreeMap<Uuid, AccountBatch>,
    required: PerAccount<Lookups>,
) -> (PerAccount<RequiredContact>, PerAccount<UniqueKey>) {
    let (mut contacts, mut keys) = (vec![], vec![]);
    for (account, lookups) in required {
        let custom = batches.get(&account).map(|batch| custom_parameter(&batch.required_custom_fields()));
        let custom: Arc<str> = custom.unwrap_or_default().into();
        let contact = |custom: &Arc<str>, id| (account, RequiredContact { id, custom: Arc::clone(custom) });
        contacts.extend(lookups.ids.into_iter().map(|id| contact(&custom, id)));
        let all = custom_parameter(&CustomSelection::All).into();
        contacts.extend(lookups.incomplete_ids.into_iter().map(|id| contact(&all, id)));
        keys.extend(lookups.keys.into_iter().map(|key| (account, key)));
    }
    (contacts, keys)
}

/// An upper bound of the size of the custom values of a contact `c`, NULL if it is unknown. A contact that an older build
/// has written has none. Most are small, and a document of 2,000 bytes or less, not compressed, has at most 181 members:
/// a member takes 11 bytes or more. As JSON with the longest names, it is below 32 KiB. Neither function reads a document
/// that is stored out of line.
const CUSTOM_BYTES: &str = "CASE WHEN c.custom_size_version = c.version THEN c.custom_size \
    WHEN pg_column_compression(c.custom) IS NULL AND pg_column_size(c.custom) <= 2000 THEN 32768 END";

/// Loads contacts, and with them the states of their accounts, until the memory of the transaction is full.
async fn load_contacts(
    connection: &mut PgConnection,
    batches: &mut BTreeMap<Uuid, AccountBatch>,
    required: PerAccount<RequiredContact>,
    memory: &mut TransactionMemory,
) -> Result<(), StorageError> {
    let (mut rest, mut count) = (&required[..], FIRST_CONTACTS);
    while !rest.is_empty() && !memory.is_full() {
        let (next, others) = rest.split_at(count.min(rest.len()));
        let bytes = load_next_contacts(connection, batches, next, memory).await?;
        // The next contacts may be larger than these.
        let average = bytes / next.len() + 1;
        count = (MAX_TRANSACTION_BYTES / 4 / average).clamp(FIRST_CONTACTS, MAX_CONTACTS);
        rest = others;
    }
    Ok(())
}

/// Loads contacts with one statement. Returns the memory that they take.
async fn load_next_contacts(
    connection: &mut PgConnection,
    batches: &mut BTreeMap<Uuid, AccountBatch>,
    required: &[(Uuid, RequiredContact)],
    memory: &mut TransactionMemory,
) -> Result<usize, StorageError> {
    // The row of an account changes with every batch and may have many dead versions. So it is read once and not for
    // each contact. The rows are in the order of the parameters, because both joins are loops: if not all of them fit into
    // the memory, the first writes must have their data.
    let select = sql!(
        "WITH a AS MATERIALIZED (SELECT account_id, registry_version, last_position FROM accounts \
         WHERE account_id = ANY ($3)) \
         SELECT {}, {CUSTOM_BYTES} AS custom_bytes, k.custom = '*' AS is_complete, k.account_id, k.id AS required_id, \
         a.registry_version, a.last_position FROM unnest($1::uuid[], $2::uuid[], $4::text[]) AS k (account_id, id, custom) \
         LEFT JOIN LATERAL (SELECT * FROM a WHERE account_id = k.account_id LIMIT 1) a ON true \
         LEFT JOIN LATERAL (SELECT * FROM contacts WHERE account_id = k.account_id AND id = k.id LIMIT 1) c ON true",
        contact_columns("k.custom")
    );
    let accounts: Vec<_> = required.iter().map(|(account, _)| *account).collect();
    let ids: Vec<_> = required.iter().map(|(_, contact)| contact.id).collect();
    let custom: Vec<_> = required.iter().map(|(_, contact)| &*contact.custom).collect();
    let mut distinct_accounts = accounts.clone();
    distinct_accounts.dedup();
    let select = sqlx::query(select).bind(&accounts).bind(ids).bind(distinct_accounts).bind(custom);
    let mut rows = select.fetch(connection);
    let mut loaded = 0;
    // The rows that do not fit are read and dropped, because the connection is used again.
    while let Some(row) = rows.try_next().await? {
        let Some(batch) = batches.get_mut(&row_mapping::account_from_row(&row)?) else { continue };
        let registry: Option<i64> = row.try_get("registry_version")?;
        let state = registry.map(|registry| Ok(AccountState { registry, position: row.try_get("last_position")? }));
        batch.set_account_state(state.transpose().map_err(|error: sqlx::Error| error)?);
        if memory.is_full() {
            continue;
        }
        let id: Option<Uuid> = row.try_get("id")?;
        let contact = id.map(|_| sized_contact_from_row(&row)).transpose()?;
        let bytes = contact.as_ref().map_or(0, Contact::memory_bytes);
        if memory.take_for_read(bytes).await {
            loaded += bytes;
            batch.unit_of_work.add_loaded_contact(row.try_get("required_id")?, contact);
        }
    }
    Ok(loaded)
}

/// Returns the contact in a row, with the known bound of the size of the custom values that are not loaded.
fn sized_contact_from_row(row: &PgRow) -> sqlx::Result<Contact> {
    let contact = row_mapping::contact_from_row(row)?;
    if row.try_get("is_complete")? {
        return Ok(Contact { unloaded_bytes: Some(0), ..contact });
    }
    let custom_bytes: Option<i32> = row.try_get("custom_bytes")?;
    Ok(contact.with_custom_bytes(custom_bytes.and_then(|bytes| usize::try_from(bytes).ok())))
}

/// Loads the active contacts that hold unique keys.
async fn load_key_holders(
    connection: &mut PgConnection,
    batches: &mut BTreeMap<Uuid, AccountBatch>,
    required: PerAccount<UniqueKey>,
) -> Result<(), StorageError> {
    const FIND: &str = "SELECT k.number, h.contact_id \
         FROM unnest($1::uuid[], $2::integer[], $3::text[]) WITH ORDINALITY AS k (account_id, field_id, key, number) \
         CROSS JOIN LATERAL (SELECT contact_id FROM contact_keys WHERE account_id = k.account_id \
         AND field_id = k.field_id AND key = k.key AND is_active LIMIT 1) h";
    if required.is_empty() {
        return Ok(());
    }
    let accounts: Vec<_> = required.iter().map(|(account, _)| *account).collect();
    let fields: Vec<_> = required.iter().map(|(_, key)| key.field.0).collect();
    let keys: Vec<_> = required.iter().map(|(_, key)| key.key.as_str()).collect();
    let rows = sqlx::query(FIND).bind(accounts).bind(fields).bind(keys).fetch_all(connection).await?;
    let mut holders = vec![None; required.len()];
    for row in rows {
        let number: i64 = row.try_get(0)?;
        if let Some(holder) = usize::try_from(number - 1).ok().and_then(|index| holders.get_mut(index)) {
            *holder = Some(row.try_get(1)?);
        }
    }
    for ((account, key), holder) in required.into_iter().zip(holders) {
        if let Some(batch) = batches.get_mut(&account) {
            batch.unit_of_work.add_loaded_key_holder(key, holder);
        }
    }
    Ok(())
}

/// Loads the responses stored under the idempotency keys of all jobs, until the memory of the transaction is full.
async fn load_stored_responses(
    connection: &mut PgConnection,
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
    let mut responses = keys.find_responses(connection);
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
    connection: &mut PgConnection,
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
