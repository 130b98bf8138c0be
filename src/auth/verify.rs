//! Verifies tokens. The algorithm comes from the keys, never from the token (contract §3).

use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header};
use serde_json::{Map, Value};

use super::cache::GoodTokens;
use super::flaw::{Flaw, InvalidToken};
use super::identity::Identity;
use super::jwk::SetKey;
use super::key::{self, Key};
use super::key_set::KeySet;
use super::members::Members;
use crate::config::{SettingsError, TokenSettings, problem};

/// How far a clock may be off, in seconds.
pub(super) const LEEWAY: u64 = 30;

/// Verifies tokens with the configured keys, each for its own algorithm only.
pub struct Verifier {
    /// The keys that are part of the settings.
    keys: Vec<Key>,
    /// The keys of whoever else signs tokens.
    set: Option<KeySet>,
    /// What holds for tokens of each algorithm.
    rules: [Validation; 4],
    account_claim: String,
    good: GoodTokens,
}

impl Verifier {
    /// A verifier for the configured keys.
    ///
    /// # Errors
    /// A key or an algorithm that is malformed, missing, or does not fit the other.
    pub fn new(settings: &TokenSettings) -> Result<Self, SettingsError> {
        let mut problems = vec![];
        let only = noted(settings.algorithm.as_deref().map(key::algorithm).transpose(), &mut problems).flatten();
        let keys = noted(key::of_settings(settings, only), &mut problems).unwrap_or_default();
        let set = settings.key_set.as_ref().map(|source| KeySet::new(source, only)).transpose();
        let set = noted(set, &mut problems).flatten();
        if !problems.is_empty() {
            return Err(SettingsError(problems));
        }
        if let Some(only) = only
            && keys.is_empty()
            && !set.as_ref().is_some_and(|set| set.may_hold(only))
        {
            return Err(problem("JWT_ALGORITHM", &format!("is {only:?}, but no key of that kind is set")));
        }
        let account_claim = settings.account_claim.clone();
        let rules = key::ALGORITHMS.map(|algorithm| rules(algorithm, settings));
        Ok(Self { keys, set, rules, account_claim, good: GoodTokens::new() })
    }

    /// Whom `token` speaks for. Waits, but not long, where it names a key that has to be fetched first.
    ///
    /// # Errors
    /// Why it is not good.
    pub async fn verify(&self, token: &str) -> Result<Identity, InvalidToken> {
        match self.good.get(token) {
            Some(identity) => Ok(identity),
            None => self.verify_anew(token).await,
        }
    }

    /// Keeps keys that come from elsewhere up to date, for as long as it is polled.
    pub async fn keep_keys_fresh(&self) {
        match &self.set {
            Some(set) => set.keep_fresh().await,
            None => std::future::pending().await,
        }
    }

    async fn verify_anew(&self, token: &str) -> Result<Identity, InvalidToken> {
        let header = decode_header(token)?;
        Members::of_header(token)?.refuse_extensions()?;
        let mut identity = self.verify_with_keys_at_hand(token, &header)?;
        if identity.is_none()
            && let Some(set) = &self.set
            && may_be_of_a_new_key(set, &header)
            && set.look_again().await
        {
            identity = self.verify_with_keys_at_hand(token, &header)?;
        }
        identity.ok_or_else(|| {
            let flaw = if self.has_key_for(&header) { Flaw::Signature } else { Flaw::Key };
            InvalidToken(flaw, "no key of its algorithm and name verifies it".to_owned())
        })
    }

    /// Whether there is a key that a token with this header could be signed by.
    fn has_key_for(&self, header: &Header) -> bool {
        let is_in_set = || self.set.as_ref().is_some_and(|set| set.find(header.kid.as_deref(), header.alg).is_some());
        self.keys.iter().any(|key| key.algorithm == header.alg) || is_in_set()
    }

    /// `None`: none of the keys has signed it.
    fn verify_with_keys_at_hand(&self, token: &str, header: &Header) -> Result<Option<Identity>, InvalidToken> {
        let of_set = self.set.as_ref().and_then(|set| set.find(header.kid.as_deref(), header.alg));
        if let Some(of_set) = &of_set
            && let Some(claims) = self.claims(token, &of_set.key)?
        {
            return self.identity(token, &claims, Some(of_set)).map(Some);
        }
        for key in self.keys.iter().filter(|key| key.algorithm == header.alg) {
            if let Some(claims) = self.claims(token, key)? {
                return self.identity(token, &claims, None).map(Some);
            }
        }
        Ok(None)
    }

    /// The claims of a token that this key has signed; `None`: it has not.
    fn claims(&self, token: &str, key: &Key) -> Result<Option<Map<String, Value>>, InvalidToken> {
        let rules = self.rules.iter().find(|rules| rules.algorithms.contains(&key.algorithm));
        let Some(rules) = rules else { return Ok(None) };
        let claims = match decode::<Members>(token, &key.key, rules) {
            Ok(token) => token.claims.0,
            Err(error) if *error.kind() == ErrorKind::InvalidSignature => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if rules.iss.is_some() && !claims.get("iss").is_some_and(Value::is_string) {
            return Err(InvalidToken(Flaw::Issuer, "its issuer is no string".to_owned()));
        }
        Ok(Some(claims))
    }

    /// Whom good claims speak for. The token is remembered for as long as it is good, and its key.
    fn identity(
        &self,
        token: &str,
        claims: &Map<String, Value>,
        of_set: Option<&Arc<SetKey>>,
    ) -> Result<Identity, InvalidToken> {
        let identity = Identity::of_claims(claims, &self.account_claim)?;
        if let Some(expires) = claims.get("exp").and_then(Value::as_f64) {
            self.good.remember(token, &identity, expires, of_set);
        }
        Ok(identity)
    }
}

/// What is good, or notes why it is not: all that is wrong is said at once.
fn noted<T>(outcome: Result<T, SettingsError>, problems: &mut Vec<String>) -> Option<T> {
    outcome.map_err(|SettingsError(lines)| problems.extend(lines)).ok()
}

/// Whether a token that no key verifies may be signed by one that has joined the set. One that names a key of the set is
/// not: it is a forgery.
fn may_be_of_a_new_key(set: &KeySet, header: &Header) -> bool {
    let is_known = header.kid.is_some() && set.find(header.kid.as_deref(), header.alg).is_some();
    set.may_hold(header.alg) && !is_known
}

fn rules(algorithm: Algorithm, settings: &TokenSettings) -> Validation {
    let mut rules = Validation::new(algorithm);
    rules.leeway = LEEWAY;
    rules.validate_nbf = true;
    rules.validate_aud = settings.audience.is_some();
    let mut required = vec!["exp"];
    if let Some(issuer) = &settings.issuer {
        rules.set_issuer(&[issuer]);
        required.push("iss");
    }
    if let Some(audience) = &settings.audience {
        rules.set_audience(&[audience]);
        required.push("aud");
    }
    rules.set_required_spec_claims(&required);
    rules
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
    use crate::auth::samples::{KeyPair, pem};
    use crate::config::Secret;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    /// RSA keys of 512 and 1024 bits.
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
        let token = encode(&Header::default(), claims, &key).expect("signs");
        verify_now(&Verifier::new(settings).expect("a good key"), &token)
    }

    /// What a verifier says that has no keys to wait for.
    fn verify_now(verifier: &Verifier, token: &str) -> Result<Identity, InvalidToken> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(verifier.verify(token))
    }

    fn in_seconds(seconds: i64) -> i64 {
        chrono::Utc::now().timestamp() + seconds
    }

    #[test]
    fn takes_the_tokens_that_the_signer_makes() {
        let settings = TokenSettings {
            issuer: Some("i".into()),
            audience: Some("a".into()),
            account_claim: "tenant".into(),
            ..settings()
        };
        let account = Uuid::now_v7();
        let signer = Signer::new(&Secret::new(SECRET), &settings);
        let token = signer.sign(account, Some("u1"), Duration::from_secs(60)).expect("signs");
        let identity = verify_now(&Verifier::new(&settings).expect("a good key"), &token);
        let expected = Identity { account: Some(account), actor: Some("u1".into()), scopes: None, client: None };
        assert_eq!(identity, Ok(expected));
    }

    #[test]
    fn takes_an_account_only_as_a_uuid() {
        let id = Uuid::now_v7();
        for account in [json!(null), json!(""), json!(42), json!("acme"), json!(id.simple().to_string()), json!([id])] {
            let identity = verify(&settings(), &json!({"exp": in_seconds(60), "account_id": account})).expect("valid");
            assert_eq!(identity.account, None, "{account}");
        }
        let identity =
            verify(&settings(), &json!({"exp": in_seconds(60), "account_id": id.to_string().to_uppercase()}));
        assert_eq!(identity.expect("valid").account, Some(id));
    }

    #[test]
    fn honours_the_times_with_a_leeway_of_30_seconds() {
        let is_good = |claims: Value| verify(&settings(), &claims).is_ok();
        assert!(is_good(json!({"exp": in_seconds(-20)})));
        assert!(!is_good(json!({"exp": in_seconds(-40)})));
        assert!(is_good(json!({"exp": in_seconds(60), "nbf": in_seconds(20)})));
        assert!(!is_good(json!({"exp": in_seconds(60), "nbf": in_seconds(50)})));
        assert!(!is_good(json!({})));
        assert!(!is_good(json!({"exp": "tomorrow"})));
        assert!(!is_good(json!({"exp": null})));
    }

    #[test]
    fn checks_issuer_and_audience_when_they_are_set() {
        let strict = TokenSettings { issuer: Some("us".into()), audience: Some("crm".into()), ..settings() };
        let is_good = |settings, iss: Value, aud: Value| {
            verify(settings, &json!({"exp": in_seconds(60), "iss": iss, "aud": aud})).is_ok()
        };
        assert!(is_good(&strict, json!("us"), json!("crm")));
        assert!(is_good(&strict, json!("us"), json!(["erp", "crm"])));
        assert!(!is_good(&strict, json!("them"), json!("crm")));
        assert!(!is_good(&strict, json!("us"), json!("erp")));
        assert!(verify(&strict, &json!({"exp": in_seconds(60)})).is_err());
        assert!(is_good(&settings(), json!("anyone"), json!("anything")));
    }

    #[test]
    fn refuses_other_algorithms_extensions_and_damaged_tokens() {
        let verifier = Verifier::new(&settings()).expect("a good key");
        let claims = json!({"exp": in_seconds(60)});
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let good = encode(&Header::default(), &claims, &key).expect("signs");
        assert!(verify_now(&verifier, &good).is_ok());
        let longer = encode(&Header::new(Algorithm::HS512), &claims, &key).expect("signs");
        let critical = Header { crit: Some(vec!["exp".into()]), ..Header::default() };
        let critical = encode(&critical, &claims, &key).expect("signs");
        let stranger =
            encode(&Header::default(), &claims, &EncodingKey::from_secret(b"another secret")).expect("signs");
        let mut parts = good.split('.');
        let (head, body) = (parts.next().expect("a header"), parts.next().expect("claims"));
        // {"alg":"none"}
        let unsigned = format!("eyJhbGciOiJub25lIn0.{body}.");
        for token in [
            longer,
            critical,
            stranger,
            unsigned,
            format!("{head}.{body}."),
            format!("{head}.{body}"),
            good[..good.len() - 4].to_owned(),
            format!("{good}.x"),
            String::new(),
            "ä.b.c".into(),
        ] {
            assert!(verify_now(&verifier, &token).is_err(), "{token}");
        }
    }

    #[test]
    fn takes_tokens_of_every_public_key_algorithm_but_each_key_its_own_only() {
        let claims = json!({"exp": in_seconds(60)});
        let pairs = KeyPair::of_each_algorithm();
        for KeyPair { algorithm, pem, .. } in &pairs {
            // With a secret besides: a token signed with HS256 by the public key, which anyone has, must not pass.
            let settings = TokenSettings { public_key: Some(pem.replace('\n', "\\n")), ..settings() };
            let verifier = Verifier::new(&settings).expect("a good key");
            for other in &pairs {
                let is_good = verify_now(&verifier, &other.sign(None, &claims)).is_ok();
                assert_eq!(is_good, other.algorithm == *algorithm, "{:?} by {algorithm:?}", other.algorithm);
            }
            let confused =
                encode(&Header::default(), &claims, &EncodingKey::from_secret(pem.as_bytes())).expect("signs");
            assert!(verify_now(&verifier, &confused).is_err());
            assert!(verify(&settings, &claims).is_ok());
            let name = format!("{algorithm:?}");
            let only = TokenSettings { algorithm: Some(name), ..settings };
            assert!(verify(&only, &claims).is_err());
        }
    }

    #[test]
    fn refuses_keys_that_verify_nothing() {
        let refuses = |pem: String| {
            let settings = TokenSettings { public_key: Some(pem), ..settings() };
            Verifier::new(&settings).is_err_and(|error| error.to_string().starts_with("JWT_PUBLIC_KEY"))
        };
        let larger = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect("a key");
        assert!(refuses(pem("PUBLIC KEY", larger.public_key().as_der().expect("DER").as_ref())));
        assert!(refuses(KeyPair::ed25519().pem.replace("PUBLIC", "PRIVATE")));
        for weak in WEAK_RSA_KEYS {
            assert!(refuses(format!("-----BEGIN PUBLIC KEY-----\n{weak}\n-----END PUBLIC KEY-----\n")));
        }
    }

    #[test]
    fn takes_the_previous_secret_too_and_signs_with_the_present_one() {
        const PREVIOUS: &str = "fedcba9876543210fedcba9876543210";
        let rotated = TokenSettings { previous_secret: Some(Secret::new(PREVIOUS)), ..settings() };
        let verifier = Verifier::new(&rotated).expect("good keys");
        let by = |secret: &str, claims: Value| {
            encode(&Header::default(), &claims, &EncodingKey::from_secret(secret.as_bytes())).expect("signs")
        };
        for secret in [SECRET, PREVIOUS] {
            assert!(verify_now(&verifier, &by(secret, json!({"exp": in_seconds(60)}))).is_ok());
            assert!(verify_now(&verifier, &by(secret, json!({"exp": in_seconds(-60)}))).is_err());
        }
        assert!(verify_now(&verifier, &by("a third one", json!({"exp": in_seconds(60)}))).is_err());
        let signer = Signer::for_clients(&rotated).expect("a secret");
        let token = signer.sign(Uuid::now_v7(), None, Duration::from_secs(60)).expect("signs");
        assert!(verify_now(&Verifier::new(&settings()).expect("a good key"), &token).is_ok());
    }

    #[test]
    fn refuses_keys_and_algorithms_that_do_not_fit() {
        let of = |change: fn(&mut TokenSettings)| {
            let mut settings = settings();
            change(&mut settings);
            Verifier::new(&settings).err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert!(of(|settings| settings.algorithm = Some("none".into())).starts_with("JWT_ALGORITHM"));
        assert!(of(|settings| settings.algorithm = Some("RS256".into())).starts_with("JWT_ALGORITHM"));
        assert!(of(|settings| settings.public_key = Some("/nowhere.pem".into())).starts_with("JWT_PUBLIC_KEY"));
        assert!(
            of(|settings| settings.public_key =
                Some("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----".into()))
            .starts_with("JWT_PUBLIC_KEY")
        );
    }
}
