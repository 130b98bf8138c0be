//! Stores batches of any kind but purges and large ones, with one statement that is a transaction of its own, as long as the accounts have
//! not changed since they were read. The account's last position shows that: every change has a position.
//!
//! The other accounts are skipped. Whatever the jobs depend on may have changed, so they are applied again.

use std::collections::HashSet;
use std::sync::LazyLock;

use uuid::Uuid;

use super::account_batch::AccountBatch;
use super::bind_columns::{
    ARCHIVAL_COLUMNS, CHANGE_COLUMNS, ChangeColumns, ContactColumns, KEY_COLUMNS, KeyColumns, Statement, added_keys,
    assignments_sql, bind_added_keys, contact_value_columns, created_contacts, removed_keys, updated_contacts,
};
use super::insert_rows::{ADDED_KEY_COLUMNS, insert_changes_sql, insert_contacts_sql, insert_keys_sql};
use super::lock_accounts::{
    ACCOUNT_COLUMNS, Locking, Variant, bind_accounts, last_changes_from_rows, locked_accounts_sql, place_batches,
};
use super::store_transaction::delete_keys_sql;
use crate::repository::error::StorageError;
use crate::repository::idempotency::{bind_new_responses, insert_new_responses_sql};
use crate::repository::pool::DatabaseConnection;
use crate::repository::statement::{ArrayColumn, rows_from_arrays};

/// The columns of an account after [`ACCOUNT_COLUMNS`]: its last position as the batch expects it; the time before which
/// its last change must be, if times that are stored in a text depend on it; and how many contacts are updated and responses
/// stored.
const GUARD_COLUMNS: [ArrayColumn; 4] =
    [("expected_position", "bigint"), ("times_from", "timestamptz"), ("updates", "bigint"), ("responses", "bigint")];

const GUARD: &str = " WHERE newest_position = expected_position AND coalesce(newest_at <= times_from, true)";

/// Fails with a division by zero if a row is missing: a contact was changed without the lock of its account, as the clean-up of
/// deleted fields does, or an expired response is in the way. The transaction must not be committed then.
const CHECK: &str = "1 / ((SELECT count(*) FROM stored) = (SELECT sum(updates) FROM l) \
    AND (SELECT count(*) FROM responses) = (SELECT sum(responses) FROM l))::integer";

static STORE_ROWS: LazyLock<Vec<String>> = LazyLock::new(|| Variant::map_all(store_rows_sql));

/// Returns the statement. A row of a contact with the version 0 as `base` is a new contact.
fn store_rows_sql(variant: Variant) -> String {
    let others = [("created_at", "timestamptz"), ("row_id", "text")];
    let contacts: Vec<_> = contact_value_columns().into_iter().chain(ARCHIVAL_COLUMNS).chain(others).collect();
    let accounts: Vec<_> = ACCOUNT_COLUMNS.into_iter().chain(GUARD_COLUMNS).collect();
    let removed_from = 1 + contacts.len();
    let added_from = removed_from + KEY_COLUMNS.len();
    let accounts_from = added_from + ADDED_KEY_COLUMNS;
    let changes_from = accounts_from + accounts.len();
    let responses_from = changes_from + CHANGE_COLUMNS.len();
    let join = "JOIN l ON l.account_id = n.account_id ";
    let (position, updated_at) = ("n.newest_position - n.position", "greatest(n.updated_at, n.newest_at)");
    format!(
        "WITH {locked}, \
         n AS MATERIALIZED (SELECT n.*, l.newest_position, l.newest_at FROM {contact_rows} \
         JOIN l ON l.account_id = n.account_id), \
         stored AS (UPDATE contacts c SET {assignments}, archived_at = n.archived_at, archived_by = n.archived_by FROM n \
         WHERE c.ctid = n.row_id::tid \
         AND (c.account_id, c.id, c.version) IS NOT DISTINCT FROM (n.account_id, n.id, n.base) RETURNING c.id), \
         created AS ({create} WHERE n.base = 0), \
         deleted AS ({delete} RETURNING k.account_id), \
         keys AS ({add} WHERE (SELECT count(*) FROM deleted) >= 0), \
         changes AS ({insert} JOIN l s ON s.account_id = n.account_id), {responses} \
         SELECT account_id, newest_position, newest_at, {CHECK} FROM l",
        locked = locked_accounts_sql(accounts_from, &accounts, variant, GUARD),
        contact_rows = rows_from_arrays(1, &contacts),
        assignments = assignments_sql(position, updated_at),
        create = insert_contacts_sql("n.account_id", "n", position, updated_at, "greatest(n.created_at, n.newest_at)"),
        delete = delete_keys_sql(removed_from, join, &|_| String::new()),
        add = insert_keys_sql(added_from, "n", join),
        insert = insert_changes_sql(changes_from, true),
        responses = insert_new_responses_sql(responses_from, join),
    )
}

/// Stores the batches, and places those that were stored. The others have their account locked by another transaction, or
/// their account has changed.
///
/// # Errors
/// Fails if the database fails or is overloaded. Nothing was stored then, unless the error leaves that unknown.
pub(super) async fn store_rows(
    connection: &mut DatabaseConnection,
    batches: &mut [&mut AccountBatch],
    locking: Locking,
    advances_accounts: bool,
) -> Result<HashSet<Uuid>, StorageError> {
    let rows = {
        let batches: Vec<&AccountBatch> = batches.iter().map(|batch| &**batch).collect();
        let contacts = updated_contacts(&batches, |_| None).chain(created_contacts(&batches, |_| None)).collect();
        let contacts = ContactColumns::new(contacts)?;
        let store = STORE_ROWS[Variant::new(locking, batches.len(), advances_accounts).index()].as_str();
        let query = contacts.bind_archival(contacts.bind_values(sqlx::query(store))).bind(contacts.created_at());
        let query = query.bind(row_ids(&batches));
        let query = KeyColumns::new(removed_keys(&batches)).bind(query);
        let query = bind_added_keys(query, &added_keys(&batches));
        let query = bind_guards(bind_accounts(query, &batches), &batches);
        let query = ChangeColumns::new(&batches, |_| None)?.bind(query);
        let responses: Vec<_> = batches.iter().flat_map(|batch| batch.account_responses()).collect();
        bind_new_responses(query, &responses).fetch_all(connection).await?
    };
    let last_changes = last_changes_from_rows(&rows)?;
    place_batches(batches, &last_changes);
    Ok(last_changes.into_keys().collect())
}

/// Returns the `ctid` of each updated contact, and `None` for each new contact.
fn row_ids<'a>(batches: &[&'a AccountBatch]) -> Vec<Option<&'a str>> {
    let created = batches.iter().map(|batch| batch.effects.created.len()).sum();
    let updated = batches.iter().flat_map(|batch| batch.updated_row_ids());
    updated.chain(std::iter::repeat_n(None, created)).collect()
}

/// Binds the columns of [`GUARD_COLUMNS`].
fn bind_guards<'a>(query: Statement<'a>, batches: &[&AccountBatch]) -> Statement<'a> {
    query
        .bind(batches.iter().map(|batch| batch.expected_position).collect::<Vec<_>>())
        .bind(batches.iter().map(|batch| batch.exact_times_from()).collect::<Vec<_>>())
        .bind(batches.iter().map(|batch| batch.effects.updated.len() as i64).collect::<Vec<_>>())
        .bind(batches.iter().map(|batch| batch.new_responses.len() as i64).collect::<Vec<_>>())
}
