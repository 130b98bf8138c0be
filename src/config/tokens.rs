//! The settings for verifying and signing tokens.

use std::path::PathBuf;

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
    /// The only accepted algorithm. `None`: each key verifies tokens of its own algorithm.
    pub algorithm: Option<String>,
    /// The required value of `iss`. `None`: not checked.
    pub issuer: Option<String>,
    /// The value that `aud` must contain. `None`: not checked.
    pub audience: Option<String>,
    /// The name of the claim that contains the account id.
    pub account_claim: String,
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
        Self {
            secret: Some(secret),
            previous_secret: None,
            public_key: None,
            key_set: None,
            algorithm: None,
            issuer: None,
            audience: None,
            account_claim: DEFAULT_ACCOUNT_CLAIM.to_owned(),
        }
    }
}

impl SettingsReader<'_> {
    pub(super) fn read_token_settings(&mut self) -> TokenSettings {
        TokenSettings {
            secret: self.read_hmac_secret("JWT_SECRET"),
            previous_secret: self.read_hmac_secret("JWT_SECRET_PREVIOUS"),
            public_key: self.read_text("JWT_PUBLIC_KEY"),
            key_set: self.read_key_set_source(),
            algorithm: self.read_text("JWT_ALGORITHM"),
            issuer: self.read_text("JWT_ISSUER"),
            audience: self.read_text("JWT_AUDIENCE"),
            account_claim: self.read_text_or("JWT_ACCOUNT_CLAIM", DEFAULT_ACCOUNT_CLAIM),
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

    fn read_key_set_source(&mut self) -> Option<KeySetSource> {
        let (url, file) = (self.read_text("JWT_JWKS_URL"), self.read_text("JWT_JWKS_FILE"));
        if url.is_some() && file.is_some() {
            self.add_problem("JWT_JWKS_URL", "and JWT_JWKS_FILE are both set: unset one of them");
        }
        if url.as_ref().is_some_and(|url| !is_web_url(url)) {
            self.add_problem("JWT_JWKS_URL", "is malformed: use https://issuer.example/.well-known/jwks.json");
        }
        let from_url = url.map(|url| KeySetSource::Url(Secret::new(url)));
        from_url.or_else(|| file.map(|file| KeySetSource::File(file.into())))
    }
}
