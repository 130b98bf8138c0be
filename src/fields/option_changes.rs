//! The options that a write adds to a `multi_select` value and removes from it
//! (`docs/api-reference.md#field-types`).

use super::Value;

/// Options to add and to remove. No option is in both lists; each list is sorted, without duplicates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OptionChanges {
    /// The internal names of the options to add.
    pub add: Vec<String>,
    /// The internal names of the options to remove.
    pub remove: Vec<String>,
}

impl OptionChanges {
    /// Returns the value after the changes; `None` if no option is left.
    #[must_use]
    pub fn apply(&self, value: Option<&Value>) -> Option<Value> {
        let current = if let Some(Value::Options(names)) = value { &**names } else { &[] };
        let mut names: Vec<_> =
            current.iter().filter(|name| !self.remove.contains(name)).chain(&self.add).cloned().collect();
        names.sort_unstable();
        names.dedup();
        (!names.is_empty()).then(|| Value::Options(names.into()))
    }

    /// Returns the value that the options to add would be on their own: the most by which the changes enlarge a value.
    #[must_use]
    pub fn added_value(&self) -> Option<Value> {
        (!self.add.is_empty()).then(|| Value::Options(self.add.as_slice().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_added_to_the_current_value_and_removed_from_it() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let value = |list: &[&str]| Some(Value::Options(names(list).into()));
        let changes = OptionChanges { add: names(&["blue", "red"]), remove: names(&["green"]) };
        assert_eq!(changes.apply(None), value(&["blue", "red"]));
        assert_eq!(changes.apply(value(&["green", "red", "white"]).as_ref()), value(&["blue", "red", "white"]));
        let removal = OptionChanges { remove: names(&["green"]), ..OptionChanges::default() };
        assert_eq!(removal.apply(value(&["green"]).as_ref()), None);
        assert_eq!(removal.apply(None), None);
    }
}
