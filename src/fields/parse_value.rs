//! Parses the values of a field by the rules of its type.

use super::kinds::{checkbox, date, datetime, dropdown, email, multi_select, number, phone, text, url};
use super::{Field, Issue, Kind, Value};
use crate::json::{self, Json};

impl Field {
    /// Parses a JSON value for this field. `Ok(None)` means that the value clears the field.
    ///
    /// # Errors
    /// Returns the problem of the value.
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
        parsed.map_err(|invalid| invalid.for_field(&*self.internal_name))
    }

    /// Parses a value from text, such as a segment of a path. Text for a `number` or `checkbox` field is read as JSON.
    ///
    /// # Errors
    /// Returns the problem of the value.
    pub fn parse_text(&self, text: &str) -> Result<Option<Value>, Issue> {
        let as_json = match self.kind {
            // JSON allows spaces around a value, but here spaces are part of the text and make it invalid.
            Kind::Number | Kind::Checkbox if text.trim() == text => json::parse(text.as_bytes()).ok(),
            _ => None,
        };
        self.parse(&as_json.unwrap_or_else(|| Json::String(text.into())))
    }
}
