//! JWK Sets (RFC 7517): which keys of one verify tokens here, and of which algorithm each is.
//!
//! A set belongs to whoever signs the tokens, and may hold keys for other purposes. What is no use here is passed over.

use std::sync::Arc;

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::key::{Key, MIN_RSA_BYTES, P256_POINT_BYTES};

/// The longest RSA modulus that signatures are verified with, in bytes.
const MAX_RSA_BYTES: usize = 8_192 / 8;
/// The longest RSA exponent, in bytes: longer ones only make verifying slow.
const MAX_EXPONENT_BYTES: usize = 8;
const ED25519_BYTES: usize = 32;

/// Some issuers pad what the RFC wants unpadded.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A key of a set.
pub(super) struct SetKey {
    /// The name by which tokens refer to it.
    pub(super) kid: Option<String>,
    pub(super) key: Key,
    /// The key itself, to tell whether it is still the same.
    material: Vec<u8>,
}

/// Why a document is no set of keys.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoKeys {
    #[error("it is no JWK Set")]
    Malformed,
    #[error("it holds no key that can be used: {0} passed over")]
    Unusable(usize),
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

/// A public key as the set describes it (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).
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
    /// Only private keys have it.
    d: Option<IgnoredAny>,
}

/// The usable keys of a set, but for those of other algorithms than `only`. A key that is among the `known` ones is
/// taken from there: what was verified by it stays verified.
///
/// # Errors
/// A document that is no set, or has no usable key.
pub(super) fn parse(
    document: &[u8],
    only: Option<Algorithm>,
    known: &[Arc<SetKey>],
) -> Result<Vec<Arc<SetKey>>, NoKeys> {
    let Document { keys: described } = serde_json::from_slice(document).map_err(|_| NoKeys::Malformed)?;
    let count = described.len();
    let usable = described.into_iter().filter_map(SetKey::parse);
    let usable = usable.filter(|key| only.is_none_or(|only| key.key.algorithm == only));
    let same = |key: SetKey| known.iter().find(|known| known.is(&key)).cloned().unwrap_or_else(|| Arc::new(key));
    let keys: Vec<_> = usable.map(same).collect();
    if keys.is_empty() { Err(NoKeys::Unusable(count)) } else { Ok(keys) }
}

impl SetKey {
    /// A key of a set; `None` for one that is for something else, or that should not be trusted.
    fn parse(described: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(described).ok()?;
        if jwk.d.is_some() {
            tracing::warn!(kid = jwk.kid, "the key set holds a private key: it is passed over, replace it");
            return None;
        }
        let is_for_signatures = jwk.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
            && jwk.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
        let (algorithm, key, material) = jwk.key().filter(|_| is_for_signatures)?;
        let is_own_algorithm = jwk.alg.as_deref().is_none_or(|alg| names(algorithm).contains(&alg));
        is_own_algorithm.then_some(Self { kid: jwk.kid, key: Key { algorithm, key }, material })
    }

    fn is(&self, other: &Self) -> bool {
        self.kid == other.kid && self.key.algorithm == other.key.algorithm && self.material == other.material
    }
}

/// What `alg` of a key calls its algorithm. That of Ed25519 has got a second name (RFC 9864 §2.2).
fn names(algorithm: Algorithm) -> &'static [&'static str] {
    match algorithm {
        Algorithm::RS256 => &["RS256"],
        Algorithm::ES256 => &["ES256"],
        Algorithm::EdDSA => &["EdDSA", "Ed25519"],
        _ => &[],
    }
}

impl Jwk {
    /// The algorithm that the kind of the key decides, and the key.
    fn key(&self) -> Option<(Algorithm, DecodingKey, Vec<u8>)> {
        match (&*self.kty, self.crv.as_deref()) {
            ("RSA", _) => {
                let (n, e) = (number(self.n.as_deref())?, number(self.e.as_deref())?);
                let is_good =
                    (MIN_RSA_BYTES..=MAX_RSA_BYTES).contains(&n.len()) && (1..=MAX_EXPONENT_BYTES).contains(&e.len());
                let key = is_good.then(|| DecodingKey::from_rsa_raw_components(&n, &e))?;
                Some((Algorithm::RS256, key, [n, e].concat()))
            }
            ("EC", Some("P-256")) => {
                // An uncompressed point (SEC 1 §2.3.3).
                let point = [vec![0x04], bytes(self.x.as_deref())?, bytes(self.y.as_deref())?].concat();
                let key = (point.len() == P256_POINT_BYTES).then(|| DecodingKey::from_ec_der(&point))?;
                Some((Algorithm::ES256, key, point))
            }
            ("OKP", Some("Ed25519")) => {
                let point = bytes(self.x.as_deref()).filter(|point| point.len() == ED25519_BYTES)?;
                Some((Algorithm::EdDSA, DecodingKey::from_ed_der(&point), point))
            }
            _ => None,
        }
    }
}

fn bytes(text: Option<&str>) -> Option<Vec<u8>> {
    BASE64.decode(text?).ok()
}

/// A number without leading zeros, which some issuers send and which would pass for length.
fn number(text: Option<&str>) -> Option<Vec<u8>> {
    let bytes = bytes(text)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    Some(bytes[zeros..].to_vec())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::samples::KeyPair;

    fn parsed(keys: Value) -> Result<Vec<(Option<String>, Algorithm)>, NoKeys> {
        let keys = parse(json!({"keys": keys}).to_string().as_bytes(), None, &[])?;
        Ok(keys.iter().map(|key| (key.kid.clone(), key.key.algorithm)).collect())
    }

    /// The key with these parts changed; null takes one out.
    fn with(key: &Value, changes: Value) -> Value {
        let mut key = key.clone();
        for (name, value) in changes.as_object().expect("an object") {
            key[name] = value.clone();
        }
        key.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
        key
    }

    #[test]
    fn takes_each_kind_for_its_own_algorithm() {
        for pair in KeyPair::of_each_algorithm() {
            let jwk = pair.jwk("k1");
            let expected = Ok(vec![(Some("k1".to_owned()), pair.algorithm)]);
            let name = format!("{:?}", pair.algorithm);
            assert_eq!(parsed(json!([jwk])), expected);
            let described = json!({"use": "sig", "alg": name, "key_ops": ["verify"], "x5c": ["…"], "ext": true});
            assert_eq!(parsed(json!([with(&jwk, described)])), expected);
            assert_eq!(parsed(json!([with(&jwk, json!({"kid": null}))])), Ok(vec![(None, pair.algorithm)]));
            for other in ["RS256", "RS512", "PS256", "ES256", "EdDSA", "HS256", "none", ""] {
                let taken = parsed(json!([with(&jwk, json!({"alg": other}))])).is_ok();
                assert_eq!(taken, other == name, "{other}");
            }
        }
    }

    #[test]
    fn passes_over_what_is_of_no_use() {
        let [ed, ec, rsa] = KeyPair::of_each_algorithm().map(|pair| pair.jwk("k1"));
        let n = bytes(rsa["n"].as_str()).expect("a modulus");
        let short = BASE64.encode(&n[..MIN_RSA_BYTES - 1]);
        let padded = BASE64.encode([&[0], &n[..MIN_RSA_BYTES - 1]].concat());
        let useless = [
            with(&rsa, json!({"use": "enc"})),
            with(&rsa, json!({"key_ops": ["encrypt"]})),
            with(&rsa, json!({"d": "AQAB"})),
            with(&rsa, json!({"n": null})),
            with(&rsa, json!({"n": "not base64!"})),
            with(&rsa, json!({"e": "AAAA"})),
            with(&rsa, json!({"e": "B".repeat(100)})),
            with(&rsa, json!({"kid": 7})),
            with(&rsa, json!({"n": short})),
            with(&rsa, json!({"n": padded})),
            with(&ec, json!({"crv": "P-384"})),
            with(&ec, json!({"x": "AQAB"})),
            with(&ed, json!({"crv": "X25519"})),
            with(&ed, json!({"x": "AQAB"})),
            with(&ed, json!({"d": "AQAB"})),
            json!({"kty": "oct", "kid": "k1", "k": "c2VjcmV0"}),
            json!({"kty": "AKP", "kid": "k1", "alg": "ML-DSA-44", "pub": "AQAB"}),
            json!({"kid": "k1"}),
            json!("k1"),
            json!(null),
        ];
        for jwk in &useless {
            assert_eq!(parsed(json!([jwk])), Err(NoKeys::Unusable(1)), "{jwk}");
        }
        let among_them = [&useless[..], &[with(&ed, json!({"kid": "good"}))]].concat();
        assert_eq!(parsed(json!(among_them)), Ok(vec![(Some("good".to_owned()), Algorithm::EdDSA)]));
    }

    #[test]
    fn refuses_what_is_no_set() {
        assert_eq!(parsed(json!([])), Err(NoKeys::Unusable(0)));
        for rubbish in ["", "<html>", "[]", "null", "{}", r#"{"keys": {}}"#, r#"{"keys": [}"#] {
            assert_eq!(parse(rubbish.as_bytes(), None, &[]).err(), Some(NoKeys::Malformed), "{rubbish}");
        }
    }

    #[test]
    fn keeps_the_keys_that_are_still_there_and_no_others() {
        let [first, second, third] = KeyPair::of_each_algorithm();
        let set = |keys: &[Value]| json!({"keys": keys}).to_string().into_bytes();
        let before = parse(&set(&[first.jwk("a"), second.jwk("b")]), None, &[]).expect("keys");
        let after = parse(&set(&[third.jwk("b"), first.jwk("a"), second.jwk("c")]), None, &before).expect("keys");
        assert!(Arc::ptr_eq(&before[0], &after[1]));
        assert!(!before.iter().any(|key| Arc::ptr_eq(key, &after[0]) || Arc::ptr_eq(key, &after[2])));
        let only = parse(&set(&[third.jwk("b"), first.jwk("a")]), Some(Algorithm::EdDSA), &before).expect("keys");
        assert!(only.len() == 1 && only[0].key.algorithm == Algorithm::EdDSA);
    }
}
