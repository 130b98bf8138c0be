//! The settings of `contacts serve`.

use super::database::DatabaseSettings;
use super::environment::Environment;
use super::http::HttpSettings;
use super::settings_error::SettingsError;
use super::settings_reader::SettingsReader;
use super::tokens::TokenSettings;

/// The settings that `contacts serve` needs.
#[derive(Debug)]
pub struct ServeSettings {
    /// The HTTP server.
    pub http: HttpSettings,
    /// The database.
    pub database: DatabaseSettings,
    /// The verification of tokens.
    pub tokens: TokenSettings,
}

impl ServeSettings {
    /// Reads the settings of `contacts serve`.
    ///
    /// # Errors
    /// Lists every setting that is missing or malformed.
    pub fn read(environment: &Environment) -> Result<Self, SettingsError> {
        SettingsReader::read_group(environment, SettingsReader::read_serve_settings)
    }
}

impl SettingsReader<'_> {
    pub(super) fn read_serve_settings(&mut self) -> ServeSettings {
        let settings = ServeSettings {
            http: self.in_group("HTTP", Self::read_http_settings),
            database: self.in_group("Database", Self::read_database_settings),
            tokens: self.in_group("Tokens", Self::read_token_settings),
        };
        self.require_verification_key();
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const URL: &str = "postgres://contacts@localhost/contacts";

    #[test]
    fn database_url_and_a_key_are_the_only_required_settings() {
        let settings =
            ServeSettings::read(&[("DATABASE_URL", URL), ("JWT_SECRET", SECRET)].into()).expect("valid settings");
        assert_eq!(settings.http.bind_addr.to_string(), "127.0.0.1:8080");
        assert_eq!(settings.http.max_body_bytes, 1_048_576);
        assert_eq!(settings.database.max_connections, 16);
        assert!(settings.database.migrate_on_start);
        assert_eq!(settings.tokens.account_claim, "account_id");
    }

    #[test]
    fn error_lists_every_missing_or_malformed_setting() {
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
            ("MAX_LONG_POLLS", "0"),
            ("MAX_CONNECTIONS", "none"),
            ("MAX_BUFFERED_BODY_BYTES", "64M"),
            ("MAX_BUFFERED_RESPONSE_BYTES", "0"),
            ("HEADER_READ_TIMEOUT_MS", "0"),
            ("IDLE_TIMEOUT_MS", "soon"),
            ("BODY_READ_TIMEOUT_MS", "1.5"),
            ("CORS_ALLOWED_ORIGINS", "app.example.com"),
            ("TRUSTED_PROXIES", "proxy.example.com"),
            ("DOCS_ENABLED", "off"),
        ];
        let SettingsError(lines) = ServeSettings::read(&environment.into()).expect_err("malformed settings");
        for (name, _) in environment {
            assert!(lines.iter().any(|line| line.starts_with(name)), "{name} is not named in {lines:?}");
        }
        let SettingsError(lines) =
            ServeSettings::read(&[("DATABASE_URL", "mysql://x")].into()).expect_err("missing settings");
        assert_eq!(lines.len(), 2, "{lines:?}");
    }

    #[test]
    fn secrets_are_hidden_in_debug_output() {
        let settings =
            ServeSettings::read(&[("DATABASE_URL", URL), ("JWT_SECRET", SECRET)].into()).expect("valid settings");
        let printed = format!("{settings:?}");
        assert!(!printed.contains(SECRET) && !printed.contains(URL), "{printed}");
    }

    /// Returns the lines of the error.
    fn error_lines(environment: Environment) -> Vec<String> {
        ServeSettings::read(&environment).expect_err("an error").0
    }

    #[test]
    fn key_set_is_enough_to_verify_tokens_and_a_previous_secret_is_not() {
        for (name, value) in [("JWT_JWKS_URL", "https://issuer.example/jwks"), ("JWT_JWKS_FILE", "/keys.json")] {
            let settings = ServeSettings::read(&[("DATABASE_URL", URL), (name, value)].into()).expect("valid settings");
            assert!(settings.tokens.key_set.is_some());
        }
        for malformed in ["issuer.example/jwks", "file:///keys.json", "https://"] {
            let lines = error_lines([("DATABASE_URL", URL), ("JWT_JWKS_URL", malformed)].into());
            assert!(lines.len() == 1 && lines[0].starts_with("JWT_JWKS_URL"), "{lines:?}");
        }
        let both = [("DATABASE_URL", URL), ("JWT_JWKS_URL", "https://x/"), ("JWT_JWKS_FILE", "/keys.json")];
        assert_eq!(error_lines(both.into()), ["JWT_JWKS_URL and JWT_JWKS_FILE are both set: unset one of them"]);
        // A previous secret alone is not enough: it is only for rotation.
        assert_eq!(error_lines([("DATABASE_URL", URL), ("JWT_SECRET_PREVIOUS", SECRET)].into()).len(), 1);
    }

    #[test]
    fn secrets_are_read_from_mounted_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, content: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).expect("a written file");
            path.to_str().expect("UTF-8").to_owned()
        };
        let (url, secret) = (file("url", &format!("{URL}\n")), file("secret", &format!("{SECRET}\r\n")));
        let previous = file("previous", &format!("{SECRET} \n\n"));
        let environment =
            [("DATABASE_URL_FILE", &*url), ("JWT_SECRET_FILE", &secret), ("JWT_SECRET_PREVIOUS_FILE", &previous)];
        let settings = ServeSettings::read(&environment.into()).expect("valid settings");
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
            // If a name occurs twice, the last value applies.
            let [url, secret, previous] = environment;
            let lines = error_lines([url, secret, previous, (name, value)].into());
            assert!(lines.len() == 1 && lines[0].starts_with(&format!("{name} ")), "{name}: {lines:?}");
            assert!(!lines[0].contains(SECRET), "{lines:?}");
        }
    }
}
