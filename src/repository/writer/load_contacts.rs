//! Loads the contacts that a batch of writes reads, the holders of the unique keys that it sets, and with them the states of
//! its accounts.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use futures_util::TryStreamExt;
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::account_batch::{AccountBatch, AccountState, shard_accounts};
use super::transaction_memory::{MAX_TRANSACTION_BYTES, TransactionMemory};
use super::write_job::PositionUse;
use crate::contacts::{Contact, ContactTarget, Lookups, MAX_ARCHIVED_HOLDERS, UniqueKey};
use crate::fields::RegistryVersion;
use crate::repository::error::StorageError;
use crate::repository::last_changes::last_position_in_shard_sql;
use crate::repository::pool::DatabaseConnection;
use crate::repository::row_mapping::{self, ALL_CUSTOM_FIELDS, contact_columns, custom_parameter};
use crate::repository::statement::{shard_condition, shard_condition_of_newest, sql};

/// The number of contacts that are read first. If all of them have the maximum size, they do not fit into the memory of a
/// transaction.
const FIRST_CONTACTS: usize = 128;
/// The maximum number of contacts that are read at a time. Those that do not fit into the memory are read in vain.
const MAX_CONTACTS: usize = 512;
/// The number of contacts of an account, addressed by keys, up to which its position is read with each key that is free.
/// It is read once for more contacts, because several may be free.
const FEW_TARGETS: usize = 2;

/// Loads contacts and key holders until the jobs need no others or the memory of the transaction is full.
pub(super) async fn load_contacts_and_keys(
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
    target: ContactTarget,
    /// The custom fields to load with the contact, as the value of [`custom_parameter`]. `None` if only the holder of the
    /// key is needed.
    custom: Option<Arc<str>>,
    /// When the position of the account is to be read.
    position_use: PositionUse,
}

impl RequiredRow {
    fn id(&self) -> Option<Uuid> {
        match self.target {
            ContactTarget::Id(id) => Some(id),
            ContactTarget::Key(_) => None,
        }
    }

    fn key(&self) -> Option<&UniqueKey> {
        match &self.target {
            ContactTarget::Id(_) => None,
            ContactTarget::Key(key) => Some(key),
        }
    }

    /// Returns whether the position of the account is to be read with the row, which may be the account's first; `None` if it
    /// depends on whether the key has a holder.
    fn reads_position(&self, is_first: bool) -> Option<bool> {
        let is_target = self.custom.is_some() && self.key().is_some();
        match self.position_use {
            PositionUse::IfKeyIsFree if is_target => None,
            PositionUse::Always => Some(is_first),
            PositionUse::Never | PositionUse::IfKeyIsFree => Some(false),
        }
    }

    /// Records that no such contact exists, or that no contact has the key.
    fn record_missing(&self, batches: &mut BTreeMap<Uuid, AccountBatch>) {
        let Some(batch) = batches.get_mut(&self.account) else { return };
        match &self.target {
            ContactTarget::Id(id) => batch.add_missing_contact(*id),
            ContactTarget::Key(key) => batch.unit_of_work.add_loaded_key_holder(key.clone(), None),
        }
    }
}

/// The contacts and key holders to load, in the order in which the writes need them.
struct RequiredRows {
    contacts: Vec<RequiredRow>,
    holders: Vec<RequiredRow>,
}

impl RequiredRows {
    fn new(batches: &BTreeMap<Uuid, AccountBatch>, required: Vec<(Uuid, Lookups)>) -> Self {
        let mut rows = Self { contacts: vec![], holders: vec![] };
        let all: Arc<str> = ALL_CUSTOM_FIELDS.into();
        for (account, lookups) in required {
            let Some(batch) = batches.get(&account) else { continue };
            let custom: Arc<str> = custom_parameter(&batch.required_custom_fields()).into();
            let position_use = match batch.position_use() {
                PositionUse::IfKeyIsFree if lookups.targets.len() > FEW_TARGETS => PositionUse::Always,
                position_use => position_use,
            };
            let row = |target, custom: Option<&Arc<str>>| {
                let custom = custom.cloned();
                RequiredRow { account, target, custom, position_use }
            };
            let by_id = |id| row(ContactTarget::Id(id), Some(&custom));
            rows.contacts.extend(lookups.ids.into_iter().map(by_id));
            rows.contacts.extend(lookups.targets.into_iter().map(|key| row(ContactTarget::Key(key), Some(&custom))));
            rows.contacts.extend(lookups.incomplete_ids.into_iter().map(|id| row(ContactTarget::Id(id), Some(&all))));
            rows.holders.extend(lookups.keys.into_iter().map(|key| row(ContactTarget::Key(key), None)));
        }
        // Several statements have several snapshots. What they find fits together only if each of them reads the position.
        if rows.contacts.len() > FIRST_CONTACTS {
            let all = rows.contacts.iter_mut().chain(&mut rows.holders);
            all.filter(|row| row.position_use == PositionUse::IfKeyIsFree)
                .for_each(|row| row.position_use = PositionUse::Always);
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

/// Returns the statement that loads rows `k`. If `has_keys` is false, they have ids only. The result has the rows that were
/// found, by number, and those with the state of their account: most keys of new contacts have no holder. The account's state
/// is in its first row, and in every row that needs its position. `k.reads_position` is NULL for a key that needs it only
/// if the key has no holder.
fn select_sql(has_keys: bool) -> String {
    // All joins are loops and keep the order of the parameters, so nothing is sorted. If not all rows fit into the memory,
    // the first writes must have their data.
    let shard_parameter = if has_keys { 8 } else { 6 };
    let shard = |table: &str| shard_condition(table, shard_parameter);
    let keys = if has_keys { RequiredKeys::new(shard_parameter) } else { RequiredKeys::default() };
    let (id, reads_position, has_state) = match has_keys {
        true => (
            "coalesce(k.id, CASE WHEN k.custom IS NOT NULL THEN h.contact_id END)",
            "coalesce(k.reads_position, h.contact_id IS NULL)",
            "(k.is_first OR k.reads_position IS NULL AND h.contact_id IS NULL)",
        ),
        false => ("k.id", "k.reads_position", "k.is_first"),
    };
    format!(
        "SELECT {}, {CUSTOM_BYTES} AS custom_bytes, k.number, {has_state} AS has_state, c.row_id::text, \
         a.registry_version, a.position, a.newest_id{} \
         FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::boolean[], $5::boolean[]{}) WITH ORDINALITY \
         AS k (account_id, id, custom, is_first, reads_position{}, number) {}\
         LEFT JOIN LATERAL (SELECT s.registry_version, CASE WHEN {reads_position} THEN {} END AS position, \
         CASE WHEN {reads_position} THEN (SELECT id FROM contacts t WHERE account_id = s.account_id AND {} ORDER BY id DESC LIMIT 1) END \
         AS newest_id FROM accounts s WHERE {has_state} AND account_id = k.account_id AND {} LIMIT 1) a ON true \
         LEFT JOIN LATERAL (SELECT ctid AS row_id, * FROM contacts t WHERE account_id = k.account_id AND id = {id} AND {} LIMIT 1) c \
         ON true WHERE {has_state} OR c.id IS NOT NULL{} ORDER BY k.number",
        contact_columns("k.custom"),
        keys.selected,
        keys.parameters,
        keys.columns,
        keys.join,
        last_position_in_shard_sql(shard_parameter),
        shard_condition_of_newest("t", shard_parameter),
        shard("s"),
        shard("t"),
        keys.is_found,
    )
}

/// The parts of [`select_sql`] for keys.
#[derive(Default)]
struct RequiredKeys {
    selected: String,
    parameters: &'static str,
    columns: &'static str,
    join: String,
    is_found: String,
}

impl RequiredKeys {
    fn new(shard_parameter: usize) -> Self {
        let holders = |condition: &str| {
            format!(
                "FROM contact_keys t WHERE account_id = k.account_id AND field_id = k.field_id AND key = k.key AND {condition} \
                 AND {}",
                shard_condition("t", shard_parameter)
            )
        };
        // An upsert whose key has no active holder depends on archived contacts.
        let is_free_target = "k.id IS NULL AND k.custom IS NOT NULL AND h.contact_id IS NULL";
        let archived = holders("NOT is_active");
        let selected = format!(
            ", h.contact_id AS holder, CASE WHEN {is_free_target} THEN {} END AS archived_holders",
            newest_archived_sql(&archived, shard_parameter)
        );
        let join = format!("LEFT JOIN LATERAL (SELECT contact_id {} LIMIT 1) h ON true ", holders("is_active"));
        let is_found = format!(
            " OR h.contact_id IS NOT NULL OR CASE WHEN {is_free_target} THEN (SELECT true {archived} LIMIT 1) END"
        );
        Self { selected, parameters: ", $6::integer[], $7::text[]", columns: ", field_id, key", join, is_found }
    }
}

/// Returns the contacts of `holders`, a part of a statement from FROM on, as an array. The one archived last is first.
fn newest_archived_sql(holders: &str, shard_parameter: usize) -> String {
    format!(
        "ARRAY(SELECT r.contact_id FROM (SELECT contact_id {holders} OFFSET 0) r CROSS JOIN LATERAL \
         (SELECT archived_at FROM contacts t WHERE account_id = k.account_id AND id = r.contact_id AND {} LIMIT 1) s \
         ORDER BY s.archived_at DESC, r.contact_id DESC LIMIT {MAX_ARCHIVED_HOLDERS})",
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
    let has_keys = required.iter().any(|row| row.key().is_some());
    let select = if has_keys { sql!("{}", select_sql(true)) } else { sql!("{}", select_sql(false)) };
    let mut accounts = HashSet::new();
    let is_first: Vec<bool> = required.iter().map(|row| accounts.insert(row.account)).collect();
    let reads_position = required.iter().zip(&is_first).map(|(row, is_first)| row.reads_position(*is_first));
    let select = sqlx::query(select)
        .bind(required.iter().map(|row| row.account).collect::<Vec<_>>())
        .bind(required.iter().map(RequiredRow::id).collect::<Vec<_>>())
        .bind(required.iter().map(|row| row.custom.as_deref()).collect::<Vec<_>>())
        .bind(&is_first)
        .bind(reads_position.collect::<Vec<_>>());
    let select = if has_keys {
        let keys = || required.iter().map(RequiredRow::key);
        select
            .bind(keys().map(|key| Some(key?.field.0)).collect::<Vec<_>>())
            .bind(keys().map(|key| Some(key?.key.as_str())).collect::<Vec<_>>())
    } else {
        select
    };
    let mut rows = select.bind(shard_accounts(batches.values())).fetch(connection);
    let (mut loaded, mut known) = (0, 0);
    // The rows that do not fit are read and dropped, because the connection is used again.
    while let Some(row) = rows.try_next().await? {
        let index = row_index(&row)?;
        let Some(found) = required.get(index) else { continue };
        if row.try_get("has_state")? {
            set_account_state(batches, found.account, &row)?;
        }
        if memory.is_full() {
            continue;
        }
        required.get(known..index).into_iter().flatten().for_each(|missing| missing.record_missing(batches));
        known = index;
        let contact = row_mapping::optional_contact_from_row(&row)?;
        let contact = contact.map(|contact| with_known_size(contact, found, &row)).transpose()?;
        let bytes = contact.as_ref().map_or(0, Contact::memory_bytes);
        if memory.take_for_read(bytes).await {
            loaded += bytes;
            known += 1;
            add_found(batches, found, contact, &row)?;
        }
    }
    if !memory.is_full() {
        required[known..].iter().for_each(|missing| missing.record_missing(batches));
    }
    Ok(loaded)
}

/// Returns the index of the required row that a row was found for.
fn row_index(row: &PgRow) -> sqlx::Result<usize> {
    let number: i64 = row.try_get("number")?;
    usize::try_from(number - 1).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// Adds a row that was found, or the first row of an account, to the batch of its account.
fn add_found(
    batches: &mut BTreeMap<Uuid, AccountBatch>,
    required: &RequiredRow,
    contact: Option<Contact>,
    row: &PgRow,
) -> sqlx::Result<()> {
    let Some(batch) = batches.get_mut(&required.account) else { return Ok(()) };
    match &required.target {
        ContactTarget::Key(key) => {
            let archived: Option<Vec<Uuid>> = row.try_get("archived_holders")?;
            if let Some(archived) = archived.filter(|archived| !archived.is_empty()) {
                batch.unit_of_work.add_archived_holders(key.clone(), archived);
            }
            batch.unit_of_work.add_loaded_key_holder(key.clone(), row.try_get("holder")?);
        }
        ContactTarget::Id(id) if contact.is_none() => batch.add_missing_contact(*id),
        ContactTarget::Id(_) => {}
    }
    if let Some(contact) = contact {
        batch.add_loaded_contact(contact, row.try_get("row_id")?);
    }
    Ok(())
}

/// Records the state of an account in a row.
fn set_account_state(batches: &mut BTreeMap<Uuid, AccountBatch>, account: Uuid, row: &PgRow) -> sqlx::Result<()> {
    let Some(batch) = batches.get_mut(&account) else { return Ok(()) };
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
fn with_known_size(contact: Contact, required: &RequiredRow, row: &PgRow) -> sqlx::Result<Contact> {
    if required.custom.as_deref() == Some(ALL_CUSTOM_FIELDS) {
        return Ok(Contact { unloaded_bytes: Some(0), ..contact });
    }
    let custom_bytes: Option<i32> = row.try_get("custom_bytes")?;
    Ok(contact.with_custom_bytes(custom_bytes.and_then(|bytes| usize::try_from(bytes).ok())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::{registry_fixtures, system};
    use crate::repository::writer::fixtures::{ACCOUNT, job, upsert};
    use crate::repository::writer::write_job::Atomicity;

    /// Returns whether the position of an account is read with each contact, if this many upserts address contacts.
    fn positions_read(upserts: usize, position: Option<i64>) -> Vec<Option<bool>> {
        let upsert = |number| job(vec![upsert(&format!("x-{number}"), system::LAST_NAME)], Atomicity::Independent).0;
        let mut batch = AccountBatch::new(ACCOUNT, (0..upserts).map(upsert).collect(), false);
        batch.set_account_state(Some(AccountState { registry: registry_fixtures::registry().version(), position }));
        let lookups = batch.required_lookups();
        let rows = RequiredRows::new(&BTreeMap::from([(ACCOUNT, batch)]), vec![(ACCOUNT, lookups)]);
        rows.contacts.iter().enumerate().map(|(index, row)| row.reads_position(index == 0)).collect()
    }

    #[test]
    fn position_is_read_with_free_keys_only_if_they_are_few() {
        assert_eq!(positions_read(FEW_TARGETS, None), [None, None]);
        assert_eq!(positions_read(FEW_TARGETS + 1, None), [Some(true), Some(false), Some(false)]);
        assert_eq!(positions_read(1, Some(7)), [Some(true)]);
    }

    #[test]
    fn position_is_read_by_every_statement_if_there_are_several() {
        let accounts: Vec<_> = (0..=FIRST_CONTACTS as u128).map(Uuid::from_u128).collect();
        let batch = |account: &Uuid| {
            let (job, _) = job(vec![upsert("x", system::LAST_NAME)], Atomicity::Independent);
            (*account, AccountBatch::new(*account, vec![job], false))
        };
        let batches: BTreeMap<_, _> = accounts.iter().map(batch).collect();
        for (count, expected) in [(FIRST_CONTACTS, None), (FIRST_CONTACTS + 1, Some(true))] {
            let required = batches.iter().take(count).map(|(account, batch)| (*account, batch.required_lookups()));
            let rows = RequiredRows::new(&batches, required.collect());
            assert!(rows.contacts.iter().all(|row| row.reads_position(true) == expected), "{count}");
        }
    }
}
