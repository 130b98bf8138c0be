//! Unique keys: what active contacts of an account can't share, and what a write does to them.

use uuid::Uuid;

use crate::fields::{Field, FieldId, Registry, Value, Values};

/// A value of a unique field in the form it is compared by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UniqueKey {
    /// The unique field.
    pub field: FieldId,
    /// The value as the field's rule compares it: emails in lower case, numbers by value, others exactly.
    pub key: String,
}

/// A key that a write needs, but that another active contact holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collision {
    /// The unique field.
    pub field: FieldId,
    /// The contact that holds the key; `None` for one that would have been created by the same request.
    pub existing_id: Option<Uuid>,
}

/// The keys that a write claims, and those it gives up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyChanges {
    /// Keys the contact did not hold before, in order.
    pub claimed: Vec<UniqueKey>,
    /// Keys the contact no longer holds.
    pub released: Vec<UniqueKey>,
}

impl UniqueKey {
    /// The key of this value of a field.
    #[must_use]
    pub fn of(field: &Field, value: &Value) -> Self {
        Self { field: field.id, key: field.kind.unique_key(value) }
    }
}

impl KeyChanges {
    /// The keys that a contact with `values` holds while active, as claims.
    #[must_use]
    pub fn of_new(values: &Values, registry: &Registry) -> Self {
        Self::between(&Values::default(), values, registry)
    }

    /// The keys that a contact with `values` held, as given up.
    #[must_use]
    pub fn of_gone(values: &Values, registry: &Registry) -> Self {
        Self::between(values, &Values::default(), registry)
    }

    /// What a change of values claims and gives up.
    #[must_use]
    pub fn between(old: &Values, new: &Values, registry: &Registry) -> Self {
        let mut changes = Self::default();
        for field in registry.unique_fields() {
            let (before, after) = (old.get(field.id), new.get(field.id));
            if before == after {
                continue;
            }
            let key_of = |value| UniqueKey::of(field, value);
            let (before, after) = (before.map(key_of), after.map(key_of));
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
    use crate::fields::{registry_samples as samples, system};

    fn values(pairs: &[(FieldId, &str)]) -> Values {
        let mut values = Values::default();
        pairs.iter().for_each(|(field, text)| values.set(*field, Some(Value::Text((*text).to_owned()))));
        values
    }

    fn key(field: FieldId, key: &str) -> UniqueKey {
        UniqueKey { field, key: key.to_owned() }
    }

    #[test]
    fn claims_and_releases_only_keys_that_change() {
        let badge = FieldId(102);
        let old = values(&[(system::EMAIL, "Ada@Example.com"), (system::EXTERNAL_ID, "a"), (badge, "X")]);
        let new =
            values(&[(system::EMAIL, "ada@example.com"), (system::EXTERNAL_ID, "A"), (system::FIRST_NAME, "Ada")]);
        let changes = KeyChanges::between(&old, &new, &samples::registry());
        assert_eq!(changes.claimed, [key(system::EXTERNAL_ID, "A")]);
        assert_eq!(changes.released, [key(system::EXTERNAL_ID, "a"), key(badge, "X")]);
    }

    #[test]
    fn a_new_contact_claims_all_its_keys_in_order() {
        let new = values(&[(FieldId(102), "X"), (system::EMAIL, "A@b.CD")]);
        let changes = KeyChanges::of_new(&new, &samples::registry());
        assert_eq!(changes.claimed, [key(system::EMAIL, "a@b.cd"), key(FieldId(102), "X")]);
    }
}
