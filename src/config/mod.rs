//! The settings (contract §8): plain structs, read from the environment and a `.env` file. A file a part.
//!
//! The only reader of the environment. Secrets never print.

mod cors;
mod database;
mod environment;
mod folders;
mod http;
mod limits;
mod log;
mod reader;
mod report;
mod shown;
mod tokens;
mod traces;

pub use cors::Origins;
pub use database::{DEFAULT_CHANGE_RETENTION, DEFAULT_WRITE_BATCH, DatabaseSettings};
pub use environment::{Environment, Origin, Secret, SettingsError, problem};
pub use folders::{EmbeddedSettings, data_dir};
pub use http::HttpSettings;
pub use limits::LimitSettings;
pub use log::LogSettings;
use reader::Reader;
pub use reader::Setting;
pub use report::SettingsReport;
pub use tokens::{KeySetSource, TokenSettings};
pub use traces::{Sampling, TraceSettings};

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
        Reader::read(environment, Reader::serve)
    }
}

impl Reader<'_> {
    fn serve(&mut self) -> ServeSettings {
        let settings = ServeSettings { http: self.http(), database: self.database(), tokens: self.tokens() };
        self.demand_a_key();
        settings
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
            ("RATE_LIMIT_PER_MINUTE", "0"),
            ("MAX_CONCURRENT_REQUESTS", "0"),
            ("MAX_CONNECTIONS", "none"),
            ("MAX_BUFFERED_BODY_BYTES", "64M"),
            ("HEADER_READ_TIMEOUT_MS", "0"),
            ("IDLE_TIMEOUT_MS", "soon"),
            ("BODY_READ_TIMEOUT_MS", "1.5"),
            ("CORS_ALLOWED_ORIGINS", "app.example.com"),
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

    fn lines(environment: Environment) -> Vec<String> {
        ServeSettings::read(&environment).expect_err("refused").0
    }

    #[test]
    fn a_set_of_keys_is_key_enough() {
        for (name, value) in [("JWT_JWKS_URL", "http://issuer.example/jwks"), ("JWT_JWKS_FILE", "/keys.json")] {
            let settings = ServeSettings::read(&[("DATABASE_URL", URL), (name, value)].into()).expect("complete");
            assert!(settings.tokens.key_set.is_some());
        }
        for malformed in ["issuer.example/jwks", "file:///keys.json", "https://"] {
            let lines = lines([("DATABASE_URL", URL), ("JWT_JWKS_URL", malformed)].into());
            assert!(lines.len() == 1 && lines[0].starts_with("JWT_JWKS_URL"), "{lines:?}");
        }
        let both = [("DATABASE_URL", URL), ("JWT_JWKS_URL", "http://x/"), ("JWT_JWKS_FILE", "/keys.json")];
        assert_eq!(lines(both.into()), ["JWT_JWKS_URL and JWT_JWKS_FILE are both set: unset one of them"]);
        // It only helps another key over a rotation.
        assert_eq!(lines([("DATABASE_URL", URL), ("JWT_SECRET_PREVIOUS", SECRET)].into()).len(), 1);
    }

    #[test]
    fn takes_secrets_from_mounted_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, content: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).expect("written");
            path.to_str().expect("UTF-8").to_owned()
        };
        let (url, secret) = (file("url", &format!("{URL}\n")), file("secret", &format!("{SECRET}\r\n")));
        let previous = file("previous", &format!("{SECRET} \n\n"));
        let environment =
            [("DATABASE_URL_FILE", &*url), ("JWT_SECRET_FILE", &secret), ("JWT_SECRET_PREVIOUS_FILE", &previous)];
        let settings = ServeSettings::read(&environment.into()).expect("complete");
        assert_eq!(settings.database.url.expose(), URL);
        assert_eq!(settings.tokens.secret.expect("a secret").expose(), SECRET);
        assert_eq!(settings.tokens.previous_secret.expect("a secret").expose(), format!("{SECRET} \n"));

        let empty = file("empty", "\n");
        for (name, value) in [
            ("JWT_SECRET", SECRET),
            ("DATABASE_URL", URL),
            ("JWT_SECRET_FILE", "/nowhere"),
            ("DATABASE_URL_FILE", &empty),
            ("JWT_SECRET_PREVIOUS_FILE", folder.path().to_str().expect("UTF-8")),
        ] {
            // The last of a name holds.
            let [url, secret, previous] = environment;
            let lines = lines([url, secret, previous, (name, value)].into());
            assert!(lines.len() == 1 && lines[0].starts_with(&format!("{name} ")), "{name}: {lines:?}");
            assert!(!lines[0].contains(SECRET), "{lines:?}");
        }
    }
}
