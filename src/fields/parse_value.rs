//! Parses the values of a field by the rules of its type.

use super::kinds::{checkbox, date, datetime, dropdown, email, multi_select, number, phone, text, url};
use super::{Field, Issue, IssueCode, Kind, OptionChanges, Value};
use crate::json::{self, Json};

impl Field {
    /// Parses a JSON value for this field. `Ok(None)` means that the value clears the field. A write checks the value
    /// with [`Field::check_storable`] as well.
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

    /// Parses the options that a write adds and removes. Returns `None` if the JSON is a whole value.
    ///
    /// # Errors
    /// Returns the problem of the options.
    pub fn parse_option_changes(&self, json: &Json<'_>) -> Result<Option<OptionChanges>, Issue> {
        match (self.kind, json) {
            (Kind::MultiSelect, Json::Object(members)) => multi_select::parse_changes(members, &self.options)
                .map(Some)
                .map_err(|invalid| invalid.for_field(&*self.internal_name)),
            _ => Ok(None),
        }
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

    /// Checks that a value may be stored: a value of a unique text field must not be only white space, because people
    /// cannot tell two of these values apart. Lookups do not check this: accounts may have older values.
    ///
    /// # Errors
    /// Returns the problem of the value.
    pub fn check_storable(&self, value: Option<&Value>) -> Result<(), Issue> {
        match value {
            Some(Value::Text(text)) if self.unique && text.chars().all(char::is_whitespace) => {
                let message = "must not be only white space: send \"\" or null to clear it";
                Err(Issue::new(&*self.internal_name, IssueCode::InvalidFormat, message))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::registry_fixtures::custom;

    #[test]
    fn white_space_is_storable_only_in_a_field_that_is_not_unique() {
        let field = |unique| Field { unique, ..custom(100, "badge", Kind::Text) };
        let code = |unique, text: &str| {
            let checked = field(unique).check_storable(Some(&Value::Text(text.into())));
            checked.map_err(|issue| issue.code)
        };
        for blank in [" ", "\t\n\r", "\u{85}", "\u{a0}\u{3000}", "\u{1680}\u{2028}\u{2029}\u{205f}\u{202f}"] {
            assert_eq!(code(true, blank), Err(IssueCode::InvalidFormat), "{blank:?}");
            assert_eq!(code(false, blank), Ok(()), "{blank:?}");
        }
        for text in ["a", " a ", "\u{feff}", "\u{200b}"] {
            assert_eq!(code(true, text), Ok(()), "{text:?}");
        }
        assert_eq!(field(true).check_storable(None), Ok(()));
    }
}
