//! Makes tokens that our own service takes, for `contacts token` and `contacts dev`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::config::{Secret, TokenSettings};

/// Signs tokens with HS256.
pub struct Signer {
    key: EncodingKey,
    issuer: Option<String>,
    audience: Option<String>,
    account_claim: String,
}

impl Signer {
    /// A signer with `secret` whose tokens carry the claims that `settings` demand.
    #[must_use]
    pub fn new(secret: &Secret, settings: &TokenSettings) -> Self {
        Self {
            key: EncodingKey::from_secret(secret.expose().as_bytes()),
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            account_claim: settings.account_claim.clone(),
        }
    }

    /// A token for `account`, good for `ttl` from now.
    ///
    /// # Errors
    /// When the signature can't be made.
    pub fn sign(
        &self,
        account: Uuid,
        subject: Option<&str>,
        ttl: Duration,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut claims = Map::new();
        claims.insert(self.account_claim.clone(), json!(account));
        claims.insert("iat".to_owned(), json!(now.as_secs()));
        claims.insert("exp".to_owned(), json!((now + ttl).as_secs()));
        for (name, value) in [("sub", subject), ("iss", self.issuer.as_deref()), ("aud", self.audience.as_deref())] {
            if let Some(value) = value {
                claims.insert(name.to_owned(), json!(value));
            }
        }
        encode(&Header::default(), &Value::Object(claims), &self.key)
    }
}
