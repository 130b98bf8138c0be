//! The registry of an account: all system and custom fields, by name and by id.

use std::collections::HashMap;
use std::sync::Arc;

use super::internal_names::distinct_form;
use super::{Field, FieldId, FieldOption, system};
pub use version::RegistryVersion;

mod version;

/// The maximum number of custom fields of an account (`docs/api-reference.md#limits`).
pub const MAX_CUSTOM_FIELDS: usize = 500;
/// The maximum number of unique custom fields of an account (`docs/api-reference.md#limits`).
pub const MAX_UNIQUE_FIELDS: usize = 10;

/// A field of a type that a newer version of the service has stored and that this version does not know. It is not part
/// of the registry: it can neither be read nor written, but its values stay stored and its name stays taken.
#[derive(Debug, Clone)]
pub struct UnsupportedField {
    /// The id under which its values are stored.
    pub id: FieldId,
    /// The name, which no other field of the account can have.
    pub internal_name: String,
    /// The name of its type.
    pub kind: String,
    /// Whether it is unique.
    pub unique: bool,
}

/// Every field of an account at one version of its registry. It is an immutable snapshot.
#[derive(Debug)]
pub struct Registry {
    version: RegistryVersion,
    fields: Vec<Arc<Field>>,
    by_name: HashMap<String, usize>,
    by_id: HashMap<FieldId, usize>,
    unique: Vec<Arc<Field>>,
    unsupported: Vec<UnsupportedField>,
}

impl Registry {
    /// Creates the registry of an account with these custom fields.
    #[must_use]
    pub fn new(version: RegistryVersion, mut custom: Vec<Field>) -> Self {
        custom.sort_by(|a, b| a.internal_name.cmp(&b.internal_name));
        let system: Vec<_> = system::not_hidden_by(&custom).cloned().collect();
        let fields: Vec<_> = system.into_iter().chain(custom.into_iter().map(Arc::new)).collect();
        let by_name = fields.iter().enumerate().map(|(index, field)| (field.internal_name.clone(), index)).collect();
        let by_id = fields.iter().enumerate().map(|(index, field)| (field.id, index)).collect();
        let unique = fields.iter().filter(|field| field.unique && field.writable).cloned().collect();
        Self { version, fields, by_name, by_id, unique, unsupported: vec![] }
    }

    /// Adds the fields of the account whose types this version does not know.
    #[must_use]
    pub fn with_unsupported(self, unsupported: Vec<UnsupportedField>) -> Self {
        Self { unsupported, ..self }
    }

    /// Returns the fields of the account whose types this version does not know.
    #[must_use]
    pub fn unsupported(&self) -> &[UnsupportedField] {
        &self.unsupported
    }

    /// Returns why a field cannot be used although it exists: this version does not know its type. Returns `None` for
    /// all other names.
    #[must_use]
    pub fn unsupported_message(&self, internal_name: &str) -> Option<String> {
        let field = self.unsupported.iter().find(|field| field.internal_name == internal_name)?;
        Some(format!("has the type {}, which this version of the service does not support yet", field.kind))
    }

    /// Returns an estimate of the memory that the registry takes, in bytes.
    #[must_use]
    pub fn estimated_bytes(&self) -> usize {
        /// The entries of the field in the two maps, the reference counters, and the allocations.
        const FIELD_OVERHEAD: usize = 192;
        // System fields are shared by all registries.
        let custom = self.fields.iter().filter(|field| !field.system);
        let field_bytes = |field: &Arc<Field>| {
            let names = 2 * field.internal_name.len() + field.label.len();
            let options: usize = field.options.iter().map(FieldOption::estimated_bytes).sum();
            size_of::<Field>() + FIELD_OVERHEAD + names + options
        };
        let unsupported =
            |field: &UnsupportedField| size_of::<UnsupportedField>() + field.internal_name.len() + field.kind.len();
        size_of::<Self>()
            + custom.map(field_bytes).sum::<usize>()
            + self.unsupported.iter().map(unsupported).sum::<usize>()
    }

    /// Returns the version; the default one for an account that never had a custom field.
    #[must_use]
    pub fn version(&self) -> RegistryVersion {
        self.version
    }

    /// Returns every field: first the system fields, then the custom fields by name.
    #[must_use]
    pub fn fields(&self) -> &[Arc<Field>] {
        &self.fields
    }

    /// Returns the writable fields whose values no two active contacts may share.
    #[must_use]
    pub fn unique_fields(&self) -> &[Arc<Field>] {
        &self.unique
    }

    /// Returns the field with this internal name.
    #[must_use]
    pub fn get(&self, internal_name: &str) -> Option<&Arc<Field>> {
        self.by_name.get(internal_name).map(|index| &self.fields[*index])
    }

    /// Returns the field whose name a generated client could not tell apart from this name, which may be equal to it
    /// (`docs/api-reference.md#fields-api`).
    #[must_use]
    pub fn get_similar(&self, internal_name: &str) -> Option<&Arc<Field>> {
        let form = distinct_form(internal_name);
        self.get(internal_name).or_else(|| self.fields.iter().find(|field| distinct_form(&field.internal_name) == form))
    }

    /// Returns the field with this id.
    #[must_use]
    pub fn by_id(&self, id: FieldId) -> Option<&Arc<Field>> {
        self.by_id.get(&id).map(|index| &self.fields[*index])
    }

    /// Returns whether no field of the account has this id: it belonged to a field that has been deleted, if this registry is
    /// the account's current one. A write is stored only if it is.
    #[must_use]
    pub fn is_deleted(&self, id: FieldId) -> bool {
        let is_unsupported = || self.unsupported.iter().any(|field| field.id == id);
        id.is_custom() && !self.by_id.contains_key(&id) && !is_unsupported()
    }
}

#[cfg(test)]
pub(crate) mod fixtures;

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    #[test]
    fn registry_returns_system_and_custom_fields_by_name_and_id() {
        let registry = fixtures::registry();
        assert_eq!(registry.get("email").map(|field| field.kind), Some(Kind::Email));
        assert_eq!(registry.get("shoe_size").map(|field| field.id), Some(FieldId(100)));
        assert_eq!(registry.by_id(FieldId(101)).map(|field| field.internal_name.as_str()), Some("tags"));
        assert!(registry.get("account_id").is_none());
    }

    #[test]
    fn registry_lists_system_fields_before_custom_fields_by_name() {
        let names: Vec<_> = fixtures::registry().fields().iter().map(|field| field.internal_name.clone()).collect();
        assert_eq!(names[0], "id");
        assert_eq!(names[names.len() - 3..], ["badge", "shoe_size", "tags"]);
    }

    #[test]
    fn custom_field_with_the_name_of_a_newer_system_field_hides_it() {
        let custom = fixtures::custom(100, "version", Kind::Text);
        let registry = Registry::new(RegistryVersion::default(), vec![custom]);
        assert_eq!(registry.get("version").map(|field| field.id), Some(FieldId(100)));
        assert!(registry.by_id(system::VERSION).is_none());
        assert_eq!(registry.fields().iter().filter(|field| field.internal_name == "version").count(), 1);
        assert_eq!(fixtures::registry().get("version").map(|field| field.id), Some(system::VERSION));
    }

    #[test]
    fn custom_field_that_the_registry_lacks_is_deleted() {
        let registry = fixtures::registry();
        assert!(registry.is_deleted(FieldId(103)));
        assert!(!registry.is_deleted(FieldId(100)));
        assert!(!registry.is_deleted(FieldId(50)));
    }

    #[test]
    fn unsupported_field_is_not_deleted_and_explains_itself() {
        let field =
            UnsupportedField { id: FieldId(103), internal_name: "place".into(), kind: "geo".into(), unique: false };
        let registry = fixtures::registry().with_unsupported(vec![field]);
        assert!(registry.get("place").is_none() && !registry.is_deleted(FieldId(103)));
        let message = registry.unsupported_message("place").expect("a message");
        assert!(message.starts_with("has the type geo,"), "{message}");
        assert_eq!(registry.unsupported_message("tags"), None);
    }
}
