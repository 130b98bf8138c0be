//! The custom fields of which a read needs the values. Contacts can have hundreds of custom fields, and most reads need
//! none of them.

use std::collections::BTreeSet;

use super::{FieldId, Selection};

/// A set of custom fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CustomSelection {
    /// These fields.
    Only(BTreeSet<FieldId>),
    /// All fields.
    All,
}

impl Default for CustomSelection {
    fn default() -> Self {
        Self::Only(BTreeSet::new())
    }
}

impl CustomSelection {
    /// Returns whether the set contains this custom field.
    #[must_use]
    pub fn contains(&self, field: FieldId) -> bool {
        match self {
            Self::All => true,
            Self::Only(fields) => fields.contains(&field),
        }
    }

    /// Adds fields. Fields that are not custom fields are ignored.
    pub fn add(&mut self, fields: impl IntoIterator<Item = FieldId>) {
        if let Self::Only(selected) = self {
            selected.extend(fields.into_iter().filter(|field| field.is_custom()));
        }
    }

    /// Adds the fields of another selection.
    pub fn add_all(&mut self, other: &Self) {
        match other {
            Self::All => *self = Self::All,
            Self::Only(fields) => self.add(fields.iter().copied()),
        }
    }
}

impl From<&Selection> for CustomSelection {
    /// Returns the custom fields in a selection of properties.
    fn from(selection: &Selection) -> Self {
        let mut custom = Self::default();
        custom.add(selection.extra().iter().map(|field| field.id));
        custom
    }
}

#[cfg(test)]
mod tests {
    use super::super::registry::fixtures;
    use super::*;

    #[test]
    fn custom_selection_contains_only_the_custom_fields_of_the_properties() {
        let selection = Selection::parse(["phone", "shoe_size"], &fixtures::registry()).expect("known properties");
        let mut custom = CustomSelection::from(&selection);
        assert_eq!(custom, CustomSelection::Only(BTreeSet::from([FieldId(100)])));
        custom.add([FieldId(3), FieldId(101)]);
        assert_eq!(custom, CustomSelection::Only(BTreeSet::from([FieldId(100), FieldId(101)])));
        custom.add_all(&CustomSelection::All);
        custom.add([FieldId(102)]);
        assert_eq!(custom, CustomSelection::All);
    }
}
