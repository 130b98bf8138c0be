//! Verification of tokens. The configuration determines the algorithm, never the token
//! (`docs/api-reference.md#authentication`).

use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header};
use serde_json::{Map, Value};

use super::clock_leeway::LEEWAY_SECONDS;
use super::identity::{ClaimNames, Identity};
use super::jwk::PublishedKey;
use super::key_set::KeySet;
use super::key_set_metrics;
use super::reject_reason::{InvalidToken, RejectReason};
use super::time_claims::{expired_token, immature_token};
use super::token_cache::VerifiedTokenCache;
use super::token_header::TokenHeader;
use super::unique_members::UniqueMembers;
use super::verification_key::{ALGORITHMS, VerificationKey, parse_algorithm, read_configured_keys};
use crate::config::{SettingsError, TokenSettings};

/// Verifies tokens with the configured keys, each for its own algorithm only.
pub struct Verifier {
    /// The keys that are part of the settings.
    configured_keys: Vec<VerificationKey>,
    /// The keys that the token issuer publishes.
    key_set: Option<KeySet>,
    /// The validation rules for each algorithm.
    validations: [Validation; 4],
    claim_names: ClaimNames,
    /// The scope claim, if a token without it may do nothing.
    required_scope_claim: Option<String>,
    verified_tokens: VerifiedTokenCache,
}

impl Verifier {
    /// Creates a verifier for the configured keys.
    ///
    /// # Errors
    /// Lists every key and algorithm that is malformed or cannot be read. Also fails if `JWT_ALGORITHM` is set and no
    /// key has this algorithm.
    pub fn new(settings: &TokenSettings) -> Result<Self, SettingsError> {
        let mut problems = vec![];
        let only_algorithm = settings.algorithm.as_deref().map(parse_algorithm).transpose();
        let only_algorithm = ok_or_collect(only_algorithm, &mut problems).flatten();
        let configured_keys =
            ok_or_collect(read_configured_keys(settings, only_algorithm), &mut problems).unwrap_or_default();
        let key_set = settings.key_set.as_ref().map(|source| KeySet::new(source, settings, only_algorithm)).transpose();
        let key_set = ok_or_collect(key_set, &mut problems).flatten();
        if !problems.is_empty() {
            return Err(SettingsError(problems));
        }
        key_set_metrics::register();
        if let Some(only) = only_algorithm
            && configured_keys.is_empty()
            && !key_set.as_ref().is_some_and(|set| set.can_contain(only))
        {
            return Err(SettingsError::new("JWT_ALGORITHM", &format!("is {only:?}, but no key of that type is set")));
        }
        Ok(Self {
            configured_keys,
            key_set,
            validations: ALGORITHMS.map(|algorithm| validation_for(algorithm, settings)),
            claim_names: settings.into(),
            required_scope_claim: settings.require_scope.then(|| settings.scope_claim.clone()),
            verified_tokens: VerifiedTokenCache::new(),
        })
    }

    /// Verifies `token` and returns the caller that it identifies. If the token names an unknown key, waits up to 3
    /// seconds for a fetch of the key set.
    ///
    /// # Errors
    /// Returns the reason for which the token is not valid.
    pub async fn verify(&self, token: &str) -> Result<Identity, InvalidToken> {
        match self.verified_tokens.get(token) {
            Some(identity) => Ok(identity),
            None => self.verify_uncached(token).await,
        }
    }

    /// Refreshes the key set of the issuer for as long as the future is polled. Never returns.
    pub async fn run_key_refresh(&self) {
        match &self.key_set {
            Some(set) => set.run_refresh().await,
            None => std::future::pending().await,
        }
    }

    /// Returns the name of the scope claim if a token without it may do nothing (`REQUIRE_SCOPE`).
    #[must_use]
    pub fn required_scope_claim(&self) -> Option<&str> {
        self.required_scope_claim.as_deref()
    }

    /// Sets the metrics of the key set to their current values.
    pub fn update_metrics(&self) {
        key_set_metrics::set_age(self.key_set.as_ref().map(KeySet::age).unwrap_or_default());
    }

    async fn verify_uncached(&self, token: &str) -> Result<Identity, InvalidToken> {
        let header = decode_header(token)?;
        TokenHeader::parse(token)?.reject_extensions()?;
        let mut identity = self.verify_with_current_keys(token, &header)?;
        if identity.is_none()
            && let Some(set) = &self.key_set
            && may_be_signed_by_new_key(set, &header)
            && set.refresh_for_unknown_key().await
        {
            identity = self.verify_with_current_keys(token, &header)?;
        }
        identity.ok_or_else(|| match self.has_key_for(&header) {
            true => InvalidToken::new(RejectReason::Signature, "the signature does not match"),
            false => InvalidToken::new(RejectReason::NoMatchingKey, "no key has the algorithm and `kid` of the token"),
        })
    }

    /// Returns whether a current key can have signed a token with this header.
    fn has_key_for(&self, header: &Header) -> bool {
        self.configured_keys.iter().any(|key| key.algorithm == header.alg) || self.find_published_key(header).is_some()
    }

    fn find_published_key(&self, header: &Header) -> Option<Arc<PublishedKey>> {
        self.key_set.as_ref()?.find_key(header.kid.as_deref(), header.alg)
    }

    /// Verifies a token with the current keys: first the key of the key set that the header selects, then the keys of
    /// the settings. Returns `None` if the token is signed with none of them.
    fn verify_with_current_keys(&self, token: &str, header: &Header) -> Result<Option<Identity>, InvalidToken> {
        let published_key = self.find_published_key(header);
        if let Some(published_key) = &published_key
            && let Some(claims) = self.verified_claims(token, &published_key.key)?
        {
            return self.identify_and_cache(token, &claims, Some(published_key)).map(Some);
        }
        for key in self.configured_keys.iter().filter(|key| key.algorithm == header.alg) {
            if let Some(claims) = self.verified_claims(token, key)? {
                return self.identify_and_cache(token, &claims, None).map(Some);
            }
        }
        Ok(None)
    }

    /// Returns the validated claims of a token. Returns `None` if it is not signed with this key: the library verifies
    /// the signature before it reads a claim, so no error about claims tells anything about a forged token.
    fn verified_claims(&self, token: &str, key: &VerificationKey) -> Result<Option<Map<String, Value>>, InvalidToken> {
        let validation = self.validations.iter().find(|validation| validation.algorithms.contains(&key.algorithm));
        let Some(validation) = validation else { return Ok(None) };
        let claims = match decode::<UniqueMembers>(token, &key.key, validation) {
            Ok(token) => token.claims.0,
            Err(error) if *error.kind() == ErrorKind::InvalidSignature => return Ok(None),
            Err(error) if *error.kind() == ErrorKind::ExpiredSignature => {
                return Err(expired_token(token, key).unwrap_or(error.into()));
            }
            Err(error) if *error.kind() == ErrorKind::ImmatureSignature => {
                return Err(immature_token(token, key).unwrap_or(error.into()));
            }
            Err(error) => return Err(error.into()),
        };
        if validation.iss.is_some() && !claims.get("iss").is_some_and(Value::is_string) {
            return Err(InvalidToken::new(RejectReason::Issuer, "`iss` must be a string"));
        }
        Ok(Some(claims))
    }

    /// Reads the identity from verified claims, and caches it until the token expires or its key is removed.
    fn identify_and_cache(
        &self,
        token: &str,
        claims: &Map<String, Value>,
        published_key: Option<&Arc<PublishedKey>>,
    ) -> Result<Identity, InvalidToken> {
        let identity = Identity::from_claims(claims, &self.claim_names)?;
        if let Some(expires_at) = claims.get("exp").and_then(Value::as_f64) {
            self.verified_tokens.insert(token, &identity, expires_at, published_key);
        }
        Ok(identity)
    }
}

/// Returns the value. On failure, adds the problems to `problems`, so that all of them are reported together.
fn ok_or_collect<T>(outcome: Result<T, SettingsError>, problems: &mut Vec<String>) -> Option<T> {
    outcome.map_err(|SettingsError(lines)| problems.extend(lines)).ok()
}

/// Returns whether a token that no current key verifies may be signed with a key that the issuer has added to the set.
/// Returns false if the set already contains the key that the token names, because the signature is then forged.
fn may_be_signed_by_new_key(set: &KeySet, header: &Header) -> bool {
    let is_known = header.kid.is_some() && set.find_key(header.kid.as_deref(), header.alg).is_some();
    set.can_contain(header.alg) && !is_known
}

fn validation_for(algorithm: Algorithm, settings: &TokenSettings) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.leeway = LEEWAY_SECONDS;
    validation.validate_nbf = true;
    validation.validate_aud = settings.audience.is_some();
    let mut required_claims = vec!["exp"];
    if let Some(issuer) = &settings.issuer {
        validation.set_issuer(&[issuer]);
        required_claims.push("iss");
    }
    if let Some(audience) = &settings.audience {
        validation.set_audience(&[audience]);
        required_claims.push("aud");
    }
    validation.set_required_spec_claims(&required_claims);
    validation
}

#[cfg(test)]
mod tests;
