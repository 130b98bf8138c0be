//! Which tokens are good, and what signs our own.

use super::reader::Reader;
use super::{Environment, Secret, SettingsError};

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

/// The shortest HS256 secret that is taken: as long as the hash (RFC 7518 §3.2).
const MIN_SECRET_BYTES: usize = 32;

const DEFAULT_ACCOUNT_CLAIM: &str = "account_id";

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

impl Reader<'_> {
    pub(super) fn tokens(&mut self) -> TokenSettings {
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
