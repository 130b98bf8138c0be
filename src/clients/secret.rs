//! The secret of an API client: shown once, kept as a hash.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::Secret;

const SECRET_BYTES: usize = 32;
const HASH_BYTES: usize = 32;

/// A new secret: 256 random bits, as 43 characters of base64url.
///
/// # Errors
/// That the system gives no randomness.
pub fn new_secret() -> Result<Secret, getrandom::Error> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(bytes)))
}

/// The hash of a secret. One pass of SHA-256 is enough: nobody guesses 256 random bits, however fast the hash.
#[derive(Clone)]
pub struct SecretHash([u8; HASH_BYTES]);

impl SecretHash {
    /// The hash of `secret`.
    #[must_use]
    pub fn of(secret: &Secret) -> Self {
        Self(Sha256::digest(secret.expose().as_bytes()).into())
    }

    /// A hash as it was stored; `None` when it has another length.
    #[must_use]
    pub fn from_stored(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// What is stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the hash of `secret`. Takes the same time wherever they differ.
    #[must_use]
    pub fn matches(&self, secret: &Secret) -> bool {
        self.0.ct_eq(&Self::of(secret).0).into()
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
    fn is_random_and_known_again_by_its_hash() {
        let (secret, other) = (new_secret().expect("randomness"), new_secret().expect("randomness"));
        assert_eq!(secret.expose().len(), 43);
        assert_ne!(secret, other);
        let hash = SecretHash::from_stored(SecretHash::of(&secret).as_bytes()).expect("a hash");
        assert!(hash.matches(&secret));
        assert!(!hash.matches(&other) && !hash.matches(&Secret::new("")));
        assert!(SecretHash::from_stored(&[0; 31]).is_none());
    }

    #[test]
    fn does_not_print() {
        let secret = new_secret().expect("randomness");
        assert_eq!(format!("{:?} {secret:?}", SecretHash::of(&secret)), "[hidden] [hidden]");
    }
}
