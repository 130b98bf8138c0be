//! The database schema: its migrations, which of them are pending, and how they are applied.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Connection, PgConnection, Row};

use super::Repository;
use super::error::StorageError;

/// How long a migration waits for a table lock, or for the advisory lock of another instance that is migrating.
const LOCK_TIMEOUT: &str = "5s";

static MIGRATOR: Migrator = sqlx::migrate!();

/// The reason why the migrations were not applied.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// The database is unavailable or rejected a statement.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A migration failed.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// The schema was created by a build with other migrations.
    #[error(
        "the database was created by an older build and cannot be upgraded. Export each account with that build \
         (contacts export), set DATABASE_URL to an empty database, start this build, and import (contacts import)"
    )]
    OlderBuild,
}

impl From<sqlx::Error> for MigrationError {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error.into())
    }
}

/// The state of a database's schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemaState {
    /// The number of migrations of this build that are not applied. Migrations of newer builds do not count.
    pub pending: usize,
    /// Whether a migration was applied that differs from the migration of this build with the same version.
    pub is_from_older_build: bool,
}

impl SchemaState {
    /// Whether this build can serve requests with the schema.
    #[must_use]
    pub fn is_current(self) -> bool {
        self.pending == 0 && !self.is_from_older_build
    }
}

impl Repository {
    /// Returns the state of the schema.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn schema_state(&self) -> Result<SchemaState, StorageError> {
        let applied = sqlx::query("SELECT version, checksum FROM _sqlx_migrations WHERE success")
            .fetch_all(&mut *self.pool.acquire().await?)
            .await;
        let applied = match applied {
            // undefined_table: no migration was ever applied.
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => vec![],
            other => other?,
        };
        let applied = applied.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
        let applied = applied.collect::<sqlx::Result<Vec<(i64, Vec<u8>)>>>()?;
        let checksum = |version| applied.iter().find(|(applied, _)| *applied == version).map(|(_, checksum)| checksum);
        Ok(SchemaState {
            pending: MIGRATOR.iter().filter(|migration| checksum(migration.version).is_none()).count(),
            is_from_older_build: MIGRATOR.iter().any(|migration| {
                checksum(migration.version).is_some_and(|applied| applied.as_slice() != &*migration.checksum)
            }),
        })
    }

    /// Applies pending migrations. An advisory lock lets one instance migrate at a time. If none is pending, no DDL
    /// privilege is needed. Returns the number of migrations that were pending.
    ///
    /// # Errors
    /// The database is unavailable, its schema comes from an older build, or a migration failed.
    pub async fn migrate(&self) -> Result<usize, MigrationError> {
        let SchemaState { pending, is_from_older_build } = self.schema_state().await?;
        if is_from_older_build {
            return Err(MigrationError::OlderBuild);
        }
        if pending == 0 {
            return Ok(0);
        }
        // Not a pooled connection, because those have a statement timeout. The lock timeout is short: a migration that
        // waits for a table lock blocks every later statement on the table, including statements of the previous
        // version.
        let options = self.options.as_ref().clone().options([("lock_timeout", LOCK_TIMEOUT)]);
        let mut connection = PgConnection::connect_with(&options).await?;
        let mut migrator = Migrator::with_migrations(MIGRATOR.iter().cloned().collect());
        // A newer version of the service may have migrated the database and may run beside this one.
        migrator.set_ignore_missing(true);
        migrator.run_direct(None, &mut connection, false).await?;
        connection.close().await?;
        Ok(pending)
    }
}
