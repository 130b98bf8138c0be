//! `number`: a decimal number that is stored exactly, or rejected.

use super::Parsed;
use crate::fields::{InvalidValue, IssueCode, Number, Value};
use crate::json::Json;

/// Parses a JSON number.
pub(in crate::fields) fn parse(json: &Json<'_>) -> Parsed {
    let Json::Number(digits) = json else {
        return Err(InvalidValue::new(IssueCode::InvalidType, "must be a number, or null to clear the field"));
    };
    let number = Number::parse(digits).ok_or_else(|| {
        let message = "must be an integer of up to 64 bits, or a decimal number that a double (64-bit float) \
                       represents without loss";
        InvalidValue::new(IssueCode::OutOfRange, message)
    })?;
    Ok(Some(Value::Number(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_field_accepts_only_json_numbers() {
        for other in [Json::String("42".into()), Json::String("".into()), Json::Bool(true), Json::Array(vec![])] {
            assert_eq!(parse(&other).expect_err("not a number").code, IssueCode::InvalidType);
        }
    }
}
