//! Signs tokens that this service accepts: for API clients, `contacts token` and `contacts dev`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::errors::Error;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::identity::CLIENT_CLAIM;
use crate::clients::{ClientId, Scopes};
use crate::config::{Secret, TokenSettings};

/// The lifetime of a token of an API client (`docs/api-reference.md#client-credentials`).
pub const CLIENT_TOKEN_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// The claims of a client token that have a fixed meaning and therefore cannot hold the account id. The scope claim
/// cannot hold it either.
const CLIENT_TOKEN_CLAIMS: [&str; 6] = ["sub", CLIENT_CLAIM, "iat", "exp", "iss", "aud"];

/// Signs tokens with HS256.
pub struct Signer {
    key: EncodingKey,
    issuer: Option<String>,
    audience: Option<String>,
    account_claim: String,
    scope_claim: String,
}

impl Signer {
    /// Creates a signer with `secret`. Its tokens carry the issuer and the audience that `settings` require.
    #[must_use]
    pub fn new(secret: &Secret, settings: &TokenSettings) -> Self {
        Self {
            key: EncodingKey::from_secret(secret.expose().as_bytes()),
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            account_claim: settings.account_claim.clone(),
            scope_claim: settings.scope_claim.clone(),
        }
    }

    /// Creates the signer for the tokens of API clients.
    ///
    /// Returns `None` if this service would reject those tokens: it has no secret, it accepts only another algorithm,
    /// or it reads the account from a claim that has another meaning in client tokens.
    #[must_use]
    pub fn for_clients(settings: &TokenSettings) -> Option<Self> {
        let accepts_hs256 = settings.algorithm.as_deref().is_none_or(|algorithm| algorithm == "HS256");
        let can_hold_account = !CLIENT_TOKEN_CLAIMS.contains(&settings.account_claim.as_str())
            && settings.account_claim != settings.scope_claim;
        let secret = settings.secret.as_ref().filter(|_| accepts_hs256 && can_hold_account)?;
        Some(Self::new(secret, settings))
    }

    /// Signs a token for `account` that expires after `ttl`.
    ///
    /// # Errors
    /// Fails if the token cannot be signed.
    pub fn sign(&self, account: Uuid, subject: Option<&str>, ttl: Duration) -> Result<String, Error> {
        self.sign_with_scopes(account, subject, None, ttl)
    }

    /// Signs a token like [`Self::sign`] that is limited to `scopes`. If they are `None`, the token has no scope claim.
    ///
    /// # Errors
    /// Fails if the token cannot be signed.
    pub fn sign_with_scopes(
        &self,
        account: Uuid,
        subject: Option<&str>,
        scopes: Option<Scopes>,
        ttl: Duration,
    ) -> Result<String, Error> {
        let scope = scopes.map(|scopes| scopes.to_string());
        self.sign_claims(account, ttl, [("sub", subject.map(str::to_owned)), (&self.scope_claim, scope)])
    }

    /// Signs a token for an API client. The token expires after [`CLIENT_TOKEN_LIFETIME`]. If `scopes` is `None`, the
    /// token has no scope claim.
    ///
    /// # Errors
    /// Fails if the token cannot be signed.
    pub fn sign_for_client(&self, id: ClientId, scopes: Option<Scopes>) -> Result<String, Error> {
        let client_claims = [
            ("sub", Some(id.to_string())),
            // The verifier recognizes client tokens by this claim. `sub` is not enough, because other issuers choose it
            // freely.
            (CLIENT_CLAIM, Some(id.to_string())),
            (&self.scope_claim, scopes.map(|scopes| scopes.to_string())),
        ];
        self.sign_claims(id.account, CLIENT_TOKEN_LIFETIME, client_claims)
    }

    fn sign_claims<const N: usize>(
        &self,
        account: Uuid,
        ttl: Duration,
        additional_claims: [(&str, Option<String>); N],
    ) -> Result<String, Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut claims = Map::new();
        claims.insert(self.account_claim.clone(), json!(account));
        claims.insert("iat".to_owned(), json!(now.as_secs()));
        claims.insert("exp".to_owned(), json!((now + ttl).as_secs()));
        for (name, value) in
            additional_claims.into_iter().chain([("iss", self.issuer.clone()), ("aud", self.audience.clone())])
        {
            if let Some(value) = value {
                claims.insert(name.to_owned(), json!(value));
            }
        }
        encode(&Header::default(), &Value::Object(claims), &self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Identity, Verifier};
    use crate::clients::Scope;

    fn settings() -> TokenSettings {
        TokenSettings::with_secret(Secret::new("0123456789abcdef0123456789abcdef"))
    }

    #[tokio::test]
    async fn client_token_is_accepted_by_the_verifier() {
        let settings = TokenSettings { issuer: Some("i".into()), audience: Some("a".into()), ..settings() };
        let (signer, verifier) = (Signer::for_clients(&settings).expect("a secret"), Verifier::new(&settings));
        let (id, verifier) = (ClientId::new(Uuid::now_v7()), verifier.expect("a valid key"));
        for scopes in [None, Some(Scopes::default()), Some(Scopes::from_iter([Scope::FieldsWrite]))] {
            let token = signer.sign_for_client(id, scopes).expect("a signed token");
            let (account, actor) = (Some(id.account), Some(id.to_string()));
            let identity = verifier.verify(&token).await.expect("a valid token");
            let expires_at = identity.expires_at;
            assert_eq!(identity, Identity { account, actor, scopes, client: Some(id), expires_at });
        }
    }

    #[test]
    fn client_signer_is_absent_if_the_verifier_would_reject_its_tokens() {
        let has_signer = |settings: &TokenSettings| Signer::for_clients(settings).is_some();
        assert!(has_signer(&settings()));
        assert!(has_signer(&TokenSettings { algorithm: Some("HS256".into()), ..settings() }));
        assert!(!has_signer(&TokenSettings { algorithm: Some("RS256".into()), ..settings() }));
        assert!(!has_signer(&TokenSettings { secret: None, ..settings() }));
        assert!(!has_signer(&TokenSettings { account_claim: "client_id".into(), ..settings() }));
    }
}
