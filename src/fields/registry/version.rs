//! The version of a registry.

use uuid::Uuid;

/// The number of bits of the tag.
const TAG_BITS: u32 = 32;

/// The version of a registry: a counter of its changes, and a random tag of the last one.
///
/// After a failover that has lost writes, or when an older backup is restored, the database reaches the same counter again with
/// other fields. The tags differ, so a write that was validated against a registry of the lost history is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RegistryVersion(i64);

impl RegistryVersion {
    /// Returns the version from its stored form: the counter is in the upper half, and the tag in the lower one. Versions of
    /// builds without tags have the counter 0, and what they counted as the tag.
    #[must_use]
    pub fn from_stored(stored: i64) -> Self {
        Self(stored)
    }

    /// Returns the stored form.
    #[must_use]
    pub fn stored(self) -> i64 {
        self.0
    }

    /// Returns the version after another change.
    #[must_use]
    pub fn next(self) -> Self {
        let tag = Uuid::new_v4().as_u128() & u128::from(u32::MAX);
        let tag = i64::try_from(tag).unwrap_or_default();
        Self(((self.0 >> TAG_BITS) + 1) << TAG_BITS | tag)
    }

    /// Returns whether this version comes before another one of the same history.
    #[must_use]
    pub fn is_before(self, other: Self) -> bool {
        self.0 >> TAG_BITS < other.0 >> TAG_BITS
    }

    /// Returns whether this is a version, or a later one of the same history.
    #[must_use]
    pub fn includes(self, other: Self) -> bool {
        self == other || other.is_before(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_two_histories_differ() {
        let first = RegistryVersion::default().next();
        let (ours, theirs) = (first.next(), first.next());
        assert_ne!(ours, theirs);
        assert!(!ours.is_before(theirs) && !theirs.is_before(ours));
        assert!(first.is_before(ours) && ours.includes(first) && !ours.includes(theirs));
        assert_eq!(RegistryVersion::from_stored(ours.stored()), ours);
    }

    #[test]
    fn version_of_a_build_without_tags_is_before_the_next_one() {
        let stored = RegistryVersion::from_stored(7);
        assert!(stored.is_before(stored.next()));
        assert_ne!(stored, RegistryVersion::from_stored(8));
    }
}
