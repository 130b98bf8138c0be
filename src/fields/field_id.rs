//! The id of a field, under which its values are stored.

use uuid::Uuid;

/// The id of a field. The ids of custom fields are random, so that a deleted field, or a field of a history that the database has
/// lost, has another id than every later field: its values cannot come back under a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldId(pub i32);

impl FieldId {
    /// The lowest id of custom fields. Lower ids belong to the system fields.
    pub const FIRST_CUSTOM: i32 = 100;
    /// The lowest random id. Lower ids were counted by older builds.
    const FIRST_RANDOM: i32 = 1_000_000;
    /// The number of random ids. More digits would make each stored value longer.
    const RANDOM_IDS: u32 = 1 << 24;

    /// Returns a random id for a custom field.
    #[must_use]
    pub fn random() -> Self {
        let random = Uuid::new_v4().as_u128() % u128::from(Self::RANDOM_IDS);
        Self(Self::FIRST_RANDOM + i32::try_from(random).unwrap_or_default())
    }

    /// Returns whether this is the id of a custom field.
    #[must_use]
    pub fn is_custom(self) -> bool {
        self.0 >= Self::FIRST_CUSTOM
    }
}
