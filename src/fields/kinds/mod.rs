//! One file a type: how its JSON is read, its limits, and its tests.

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

use super::{IssueCode, Refusal, Value};
use crate::json::Json;

/// What reading a value gives: the value, `None` to clear the field, or why it is refused.
pub(super) type Parsed = Result<Option<Value>, Refusal>;

/// The string that a string-like kind needs.
fn string<'a>(json: &'a Json<'_>) -> Result<&'a str, Refusal> {
    match json {
        Json::String(text) => Ok(text),
        _ => Err(Refusal::new(IssueCode::InvalidType, "must be a string, or null to clear it")),
    }
}

/// Reads a kind whose values are trimmed: blanks alone clear the field, `check` refuses the rest.
fn trimmed(json: &Json<'_>, check: impl FnOnce(&str) -> Result<(), Refusal>) -> Parsed {
    let text = string(json)?.trim();
    if text.is_empty() {
        return Ok(None);
    }
    check(text)?;
    Ok(Some(Value::Text(text.to_owned())))
}

/// Refuses more than `limit` characters (Unicode scalar values).
fn limit_characters(text: &str, limit: usize) -> Result<(), Refusal> {
    if text.len() > limit && text.chars().count() > limit {
        return Err(Refusal::new(IssueCode::TooLong, format!("must be at most {limit} characters")));
    }
    Ok(())
}

#[cfg(test)]
mod samples {
    //! Shorthands for the table tests of the kinds.

    use super::*;

    pub(in crate::fields) fn json(text: &str) -> Json<'_> {
        Json::String(text.into())
    }

    pub(in crate::fields) fn set(text: &str) -> Parsed {
        Ok(Some(Value::Text(text.to_owned())))
    }

    /// Checks that each of `texts` is refused with `code`.
    pub(in crate::fields) fn refused(parse: impl Fn(&Json<'_>) -> Parsed, code: IssueCode, texts: &[&str]) {
        for text in texts {
            let refusal = parse(&json(text)).expect_err(text);
            assert_eq!(refusal.code, code, "{text:?}: {}", refusal.message);
        }
    }

    /// Checks that every JSON type but a string is refused with `invalid_type`.
    pub(in crate::fields) fn only_strings(parse: impl Fn(&Json<'_>) -> Parsed) {
        for other in [Json::Bool(true), Json::Number("42"), Json::Array(vec![]), Json::Object(vec![])] {
            assert_eq!(parse(&other).expect_err("no string").code, IssueCode::InvalidType);
        }
    }
}
