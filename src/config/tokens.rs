//! The settings for verifying and signing tokens.

use std::path::PathBuf;
use std::time::Duration;

use super::environment::Environment;
use super::secret::Secret;
use super::settings_error::SettingsError;
use super::settings_reader::{SettingsReader, is_web_url};

/// The settings for verifying and signing tokens.
#[derive(Debug, Clone)]
pub struct TokenSettings {
    /// The HS256 key. It verifies and signs.
    pub secret: Option<Secret>,
    /// The previous HS256 key. It verifies and never signs.
    pub previous_secret: Option<Secret>,
    /// A public key as PEM, or the path of a PEM file.
    pub public_key: Option<String>,
    /// The location of a set of public keys.
    pub key_set: Option<KeySetSource>,
    /// Whether the key set may be fetched over plain HTTP from other machines.
    pub key_set_allows_http: bool,
    /// How long the keys of a set stay valid while every fetch fails.
    pub key_set_max_stale: Duration,
    /// The only accepted algorithm. `None`: each key verifies tokens of its own algorithm.
    pub algorithm: Option<String>,
    /// The required value of `iss`. `None`: not checked.
    pub issuer: Option<String>,
    /// The value that `aud` must contain. `None`: not checked.
    pub audience: Option<String>,
    /// The name of the claim that contains the account id.
    pub account_claim: String,
    /// The name of the claim that limits a token to scopes.
    pub scope_claim: String,
    /// Whether a token without the scope claim may do nothing. If false, it may do everything.
    pub require_scope: bool,
}

/// The location of a JWK Set (RFC 7517 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySetSource {
    /// An `http` or `https` URL, which may contain a password.
    Url(Secret),
    /// The path of a file.
    File(PathBuf),
}

/// The minimum length of an HS256 secret: the length of the hash (RFC 7518 §3.2).
const MIN_SECRET_BYTES: usize = 32;

const DEFAULT_ACCOUNT_CLAIM: &str = "account_id";
const DEFAULT_SCOPE_CLAIM: &str = "scope";

/// The claims that cannot hold the scopes, because they have another meaning.
const OTHER_CLAIMS: [&str; 8] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id"];

const DEFAULT_MAX_STALE_MS: u64 = 24 * 60 * 60 * 1_000;
/// The highest value of `JWT_JWKS_MAX_STALE_MS`: 30 days.
const LONGEST_MAX_STALE_MS: u64 = 30 * DEFAULT_MAX_STALE_MS;

/// The settings that provide a verification key. At least one of them is required.
const KEY_SETTINGS: [&str; 5] = ["JWT_SECRET", "JWT_SECRET_FILE", "JWT_PUBLIC_KEY", "JWT_JWKS_URL", "JWT_JWKS_FILE"];

impl TokenSettings {
    /// Reads the settings for signing: `JWT_SECRET`, and the claims that signed tokens carry.
    ///
    /// # Errors
    /// Fails if the secret is missing or too short, or another token setting is malformed.
    pub fn read_for_signing(environment: &Environment) -> Result<Self, SettingsError> {
        SettingsReader::read_group(environment, |reader| {
            let settings = reader.read_token_settings();
            if settings.secret.is_none() && reader.problems.is_empty() {
                reader.add_problem("JWT_SECRET", "is not set: the command needs it to sign the token");
            }
            settings
        })
    }

    /// Creates settings with a secret and the defaults.
    #[must_use]
    pub fn with_secret(secret: Secret) -> Self {
        Self { secret: Some(secret), ..Self::without_keys() }
    }

    /// Creates settings with the defaults and without a key.
    #[must_use]
    pub fn without_keys() -> Self {
        Self {
            secret: None,
            previous_secret: None,
            public_key: None,
            key_set: None,
            algorithm: None,
            issuer: None,
            audience: None,
            account_claim: DEFAULT_ACCOUNT_CLAIM.to_owned(),
            scope_claim: DEFAULT_SCOPE_CLAIM.to_owned(),
            require_scope: false,
            key_set_allows_http: false,
            key_set_max_stale: Duration::from_millis(DEFAULT_MAX_STALE_MS),
        }
    }

    /// Reads `JWT_SCOPE_CLAIM` and `REQUIRE_SCOPE` into these settings, for commands that ignore the other settings.
    ///
    /// # Errors
    /// Fails if one of the two settings is malformed.
    pub fn with_scope_settings(self, environment: &Environment) -> Result<Self, SettingsError> {
        SettingsReader::read_group(environment, |reader| Self {
            scope_claim: reader.read_scope_claim(&self.account_claim),
            require_scope: reader.read_require_scope(),
            ..self
        })
    }
}

/// Reads `REQUIRE_SCOPE`.
///
/// # Errors
/// Fails if the setting is malformed.
pub fn requires_scope(environment: &Environment) -> Result<bool, SettingsError> {
    SettingsReader::read_group(environment, SettingsReader::read_require_scope)
}

impl SettingsReader<'_> {
    pub(super) fn read_token_settings(&mut self) -> TokenSettings {
        let account_claim = self.read_text_or("JWT_ACCOUNT_CLAIM", DEFAULT_ACCOUNT_CLAIM);
        let key_set_allows_http = self.read_bool("JWT_JWKS_ALLOW_HTTP", false);
        TokenSettings {
            secret: self.read_hmac_secret("JWT_SECRET"),
            previous_secret: self.read_hmac_secret("JWT_SECRET_PREVIOUS"),
            public_key: self.read_text("JWT_PUBLIC_KEY"),
            key_set: self.read_key_set_source(key_set_allows_http),
            key_set_allows_http,
            key_set_max_stale: self.read_max_stale(),
            algorithm: self.read_text("JWT_ALGORITHM"),
            issuer: self.read_text("JWT_ISSUER"),
            audience: self.read_text("JWT_AUDIENCE"),
            scope_claim: self.read_scope_claim(&account_claim),
            require_scope: self.read_require_scope(),
            account_claim,
        }
    }

    /// Records a problem if no key to verify tokens is set.
    pub(super) fn require_verification_key(&mut self) {
        if !self.has_any(&KEY_SETTINGS) {
            let problem =
                "is not set, nor is JWT_PUBLIC_KEY, JWT_JWKS_URL or JWT_JWKS_FILE: set a key that verifies tokens";
            self.add_problem("JWT_SECRET", problem);
        }
    }

    fn read_hmac_secret(&mut self, name: &str) -> Option<Secret> {
        let secret = self.read_secret(name);
        if secret.as_ref().is_some_and(|secret| secret.expose().len() < MIN_SECRET_BYTES) {
            self.add_problem(name, "is shorter than 32 bytes: generate one with `openssl rand -base64 48`");
        }
        secret
    }

    fn read_require_scope(&mut self) -> bool {
        self.read_bool("REQUIRE_SCOPE", false)
    }

    fn read_scope_claim(&mut self, account_claim: &str) -> String {
        let claim = self.read_text_or("JWT_SCOPE_CLAIM", DEFAULT_SCOPE_CLAIM);
        if OTHER_CLAIMS.contains(&&*claim) {
            let problem = format!("is {claim}, which has another meaning: name the claim with the scopes, such as scp");
            self.add_problem("JWT_SCOPE_CLAIM", &problem);
        } else if claim == account_claim {
            self.add_problem("JWT_SCOPE_CLAIM", "and JWT_ACCOUNT_CLAIM name the same claim: change one of them");
        }
        claim
    }

    fn read_max_stale(&mut self) -> Duration {
        let rule = "must be a number of milliseconds from 1 to 2592000000 (30 days)";
        let is_valid = |value: &u64| (1..=LONGEST_MAX_STALE_MS).contains(value);
        Duration::from_millis(self.read_parsed("JWT_JWKS_MAX_STALE_MS", DEFAULT_MAX_STALE_MS, is_valid, rule))
    }

    fn read_key_set_source(&mut self, allows_http: bool) -> Option<KeySetSource> {
        let (url, file) = (self.read_text("JWT_JWKS_URL"), self.read_text("JWT_JWKS_FILE"));
        if url.is_some() && file.is_some() {
            self.add_problem("JWT_JWKS_URL", "and JWT_JWKS_FILE are both set: unset one of them");
        }
        if url.as_ref().is_some_and(|url| !is_web_url(url)) {
            self.add_problem("JWT_JWKS_URL", "is malformed: use https://issuer.example/.well-known/jwks.json");
        } else if url.as_ref().is_some_and(|url| !allows_http && !is_https_or_loopback(url)) {
            let problem = "is not https: anyone on the network path could replace the keys. Use https, or set \
                           JWT_JWKS_ALLOW_HTTP=true if the path is trusted";
            self.add_problem("JWT_JWKS_URL", problem);
        }
        let from_url = url.map(|url| KeySetSource::Url(Secret::new(url)));
        from_url.or_else(|| file.map(|file| KeySetSource::File(file.into())))
    }
}

/// Returns whether a URL is `https`, or leads to this machine.
#[must_use]
pub fn is_https_or_loopback(url: &str) -> bool {
    let Ok(url) = url::Url::parse(url) else { return false };
    url.scheme() == "https"
        || match url.host() {
            Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.to_canonical().is_loopback(),
            None => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the problems of the token settings.
    fn problems<const N: usize>(settings: [(&str, &str); N]) -> Vec<String> {
        let read = SettingsReader::read_group(&settings.into(), SettingsReader::read_token_settings);
        read.err().map(|SettingsError(lines)| lines).unwrap_or_default()
    }

    #[test]
    fn key_set_url_must_be_https_or_loopback_unless_http_is_allowed() {
        for url in [
            "https://issuer.example/jwks",
            "http://localhost:8080/jwks",
            "http://127.0.0.1/jwks",
            "http://127.8.9.1/jwks",
            "http://[::1]:80/jwks",
        ] {
            assert_eq!(problems([("JWT_JWKS_URL", url)]), [""; 0], "{url}");
        }
        for url in [
            "http://issuer.example/jwks",
            "http://localhost.example/jwks",
            "http://10.0.0.1/jwks",
            "http://0.0.0.0/jwks",
            "http://127.0.0.1@issuer.example/jwks",
            "HTTP://ISSUER.EXAMPLE/jwks",
        ] {
            let lines = problems([("JWT_JWKS_URL", url)]);
            assert!(lines.len() == 1 && lines[0].starts_with("JWT_JWKS_URL is not https"), "{url}: {lines:?}");
            assert!(lines[0].contains("JWT_JWKS_ALLOW_HTTP=true"), "{lines:?}");
            assert_eq!(problems([("JWT_JWKS_URL", url), ("JWT_JWKS_ALLOW_HTTP", "true")]), [""; 0], "{url}");
        }
    }

    #[test]
    fn scope_claim_must_not_have_another_meaning() {
        for claim in ["scp", "permissions", "https://issuer.example/scopes"] {
            assert_eq!(problems([("JWT_SCOPE_CLAIM", claim)]), [""; 0], "{claim}");
        }
        for claim in OTHER_CLAIMS {
            let lines = problems([("JWT_SCOPE_CLAIM", claim)]);
            assert!(lines.len() == 1 && lines[0].starts_with("JWT_SCOPE_CLAIM "), "{claim}: {lines:?}");
        }
        let lines = problems([("JWT_SCOPE_CLAIM", "tenant"), ("JWT_ACCOUNT_CLAIM", "tenant")]);
        assert_eq!(lines, ["JWT_SCOPE_CLAIM and JWT_ACCOUNT_CLAIM name the same claim: change one of them"]);
    }

    #[test]
    fn key_set_and_scope_settings_have_documented_defaults_and_ranges() {
        let environment = Environment::default();
        let settings = SettingsReader::read_group(&environment, SettingsReader::read_token_settings).expect("defaults");
        assert_eq!(settings.key_set_max_stale, Duration::from_secs(24 * 60 * 60));
        assert_eq!((&*settings.scope_claim, settings.require_scope), ("scope", false));
        for (name, value) in
            [("JWT_JWKS_MAX_STALE_MS", "0"), ("JWT_JWKS_MAX_STALE_MS", "2592000001"), ("REQUIRE_SCOPE", "yes")]
        {
            let lines = problems([(name, value)]);
            assert!(lines.len() == 1 && lines[0].starts_with(name), "{lines:?}");
        }
    }
}
