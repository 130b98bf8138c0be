//! Encodes positions in lists as cursors. A cursor is opaque to callers, does not expire, and is valid for one list of
//! one account only.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use uuid::Uuid;

const FINGERPRINT_LENGTH: usize = 8;

/// A hash that identifies a list. A cursor contains this hash instead of the filters of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint([u8; FINGERPRINT_LENGTH]);

impl Fingerprint {
    /// Computes the fingerprint of the account's list that these parts identify.
    pub(super) fn new<'a>(account: Uuid, parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hasher = Sha256::new_with_prefix(account.as_bytes());
        parts.into_iter().for_each(|part| hasher.update(part));
        let mut fingerprint = [0; FINGERPRINT_LENGTH];
        fingerprint.copy_from_slice(&hasher.finalize()[..FINGERPRINT_LENGTH]);
        Self(fingerprint)
    }

    /// Encodes a position in this list as a cursor.
    pub(super) fn encode(self, position: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode([position, &self.0].concat())
    }

    /// Decodes a cursor to a position. Returns `None` if the text is not a cursor of this list.
    pub(super) fn decode(self, cursor: &str) -> Option<Vec<u8>> {
        let mut bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let fingerprint = bytes.split_off(bytes.len().checked_sub(FINGERPRINT_LENGTH)?);
        (fingerprint == self.0).then_some(bytes)
    }
}
