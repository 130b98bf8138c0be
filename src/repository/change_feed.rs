//! Reads of the change feed and of histories, and the deletion of expired entries.
//!
//! Positions are assigned under the account's row lock, which is held until the commit. So a reader that sees an entry
//! sees every entry before it.

use std::time::Duration;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Row, query, query_scalar};
use uuid::Uuid;

use super::Repository;
use super::change_notifier::ChangeSubscription;
use super::error::StorageError;
use super::pool::Pool;
use crate::contacts::{ChangeKind, FeedCursor, FeedEntry, now};

/// The maximum number of entries that a read scans when it excludes the entries of an actor.
const MAX_SCANNED: i64 = 5_000;

/// Where a read of the feed starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedStart {
    /// At the oldest stored entry.
    Oldest,
    /// After the newest entry: only changes that follow are returned.
    Newest,
    /// After the position of a cursor.
    Cursor(FeedCursor),
}

/// A request for a page of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedRequest {
    /// Where the page starts.
    pub after: FeedStart,
    /// The maximum number of entries.
    pub limit: i64,
    /// The actor whose entries are excluded. `Some(None)` excludes the entries without an actor.
    pub exclude: Option<Option<String>>,
}

/// A page of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedPage {
    /// The entries, in commit order.
    pub entries: Vec<FeedEntry>,
    /// The cursor after the last entry that was read, even if that entry is excluded from the page.
    pub next: FeedCursor,
    /// A version of the account's registry that has every field in the entries.
    pub registry_version: i64,
    /// The position of the account's last change at the time of the read; 0 if the read found no entry at all. It is
    /// above the position of `next` if entries follow.
    pub account_position: i64,
}

/// A page of a contact's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryPage {
    /// The entries, newest first.
    pub entries: Vec<FeedEntry>,
    /// A version of the account's registry that has every field in the entries.
    pub registry_version: i64,
}

/// The reason why the feed was not read.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The entries after the cursor are no longer stored, or the cursor belongs to another state of the database, such
    /// as the state before a backup was restored.
    #[error("the cursor has expired")]
    Expired,
    /// Returns a [`StorageError`] if the database fails or is overloaded.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<sqlx::Error> for FeedError {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error.into())
    }
}

/// Expands to the columns that [`EntryRows`] reads. The account is the first parameter of the statement.
macro_rules! entry_columns {
    () => {
        "h.position, h.contact_id, h.kind, h.actor, h.at, h.changed::text, \
         (SELECT a.registry_version FROM accounts a WHERE a.account_id = $1), \
         (SELECT a.last_position FROM accounts a WHERE a.account_id = $1)"
    };
}

/// Returns the entry in a row with the columns of `entry_columns!`.
fn feed_entry_from_row(row: &PgRow) -> sqlx::Result<FeedEntry> {
    let kind: String = row.try_get(2)?;
    Ok(FeedEntry {
        position: row.try_get(0)?,
        contact_id: row.try_get(1)?,
        kind: ChangeKind::from_name(&kind).ok_or_else(|| sqlx::Error::Decode("unknown kind of change".into()))?,
        actor: row.try_get(3)?,
        at: row.try_get(4)?,
        changed: row.try_get(5)?,
    })
}

/// The entries in rows with the columns of `entry_columns!`, and the state of the account at the time of the read. The
/// state is zero if there are no rows.
struct EntryRows {
    entries: Vec<FeedEntry>,
    registry_version: i64,
    account_position: i64,
}

impl EntryRows {
    fn from_rows(rows: &[PgRow]) -> sqlx::Result<Self> {
        let state = |column: usize| rows.first().map_or(Ok(None), |row| row.try_get::<Option<i64>, _>(column));
        Ok(Self {
            entries: rows.iter().map(feed_entry_from_row).collect::<sqlx::Result<_>>()?,
            registry_version: state(6)?.unwrap_or(0),
            account_position: state(7)?.unwrap_or(0),
        })
    }
}

impl Repository {
    /// Returns a page of an account's feed.
    ///
    /// # Errors
    /// [`FeedError::Expired`], or [`FeedError::Storage`].
    #[tracing::instrument(name = "read changes", skip_all, fields(otel.kind = "client", db.system.name = "postgresql"))]
    pub async fn read_changes(&self, account: Uuid, request: &FeedRequest) -> Result<FeedPage, FeedError> {
        let mut connection = self.pool.admit(account).await?;
        let start = match request.after {
            FeedStart::Newest => {
                let EntryRows { entries, account_position, .. } = read_newest_entry(&mut connection, account).await?;
                let next = entries.first().map_or(FeedCursor::START, FeedCursor::after);
                return Ok(FeedPage { entries: vec![], next, registry_version: 0, account_position });
            }
            FeedStart::Oldest => FeedCursor::START,
            FeedStart::Cursor(cursor) => cursor,
        };
        let EntryRows { entries, registry_version, account_position } =
            read_entries(&mut connection, account, start.position(), request).await?;
        let mut scanned = entries.into_iter();
        if let FeedStart::Cursor(cursor) = request.after {
            let is_valid = match cursor {
                FeedCursor::START => is_complete(&mut connection, account).await?,
                // The entry of the cursor is read, too: the cursor is valid if the entry is still the same.
                _ => scanned.next().is_some_and(|entry| FeedCursor::after(&entry) == cursor),
            };
            if !is_valid {
                return Err(FeedError::Expired);
            }
        }
        let (mut entries, mut next) = (vec![], start);
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        for entry in scanned {
            next = FeedCursor::after(&entry);
            if request.exclude.as_ref() != Some(&entry.actor) {
                entries.push(entry);
            }
            if entries.len() == limit {
                break;
            }
        }
        Ok(FeedPage { entries, next, registry_version, account_position })
    }

    /// Subscribes to the changes of an account, of this instance and of others. Subscribe before the read whose result
    /// is to be followed.
    #[must_use]
    pub fn subscribe_to_changes(&self, account: Uuid) -> ChangeSubscription {
        self.change_notifier.subscribe(account)
    }

    /// Returns the number of accounts whose changes are subscribed to.
    #[must_use]
    pub fn subscribed_account_count(&self) -> usize {
        self.change_notifier.account_count()
    }

    /// Returns the changes of a contact, newest first: all of them, or those before a position. Returns `None` when
    /// there is no such contact.
    ///
    /// # Errors
    /// Returns a [`StorageError`] if the database fails or is overloaded.
    #[tracing::instrument(name = "read history", skip_all, fields(otel.kind = "client", db.system.name = "postgresql"))]
    pub async fn read_history(
        &self,
        account: Uuid,
        contact: Uuid,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Option<HistoryPage>, StorageError> {
        // Each entry refers to the previous entry of its contact. So the history needs no index, which every write
        // would have to update.
        const WALK: &str = concat!(
            "WITH RECURSIVE walk AS ( \
                 SELECT h.position, h.previous_position, 1 AS step FROM changes h \
                 WHERE h.account_id = $1 AND h.position = $3 AND h.contact_id = $2 \
                 UNION ALL SELECT h.position, h.previous_position, w.step + 1 FROM walk w \
                 CROSS JOIN LATERAL (SELECT position, previous_position FROM changes \
                 WHERE account_id = $1 AND position = w.previous_position LIMIT 1) h WHERE w.step < $4) \
             SELECT ",
            entry_columns!(),
            " FROM walk w CROSS JOIN LATERAL \
             (SELECT * FROM changes WHERE account_id = $1 AND position = w.position LIMIT 1) h ORDER BY h.position DESC"
        );
        let newest = query_scalar("SELECT position FROM contacts WHERE account_id = $1 AND id = $2");
        let mut connection = self.pool.admit(account).await?;
        let newest: Option<i64> = newest.bind(account).bind(contact).fetch_optional(&mut *connection).await?;
        let Some(newest) = newest else { return Ok(None) };
        // The walk starts at the last entry of the previous page, which is read again and then removed.
        let (start, repeated) = before.map_or((newest, 0), |before| (before, 1));
        let walk = query(WALK).bind(account).bind(contact).bind(start).bind(limit + repeated);
        let rows = walk.fetch_all(&mut *connection).await?;
        let EntryRows { mut entries, registry_version, .. } = EntryRows::from_rows(&rows)?;
        entries.retain(|entry| Some(entry.position) != before);
        Ok(Some(HistoryPage { entries, registry_version }))
    }
}

/// Returns the entries from a position on, in order. Excluded entries are left out, except the entry at the position
/// and the last one that was scanned.
async fn read_entries(
    connection: &mut PgConnection,
    account: Uuid,
    start: i64,
    request: &FeedRequest,
) -> sqlx::Result<EntryRows> {
    const ALL: &str = concat!(
        "SELECT ",
        entry_columns!(),
        " FROM changes h WHERE h.account_id = $1 AND h.position >= $2 ORDER BY h.position LIMIT $3"
    );
    const NOT_EXCLUDED: &str = concat!(
        "WITH h AS MATERIALIZED (SELECT * FROM changes WHERE account_id = $1 AND position >= $2 \
         ORDER BY position LIMIT $3) SELECT ",
        entry_columns!(),
        " FROM h WHERE h.actor IS DISTINCT FROM $4 OR h.position = $2 OR h.position = (SELECT max(position) FROM h) \
         ORDER BY h.position LIMIT $5"
    );
    let rows = match &request.exclude {
        None => query(ALL).bind(account).bind(start).bind(request.limit + 1).fetch_all(connection).await?,
        Some(actor) => {
            let not_excluded = query(NOT_EXCLUDED).bind(account).bind(start).bind(MAX_SCANNED).bind(actor);
            // Two more than requested: the entry at the position and the last scanned entry.
            not_excluded.bind(request.limit + 2).fetch_all(connection).await?
        }
    };
    EntryRows::from_rows(&rows)
}

/// Returns the newest entry, if there is one.
async fn read_newest_entry(connection: &mut PgConnection, account: Uuid) -> sqlx::Result<EntryRows> {
    const NEWEST: &str = concat!(
        "SELECT ",
        entry_columns!(),
        " FROM changes h WHERE h.account_id = $1 ORDER BY h.position DESC LIMIT 1"
    );
    EntryRows::from_rows(&query(NEWEST).bind(account).fetch_all(connection).await?)
}

/// Whether no entry of the account's feed has been deleted.
async fn is_complete(connection: &mut PgConnection, account: Uuid) -> sqlx::Result<bool> {
    let trimmed = query_scalar("SELECT trimmed_position FROM accounts WHERE account_id = $1");
    let trimmed: Option<i64> = trimmed.bind(account).fetch_optional(connection).await?;
    Ok(trimmed.unwrap_or(0) == 0)
}

/// Deletes up to 1,000 entries of an account's feed that are older than `retention`. Returns whether there may be more.
///
/// The newest expired entry stays. So the cursor of a reader that has read up to this entry remains valid: no entry
/// that the reader still needs was deleted.
pub(super) async fn delete_expired_changes(
    pool: &Pool,
    account: Uuid,
    retention: Duration,
) -> Result<bool, StorageError> {
    const MAX_DELETED: i64 = 1_000;
    const SET_LOCK_TIMEOUT: &str = "SELECT set_config('lock_timeout', '1s', true)";
    const SET_TRIMMED_POSITION: &str =
        "UPDATE accounts SET trimmed_position = greatest(trimmed_position, $2 - 1) WHERE account_id = $1";
    const DELETE: &str = "DELETE FROM changes WHERE account_id = $1 AND position < $2";
    // Usually there is nothing to delete. Reading two entries is enough to detect that.
    if expired_positions(pool, account, retention, 2).await?.len() < 2 {
        return Ok(false);
    }
    let expired = expired_positions(pool, account, retention, MAX_DELETED).await?;
    let Some(newest_expired) = expired.last() else { return Ok(false) };
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin().await?;
    query(SET_LOCK_TIMEOUT).execute(&mut *transaction).await?;
    query(SET_TRIMMED_POSITION).bind(account).bind(newest_expired).execute(&mut *transaction).await?;
    query(DELETE).bind(account).bind(newest_expired).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(expired.len() as i64 == MAX_DELETED)
}

/// Returns the positions of the entries older than `retention` among the `scanned` oldest entries of an account.
async fn expired_positions(pool: &Pool, account: Uuid, retention: Duration, scanned: i64) -> sqlx::Result<Vec<i64>> {
    const OLDEST: &str = "SELECT position, at < $2 FROM changes WHERE account_id = $1 ORDER BY position LIMIT $3";
    let oldest = query(OLDEST).bind(account).bind(now() - retention).bind(scanned);
    let rows = oldest.fetch_all(&mut *pool.acquire().await?).await?;
    let oldest = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
    let oldest = oldest.collect::<sqlx::Result<Vec<(i64, bool)>>>()?;
    Ok(oldest.into_iter().take_while(|(_, is_expired)| *is_expired).map(|(position, _)| position).collect())
}
