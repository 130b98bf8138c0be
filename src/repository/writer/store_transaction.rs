//! Stores batches of any kind and size in a transaction, in a few statements however many contacts they change.
//!
//! The row of each account is locked until the commit, and its changes are placed after its last change. An account whose
//! contacts or keys have changed since they were read is not stored.

use std::collections::HashSet;

use sqlx::Row;
use uuid::Uuid;

use super::account_batch::{AccountBatch, MAX_BOUND_BYTES, shard_accounts};
use super::bind_columns::{
    ARCHIVAL_COLUMNS, ContactColumns, ContactRow, KEY_COLUMNS, KeyColumns, assignments_sql, contact_value_columns,
    removed_keys, updated_contacts,
};
use super::insert_rows::{insert_changes, insert_contacts, insert_keys};
use super::lock_accounts::{ACCOUNT_COLUMNS, Locking, bind_accounts, lock_accounts_sql, place_batches};
use super::store_values::store_values;
use crate::repository::error::StorageError;
use crate::repository::history_erasure::{self, PendingErasure};
use crate::repository::idempotency;
use crate::repository::last_changes::read_last_changes;
use crate::repository::pool::DatabaseConnection;
use crate::repository::source_times;
use crate::repository::statement::{ShardAccounts, rows_from_arrays, shard_condition, sql};

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
    transaction: &mut DatabaseConnection,
    batches: &mut [&mut AccountBatch],
    advances_accounts: bool,
) -> Result<StoredAccounts, StorageError> {
    let (mut values_only, mut other): (Vec<&mut AccountBatch>, Vec<&mut AccountBatch>) =
        batches.iter_mut().map(|batch| &mut **batch).partition(|batch| batch.is_independent_values_only());
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
    let responses = other.iter().flat_map(|batch| batch.account_responses());
    let shard = shard_accounts(other.iter().copied());
    idempotency::store_responses(transaction, &responses.collect::<Vec<_>>(), &shard).await?;
    let times: Vec<_> = other.iter().flat_map(|batch| batch.source_times()).collect();
    source_times::store_source_times(transaction, &times, &shard).await?;
    let pending_erasures = purge_contacts(transaction, &other).await?;
    Ok(StoredAccounts { accounts, pending_erasures })
}

/// Stores batches that change only values, with one statement. Returns the accounts that no other transaction has locked.
///
/// # Errors
/// The errors of [`store_all`].
async fn store_values_of_accounts(
    connection: &mut DatabaseConnection,
    batches: &mut [&mut AccountBatch],
    advances_accounts: bool,
) -> Result<HashSet<Uuid>, StorageError> {
    if batches.is_empty() {
        return Ok(HashSet::new());
    }
    let stored = store_values(connection, batches, Locking::SkipLocked, advances_accounts).await?;
    let accounts: HashSet<_> = stored.iter().map(|(account, _)| *account).collect();
    let expected = batches.iter().filter(|batch| accounts.contains(&batch.account));
    let expected: usize = expected.map(|batch| batch.effects.updated.len()).sum();
    // A request with several writes is stored as a whole, or not at all.
    if stored.len() == expected { Ok(accounts) } else { Err(StorageError::Stale) }
}

/// Locks the accounts that no other transaction has locked, and places their batches. Returns the accounts to be stored:
/// those whose contacts and keys have not changed since they were read. They stay locked until the transaction ends.
async fn lock_and_place(
    connection: &mut DatabaseConnection,
    batches: &mut [&mut AccountBatch],
    advances_accounts: bool,
) -> Result<HashSet<Uuid>, StorageError> {
    if batches.is_empty() {
        return Ok(HashSet::new());
    }
    let lock = {
        let lock = sql!("{}", {
            let condition = format!(" AND {}", shard_condition("s", 1 + ACCOUNT_COLUMNS.len()));
            lock_accounts_sql(1, &ACCOUNT_COLUMNS, Locking::SkipLocked, &condition, "")
        });
        let batches: Vec<&AccountBatch> = batches.iter().map(|batch| &**batch).collect();
        bind_accounts(sqlx::query(lock), &batches)
            .bind(shard_accounts(batches.iter().copied()))
            .fetch_all(&mut *connection)
            .await?
    };
    let locked: Vec<Uuid> = lock.iter().map(|row| row.try_get("account_id")).collect::<sqlx::Result<_>>()?;
    // A statement of its own: its snapshot is newer than the locks.
    let shard = shard_accounts(batches.iter().map(|batch| &**batch));
    let last_changes = read_last_changes(connection, &locked, &shard).await?;
    place_batches(batches, &last_changes);
    let mut accounts: HashSet<Uuid> = last_changes.keys().copied().collect();
    let is_moved = |batch: &&AccountBatch| batch.state.and_then(|state| state.position) != Some(batch.last.position);
    let placed = batches.iter().map(|batch| &**batch).filter(|batch| accounts.contains(&batch.account));
    let moved: Vec<&AccountBatch> = placed.filter(is_moved).collect();
    for account in find_outdated(connection, &moved).await? {
        accounts.remove(&account);
    }
    let must_not_move =
        |batch: &&&AccountBatch| batch.completes_started_request() || batch.unit_of_work.depends_on_archived_contacts();
    moved.iter().filter(must_not_move).for_each(|batch| {
        accounts.remove(&batch.account);
    });
    if advances_accounts {
        let stored = batches.iter().filter(|batch| accounts.contains(&batch.account));
        advance_accounts(connection, &stored.map(|batch| &**batch).collect::<Vec<_>>()).await?;
    }
    Ok(accounts)
}

/// Returns the accounts of which a contact that was read has another version or was purged, or of which a key that was claimed
/// is held by a contact. A contact that stays the same counts, too: it can be in a response to be stored, which a purge could
/// not erase any more, or be a precondition of an atomic request.
async fn find_outdated(
    connection: &mut DatabaseConnection,
    batches: &[&AccountBatch],
) -> Result<Vec<Uuid>, StorageError> {
    let outdated = sql!(
        "SELECT n.account_id FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS n (account_id, id, version) \
         LEFT JOIN LATERAL (SELECT version FROM contacts t WHERE account_id = n.account_id AND id = n.id AND {} LIMIT 1) c ON true \
         WHERE c.version IS DISTINCT FROM n.version \
         UNION ALL SELECT k.account_id FROM unnest($4::uuid[], $5::integer[], $6::text[]) \
         AS k (account_id, field_id, key) CROSS JOIN LATERAL (SELECT contact_id FROM contact_keys t \
         WHERE account_id = k.account_id AND field_id = k.field_id AND key = k.key AND is_active AND {} LIMIT 1) h",
        shard_condition("t", 7),
        shard_condition("t", 7)
    );
    if batches.is_empty() {
        return Ok(vec![]);
    }
    let contacts: Vec<_> = batches
        .iter()
        .flat_map(|batch| batch.unit_of_work.read_versions().map(|(id, version)| (batch.account, id, version)))
        .collect();
    let claimed = batches.iter().flat_map(|batch| {
        let claimed = batch.effects.free_keys_claimed.iter();
        claimed.map(|key| (batch.account, key))
    });
    let claimed: Vec<_> = claimed.collect();
    let query = sqlx::query(outdated)
        .bind(contacts.iter().map(|(account, ..)| *account).collect::<Vec<_>>())
        .bind(contacts.iter().map(|(_, id, _)| *id).collect::<Vec<_>>())
        .bind(contacts.iter().map(|(.., version)| *version).collect::<Vec<_>>());
    let query = query
        .bind(claimed.iter().map(|(account, _)| *account).collect::<Vec<_>>())
        .bind(claimed.iter().map(|(_, key)| key.field.0).collect::<Vec<_>>())
        .bind(claimed.iter().map(|(_, key)| key.key.as_str()).collect::<Vec<_>>());
    let outdated = query.bind(shard_accounts(batches.iter().copied())).fetch_all(connection).await?;
    Ok(outdated.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<_>>()?)
}

/// Stores the new positions of accounts in their rows, for instances of an older build.
async fn advance_accounts(connection: &mut DatabaseConnection, batches: &[&AccountBatch]) -> Result<(), StorageError> {
    let advance = sql!(
        "UPDATE accounts a SET last_position = n.position FROM unnest($1::uuid[], $2::bigint[]) \
         AS n (account_id, position) CROSS JOIN LATERAL \
         (SELECT ctid AS row_id FROM accounts s WHERE account_id = n.account_id AND {} LIMIT 1) r WHERE a.ctid = r.row_id AND {}",
        shard_condition("s", 3),
        shard_condition("a", 3)
    );
    let position = |batch: &&AccountBatch| batch.last.position + batch.unit_of_work.changes().len() as i64;
    let advance = sqlx::query(advance).bind(batches.iter().map(|batch| batch.account).collect::<Vec<_>>());
    advance
        .bind(batches.iter().map(position).collect::<Vec<_>>())
        .bind(shard_accounts(batches.iter().copied()))
        .execute(connection)
        .await?;
    Ok(())
}

/// Updates contacts. Values that are too large to be bound together are divided among several statements.
async fn update_contacts(connection: &mut DatabaseConnection, batches: &[&AccountBatch]) -> Result<(), StorageError> {
    let shard = shard_accounts(batches.iter().copied());
    let (large, other): (Vec<_>, Vec<_>) = batches.iter().copied().partition(|batch| batch.is_large());
    update_rows(connection, updated_contacts(&other, AccountBatch::known_last).collect(), &shard).await?;
    let mut rows: Vec<ContactRow<'_>> = vec![];
    let mut bytes = 0;
    for row in updated_contacts(&large, AccountBatch::known_last) {
        bytes += row.changed_bytes();
        rows.push(row);
        if bytes > MAX_BOUND_BYTES {
            update_rows(connection, std::mem::take(&mut rows), &shard).await?;
            bytes = 0;
        }
    }
    update_rows(connection, rows, &shard).await
}

async fn update_rows(
    connection: &mut DatabaseConnection,
    rows: Vec<ContactRow<'_>>,
    shard: &ShardAccounts,
) -> Result<(), StorageError> {
    let columns = ContactColumns::new(rows)?;
    if columns.is_empty() {
        return Ok(());
    }
    let update = sql!("{}", {
        let bound: Vec<_> = contact_value_columns().into_iter().chain(ARCHIVAL_COLUMNS).collect();
        format!(
            "UPDATE contacts c SET {}, archived_at = n.archived_at, archived_by = n.archived_by FROM {} \
             CROSS JOIN LATERAL (SELECT ctid AS row_id FROM contacts t \
             WHERE account_id = n.account_id AND id = n.id AND version = n.base AND {} LIMIT 1) r \
             WHERE c.ctid = r.row_id AND c.version = n.base AND {}",
            assignments_sql("n.position", "n.updated_at"),
            rows_from_arrays(1, &bound),
            shard_condition("t", bound.len() + 1),
            shard_condition("c", bound.len() + 1),
        )
    });
    let count = columns.len();
    let update = columns.bind_archival(columns.bind_values(sqlx::query(update))).bind(shard);
    let updated = update.execute(connection).await?;
    // If fewer rows were updated, a transaction without the account's lock has changed a contact.
    if updated.rows_affected() == count as u64 { Ok(()) } else { Err(StorageError::Stale) }
}

/// Deletes the unique keys that contacts no longer have.
async fn delete_keys(connection: &mut DatabaseConnection, batches: &[&AccountBatch]) -> Result<(), StorageError> {
    let deleted = KeyColumns::new(removed_keys(batches));
    if !deleted.is_empty() {
        let delete = sql!("{}", delete_keys_sql(1, "", &|table| format!(" AND {}", shard_condition(table, 5))));
        deleted.bind(sqlx::query(delete)).bind(shard_accounts(batches.iter().copied())).execute(connection).await?;
    }
    Ok(())
}

/// Returns the statement that deletes keys, with the parameters of [`KeyColumns::bind`] from `first` on. `join` may restrict
/// their rows `n`, and `condition` a table.
pub(super) fn delete_keys_sql(first: usize, join: &str, condition: &dyn Fn(&str) -> String) -> String {
    format!(
        "DELETE FROM contact_keys k USING {} {join}CROSS JOIN LATERAL (SELECT ctid AS row_id FROM contact_keys t \
         WHERE account_id = n.account_id AND contact_id = n.contact_id AND field_id = n.field_id AND key = n.key{} LIMIT 1) r \
         WHERE k.ctid = r.row_id{}",
        rows_from_arrays(first, &KEY_COLUMNS),
        condition("t"),
        condition("k"),
    )
}

/// Returns the statement that deletes the rows of contacts from a table. `column` has the id of the contact. The parameters are
/// the accounts, the contacts and the shard.
fn delete_rows_of_contacts_sql(table: &str, column: &str) -> String {
    format!(
        "DELETE FROM {table} d USING unnest($1::uuid[], $2::uuid[]) AS n (account_id, id) CROSS JOIN LATERAL \
         (SELECT ctid AS row_id FROM {table} t WHERE account_id = n.account_id AND {column} = n.id AND {} OFFSET 0) r \
         WHERE d.ctid = r.row_id AND {}",
        shard_condition("t", 3),
        shard_condition("d", 3)
    )
}

/// Deletes purged contacts, and erases their values from the search index, from stored responses and, up to a limit, from the change feed.
/// Returns the contacts whose history has more entries.
async fn purge_contacts(
    connection: &mut DatabaseConnection,
    batches: &[&AccountBatch],
) -> Result<Vec<PendingErasure>, StorageError> {
    let contacts = sql!("{}", delete_rows_of_contacts_sql("contacts", "id"));
    let keys = sql!("{}", delete_rows_of_contacts_sql("contact_keys", "contact_id"));
    let entries = sql!("{}", delete_rows_of_contacts_sql("search_entries", "contact_id"));
    let times = sql!("{}", delete_rows_of_contacts_sql("source_times", "contact_id"));
    let imported = sql!("{}", delete_rows_of_contacts_sql("imported_rows", "contact_id"));
    // The task that maintains the search index must not write an entry of the contact meanwhile.
    let index_lock = sql!(
        "SELECT i.account_id FROM unnest($1::uuid[], $2::uuid[]) AS n (account_id, id) CROSS JOIN LATERAL \
         (SELECT account_id FROM search_indexes t WHERE account_id = n.account_id AND {} LIMIT 1 FOR SHARE) i",
        shard_condition("t", 3)
    );
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
    let shard = shard_accounts(batches.iter().copied());
    for statement in [index_lock, contacts, keys, entries, times, imported] {
        sqlx::query(statement).bind(&accounts).bind(&ids).bind(&shard).execute(&mut *connection).await?;
    }
    idempotency::purge_responses(connection, &accounts, &ids, &shard).await?;
    history_erasure::erase_first_entries(connection, &histories, &shard).await
}
