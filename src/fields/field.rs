//! A field of a contact, system or custom, and its options.

use chrono::{DateTime, Utc};

use super::value::json_string_bytes;
use super::{FieldId, Kind};

/// One option of a `dropdown` or `multi_select` field.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FieldOption {
    /// The name in requests and responses. It never changes.
    pub internal_name: String,
    /// The name for people.
    pub label: String,
}

impl FieldOption {
    /// Creates an option with this name and label.
    pub fn new(internal_name: impl Into<String>, label: impl Into<String>) -> Self {
        Self { internal_name: internal_name.into(), label: label.into() }
    }

    /// Returns an estimate of the memory that the option takes, in bytes.
    #[must_use]
    pub fn estimated_bytes(&self) -> usize {
        /// The unused part of the two allocations.
        const ALLOCATION_OVERHEAD: usize = 16;
        size_of::<Self>() + self.internal_name.len() + self.label.len() + ALLOCATION_OVERHEAD
    }

    /// Returns the length of options as compact JSON, as the fields API returns them, in bytes.
    #[must_use]
    pub fn json_bytes(options: &[Self]) -> usize {
        let member = |name: &str, value: &str| format!(r#""{name}":,"#).len() + json_string_bytes(value);
        let option_bytes = |option: &Self| {
            // `{`, the members, each with a comma or `}` after it, and a comma or `]`.
            "{,".len() + member("internal_name", &option.internal_name) + member("label", &option.label)
        };
        if options.is_empty() { "[]".len() } else { "[".len() + options.iter().map(option_bytes).sum::<usize>() }
    }
}

/// A field of a contact, system or custom.
#[derive(Debug, Clone)]
pub struct Field {
    /// The id under which its values are stored.
    pub id: FieldId,
    /// The name in requests and responses.
    pub internal_name: String,
    /// The name for people.
    pub label: String,
    /// Its type.
    pub kind: Kind,
    /// Whether it is a system field, the same for every account.
    pub system: bool,
    /// Whether every response with a contact contains it.
    pub default: bool,
    /// Whether callers can set it.
    pub writable: bool,
    /// Whether no two active contacts of an account may share a value.
    pub unique: bool,
    /// The maximum length of a text or URL value, in characters.
    pub max_length: usize,
    /// The options in their order; empty for types without options.
    pub options: Vec<FieldOption>,
    /// The time of its creation; `None` for system fields.
    pub created_at: Option<DateTime<Utc>>,
    /// The time of its last change; `None` for system fields.
    pub updated_at: Option<DateTime<Utc>>,
}

impl Field {
    /// Returns the maximum length of a value of a custom field, in characters. Values of unique fields must be short
    /// enough for an index.
    #[must_use]
    pub fn default_max_length(kind: Kind, unique: bool) -> usize {
        match kind {
            _ if unique => 255,
            Kind::Url => 2_048,
            _ => 4_096,
        }
    }

    /// Returns an upper bound of the size of a value, in bytes of JSON.
    #[must_use]
    pub fn max_json_bytes(&self) -> usize {
        /// A control character is escaped: `\u0001`.
        const MAX_CHARACTER_BYTES: usize = 6;
        /// The size of a value of any other type, such as a date.
        const MAX_SHORT_BYTES: usize = 64;
        match self.kind {
            Kind::Text | Kind::Email | Kind::Phone | Kind::Url | Kind::User => {
                self.max_length * MAX_CHARACTER_BYTES + r#""""#.len()
            }
            Kind::Dropdown | Kind::MultiSelect => {
                let names = self.options.iter().map(|option| option.internal_name.len() + r#""","#.len());
                names.sum::<usize>() + "[]".len()
            }
            Kind::Uuid | Kind::Number | Kind::Checkbox | Kind::Date | Kind::Datetime | Kind::Archived => {
                MAX_SHORT_BYTES
            }
        }
    }

    /// Returns chosen options in the order of the field's options. `chosen` is sorted by name.
    #[must_use]
    pub fn in_option_order(&self, chosen: &[String]) -> Vec<&str> {
        let names = self.options.iter().map(|option| option.internal_name.as_str());
        names.filter(|name| chosen.binary_search_by(|chosen| chosen.as_str().cmp(name)).is_ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_bytes_is_the_length_of_the_serialized_options() {
        let options = [FieldOption::new("red", "Red"), FieldOption::new("blue", "\"Größe\"\n😀")];
        for options in [&options[..0], &options[..1], &options] {
            let json = serde_json::to_string(options).expect("options serialize");
            assert_eq!(FieldOption::json_bytes(options), json.len(), "{json}");
        }
    }
}
