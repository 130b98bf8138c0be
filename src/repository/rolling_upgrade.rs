//! The time after a migration in which instances of an older build may still run.
//!
//! They take the position of an account's last change from the row of the account. So for a day after migration 4 was
//! applied to a database that was in use, writes also store their positions there. A later write of an older build fails
//! with a 503: its entry of the feed exists already.

use std::time::Duration;

use sqlx::Row;
use sqlx::types::chrono::{DateTime, Utc};
use tokio::sync::OnceCell;

use super::error::StorageError;
use super::pool::Pool;

/// The migration from which on a row of an account need not have the position of its last change.
const MIGRATION: i64 = 4;
/// How long instances of older builds may run after the migration.
const MAX_OVERLAP: Duration = Duration::from_secs(24 * 60 * 60);
/// All migrations of a new database are applied within this time. No older build has used such a database.
const FIRST_START: Duration = Duration::from_secs(2);

/// The end of the rolling upgrade of the database. It is read at first use.
#[derive(Default)]
pub(super) struct RollingUpgrade(OnceCell<Option<DateTime<Utc>>>);

impl RollingUpgrade {
    /// Returns whether instances of older builds may write to the same database.
    ///
    /// # Errors
    /// Fails if the database fails.
    pub(super) async fn may_run_beside_older_builds(&self, pool: &Pool) -> Result<bool, StorageError> {
        let end = self.0.get_or_try_init(|| read_end(pool)).await?;
        Ok(end.is_some_and(|end| Utc::now() < end))
    }
}

/// Returns the time until which older builds may run; `None` for a database that none has used.
async fn read_end(pool: &Pool) -> Result<Option<DateTime<Utc>>, StorageError> {
    const APPLIED: &str = "SELECT installed_on, installed_on - $2 > \
         (SELECT max(installed_on) FROM _sqlx_migrations WHERE version < $1) FROM _sqlx_migrations WHERE version = $1";
    let applied = sqlx::query(APPLIED).bind(MIGRATION).bind(FIRST_START);
    let Some(row) = applied.fetch_optional(&mut pool.acquire().await?).await? else { return Ok(None) };
    let (applied_at, was_in_use): (DateTime<Utc>, Option<bool>) = (row.try_get(0)?, row.try_get(1)?);
    Ok(was_in_use.unwrap_or(false).then(|| applied_at + MAX_OVERLAP))
}
