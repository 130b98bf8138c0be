//! `checkbox`: a JSON boolean.

use super::Parsed;
use crate::fields::{IssueCode, Refusal, Value};
use crate::json::Json;

pub(in crate::fields) fn parse(json: &Json<'_>) -> Parsed {
    match json {
        Json::Bool(checked) => Ok(Some(Value::Checkbox(*checked))),
        _ => Err(Refusal::new(IssueCode::InvalidType, "must be true or false, or null to clear it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_booleans_only() {
        assert_eq!(parse(&Json::Bool(false)), Ok(Some(Value::Checkbox(false))));
        for other in [Json::String("true".into()), Json::Number("1"), Json::String("".into()), Json::Array(vec![])] {
            assert_eq!(parse(&other).expect_err("no boolean").code, IssueCode::InvalidType);
        }
    }
}
