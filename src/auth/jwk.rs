//! JWK Sets (RFC 7517): parses a set and selects the keys that can verify tokens.
//!
//! A set belongs to the token issuer and may contain keys for other purposes. Keys that cannot verify tokens are
//! ignored.

use std::sync::Arc;

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::verification_key::{MIN_RSA_BYTES, P256_POINT_BYTES, VerificationKey};

/// The maximum length of an RSA modulus, in bytes: the library verifies no signature with a longer one.
const MAX_RSA_BYTES: usize = 8_192 / 8;
/// The maximum length of an RSA exponent, in bytes. Longer exponents only make verification slow.
const MAX_EXPONENT_BYTES: usize = 8;
const ED25519_BYTES: usize = 32;

/// Accepts padding, which some issuers add although the RFC forbids it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A key of a JWK Set.
pub(super) struct PublishedKey {
    /// The id by which tokens refer to the key.
    pub(super) kid: Option<String>,
    pub(super) key: VerificationKey,
    /// The raw key, to detect whether the key has changed.
    material: Vec<u8>,
}

/// The error for a document that contains no usable JWK Set.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidKeySet {
    #[error("the document is not a JWK Set")]
    Malformed,
    #[error("the JWK Set contains no usable key (unusable keys: {0})")]
    Unusable(usize),
}

#[derive(Deserialize)]
struct KeySetDocument {
    keys: Vec<Value>,
}

/// A public key as described in a set (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    /// Present in private keys only.
    d: Option<IgnoredAny>,
}

/// Parses a JWK Set and returns its usable keys. If `only_algorithm` is set, keys of other algorithms are ignored.
///
/// A key that is unchanged since the last fetch is returned as the same `Arc` as in `current`. Tokens that it verified
/// therefore stay in the token cache.
///
/// # Errors
/// Fails if the document is not a JWK Set or contains no usable key.
pub(super) fn parse_key_set(
    document: &[u8],
    only_algorithm: Option<Algorithm>,
    current: &[Arc<PublishedKey>],
) -> Result<Vec<Arc<PublishedKey>>, InvalidKeySet> {
    let KeySetDocument { keys: entries } = serde_json::from_slice(document).map_err(|_| InvalidKeySet::Malformed)?;
    let count = entries.len();
    let usable = entries.into_iter().filter_map(PublishedKey::parse);
    let usable = usable.filter(|key| only_algorithm.is_none_or(|only| key.key.algorithm == only));
    let reuse_current = |key: PublishedKey| {
        let unchanged = current.iter().find(|current| current.is_same_key(&key)).cloned();
        unchanged.unwrap_or_else(|| Arc::new(key))
    };
    let keys: Vec<_> = usable.map(reuse_current).collect();
    if keys.is_empty() { Err(InvalidKeySet::Unusable(count)) } else { Ok(keys) }
}

impl PublishedKey {
    /// Parses a key of a set. Returns `None` for a key that has another purpose or must not be trusted.
    fn parse(entry: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(entry).ok()?;
        if jwk.d.is_some() {
            tracing::warn!(kid = jwk.kid, "ignored a private key in the key set; replace it, it is no longer secret");
            return None;
        }
        let is_for_signatures = jwk.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
            && jwk.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
        let (algorithm, key, material) = jwk.decode_key().filter(|_| is_for_signatures)?;
        let has_matching_alg = jwk.alg.as_deref().is_none_or(|alg| algorithm_names(algorithm).contains(&alg));
        has_matching_alg.then_some(Self { kid: jwk.kid, key: VerificationKey { algorithm, key }, material })
    }

    fn is_same_key(&self, other: &Self) -> bool {
        self.kid == other.kid && self.key.algorithm == other.key.algorithm && self.material == other.material
    }
}

/// Returns the names that `alg` of a key may use for the algorithm. EdDSA with Ed25519 has two (RFC 9864 §2.2).
fn algorithm_names(algorithm: Algorithm) -> &'static [&'static str] {
    match algorithm {
        Algorithm::RS256 => &["RS256"],
        Algorithm::ES256 => &["ES256"],
        Algorithm::EdDSA => &["EdDSA", "Ed25519"],
        _ => &[],
    }
}

impl Jwk {
    /// Decodes the key. Returns the algorithm, which the type of the key determines, the key, and the raw key.
    fn decode_key(&self) -> Option<(Algorithm, DecodingKey, Vec<u8>)> {
        match (&*self.kty, self.crv.as_deref()) {
            ("RSA", _) => {
                let (n, e) = (decode_number(self.n.as_deref())?, decode_number(self.e.as_deref())?);
                let has_valid_size =
                    (MIN_RSA_BYTES..=MAX_RSA_BYTES).contains(&n.len()) && (1..=MAX_EXPONENT_BYTES).contains(&e.len());
                let key = has_valid_size.then(|| DecodingKey::from_rsa_raw_components(&n, &e))?;
                Some((Algorithm::RS256, key, [n, e].concat()))
            }
            ("EC", Some("P-256")) => {
                // An uncompressed point (SEC 1 §2.3.3).
                let point = [vec![0x04], decode_bytes(self.x.as_deref())?, decode_bytes(self.y.as_deref())?].concat();
                let key = (point.len() == P256_POINT_BYTES).then(|| DecodingKey::from_ec_der(&point))?;
                Some((Algorithm::ES256, key, point))
            }
            ("OKP", Some("Ed25519")) => {
                let point = decode_bytes(self.x.as_deref()).filter(|point| point.len() == ED25519_BYTES)?;
                Some((Algorithm::EdDSA, DecodingKey::from_ed_der(&point), point))
            }
            _ => None,
        }
    }
}

fn decode_bytes(text: Option<&str>) -> Option<Vec<u8>> {
    BASE64.decode(text?).ok()
}

/// Decodes a number and removes leading zeros. Some issuers send them, and they would make a short key look longer.
fn decode_number(text: Option<&str>) -> Option<Vec<u8>> {
    let bytes = decode_bytes(text)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    Some(bytes[zeros..].to_vec())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::fixtures::KeyPair;

    /// Parses a set of these entries and returns the `kid` and the algorithm of each usable key.
    fn usable_keys(keys: Value) -> Result<Vec<(Option<String>, Algorithm)>, InvalidKeySet> {
        let keys = parse_key_set(json!({"keys": keys}).to_string().as_bytes(), None, &[])?;
        Ok(keys.iter().map(|key| (key.kid.clone(), key.key.algorithm)).collect())
    }

    /// Returns the key with some members changed. A null removes the member.
    fn with_members(key: &Value, changes: Value) -> Value {
        let mut key = key.clone();
        for (name, value) in changes.as_object().expect("a JSON object") {
            key[name] = value.clone();
        }
        key.as_object_mut().expect("a JSON object").retain(|_, value| !value.is_null());
        key
    }

    #[test]
    fn key_is_usable_only_with_the_algorithm_of_its_type() {
        for pair in KeyPair::generate_all() {
            let jwk = pair.jwk("k1");
            let expected = Ok(vec![(Some("k1".to_owned()), pair.algorithm)]);
            let name = format!("{:?}", pair.algorithm);
            assert_eq!(usable_keys(json!([jwk])), expected);
            let metadata = json!({"use": "sig", "alg": name, "key_ops": ["verify"], "x5c": ["…"], "ext": true});
            assert_eq!(usable_keys(json!([with_members(&jwk, metadata)])), expected);
            assert_eq!(
                usable_keys(json!([with_members(&jwk, json!({"kid": null}))])),
                Ok(vec![(None, pair.algorithm)])
            );
            for other in ["RS256", "RS512", "PS256", "ES256", "EdDSA", "HS256", "none", ""] {
                let is_usable = usable_keys(json!([with_members(&jwk, json!({"alg": other}))])).is_ok();
                assert_eq!(is_usable, other == name, "{other}");
            }
        }
    }

    #[test]
    fn unusable_keys_are_ignored() {
        let [ed, ec, rsa] = KeyPair::generate_all().map(|pair| pair.jwk("k1"));
        let n = decode_bytes(rsa["n"].as_str()).expect("a modulus");
        let short = BASE64.encode(&n[..MIN_RSA_BYTES - 1]);
        let padded = BASE64.encode([&[0], &n[..MIN_RSA_BYTES - 1]].concat());
        let unusable = [
            with_members(&rsa, json!({"use": "enc"})),
            with_members(&rsa, json!({"key_ops": ["encrypt"]})),
            with_members(&rsa, json!({"d": "AQAB"})),
            with_members(&rsa, json!({"n": null})),
            with_members(&rsa, json!({"n": "not base64!"})),
            with_members(&rsa, json!({"e": "AAAA"})),
            with_members(&rsa, json!({"e": "B".repeat(100)})),
            with_members(&rsa, json!({"kid": 7})),
            with_members(&rsa, json!({"n": short})),
            with_members(&rsa, json!({"n": padded})),
            with_members(&ec, json!({"crv": "P-384"})),
            with_members(&ec, json!({"x": "AQAB"})),
            with_members(&ed, json!({"crv": "X25519"})),
            with_members(&ed, json!({"x": "AQAB"})),
            with_members(&ed, json!({"d": "AQAB"})),
            json!({"kty": "oct", "kid": "k1", "k": "c2VjcmV0"}),
            json!({"kty": "AKP", "kid": "k1", "alg": "ML-DSA-44", "pub": "AQAB"}),
            json!({"kid": "k1"}),
            json!("k1"),
            json!(null),
        ];
        for jwk in &unusable {
            assert_eq!(usable_keys(json!([jwk])), Err(InvalidKeySet::Unusable(1)), "{jwk}");
        }
        let with_a_usable_key = [&unusable[..], &[with_members(&ed, json!({"kid": "good"}))]].concat();
        assert_eq!(usable_keys(json!(with_a_usable_key)), Ok(vec![(Some("good".to_owned()), Algorithm::EdDSA)]));
    }

    #[test]
    fn document_without_a_key_set_is_rejected() {
        assert_eq!(usable_keys(json!([])), Err(InvalidKeySet::Unusable(0)));
        for document in ["", "<html>", "[]", "null", "{}", r#"{"keys": {}}"#, r#"{"keys": [}"#] {
            assert_eq!(
                parse_key_set(document.as_bytes(), None, &[]).err(),
                Some(InvalidKeySet::Malformed),
                "{document}"
            );
        }
    }

    #[test]
    fn unchanged_keys_are_reused_and_changed_keys_are_not() {
        let [first, second, third] = KeyPair::generate_all();
        let set = |keys: &[Value]| json!({"keys": keys}).to_string().into_bytes();
        let before = parse_key_set(&set(&[first.jwk("a"), second.jwk("b")]), None, &[]).expect("keys");
        let after =
            parse_key_set(&set(&[third.jwk("b"), first.jwk("a"), second.jwk("c")]), None, &before).expect("keys");
        assert!(Arc::ptr_eq(&before[0], &after[1]));
        assert!(!before.iter().any(|key| Arc::ptr_eq(key, &after[0]) || Arc::ptr_eq(key, &after[2])));
        let only =
            parse_key_set(&set(&[third.jwk("b"), first.jwk("a")]), Some(Algorithm::EdDSA), &before).expect("keys");
        assert!(only.len() == 1 && only[0].key.algorithm == Algorithm::EdDSA);
    }
}
