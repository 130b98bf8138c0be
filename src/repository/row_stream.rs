//! Rows that are read one by one, so that a long result is never in memory as a whole.

use async_stream::try_stream;
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use sqlx::Postgres;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;

use super::error::StorageError;
use super::pool::DatabaseConnection;

/// The rows of a result, in order. Dropping the stream before its end closes the connection: reading the rest of the
/// result could take longer than opening another connection.
pub type RowStream<T> = BoxStream<'static, Result<T, StorageError>>;

/// Runs a statement, and converts each row of its result.
pub(super) fn stream_rows<T: Send + 'static>(
    connection: DatabaseConnection,
    query: Query<'static, Postgres, PgArguments>,
    mut read: impl FnMut(&PgRow) -> sqlx::Result<T> + Send + 'static,
) -> RowStream<T> {
    let mut guard = CloseUnlessComplete { connection, is_complete: false };
    Box::pin(try_stream! {
        let mut rows = query.fetch(&mut guard.connection);
        let end = loop {
            match rows.try_next().await {
                Ok(Some(row)) => yield read(&row)?,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        drop(rows);
        guard.mark_complete();
        end?;
    })
}

/// Reads the only row of a result, if there is one.
pub(super) async fn read_optional<T>(mut rows: RowStream<T>) -> Result<Option<T>, StorageError> {
    let mut only = None;
    while let Some(row) = rows.try_next().await? {
        only = Some(row);
    }
    Ok(only)
}

/// Closes a connection instead of returning it to its pool if not all rows of its statement were read.
struct CloseUnlessComplete {
    connection: DatabaseConnection,
    is_complete: bool,
}

impl CloseUnlessComplete {
    fn mark_complete(&mut self) {
        self.is_complete = true;
    }
}

impl Drop for CloseUnlessComplete {
    fn drop(&mut self) {
        if !self.is_complete {
            self.connection.close_on_drop();
        }
    }
}
