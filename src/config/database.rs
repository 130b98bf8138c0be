//! How the database is reached, and what it keeps.

use std::time::Duration;

use super::reader::Reader;
use super::shown::shown_url;
use super::{Environment, Secret, SettingsError};

/// How the database is reached.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// `postgres://user:password@host:port/database?…`
    pub url: Secret,
    /// The size of the connection pool.
    pub max_connections: u32,
    /// How many writes are gathered into one transaction at most; 1 writes each in its own.
    pub write_batch_max: usize,
    /// Whether `serve` applies pending migrations.
    pub migrate_on_start: bool,
    /// For how long entries of the change feed are kept.
    pub change_retention: Duration,
    /// After which a statement, or the wait for a connection, is given up.
    pub timeout: Duration,
}

/// How many writes are gathered into one transaction, where nothing else is set.
pub const DEFAULT_WRITE_BATCH: usize = 256;
/// For how long entries of the change feed are kept, where nothing else is set.
pub const DEFAULT_CHANGE_RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

impl DatabaseSettings {
    /// Reads how the database is reached.
    ///
    /// # Errors
    /// Every setting of it that is missing or malformed.
    pub fn read(environment: &Environment) -> Result<Self, SettingsError> {
        Reader::read(environment, Reader::database)
    }
}

impl Reader<'_> {
    pub(super) fn database(&mut self) -> DatabaseSettings {
        let url = self.secret_shown("DATABASE_URL", shown_url);
        if !self.has_any(&["DATABASE_URL", "DATABASE_URL_FILE"]) {
            self.complain("DATABASE_URL", "is not set: use postgres://user:password@host:5432/database");
        } else if url.as_ref().is_some_and(|url| !is_database_url(url.expose())) {
            self.complain("DATABASE_URL", "is malformed: use postgres://user:password@host:5432/database");
        }
        let batch_rule = "must be a number of updates from 1 to 1000";
        let rule = "must be a number of connections from 1 to 1000";
        DatabaseSettings {
            url: url.unwrap_or_else(|| Secret::new("")),
            max_connections: self.parsed("DATABASE_MAX_CONNECTIONS", 16, |count| (1..=1_000).contains(count), rule),
            write_batch_max: self.parsed(
                "WRITE_BATCH_MAX",
                DEFAULT_WRITE_BATCH,
                |max| (1..=1_000).contains(max),
                batch_rule,
            ),
            migrate_on_start: self.parsed("MIGRATE_ON_START", true, |_| true, "must be true or false"),
            change_retention: self.days("CHANGE_RETENTION_DAYS", DEFAULT_CHANGE_RETENTION),
            timeout: self.milliseconds("REQUEST_TIMEOUT_MS", 10_000),
        }
    }
}

/// Whether a URL says where a PostgreSQL is: its host, or in `host` the folder of its socket.
fn is_database_url(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| {
        let has_host = url.has_host() || url.query_pairs().any(|(name, _)| name == "host");
        ["postgres", "postgresql"].contains(&url.scheme()) && has_host
    })
}
