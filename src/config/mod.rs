//! The settings (contract §8): plain structs, read from the environment and a `.env` file. A file a part.
//!
//! The only reader of the environment. Secrets never print.

mod database;
mod environment;
mod folders;
mod http;
mod log;
mod reader;
mod tokens;

pub use database::{DEFAULT_CHANGE_RETENTION, DEFAULT_WRITE_BATCH, DatabaseSettings};
pub use environment::{Environment, Secret, SettingsError, problem};
pub use folders::{EmbeddedSettings, data_dir};
pub use http::HttpSettings;
pub use log::LogSettings;
use reader::Reader;
pub use tokens::TokenSettings;

/// What `contacts serve` needs.
#[derive(Debug)]
pub struct ServeSettings {
    /// The server's part.
    pub http: HttpSettings,
    /// The database's part.
    pub database: DatabaseSettings,
    /// Which tokens are good.
    pub tokens: TokenSettings,
}

impl ServeSettings {
    /// Reads all that `serve` needs.
    ///
    /// # Errors
    /// Every setting that is missing or malformed.
    pub fn read(environment: &Environment) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(environment);
        let settings = Self { http: reader.http(), database: reader.database(), tokens: reader.tokens() };
        if settings.tokens.secret.is_none() && settings.tokens.public_key.is_none() {
            reader.complain("JWT_SECRET", "is not set, nor is JWT_PUBLIC_KEY: set the key that verifies tokens");
        }
        reader.finish(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const URL: &str = "postgres://contacts@localhost/contacts";

    #[test]
    fn needs_a_database_and_a_key_only() {
        let settings = ServeSettings::read(&[("DATABASE_URL", URL), ("JWT_SECRET", SECRET)].into()).expect("complete");
        assert_eq!(settings.http.bind_addr.to_string(), "127.0.0.1:8080");
        assert_eq!(settings.http.max_body_bytes, 1_048_576);
        assert_eq!(settings.database.max_connections, 16);
        assert!(settings.database.migrate_on_start);
        assert_eq!(settings.tokens.account_claim, "account_id");
    }

    #[test]
    fn names_every_setting_that_is_missing_or_malformed() {
        let environment = [
            ("DATABASE_URL", "postgres://"),
            ("JWT_SECRET", "short"),
            ("BIND_ADDR", "localhost"),
            ("REQUEST_TIMEOUT_MS", "0"),
            ("MAX_BODY_BYTES", "-1"),
            ("DATABASE_MAX_CONNECTIONS", "many"),
            ("MIGRATE_ON_START", "yes"),
            ("DOCS_ENABLED", "off"),
        ];
        let SettingsError(lines) = ServeSettings::read(&environment.into()).expect_err("malformed");
        for (name, _) in environment {
            assert!(lines.iter().any(|line| line.starts_with(name)), "{name} is not named in {lines:?}");
        }
        let SettingsError(lines) = ServeSettings::read(&[("DATABASE_URL", "mysql://x")].into()).expect_err("no key");
        assert_eq!(lines.len(), 2, "{lines:?}");
    }

    #[test]
    fn secrets_do_not_print() {
        let settings = ServeSettings::read(&[("DATABASE_URL", URL), ("JWT_SECRET", SECRET)].into()).expect("complete");
        let printed = format!("{settings:?}");
        assert!(!printed.contains(SECRET) && !printed.contains(URL), "{printed}");
    }

    #[test]
    fn keeps_the_data_of_dev_where_it_is_told_to() {
        let folder = |environment: Environment| data_dir(&environment);
        assert_eq!(folder([("CONTACTS_DATA_DIR", "/a"), ("XDG_DATA_HOME", "/b")].into()), Some("/a".into()));
        assert_eq!(folder([("XDG_DATA_HOME", "/b"), ("HOME", "/c")].into()), Some("/b/contacts".into()));
    }
}
