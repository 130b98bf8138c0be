//! Inserts the new rows of a batch: contacts, their unique keys, entries of the change feed.
//!
//! Rows are bound as arrays to a prepared statement. Many new contacts use `COPY`, and so do their keys and changes. It is
//! planned anew each time and needs a second round trip, but an import is a quarter faster. Changes of stored contacts take
//! the same time either way.

use super::account_batch::{AccountBatch, shard_accounts};
use super::binary_copy::copy_rows;
use super::bind_columns::{
    ARCHIVAL_COLUMNS, CHANGE_COLUMNS, ChangeColumns, ChangeRow, ContactColumns, ContactRow, KEY_COLUMNS, added_keys,
    bind_added_keys, contact_value_columns, created_contacts, stored_custom_size,
};
use crate::fields::system;
use crate::repository::error::StorageError;
use crate::repository::pool::DatabaseConnection;
use crate::repository::statement::{ArrayColumn, column_names, comma_separated, join_accounts, rows_from_arrays, sql};

/// The minimum number of new contacts for `COPY`.
const COPY_MIN_CONTACTS: usize = 200;

/// Returns the columns of a new contact in the order in which [`insert_contacts`] writes them.
fn new_contact_columns() -> Vec<ArrayColumn> {
    let values = contact_value_columns().into_iter().filter_map(|(name, kind)| match name {
        "base" | "custom_removed" => None,
        "custom_set" => Some(("custom", "jsonb")),
        _ => Some((name, kind)),
    });
    values.chain(ARCHIVAL_COLUMNS).chain([("created_at", "timestamptz"), ("custom_size_version", "bigint")]).collect()
}

/// Returns `INSERT INTO changes … FROM unnest(…) AS n (…)` for the arrays of [`ChangeColumns::bind`], which are bound
/// from parameter `first` on. If `places_rows`, the positions are provisional, and the caller joins stored contacts `s` with
/// the newest position and time of their account. Otherwise it joins accounts `a`.
pub(super) fn insert_changes_sql(first: usize, places_rows: bool) -> String {
    let (position, previous, at) = if places_rows {
        (
            "s.newest_position - n.position",
            "CASE WHEN n.previous_position < 0 THEN s.newest_position - n.previous_position ELSE n.previous_position END",
            "greatest(n.at, s.newest_at)",
        )
    } else {
        ("n.position", "n.previous_position", "n.at")
    };
    let account = if places_rows { "n" } else { "a" };
    format!(
        "INSERT INTO changes (account_id, position, contact_id, previous_position, kind, actor, at, changed) \
         SELECT {account}.account_id, {position}, n.contact_id, {previous}, n.kind, n.actor, {at}, n.changed::json FROM {}",
        rows_from_arrays(first, &CHANGE_COLUMNS)
    )
}

/// Whether `COPY` inserts the rows of these batches: there are many new contacts, or values are too large to be bound. `COPY`
/// sends them row by row.
fn uses_copy(batches: &[&AccountBatch]) -> bool {
    let created: usize = batches.iter().map(|batch| batch.effects.created.len()).sum();
    created >= COPY_MIN_CONTACTS || batches.iter().any(|batch| batch.is_large())
}

/// Inserts new contacts.
pub(super) async fn insert_contacts(
    connection: &mut DatabaseConnection,
    batches: &[&AccountBatch],
) -> Result<(), StorageError> {
    let created: Vec<ContactRow<'_>> = created_contacts(batches, AccountBatch::known_last).collect();
    if uses_copy(batches) {
        return Ok(copy_contacts(connection, &created).await?);
    }
    let columns = ContactColumns::new(created)?;
    if columns.is_empty() {
        return Ok(());
    }
    let insert = sql!("{}", {
        let created_at = [("created_at", "timestamptz")];
        let bound: Vec<_> = contact_value_columns().into_iter().chain(ARCHIVAL_COLUMNS).chain(created_at).collect();
        let rows = format!("{} {}", rows_from_arrays(1, &bound), join_accounts(1 + bound.len()));
        insert_contacts_sql("a.account_id", &rows, "position", "updated_at", "created_at")
    });
    let query = columns.bind_archival(columns.bind_values(sqlx::query(insert)));
    query.bind(columns.created_at()).bind(shard_accounts(batches.iter().copied())).execute(connection).await?;
    Ok(())
}

/// Returns the statement that inserts contacts from `rows`. The account, the position and the times are expressions.
pub(super) fn insert_contacts_sql(
    account: &str,
    rows: &str,
    position: &str,
    updated_at: &str,
    created_at: &str,
) -> String {
    let columns = new_contact_columns();
    let values = columns.iter().map(|(name, _)| match *name {
        "custom" => "coalesce(custom_set::jsonb, '{}')",
        "custom_size_version" => "version",
        "account_id" => account,
        "position" => position,
        "updated_at" => updated_at,
        "created_at" => created_at,
        name => name,
    });
    let values = comma_separated(values.map(str::to_owned));
    format!("INSERT INTO contacts ({}) SELECT {values} FROM {rows}", column_names(&columns))
}

async fn copy_contacts(connection: &mut DatabaseConnection, created: &[ContactRow<'_>]) -> sqlx::Result<()> {
    let statement = sql!("COPY contacts ({}) FROM STDIN (FORMAT binary)", column_names(&new_contact_columns()));
    copy_rows(connection, statement, created, |row, created| {
        let ContactRow { account, contact, .. } = created;
        row.uuid(*account).uuid(contact.id).bigint(contact.version).bigint(created.position());
        row.timestamp(Some(created.placed(contact.updated_at))).jsonb(&contact.values.custom())?;
        row.optional_integer(stored_custom_size(contact)).optional_integer(contact.tag);
        for field in system::stored() {
            row.text(contact.values.text(field.id));
        }
        let archival = contact.archival.as_ref();
        row.timestamp(archival.map(|archival| created.placed(archival.at)));
        row.text(archival.and_then(|archival| archival.by.as_deref()));
        row.timestamp(Some(created.placed(contact.created_at)));
        row.bigint(contact.version);
        Ok(())
    })
    .await
}

/// Inserts the new unique keys of contacts.
pub(super) async fn insert_keys(
    connection: &mut DatabaseConnection,
    batches: &[&AccountBatch],
) -> Result<(), StorageError> {
    let insert = sql!("{}", insert_keys_sql(1, "a", &join_accounts(1 + ADDED_KEY_COLUMNS)));
    const COPY: &str =
        "COPY contact_keys (account_id, contact_id, field_id, key, is_active) FROM STDIN (FORMAT binary)";
    let added = added_keys(batches);
    if uses_copy(batches) {
        let copied = copy_rows(connection, COPY, &added, |row, (account, contact, key, is_active)| {
            row.uuid(*account).uuid(*contact).integer(key.field.0).text(Some(&key.key)).boolean(*is_active);
            Ok(())
        });
        return Ok(copied.await?);
    }
    if !added.is_empty() {
        bind_added_keys(sqlx::query(insert), &added)
            .bind(shard_accounts(batches.iter().copied()))
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// The number of parameters of [`bind_added_keys`].
pub(super) const ADDED_KEY_COLUMNS: usize = KEY_COLUMNS.len() + 1;

/// Returns the statement that inserts keys, with the parameters of [`bind_added_keys`] from `first` on. `join` restricts their
/// rows `n`, and `account` is the table of it that has the accounts.
pub(super) fn insert_keys_sql(first: usize, account: &str, join: &str) -> String {
    let columns: Vec<_> = KEY_COLUMNS.into_iter().chain([("is_active", "boolean")]).collect();
    format!(
        "INSERT INTO contact_keys (account_id, contact_id, field_id, key, is_active) \
         SELECT {account}.account_id, n.contact_id, n.field_id, n.key, n.is_active FROM {} {join}",
        rows_from_arrays(first, &columns)
    )
}

/// Inserts the entries of the change feed.
pub(super) async fn insert_changes(
    connection: &mut DatabaseConnection,
    batches: &[&AccountBatch],
) -> Result<(), StorageError> {
    let changes = ChangeRow::all(batches, AccountBatch::known_last);
    if uses_copy(batches) {
        let statement = sql!("COPY changes ({}) FROM STDIN (FORMAT binary)", column_names(&CHANGE_COLUMNS));
        let copied = copy_rows(connection, statement, &changes, |row, placed| {
            let ChangeRow { account, change, .. } = placed;
            row.uuid(*account).bigint(placed.position()).uuid(change.contact_id).bigint(placed.previous_position());
            row.text(Some(change.kind.as_str())).text(change.actor.as_deref()).timestamp(Some(placed.at()));
            row.json(&placed.placed_change().changed_values())?;
            Ok(())
        });
        return Ok(copied.await?);
    }
    if !changes.is_empty() {
        let insert = sql!("{} {}", insert_changes_sql(1, false), join_accounts(1 + CHANGE_COLUMNS.len()));
        let columns = ChangeColumns::new(batches, AccountBatch::known_last)?;
        columns.bind(sqlx::query(insert)).bind(shard_accounts(batches.iter().copied())).execute(connection).await?;
    }
    Ok(())
}
