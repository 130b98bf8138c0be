//! The settings of the database.

use std::time::Duration;

use super::database_url::DatabaseUrl;
use super::environment::Environment;
use super::redaction::redact_database_url;
use super::secret::Secret;
use super::settings_error::SettingsError;
use super::settings_reader::SettingsReader;

/// The settings of the database.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// The URL: `postgres://user:password@host:port/database?…`, in the form of [`DatabaseUrl`].
    pub url: Secret,
    /// The maximum number of connections.
    pub max_connections: u32,
    /// The maximum number of writes combined into one transaction. 1 gives each write its own transaction.
    pub write_batch_max: usize,
    /// Whether `serve` applies pending migrations when it starts.
    pub migrate_on_start: bool,
    /// How long entries of the change feed are stored.
    pub change_retention: Duration,
    /// The number of contacts from which on an account gets a search index.
    pub search_index_min_contacts: u32,
    /// The time limit for a statement and for the wait for a connection.
    pub timeout: Duration,
}

/// The default of `WRITE_BATCH_MAX`.
pub const DEFAULT_WRITE_BATCH: usize = 256;
/// The default of `SEARCH_INDEX_MIN_CONTACTS`. A search of fewer contacts takes some milliseconds without an index.
pub const DEFAULT_SEARCH_INDEX_MIN_CONTACTS: u32 = 5_000;
/// The default of `CHANGE_RETENTION_DAYS`.
pub const DEFAULT_CHANGE_RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

impl DatabaseSettings {
    /// Reads the settings of the database.
    ///
    /// # Errors
    /// Lists every setting of the database that is missing or malformed.
    pub fn read(environment: &Environment) -> Result<Self, SettingsError> {
        SettingsReader::read_group(environment, SettingsReader::read_database_settings)
    }

    /// Returns whether the URL of a database is set.
    #[must_use]
    pub fn has_url(environment: &Environment) -> bool {
        SettingsReader::new(environment).has_any(&["DATABASE_URL", "DATABASE_URL_FILE"])
    }

    /// Returns the settings for the database of `contacts dev`.
    #[must_use]
    pub fn for_dev(url: Secret, timeout: Duration) -> Self {
        Self {
            url,
            max_connections: 16,
            write_batch_max: DEFAULT_WRITE_BATCH,
            migrate_on_start: true,
            change_retention: DEFAULT_CHANGE_RETENTION,
            search_index_min_contacts: DEFAULT_SEARCH_INDEX_MIN_CONTACTS,
            timeout,
        }
    }
}

impl SettingsReader<'_> {
    pub(super) fn read_database_settings(&mut self) -> DatabaseSettings {
        let url = self.read_secret_with_redaction("DATABASE_URL", redact_database_url);
        if !self.has_any(&["DATABASE_URL", "DATABASE_URL_FILE"]) {
            self.add_problem("DATABASE_URL", "is not set: use postgres://user:password@host:5432/database");
        } else if let Some(Err(problem)) = url.as_ref().map(|url| DatabaseUrl::parse(url.expose())) {
            self.add_problem("DATABASE_URL", &problem);
        }
        let batch_rule = "must be a number of writes from 1 to 1000";
        let connections_rule = "must be a number of connections from 1 to 1000";
        DatabaseSettings {
            url: url.unwrap_or_else(|| Secret::new("")),
            max_connections: self.read_parsed(
                "DATABASE_MAX_CONNECTIONS",
                16,
                |count| (1..=1_000).contains(count),
                connections_rule,
            ),
            write_batch_max: self.read_parsed(
                "WRITE_BATCH_MAX",
                DEFAULT_WRITE_BATCH,
                |max| (1..=1_000).contains(max),
                batch_rule,
            ),
            migrate_on_start: self.read_bool("MIGRATE_ON_START", true),
            change_retention: self.read_days("CHANGE_RETENTION_DAYS", DEFAULT_CHANGE_RETENTION),
            search_index_min_contacts: self.read_parsed(
                "SEARCH_INDEX_MIN_CONTACTS",
                DEFAULT_SEARCH_INDEX_MIN_CONTACTS,
                |_| true,
                "must be a number of contacts",
            ),
            timeout: self.read_milliseconds("REQUEST_TIMEOUT_MS", 10_000),
        }
    }
}
