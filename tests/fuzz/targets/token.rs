//! A token. The input is either a complete token, or `header␤claims`, which the target signs. A token without a valid
//! signature is never accepted, and the identity of an accepted token agrees with its claims.

use std::future::Future;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use contacts::auth::{Identity, InvalidToken, Verifier};
use contacts::config::{KeySetSource, Secret, TokenSettings};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

const SECRET: &str = "a secret for fuzzing that is long enough";
/// The public key of RFC 7515, appendix A.3. `ED25519` is the public key of RFC 8037, appendix A, as a key set.
const P256: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n-----END PUBLIC KEY-----";
const ED25519: &str =
    r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

/// The tokens that were signed with the two private keys. Any other accepted token is a forgery.
const SIGNED: [&str; 2] =
    [include_str!("../../../fuzz/corpus/token/signed_es256"), include_str!("../../../fuzz/corpus/token/signed_eddsa")];

pub fn token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some((header, claims)) = text.split_once('\n') {
        check_signed(header, claims);
    } else if verify(text).is_ok() {
        let (message, signature) = text.rsplit_once('.').unwrap();
        let has_own_signature =
            BASE64.decode(signature).is_ok_and(|tag| hmac::verify(&key(), message.as_bytes(), &tag).is_ok());
        assert!(
            has_own_signature || SIGNED.iter().any(|signed| signed.starts_with(&format!("{message}."))),
            "forged: {text}"
        );
    }
}

/// Signs a token with the right key, and checks that it is accepted only when its header and claims are valid.
fn check_signed(header: &str, claims: &str) {
    let message = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
    let tag = hmac::sign(&key(), message.as_bytes());
    let Ok(identity) = verify(&format!("{message}.{}", BASE64.encode(tag))) else { return };
    let [header, claims]: [Value; 2] = [header, claims].map(|json| serde_json::from_str(json).unwrap());
    assert!(header["alg"] == "HS256" && header.get("crit").is_none(), "{header}");
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    assert!(claims["exp"].as_f64().is_some_and(|expires| expires >= now - 31.0), "{claims}");
    assert!(claims["nbf"].as_f64().is_none_or(|starts| starts <= now + 31.0), "{claims}");
    expect_identity_matches_claims(&identity, &claims);
}

/// Checks that an identity agrees with the claims of its token.
fn expect_identity_matches_claims(identity: &Identity, claims: &Value) {
    let account = claims["account_id"].as_str().unwrap_or_default();
    assert!(identity.account.is_none_or(|id| id.to_string() == account.to_ascii_lowercase()), "{claims}");
    assert_eq!(identity.actor.as_deref().unwrap_or_default(), claims["sub"].as_str().unwrap_or_default());
    assert_eq!(identity.scopes.is_some(), claims.get("scope").is_some(), "{claims}");
    let granted = identity.scopes.as_ref().map(ToString::to_string).unwrap_or_default();
    let names = claims["scope"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let claimed: Vec<_> = claims["scope"].as_str().unwrap_or_default().split_ascii_whitespace().chain(names).collect();
    assert!(granted.split(' ').all(|scope| scope.is_empty() || claimed.contains(&scope)), "{granted} of {claims}");
}

fn key() -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes())
}

/// Verifies a token without waiting for key sets: a token whose key has to be fetched is not accepted.
fn verify(token: &str) -> Result<Identity, Option<InvalidToken>> {
    static VERIFIER: LazyLock<(Runtime, Verifier)> = LazyLock::new(|| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, ED25519).unwrap();
        let key_set = Some(KeySetSource::File(file.path().into()));
        let own = TokenSettings::with_secret(Secret::new(SECRET));
        let settings = TokenSettings { public_key: Some(P256.into()), key_set, ..own };
        (Builder::new_current_thread().enable_time().build().unwrap(), Verifier::new(&settings).unwrap())
    });
    let (runtime, verifier) = &*VERIFIER;
    let _entered = runtime.enter();
    match std::pin::pin!(verifier.verify(token)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome.map_err(Some),
        Poll::Pending => Err(None),
    }
}
