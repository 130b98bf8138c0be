//! The rows without a key that imports have created contacts from (docs/import.md#rows-without-a-key).
//!
//! An import claims the keys of such rows before it creates their contacts with the ids of the claims. A claim whose contact
//! does not exist counts as none: the import was interrupted before it created the contact. A later import of the row takes
//! over the id, so that two imports at the same time create one contact.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::Row;
use uuid::Uuid;

use super::Repository;
use super::accounts::insert_account;
use super::error::StorageError;
use super::pool::DatabaseConnection;

/// An import, to name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImportLabel {
    /// When the import began.
    pub started_at: DateTime<Utc>,
    /// The name of the file.
    pub file_name: String,
}

/// The state of a row without a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowClaim {
    /// The row has no active contact. Its contact must be created with this id.
    Free(Uuid),
    /// This import has created an active contact from the row.
    Imported(ImportLabel),
}

/// A stored row.
struct StoredRow {
    contact: Uuid,
    label: ImportLabel,
    state: ImportedContactState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ImportedContactState {
    Missing,
    Active,
    Archived,
}

impl Repository {
    /// Claims rows for an import. Returns a claim for each of `row_keys`, which are distinct.
    ///
    /// # Errors
    /// Returns a [`StorageError`] if the database fails or is overloaded. Some rows may be claimed then.
    pub async fn claim_imported_rows(
        &self,
        account: Uuid,
        row_keys: &[Uuid],
        import: &ImportLabel,
    ) -> Result<Vec<RowClaim>, StorageError> {
        // With the account of a stored row, Citus inserts the rows where it is.
        const INSERT: &str = "INSERT INTO imported_rows (account_id, row_key, contact_id, imported_at, file_name) \
             SELECT a.account_id, n.row_key, n.contact_id, $4, $5 FROM accounts a \
             CROSS JOIN unnest($2::uuid[], $3::uuid[]) AS n (row_key, contact_id) WHERE a.account_id = $1 \
             ON CONFLICT (account_id, row_key) DO NOTHING";
        const REPLACE: &str = "UPDATE imported_rows i SET contact_id = n.contact_id, imported_at = $4, file_name = $5 \
             FROM unnest($2::uuid[], $3::uuid[]) AS n (row_key, contact_id) CROSS JOIN LATERAL \
             (SELECT ctid AS row_id FROM imported_rows t WHERE t.account_id = $1 AND t.row_key = n.row_key LIMIT 1) r \
             WHERE i.ctid = r.row_id AND i.account_id = $1";
        let mut connection = self.pool.acquire().await?;
        insert_account(&mut connection, account).await?;
        let ids: Vec<_> = row_keys.iter().map(|_| Uuid::now_v7()).collect();
        let insert = sqlx::query(INSERT).bind(account).bind(row_keys).bind(&ids);
        insert.bind(import.started_at).bind(&import.file_name).execute(&mut connection).await?;
        let stored = read_rows(&mut connection, account, row_keys).await?;
        let is_archived = |key: &Uuid| stored.get(key).is_some_and(|row| row.state == ImportedContactState::Archived);
        let (archived, new_ids): (Vec<_>, Vec<_>) =
            row_keys.iter().zip(&ids).filter(|(key, _)| is_archived(key)).map(|(key, id)| (*key, *id)).unzip();
        if !archived.is_empty() {
            let replace = sqlx::query(REPLACE).bind(account).bind(&archived).bind(&new_ids);
            replace.bind(import.started_at).bind(&import.file_name).execute(&mut connection).await?;
        }
        let claims = row_keys.iter().zip(ids).map(|(key, id)| match stored.get(key) {
            Some(row) if row.state == ImportedContactState::Active => RowClaim::Imported(row.label.clone()),
            Some(row) if row.state == ImportedContactState::Missing => RowClaim::Free(row.contact),
            _ => RowClaim::Free(id),
        });
        Ok(claims.collect())
    }

    /// Returns the claims that [`Self::claim_imported_rows`] would return, without claiming the rows.
    ///
    /// # Errors
    /// Returns a [`StorageError`] if the database fails or is overloaded.
    pub async fn find_imported_rows(&self, account: Uuid, row_keys: &[Uuid]) -> Result<Vec<RowClaim>, StorageError> {
        let stored = read_rows(&mut self.pool.acquire().await?, account, row_keys).await?;
        let claims = row_keys.iter().map(|key| match stored.get(key) {
            Some(row) if row.state == ImportedContactState::Active => RowClaim::Imported(row.label.clone()),
            _ => RowClaim::Free(Uuid::now_v7()),
        });
        Ok(claims.collect())
    }

    /// Removes the claims of rows whose contacts were refused.
    ///
    /// # Errors
    /// Returns a [`StorageError`] if the database fails or is overloaded. A claim that stays does no harm.
    pub async fn release_imported_rows(&self, account: Uuid, row_keys: &[Uuid]) -> Result<(), StorageError> {
        const DELETE: &str = "DELETE FROM imported_rows i USING unnest($2::uuid[]) AS n (row_key) CROSS JOIN LATERAL \
             (SELECT ctid AS row_id FROM imported_rows t WHERE t.account_id = $1 AND t.row_key = n.row_key LIMIT 1) r \
             WHERE i.ctid = r.row_id AND i.account_id = $1";
        sqlx::query(DELETE).bind(account).bind(row_keys).execute(&mut self.pool.acquire().await?).await?;
        Ok(())
    }
}

/// Reads the stored rows with these keys.
async fn read_rows(
    connection: &mut DatabaseConnection,
    account: Uuid,
    row_keys: &[Uuid],
) -> sqlx::Result<HashMap<Uuid, StoredRow>> {
    const READ: &str = "SELECT r.row_key, r.contact_id, r.imported_at, r.file_name, c.is_archived \
         FROM unnest($2::uuid[]) AS n (row_key) CROSS JOIN LATERAL \
         (SELECT t.row_key, t.contact_id, t.imported_at, t.file_name FROM imported_rows t \
         WHERE t.account_id = $1 AND t.row_key = n.row_key LIMIT 1) r LEFT JOIN LATERAL \
         (SELECT k.archived_at IS NOT NULL AS is_archived FROM contacts k \
         WHERE k.account_id = $1 AND k.id = r.contact_id LIMIT 1) c ON true";
    let rows = sqlx::query(READ).bind(account).bind(row_keys).fetch_all(connection).await?;
    let stored = rows.iter().map(|row| {
        let state = match row.try_get("is_archived")? {
            None => ImportedContactState::Missing,
            Some(true) => ImportedContactState::Archived,
            Some(false) => ImportedContactState::Active,
        };
        let label = ImportLabel { started_at: row.try_get("imported_at")?, file_name: row.try_get("file_name")? };
        Ok((row.try_get("row_key")?, StoredRow { contact: row.try_get("contact_id")?, label, state }))
    });
    stored.collect()
}
