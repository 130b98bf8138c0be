//! Keys that verify tokens: shared secrets and PEM public keys. Each key has one algorithm, which its type determines.

use jsonwebtoken::{Algorithm, DecodingKey};

use crate::config::{SettingsError, TokenSettings};

/// The supported algorithms.
pub(super) const ALGORITHMS: [Algorithm; 4] = [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

/// The minimum length of an RSA modulus, in bytes (RFC 7518 §3.3).
pub(super) const MIN_RSA_BYTES: usize = 2_048 / 8;
/// The length of an uncompressed point of P-256, in bytes.
pub(super) const P256_POINT_BYTES: usize = 65;

/// A key, and the only algorithm whose signatures it verifies.
pub(super) struct VerificationKey {
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

/// Reads the keys that are part of the settings. If `only_algorithm` is set, keys of other algorithms are left out.
///
/// # Errors
/// Fails if the public key is malformed or its file cannot be read.
pub(super) fn read_configured_keys(
    settings: &TokenSettings,
    only_algorithm: Option<Algorithm>,
) -> Result<Vec<VerificationKey>, SettingsError> {
    let secrets = settings.secret.iter().chain(&settings.previous_secret);
    let hmac_key = |bytes: &[u8]| VerificationKey { algorithm: Algorithm::HS256, key: DecodingKey::from_secret(bytes) };
    let mut keys: Vec<_> = secrets.map(|secret| hmac_key(secret.expose().as_bytes())).collect();
    if let Some(public_key) = &settings.public_key {
        keys.push(read_public_key(public_key)?);
    }
    keys.retain(|key| only_algorithm.is_none_or(|only| key.algorithm == only));
    Ok(keys)
}

/// Parses the value of `JWT_ALGORITHM`.
///
/// # Errors
/// Fails if the algorithm is not supported.
pub(super) fn parse_algorithm(name: &str) -> Result<Algorithm, SettingsError> {
    let supported = name.parse().ok().filter(|algorithm| ALGORITHMS.contains(algorithm));
    supported.ok_or_else(|| SettingsError::new("JWT_ALGORITHM", "must be HS256, RS256, ES256 or EdDSA"))
}

/// Reads a public key from PEM or from the file at a path. The type of the key determines its algorithm.
fn read_public_key(setting: &str) -> Result<VerificationKey, SettingsError> {
    let pem = if setting.contains("-----BEGIN") {
        // In a `.env` file, line breaks are often escaped.
        setting.replace("\\n", "\n").into_bytes()
    } else {
        std::fs::read(setting)
            .map_err(|_| SettingsError::new("JWT_PUBLIC_KEY", "must be PEM or the path of a readable file"))?
    };
    let malformed = || {
        let rule = "must be the PEM of an RSA (2048 bits or more), EC (P-256) or Ed25519 public key";
        SettingsError::new("JWT_PUBLIC_KEY", rule)
    };
    // The parsers also accept private keys, and key sizes with which no signature can be verified.
    if !String::from_utf8_lossy(&pem).contains("PUBLIC KEY-----") {
        return Err(malformed());
    }
    let has_length = |key: &DecodingKey, length: std::ops::RangeFrom<usize>| {
        key.try_get_as_bytes().is_ok_and(|bytes| length.contains(&bytes.len()))
    };
    // The bytes of an RSA key are DER: the modulus and about 14 other bytes.
    let as_rsa = || DecodingKey::from_rsa_pem(&pem).ok().filter(|key| has_length(key, MIN_RSA_BYTES..));
    let as_ec = || {
        DecodingKey::from_ec_pem(&pem)
            .ok()
            .filter(|key| has_length(key, 1..) && !has_length(key, P256_POINT_BYTES + 1..))
    };
    let as_ed = || DecodingKey::from_ed_pem(&pem).ok();
    None.or_else(|| as_rsa().map(|key| (Algorithm::RS256, key)))
        .or_else(|| as_ec().map(|key| (Algorithm::ES256, key)))
        .or_else(|| as_ed().map(|key| (Algorithm::EdDSA, key)))
        .map(|(algorithm, key)| VerificationKey { algorithm, key })
        .ok_or_else(malformed)
}
