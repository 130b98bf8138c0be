//! Takes the contacts that have changed from the feed.

use sqlx::Row;
use uuid::Uuid;

use super::super::collation::Collation;
use super::entries::{delete_entries, write_entries};
use super::state::IndexState;
use crate::fields::system;
use crate::repository::error::StorageError;
use crate::repository::pool::DatabaseConnection;

/// The number of entries of the feed that are processed in one transaction. It is short, because a purge waits for it.
const STEP_SIZE: i64 = 250;

/// Processes the next changes of an account, in the caller's transaction, which has locked `state`.
pub(super) async fn process_changes(
    transaction: &mut DatabaseConnection,
    state: &IndexState,
    collation: Collation,
) -> Result<(), StorageError> {
    // A contact of which other values have changed keeps its entry. The changes of a purged contact have no values any more.
    const NEXT: &str = "SELECT position, contact_id, kind, \
        kind IN ('created', 'purged') OR changed::jsonb ?| $3 AS is_relevant FROM changes \
        WHERE account_id = $1 AND position > $2 ORDER BY position LIMIT $4";
    const MOVE: &str = "UPDATE search_indexes SET position = $2 WHERE account_id = $1";
    let account = state.account;
    let fields: Vec<_> = system::QUERIED.iter().map(|id| id.0.to_string()).collect();
    let next = sqlx::query(NEXT).bind(account).bind(state.position).bind(fields).bind(STEP_SIZE);
    let rows = next.fetch_all(&mut *transaction).await?;
    let (mut written, mut purged, mut position) = (vec![], vec![], None::<i64>);
    for row in &rows {
        position = row.try_get("position")?;
        let contact: Uuid = row.try_get("contact_id")?;
        if row.try_get::<&str, _>("kind")? == "purged" {
            purged.push(contact);
        } else if row.try_get("is_relevant")? {
            written.push(contact);
        }
    }
    written.sort_unstable();
    written.dedup();
    write_entries(transaction, account, &written, collation).await?;
    delete_entries(transaction, account, &purged).await?;
    if position.is_some() {
        sqlx::query(MOVE).bind(account).bind(position).execute(transaction).await?;
    }
    Ok(())
}
