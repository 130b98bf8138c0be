//! The hash of a row's values, by which a repeated import recognizes rows without a key.

use sha2::{Digest, Sha256};

use super::cell_values;
use crate::fields::{FieldId, Registry, Value};

/// The hash of the values of a row. It depends neither on the file nor on the order of the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowHash([u8; 16]);

impl RowHash {
    /// Returns the hash of these values, and of the values of fields that do not exist yet: once they exist, the hash is the
    /// same.
    pub(super) fn from_values(
        changes: &[(FieldId, Option<Value>)],
        new_values: &[(String, String)],
        registry: &Registry,
    ) -> Self {
        let mut values: Vec<_> = changes
            .iter()
            .filter_map(|(id, value)| {
                let field = registry.by_id(*id)?;
                Some((&*field.internal_name, cell_values::format(field, value.as_ref()?)))
            })
            .collect();
        values.extend(new_values.iter().map(|(name, value)| (name.as_str(), value.as_str().into())));
        values.sort_unstable();
        let mut hash = Sha256::new();
        for (name, value) in values {
            // The lengths separate the texts.
            for text in [name, &*value] {
                hash.update((text.len() as u64).to_be_bytes());
                hash.update(text);
            }
        }
        Self(first_half(hash))
    }

    /// Returns the key of the row that has this number of equal rows before it in the file.
    #[must_use]
    pub fn key(self, equal_rows_before: u32) -> uuid::Uuid {
        let hash = Sha256::new().chain_update(self.0).chain_update(equal_rows_before.to_be_bytes());
        uuid::Uuid::from_bytes(first_half(hash))
    }
}

fn first_half(hash: Sha256) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&hash.finalize()[..16]);
    half
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::{registry_fixtures as fixtures, system};

    #[test]
    fn hash_depends_on_the_values_and_not_on_their_order() {
        let registry = fixtures::registry();
        let text = |text: &str| Some(Value::Text(text.into()));
        let hash = |changes: &[_]| RowHash::from_values(changes, &[], &registry);
        let ada = hash(&[(system::FIRST_NAME, text("Ada")), (system::LAST_NAME, text("L"))]);
        assert_eq!(ada, hash(&[(system::LAST_NAME, text("L")), (system::FIRST_NAME, text("Ada"))]));
        assert_ne!(ada, hash(&[(system::FIRST_NAME, text("L")), (system::LAST_NAME, text("Ada"))]));
        let new = ("last_name".to_owned(), "L".to_owned());
        assert_eq!(ada, RowHash::from_values(&[(system::FIRST_NAME, text("Ada"))], &[new], &registry));
        assert_ne!(ada.key(0), ada.key(1));
        assert_eq!(ada.key(1), ada.key(1));
    }
}
