//! `checkbox`: a JSON boolean.

use super::Parsed;
use crate::fields::{InvalidValue, IssueCode, Value};
use crate::json::Json;

/// Parses a JSON boolean.
pub(in crate::fields) fn parse(json: &Json<'_>) -> Parsed {
    match json {
        Json::Bool(checked) => Ok(Some(Value::Checkbox(*checked))),
        _ => Err(InvalidValue::new(IssueCode::InvalidType, "must be true or false, or null to clear the field")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkbox_field_accepts_only_json_booleans() {
        assert_eq!(parse(&Json::Bool(false)), Ok(Some(Value::Checkbox(false))));
        for other in [Json::String("true".into()), Json::Number("1"), Json::String("".into()), Json::Array(vec![])] {
            assert_eq!(parse(&other).expect_err("not a boolean").code, IssueCode::InvalidType);
        }
    }
}
