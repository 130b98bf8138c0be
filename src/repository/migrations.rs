//! The schema: which migrations there are, which are pending, and their application.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Connection, PgConnection};

use super::{Repository, StorageError};

/// How long a migration waits for a table, or for another instance that migrates.
const LOCK_TIMEOUT: &str = "5s";

static MIGRATOR: Migrator = sqlx::migrate!();

/// Migrations could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// The database is away or refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A migration failed, or an applied one differs from ours.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
}

impl From<sqlx::Error> for MigrationError {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error.into())
    }
}

/// How the schema of a database stands to this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrations {
    /// How many migrations are still to be applied. Newer ones than this program knows do not count.
    pub pending: usize,
}

impl Repository {
    /// How the schema stands.
    ///
    /// # Errors
    /// That the database does not answer.
    pub async fn migrations(&self) -> Result<Migrations, StorageError> {
        let applied = sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success")
            .fetch_all(&mut *self.pool.acquire().await?)
            .await;
        let applied: Vec<i64> = match applied {
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => vec![],
            other => other?,
        };
        Ok(Migrations { pending: MIGRATOR.iter().filter(|migration| !applied.contains(&migration.version)).count() })
    }

    /// Applies what is pending, one instance at a time (an advisory lock). With a current schema it needs no
    /// right to change it. Returns how many were applied.
    ///
    /// # Errors
    /// That the database is away, or a migration failed.
    pub async fn migrate(&self) -> Result<usize, MigrationError> {
        let Migrations { pending } = self.migrations().await?;
        if pending == 0 {
            return Ok(0);
        }
        // Outside the pool, whose connections limit the time of a statement. What waits for a table keeps everyone else
        // from it who comes later, the version before this one too: it must not wait for long.
        let options = self.options.as_ref().clone().options([("lock_timeout", LOCK_TIMEOUT)]);
        let mut connection = PgConnection::connect_with(&options).await?;
        let mut migrator = Migrator::with_migrations(MIGRATOR.iter().cloned().collect());
        // A newer version of the service may have been here, and will run beside this one.
        migrator.set_ignore_missing(true);
        migrator.run_direct(None, &mut connection, false).await?;
        connection.close().await?;
        Ok(pending)
    }
}
