//! Stores the effects of a batch of writes, in a few statements however many contacts it changes.
//!
//! The row of each account is locked until the commit, and its changes are placed after its last change. Rows are locked
//! in the order of account ids. What another transaction has changed since it was read is not stored: contacts have a
//! version, the account has a version of its registry, and unique keys have an index.

use std::collections::{HashMap, HashSet};

use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::query::Query;
use sqlx::{Postgres, Row};
use uuid::Uuid;

use super::account_batch::{AccountBatch, MAX_BOUND_BYTES};
use super::bind_columns::{
    ARCHIVAL_COLUMNS, ChangeColumns, ContactColumns, ContactRow, KeyColumns, collect_rows, contact_value_columns,
};
use super::insert_rows::{insert_changes, insert_changes_sql, insert_contacts, insert_keys};
use crate::contacts::{LastChange, UpdatedContact};
use crate::fields::system;
use crate::repository::error::StorageError;
use crate::repository::history_erasure::{self, PendingErasure};
use crate::repository::idempotency;
use crate::repository::last_changes::read_last_changes;
use crate::repository::statement::{ArrayColumn, comma_separated, rows_from_arrays, sql};

/// The ids of an account and of one of its contacts.
pub(super) type ContactKey = (Uuid, Uuid);

/// The number of accounts up to which the newest change of each is read separately.
const FEW_ACCOUNTS: usize = 8;

/// The columns that [`bind_accounts`] binds: the account, the version of the registry that was read, and the number of
/// changes.
const ACCOUNT_COLUMNS: [ArrayColumn; 3] = [("account_id", "uuid"), ("registry", "bigint"), ("changes", "bigint")];

/// Returns a query that locks the accounts of [`bind_accounts`], whose parameters begin with `first`, and returns their
/// ids and a lower bound of the position of their last change. It skips accounts that another transaction has locked, or
/// whose registry has changed.
fn lock_accounts_sql(first: usize) -> String {
    format!(
        "SELECT n.account_id, greatest(a.last_position, a.trimmed_position) AS position FROM {} CROSS JOIN LATERAL \
         (SELECT * FROM accounts WHERE account_id = n.account_id AND registry_version = n.registry LIMIT 1 \
         FOR NO KEY UPDATE SKIP LOCKED) a",
        rows_from_arrays(first, &ACCOUNT_COLUMNS)
    )
}

/// The assignment of the custom fields. A document without a change keeps its value, which is not copied then: a large
/// document stays where it is.
const CUSTOM_ASSIGNMENT: &str = "custom = CASE \
    WHEN n.custom_removed IS NOT NULL \
    THEN (c.custom - string_to_array(n.custom_removed, ',')) || coalesce(n.custom_set::jsonb, '{}') \
    WHEN n.custom_set IS NOT NULL THEN c.custom || n.custom_set::jsonb ELSE c.custom END";

/// Returns the assignments of every update of a contact, from rows `n`. The position and the time are expressions.
fn assignments_sql(position: &str, updated_at: &str) -> String {
    let stored = system::stored().iter().map(|field| format!("{0} = n.{0}", field.internal_name));
    format!(
        "version = n.version, position = {position}, updated_at = {updated_at}, {CUSTOM_ASSIGNMENT}, \
         custom_size = n.custom_size, custom_size_version = n.version, {}",
        comma_separated(stored)
    )
}

/// The rest of an update of contacts `c` from rows `n` with their account, id and current version `base`. It finds the
/// rows of the contacts by their primary key ([`crate::repository::statement`]).
const CONTACT_ROW_IDS: &str = "CROSS JOIN LATERAL (SELECT ctid AS row_id FROM contacts \
    WHERE account_id = n.account_id AND id = n.id AND version = n.base LIMIT 1) r \
    WHERE c.ctid = r.row_id AND c.version = n.base";

/// Returns the statement of [`store_values`]. The positions that it gets are provisional. Each contact has its `ctid`: it
/// belongs to one version of the contact, so it needs no other lookup than a check that the version is still there. The
/// check cannot use an index, so that the planner does not scan one instead (`statement.rs`).
///
/// `has_few_accounts`: there are [`FEW_ACCOUNTS`] at most. `advances_accounts`: the new position of each account is stored in
/// its row, for instances of an older build.
fn store_values_sql(has_few_accounts: bool, advances_accounts: bool) -> String {
    let columns: Vec<_> = contact_value_columns().into_iter().chain([("row_id", "text")]).collect();
    let accounts_from = columns.len() + 1;
    let changes_from = accounts_from + ACCOUNT_COLUMNS.len();
    let newest_changes = if has_few_accounts {
        "CROSS JOIN LATERAL newest_change(k.account_id) c"
    } else {
        "LEFT JOIN newest_changes((SELECT array_agg(account_id) FROM locked)) c ON c.account = k.account_id"
    };
    let (advance, join_advanced) = if advances_accounts {
        (advance_accounts_sql(accounts_from), "JOIN advanced v ON v.account_id = n.account_id ")
    } else {
        (String::new(), "")
    };
    format!(
        "WITH locked AS MATERIALIZED ({lock}), \
         l AS MATERIALIZED (SELECT k.account_id, greatest(k.position, c.newest_position) AS newest_position, c.newest_at \
         FROM locked k {newest_changes}), {advance}\
         stored AS (UPDATE contacts c SET {assignments} FROM {rows} JOIN l ON l.account_id = n.account_id {join_advanced}\
         WHERE c.ctid = n.row_id::tid \
         AND (c.account_id, c.id, c.version) IS NOT DISTINCT FROM (n.account_id, n.id, n.base) \
         RETURNING c.account_id, c.id, l.newest_position, l.newest_at), \
         inserted AS ({insert} JOIN stored s ON s.account_id = n.account_id AND s.id = n.contact_id) \
         SELECT account_id, id, newest_position, newest_at FROM stored",
        lock = lock_accounts_sql(accounts_from),
        assignments = assignments_sql("l.newest_position - n.position", "greatest(n.updated_at, l.newest_at)"),
        rows = rows_from_arrays(1, &columns),
        insert = insert_changes_sql(changes_from, true),
    )
}

/// Returns the common table expression that stores the new positions of accounts in their rows. It returns the accounts
/// whose rows have not changed since the snapshot of the statement: others cannot be updated, and are not stored.
fn advance_accounts_sql(accounts_from: usize) -> String {
    format!(
        "advanced AS (UPDATE accounts a SET last_position = l.newest_position + n.changes \
         FROM {} JOIN l ON l.account_id = n.account_id CROSS JOIN LATERAL \
         (SELECT ctid AS row_id FROM accounts WHERE account_id = n.account_id LIMIT 1) r WHERE a.ctid = r.row_id \
         RETURNING a.account_id), ",
        rows_from_arrays(accounts_from, &ACCOUNT_COLUMNS)
    )
}

/// Stores batches that change only values of active contacts and no unique keys, with one statement. It can be a
/// transaction of its own. Returns the contacts that were stored, and places the batches of their accounts.
///
/// A contact that has changed since it was read is not stored, and neither are the contacts of an account that another
/// transaction has locked.
pub(super) async fn store_values(
    connection: &mut PgConnection,
    batches: &mut [&mut AccountBatch],
    advances_accounts: bool,
) -> Result<HashSet<ContactKey>, StorageError> {
    let rows = {
        let batches: Vec<&AccountBatch> = batches.iter().map(|batch| &**batch).collect();
        let store = match (batches.len() <= FEW_ACCOUNTS, advances_accounts) {
            (true, false) => sql!("{}", store_values_sql(true, false)),
            (false, false) => sql!("{}", store_values_sql(false, false)),
            (true, true) => sql!("{}", store_values_sql(true, true)),
            (false, true) => sql!("{}", store_values_sql(false, true)),
        };
        let query =
            ContactColumns::new(updated_contacts(&batches, |_| None).collect())?.bind_values(sqlx::query(store));
        let query = query.bind(batches.iter().flat_map(|batch| batch.updated_row_ids()).collect::<Vec<_>>());
        let changes = ChangeColumns::new(&batches, |_| None)?;
        changes.bind(bind_accounts(query, &batches)).fetch_all(connection).await?
    };
    let mut last_changes = HashMap::new();
    for row in &rows {
        let last = LastChange { position: row.try_get(2)?, at: row.try_get(3)? };
        last_changes.insert(row.try_get::<Uuid, _>(0)?, last);
    }
    place_batches(batches, &last_changes);
    collect_rows(rows, |row| Ok((row.try_get(0)?, row.try_get(1)?)))
}

/// Places the batches of these accounts.
fn place_batches(batches: &mut [&mut AccountBatch], last_changes: &HashMap<Uuid, LastChange>) {
    for batch in batches {
        last_changes.get(&batch.account).into_iter().for_each(|last| batch.place_after(*last));
    }
}

/// The result of [`store_all`].
#[derive(Default)]
pub(super) struct StoredAccounts {
    /// The accounts that were written. The others were skipped.
    pub(super) accounts: HashSet<Uuid>,
    /// The purged contacts whose history is too long to be erased in the same transaction.
    pub(super) pending_erasures: Vec<PendingErasure>,
}

/// Stores batches of any kind in the caller's transaction, and places those that are stored.
///
/// # Errors
/// Fails if the database fails or is overloaded, and with [`StorageError::Stale`] when a contact has changed since it
/// was read. The caller must then roll the transaction back.
pub(super) async fn store_all(
    transaction: &mut PgConnection,
    batches: &mut [&mut AccountBatch],
    advances_accounts: bool,
) -> Result<StoredAccounts, StorageError> {
    let (mut values_only, mut other): (Vec<&mut AccountBatch>, Vec<&mut AccountBatch>) =
        batches.iter_mut().map(|batch| &mut **batch).partition(|batch| batch.changes_values_only());
    let mut accounts = store_values_of_accounts(transaction, &mut values_only, advances_accounts).await?;
    accounts.extend(lock_and_place(transaction, &mut other, advances_accounts).await?);
    let other: Vec<&AccountBatch> =
        other.into_iter().map(|batch| &*batch).filter(|batch| accounts.contains(&batch.account)).collect();
    update_contacts(transaction, &other).await?;
    insert_contacts(transaction, &other).await?;
    // Keys are deleted before they are inserted: a batch may move a key from one contact to another.
    delete_keys(transaction, &other).await?;
    insert_keys(transaction, &other).await?;
    insert_changes(transaction, &other).await?;
    let stored = values_only.iter().map(|batch| &**batch).chain(other.iter().copied());
    let stored = stored.filter(|batch| accounts.contains(&batch.account));
    let responses = stored.flat_map(|batch| batch.new_responses.iter().map(|new| (batch.account, new)));
    idempotency::store_responses(transaction, &responses.collect::<Vec<_>>()).await?;
    let pending_erasures = purge_contacts(transaction, &other).await?;
    Ok(StoredAccounts { accounts, pending_erasures })
}

/// Stores batches that change only values, with one statement. Returns the accounts that no other transaction has locked.
///
/// # Errors
/// The errors of [`store_all`].
async fn store_values_of_accounts(
    connection: &mut PgConnection,
    batches: &mut [&mut AccountBatch],
    advances_accounts: bool,
) -> Result<HashSet<Uuid>, StorageError> {
    if batches.is_empty() {
        return Ok(HashSet::new());
    }
    let stored = store_values(connection, batches, advances_accounts).await?;
    let accounts: HashSet<_> = stored.iter().map(|(account, _)| *account).collect();
    let expected = batches.iter().filter(|batch| accounts.contains(&batch.account));
    let expected: usize = expected.map(|batch| batch.effects.updated.len()).sum();
    // The responses to be stored may contain a contact that was not stored.
    if stored.len() == expected { Ok(accounts) } else { Err(StorageError::Stale) }
}

/// Locks the accounts that no other transaction has locked, and places their batches. Returns the accounts to be stored:
/// those whose contacts and keys have not changed since they were read. They stay locked until the transaction ends.
async fn lock_and_place(
    connection: &mut PgConnection,
    batches: &mut [&mut AccountBatch],
    advances_accounts: bool,
) -> Result<HashSet<Uuid>, StorageError> {
    if batches.is_empty() {
        return Ok(HashSet::new());
    }
    let lock = {
        let batches: Vec<&AccountBatch> = batches.iter().map(|batch| &**batch).collect();
        bind_accounts(sqlx::query(sql!("{}", lock_accounts_sql(1))), &batches).fetch_all(&mut *connection).await?
    };
    let locked: Vec<Uuid> = lock.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<_>>()?;
    // A statement of its own: its snapshot is newer than the locks.
    let last_changes = read_last_changes(connection, &locked).await?;
    place_batches(batches, &last_changes);
    let mut accounts: HashSet<Uuid> = last_changes.keys().copied().collect();
    let is_moved = |batch: &&AccountBatch| batch.state.and_then(|state| state.position) != Some(batch.last.position);
    let placed = batches.iter().map(|batch| &**batch).filter(|batch| accounts.contains(&batch.account));
    let moved: Vec<&AccountBatch> = placed.filter(is_moved).collect();
    for account in find_outdated(connection, &moved).await? {
        accounts.remove(&account);
    }
    if advances_accounts {
        let stored = batches.iter().filter(|batch| accounts.contains(&batch.account));
        advance_accounts(connection, &stored.map(|batch| &**batch).collect::<Vec<_>>()).await?;
    }
    Ok(accounts)
}

/// Returns the accounts of which a contact to be replaced has another version than the one that was read, or of which a
/// key that was claimed is held by a contact.
async fn find_outdated(connection: &mut PgConnection, batches: &[&AccountBatch]) -> Result<Vec<Uuid>, StorageError> {
    const OUTDATED: &str = "SELECT n.account_id FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS n (account_id, id, version) \
         LEFT JOIN LATERAL (SELECT version FROM contacts WHERE account_id = n.account_id AND id = n.id LIMIT 1) c ON true \
         WHERE c.version IS DISTINCT FROM n.version \
         UNION ALL SELECT k.account_id FROM unnest($4::uuid[], $5::integer[], $6::text[]) \
         AS k (account_id, field_id, key) CROSS JOIN LATERAL (SELECT contact_id FROM contact_keys \
         WHERE account_id = k.account_id AND field_id = k.field_id AND key = k.key AND is_active LIMIT 1) h";
    if batches.is_empty() {
        return Ok(vec![]);
    }
    let contacts: Vec<_> = batches
        .iter()
        .flat_map(|batch| batch.effects.replaced_versions().map(|(id, version)| (batch.account, id, version)))
        .collect();
    let claimed = batches.iter().flat_map(|batch| {
        let claimed = batch.effects.free_keys_claimed.iter();
        claimed.map(|key| (batch.account, key))
    });
    let claimed: Vec<_> = claimed.collect();
    let query = sqlx::query(OUTDATED)
        .bind(contacts.iter().map(|(account, ..)| *account).collect::<Vec<_>>())
        .bind(contacts.iter().map(|(_, id, _)| *id).collect::<Vec<_>>())
        .bind(contacts.iter().map(|(.., version)| *version).collect::<Vec<_>>());
    let query = query
        .bind(claimed.iter().map(|(account, _)| *account).collect::<Vec<_>>())
        .bind(claimed.iter().map(|(_, key)| key.field.0).collect::<Vec<_>>())
        .bind(claimed.iter().map(|(_, key)| key.key.as_str()).collect::<Vec<_>>());
    let outdated = query.fetch_all(connection).await?;
    Ok(outdated.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<_>>()?)
}

/// Stores the new positions of accounts in their rows, for instances of an older build.
async fn advance_accounts(connection: &mut PgConnection, batches: &[&AccountBatch]) -> Result<(), StorageError> {
    const ADVANCE: &str = "UPDATE accounts a SET last_position = n.position FROM unnest($1::uuid[], $2::bigint[]) \
         AS n (account_id, position) CROSS JOIN LATERAL \
         (SELECT ctid AS row_id FROM accounts WHERE account_id = n.account_id LIMIT 1) r WHERE a.ctid = r.row_id";
    let position = |batch: &&AccountBatch| batch.last.position + batch.unit_of_work.changes().len() as i64;
    let advance = sqlx::query(ADVANCE).bind(batches.iter().map(|batch| batch.account).collect::<Vec<_>>());
    advance.bind(batches.iter().map(position).collect::<Vec<_>>()).execute(connection).await?;
    Ok(())
}

/// Binds the columns of [`ACCOUNT_COLUMNS`].
fn bind_accounts<'a>(
    query: Query<'a, Postgres, PgArguments>,
    batches: &[&AccountBatch],
) -> Query<'a, Postgres, PgArguments> {
    query
        .bind(batches.iter().map(|batch| batch.account).collect::<Vec<_>>())
        .bind(batches.iter().map(|batch| batch.state.unwrap_or_default().registry).collect::<Vec<_>>())
        .bind(batches.iter().map(|batch| batch.unit_of_work.changes().len() as i64).collect::<Vec<_>>())
}

/// Returns the updated contacts, each with the change of its account after which it is placed, if that is known.
fn updated_contacts<'a>(
    batches: &'a [&'a AccountBatch],
    last: impl Fn(&AccountBatch) -> Option<LastChange>,
) -> impl Iterator<Item = ContactRow<'a>> {
    batches.iter().flat_map(move |batch| {
        let (account, last) = (batch.account, last(batch));
        let row = move |updated: &'a UpdatedContact| ContactRow {
            account,
            before: Some(&updated.before),
            contact: &updated.now,
            last,
        };
        batch.effects.updated.iter().map(row)
    })
}

/// Updates contacts. Values that are too large to be bound together are divided among several statements.
async fn update_contacts(connection: &mut PgConnection, batches: &[&AccountBatch]) -> Result<(), StorageError> {
    let (large, other): (Vec<_>, Vec<_>) = batches.iter().copied().partition(|batch| batch.is_large());
    update_rows(connection, updated_contacts(&other, AccountBatch::known_last).collect()).await?;
    let mut rows: Vec<ContactRow<'_>> = vec![];
    let mut bytes = 0;
    for row in updated_contacts(&large, AccountBatch::known_last) {
        bytes += row.changed_bytes();
        rows.push(row);
        if bytes > MAX_BOUND_BYTES {
            update_rows(connection, std::mem::take(&mut rows)).await?;
            bytes = 0;
        }
    }
    update_rows(connection, rows).await
}

async fn update_rows(connection: &mut PgConnection, rows: Vec<ContactRow<'_>>) -> Result<(), StorageError> {
    let columns = ContactColumns::new(rows)?;
    if columns.is_empty() {
        return Ok(());
    }
    let update = sql!(
        "UPDATE contacts c SET {}, archived_at = n.archived_at, archived_by = n.archived_by FROM {} {CONTACT_ROW_IDS}",
        assignments_sql("n.position", "n.updated_at"),
        rows_from_arrays(1, &contact_value_columns().into_iter().chain(ARCHIVAL_COLUMNS).collect::<Vec<_>>())
    );
    let count = columns.len();
    let updated = columns.bind_archival(columns.bind_values(sqlx::query(update))).execute(connection).await?;
    // If fewer rows were updated, a transaction without the account's lock has changed a contact.
    if updated.rows_affected() == count as u64 { Ok(()) } else { Err(StorageError::Stale) }
}

/// Deletes the unique keys that contacts no longer have.
async fn delete_keys(connection: &mut PgConnection, batches: &[&AccountBatch]) -> Result<(), StorageError> {
    const DELETE: &str = "DELETE FROM contact_keys k USING unnest($1::uuid[], $2::uuid[], $3::integer[], $4::text[]) \
         AS n (account_id, contact_id, field_id, key) CROSS JOIN LATERAL (SELECT ctid AS row_id FROM contact_keys \
         WHERE account_id = n.account_id AND contact_id = n.contact_id AND field_id = n.field_id AND key = n.key LIMIT 1) r \
         WHERE k.ctid = r.row_id";
    let deleted = batches
        .iter()
        .flat_map(|batch| batch.effects.keys_removed.iter().map(|(contact, key)| (batch.account, *contact, key)));
    let deleted = KeyColumns::new(deleted);
    if !deleted.is_empty() {
        deleted.bind(sqlx::query(DELETE)).execute(connection).await?;
    }
    Ok(())
}

/// Deletes purged contacts, and erases their values from stored responses and, up to a limit, from the change feed.
/// Returns the contacts whose history has more entries.
async fn purge_contacts(
    connection: &mut PgConnection,
    batches: &[&AccountBatch],
) -> Result<Vec<PendingErasure>, StorageError> {
    const CONTACTS: &str = "DELETE FROM contacts c USING unnest($1::uuid[], $2::uuid[]) AS n (account_id, id) \
         CROSS JOIN LATERAL \
         (SELECT ctid AS row_id FROM contacts WHERE account_id = n.account_id AND id = n.id LIMIT 1) r \
         WHERE c.ctid = r.row_id";
    const KEYS: &str = "DELETE FROM contact_keys k USING unnest($1::uuid[], $2::uuid[]) AS n (account_id, id) \
         CROSS JOIN LATERAL \
         (SELECT ctid AS row_id FROM contact_keys WHERE account_id = n.account_id AND contact_id = n.id OFFSET 0) r \
         WHERE k.ctid = r.row_id";
    let histories: Vec<_> = batches
        .iter()
        .flat_map(|batch| {
            let account = batch.account;
            let purged = batch.effects.purged.iter();
            purged.map(move |contact| PendingErasure { account, contact: contact.id, position: contact.position })
        })
        .collect();
    if histories.is_empty() {
        return Ok(vec![]);
    }
    let (accounts, ids): (Vec<_>, Vec<_>) = histories.iter().map(|history| (history.account, history.contact)).unzip();
    for statement in [CONTACTS, KEYS] {
        sqlx::query(statement).bind(&accounts).bind(&ids).execute(&mut *connection).await?;
    }
    idempotency::purge_responses(connection, &accounts, &ids).await?;
    history_erasure::erase_first_entries(connection, &histories).await
}
