//! The secret of an API client. The command line prints it once, and the database stores its hash.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::Secret;

const SECRET_BYTES: usize = 32;
const HASH_BYTES: usize = 32;

/// Generates a secret of 256 random bits, as 43 characters of base64url.
///
/// # Errors
/// Fails if the operating system provides no randomness.
pub fn generate_secret() -> Result<Secret, getrandom::Error> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(bytes)))
}

/// The SHA-256 hash of a secret. A slow password hash is not needed: 256 random bits cannot be guessed, however fast
/// the hash is.
#[derive(Clone)]
pub struct SecretHash([u8; HASH_BYTES]);

impl SecretHash {
    /// Hashes `secret`.
    #[must_use]
    pub fn from_secret(secret: &Secret) -> Self {
        Self(Sha256::digest(secret.expose().as_bytes()).into())
    }

    /// Reads a stored hash. Returns `None` if the length is wrong.
    #[must_use]
    pub fn from_stored(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Returns the bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns whether this is the hash of `secret`. The comparison takes constant time.
    #[must_use]
    pub fn matches(&self, secret: &Secret) -> bool {
        self.0.ct_eq(&Self::from_secret(secret).0).into()
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[hidden]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_secrets_differ_and_match_only_their_own_hash() {
        let (secret, other) = (generate_secret().expect("randomness"), generate_secret().expect("randomness"));
        assert_eq!(secret.expose().len(), 43);
        assert_ne!(secret, other);
        let hash = SecretHash::from_stored(SecretHash::from_secret(&secret).as_bytes()).expect("a hash");
        assert!(hash.matches(&secret));
        assert!(!hash.matches(&other) && !hash.matches(&Secret::new("")));
        assert!(SecretHash::from_stored(&[0; 31]).is_none());
    }

    #[test]
    fn secret_and_hash_are_hidden_in_debug_output() {
        let secret = generate_secret().expect("randomness");
        assert_eq!(format!("{:?} {secret:?}", SecretHash::from_secret(&secret)), "[hidden] [hidden]");
    }
}
