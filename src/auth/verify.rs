//! Verification of tokens. The configuration determines the algorithm, never the token
//! (`docs/api-reference.md#authentication`).

use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header};
use serde_json::{Map, Value};

use super::clock_leeway::LEEWAY_SECONDS;
use super::expired_token::expired_token;
use super::identity::Identity;
use super::jwk::PublishedKey;
use super::key_set::KeySet;
use super::reject_reason::{InvalidToken, RejectReason};
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
    account_claim: String,
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
        let key_set = settings.key_set.as_ref().map(|source| KeySet::new(source, only_algorithm)).transpose();
        let key_set = ok_or_collect(key_set, &mut problems).flatten();
        if !problems.is_empty() {
            return Err(SettingsError(problems));
        }
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
            account_claim: settings.account_claim.clone(),
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

    /// Returns the validated claims of a token. Returns `None` if it is not signed with this key.
    fn verified_claims(&self, token: &str, key: &VerificationKey) -> Result<Option<Map<String, Value>>, InvalidToken> {
        let validation = self.validations.iter().find(|validation| validation.algorithms.contains(&key.algorithm));
        let Some(validation) = validation else { return Ok(None) };
        let claims = match decode::<UniqueMembers>(token, &key.key, validation) {
            Ok(token) => token.claims.0,
            Err(error) if *error.kind() == ErrorKind::InvalidSignature => return Ok(None),
            Err(error) if *error.kind() == ErrorKind::ExpiredSignature => {
                return Err(expired_token(token, key, validation).unwrap_or(error.into()));
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
        let identity = Identity::from_claims(claims, &self.account_claim)?;
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
mod tests {
    use std::time::Duration;

    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    use jsonwebtoken::{EncodingKey, encode};
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::auth::Signer;
    use crate::auth::fixtures::{KeyPair, encode_pem};
    use crate::config::Secret;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    /// Public RSA keys of 512 and 1024 bits.
    const WEAK_RSA_KEYS: [&str; 2] = [
        "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAMjhMnzgox2CP03e01QfHKhJSej5T0z1\n\
         kH8V7OqY+kiFKiIYLRjla3Qbh9Amm40l/5Vkibtye5CfnolCsh6RD8sCAwEAAQ==",
        "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDVZoqYdp9ZnpOs2LESyHjgmk5P\n\
         uQfCDdD16lBy8g/ucRAtHnoAhq9ZQaWkoEjUC3PqHnztOfFFkcpaTbMUJWpZiLSw\n\
         HEJgiD40FNE9g6LYlecOUgFT8IA1MPeKQOqVftjteBR5qWh0qdGvTbS31kUzwX3H\n\
         d7PRHWbatOUub2e5JQIDAQAB",
    ];

    fn settings() -> TokenSettings {
        TokenSettings::with_secret(Secret::new(SECRET))
    }

    fn verify(settings: &TokenSettings, claims: &Value) -> Result<Identity, InvalidToken> {
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let token = encode(&Header::default(), claims, &key).expect("a signed token");
        verify_blocking(&Verifier::new(settings).expect("a valid key"), &token)
    }

    /// Verifies a token on a new runtime. The verifier must have no key set, because no task refreshes it.
    fn verify_blocking(verifier: &Verifier, token: &str) -> Result<Identity, InvalidToken> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(verifier.verify(token))
    }

    fn in_seconds(seconds: i64) -> i64 {
        chrono::Utc::now().timestamp() + seconds
    }

    #[test]
    fn token_of_the_signer_is_accepted() {
        let settings = TokenSettings {
            issuer: Some("i".into()),
            audience: Some("a".into()),
            account_claim: "tenant".into(),
            ..settings()
        };
        let account = Uuid::now_v7();
        let signer = Signer::new(&Secret::new(SECRET), &settings);
        let token = signer.sign(account, Some("u1"), Duration::from_secs(60)).expect("a signed token");
        let identity = verify_blocking(&Verifier::new(&settings).expect("a valid key"), &token);
        let expected = Identity { account: Some(account), actor: Some("u1".into()), scopes: None, client: None };
        assert_eq!(identity, Ok(expected));
    }

    #[test]
    fn account_claim_that_is_not_a_uuid_is_no_account() {
        let id = Uuid::now_v7();
        for account in [json!(null), json!(""), json!(42), json!("acme"), json!(id.simple().to_string()), json!([id])] {
            let identity =
                verify(&settings(), &json!({"exp": in_seconds(60), "account_id": account})).expect("a valid token");
            assert_eq!(identity.account, None, "{account}");
        }
        let identity =
            verify(&settings(), &json!({"exp": in_seconds(60), "account_id": id.to_string().to_uppercase()}));
        assert_eq!(identity.expect("a valid token").account, Some(id));
    }

    #[test]
    fn exp_and_nbf_are_checked_with_30_seconds_of_leeway() {
        let is_accepted = |claims: Value| verify(&settings(), &claims).is_ok();
        assert!(is_accepted(json!({"exp": in_seconds(-20)})));
        assert!(!is_accepted(json!({"exp": in_seconds(-40)})));
        assert!(is_accepted(json!({"exp": in_seconds(60), "nbf": in_seconds(20)})));
        assert!(!is_accepted(json!({"exp": in_seconds(60), "nbf": in_seconds(50)})));
        assert!(!is_accepted(json!({})));
        assert!(!is_accepted(json!({"exp": "tomorrow"})));
        assert!(!is_accepted(json!({"exp": null})));
    }

    #[test]
    fn issuer_and_audience_are_checked_when_they_are_set() {
        let strict = TokenSettings { issuer: Some("us".into()), audience: Some("crm".into()), ..settings() };
        let is_accepted = |settings, iss: Value, aud: Value| {
            verify(settings, &json!({"exp": in_seconds(60), "iss": iss, "aud": aud})).is_ok()
        };
        assert!(is_accepted(&strict, json!("us"), json!("crm")));
        assert!(is_accepted(&strict, json!("us"), json!(["erp", "crm"])));
        assert!(!is_accepted(&strict, json!("them"), json!("crm")));
        assert!(!is_accepted(&strict, json!("us"), json!("erp")));
        assert!(verify(&strict, &json!({"exp": in_seconds(60)})).is_err());
        assert!(is_accepted(&settings(), json!("anyone"), json!("anything")));
    }

    #[test]
    fn token_with_another_algorithm_an_extension_or_damage_is_rejected() {
        let verifier = Verifier::new(&settings()).expect("a valid key");
        let claims = json!({"exp": in_seconds(60)});
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let valid = encode(&Header::default(), &claims, &key).expect("a signed token");
        assert!(verify_blocking(&verifier, &valid).is_ok());
        let with_hs512 = encode(&Header::new(Algorithm::HS512), &claims, &key).expect("a signed token");
        let critical_header = Header { crit: Some(vec!["exp".into()]), ..Header::default() };
        let with_extension = encode(&critical_header, &claims, &key).expect("a signed token");
        let with_other_secret =
            encode(&Header::default(), &claims, &EncodingKey::from_secret(b"another secret")).expect("a signed token");
        let mut parts = valid.split('.');
        let (header, body) = (parts.next().expect("a header"), parts.next().expect("claims"));
        // {"alg":"none"}
        let unsigned = format!("eyJhbGciOiJub25lIn0.{body}.");
        for token in [
            with_hs512,
            with_extension,
            with_other_secret,
            unsigned,
            format!("{header}.{body}."),
            format!("{header}.{body}"),
            valid[..valid.len() - 4].to_owned(),
            format!("{valid}.x"),
            String::new(),
            "ä.b.c".into(),
        ] {
            assert!(verify_blocking(&verifier, &token).is_err(), "{token}");
        }
    }

    #[test]
    fn public_key_verifies_only_tokens_of_its_own_algorithm() {
        let claims = json!({"exp": in_seconds(60)});
        let pairs = KeyPair::generate_all();
        for KeyPair { algorithm, pem, .. } in &pairs {
            // Also sets a secret: a token signed with HS256 and the public key as its secret must be rejected.
            let settings = TokenSettings { public_key: Some(pem.replace('\n', "\\n")), ..settings() };
            let verifier = Verifier::new(&settings).expect("a valid key");
            for other in &pairs {
                let is_accepted = verify_blocking(&verifier, &other.sign(None, &claims)).is_ok();
                assert_eq!(
                    is_accepted,
                    other.algorithm == *algorithm,
                    "token of {:?} with a key of {algorithm:?}",
                    other.algorithm
                );
            }
            let signed_with_public_key =
                encode(&Header::default(), &claims, &EncodingKey::from_secret(pem.as_bytes())).expect("a signed token");
            assert!(verify_blocking(&verifier, &signed_with_public_key).is_err());
            assert!(verify(&settings, &claims).is_ok());
            let name = format!("{algorithm:?}");
            let only = TokenSettings { algorithm: Some(name), ..settings };
            assert!(verify(&only, &claims).is_err());
        }
    }

    #[test]
    fn unusable_public_key_is_rejected() {
        let is_rejected = |pem: String| {
            let settings = TokenSettings { public_key: Some(pem), ..settings() };
            Verifier::new(&settings).is_err_and(|error| error.to_string().starts_with("JWT_PUBLIC_KEY"))
        };
        let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect("a generated key");
        assert!(is_rejected(encode_pem("PUBLIC KEY", p384.public_key().as_der().expect("the key as DER").as_ref())));
        assert!(is_rejected(KeyPair::generate_ed25519().pem.replace("PUBLIC", "PRIVATE")));
        for weak in WEAK_RSA_KEYS {
            assert!(is_rejected(format!("-----BEGIN PUBLIC KEY-----\n{weak}\n-----END PUBLIC KEY-----\n")));
        }
    }

    #[test]
    fn previous_secret_verifies_tokens_and_the_current_secret_signs_them() {
        const PREVIOUS: &str = "fedcba9876543210fedcba9876543210";
        let rotated = TokenSettings { previous_secret: Some(Secret::new(PREVIOUS)), ..settings() };
        let verifier = Verifier::new(&rotated).expect("valid keys");
        let sign_with = |secret: &str, claims: Value| {
            encode(&Header::default(), &claims, &EncodingKey::from_secret(secret.as_bytes())).expect("a signed token")
        };
        for secret in [SECRET, PREVIOUS] {
            assert!(verify_blocking(&verifier, &sign_with(secret, json!({"exp": in_seconds(60)}))).is_ok());
            assert!(verify_blocking(&verifier, &sign_with(secret, json!({"exp": in_seconds(-60)}))).is_err());
        }
        assert!(verify_blocking(&verifier, &sign_with("a third one", json!({"exp": in_seconds(60)}))).is_err());
        let signer = Signer::for_clients(&rotated).expect("a secret");
        let token = signer.sign(Uuid::now_v7(), None, Duration::from_secs(60)).expect("a signed token");
        assert!(verify_blocking(&Verifier::new(&settings()).expect("a valid key"), &token).is_ok());
    }

    #[test]
    fn algorithm_or_key_that_cannot_be_used_is_rejected() {
        let error_with = |change: fn(&mut TokenSettings)| {
            let mut settings = settings();
            change(&mut settings);
            Verifier::new(&settings).err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert!(error_with(|settings| settings.algorithm = Some("none".into())).starts_with("JWT_ALGORITHM"));
        assert!(error_with(|settings| settings.algorithm = Some("RS256".into())).starts_with("JWT_ALGORITHM"));
        assert!(error_with(|settings| settings.public_key = Some("/nowhere.pem".into())).starts_with("JWT_PUBLIC_KEY"));
        assert!(
            error_with(|settings| settings.public_key =
                Some("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----".into()))
            .starts_with("JWT_PUBLIC_KEY")
        );
    }
}
