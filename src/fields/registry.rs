//! The registry of an account: its system and custom fields behind one look-up.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{Kind, system};

/// How many custom fields an account can have (contract §4).
pub const MAX_CUSTOM_FIELDS: usize = 500;
/// How many of them can be unique (contract §4).
pub const MAX_UNIQUE_FIELDS: usize = 10;

/// A field's own id, under which its values are stored. Never used again within the account, so values
/// can't come back under a new field of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldId(pub i32);

impl FieldId {
    /// The id of an account's first custom field; those below belong to the system fields.
    pub const FIRST_CUSTOM: i32 = 100;

    /// Whether this is a custom field's id.
    #[must_use]
    pub fn is_custom(self) -> bool {
        self.0 >= Self::FIRST_CUSTOM
    }
}

/// One option of a `dropdown` or `multi_select` field.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FieldOption {
    /// What requests and answers call it. Never changes.
    pub internal_name: String,
    /// What people call it.
    pub label: String,
}

impl FieldOption {
    /// An option of this name and label.
    pub fn new(internal_name: impl Into<String>, label: impl Into<String>) -> Self {
        Self { internal_name: internal_name.into(), label: label.into() }
    }
}

/// A field of a contact, system or custom.
#[derive(Debug, Clone)]
pub struct Field {
    /// Under which its values are stored.
    pub id: FieldId,
    /// What requests and answers call it.
    pub internal_name: String,
    /// What people call it.
    pub label: String,
    /// Its type.
    pub kind: Kind,
    /// Whether it is a system field, the same for every account.
    pub system: bool,
    /// Whether it stands in every answer.
    pub default: bool,
    /// Whether callers can set it.
    pub writable: bool,
    /// Whether no two active contacts of an account may share a value.
    pub unique: bool,
    /// For texts and URLs: the most characters a value may have.
    pub max_length: usize,
    /// The options in their order; empty but for the option kinds.
    pub options: Vec<FieldOption>,
    /// When it was created; `None` for system fields.
    pub created_at: Option<DateTime<Utc>>,
    /// When it was last changed; `None` for system fields.
    pub updated_at: Option<DateTime<Utc>>,
}

impl Field {
    /// The most characters a value of `kind` may have: values of unique fields are kept short enough to index.
    #[must_use]
    pub fn max_length_of(kind: Kind, unique: bool) -> usize {
        match kind {
            _ if unique => 255,
            Kind::Url => 2_048,
            _ => 4_096,
        }
    }

    /// Chosen options, which are sorted by name, in the order of the field's options.
    #[must_use]
    pub fn in_option_order(&self, chosen: &[String]) -> Vec<&str> {
        let names = self.options.iter().map(|option| option.internal_name.as_str());
        names.filter(|name| chosen.binary_search_by(|chosen| chosen.as_str().cmp(name)).is_ok()).collect()
    }
}

/// Every field of an account at one version of its registry. A snapshot: it never changes.
#[derive(Debug)]
pub struct Registry {
    version: i64,
    last_custom_id: i32,
    fields: Vec<Arc<Field>>,
    by_name: HashMap<String, usize>,
    by_id: HashMap<FieldId, usize>,
    unique: Vec<Arc<Field>>,
}

impl Registry {
    /// The registry of an account with these custom fields. `version` counts the changes to it, and
    /// `last_custom_id` is the highest field id ever given out.
    #[must_use]
    pub fn new(version: i64, last_custom_id: i32, mut custom: Vec<Field>) -> Self {
        custom.sort_by(|a, b| a.internal_name.cmp(&b.internal_name));
        let fields: Vec<_> = system::all().iter().cloned().chain(custom.into_iter().map(Arc::new)).collect();
        let by_name = fields.iter().enumerate().map(|(index, field)| (field.internal_name.clone(), index)).collect();
        let by_id = fields.iter().enumerate().map(|(index, field)| (field.id, index)).collect();
        let unique = fields.iter().filter(|field| field.unique && field.writable).cloned().collect();
        Self { version, last_custom_id, fields, by_name, by_id, unique }
    }

    /// How many changes made this registry what it is; 0 for an account that never had a custom field.
    #[must_use]
    pub fn version(&self) -> i64 {
        self.version
    }

    /// Every field: the system ones first, then the custom ones by name.
    #[must_use]
    pub fn fields(&self) -> &[Arc<Field>] {
        &self.fields
    }

    /// The writable fields whose values no two active contacts may share.
    #[must_use]
    pub fn unique_fields(&self) -> &[Arc<Field>] {
        &self.unique
    }

    /// The field of this internal name.
    #[must_use]
    pub fn get(&self, internal_name: &str) -> Option<&Arc<Field>> {
        self.by_name.get(internal_name).map(|index| &self.fields[*index])
    }

    /// The field with this id.
    #[must_use]
    pub fn by_id(&self, id: FieldId) -> Option<&Arc<Field>> {
        self.by_id.get(&id).map(|index| &self.fields[*index])
    }

    /// Whether this id belonged to a field that has been deleted (and not to one made after this snapshot).
    #[must_use]
    pub fn is_deleted(&self, id: FieldId) -> bool {
        id.is_custom() && id.0 <= self.last_custom_id && !self.by_id.contains_key(&id)
    }
}

#[cfg(test)]
pub(crate) mod samples {
    //! Registries for tests.

    use super::*;

    /// A custom field that is not unique and has no options.
    pub(crate) fn custom(id: i32, internal_name: &str, kind: Kind) -> Field {
        Field {
            id: FieldId(id),
            internal_name: internal_name.to_owned(),
            label: internal_name.to_owned(),
            kind,
            system: false,
            default: false,
            writable: true,
            unique: false,
            max_length: Field::max_length_of(kind, false),
            options: vec![],
            created_at: Some(DateTime::UNIX_EPOCH),
            updated_at: Some(DateTime::UNIX_EPOCH),
        }
    }

    /// `shoe_size` (number, 100), `tags` (multi_select of red, green, blue, 101), `badge` (unique text, 102).
    pub(crate) fn registry() -> Registry {
        let tags = Field {
            options: ["red", "green", "blue"].map(|name| FieldOption::new(name, name)).to_vec(),
            ..custom(101, "tags", Kind::MultiSelect)
        };
        let badge = Field { unique: true, max_length: 255, ..custom(102, "badge", Kind::Text) };
        Registry::new(3, 103, vec![custom(100, "shoe_size", Kind::Number), tags, badge])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_system_and_custom_fields_by_name_and_id() {
        let registry = samples::registry();
        assert_eq!(registry.get("email").map(|field| field.kind), Some(Kind::Email));
        assert_eq!(registry.get("shoe_size").map(|field| field.id), Some(FieldId(100)));
        assert_eq!(registry.by_id(FieldId(101)).map(|field| field.internal_name.as_str()), Some("tags"));
        assert!(registry.get("account_id").is_none());
    }

    #[test]
    fn lists_system_fields_first_then_custom_ones_by_name() {
        let names: Vec<_> = samples::registry().fields().iter().map(|field| field.internal_name.clone()).collect();
        assert_eq!(names[0], "id");
        assert_eq!(names[names.len() - 3..], ["badge", "shoe_size", "tags"]);
    }

    #[test]
    fn tells_deleted_fields_from_ones_it_can_not_know_yet() {
        let registry = samples::registry();
        assert!(registry.is_deleted(FieldId(103)));
        assert!(!registry.is_deleted(FieldId(100)));
        assert!(!registry.is_deleted(FieldId(104)));
        assert!(!registry.is_deleted(FieldId(50)));
    }
}
