//! The lines on which unique values were imported, to name them when a later row has the same value.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use crate::contacts::UniqueKey;
use crate::fields::FieldId;

/// The line of each unique key. Stores hashes, so that long values take no more memory than short ones.
#[derive(Debug, Default)]
pub(super) struct KeyLines {
    hasher: RandomState,
    lines: HashMap<u64, u64, BuildHasherDefault<IdentityHasher>>,
}

/// Hashes numbers that are hashes already. To hash them again would take a noticeable part of the time of an import.
#[derive(Debug, Default)]
struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl KeyLines {
    /// Adds the keys of a row.
    pub(super) fn add(&mut self, keys: &[UniqueKey], line: u64) {
        for key in keys {
            self.lines.entry(self.hasher.hash_one(key)).or_insert(line);
        }
    }

    /// Returns the line of the row that had the same value of a field. `keys` are the keys of the present row.
    pub(super) fn line_of_field(&self, keys: &[UniqueKey], field: FieldId) -> Option<u64> {
        let key = keys.iter().find(|key| key.field == field)?;
        self.lines.get(&self.hasher.hash_one(key)).copied()
    }
}
