//! The lines on which unique values were imported, to name them when a later row has the same value.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use crate::contacts::UniqueKey;
use crate::fields::FieldId;

/// The line of each unique key. Stores hashes, so that long values take no more memory than short ones.
#[derive(Debug, Default)]
pub(super) struct KeyLines {
    hasher: RandomState,
    lines: HashMap<u64, u64>,
    /// The hashes and lines that are not in `lines` yet. Most imports never look for a line.
    added: Vec<(u64, u64)>,
}

impl KeyLines {
    /// Adds the keys of a row.
    pub(super) fn add(&mut self, keys: &[UniqueKey], line: u64) {
        self.added.extend(keys.iter().map(|key| (self.hasher.hash_one(key), line)));
    }

    /// Returns the line of the row that had the same value of a field. `keys` are the keys of the present row.
    pub(super) fn line_of_field(&mut self, keys: &[UniqueKey], field: FieldId) -> Option<u64> {
        let key = keys.iter().find(|key| key.field == field)?;
        for (hash, line) in self.added.drain(..) {
            // The first of several lines counts.
            self.lines.entry(hash).or_insert(line);
        }
        self.lines.get(&self.hasher.hash_one(key)).copied()
    }
}
