//! `multi_select`: a set of the field's options, sent as an array of their internal names.

use super::Parsed;
use super::dropdown::{position, unknown_option};
use crate::fields::{FieldOption, IssueCode, Refusal, Value};
use crate::json::Json;

pub(in crate::fields) fn parse(json: &Json<'_>, options: &[FieldOption]) -> Parsed {
    let Json::Array(items) = json else { return Err(wrong_type()) };
    let mut names = items.iter().map(name).collect::<Result<Vec<_>, _>>()?;
    names.sort_unstable();
    names.dedup();
    if names.iter().any(|name| position(options, name).is_none()) {
        return Err(unknown_option(options));
    }
    let names: Vec<_> = names.into_iter().map(str::to_owned).collect();
    Ok(if names.is_empty() { None } else { Some(Value::Options(names)) })
}

fn name<'a>(item: &'a Json<'_>) -> Result<&'a str, Refusal> {
    match item {
        Json::String(name) => Ok(name),
        _ => Err(wrong_type()),
    }
}

fn wrong_type() -> Refusal {
    Refusal::new(IssueCode::InvalidType, "must be an array of option names, or null to clear it")
}

#[cfg(test)]
mod tests {
    use super::super::samples::json;
    use super::*;

    fn options() -> [FieldOption; 3] {
        ["red", "green", "blue"].map(|name| FieldOption::new(name, name))
    }

    #[test]
    fn takes_a_set_of_options() {
        let sent = Json::Array(vec![json("red"), json("blue"), json("red")]);
        let kept = Value::Options(vec!["blue".into(), "red".into()]);
        assert_eq!(parse(&sent, &options()), Ok(Some(kept)));
        assert_eq!(parse(&Json::Array(vec![]), &options()), Ok(None));
    }

    #[test]
    fn refuses_unknown_options_and_other_types() {
        let code = |json: Json<'_>| parse(&json, &options()).expect_err("refused").code;
        assert_eq!(code(Json::Array(vec![json("red"), json("pink")])), IssueCode::InvalidOption);
        assert_eq!(code(Json::Array(vec![json("")])), IssueCode::InvalidOption);
        assert_eq!(code(Json::Array(vec![Json::Null])), IssueCode::InvalidType);
        assert_eq!(code(json("red")), IssueCode::InvalidType);
        assert_eq!(code(Json::Object(vec![])), IssueCode::InvalidType);
    }
}
