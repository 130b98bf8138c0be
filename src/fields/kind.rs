//! The types of fields. `kinds/` has a file with the rules of each type.

use super::Value;

/// The type of a field (`docs/api-reference.md#field-types`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The id of an object. For system fields only.
    Uuid,
    /// Free text.
    Text,
    /// An email address.
    Email,
    /// A phone number.
    Phone,
    /// An absolute http(s) URL.
    Url,
    /// A decimal number.
    Number,
    /// True or false.
    Checkbox,
    /// A calendar day.
    Date,
    /// A point in time.
    Datetime,
    /// One of the field's options.
    Dropdown,
    /// A set of the field's options.
    MultiSelect,
    /// A user, identified by email.
    User,
    /// `false` for an active contact, otherwise the time of archiving. For system fields only.
    Archived,
}

impl Kind {
    /// The types of custom fields, in the order of `docs/api-reference.md#field-types`.
    pub const CUSTOM: [Self; 11] = [
        Self::Text,
        Self::Email,
        Self::Phone,
        Self::Url,
        Self::Number,
        Self::Checkbox,
        Self::Date,
        Self::Datetime,
        Self::Dropdown,
        Self::MultiSelect,
        Self::User,
    ];

    /// Returns whether a value has the form of the values of this type. A stored value always does, unless another program or
    /// another history of the database has stored it.
    #[must_use]
    pub fn has_values_like(self, value: &Value) -> bool {
        match value {
            Value::Number(_) => self == Self::Number,
            // A contact that is not archived has the value `false`.
            Value::Checkbox(_) => [Self::Checkbox, Self::Archived].contains(&self),
            Value::Options(_) => self == Self::MultiSelect,
            Value::Text(_) => ![Self::Number, Self::Checkbox, Self::MultiSelect].contains(&self),
        }
    }

    /// Returns the name in requests, responses and the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Uuid => "uuid",
            Self::Text => "text",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Url => "url",
            Self::Number => "number",
            Self::Checkbox => "checkbox",
            Self::Date => "date",
            Self::Datetime => "datetime",
            Self::Dropdown => "dropdown",
            Self::MultiSelect => "multi_select",
            Self::User => "user",
            Self::Archived => "archived",
        }
    }

    /// Returns the custom field type with this name.
    #[must_use]
    pub fn custom_from_str(name: &str) -> Option<Self> {
        Self::CUSTOM.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Returns whether fields of this type have a list of options.
    #[must_use]
    pub fn has_options(self) -> bool {
        matches!(self, Self::Dropdown | Self::MultiSelect)
    }

    /// Returns whether a custom field of this type can be unique.
    #[must_use]
    pub fn can_be_unique(self) -> bool {
        matches!(self, Self::Text | Self::Email | Self::Phone | Self::Number | Self::Url)
    }

    /// Returns the form in which values of a unique field are compared. Emails compare case-insensitively (ASCII),
    /// numbers by value, and all other types exactly (`docs/api-reference.md#comparison-and-trimming`).
    #[must_use]
    pub fn unique_key(self, value: &Value) -> String {
        match value {
            Value::Text(text) if self == Self::Email => text.to_ascii_lowercase(),
            Value::Text(text) => text.to_string(),
            Value::Number(number) => number.to_string(),
            Value::Checkbox(checked) => checked.to_string(),
            Value::Options(names) => names.join(";"),
        }
    }
}
