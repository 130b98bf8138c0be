//! Reads of the history of a contact.

use std::sync::Arc;

use futures_util::{TryStreamExt, stream};
use sqlx::{query, query_scalar};
use uuid::Uuid;

use super::Repository;
use super::change_feed::{EntryRow, FeedError, chain, entry_columns};
use super::error::StorageError;
use super::pool::DatabaseConnection;
use super::row_mapping::{contact_columns, contact_from_row, custom_parameter};
use super::row_stream::{RowStream, stream_rows};
use super::statement::sql;
use crate::contacts::{Contact, FeedCursor, FeedEntry};
use crate::fields::{CustomSelection, RegistryVersion};

/// A page of a contact's history.
pub struct HistoryPage {
    /// The entries, newest first.
    pub entries: RowStream<FeedEntry>,
    /// A version of the account's registry that has every field in the entries.
    pub registry_version: RegistryVersion,
}

impl Repository {
    /// Reads the changes of a contact, newest first: all of them, or the changes before one of them. Returns `None` when
    /// there is no such contact.
    ///
    /// # Errors
    /// [`FeedError::Expired`] if `before` belongs to another state of the database, or [`FeedError::Storage`].
    #[tracing::instrument(name = "read history", skip_all, fields(otel.kind = "client", db.system.name = "postgresql"))]
    pub async fn read_history(
        &self,
        account: Uuid,
        contact: Uuid,
        before: Option<FeedCursor>,
        limit: i64,
        custom_fields: &CustomSelection,
    ) -> Result<Option<HistoryPage>, FeedError> {
        // Each entry refers to the previous entry of its contact. So the history needs no index, which every write
        // would have to update.
        let walk = sql!(
            "WITH RECURSIVE walk AS ( \
                 SELECT h.position, h.previous_position, 1 AS step FROM changes h \
                 WHERE h.account_id = $1 AND h.position = $3 AND h.contact_id = $2 \
                 UNION ALL SELECT h.position, h.previous_position, w.step + 1 FROM walk w \
                 CROSS JOIN LATERAL (SELECT position, previous_position FROM changes \
                 WHERE account_id = $1 AND position = w.previous_position LIMIT 1) h WHERE w.step < $4) \
             SELECT {} FROM walk w CROSS JOIN LATERAL \
             (SELECT * FROM changes WHERE account_id = $1 AND position = w.position LIMIT 1) h ORDER BY h.position DESC",
            entry_columns()
        );
        let mut connection = self.pool.admit(account).await?;
        let Some(contact_now) = read_contact(&mut connection, account, contact, custom_fields).await? else {
            return Ok(None);
        };
        let contact_now = Arc::new(contact_now);
        // The walk starts at the last entry of the previous page, which is read again and then removed.
        let (start, repeated) = before.map_or((contact_now.position, 0), |before| (before.position(), 1));
        let walk = query(walk).bind(account).bind(contact).bind(start).bind(limit + repeated);
        let mut rows = stream_rows(connection, walk, move |row| {
            let mut row = EntryRow::from_row(row)?;
            row.entry.contact = Some(Arc::clone(&contact_now));
            Ok(row)
        });
        let mut is_valid = before.is_none();
        while let Some(EntryRow { entry, registry_version, .. }) = rows.try_next().await? {
            match before {
                Some(cursor) if cursor.position() == entry.position => is_valid = cursor == FeedCursor::after(&entry),
                // The rest is read, because the connection would be closed otherwise.
                Some(_) if !is_valid => {}
                _ => return Ok(Some(HistoryPage { entries: chain(entry, rows), registry_version })),
            }
        }
        drop(rows);
        if !is_valid && !self.is_trimmed(account, start).await? {
            return Err(FeedError::Expired);
        }
        Ok(Some(HistoryPage { entries: Box::pin(stream::empty()), registry_version: RegistryVersion::default() }))
    }

    /// Whether the entry at a position, and all older ones, were deleted because of their age.
    async fn is_trimmed(&self, account: Uuid, position: i64) -> Result<bool, StorageError> {
        const TRIMMED: &str = "SELECT trimmed_position >= $2 FROM accounts WHERE account_id = $1";
        let trimmed = query_scalar(TRIMMED).bind(account).bind(position);
        let trimmed = trimmed.fetch_optional(&mut self.pool.acquire_for(account).await?).await?;
        Ok(trimmed.unwrap_or(false))
    }
}

/// Returns the current state of a contact.
async fn read_contact(
    connection: &mut DatabaseConnection,
    account: Uuid,
    contact: Uuid,
    custom_fields: &CustomSelection,
) -> Result<Option<Contact>, StorageError> {
    let select = sql!("SELECT {} FROM contacts c WHERE c.account_id = $1 AND c.id = $2", contact_columns("$3"));
    let select = query(select).bind(account).bind(contact).bind(custom_parameter(custom_fields));
    let row = select.fetch_optional(&mut *connection).await?;
    Ok(row.as_ref().map(contact_from_row).transpose()?)
}
