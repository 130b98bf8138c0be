//! Unique keys, which no two active contacts of an account may share, and the keys that a write claims or releases
//! (`docs/api-reference.md#comparison-and-trimming`).

use uuid::Uuid;

use crate::fields::{Field, FieldId, Registry, Value, Values};

/// A value of a unique field, in the form that is compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UniqueKey {
    /// The unique field.
    pub field: FieldId,
    /// The value in the form that the field's type compares: emails in lower case, numbers by value, others exactly.
    pub key: String,
}

/// A key that a write claims but another active contact holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collision {
    /// The unique field.
    pub field: FieldId,
    /// The contact that holds the key; `None` for a contact that the same request would have created.
    pub existing_id: Option<Uuid>,
}

/// The keys that a write claims and releases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyChanges {
    /// The keys that the contact did not hold before, sorted.
    pub claimed: Vec<UniqueKey>,
    /// The keys that the contact no longer holds.
    pub released: Vec<UniqueKey>,
}

impl UniqueKey {
    /// Returns the key of a value of this field.
    #[must_use]
    pub fn from_value(field: &Field, value: &Value) -> Self {
        Self { field: field.id, key: field.kind.unique_key(value) }
    }
}

impl KeyChanges {
    /// Returns the keys that a contact with `values` claims when it becomes active.
    #[must_use]
    pub fn for_new(values: &Values, registry: &Registry) -> Self {
        Self::between(&Values::default(), values, registry)
    }

    /// Returns the keys that a contact with `values` releases when it is no longer active.
    #[must_use]
    pub fn for_removed(values: &Values, registry: &Registry) -> Self {
        Self::between(values, &Values::default(), registry)
    }

    /// Returns the keys that a change from `old` to `new` values claims and releases.
    #[must_use]
    pub fn between(old: &Values, new: &Values, registry: &Registry) -> Self {
        let mut changes = Self::default();
        for field in registry.unique_fields() {
            let (before, after) = (old.get(field.id), new.get(field.id));
            if before == after {
                continue;
            }
            let key = |value| UniqueKey::from_value(field, value);
            let (before, after) = (before.map(key), after.map(key));
            if before != after {
                changes.released.extend(before);
                changes.claimed.extend(after);
            }
        }
        changes.claimed.sort_unstable();
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::{registry_fixtures as fixtures, system};

    fn values(pairs: &[(FieldId, &str)]) -> Values {
        let mut values = Values::default();
        pairs.iter().for_each(|(field, text)| values.set(*field, Some(Value::Text((*text).into()))));
        values
    }

    fn key(field: FieldId, key: &str) -> UniqueKey {
        UniqueKey { field, key: key.to_owned() }
    }

    #[test]
    fn change_of_values_claims_and_releases_only_changed_keys() {
        let badge = FieldId(102);
        let old = values(&[(system::EMAIL, "Ada@Example.com"), (system::EXTERNAL_ID, "a"), (badge, "X")]);
        let new =
            values(&[(system::EMAIL, "ada@example.com"), (system::EXTERNAL_ID, "A"), (system::FIRST_NAME, "Ada")]);
        let changes = KeyChanges::between(&old, &new, &fixtures::registry());
        assert_eq!(changes.claimed, [key(system::EXTERNAL_ID, "A")]);
        assert_eq!(changes.released, [key(system::EXTERNAL_ID, "a"), key(badge, "X")]);
    }

    #[test]
    fn new_contact_claims_all_its_keys_sorted() {
        let new = values(&[(FieldId(102), "X"), (system::EMAIL, "A@b.CD")]);
        let changes = KeyChanges::for_new(&new, &fixtures::registry());
        assert_eq!(changes.claimed, [key(system::EMAIL, "a@b.cd"), key(FieldId(102), "X")]);
    }
}
