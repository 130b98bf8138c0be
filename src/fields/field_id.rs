//! The id of a field, under which its values are stored.

/// The id of a field. An account never uses an id twice, so the values of a deleted field cannot come back under a new
/// field of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldId(pub i32);

impl FieldId {
    /// The id of an account's first custom field. Lower ids belong to the system fields.
    pub const FIRST_CUSTOM: i32 = 100;

    /// Returns whether this is the id of a custom field.
    #[must_use]
    pub fn is_custom(self) -> bool {
        self.0 >= Self::FIRST_CUSTOM
    }
}
