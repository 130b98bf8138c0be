//! Removes an account with all its data, in steps, so that no lock is held for long.

use uuid::Uuid;

use super::Repository;
use super::error::StorageError;

/// The number of rows that one statement removes.
const STEP_SIZE: i64 = 1_000;

/// Removes up to [`STEP_SIZE`] rows of an account from a table.
macro_rules! delete_step {
    ($table:literal) => {
        (
            $table,
            concat!(
                "DELETE FROM ",
                $table,
                " WHERE account_id = $1 AND ctid = ANY (ARRAY(SELECT ctid FROM ",
                $table,
                " WHERE account_id = $1 LIMIT $2))"
            ),
        )
    };
}

/// The tables with rows of accounts, and the statement for each. Fields and the account's own row are last: writes depend on them.
/// API clients are not among them ([`Repository::revoke_clients`]).
const STEPS: [(&str, &str); 10] = [
    delete_step!("search_indexes"),
    delete_step!("search_entries"),
    delete_step!("contact_keys"),
    delete_step!("contacts"),
    delete_step!("changes"),
    delete_step!("pending_erasures"),
    delete_step!("idempotency_key_contacts"),
    delete_step!("idempotency_keys"),
    delete_step!("fields"),
    delete_step!("accounts"),
];

impl Repository {
    /// Revokes all clients of an account, and removes their names, scopes and secrets. Their ids stay: an instance that starts
    /// later must not accept their tokens. Returns the number of clients.
    ///
    /// # Errors
    /// Returns a [`StorageError`] if the database fails or is overloaded.
    pub async fn revoke_clients(&self, account: Uuid) -> Result<u64, StorageError> {
        const REVOKE: &str = "UPDATE clients SET revoked_at = coalesce(revoked_at, date_trunc('milliseconds', now())), \
             name = 'removed', scope = NULL, secret_hash = '' WHERE account_id = $1";
        let revoked = sqlx::query(REVOKE).bind(account).execute(&mut self.pool.acquire().await?).await?;
        Ok(revoked.rows_affected())
    }

    /// Removes all rows of an account except those of its clients. Returns the tables that had any, with their numbers of rows. Contacts that are created
    /// meanwhile may remain.
    ///
    /// # Errors
    /// Returns a [`StorageError`] if the database fails or is overloaded. A part of the rows may be removed.
    pub async fn purge_account(&self, account: Uuid) -> Result<Vec<(&'static str, u64)>, StorageError> {
        let mut removed = vec![];
        for (table, delete) in STEPS {
            let mut rows = 0;
            loop {
                let step = sqlx::query(delete).bind(account).bind(STEP_SIZE);
                let step = step.execute(&mut self.pool.acquire().await?).await?.rows_affected();
                rows += step;
                if step == 0 {
                    break;
                }
            }
            if rows > 0 {
                removed.push((table, rows));
            }
        }
        Ok(removed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::repository::citus::TABLES;

    #[test]
    fn all_tables_are_emptied() {
        let emptied: BTreeSet<_> = STEPS.iter().map(|(table, _)| *table).chain(["clients"]).collect();
        assert_eq!(emptied, TABLES.into());
    }
}
