//! Verifies tokens. The algorithm comes from the configuration, never from the token (contract §3).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};

use super::cache::GoodTokens;
use super::flaw::{Flaw, InvalidToken};
use super::identity::Identity;
use crate::config::{SettingsError, TokenSettings, problem};

/// How far a clock may be off, in seconds.
pub(super) const LEEWAY: u64 = 30;

/// The DER form of an RSA public key of 2048 bits: the modulus and some 14 bytes around it.
const MIN_RSA_DER_BYTES: usize = 256;
/// An uncompressed point of P-256.
const P256_POINT_BYTES: usize = 65;

/// Verifies tokens with the configured keys, each for its own algorithm only.
pub struct Verifier {
    keys: Vec<Key>,
    account_claim: String,
    good: GoodTokens,
}

struct Key {
    algorithm: Algorithm,
    key: DecodingKey,
    validation: Validation,
}

impl Verifier {
    /// A verifier for the configured keys.
    ///
    /// # Errors
    /// A key or an algorithm that is malformed, missing, or does not fit the other.
    pub fn new(settings: &TokenSettings) -> Result<Self, SettingsError> {
        let mut keys = Vec::new();
        if let Some(secret) = &settings.secret {
            keys.push((Algorithm::HS256, DecodingKey::from_secret(secret.expose().as_bytes())));
        }
        if let Some(public_key) = &settings.public_key {
            keys.push(read_public_key(public_key)?);
        }
        if let Some(name) = &settings.algorithm {
            let only = algorithm(name)?;
            keys.retain(|(algorithm, _)| *algorithm == only);
            if keys.is_empty() {
                return Err(problem("JWT_ALGORITHM", &format!("is {name}, but no key of that kind is set")));
            }
        }
        let with_rules = |(algorithm, key)| Key { algorithm, key, validation: rules(algorithm, settings) };
        Ok(Self {
            keys: keys.into_iter().map(with_rules).collect(),
            account_claim: settings.account_claim.clone(),
            good: GoodTokens::new(),
        })
    }

    /// Whom `token` speaks for.
    ///
    /// # Errors
    /// Why it is not good.
    pub fn verify(&self, token: &str) -> Result<Identity, InvalidToken> {
        match self.good.get(token) {
            Some(identity) => Ok(identity),
            None => self.verify_anew(token),
        }
    }

    fn verify_anew(&self, token: &str) -> Result<Identity, InvalidToken> {
        let header = decode_header(token)?;
        if names_critical_extensions(token) {
            return Err(InvalidToken(Flaw::Malformed, "it has critical extensions".to_owned()));
        }
        let key = self.keys.iter().find(|key| key.algorithm == header.alg);
        let key = key.ok_or_else(|| InvalidToken(Flaw::Key, "its algorithm is not the configured one".to_owned()))?;
        let claims = decode::<Map<String, Value>>(token, &key.key, &key.validation)?.claims;
        if key.validation.iss.is_some() && !claims.get("iss").is_some_and(Value::is_string) {
            return Err(InvalidToken(Flaw::Issuer, "its issuer is no string".to_owned()));
        }
        let identity = Identity::of_claims(&claims, &self.account_claim)?;
        if let Some(expires) = claims.get("exp").and_then(Value::as_f64) {
            self.good.remember(token, &identity, expires);
        }
        Ok(identity)
    }
}

/// Whether the header has `crit`, whatever it holds: we know no extension (RFC 7515 §4.1.11).
fn names_critical_extensions(token: &str) -> bool {
    let header = token.split('.').next().and_then(|header| URL_SAFE_NO_PAD.decode(header).ok());
    let header = header.and_then(|header| serde_json::from_slice::<Map<String, Value>>(&header).ok());
    header.is_none_or(|header| header.contains_key("crit"))
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

fn algorithm(name: &str) -> Result<Algorithm, SettingsError> {
    match name {
        "HS256" => Ok(Algorithm::HS256),
        "RS256" => Ok(Algorithm::RS256),
        "ES256" => Ok(Algorithm::ES256),
        "EdDSA" => Ok(Algorithm::EdDSA),
        _ => Err(problem("JWT_ALGORITHM", "must be HS256, RS256, ES256 or EdDSA")),
    }
}

/// A public key and the algorithm of its kind, from PEM or the path of a file that holds it.
fn read_public_key(setting: &str) -> Result<(Algorithm, DecodingKey), SettingsError> {
    let pem = if setting.contains("-----BEGIN") {
        // A variable in a `.env` file often has its line breaks escaped.
        setting.replace("\\n", "\n").into_bytes()
    } else {
        std::fs::read(setting)
            .map_err(|_| problem("JWT_PUBLIC_KEY", "is neither PEM nor the path of a file that can be read"))?
    };
    let malformed =
        || problem("JWT_PUBLIC_KEY", "is no public key of RSA (2048 bits or more), EC (P-256) or Ed25519 in PEM");
    // The parsers take private keys too; and sizes that no signature is verified with.
    if !String::from_utf8_lossy(&pem).contains("PUBLIC KEY-----") {
        return Err(malformed());
    }
    let has_length = |key: &DecodingKey, length: std::ops::RangeFrom<usize>| {
        key.try_get_as_bytes().is_ok_and(|bytes| length.contains(&bytes.len()))
    };
    let as_rsa = || DecodingKey::from_rsa_pem(&pem).ok().filter(|key| has_length(key, MIN_RSA_DER_BYTES..));
    let as_ec = || {
        DecodingKey::from_ec_pem(&pem)
            .ok()
            .filter(|key| has_length(key, 1..) && !has_length(key, P256_POINT_BYTES + 1..))
    };
    let as_ed = || DecodingKey::from_ed_pem(&pem).ok();
    None.or_else(|| as_rsa().map(|key| (Algorithm::RS256, key)))
        .or_else(|| as_ec().map(|key| (Algorithm::ES256, key)))
        .or_else(|| as_ed().map(|key| (Algorithm::EdDSA, key)))
        .ok_or_else(malformed)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
        RsaKeyPair,
    };
    use base64::engine::general_purpose::STANDARD;
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::auth::Signer;
    use crate::config::Secret;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn settings() -> TokenSettings {
        TokenSettings::with_secret(Secret::new(SECRET))
    }

    fn verify(settings: &TokenSettings, claims: &Value) -> Result<Identity, InvalidToken> {
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let token = encode(&Header::default(), claims, &key).expect("signs");
        Verifier::new(settings).expect("a good key").verify(&token)
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
        let identity = Verifier::new(&settings).expect("a good key").verify(&token);
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
        assert!(verifier.verify(&good).is_ok());
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
            assert!(verifier.verify(&token).is_err(), "{token}");
        }
    }

    fn pem(label: &str, der: &[u8]) -> String {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
    }

    /// A fresh key pair of each public-key algorithm: algorithm, public key as PEM, private key.
    fn key_pairs() -> [(Algorithm, String, EncodingKey); 3] {
        let ed = Ed25519KeyPair::generate().expect("a key");
        let ed_public = pem("PUBLIC KEY", ed.public_key().as_der().expect("DER").as_ref());
        let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        let ec_public = pem("PUBLIC KEY", ec.public_key().as_der().expect("DER").as_ref());
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
        let rsa_public =
            pem("PUBLIC KEY", AsDer::<PublicKeyX509Der<'_>>::as_der(rsa.public_key()).expect("DER").as_ref());
        let rsa_private = pem("PRIVATE KEY", AsDer::<Pkcs8V1Der<'_>>::as_der(&rsa).expect("DER").as_ref());
        [
            (Algorithm::EdDSA, ed_public, EncodingKey::from_ed_der(ed.to_pkcs8().expect("DER").as_ref())),
            (Algorithm::ES256, ec_public, EncodingKey::from_ec_der(ec.to_pkcs8v1().expect("DER").as_ref())),
            (Algorithm::RS256, rsa_public, EncodingKey::from_rsa_pem(rsa_private.as_bytes()).expect("PEM")),
        ]
    }

    #[test]
    fn takes_tokens_of_every_public_key_algorithm_but_each_key_its_own_only() {
        let claims = json!({"exp": in_seconds(60)});
        let pairs = key_pairs();
        for (algorithm, public, _) in &pairs {
            // With a secret besides: a token signed with HS256 by the public key, which anyone has, must not pass.
            let settings = TokenSettings { public_key: Some(public.replace('\n', "\\n")), ..settings() };
            let verifier = Verifier::new(&settings).expect("a good key");
            for (other, _, private) in &pairs {
                let token = encode(&Header::new(*other), &claims, private).expect("signs");
                assert_eq!(verifier.verify(&token).is_ok(), other == algorithm, "{other:?} by {algorithm:?}");
            }
            let confused =
                encode(&Header::default(), &claims, &EncodingKey::from_secret(public.as_bytes())).expect("signs");
            assert!(verifier.verify(&confused).is_err());
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
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
        assert!(refuses(pem("PRIVATE KEY", AsDer::<Pkcs8V1Der<'_>>::as_der(&rsa).expect("DER").as_ref())));
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
