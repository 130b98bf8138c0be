//! The newest change of an account, after which the next changes are placed in its feed.
//!
//! No row has the position: a row that every write replaces could not be cleaned up while a snapshot is held open. It
//! follows from the newest entry of the feed (`migrations/0004_newest_changes.sql`).

use std::collections::HashMap;

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use uuid::Uuid;

use super::row_mapping;
use crate::contacts::LastChange;

/// Expands to the position of the last change of an account `s`, as an SQL expression.
macro_rules! last_position {
    () => {
        "greatest(s.last_position, s.trimmed_position, \
         (SELECT position FROM changes WHERE account_id = s.account_id ORDER BY position DESC LIMIT 1))"
    };
}
pub(super) use last_position;

/// Returns the newest changes of accounts. The accounts must be locked in the same transaction by an earlier statement:
/// the snapshot of this statement is then newer than the locks.
pub(super) async fn read_last_changes(
    connection: &mut PgConnection,
    accounts: &[Uuid],
) -> sqlx::Result<HashMap<Uuid, LastChange>> {
    const READ: &str = "SELECT n.account_id, greatest(s.last_position, s.trimmed_position, c.position) AS position, c.at \
         FROM unnest($1::uuid[]) AS n (account_id) \
         CROSS JOIN LATERAL (SELECT * FROM accounts WHERE account_id = n.account_id LIMIT 1) s \
         LEFT JOIN LATERAL (SELECT position, at FROM changes WHERE account_id = n.account_id \
         ORDER BY position DESC LIMIT 1) c ON true";
    let rows = sqlx::query(READ).bind(accounts).fetch_all(connection).await?;
    let last = |row: &PgRow| {
        let last = LastChange { position: row.try_get("position")?, at: row.try_get("at")? };
        Ok((row_mapping::account_from_row(row)?, last))
    };
    rows.iter().map(last).collect()
}
