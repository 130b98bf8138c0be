//! Reads of the change feed, and the deletion of expired entries.
//!
//! Positions are assigned under the account's row lock, which is held until the commit. So a reader that sees an entry
//! sees every entry before it.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{Postgres, Row, query};
use uuid::Uuid;

use super::Repository;
use super::change_notifier::ChangeSubscription;
use super::error::StorageError;
use super::last_changes::last_position_sql;
use super::pool::{DatabaseConnection, Pool};
use super::row_mapping::{contact_columns, custom_parameter, optional_contact_from_row};
use super::row_stream::{RowStream, read_optional, stream_rows};
use super::statement::sql;
use crate::contacts::{ChangeKind, FeedCursor, FeedEntry};
use crate::fields::{CustomSelection, RegistryVersion};

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
    /// At the first entry of this time or later; after the newest entry if there is none.
    Since(DateTime<Utc>),
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
    /// The custom fields of the contacts of the entries.
    pub custom_fields: CustomSelection,
}

/// A page of the feed.
pub struct FeedPage {
    /// The entries in commit order, from the first entry that is not excluded. Entries that are excluded may follow
    /// ([`FeedRequest::includes`]). `None` if the page has no entry.
    pub entries: Option<RowStream<FeedEntry>>,
    /// The cursor before `entries`: after the last entry that was read, even if that entry is excluded.
    pub next: FeedCursor,
    /// A version of the account's registry that has every field in the entries.
    pub registry_version: RegistryVersion,
    /// The position of the account's last change at the time of the read; 0 if the read found no entry at all. It is
    /// above the position of `next` if entries follow.
    pub account_position: i64,
}

impl FeedRequest {
    /// Returns whether an entry belongs to the page.
    #[must_use]
    pub fn includes(&self, entry: &FeedEntry) -> bool {
        self.exclude.as_ref() != Some(&entry.actor)
    }
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

/// Returns the columns that [`EntryRow`] reads. The account is the first parameter of the statement.
pub(super) fn entry_columns() -> String {
    format!(
        "h.position AS entry_position, h.contact_id, h.kind, h.actor, h.at, h.changed::text AS changed, \
         (SELECT a.registry_version FROM accounts a WHERE a.account_id = $1) AS registry_version, \
         (SELECT {} FROM accounts s WHERE s.account_id = $1) AS account_position, \
         (SELECT a.trimmed_position FROM accounts a WHERE a.account_id = $1) AS trimmed_position",
        last_position_sql("account_id = $1")
    )
}

/// Joins the contacts `c` of entries `h`.
const JOIN_CONTACTS: &str =
    "LEFT JOIN LATERAL (SELECT * FROM contacts t WHERE account_id = $1 AND id = h.contact_id LIMIT 1) c ON true";

/// Returns the entry in a row with the columns of [`entry_columns`].
fn feed_entry_from_row(row: &PgRow) -> sqlx::Result<FeedEntry> {
    let kind: &str = row.try_get("kind")?;
    Ok(FeedEntry {
        position: row.try_get("entry_position")?,
        contact_id: row.try_get("contact_id")?,
        kind: ChangeKind::from_name(kind).ok_or_else(|| sqlx::Error::Decode("unknown kind of change".into()))?,
        actor: row.try_get("actor")?,
        at: row.try_get("at")?,
        changed: row.try_get("changed")?,
        contact: None,
    })
}

/// An entry, and the state of its account at the time of the read.
pub(super) struct EntryRow {
    pub(super) entry: FeedEntry,
    pub(super) registry_version: RegistryVersion,
    account_position: i64,
    /// The position up to which entries have been deleted; 0 if none has.
    trimmed_position: i64,
}

impl EntryRow {
    pub(super) fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        // An account without a row has no entries.
        let state = |column: &str| row.try_get::<Option<i64>, _>(column).map(Option::unwrap_or_default);
        Ok(Self {
            entry: feed_entry_from_row(row)?,
            registry_version: RegistryVersion::from_stored(state("registry_version")?),
            account_position: state("account_position")?,
            trimmed_position: state("trimmed_position")?,
        })
    }

    /// Reads a row that begins with the columns of the entry's contact.
    fn from_row_with_contact(row: &PgRow) -> sqlx::Result<Self> {
        let mut entry = Self::from_row(row)?;
        entry.entry.contact = optional_contact_from_row(row)?.map(Arc::new);
        Ok(entry)
    }
}

/// Returns an entry that has been read, and the entries that follow it.
pub(super) fn chain(first: FeedEntry, rest: RowStream<EntryRow>) -> RowStream<FeedEntry> {
    Box::pin(stream::once(async { Ok(first) }).chain(rest.map_ok(|row| row.entry)))
}

impl Repository {
    /// Reads a page of an account's feed. Holds a connection while the page has entries.
    ///
    /// # Errors
    /// [`FeedError::Expired`], or [`FeedError::Storage`].
    #[tracing::instrument(name = "read changes", skip_all, fields(otel.kind = "client", db.system.name = "postgresql"))]
    pub async fn read_changes(&self, account: Uuid, request: &FeedRequest) -> Result<FeedPage, FeedError> {
        let mut connection = self.pool.admit(account).await?;
        let (mut start, mut first_position) = (FeedCursor::START, None);
        match request.after {
            FeedStart::Newest => return Ok(read_end_of_feed(connection, account).await?),
            FeedStart::Oldest => {}
            FeedStart::Cursor(cursor) => start = cursor,
            FeedStart::Since(time) => match find_first_since(&mut connection, account, time).await? {
                None => return Ok(read_end_of_feed(connection, account).await?),
                found => first_position = found,
            },
        }
        let entries = select_entries(account, first_position.unwrap_or(start.position()), request);
        let mut rows = stream_rows(connection, entries, EntryRow::from_row_with_contact);
        let mut page =
            FeedPage { entries: None, next: start, registry_version: RegistryVersion::default(), account_position: 0 };
        // The entry of the cursor is read, too: the cursor is valid if the entry is still the same.
        let mut cursor_entry = Some(start).filter(|start| *start != FeedCursor::START);
        while let Some(row) = rows.try_next().await? {
            (page.registry_version, page.account_position) = (row.registry_version, row.account_position);
            let cursor = FeedCursor::after(&row.entry);
            let is_expired = match cursor_entry {
                Some(expected) => expected != cursor,
                None if request.after == FeedStart::Cursor(FeedCursor::START) => row.trimmed_position > 0,
                // The first entry was deleted after it was found.
                None => first_position.is_some_and(|first| row.trimmed_position >= first),
            };
            if is_expired {
                return Err(FeedError::Expired);
            }
            if cursor_entry.take().is_some() {
                continue;
            }
            if request.includes(&row.entry) {
                page.entries = Some(chain(row.entry, rows));
                return Ok(page);
            }
            page.next = cursor;
        }
        // There is no entry at the position of the cursor.
        if cursor_entry.is_some() { Err(FeedError::Expired) } else { Ok(page) }
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
}

/// Selects the entries from a position on, in order. Excluded entries are left out, except the entry at the position
/// and the last one that was scanned.
fn select_entries(account: Uuid, start: i64, request: &FeedRequest) -> Query<'static, Postgres, PgArguments> {
    // The index begins with the deleted entries until they are vacuumed, which a snapshot can prevent for hours.
    const FIRST: &str = "greatest($2, (SELECT a.trimmed_position FROM accounts a WHERE a.account_id = $1))";
    let all = sql!(
        "SELECT {}, {} FROM changes h {JOIN_CONTACTS} WHERE h.account_id = $1 AND h.position >= {FIRST} \
         ORDER BY h.position LIMIT $3",
        contact_columns("$4"),
        entry_columns()
    );
    let not_excluded = sql!(
        "WITH h AS MATERIALIZED (SELECT * FROM changes WHERE account_id = $1 AND position >= {FIRST} \
         ORDER BY position LIMIT $3) SELECT {}, {} FROM h {JOIN_CONTACTS} WHERE h.actor IS DISTINCT FROM $4 OR h.position = $2 \
         OR h.position = (SELECT max(position) FROM h) ORDER BY h.position LIMIT $5",
        contact_columns("$6"),
        entry_columns()
    );
    let custom = custom_parameter(&request.custom_fields);
    match &request.exclude {
        None => query(all).bind(account).bind(start).bind(request.limit + 1).bind(custom),
        Some(actor) => {
            let query = query(not_excluded).bind(account).bind(start).bind(MAX_SCANNED).bind(actor);
            // Two more than requested: the entry at the position and the last scanned entry.
            query.bind(request.limit + 2).bind(custom)
        }
    }
}

/// Returns the position of the first entry of an account whose time is `since` or later; `None` if all entries are older.
///
/// Times never decrease along the feed, so a binary search finds the entry. An index by time would slow down every write.
///
/// # Errors
/// [`FeedError::Expired`] if the first entry is not known, because entries were deleted and all others are `since` or later.
async fn find_first_since(
    connection: &mut DatabaseConnection,
    account: Uuid,
    since: DateTime<Utc>,
) -> Result<Option<i64>, FeedError> {
    // All entries up to `low` are older, and `found` is the first one from `high` on.
    let search = sql!(
        "WITH RECURSIVE search (low, high, found) AS ( \
             SELECT s.trimmed_position, {} + 1, NULL::bigint FROM accounts s WHERE s.account_id = $1 \
             UNION ALL SELECT CASE WHEN p.at < $2 THEN p.position ELSE s.low END, \
             CASE WHEN p.at < $2 THEN s.high ELSE m.middle END, CASE WHEN p.at >= $2 THEN p.position ELSE s.found END \
             FROM search s CROSS JOIN LATERAL (SELECT s.low + (s.high - s.low) / 2 AS middle) m \
             LEFT JOIN LATERAL (SELECT h.position, h.at FROM changes h WHERE h.account_id = $1 \
             AND h.position >= m.middle AND h.position < s.high ORDER BY h.position LIMIT 1) p ON true \
             WHERE s.high - s.low > 1) \
         SELECT s.found, a.trimmed_position > 0 AND s.low = a.trimmed_position AS is_expired FROM search s \
         CROSS JOIN (SELECT trimmed_position FROM accounts WHERE account_id = $1) a ORDER BY s.high - s.low LIMIT 1",
        last_position_sql("account_id = $1")
    );
    let row = query(search).bind(account).bind(since).fetch_optional(&mut *connection).await?;
    match row.map(|row| Ok::<_, sqlx::Error>((row.try_get("found")?, row.try_get("is_expired")?))).transpose()? {
        Some((_, true)) => Err(FeedError::Expired),
        found => Ok(found.and_then(|(found, _)| found)),
    }
}

/// Returns the empty page after the newest entry.
async fn read_end_of_feed(connection: DatabaseConnection, account: Uuid) -> Result<FeedPage, StorageError> {
    let newest =
        sql!("SELECT {} FROM changes h WHERE h.account_id = $1 ORDER BY h.position DESC LIMIT 1", entry_columns());
    let newest = read_optional(stream_rows(connection, query(newest).bind(account), EntryRow::from_row)).await?;
    let (next, account_position) =
        newest.map_or((FeedCursor::START, 0), |row| (FeedCursor::after(&row.entry), row.account_position));
    Ok(FeedPage { entries: None, next, registry_version: RegistryVersion::default(), account_position })
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
    const SET_LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '1s'";
    const SET_TRIMMED_POSITION: &str =
        "UPDATE accounts SET trimmed_position = greatest(trimmed_position, $2 - 1) WHERE account_id = $1";
    const DELETE: &str = "DELETE FROM changes WHERE account_id = $1 AND position < $2";
    let expired = expired_positions(pool, account, retention, MAX_DELETED).await?;
    // A single one stays.
    let [_, .., newest_expired] = expired.as_slice() else { return Ok(false) };
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
    const OLDEST: &str = "SELECT position, at < now() - make_interval(secs => $2) FROM changes WHERE account_id = $1 \
         AND position > (SELECT trimmed_position FROM accounts WHERE account_id = $1) ORDER BY position LIMIT $3";
    let oldest = query(OLDEST).bind(account).bind(retention.as_secs_f64()).bind(scanned);
    let rows = oldest.fetch_all(&mut pool.acquire().await?).await?;
    let oldest = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
    let oldest = oldest.collect::<sqlx::Result<Vec<(i64, bool)>>>()?;
    Ok(oldest.into_iter().take_while(|(_, is_expired)| *is_expired).map(|(position, _)| position).collect())
}
