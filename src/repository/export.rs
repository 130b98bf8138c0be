//! Exports all contacts of an account from one snapshot.

use std::ops::ControlFlow;

use sqlx::Connection;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::Repository;
use super::error::StorageError;
use super::registry_cache::load_registry;
use super::row_mapping::{self, contact_columns};
use super::statement::sql;
use crate::contacts::Contact;
use crate::fields::Registry;

/// The number of contacts in memory at a time.
const PAGE_SIZE: i64 = 1_000;

impl Repository {
    /// Passes the active contacts of an account to `visit`, with the account's registry: in order of creation, one page
    /// at a time. Contacts and registry are read as of the start of the export. `visit` is called at least once, and
    /// `Break` ends the export.
    ///
    /// The snapshot lasts until the last page, however long that takes. Until then, `VACUUM` cannot remove the row
    /// versions that the snapshot can see.
    ///
    /// # Errors
    /// Returns a [`StorageError`] if the database fails or is overloaded.
    pub async fn export_contacts(
        &self,
        account: Uuid,
        mut visit: impl FnMut(&Registry, &[Contact]) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        // The consumer of the pages may be slow.
        const DISABLE_TIMEOUTS: &str = "SELECT set_config('statement_timeout', '0', true), \
                                        set_config('idle_in_transaction_session_timeout', '0', true)";
        let select = sql!(
            "SELECT {} FROM contacts c \
             WHERE c.account_id = $1 AND c.id > $2 AND c.archived_at IS NULL ORDER BY c.id LIMIT $3",
            contact_columns("'*'")
        );
        let mut connection = self.pool.acquire().await?;
        let mut snapshot = connection.begin_with(BEGIN).await?;
        sqlx::query(DISABLE_TIMEOUTS).execute(&mut *snapshot).await?;
        let registry = load_registry(&mut *snapshot, account).await?;
        let mut after = Uuid::nil();
        loop {
            let rows: Vec<PgRow> =
                sqlx::query(select).bind(account).bind(after).bind(PAGE_SIZE).fetch_all(&mut *snapshot).await?;
            let page = rows.iter().map(row_mapping::contact_from_row).collect::<sqlx::Result<Vec<_>>>()?;
            let is_last = (page.len() as i64) < PAGE_SIZE;
            if visit(&registry, &page).is_break() || is_last {
                return Ok(snapshot.rollback().await?);
            }
            after = page.last().map_or(after, |last| last.id);
        }
    }
}
