//! Registries for tests.

use chrono::DateTime;

use super::{Registry, RegistryVersion};
use crate::fields::{Field, FieldId, FieldOption, Kind};

/// Returns a custom field that is not unique and has no options.
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
        max_length: Field::default_max_length(kind, false),
        options: vec![],
        created_at: Some(DateTime::UNIX_EPOCH),
        updated_at: Some(DateTime::UNIX_EPOCH),
    }
}

/// Returns a registry with `shoe_size` (number, id 100), `tags` (multi_select of red, green, blue, id 101) and `badge`
/// (unique text, id 102). The field with id 103 is deleted.
pub(crate) fn registry() -> Registry {
    let tags = Field {
        options: ["red", "green", "blue"].map(|name| FieldOption::new(name, name)).to_vec(),
        ..custom(101, "tags", Kind::MultiSelect)
    };
    let badge = Field { unique: true, max_length: 255, ..custom(102, "badge", Kind::Text) };
    Registry::new(RegistryVersion::default(), vec![custom(100, "shoe_size", Kind::Number), tags, badge])
}
