//! The rules of each field type: how its JSON is parsed, and its limits. Each type has its own file.

pub(super) mod checkbox;
pub(super) mod date;
pub(crate) mod datetime;
pub(super) mod dropdown;
pub(super) mod email;
pub(super) mod multi_select;
pub(super) mod number;
pub(super) mod phone;
pub(super) mod text;
pub(super) mod url;

use super::{InvalidValue, IssueCode, Value};
use crate::json::Json;

/// The result of parsing a value: the value, `None` if it clears the field, or the reason why it is rejected.
pub(super) type Parsed = Result<Option<Value>, InvalidValue>;

/// Returns the string that most types require.
fn expect_string<'a>(json: &'a Json<'_>) -> Result<&'a str, InvalidValue> {
    match json {
        Json::String(text) => Ok(text),
        _ => Err(InvalidValue::new(IssueCode::InvalidType, "must be a string, or null to clear the field")),
    }
}

/// Parses a value of a type that trims whitespace. A blank string clears the field. `check` validates any other string.
fn parse_trimmed(json: &Json<'_>, check: impl FnOnce(&str) -> Result<(), InvalidValue>) -> Parsed {
    let text = expect_string(json)?.trim();
    if text.is_empty() {
        return Ok(None);
    }
    check(text)?;
    Ok(Some(Value::Text(text.into())))
}

/// Rejects a text of more than `limit` characters (Unicode scalar values).
fn check_max_characters(text: &str, limit: usize) -> Result<(), InvalidValue> {
    if text.len() > limit && text.chars().count() > limit {
        return Err(InvalidValue::new(IssueCode::TooLong, format!("must be at most {limit} characters")));
    }
    Ok(())
}

#[cfg(test)]
mod fixtures {
    //! Helpers for the table tests of the types.

    use super::*;

    /// Returns a JSON string.
    pub(in crate::fields) fn json(text: &str) -> Json<'_> {
        Json::String(text.into())
    }

    /// Returns the result of parsing a valid string.
    pub(in crate::fields) fn text_value(text: &str) -> Parsed {
        Ok(Some(Value::Text(text.into())))
    }

    /// Checks that each of `texts` is rejected with `code`.
    pub(in crate::fields) fn expect_rejected(parse: impl Fn(&Json<'_>) -> Parsed, code: IssueCode, texts: &[&str]) {
        for text in texts {
            let invalid = parse(&json(text)).expect_err(text);
            assert_eq!(invalid.code, code, "{text:?}: {}", invalid.message);
        }
    }

    /// Checks that every JSON type other than string is rejected with `invalid_type`.
    pub(in crate::fields) fn expect_strings_only(parse: impl Fn(&Json<'_>) -> Parsed) {
        for other in [Json::Bool(true), Json::Number("42"), Json::Array(vec![]), Json::Object(vec![])] {
            assert_eq!(parse(&other).expect_err("not a string").code, IssueCode::InvalidType);
        }
    }
}
