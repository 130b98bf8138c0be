//! Keys that verify tokens: a shared secret, or a public key as PEM. Each is of one algorithm, which its kind decides.

use jsonwebtoken::{Algorithm, DecodingKey};

use crate::config::{SettingsError, TokenSettings, problem};

/// Every algorithm that is taken at all.
pub(super) const ALGORITHMS: [Algorithm; 4] = [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

/// The shortest RSA modulus that is taken, in bytes (RFC 7518 §3.3).
pub(super) const MIN_RSA_BYTES: usize = 2_048 / 8;
/// An uncompressed point of P-256.
pub(super) const P256_POINT_BYTES: usize = 65;

/// A key, and the only algorithm that it verifies.
pub(super) struct Key {
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

/// The keys that are part of the settings, but for those of other algorithms than `only`.
///
/// # Errors
/// A public key that is malformed, or no such file.
pub(super) fn of_settings(settings: &TokenSettings, only: Option<Algorithm>) -> Result<Vec<Key>, SettingsError> {
    let secrets = settings.secret.iter().chain(&settings.previous_secret);
    let hmac = |bytes: &[u8]| Key { algorithm: Algorithm::HS256, key: DecodingKey::from_secret(bytes) };
    let mut keys: Vec<_> = secrets.map(|secret| hmac(secret.expose().as_bytes())).collect();
    if let Some(public_key) = &settings.public_key {
        keys.push(read_public_key(public_key)?);
    }
    keys.retain(|key| only.is_none_or(|only| key.algorithm == only));
    Ok(keys)
}

/// The algorithm that `JWT_ALGORITHM` names.
///
/// # Errors
/// A name of none that is taken.
pub(super) fn algorithm(name: &str) -> Result<Algorithm, SettingsError> {
    let taken = name.parse().ok().filter(|algorithm| ALGORITHMS.contains(algorithm));
    taken.ok_or_else(|| problem("JWT_ALGORITHM", "must be HS256, RS256, ES256 or EdDSA"))
}

/// A public key and the algorithm of its kind, from PEM or the path of a file that holds it.
fn read_public_key(setting: &str) -> Result<Key, SettingsError> {
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
    // Of RSA it is DER: the modulus, and some 14 bytes around it.
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
        .map(|(algorithm, key)| Key { algorithm, key })
        .ok_or_else(malformed)
}
