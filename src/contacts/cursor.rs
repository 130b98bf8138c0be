//! How places in a list are given to callers: opaque, without expiry, good for one list of one account only.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use uuid::Uuid;

const FINGERPRINT_LENGTH: usize = 8;

/// Tells lists apart without putting what they look for into the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint([u8; FINGERPRINT_LENGTH]);

impl Fingerprint {
    /// The fingerprint of an account's list that these parts tell from every other.
    pub(super) fn new<'a>(account: Uuid, parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hasher = Sha256::new_with_prefix(account.as_bytes());
        parts.into_iter().for_each(|part| hasher.update(part));
        let mut print = [0; FINGERPRINT_LENGTH];
        print.copy_from_slice(&hasher.finalize()[..FINGERPRINT_LENGTH]);
        Self(print)
    }

    /// The cursor of a place in this list.
    pub(super) fn seal(self, place: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode([place, &self.0].concat())
    }

    /// The place that a cursor stands for. `None` for a text that is no cursor, or one of another list.
    pub(super) fn open(self, cursor: &str) -> Option<Vec<u8>> {
        let mut bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let print = bytes.split_off(bytes.len().checked_sub(FINGERPRINT_LENGTH)?);
        (print == self.0).then_some(bytes)
    }
}
