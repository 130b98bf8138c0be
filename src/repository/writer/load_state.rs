//! Loads the data that a batch of writes depends on: the states of its accounts, the contacts that it writes, the
//! holders of the unique keys that it sets, and the responses stored under its idempotency keys.
//!
//! One statement reads most batches. A change after it is detected when the batch is stored, or when a later read finds the
//! account in another state.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::account_batch::{AccountBatch, AccountState, shard_accounts};
use super::transaction_memory::{MAX_TRANSACTION_BYTES, TransactionMemory};
use crate::contacts::{Contact, Lookups, MAX_ARCHIVED_HOLDERS, UniqueKey};
use crate::fields::{CustomSelection, FieldId, RegistryVersion};
use crate::repository::error::StorageError;
use crate::repository::idempotency::IdempotencyKeys;
use crate::repository::last_changes::last_position_in_shard_sql;
use crate::repository::pool::DatabaseConnection;
use crate::repository::row_mapping::{self, contact_columns, custom_parameter};
use crate::repository::source_times;
use crate::repository::statement::{shard_condition, shard_condition_of_newest, sql};

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

/// Loads contacts and key holders until the jobs need no others or the memory of the transaction is full.
async fn load_contacts_and_keys(
    connection: &mut DatabaseConnection,
    batches: &mut BTreeMap<Uuid, AccountBatch>,
    memory: &mut TransactionMemory,
) -> Result<(), StorageError> {
    let mut required: Vec<_> = batches.values().map(|batch| (batch.account, batch.required_lookups())).collect();
    for (_, lookups) in required.iter_mut().filter(|(_, lookups)| lookups.is_empty()) {
        // The state of an account is read with its contacts. If the jobs need none, load a contact that does not exist.
        lookups.ids.push(Uuid::nil());
    }
    while !required.is_empty() {
        load_rows(connection, batches, RequiredRows::new(batches, required), memory).await?;
        if memory.is_full() {
            return Ok(());
        }
        required = batches.values().map(|batch| (batch.account, batch.required_lookups())).collect();
        required.retain(|(_, lookups)| !lookups.is_empty());
    }
    Ok(())
}

/// A contact or the holder of a key to load.
struct RequiredRow {
    account: Uuid,
    /// The id of the contact; `None` if the key leads to the contact.
    id: Option<Uuid>,
    key: Option<UniqueKey>,
    /// The custom fields to load with the contact, as the value of [`custom_parameter`]. `None` if only the holder of the
    /// key is needed.
    custom: Option<Arc<str>>,
}

/// The contacts and key holders to load, in the order in which the writes need them.
struct RequiredRows {
    contacts: Vec<RequiredRow>,
    holders: Vec<RequiredRow>,
}

impl RequiredRows {
    fn new(batches: &BTreeMap<Uuid, AccountBatch>, required: Vec<(Uuid, Lookups)>) -> Self {
        let mut rows = Self { contacts: vec![], holders: vec![] };
        let all: Arc<str> = custom_parameter(&CustomSelection::All).into();
        for (account, lookups) in required {
            let custom = batches.get(&account).map(|batch| custom_parameter(&batch.required_custom_fields()));
            let custom: Arc<str> = custom.unwrap_or_default().into();
            let by_id = |custom: &Arc<str>, id| RequiredRow {
                account,
                id: Some(id),
                key: None,
                custom: Some(Arc::clone(custom)),
            };
            let by_key = |custom, key| RequiredRow { account, id: None, key: Some(key), custom };
            rows.contacts.extend(lookups.ids.into_iter().map(|id| by_id(&custom, id)));
            rows.contacts.extend(lookups.targets.into_iter().map(|key| by_key(Some(Arc::clone(&custom)), key)));
            rows.contacts.extend(lookups.incomplete_ids.into_iter().map(|id| by_id(&all, id)));
            rows.holders.extend(lookups.keys.into_iter().map(|key| by_key(None, key)));
        }
        rows
    }
}

/// An upper bound of the size of the custom values of a contact `c`, NULL if it is unknown. A contact that an older build
/// has written has none. Most are small, and a document of 2,000 bytes or less, not compressed, has at most 181 members:
/// a member takes 11 bytes or more. As JSON with the longest names, it is below 32 KiB. Neither function reads a document
/// that is stored out of line.
const CUSTOM_BYTES: &str = "CASE WHEN c.custom_size_version = c.version THEN c.custom_size \
    WHEN pg_column_compression(c.custom) IS NULL AND pg_column_size(c.custom) <= 2000 THEN 32768 END";

/// Loads rows until the memory of the transaction is full. One statement loads most batches, so all rows are from one
/// snapshot.
async fn load_rows(
    connection: &mut DatabaseConnection,
    batches: &mut BTreeMap<Uuid, AccountBatch>,
    required: RequiredRows,
    memory: &mut TransactionMemory,
) -> Result<(), StorageError> {
    let RequiredRows { mut contacts, mut holders } = required;
    let mut count = FIRST_CONTACTS;
    while !memory.is_full() && (!contacts.is_empty() || !holders.is_empty()) {
        let rest = contacts.split_off(count.min(contacts.len()));
        let contact_count = contacts.len();
        contacts.append(&mut holders);
        let bytes = load_next_rows(connection, batches, &contacts, memory).await?;
        // The next contacts may be larger than these.
        let average = bytes / contact_count.max(1) + 1;
        count = (MAX_TRANSACTION_BYTES / 4 / average).clamp(FIRST_CONTACTS, MAX_CONTACTS);
        contacts = rest;
    }
    Ok(())
}

/// Returns the statement that loads rows `k`. If `has_keys` is false, they have ids only.
fn select_sql(has_keys: bool) -> String {
    // The row of an account is read once and not for each contact. The rows are in the order of the parameters, because
    // all joins are loops: if not all of them fit into the memory, the first writes must have their data.
    let shard_parameter = if has_keys { 8 } else { 6 };
    let shard = |table: &str| shard_condition(table, shard_parameter);
    let (columns, parameters, holder, id) = if has_keys {
        (
            ", field_id, key",
            ", $6::integer[], $7::text[]",
            format!(
                "LEFT JOIN LATERAL (SELECT contact_id FROM contact_keys t WHERE account_id = k.account_id \
                 AND field_id = k.field_id AND key = k.key AND is_active AND {} LIMIT 1) h ON true ",
                shard("t")
            ),
            "coalesce(k.id, CASE WHEN k.custom IS NOT NULL THEN h.contact_id END)",
        )
    } else {
        ("", "", String::new(), "k.id")
    };
    let key_columns = if has_keys {
        format!(
            ", k.field_id, k.key, h.contact_id AS holder, \
             CASE WHEN k.id IS NULL AND k.custom IS NOT NULL AND h.contact_id IS NULL THEN {} END AS archived_holders",
            archived_holders_sql(shard_parameter)
        )
    } else {
        String::new()
    };
    format!(
        "WITH a AS MATERIALIZED (SELECT s.account_id, s.registry_version, CASE WHEN $5 THEN {} END AS position, \
         CASE WHEN $5 THEN (SELECT id FROM contacts t WHERE account_id = s.account_id AND {} ORDER BY id DESC LIMIT 1) END \
         AS newest_id FROM accounts s WHERE account_id = ANY ($3) AND {}) \
         SELECT {}, {CUSTOM_BYTES} AS custom_bytes, k.custom = '*' AS is_complete, k.account_id, k.id AS required_id, \
         c.row_id::text, a.registry_version, a.position, a.newest_id{key_columns} \
         FROM unnest($1::uuid[], $2::uuid[], $4::text[]{parameters}) AS k (account_id, id, custom{columns}) \
         LEFT JOIN LATERAL (SELECT * FROM a WHERE account_id = k.account_id LIMIT 1) a ON true {holder}\
         LEFT JOIN LATERAL (SELECT ctid AS row_id, * FROM contacts t WHERE account_id = k.account_id AND id = {id} AND {of_shard} LIMIT 1) c ON true",
        last_position_in_shard_sql(shard_parameter),
        shard_condition_of_newest("t", shard_parameter),
        shard("s"),
        contact_columns("k.custom"),
        of_shard = shard("t"),
    )
}

/// Returns the archived contacts that have a key `k`, as an array. The one archived last is first.
fn archived_holders_sql(shard_parameter: usize) -> String {
    format!(
        "ARRAY(SELECT r.contact_id FROM (SELECT contact_id FROM contact_keys t WHERE account_id = k.account_id \
         AND field_id = k.field_id AND key = k.key AND NOT is_active AND {} OFFSET 0) r CROSS JOIN LATERAL \
         (SELECT archived_at FROM contacts t WHERE account_id = k.account_id AND id = r.contact_id AND {} LIMIT 1) s \
         ORDER BY s.archived_at DESC, r.contact_id DESC LIMIT {MAX_ARCHIVED_HOLDERS})",
        shard_condition("t", shard_parameter),
        shard_condition("t", shard_parameter),
    )
}

/// Loads rows with one statement. Returns the memory that their contacts take.
async fn load_next_rows(
    connection: &mut DatabaseConnection,
    batches: &mut BTreeMap<Uuid, AccountBatch>,
    required: &[RequiredRow],
    memory: &mut TransactionMemory,
) -> Result<usize, StorageError> {
    let has_keys = required.iter().any(|row| row.key.is_some());
    let select = if has_keys { sql!("{}", select_sql(true)) } else { sql!("{}", select_sql(false)) };
    let mut accounts: Vec<_> = required.iter().map(|row| row.account).collect();
    let select = sqlx::query(select)
        .bind(accounts.clone())
        .bind(required.iter().map(|row| row.id).collect::<Vec<_>>())
        .bind({
            accounts.dedup();
            accounts
        })
        .bind(required.iter().map(|row| row.custom.as_deref()).collect::<Vec<_>>())
        .bind(batches.values().any(|batch| batch.depends_on_position));
    let select = if has_keys {
        let keys = || required.iter().map(|row| row.key.as_ref());
        select
            .bind(keys().map(|key| Some(key?.field.0)).collect::<Vec<_>>())
            .bind(keys().map(|key| Some(key?.key.as_str())).collect::<Vec<_>>())
    } else {
        select
    };
    let mut rows = select.bind(shard_accounts(batches.values())).fetch(connection);
    let mut loaded = 0;
    // The rows that do not fit are read and dropped, because the connection is used again.
    while let Some(row) = rows.try_next().await? {
        let Some(batch) = batches.get_mut(&row_mapping::account_from_row(&row)?) else { continue };
        set_account_state(batch, &row)?;
        if memory.is_full() {
            continue;
        }
        let contact = row_mapping::optional_contact_from_row(&row)?;
        let contact = contact.map(|contact| with_known_size(contact, &row)).transpose()?;
        let bytes = contact.as_ref().map_or(0, Contact::memory_bytes);
        if !memory.take_for_read(bytes).await {
            continue;
        }
        loaded += bytes;
        let key: Option<String> = if has_keys { row.try_get("key")? } else { None };
        if let Some(key) = key {
            let key = UniqueKey { field: FieldId(row.try_get("field_id")?), key };
            let archived: Option<Vec<Uuid>> = row.try_get("archived_holders")?;
            if let Some(archived) = archived.filter(|archived| !archived.is_empty()) {
                batch.unit_of_work.add_archived_holders(key.clone(), archived);
            }
            batch.unit_of_work.add_loaded_key_holder(key, row.try_get("holder")?);
        }
        match (contact, row.try_get("required_id")?) {
            (Some(contact), _) => batch.add_loaded_contact(contact, row.try_get("row_id")?),
            (None, Some(missing)) => batch.unit_of_work.add_loaded_contact(missing, None),
            (None, None) => {}
        }
    }
    Ok(loaded)
}

/// Records the state of the account in a row.
fn set_account_state(batch: &mut AccountBatch, row: &PgRow) -> sqlx::Result<()> {
    let registry: Option<i64> = row.try_get("registry_version")?;
    let state = registry.map(|registry| {
        Ok(AccountState { registry: RegistryVersion::from_stored(registry), position: row.try_get("position")? })
    });
    batch.set_account_state(state.transpose().map_err(|error: sqlx::Error| error)?);
    let newest_id: Option<Uuid> = row.try_get("newest_id")?;
    newest_id.into_iter().for_each(|id| batch.unit_of_work.set_newest_id(id));
    Ok(())
}

/// Returns the contact in a row, with the known bound of the size of the custom values that are not loaded.
fn with_known_size(contact: Contact, row: &PgRow) -> sqlx::Result<Contact> {
    if row.try_get("is_complete")? {
        return Ok(Contact { unloaded_bytes: Some(0), ..contact });
    }
    let custom_bytes: Option<i32> = row.try_get("custom_bytes")?;
    Ok(contact.with_custom_bytes(custom_bytes.and_then(|bytes| usize::try_from(bytes).ok())))
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
