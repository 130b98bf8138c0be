//! Tests of the verification of tokens.

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
    let identity = identity.expect("a valid token");
    let seconds = identity.expires_at.expect("a time").timestamp() - chrono::Utc::now().timestamp();
    assert!((50..=61).contains(&seconds), "{seconds}");
    let expected =
        Identity { account: Some(account), actor: Some("u1".into()), scopes: None, client: None, ..identity.clone() };
    assert_eq!(identity, expected);
}

#[test]
fn account_claim_that_is_not_a_uuid_is_no_account() {
    let id = Uuid::now_v7();
    for account in [json!(null), json!(""), json!(42), json!("acme"), json!(id.simple().to_string()), json!([id])] {
        let identity =
            verify(&settings(), &json!({"exp": in_seconds(60), "account_id": account})).expect("a valid token");
        assert_eq!(identity.account, None, "{account}");
    }
    let identity = verify(&settings(), &json!({"exp": in_seconds(60), "account_id": id.to_string().to_uppercase()}));
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
        error_with(
            |settings| settings.public_key = Some("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----".into())
        )
        .starts_with("JWT_PUBLIC_KEY")
    );
}
