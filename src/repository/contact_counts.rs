//! The number of contacts of an account, without counting all of them for each list.
//!
//! An instance keeps the count with the newest entry of the feed at that time. Every contact that was created, archived,
//! restored or purged since then has an entry, so these entries bring the count up to date, and no write pays for it.
//!
//! All contacts are counted again when the instance has no count of the account, when many entries were added since, and when
//! the entries do not tell: the feed no longer has the entry, because of its age or because a backup was restored.

use moka::sync::Cache;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::chrono::{DateTime, Utc};
use uuid::Uuid;

use super::pool::DatabaseConnection;
use super::statement::sql;

/// The maximum number of accounts whose count is known.
const MAX_ACCOUNTS: u64 = 100_000;
/// The limits of the number of entries that a count is brought up to date from. Between them, it is the number of contacts: to read
/// more entries would take longer than to count all contacts.
const MIN_ENTRIES: i64 = 1_000;
const MAX_ENTRIES: i64 = 50_000;

/// The numbers of contacts of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Count {
    active: i64,
    archived: i64,
    /// The newest entry of the feed when the contacts were counted; `None` if the feed was empty.
    newest: Option<Entry>,
}

/// An entry of the feed. After a backup was restored, another entry can have the same position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    position: i64,
    contact: Uuid,
    at: DateTime<Utc>,
}

/// The counts of the accounts in use.
pub(super) struct ContactCounts(Cache<Uuid, Count>);

impl Default for ContactCounts {
    fn default() -> Self {
        Self(Cache::new(MAX_ACCOUNTS))
    }
}

impl ContactCounts {
    /// Returns the number of the active contacts of an account, or of all contacts.
    pub(super) async fn count(
        &self,
        connection: &mut DatabaseConnection,
        account: Uuid,
        include_archived: bool,
    ) -> sqlx::Result<i64> {
        let known = match self.0.get(&account) {
            Some(known) => add_new_entries(connection, account, known).await?,
            None => None,
        };
        let count = match known {
            Some(known) => known,
            None => count_all(connection, account).await?,
        };
        self.0.insert(account, count);
        Ok(if include_archived { count.active + count.archived } else { count.active })
    }
}

/// Counts the contacts. The statement has one snapshot, which sees a contact and its entry together.
async fn count_all(connection: &mut DatabaseConnection, account: Uuid) -> sqlx::Result<Count> {
    const COUNT: &str = "SELECT n.active, n.archived, h.position, h.contact_id, h.at \
         FROM (SELECT count(*) FILTER (WHERE c.archived_at IS NULL) AS active, count(c.archived_at) AS archived \
         FROM contacts c WHERE c.account_id = $1) n \
         LEFT JOIN LATERAL (SELECT position, contact_id, at FROM changes WHERE account_id = $1 \
         ORDER BY position DESC LIMIT 1) h ON true";
    let row = sqlx::query(COUNT).bind(account).fetch_one(connection).await?;
    Ok(Count { active: row.try_get("active")?, archived: row.try_get("archived")?, newest: entry_from_row(&row)? })
}

/// Adds the entries since a count to it. Returns `None` if they do not tell the difference.
async fn add_new_entries(
    connection: &mut DatabaseConnection,
    account: Uuid,
    known: Count,
) -> sqlx::Result<Option<Count>> {
    // An archived contact cannot change before it is restored. So a purged contact was archived if that is its previous entry.
    let difference = sql!(
        "WITH h AS MATERIALIZED (SELECT position, contact_id, at, kind, previous_position FROM changes \
             WHERE account_id = $1 AND position >= $2 ORDER BY position LIMIT $5), \
         d AS (SELECT h.position, h.kind, p.kind AS kind_before FROM h LEFT JOIN LATERAL (SELECT kind FROM changes \
             WHERE account_id = $1 AND position = h.previous_position AND h.kind = 'purged' LIMIT 1) p ON true \
             WHERE h.position > $2 AND h.kind <> 'updated') \
         SELECT CASE WHEN $2 = 0 \
             THEN NOT EXISTS (SELECT FROM accounts WHERE account_id = $1 AND trimmed_position > 0) \
             ELSE EXISTS (SELECT FROM h WHERE h.position = $2 AND h.contact_id = $3 AND h.at = $4) END \
             AND (SELECT count(*) FROM h) < $5 \
             AND NOT EXISTS (SELECT FROM d WHERE d.kind = 'purged' AND d.kind_before IS NULL) AS is_complete, \
         (SELECT count(*) FROM d WHERE d.kind IN ('created', 'restored')) \
             - (SELECT count(*) FROM d WHERE d.kind = 'archived' OR d.kind = 'purged' AND d.kind_before <> 'archived') AS active, \
         (SELECT count(*) FROM d WHERE d.kind = 'archived') \
             - (SELECT count(*) FROM d WHERE d.kind = 'restored' OR d.kind = 'purged' AND d.kind_before = 'archived') AS archived, \
         n.position, n.contact_id, n.at \
         FROM (SELECT 1) AS one LEFT JOIN LATERAL (SELECT * FROM h ORDER BY position DESC LIMIT 1) n ON true"
    );
    let newest = known.newest;
    let difference = sqlx::query(difference)
        .bind(account)
        .bind(newest.map_or(0, |entry| entry.position))
        .bind(newest.map(|entry| entry.contact))
        .bind(newest.map(|entry| entry.at))
        .bind((known.active + known.archived).clamp(MIN_ENTRIES, MAX_ENTRIES));
    let row = difference.fetch_one(connection).await?;
    if !row.try_get("is_complete")? {
        return Ok(None);
    }
    let (active, archived): (i64, i64) = (row.try_get("active")?, row.try_get("archived")?);
    Ok(Some(Count {
        active: known.active + active,
        archived: known.archived + archived,
        newest: entry_from_row(&row)?,
    }))
}

fn entry_from_row(row: &PgRow) -> sqlx::Result<Option<Entry>> {
    let Some(position) = row.try_get("position")? else { return Ok(None) };
    Ok(Some(Entry { position, contact: row.try_get("contact_id")?, at: row.try_get("at")? }))
}
