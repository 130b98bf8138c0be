//! The settings (contract §8): plain structs, read from the environment and a `.env` file.
//!
//! The only reader of the environment. Secrets never print.

mod environment;
mod folders;

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

pub use environment::{Environment, Secret, SettingsError, problem};
pub use folders::{EmbeddedSettings, data_dir};

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

/// How the server listens and what it bears with.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// Where it listens.
    pub bind_addr: SocketAddr,
    /// After which a request is given up with 503.
    pub request_timeout: Duration,
    /// How long a shutdown waits for requests in flight.
    pub shutdown_timeout: Duration,
    /// The largest body that is read, in bytes.
    pub max_body_bytes: usize,
    /// The same on `/contacts/batch/*`.
    pub max_batch_body_bytes: usize,
}

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

/// Which tokens are good, and how they name the account.
#[derive(Debug, Clone)]
pub struct TokenSettings {
    /// The key of HS256.
    pub secret: Option<Secret>,
    /// A public key as PEM, or the path of a file that holds one.
    pub public_key: Option<String>,
    /// The only algorithm that is taken; by default each key's own.
    pub algorithm: Option<String>,
    /// What `iss` must be.
    pub issuer: Option<String>,
    /// What `aud` must hold.
    pub audience: Option<String>,
    /// The claim that names the account.
    pub account_claim: String,
}

/// How log lines are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// One JSON object a line.
    pub json: bool,
    /// Which lines, in the syntax of `RUST_LOG`.
    pub filter: String,
}

/// How many writes are gathered into one transaction, where nothing else is set.
pub const DEFAULT_WRITE_BATCH: usize = 256;
/// For how long entries of the change feed are kept, where nothing else is set.
pub const DEFAULT_CHANGE_RETENTION: Duration = DAY.saturating_mul(30);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The shortest HS256 secret that is taken: as long as the hash (RFC 7518 §3.2).
const MIN_SECRET_BYTES: usize = 32;

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

impl DatabaseSettings {
    /// Reads how the database is reached.
    ///
    /// # Errors
    /// Every setting of it that is missing or malformed.
    pub fn read(environment: &Environment) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(environment);
        let settings = reader.database();
        reader.finish(settings)
    }
}

impl HttpSettings {
    /// Reads the server's part alone.
    ///
    /// # Errors
    /// Every setting of it that is malformed.
    pub fn read(environment: &Environment) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(environment);
        let settings = reader.http();
        reader.finish(settings)
    }
}

impl TokenSettings {
    /// Reads what signing needs: `JWT_SECRET`, and the claims that our own tokens carry.
    ///
    /// # Errors
    /// A secret that is missing or too short.
    pub fn read_for_signing(environment: &Environment) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(environment);
        let settings = reader.tokens();
        if settings.secret.is_none() && reader.problems.is_empty() {
            reader.complain("JWT_SECRET", "is not set: it signs the token");
        }
        reader.finish(settings)
    }

    /// Settings with a secret alone.
    #[must_use]
    pub fn with_secret(secret: Secret) -> Self {
        Self {
            secret: Some(secret),
            public_key: None,
            algorithm: None,
            issuer: None,
            audience: None,
            account_claim: DEFAULT_ACCOUNT_CLAIM.to_owned(),
        }
    }
}

impl LogSettings {
    /// Reads how log lines are written; `default_filter` holds where `RUST_LOG` is unset.
    ///
    /// # Errors
    /// An unknown `LOG_FORMAT`.
    pub fn read(environment: &Environment, default_filter: &str) -> Result<Self, SettingsError> {
        let json = match environment.get("LOG_FORMAT") {
            None | Some("text") => false,
            Some("json") => true,
            Some(_) => return Err(problem("LOG_FORMAT", "must be text or json")),
        };
        let filter = environment.get("RUST_LOG").unwrap_or(default_filter).to_owned();
        Ok(Self { json, filter })
    }
}

const DEFAULT_ACCOUNT_CLAIM: &str = "account_id";

/// Reads settings one after another; collects what is wrong with them.
struct Reader<'a> {
    environment: &'a Environment,
    problems: Vec<String>,
}

impl<'a> Reader<'a> {
    fn new(environment: &'a Environment) -> Self {
        Self { environment, problems: vec![] }
    }

    fn finish<T>(self, settings: T) -> Result<T, SettingsError> {
        if self.problems.is_empty() { Ok(settings) } else { Err(SettingsError(self.problems)) }
    }

    fn complain(&mut self, name: &str, what: &str) {
        let problem = format!("{name} {what}");
        // A setting that two parts read is named once.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn text(&self, name: &str) -> Option<String> {
        self.environment.get(name).map(str::to_owned)
    }

    fn parsed<T: FromStr>(&mut self, name: &str, default: T, is_good: impl Fn(&T) -> bool, rule: &str) -> T {
        let Some(text) = self.environment.get(name) else { return default };
        match text.parse().ok().filter(is_good) {
            Some(value) => value,
            None => {
                self.complain(name, rule);
                default
            }
        }
    }

    fn milliseconds(&mut self, name: &str, default: u64) -> Duration {
        const MILLISECONDS_OF_A_DAY: u64 = DAY.as_secs() * 1_000;
        let rule = "must be a number of milliseconds from 1 to 86400000";
        Duration::from_millis(self.parsed(name, default, |value| (1..=MILLISECONDS_OF_A_DAY).contains(value), rule))
    }

    fn bytes(&mut self, name: &str, default: usize) -> usize {
        self.parsed(name, default, |bytes| *bytes > 0, "must be a number of bytes above 0")
    }

    fn days(&mut self, name: &str, default: Duration) -> Duration {
        let rule = "must be a number of days from 1 to 36500";
        let days = self.parsed(name, 0, |days| (1..=36_500).contains(days), rule);
        if days == 0 { default } else { DAY.saturating_mul(days) }
    }

    fn http(&mut self) -> HttpSettings {
        let rule = "must be an address and a port, such as 127.0.0.1:8080";
        HttpSettings {
            bind_addr: self.parsed("BIND_ADDR", SocketAddr::from(([127, 0, 0, 1], 8080)), |_| true, rule),
            request_timeout: self.milliseconds("REQUEST_TIMEOUT_MS", 10_000),
            shutdown_timeout: self.milliseconds("SHUTDOWN_TIMEOUT_MS", 30_000),
            max_body_bytes: self.bytes("MAX_BODY_BYTES", 1024 * 1024),
            max_batch_body_bytes: self.bytes("MAX_BATCH_BODY_BYTES", 16 * 1024 * 1024),
        }
    }

    fn database(&mut self) -> DatabaseSettings {
        let url = self.text("DATABASE_URL").unwrap_or_default();
        if url.is_empty() {
            self.complain("DATABASE_URL", "is not set: use postgres://user:password@host:5432/database");
        } else if !is_database_url(&url) {
            self.complain("DATABASE_URL", "is malformed: use postgres://user:password@host:5432/database");
        }
        let batch_rule = "must be a number of updates from 1 to 1000";
        let rule = "must be a number of connections from 1 to 1000";
        DatabaseSettings {
            url: Secret::new(url),
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

    fn tokens(&mut self) -> TokenSettings {
        let secret = self.text("JWT_SECRET").map(Secret::new);
        if secret.as_ref().is_some_and(|secret| secret.expose().len() < MIN_SECRET_BYTES) {
            self.complain("JWT_SECRET", "is shorter than 32 bytes: make one with `openssl rand -base64 48`");
        }
        TokenSettings {
            secret,
            public_key: self.text("JWT_PUBLIC_KEY"),
            algorithm: self.text("JWT_ALGORITHM"),
            issuer: self.text("JWT_ISSUER"),
            audience: self.text("JWT_AUDIENCE"),
            account_claim: self.text("JWT_ACCOUNT_CLAIM").unwrap_or_else(|| DEFAULT_ACCOUNT_CLAIM.to_owned()),
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
