//! Stores the effects of a batch of writes, in a few statements however many contacts it changes.
//!
//! Each account advances from the position that was read to the position of its last change. The row lock of the
//! account is held until the commit. An account that another transaction is writing, or has written since it was read,
//! is skipped, because the data that was read is outdated.

use std::collections::HashSet;

use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::query::Query;
use sqlx::{Postgres, Row};
use uuid::Uuid;

use super::account_batch::{AccountBatch, MAX_BOUND_BYTES};
use super::bind_columns::{
    ARCHIVAL_COLUMNS, ChangeColumns, ContactColumns, ContactRow, KeyColumns, collect_rows, contact_value_columns,
};
use super::insert_rows::{insert_changes, insert_changes_sql, insert_contacts, insert_keys};
use crate::contacts::UpdatedContact;
use crate::fields::system;
use crate::repository::error::StorageError;
use crate::repository::history_erasure::{self, PendingErasure};
use crate::repository::idempotency;
use crate::repository::statement::{ArrayColumn, comma_separated, rows_from_arrays, sql};

/// The ids of an account and of one of its contacts.
pub(super) type ContactKey = (Uuid, Uuid);

/// The columns that [`bind_positions`] binds: the account, the registry version and the position that were read, and
/// the next position.
const POSITION_COLUMNS: [ArrayColumn; 4] =
    [("account_id", "uuid"), ("registry", "bigint"), ("position", "bigint"), ("next", "bigint")];

/// Returns the common table expressions that advance the positions of accounts, with the parameters of
/// [`bind_positions`] from `first` on. The expression `advanced` returns the ids of these accounts. Rows are
/// locked in the order of the parameters, which is the order of account ids.
fn advance_positions_sql(first: usize) -> String {
    format!(
        "free AS MATERIALIZED (SELECT a.row_id, n.next FROM {} CROSS JOIN LATERAL \
         (SELECT ctid AS row_id FROM accounts WHERE account_id = n.account_id \
         AND registry_version = n.registry AND last_position = n.position LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED) a), \
         advanced AS (UPDATE accounts a SET last_position = f.next FROM free f WHERE a.ctid = f.row_id \
         RETURNING a.account_id)",
        rows_from_arrays(first, &POSITION_COLUMNS)
    )
}

/// The assignment of the custom fields. A document without a change keeps its value, which is not copied then: a large
/// document stays where it is.
const CUSTOM_ASSIGNMENT: &str = "custom = CASE \
    WHEN n.custom_removed IS NOT NULL \
    THEN (c.custom - string_to_array(n.custom_removed, ',')) || coalesce(n.custom_set::jsonb, '{}') \
    WHEN n.custom_set IS NOT NULL THEN c.custom || n.custom_set::jsonb ELSE c.custom END";

/// Returns the assignments of every update of a contact, from rows `n`.
fn assignments_sql() -> String {
    let stored = system::stored().iter().map(|field| format!("{0} = n.{0}", field.internal_name));
    format!(
        "version = n.version, position = n.position, updated_at = n.updated_at, {CUSTOM_ASSIGNMENT}, \
         custom_size = n.custom_size, custom_size_version = n.version, {}",
        comma_separated(stored)
    )
}

/// The rest of an update of contacts `c` from rows `n` with their account, id and current version `base`. It finds the
/// rows of the contacts by their primary key ([`crate::repository::statement`]).
const CONTACT_ROW_IDS: &str = "CROSS JOIN LATERAL (SELECT ctid AS row_id FROM contacts \
    WHERE account_id = n.account_id AND id = n.id AND version = n.base LIMIT 1) r \
    WHERE c.ctid = r.row_id AND c.version = n.base";

/// Returns the statement of [`store_values`].
fn store_values_sql() -> String {
    let columns = contact_value_columns();
    let positions_from = columns.len() + 1;
    let changes_from = positions_from + POSITION_COLUMNS.len();
    format!(
        "WITH {advance}, stored AS (UPDATE contacts c SET {assignments} FROM {rows} \
         JOIN advanced a ON a.account_id = n.account_id {CONTACT_ROW_IDS} RETURNING c.account_id, c.id), \
         inserted AS ({insert} JOIN stored s ON s.account_id = n.account_id AND s.id = n.contact_id) \
         SELECT account_id, id FROM stored",
        advance = advance_positions_sql(positions_from),
        assignments = assignments_sql(),
        rows = rows_from_arrays(1, &columns),
        insert = insert_changes_sql(changes_from),
    )
}

/// Stores batches that change only values of active contacts and no unique keys, with one statement. It can be a
/// transaction of its own. Returns the contacts that were stored.
pub(super) async fn store_values(
    connection: &mut PgConnection,
    batches: &[&AccountBatch],
) -> Result<HashSet<ContactKey>, StorageError> {
    let query = ContactColumns::new(updated_contacts(batches).collect())?
        .bind_values(sqlx::query(sql!("{}", store_values_sql())));
    let query = ChangeColumns::new(batches)?.bind(bind_positions(query, batches));
    collect_rows(query.fetch_all(connection).await?, |row| Ok((row.try_get(0)?, row.try_get(1)?)))
}

/// The result of [`store_all`].
#[derive(Default)]
pub(super) struct StoredAccounts {
    /// The accounts that were written. The others were skipped.
    pub(super) accounts: HashSet<Uuid>,
    /// The purged contacts whose history is too long to be erased in the same transaction.
    pub(super) pending_erasures: Vec<PendingErasure>,
}

/// Stores batches of any kind in the caller's transaction.
///
/// # Errors
/// Fails if the database fails or is overloaded, and with [`StorageError::Stale`] when a contact has changed since it
/// was read. The caller must then roll the transaction back.
pub(super) async fn store_all(
    transaction: &mut PgConnection,
    batches: &[&AccountBatch],
) -> Result<StoredAccounts, StorageError> {
    let (values_only, other): (Vec<_>, Vec<_>) = batches.iter().copied().partition(|batch| batch.changes_values_only());
    let mut advanced = store_values_of_accounts(transaction, &values_only).await?;
    let other_advanced = advance_positions(transaction, &other).await?;
    let other: Vec<_> = other.into_iter().filter(|batch| other_advanced.contains(&batch.account)).collect();
    advanced.extend(other_advanced);
    update_contacts(transaction, &other).await?;
    insert_contacts(transaction, &other).await?;
    // Keys are deleted before they are inserted: a batch may move a key from one contact to another.
    delete_keys(transaction, &other).await?;
    insert_keys(transaction, &other).await?;
    insert_changes(transaction, &other).await?;
    let stored = batches.iter().filter(|batch| advanced.contains(&batch.account));
    let responses = stored.flat_map(|batch| batch.new_responses.iter().map(|new| (batch.account, new)));
    idempotency::store_responses(transaction, &responses.collect::<Vec<_>>()).await?;
    let pending_erasures = purge_contacts(transaction, &other).await?;
    Ok(StoredAccounts { accounts: advanced, pending_erasures })
}

/// Stores batches that change only values, with one statement. Returns the accounts that no other transaction has locked,
/// or changed since they were read.
///
/// # Errors
/// The errors of [`store_all`].
async fn store_values_of_accounts(
    connection: &mut PgConnection,
    batches: &[&AccountBatch],
) -> Result<HashSet<Uuid>, StorageError> {
    if batches.is_empty() {
        return Ok(HashSet::new());
    }
    let stored = store_values(connection, batches).await?;
    let accounts: HashSet<_> = stored.iter().map(|(account, _)| *account).collect();
    let expected = batches.iter().filter(|batch| accounts.contains(&batch.account));
    let expected: usize = expected.map(|batch| batch.effects.updated.len()).sum();
    // If fewer contacts were stored, a transaction without the account's lock has changed a contact.
    if stored.len() == expected { Ok(accounts) } else { Err(StorageError::Stale) }
}

/// Advances the positions of the accounts that no other transaction has locked, or changed since they were read.
/// Returns these accounts. They stay locked until the transaction ends.
async fn advance_positions(
    connection: &mut PgConnection,
    batches: &[&AccountBatch],
) -> Result<HashSet<Uuid>, StorageError> {
    let advance = sql!("WITH {} SELECT account_id FROM advanced", advance_positions_sql(1));
    if batches.is_empty() {
        return Ok(HashSet::new());
    }
    let advanced = bind_positions(sqlx::query(advance), batches).fetch_all(connection).await?;
    collect_rows(advanced, |row| row.try_get(0))
}

/// Binds the columns of [`POSITION_COLUMNS`].
fn bind_positions<'a>(
    query: Query<'a, Postgres, PgArguments>,
    batches: &[&AccountBatch],
) -> Query<'a, Postgres, PgArguments> {
    let state = |batch: &&AccountBatch| batch.state.unwrap_or_default();
    query
        .bind(batches.iter().map(|batch| batch.account).collect::<Vec<_>>())
        .bind(batches.iter().map(|batch| state(batch).registry).collect::<Vec<_>>())
        .bind(batches.iter().map(|batch| state(batch).position).collect::<Vec<_>>())
        .bind(batches.iter().map(|batch| batch.unit_of_work.position()).collect::<Vec<_>>())
}

/// Returns the updated contacts.
fn updated_contacts<'a>(batches: &'a [&'a AccountBatch]) -> impl Iterator<Item = ContactRow<'a>> {
    batches.iter().flat_map(|batch| {
        let row = |updated: &'a UpdatedContact| ContactRow {
            account: batch.account,
            before: Some(&updated.before),
            contact: &updated.now,
        };
        batch.effects.updated.iter().map(row)
    })
}

/// Updates contacts. Values that are too large to be bound together are divided among several statements.
async fn update_contacts(connection: &mut PgConnection, batches: &[&AccountBatch]) -> Result<(), StorageError> {
    let (large, other): (Vec<_>, Vec<_>) = batches.iter().copied().partition(|batch| batch.is_large());
    update_rows(connection, updated_contacts(&other).collect()).await?;
    let mut rows: Vec<ContactRow<'_>> = vec![];
    let mut bytes = 0;
    for row in updated_contacts(&large) {
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
        assignments_sql(),
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
            purged.map(move |&(contact, position)| PendingErasure { account, contact, position })
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
