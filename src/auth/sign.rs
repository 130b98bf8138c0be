//! Makes tokens that our own service takes: for API clients, `contacts token` and `contacts dev`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::errors::Error;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::identity::{CLIENT_CLAIM, SCOPE_CLAIM};
use crate::clients::{ClientId, Scopes};
use crate::config::{Secret, TokenSettings};

/// For how long the token of an API client is good (contract §6).
pub const CLIENT_TOKEN_LIFE: Duration = Duration::from_secs(60 * 60);

/// Claims of a client's token that can't name its account too.
const CLAIMS_OF_CLIENTS: [&str; 7] = ["sub", CLIENT_CLAIM, SCOPE_CLAIM, "iat", "exp", "iss", "aud"];

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

    /// What signs the tokens of API clients. `None` where this service would not take them: it has no secret, or takes
    /// another algorithm only, or reads the account from a claim that has another meaning in them.
    #[must_use]
    pub fn for_clients(settings: &TokenSettings) -> Option<Self> {
        let takes_hs256 = settings.algorithm.as_deref().is_none_or(|algorithm| algorithm == "HS256");
        let has_account = !CLAIMS_OF_CLIENTS.contains(&settings.account_claim.as_str());
        let secret = settings.secret.as_ref().filter(|_| takes_hs256 && has_account)?;
        Some(Self::new(secret, settings))
    }

    /// A token for `account`, good for `ttl` from now.
    ///
    /// # Errors
    /// When the signature can't be made.
    pub fn sign(&self, account: Uuid, subject: Option<&str>, ttl: Duration) -> Result<String, Error> {
        self.sign_claims(account, ttl, [("sub", subject.map(str::to_owned))])
    }

    /// A token for an API client, good for [`CLIENT_TOKEN_LIFE`] from now. `scopes` limit it; `None`: it may do everything.
    ///
    /// # Errors
    /// When the signature can't be made.
    pub fn sign_for_client(&self, id: ClientId, scopes: Option<Scopes>) -> Result<String, Error> {
        let own = [
            ("sub", Some(id.to_string())),
            // Besides the subject, which others may set as they like: by this claim the verifier knows our own.
            (CLIENT_CLAIM, Some(id.to_string())),
            (SCOPE_CLAIM, scopes.map(|scopes| scopes.to_string())),
        ];
        self.sign_claims(id.account, CLIENT_TOKEN_LIFE, own)
    }

    fn sign_claims<const N: usize>(
        &self,
        account: Uuid,
        ttl: Duration,
        own: [(&str, Option<String>); N],
    ) -> Result<String, Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut claims = Map::new();
        claims.insert(self.account_claim.clone(), json!(account));
        claims.insert("iat".to_owned(), json!(now.as_secs()));
        claims.insert("exp".to_owned(), json!((now + ttl).as_secs()));
        for (name, value) in own.into_iter().chain([("iss", self.issuer.clone()), ("aud", self.audience.clone())]) {
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
    async fn makes_tokens_for_clients_that_the_verifier_takes() {
        let settings = TokenSettings { issuer: Some("i".into()), audience: Some("a".into()), ..settings() };
        let (signer, verifier) = (Signer::for_clients(&settings).expect("a secret"), Verifier::new(&settings));
        let (id, verifier) = (ClientId::new(Uuid::now_v7()), verifier.expect("a good key"));
        for scopes in [None, Some(Scopes::default()), Some(Scopes::from_iter([Scope::FieldsWrite]))] {
            let token = signer.sign_for_client(id, scopes).expect("signs");
            let (account, actor) = (Some(id.account), Some(id.to_string()));
            assert_eq!(verifier.verify(&token).await, Ok(Identity { account, actor, scopes, client: Some(id) }));
        }
    }

    #[test]
    fn makes_none_that_the_verifier_would_not_take() {
        let makes = |settings: &TokenSettings| Signer::for_clients(settings).is_some();
        assert!(makes(&settings()));
        assert!(makes(&TokenSettings { algorithm: Some("HS256".into()), ..settings() }));
        assert!(!makes(&TokenSettings { algorithm: Some("RS256".into()), ..settings() }));
        assert!(!makes(&TokenSettings { secret: None, ..settings() }));
        assert!(!makes(&TokenSettings { account_claim: "client_id".into(), ..settings() }));
    }
}
