//! The types a field can have. Each has a file of its own in `kinds/`; this one only picks among them.

use super::kinds::{checkbox, date, datetime, dropdown, email, multi_select, number, phone, text, url};
use super::{Field, Issue, Value};
use crate::json::{self, Json};

/// The type of a field (contract §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An object's id. System only.
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
    /// A user, named by email.
    User,
    /// `false`, or when it was archived. System only.
    Archived,
}

impl Kind {
    /// The kinds that a custom field can have, in the order of the contract.
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

    /// The name as it stands in requests, answers and the database.
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

    /// The kind a custom field of this name has.
    #[must_use]
    pub fn custom_from_str(name: &str) -> Option<Self> {
        Self::CUSTOM.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Whether fields of this kind carry a list of options.
    #[must_use]
    pub fn has_options(self) -> bool {
        matches!(self, Self::Dropdown | Self::MultiSelect)
    }

    /// Whether a custom field of this kind can be unique.
    #[must_use]
    pub fn can_be_unique(self) -> bool {
        matches!(self, Self::Text | Self::Email | Self::Phone | Self::Number | Self::Url)
    }

    /// What two values of a unique field are compared by: the value itself, but for emails (ASCII
    /// case-insensitive) and numbers (by value).
    #[must_use]
    pub fn unique_key(self, value: &Value) -> String {
        match value {
            Value::Text(text) if self == Self::Email => text.to_ascii_lowercase(),
            Value::Text(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Checkbox(checked) => checked.to_string(),
            Value::Options(names) => names.join(";"),
        }
    }
}

impl Field {
    /// Reads what a caller sent for this field. `None` clears it.
    ///
    /// # Errors
    /// The one problem that the value has.
    pub fn parse(&self, json: &Json<'_>) -> Result<Option<Value>, Issue> {
        let parsed = match (self.kind, json) {
            (_, Json::Null) => Ok(None),
            (Kind::Text, _) => text::parse(json, self.max_length),
            (Kind::Email | Kind::User, _) => email::parse(json),
            (Kind::Phone, _) => phone::parse(json),
            (Kind::Url, _) => url::parse(json, self.max_length),
            (Kind::Number, _) => number::parse(json),
            (Kind::Checkbox, _) => checkbox::parse(json),
            (Kind::Date, _) => date::parse(json),
            (Kind::Datetime, _) => datetime::parse(json),
            (Kind::Dropdown, _) => dropdown::parse(json, &self.options),
            (Kind::MultiSelect, _) => multi_select::parse(json, &self.options),
            (Kind::Uuid | Kind::Archived, _) => Ok(None),
        };
        parsed.map_err(|refusal| refusal.of(&*self.internal_name))
    }

    /// Reads a value that stands somewhere as text, such as in a path: as a number where the field is one.
    ///
    /// # Errors
    /// The one problem that the value has.
    pub fn parse_text(&self, text: &str) -> Result<Option<Value>, Issue> {
        let as_json = match self.kind {
            // JSON allows blanks around a value: here they are a part of it.
            Kind::Number | Kind::Checkbox if text.trim() == text => json::parse(text.as_bytes()).ok(),
            _ => None,
        };
        self.parse(&as_json.unwrap_or_else(|| Json::String(text.into())))
    }
}
