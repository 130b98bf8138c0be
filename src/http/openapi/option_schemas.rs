//! The schemas of the options of an account's fields. Each field has one, which reads and writes share, so that
//! generated clients have one type for it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::fields::Field;

/// The total length of the options that a document lists. Fields beyond it accept any option in their schema, so that
/// an account with very many options does not have a document of many megabytes.
const MAX_OPTION_BYTES: usize = 256 * 1024;

/// The named schemas of the options of fields.
#[derive(Debug, Clone, Default)]
pub(super) struct OptionSchemas<'a> {
    /// The fields whose options are listed, by the names of their schemas.
    fields: BTreeMap<String, &'a Field>,
}

impl<'a> OptionSchemas<'a> {
    /// Names the schema of each field with options. `other_schemas` are the names of the document's other schemas.
    ///
    /// The oldest field gets its name first. So a new field never changes the name of another field's schema.
    pub(super) fn new<'b>(fields: &'a [Arc<Field>], other_schemas: impl IntoIterator<Item = &'b String>) -> Self {
        let mut names = UniqueNames::default();
        other_schemas.into_iter().for_each(|name| names.insert(name));
        let mut ordered: Vec<&Field> =
            fields.iter().map(|field| &**field).filter(|field| !field.options.is_empty()).collect();
        ordered.sort_by_key(|field| (field.created_at, &field.internal_name));
        let mut option_bytes = 0;
        let mut named = BTreeMap::new();
        for field in ordered {
            option_bytes += field.options.iter().map(|option| option.internal_name.len()).sum::<usize>();
            if option_bytes <= MAX_OPTION_BYTES {
                named.insert(names.add(&(pascal_case(&field.internal_name) + "Option")), field);
            }
        }
        Self { fields: named }
    }

    /// Returns the schema of one option of a field, for use in another schema.
    pub(super) fn reference(&self, field: &Field) -> Value {
        let name = self.fields.iter().find(|(_, named)| named.id == field.id).map(|(name, _)| name);
        name.map_or_else(|| json!({"type": "string"}), |name| json!({"$ref": format!("#/components/schemas/{name}")}))
    }

    /// Returns each schema with its name.
    pub(super) fn schemas(&self) -> impl Iterator<Item = (String, Value)> {
        self.fields.iter().map(|(name, field)| {
            let options: Vec<_> = field.options.iter().map(|option| &option.internal_name).collect();
            (name.clone(), json!({"type": "string", "enum": options}))
        })
    }
}

/// Names of schemas that stay different when a client generator changes their case, and when it derives other names
/// from them: Go has a type `NullableX` and a function `NewX` for a schema `X`.
#[derive(Default)]
struct UniqueNames(HashSet<String>);

impl UniqueNames {
    /// Adds a name, with a number if it is taken, and returns it.
    fn add(&mut self, name: &str) -> String {
        let numbered = (2..).map(|number| format!("{name}{number}"));
        let free = std::iter::once(name.to_owned()).chain(numbered).find(|name| self.is_free(name)).unwrap_or_default();
        self.insert(&free);
        free
    }

    fn insert(&mut self, name: &str) {
        self.0.extend(derived_names(name));
    }

    fn is_free(&self, name: &str) -> bool {
        derived_names(name).iter().all(|name| !self.0.contains(name))
    }
}

fn derived_names(name: &str) -> [String; 3] {
    let name = name.to_ascii_lowercase();
    [format!("new{name}"), format!("nullable{name}"), name]
}

/// Returns `shoe_size` as `ShoeSize`.
fn pascal_case(internal_name: &str) -> String {
    let upper = |word: &str| {
        word.split_at_checked(1).map(|(first, rest)| first.to_ascii_uppercase() + rest).unwrap_or_default()
    };
    internal_name.split('_').map(upper).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::registry_fixtures as fixtures;
    use crate::fields::{FieldOption, Kind};

    fn names(internal_names: &[&str]) -> Vec<String> {
        let options = vec![FieldOption::new("red", "Red")];
        let fields: Vec<_> = (100..)
            .zip(internal_names)
            .map(|(id, name)| {
                Arc::new(Field { options: options.clone(), ..fixtures::custom(id, name, Kind::Dropdown) })
            })
            .collect();
        let schemas = OptionSchemas::new(&fields, [&"Contact".to_owned(), &"FieldOption".to_owned()]);
        let name =
            |field| schemas.reference(field)["$ref"].as_str().unwrap_or_default().rsplit('/').next().map(str::to_owned);
        fields.iter().filter_map(|field| name(field)).collect()
    }

    #[test]
    fn option_schemas_have_names_that_no_generator_confuses() {
        assert_eq!(names(&["shoe_size", "tier"]), ["ShoeSizeOption", "TierOption"]);
        assert_eq!(names(&["a_b", "ab"]), ["ABOption", "AbOption2"]);
        assert_eq!(names(&["field"]), ["FieldOption2"]);
        assert_eq!(names(&["nullable_tier", "tier"]), ["NullableTierOption", "TierOption2"]);
        assert_eq!(names(&["new_tier", "tier"]), ["NewTierOption", "TierOption2"]);
    }
}
