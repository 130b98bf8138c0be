//! Passes over all contacts of an account, some of them at a time. The first pass builds the index. Later ones add the
//! contacts that another program has inserted into the database, and delete the entries of those that it has deleted.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::Row;
use uuid::Uuid;

use super::super::collation::Collation;
use super::entries::{delete_entries, write_entries};
use super::state::IndexState;
use crate::contacts::now;
use crate::repository::error::StorageError;
use crate::repository::pool::DatabaseConnection;

/// The number of contacts that are processed in one transaction. It is short, because a purge waits for it.
const STEP_SIZE: i64 = 250;
/// The time between two passes over the same account.
const INTERVAL: TimeDelta = TimeDelta::minutes(10);

impl IndexState {
    /// Whether a pass over the account has begun or is due.
    pub(super) fn has_pass(&self, collation: Collation) -> bool {
        let is_due = self.passed_at.is_none_or(|passed_at| now() - passed_at > INTERVAL);
        self.last_contact.is_some() || is_due || self.collation != collation.name()
    }
}

/// Visits the next contacts of an account whose pass has begun or is due, in the caller's transaction, which has locked `state`.
pub(super) async fn visit_contacts(
    transaction: &mut DatabaseConnection,
    state: &IndexState,
    collation: Collation,
) -> Result<(), StorageError> {
    const NEXT: &str = "SELECT c.id, CASE WHEN c.position = 0 THEN c.updated_at END AS unrecorded_at, \
        e.contact_id IS NOT NULL AS has_entry FROM (SELECT id, position, updated_at FROM contacts \
        WHERE account_id = $1 AND id > $2 ORDER BY id LIMIT $3) c LEFT JOIN LATERAL \
        (SELECT contact_id FROM search_entries WHERE account_id = $1 AND contact_id = c.id LIMIT 1) e ON true ORDER BY c.id";
    const MOVE: &str = "UPDATE search_indexes SET last_contact = $2, is_complete = is_complete OR $2::uuid IS NULL, \
        passed_at = coalesce($3, passed_at), unrecorded_until = greatest(unrecorded_until, $4) WHERE account_id = $1";
    // The entries of contacts that do not exist any more are deleted: another program has deleted them.
    const ENTRIES: &str = "SELECT contact_id FROM search_entries \
        WHERE account_id = $1 AND contact_id > $2 AND contact_id <= $3";
    let account = state.account;
    let next = sqlx::query(NEXT).bind(account).bind(state.last_contact.unwrap_or_default()).bind(STEP_SIZE);
    let rows = next.fetch_all(&mut *transaction).await?;
    let (mut without_entry, mut last, mut unrecorded_until) = (vec![], None, None::<DateTime<Utc>>);
    for row in &rows {
        let contact: Uuid = row.try_get("id")?;
        if !state.is_complete || !row.try_get::<bool, _>("has_entry")? {
            without_entry.push(contact);
        }
        unrecorded_until = unrecorded_until.max(row.try_get("unrecorded_at")?);
        last = Some(contact);
    }
    write_entries(transaction, account, &without_entry, collation).await?;
    let is_end = (rows.len() as i64) < STEP_SIZE;
    let last = last.filter(|_| !is_end);
    let visited: HashSet<Uuid> = rows.iter().map(|row| row.try_get("id")).collect::<sqlx::Result<_>>()?;
    let entries = sqlx::query_scalar(ENTRIES).bind(account).bind(state.last_contact.unwrap_or_default());
    let mut entries: Vec<Uuid> = entries.bind(last.unwrap_or(Uuid::max())).fetch_all(&mut *transaction).await?;
    entries.retain(|contact| !visited.contains(contact));
    delete_entries(transaction, account, &entries).await?;
    let moved = sqlx::query(MOVE).bind(account).bind(last).bind(is_end.then(now)).bind(unrecorded_until);
    moved.execute(transaction).await?;
    if is_end && !state.is_complete {
        tracing::info!(%account, "the search index of an account is complete");
    }
    Ok(())
}
