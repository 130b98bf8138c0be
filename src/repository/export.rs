//! Reads all contacts of an account, as they are at one moment.

use std::ops::ControlFlow;

use sqlx::Connection;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::rows::{self, contact_columns};
use super::{Repository, StorageError, registries};
use crate::contacts::Contact;
use crate::fields::Registry;

/// How many contacts are in memory at a time.
const PAGE: i64 = 1_000;

impl Repository {
    /// Hands the active contacts of an account to `visit`, in order of creation and a page at a time, with the fields
    /// that the account has: all of them as they are when this begins. `visit` is called at least once, and may end it.
    ///
    /// The snapshot lasts until the last page, however long that takes: `VACUUM` keeps what it sees.
    ///
    /// # Errors
    /// The database.
    pub async fn each_contact(
        &self,
        account: Uuid,
        mut visit: impl FnMut(&Registry, &[Contact]) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        // Who reads the pages may take his time.
        const PATIENT: &str = "SELECT set_config('statement_timeout', '0', true), \
                               set_config('idle_in_transaction_session_timeout', '0', true)";
        const READ: &str = concat!(
            "SELECT ",
            contact_columns!(),
            " FROM contacts c WHERE c.account_id = $1 AND c.id > $2 AND c.archived_at IS NULL ORDER BY c.id LIMIT $3"
        );
        let mut connection = self.pool.acquire().await?;
        let mut snapshot = connection.begin_with(BEGIN).await?;
        sqlx::query(PATIENT).execute(&mut *snapshot).await?;
        let registry = registries::load(&mut *snapshot, account).await?;
        let mut after = Uuid::nil();
        loop {
            let page: Vec<PgRow> =
                sqlx::query(READ).bind(account).bind(after).bind(PAGE).fetch_all(&mut *snapshot).await?;
            let page = page.iter().map(rows::contact).collect::<sqlx::Result<Vec<_>>>()?;
            let is_last = (page.len() as i64) < PAGE;
            if visit(&registry, &page).is_break() || is_last {
                return Ok(snapshot.rollback().await?);
            }
            after = page.last().map_or(after, |last| last.id);
        }
    }
}
