//! Reads of the change feed and of histories, and the trimming of what is too old.
//!
//! Positions are given out under the account's lock, which is held until the commit: who sees an entry sees every
//! entry before it.

use std::time::Duration;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Row, query, query_scalar};
use uuid::Uuid;

use super::pool::Pool;
use super::{Repository, StorageError};
use crate::contacts::{ChangeKind, Entry, FeedCursor, now};

/// How many entries are looked at in one go when some are left out.
const SCAN: i64 = 5_000;

/// Where a reader of the feed goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// From the oldest entry kept.
    Oldest,
    /// With what comes from here on.
    Newest,
    /// After a place that was given to the reader.
    Cursor(FeedCursor),
}

/// A part of the feed that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedRequest {
    /// From where.
    pub after: After,
    /// At most this many entries.
    pub limit: i64,
    /// Whose entries are left out: an actor's, or with `Some(None)` those without one.
    pub exclude: Option<Option<String>>,
}

/// A part of the feed, and where it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedPage {
    /// The entries, in the order of their commits.
    pub entries: Vec<Entry>,
    /// After the last of them, and what was left out behind it.
    pub next: FeedCursor,
    /// The version of the account's registry, which knows every field that they tell of.
    pub registry: i64,
}

/// A part of a contact's history, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryPage {
    /// The entries.
    pub entries: Vec<Entry>,
    /// The version of the account's registry, which knows every field that they tell of.
    pub registry: i64,
}

/// Why a part of the feed can't be had.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The entries after this place are no longer kept, or it is none of this database.
    #[error("the cursor has expired")]
    Expired,
    /// The database.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<sqlx::Error> for FeedError {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error.into())
    }
}

/// What [`entries`] reads; the account is the first parameter.
macro_rules! entry_columns {
    () => {
        "h.position, h.contact_id, h.kind, h.actor, h.at, h.changed::text, \
         (SELECT a.registry_version FROM accounts a WHERE a.account_id = $1)"
    };
}

fn entry(row: &PgRow) -> sqlx::Result<Entry> {
    let kind: String = row.try_get(2)?;
    Ok(Entry {
        position: row.try_get(0)?,
        contact_id: row.try_get(1)?,
        kind: ChangeKind::from_name(&kind).ok_or_else(|| sqlx::Error::Decode("unknown kind of change".into()))?,
        actor: row.try_get(3)?,
        at: row.try_get(4)?,
        changed: row.try_get(5)?,
    })
}

/// Entries, and the version that the account's registry had when they were read.
fn entries(rows: &[PgRow]) -> sqlx::Result<(Vec<Entry>, i64)> {
    let registry = rows.first().map_or(Ok(None), |row| row.try_get(6))?;
    Ok((rows.iter().map(entry).collect::<sqlx::Result<_>>()?, registry.unwrap_or(0)))
}

impl Repository {
    /// A part of an account's feed.
    ///
    /// # Errors
    /// [`FeedError::Expired`], or the database.
    #[tracing::instrument(name = "read changes", skip_all, fields(otel.kind = "client", db.system.name = "postgresql"))]
    pub async fn changes(&self, account: Uuid, request: &FeedRequest) -> Result<FeedPage, FeedError> {
        let mut connection = self.pool.admit().await?;
        let from = match request.after {
            After::Newest => {
                return Ok(FeedPage { entries: vec![], next: newest(&mut connection, account).await?, registry: 0 });
            }
            After::Oldest => FeedCursor::START,
            After::Cursor(cursor) => cursor,
        };
        let (entries, registry) = scan(&mut connection, account, from.position(), request).await?;
        let mut entries = entries.into_iter();
        if let After::Cursor(cursor) = request.after {
            let stands = match cursor {
                FeedCursor::START => is_whole(&mut connection, account).await?,
                // The entry before the place comes along, as the proof that it is still the same.
                _ => entries.next().is_some_and(|entry| FeedCursor::after(&entry) == cursor),
            };
            if !stands {
                return Err(FeedError::Expired);
            }
        }
        let (mut page, mut next) = (vec![], from);
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        for entry in entries {
            next = FeedCursor::after(&entry);
            if request.exclude.as_ref() != Some(&entry.actor) {
                page.push(entry);
            }
            if page.len() == limit {
                break;
            }
        }
        Ok(FeedPage { entries: page, next, registry })
    }

    /// Done when this instance has written to the account after this call.
    pub fn next_change(&self, account: Uuid) -> impl Future<Output = ()> + Send + '_ {
        self.doorbells.listen(account)
    }

    /// The changes of a contact before a position (or all), newest first; `None` when there is no such contact.
    ///
    /// # Errors
    /// The database.
    #[tracing::instrument(name = "read history", skip_all, fields(otel.kind = "client", db.system.name = "postgresql"))]
    pub async fn history(
        &self,
        account: Uuid,
        contact: Uuid,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Option<HistoryPage>, StorageError> {
        // Each entry knows the one before it: no index is needed, and none is kept up to date by every write.
        const WALK: &str = concat!(
            "WITH RECURSIVE walk AS ( \
                 SELECT h.position, h.previous, 1 AS step FROM changes h \
                 WHERE h.account_id = $1 AND h.position = $3 AND h.contact_id = $2 \
                 UNION ALL SELECT h.position, h.previous, w.step + 1 FROM walk w \
                 JOIN changes h ON h.account_id = $1 AND h.position = w.previous WHERE w.step < $4) \
             SELECT ",
            entry_columns!(),
            " FROM walk w JOIN changes h ON h.account_id = $1 AND h.position = w.position ORDER BY h.position DESC"
        );
        let last = query_scalar("SELECT position FROM contacts WHERE account_id = $1 AND id = $2");
        let mut connection = self.pool.admit().await?;
        let last: Option<i64> = last.bind(account).bind(contact).fetch_optional(&mut *connection).await?;
        let Some(last) = last else { return Ok(None) };
        // The walk begins with the entry that was the last one shown.
        let (from, shown) = before.map_or((last, 0), |before| (before, 1));
        let rows =
            query(WALK).bind(account).bind(contact).bind(from).bind(limit + shown).fetch_all(&mut *connection).await?;
        let (mut entries, registry) = entries(&rows)?;
        entries.retain(|entry| Some(entry.position) != before);
        Ok(Some(HistoryPage { entries, registry }))
    }
}

/// The entries from a position on, in order. Of those that are left out only the one at the position and the last
/// that was looked at.
async fn scan(
    connection: &mut PgConnection,
    account: Uuid,
    from: i64,
    request: &FeedRequest,
) -> sqlx::Result<(Vec<Entry>, i64)> {
    const ALL: &str = concat!(
        "SELECT ",
        entry_columns!(),
        " FROM changes h WHERE h.account_id = $1 AND h.position >= $2 ORDER BY h.position LIMIT $3"
    );
    const SOME: &str = concat!(
        "WITH h AS MATERIALIZED (SELECT * FROM changes WHERE account_id = $1 AND position >= $2 ORDER BY position LIMIT $3) SELECT ",
        entry_columns!(),
        " FROM h WHERE h.actor IS DISTINCT FROM $4 OR h.position = $2 OR h.position = (SELECT max(position) FROM h) ORDER BY h.position LIMIT $5"
    );
    let rows = match &request.exclude {
        None => query(ALL).bind(account).bind(from).bind(request.limit + 1).fetch_all(connection).await?,
        Some(actor) => {
            let some = query(SOME).bind(account).bind(from).bind(SCAN).bind(actor);
            // The one at the position and the last come on top.
            some.bind(request.limit + 2).fetch_all(connection).await?
        }
    };
    entries(&rows)
}

async fn newest(connection: &mut PgConnection, account: Uuid) -> sqlx::Result<FeedCursor> {
    const NEWEST: &str = concat!(
        "SELECT ",
        entry_columns!(),
        " FROM changes h WHERE h.account_id = $1 ORDER BY h.position DESC LIMIT 1"
    );
    let newest = query(NEWEST).bind(account).fetch_optional(connection).await?;
    let newest = newest.as_ref().map(entry).transpose()?;
    Ok(newest.map_or(FeedCursor::START, |entry| FeedCursor::after(&entry)))
}

/// Whether nothing of the account's feed has been trimmed.
async fn is_whole(connection: &mut PgConnection, account: Uuid) -> sqlx::Result<bool> {
    let trimmed = query_scalar("SELECT trimmed_position FROM accounts WHERE account_id = $1");
    let trimmed: Option<i64> = trimmed.bind(account).fetch_optional(connection).await?;
    Ok(trimmed.unwrap_or(0) == 0)
}

/// Trims an account's feed of what is older than `retention`, a step at a time. Returns whether there is more to do.
///
/// The newest entry that is too old stays: whoever has read up to there has missed nothing.
pub(super) async fn trim(pool: &Pool, account: Uuid, retention: Duration) -> Result<bool, StorageError> {
    const STEP: i64 = 1_000;
    const HURRY: &str = "SELECT set_config('lock_timeout', '1s', true)";
    const MARK: &str =
        "UPDATE accounts SET trimmed_position = greatest(trimmed_position, $2 - 1) WHERE account_id = $1";
    const TRIM: &str = "DELETE FROM changes WHERE account_id = $1 AND position < $2";
    // Most of the time there is nothing to do, and that takes a look at two entries.
    if too_old(pool, account, retention, 2).await?.len() < 2 {
        return Ok(false);
    }
    let too_old = too_old(pool, account, retention, STEP).await?;
    let Some(kept) = too_old.last() else { return Ok(false) };
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin().await?;
    query(HURRY).execute(&mut *transaction).await?;
    query(MARK).bind(account).bind(kept).execute(&mut *transaction).await?;
    query(TRIM).bind(account).bind(kept).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(too_old.len() as i64 == STEP)
}

/// The positions of those of an account's oldest entries that are older than `retention`; it looks at so many.
async fn too_old(pool: &Pool, account: Uuid, retention: Duration, look_at: i64) -> sqlx::Result<Vec<i64>> {
    const OLDEST: &str = "SELECT position, at < $2 FROM changes WHERE account_id = $1 ORDER BY position LIMIT $3";
    let oldest = query(OLDEST)
        .bind(account)
        .bind(now() - retention)
        .bind(look_at)
        .fetch_all(&mut *pool.acquire().await?)
        .await?;
    let oldest = oldest.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
    let oldest = oldest.collect::<sqlx::Result<Vec<(i64, bool)>>>()?;
    Ok(oldest.into_iter().take_while(|(_, is_old)| *is_old).map(|(position, _)| position).collect())
}
