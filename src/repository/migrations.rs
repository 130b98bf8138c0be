//! The database schema: its migrations, which of them are pending, and how they are applied.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Connection, PgExecutor, Row};

use super::Repository;
use super::error::StorageError;
use super::pool::SessionSettings;

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
        read_schema_state(&mut self.pool.acquire().await?).await
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
        // version. A session of its own holds the advisory lock, and ends with the connection.
        let settings = SessionSettings::without_time_limits().with("lock_timeout", LOCK_TIMEOUT);
        let mut connection = self.connect(&settings).await?;
        let mut migrator = Migrator::with_migrations(MIGRATOR.iter().cloned().collect());
        // A newer version of the service may have migrated the database and may run beside this one.
        migrator.set_ignore_missing(true);
        migrator.run_direct(None, &mut connection, false).await?;
        connection.close().await?;
        Ok(pending)
    }
}

/// Reads the state of the schema.
pub(super) async fn read_schema_state(executor: impl PgExecutor<'_>) -> Result<SchemaState, StorageError> {
    const APPLIED: &str = "SELECT version, checksum FROM _sqlx_migrations WHERE success";
    let applied = sqlx::query(APPLIED).fetch_all(executor).await;
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::repository::citus::TABLES;

    /// Returns the text of each migration without comments.
    fn migrations() -> impl Iterator<Item = (i64, String)> {
        let without_comments = |sql: &str| {
            let lines = sql.lines().map(|line| line.split("--").next().unwrap_or_default());
            lines.collect::<Vec<_>>().join("\n")
        };
        MIGRATOR.iter().map(move |migration| (migration.version, without_comments(migration.sql.as_str())))
    }

    #[test]
    fn all_tables_are_distributed() {
        let created = migrations().flat_map(|(_, sql)| {
            let names = sql.split("CREATE TABLE ").skip(1).filter_map(|rest| rest.split_whitespace().next());
            names.map(str::to_owned).collect::<Vec<_>>()
        });
        assert_eq!(created.collect::<BTreeSet<_>>(), TABLES.map(str::to_owned).into());
    }

    #[test]
    fn migration_is_one_statement() {
        // With distributed tables, Citus rejects several statements at once. The first one is applied before that.
        for (version, sql) in migrations().filter(|(version, _)| *version > 1) {
            let outside_blocks: Vec<_> =
                sql.split("$migration$").step_by(2).flat_map(|part| part.split("$$").step_by(2)).collect();
            assert_eq!(outside_blocks.concat().matches(';').count(), 1, "migration {version}");
        }
    }
}
