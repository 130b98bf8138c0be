//! Exports all contacts of an account from one snapshot.

use std::ops::ControlFlow;

use futures_util::TryStreamExt;
use uuid::Uuid;

use super::Repository;
use super::error::StorageError;
use super::registry_cache::load_registry;
use super::row_mapping::{self, contact_columns};
use super::statement::sql;
use crate::contacts::Contact;
use crate::fields::Registry;

impl Repository {
    /// Passes the active contacts of an account, or all of them, to `visit`, with the account's registry: in order of creation, one at a
    /// time. Contacts and registry are read as of the start of the export. The first call of `visit` has no contact, and
    /// `Break` ends the export.
    ///
    /// One contact is in memory at a time. The database sends the next ones when they are read. The snapshot lasts until
    /// the last contact, however long that takes. Until then, `VACUUM` cannot remove the row versions that the snapshot can
    /// see.
    ///
    /// # Errors
    /// Returns a [`StorageError`] if the database fails or is overloaded.
    pub async fn export_contacts(
        &self,
        account: Uuid,
        include_archived: bool,
        mut visit: impl FnMut(&Registry, Option<&Contact>) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        // The consumer of the contacts may be slow. The rows are read in the order of the primary key, so that the
        // database neither sorts nor stores them first.
        const CONFIGURE: &str = "SELECT set_config('statement_timeout', '0', true), \
                                 set_config('idle_in_transaction_session_timeout', '0', true), \
                                 set_config('enable_sort', 'off', true)";
        let all = sql!("SELECT {} FROM contacts c WHERE c.account_id = $1 ORDER BY c.id", contact_columns("'*'"));
        let active = sql!(
            "SELECT {} FROM contacts c WHERE c.account_id = $1 AND c.archived_at IS NULL ORDER BY c.id",
            contact_columns("'*'")
        );
        let select = if include_archived { all } else { active };
        let mut connection = self.pool.acquire().await?;
        // If the export ends early, the rest of the rows must not be read only to use the connection again.
        connection.close_on_drop();
        connection.remove_time_limit();
        let mut snapshot = connection.begin_with(BEGIN).await?;
        sqlx::query(CONFIGURE).execute(&mut *snapshot).await?;
        let registry = load_registry(&mut *snapshot, account).await?;
        if visit(&registry, None).is_break() {
            return Ok(());
        }
        let mut rows = sqlx::query(select).bind(account).fetch(&mut *snapshot);
        while let Some(row) = rows.try_next().await? {
            if visit(&registry, Some(&row_mapping::contact_from_row(&row)?)).is_break() {
                break;
            }
        }
        Ok(())
    }
}
