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

use super::account_batch::AccountBatch;
use super::bind_columns::{
    ARCHIVAL_COLUMNS, ChangeColumns, ContactColumns, KeyColumns, collect_rows, contact_value_columns,
};
use super::insert_rows::{insert_changes, insert_changes_sql, insert_contacts, insert_keys};
use crate::contacts::Contact;
use crate::fields::system;
use crate::repository::error::StorageError;
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
/// locked in order of account id.
fn advance_positions_sql(first: usize) -> String {
    format!(
        "free AS (SELECT a.account_id, n.next FROM {} JOIN accounts a ON a.account_id = n.account_id \
         WHERE a.registry_version = n.registry AND a.last_position = n.position \
         ORDER BY a.account_id FOR NO KEY UPDATE OF a SKIP LOCKED), \
         advanced AS (UPDATE accounts a SET last_position = f.next FROM free f WHERE a.account_id = f.account_id \
         RETURNING a.account_id)",
        rows_from_arrays(first, &POSITION_COLUMNS)
    )
}

/// Returns the assignments of every update of a contact, from rows `n`.
fn assignments_sql() -> String {
    let stored = system::stored().iter().map(|field| format!("{0} = n.{0}", field.internal_name));
    format!(
        "version = n.version, position = n.position, updated_at = n.updated_at, custom = n.custom::jsonb, {}",
        comma_separated(stored)
    )
}

/// Returns the statement of [`store_values`].
fn store_values_sql() -> String {
    let columns = contact_value_columns();
    let positions_from = columns.len() + 1;
    let changes_from = positions_from + POSITION_COLUMNS.len();
    format!(
        "WITH {advance}, stored AS (UPDATE contacts c SET {assignments} FROM {rows} \
         JOIN advanced a ON a.account_id = n.account_id \
         WHERE c.account_id = n.account_id AND c.id = n.id AND c.version = n.base RETURNING c.account_id, c.id), \
         inserted AS ({insert} JOIN stored s ON s.account_id = n.account_id AND s.id = n.contact_id) \
         SELECT account_id, id FROM stored",
        advance = advance_positions_sql(positions_from),
        assignments = assignments_sql(),
        rows = rows_from_arrays(1, &columns),
        insert = insert_changes_sql(changes_from),
    )
}

/// Stores batches that change only values of active contacts and no unique keys, with one statement that is its own
/// transaction. Returns the contacts that were stored.
pub(super) async fn store_values(
    connection: &mut PgConnection,
    batches: &[&AccountBatch],
) -> Result<HashSet<ContactKey>, StorageError> {
    let query =
        ContactColumns::new(updated_contacts(batches))?.bind_values(sqlx::query(sql!("{}", store_values_sql())));
    let query = ChangeColumns::new(batches)?.bind(bind_positions(query, batches));
    collect_rows(query.fetch_all(connection).await?, |row| Ok((row.try_get(0)?, row.try_get(1)?)))
}

/// Stores batches of any kind in the caller's transaction. Returns the accounts that were written. The other accounts
/// were skipped.
///
/// # Errors
/// Fails if the database fails or is overloaded, and with [`StorageError::Stale`] when a contact has changed since it
/// was read. The caller must then roll the transaction back.
pub(super) async fn store_all(
    transaction: &mut PgConnection,
    batches: &[&AccountBatch],
) -> Result<HashSet<Uuid>, StorageError> {
    let advanced = advance_positions(transaction, batches).await?;
    let batches: Vec<_> = batches.iter().copied().filter(|batch| advanced.contains(&batch.account)).collect();
    if !batches.is_empty() {
        update_contacts(transaction, &batches).await?;
        insert_contacts(transaction, &batches).await?;
        // Keys are deleted before they are inserted: a batch may move a key from one contact to another.
        delete_keys(transaction, &batches).await?;
        insert_keys(transaction, &batches).await?;
        insert_changes(transaction, &batches).await?;
        for batch in &batches {
            idempotency::store_responses(transaction, batch.account, &batch.new_responses).await?;
        }
        purge_contacts(transaction, &batches).await?;
    }
    Ok(advanced)
}

/// Advances the positions of the accounts that no other transaction has locked, or changed since they were read.
/// Returns these accounts. They stay locked until the transaction ends.
async fn advance_positions(
    connection: &mut PgConnection,
    batches: &[&AccountBatch],
) -> Result<HashSet<Uuid>, StorageError> {
    let advance = sql!("WITH {} SELECT account_id FROM advanced", advance_positions_sql(1));
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

/// Returns the updated contacts, each with its account and its previous version.
fn updated_contacts<'a>(batches: &'a [&'a AccountBatch]) -> impl Iterator<Item = (Uuid, i64, &'a Contact)> {
    batches
        .iter()
        .flat_map(|batch| batch.effects.updated.iter().map(|(base, contact)| (batch.account, *base, &**contact)))
}

async fn update_contacts(connection: &mut PgConnection, batches: &[&AccountBatch]) -> Result<(), StorageError> {
    let columns = ContactColumns::new(updated_contacts(batches))?;
    if columns.is_empty() {
        return Ok(());
    }
    let update = sql!(
        "UPDATE contacts c SET {}, archived_at = n.archived_at, archived_by = n.archived_by FROM {} \
         WHERE c.account_id = n.account_id AND c.id = n.id AND c.version = n.base",
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
         AS n (account_id, contact_id, field_id, key) \
         WHERE k.account_id = n.account_id AND k.contact_id = n.contact_id \
         AND k.field_id = n.field_id AND k.key = n.key";
    let deleted = batches
        .iter()
        .flat_map(|batch| batch.effects.keys_removed.iter().map(|(contact, key)| (batch.account, *contact, key)));
    let deleted = KeyColumns::new(deleted);
    if !deleted.is_empty() {
        deleted.bind(sqlx::query(DELETE)).execute(connection).await?;
    }
    Ok(())
}

/// Deletes purged contacts, and erases their values from the change feed and from stored responses.
async fn purge_contacts(connection: &mut PgConnection, batches: &[&AccountBatch]) -> Result<(), StorageError> {
    const CONTACTS: &str = "DELETE FROM contacts c USING unnest($1::uuid[], $2::uuid[]) AS n (account_id, id) \
                            WHERE c.account_id = n.account_id AND c.id = n.id";
    const KEYS: &str = "DELETE FROM contact_keys k USING unnest($1::uuid[], $2::uuid[]) AS n (account_id, id) \
                        WHERE k.account_id = n.account_id AND k.contact_id = n.id";
    const CHANGES: &str = "WITH RECURSIVE history AS ( \
             SELECT h.account_id, h.position, h.previous_position \
             FROM unnest($1::uuid[], $2::bigint[]) AS n (account_id, position) \
             JOIN changes h ON h.account_id = n.account_id AND h.position = n.position \
             UNION ALL SELECT h.account_id, h.position, h.previous_position FROM history t \
             JOIN changes h ON h.account_id = t.account_id AND h.position = t.previous_position) \
         UPDATE changes h SET changed = '{}' FROM history t \
         WHERE h.account_id = t.account_id AND h.position = t.position";
    let purged = batches.iter().flat_map(|batch| batch.effects.purged.iter().map(|purged| (batch.account, *purged)));
    let (accounts, purged): (Vec<_>, Vec<_>) = purged.unzip();
    if accounts.is_empty() {
        return Ok(());
    }
    let (ids, positions): (Vec<_>, Vec<_>) = purged.into_iter().unzip();
    for statement in [CONTACTS, KEYS] {
        sqlx::query(statement).bind(&accounts).bind(&ids).execute(&mut *connection).await?;
    }
    sqlx::query(CHANGES).bind(&accounts).bind(positions).execute(&mut *connection).await?;
    idempotency::purge_responses(connection, &accounts, &ids).await?;
    Ok(())
}
