//! A connection whose statements end at once when the database is lost, and at the latest after a time limit.

use std::fmt;
use std::time::Duration;

use async_stream::try_stream;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Connection, Describe, Either, Execute, Executor, Postgres, SqlStr};
use tokio::time::{sleep, timeout};

use super::database_health::{DatabaseHealth, LossWatch, lost};
use crate::fair_semaphore::FairPermit;

/// The SQLSTATE code of a write on a database that is read-only.
const READ_ONLY: &str = "25006";
/// How long the end of an abandoned statement or transaction may take before its connection is closed. Until then, nobody can use the
/// connection.
const ABANDONED_TIMEOUT: Duration = Duration::from_millis(100);

/// A connection of a pool, to which it returns when it is dropped.
pub(in crate::repository) struct DatabaseConnection {
    /// `None` only while it is dropped.
    inner: Option<PoolConnection<Postgres>>,
    supervision: Supervision,
    /// Whether statements outside transactions run in several sessions of the database. A statement that is not kept prepared would
    /// be prepared in one and executed in another.
    shares_sessions: bool,
    is_in_transaction: bool,
    /// Whether a transaction was abandoned. It is rolled back before the next statement.
    needs_rollback: bool,
    /// The permit of the account for which the connection is used.
    permit: Option<FairPermit>,
}

/// Ends the operations on a connection that take too long.
pub(super) struct Supervision {
    health: DatabaseHealth,
    loss: LossWatch,
    /// How long the database may be silent during an operation. `None` is no limit.
    time_limit: Option<Duration>,
    /// Whether the connection must not be used any more.
    must_close: bool,
    /// Whether the end of an operation was not received.
    is_busy: bool,
}

impl DatabaseConnection {
    pub(super) fn new(connection: PoolConnection<Postgres>, supervision: Supervision, shares_sessions: bool) -> Self {
        let inner = Some(connection);
        Self { inner, supervision, shares_sessions, is_in_transaction: false, needs_rollback: false, permit: None }
    }

    /// Keeps the permit of an account until the connection can be used by others.
    pub(super) fn with_permit(self, permit: FairPermit) -> Self {
        let mut connection = self;
        connection.permit = Some(permit);
        connection
    }

    /// Lets statements take as long as they need.
    pub(in crate::repository) fn remove_time_limit(&mut self) {
        self.supervision.time_limit = None;
    }

    /// Closes the connection when it is dropped, instead of returning it to the pool.
    pub(in crate::repository) fn close_on_drop(&mut self) {
        self.supervision.must_close = true;
    }

    /// Whether the connection can be kept for another use.
    pub(super) fn is_usable(&self) -> bool {
        !self.supervision.must_close && !self.supervision.loss.is_lost()
    }

    /// Tests a connection that was opened and last used this long ago. Returns whether it can be used.
    pub(super) async fn test(&mut self, age: Duration, idle: Duration) -> bool {
        let (connection, supervision) = self.parts();
        let health = supervision.health.clone();
        let test = health.test(connection, age, idle);
        // Often, nothing is sent for the test, so that its success is no response of the database.
        let is_usable = supervision.loss.unless_lost(test).await.unwrap_or(false);
        supervision.must_close |= !is_usable;
        is_usable
    }

    /// Begins a transaction. It is rolled back when it is dropped, unless it was committed.
    ///
    /// # Errors
    /// The database is unavailable.
    pub(in crate::repository) async fn begin(&mut self) -> sqlx::Result<Transaction<'_>> {
        self.begin_with("BEGIN").await
    }

    /// Begins a transaction with this statement.
    ///
    /// # Errors
    /// The database is unavailable.
    pub(in crate::repository) async fn begin_with(&mut self, begin: &'static str) -> sqlx::Result<Transaction<'_>> {
        // Before the statement: its caller can drop the future after the database has received it.
        let transaction = Transaction { connection: self, is_open: true };
        transaction.connection.execute(begin).await?;
        transaction.connection.is_in_transaction = true;
        Ok(transaction)
    }

    /// Runs an operation that is no statement, such as a copy.
    ///
    /// # Errors
    /// The errors of the operation, or of the database's silence.
    pub(in crate::repository) async fn run<'c, F, T>(
        &'c mut self,
        operation: impl FnOnce(&'c mut PgConnection) -> F,
    ) -> sqlx::Result<T>
    where
        F: Future<Output = sqlx::Result<T>> + 'c,
    {
        self.end_abandoned_transaction().await?;
        let (connection, supervision) = self.parts();
        supervision.run(operation(connection)).await
    }

    async fn end_abandoned_transaction(&mut self) -> sqlx::Result<()> {
        if self.needs_rollback {
            let (connection, supervision) = self.parts();
            supervision.run(connection.execute("ROLLBACK")).await?;
            self.needs_rollback = false;
        }
        Ok(())
    }

    /// Whether a statement needs a transaction, so that it is executed where it was prepared.
    fn needs_transaction<'q>(&self, query: &impl Execute<'q, Postgres>) -> bool {
        self.shares_sessions && !self.is_in_transaction && !query.persistent()
    }

    fn parts(&mut self) -> (&mut PgConnection, &mut Supervision) {
        let Some(connection) = &mut self.inner else { unreachable!("the connection is not dropped yet") };
        (connection, &mut self.supervision)
    }
}

impl Supervision {
    pub(super) fn new(health: DatabaseHealth, loss: LossWatch, time_limit: Duration) -> Self {
        Self { health, loss, time_limit: Some(time_limit), must_close: false, is_busy: false }
    }

    /// Returns the result of an operation, unless the database is lost or silent for too long.
    async fn run<T>(&mut self, operation: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
        let Self { health, loss, time_limit, must_close, is_busy } = self;
        let time_limit = *time_limit;
        *is_busy = true;
        let result = tokio::select! {
            biased;
            result = loss.unless_lost(operation) => result,
            () = async { sleep(time_limit.unwrap_or_default()).await }, if time_limit.is_some() => {
                *must_close = true;
                Err(lost())
            }
        };
        match &result {
            Ok(_) => health.record_response(),
            Err(sqlx::Error::Database(error)) => {
                health.record_response();
                if error.code().as_deref() == Some(READ_ONLY) {
                    *must_close |= health.record_read_only();
                }
            }
            Err(_) => {}
        }
        *is_busy = false;
        result
    }
}

impl fmt::Debug for DatabaseConnection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DatabaseConnection").finish_non_exhaustive()
    }
}

impl<'c> Executor<'c> for &'c mut DatabaseConnection {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Either<PgQueryResult, PgRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(try_stream! {
            self.end_abandoned_transaction().await?;
            let needs_transaction = self.needs_transaction(&query);
            if needs_transaction {
                // Before the statement, as in `begin_with`.
                self.needs_rollback = true;
                let (connection, supervision) = self.parts();
                supervision.run(connection.execute("BEGIN")).await?;
            }
            let (connection, supervision) = self.parts();
            let mut items = connection.fetch_many(query);
            while let Some(item) = supervision.run(async { items.next().await.transpose() }).await? {
                supervision.is_busy = true;
                yield item;
            }
            drop(items);
            if needs_transaction {
                supervision.run(connection.execute("COMMIT")).await?;
                self.needs_rollback = false;
            }
        })
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        if !self.needs_transaction(&query) {
            return Box::pin(self.run(|connection| connection.fetch_optional(query)));
        }
        let mut items = self.fetch_many(query);
        Box::pin(async move {
            let mut first = None;
            while let Some(item) = items.next().await {
                first = first.or(item?.right());
            }
            Ok(first)
        })
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, sqlx::Result<PgStatement>>
    where
        'c: 'e,
    {
        Box::pin(self.run(|connection| connection.prepare_with(sql, parameters)))
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, sqlx::Result<Describe<Postgres>>>
    where
        'c: 'e,
    {
        Box::pin(self.run(|connection| connection.describe(sql)))
    }
}

impl Drop for DatabaseConnection {
    fn drop(&mut self) {
        let is_usable = self.is_usable();
        let Some(mut connection) = self.inner.take() else { return };
        if !is_usable {
            connection.close_on_drop();
        } else if (self.needs_rollback || self.supervision.is_busy)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(end_abandoned_operation(connection, self.needs_rollback, self.permit.take()));
        }
    }
}

/// Waits for the end of a statement whose caller has gone, or closes the connection.
async fn end_abandoned_operation(
    mut connection: PoolConnection<Postgres>,
    needs_rollback: bool,
    permit: Option<FairPermit>,
) {
    let end =
        async { if needs_rollback { connection.execute("ROLLBACK").await.map(drop) } else { connection.ping().await } };
    if !matches!(timeout(ABANDONED_TIMEOUT, end).await, Ok(Ok(()))) {
        connection.close_on_drop();
    }
    drop(connection);
    // Only now: otherwise, callers who give up and come back could occupy the connections of all accounts.
    drop(permit);
}

/// A transaction. It is rolled back when it is dropped, unless it was committed.
#[derive(Debug)]
pub(in crate::repository) struct Transaction<'c> {
    connection: &'c mut DatabaseConnection,
    is_open: bool,
}

impl Transaction<'_> {
    /// Commits the transaction.
    ///
    /// # Errors
    /// The transaction was aborted, or it is unknown whether it was committed.
    pub(in crate::repository) async fn commit(mut self) -> sqlx::Result<()> {
        self.connection.execute("COMMIT").await?;
        self.is_open = false;
        Ok(())
    }
}

impl std::ops::Deref for Transaction<'_> {
    type Target = DatabaseConnection;

    fn deref(&self) -> &DatabaseConnection {
        self.connection
    }
}

impl std::ops::DerefMut for Transaction<'_> {
    fn deref_mut(&mut self) -> &mut DatabaseConnection {
        self.connection
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        self.connection.is_in_transaction = false;
        self.connection.needs_rollback |= self.is_open;
    }
}
