//! Which tokens are good, and what signs our own.

use std::path::PathBuf;

use super::reader::{Reader, is_web_url};
use super::{Environment, Secret, SettingsError};

/// Which tokens are good, and how they name the account.
#[derive(Debug, Clone)]
pub struct TokenSettings {
    /// The key of HS256.
    pub secret: Option<Secret>,
    /// The key of HS256 before that: it verifies, and never signs.
    pub previous_secret: Option<Secret>,
    /// A public key as PEM, or the path of a file that holds one.
    pub public_key: Option<String>,
    /// Where a set of public keys is.
    pub key_set: Option<KeySetSource>,
    /// The only algorithm that is taken; by default each key's own.
    pub algorithm: Option<String>,
    /// What `iss` must be.
    pub issuer: Option<String>,
    /// What `aud` must hold.
    pub audience: Option<String>,
    /// The claim that names the account.
    pub account_claim: String,
}

/// Where a JWK Set (RFC 7517 §5) is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySetSource {
    /// An `http` or `https` URL. It may hold a password.
    Url(Secret),
    /// A file.
    File(PathBuf),
}

/// The shortest HS256 secret that is taken: as long as the hash (RFC 7518 §3.2).
const MIN_SECRET_BYTES: usize = 32;

const DEFAULT_ACCOUNT_CLAIM: &str = "account_id";

/// Each of these is a key that tokens can be verified with.
const KEYS: [&str; 5] = ["JWT_SECRET", "JWT_SECRET_FILE", "JWT_PUBLIC_KEY", "JWT_JWKS_URL", "JWT_JWKS_FILE"];

impl TokenSettings {
    /// Reads what signing needs: `JWT_SECRET`, and the claims that our own tokens carry.
    ///
    /// # Errors
    /// A secret that is missing or too short.
    pub fn read_for_signing(environment: &Environment) -> Result<Self, SettingsError> {
        Reader::read(environment, |reader| {
            let settings = reader.tokens();
            if settings.secret.is_none() && reader.problems.is_empty() {
                reader.complain("JWT_SECRET", "is not set: it signs the token");
            }
            settings
        })
    }

    /// Settings with a secret alone.
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

impl Reader<'_> {
    pub(super) fn tokens(&mut self) -> TokenSettings {
        TokenSettings {
            secret: self.hmac_secret("JWT_SECRET"),
            previous_secret: self.hmac_secret("JWT_SECRET_PREVIOUS"),
            public_key: self.text("JWT_PUBLIC_KEY"),
            key_set: self.key_set(),
            algorithm: self.text("JWT_ALGORITHM"),
            issuer: self.text("JWT_ISSUER"),
            audience: self.text("JWT_AUDIENCE"),
            account_claim: self.text_or("JWT_ACCOUNT_CLAIM", DEFAULT_ACCOUNT_CLAIM),
        }
    }

    /// Complains when there is no key to verify tokens with.
    pub(super) fn demand_a_key(&mut self) {
        if !self.has_any(&KEYS) {
            let others = "nor is JWT_PUBLIC_KEY or JWT_JWKS_URL: set the key that verifies tokens";
            self.complain("JWT_SECRET", &format!("is not set, {others}"));
        }
    }

    fn hmac_secret(&mut self, name: &str) -> Option<Secret> {
        let secret = self.secret(name);
        if secret.as_ref().is_some_and(|secret| secret.expose().len() < MIN_SECRET_BYTES) {
            self.complain(name, "is shorter than 32 bytes: make one with `openssl rand -base64 48`");
        }
        secret
    }

    fn key_set(&mut self) -> Option<KeySetSource> {
        let (url, file) = (self.text("JWT_JWKS_URL"), self.text("JWT_JWKS_FILE"));
        if url.is_some() && file.is_some() {
            self.complain("JWT_JWKS_URL", "and JWT_JWKS_FILE are both set: unset one of them");
        }
        if url.as_ref().is_some_and(|url| !is_web_url(url)) {
            self.complain("JWT_JWKS_URL", "is malformed: use https://issuer.example/.well-known/jwks.json");
        }
        let by_url = url.map(|url| KeySetSource::Url(Secret::new(url)));
        by_url.or_else(|| file.map(|file| KeySetSource::File(file.into())))
    }
}
