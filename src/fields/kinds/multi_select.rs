//! `multi_select`: a set of the field's options, sent as an array of their internal names.

use super::Parsed;
use super::dropdown::{position, unknown_option};
use crate::fields::{FieldOption, InvalidValue, IssueCode, Value};
use crate::json::Json;

/// Parses an array of internal names of options. An empty array clears the field.
pub(in crate::fields) fn parse(json: &Json<'_>, options: &[FieldOption]) -> Parsed {
    let Json::Array(items) = json else { return Err(wrong_type()) };
    let mut names = items.iter().map(option_name).collect::<Result<Vec<_>, _>>()?;
    names.sort_unstable();
    names.dedup();
    if names.iter().any(|name| position(options, name).is_none()) {
        return Err(unknown_option(options));
    }
    let options = || Value::Options(names.iter().map(|name| (*name).to_owned()).collect());
    Ok((!names.is_empty()).then(options))
}

fn option_name<'a>(item: &'a Json<'_>) -> Result<&'a str, InvalidValue> {
    match item {
        Json::String(name) => Ok(name),
        _ => Err(wrong_type()),
    }
}

fn wrong_type() -> InvalidValue {
    InvalidValue::new(IssueCode::InvalidType, "must be an array of option names, or null to clear the field")
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::json;
    use super::*;

    fn options() -> [FieldOption; 3] {
        ["red", "green", "blue"].map(|name| FieldOption::new(name, name))
    }

    #[test]
    fn multi_select_field_accepts_a_set_of_options() {
        let sent = Json::Array(vec![json("red"), json("blue"), json("red")]);
        let stored = Value::Options(["blue".into(), "red".into()].into());
        assert_eq!(parse(&sent, &options()), Ok(Some(stored)));
        assert_eq!(parse(&Json::Array(vec![]), &options()), Ok(None));
    }

    #[test]
    fn multi_select_field_rejects_unknown_options_and_other_types() {
        let code = |json: Json<'_>| parse(&json, &options()).expect_err("the value is invalid").code;
        assert_eq!(code(Json::Array(vec![json("red"), json("pink")])), IssueCode::InvalidOption);
        assert_eq!(code(Json::Array(vec![json("")])), IssueCode::InvalidOption);
        assert_eq!(code(Json::Array(vec![Json::Null])), IssueCode::InvalidType);
        assert_eq!(code(json("red")), IssueCode::InvalidType);
        assert_eq!(code(Json::Object(vec![])), IssueCode::InvalidType);
    }
}
