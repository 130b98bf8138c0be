//! Stores batches that change only values of active contacts and no unique keys, with one statement. Most writes do.
//!
//! It can be a transaction of its own. A contact that has changed since it was read is not stored, and neither are the
//! contacts of an account that is skipped, because another transaction has locked it.

use std::collections::HashSet;
use std::sync::LazyLock;

use sqlx::Row;
use uuid::Uuid;

use super::account_batch::AccountBatch;
use super::bind_columns::{
    ChangeColumns, ContactColumns, assignments_sql, collect_rows, contact_value_columns, updated_contacts,
};
use super::insert_rows::insert_changes_sql;
use super::lock_accounts::{
    ACCOUNT_COLUMNS, Locking, Variant, bind_accounts, last_changes_from_rows, locked_accounts_sql, place_batches,
};
use crate::repository::error::StorageError;
use crate::repository::pool::DatabaseConnection;
use crate::repository::statement::rows_from_arrays;

/// The ids of an account and of one of its contacts.
pub(super) type ContactKey = (Uuid, Uuid);

/// The statement. The positions that it gets are provisional. Each contact has its `ctid`: it belongs to one version of the
/// contact, so it needs no other lookup than a check that the version is still there. The check cannot use an index, so
/// that the planner does not scan one instead (`statement.rs`).
static STORE_VALUES: LazyLock<Vec<String>> = LazyLock::new(|| Variant::map_all(store_values_sql));

fn store_values_sql(variant: Variant) -> String {
    let columns: Vec<_> = contact_value_columns().into_iter().chain([("row_id", "text")]).collect();
    let accounts_from = columns.len() + 1;
    format!(
        "WITH {accounts}, \
         stored AS (UPDATE contacts c SET {assignments} FROM {rows} JOIN l ON l.account_id = n.account_id \
         WHERE c.ctid = n.row_id::tid \
         AND (c.account_id, c.id, c.version) IS NOT DISTINCT FROM (n.account_id, n.id, n.base) \
         RETURNING c.account_id, c.id, l.newest_position, l.newest_at), \
         inserted AS ({insert} JOIN stored s ON s.account_id = n.account_id AND s.id = n.contact_id) \
         SELECT account_id, id, newest_position, newest_at FROM stored",
        accounts = locked_accounts_sql(accounts_from, &ACCOUNT_COLUMNS, variant, ""),
        assignments = assignments_sql("l.newest_position - n.position", "greatest(n.updated_at, l.newest_at)"),
        rows = rows_from_arrays(1, &columns),
        insert = insert_changes_sql(accounts_from + ACCOUNT_COLUMNS.len(), true),
    )
}

/// Stores the batches. Returns the contacts that were stored, and places the batches of their accounts.
///
/// # Errors
/// Fails if the database fails or is overloaded.
pub(super) async fn store_values(
    connection: &mut DatabaseConnection,
    batches: &mut [&mut AccountBatch],
    locking: Locking,
    advances_accounts: bool,
) -> Result<HashSet<ContactKey>, StorageError> {
    let rows = {
        let batches: Vec<&AccountBatch> = batches.iter().map(|batch| &**batch).collect();
        let store = STORE_VALUES[Variant::new(locking, batches.len(), advances_accounts).index()].as_str();
        let contacts = ContactColumns::new(updated_contacts(&batches, |_| None).collect())?;
        let query = contacts.bind_values(sqlx::query(store));
        let query = query.bind(batches.iter().flat_map(|batch| batch.updated_row_ids()).collect::<Vec<_>>());
        let changes = ChangeColumns::new(&batches, |_| None)?;
        changes.bind(bind_accounts(query, &batches)).fetch_all(connection).await?
    };
    place_batches(batches, &last_changes_from_rows(&rows)?);
    collect_rows(rows, |row| Ok((row.try_get(0)?, row.try_get(1)?)))
}
