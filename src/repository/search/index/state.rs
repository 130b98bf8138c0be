//! The state of an account's search index.

use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::chrono::{DateTime, Utc};
use uuid::Uuid;

use super::super::collation::Collation;
use crate::repository::error::StorageError;
use crate::repository::last_changes::last_position_sql;
use crate::repository::pool::DatabaseConnection;
use crate::repository::pool::Pool;
use crate::repository::statement::sql;

/// The row of an account in `search_indexes`.
pub(super) struct IndexState {
    pub(super) account: Uuid,
    pub(super) collation: String,
    pub(super) position: i64,
    pub(super) is_complete: bool,
    pub(super) last_contact: Option<Uuid>,
    pub(super) passed_at: Option<DateTime<Utc>>,
}

/// The columns that [`IndexState::from_row`] reads.
const COLUMNS: &str = "account_id, collation_name, position, is_complete, last_contact, passed_at";

impl IndexState {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            account: row.try_get("account_id")?,
            collation: row.try_get("collation_name")?,
            position: row.try_get("position")?,
            is_complete: row.try_get("is_complete")?,
            last_contact: row.try_get("last_contact")?,
            passed_at: row.try_get("passed_at")?,
        })
    }

    /// Reads the states of all indexes.
    pub(super) async fn read_all(pool: &Pool) -> Result<Vec<Self>, StorageError> {
        let read = sql!("SELECT {COLUMNS} FROM search_indexes");
        let rows = sqlx::query(read).fetch_all(&mut pool.acquire().await?).await?;
        Ok(rows.iter().map(Self::from_row).collect::<sqlx::Result<_>>()?)
    }

    /// Locks the state of an index until the transaction ends. Returns `None` if another instance has locked it.
    pub(super) async fn lock(transaction: &mut DatabaseConnection, account: Uuid) -> sqlx::Result<Option<Self>> {
        let lock = sql!("SELECT {COLUMNS} FROM search_indexes WHERE account_id = $1 FOR UPDATE SKIP LOCKED");
        let row = sqlx::query(lock).bind(account).fetch_optional(transaction).await?;
        row.as_ref().map(Self::from_row).transpose()
    }
}

/// Inserts the state of an incomplete index, if the account has none and at least `min_contacts` contacts.
pub(super) async fn insert_if_large(
    pool: &Pool,
    account: Uuid,
    collation: Collation,
    min_contacts: i64,
) -> Result<(), StorageError> {
    const IS_LARGE: &str = "SELECT EXISTS (SELECT FROM contacts WHERE account_id = $1 ORDER BY id OFFSET $2 LIMIT 1)";
    const EXISTS: &str = "SELECT EXISTS (SELECT FROM search_indexes WHERE account_id = $1)";
    let insert = sql!(
        "INSERT INTO search_indexes (account_id, collation_name, position, is_complete, last_contact) \
         SELECT s.account_id, $2, {}, false, '00000000-0000-0000-0000-000000000000' \
         FROM accounts s WHERE s.account_id = $1 ON CONFLICT DO NOTHING",
        last_position_sql("account_id = $1")
    );
    let mut connection = pool.acquire().await?;
    let exists: bool = sqlx::query_scalar(EXISTS).bind(account).fetch_one(&mut connection).await?;
    if exists {
        return Ok(());
    }
    let is_large = sqlx::query_scalar(IS_LARGE).bind(account).bind((min_contacts - 1).max(0));
    if is_large.fetch_one(&mut connection).await? {
        let inserted = sqlx::query(insert).bind(account).bind(collation.name()).execute(&mut connection).await?;
        if inserted.rows_affected() > 0 {
            tracing::info!(%account, "building the search index of an account");
        }
    }
    Ok(())
}

/// Marks an index as incomplete and starts a pass that writes all its entries again. The position moves to the account's newest
/// change: the pass reads all contacts after it.
pub(super) async fn start_again(
    transaction: &mut DatabaseConnection,
    account: Uuid,
    collation: Collation,
) -> sqlx::Result<()> {
    const START: &str = "UPDATE search_indexes SET collation_name = $2, is_complete = false, position = $3, \
        last_contact = '00000000-0000-0000-0000-000000000000' WHERE account_id = $1";
    let newest = sql!("SELECT {} FROM accounts s WHERE s.account_id = $1", last_position_sql("account_id = $1"));
    let newest: Option<i64> = sqlx::query_scalar(newest).bind(account).fetch_optional(&mut *transaction).await?;
    let position = newest.unwrap_or(0);
    sqlx::query(START).bind(account).bind(collation.name()).bind(position).execute(transaction).await?;
    tracing::info!(%account, "building the search index of an account again");
    Ok(())
}
