//! `multi_select`: a set of the field's options, sent as an array of their internal names. A write can also send the
//! options to add and to remove.

use super::Parsed;
use super::dropdown::{position, unknown_option};
use crate::fields::{FieldOption, InvalidValue, IssueCode, OptionChanges, Value};
use crate::json::{Json, Object};

/// Parses an array of internal names of options. An empty array clears the field.
pub(in crate::fields) fn parse(json: &Json<'_>, options: &[FieldOption]) -> Parsed {
    let Json::Array(items) = json else { return Err(wrong_type()) };
    let names = parse_names(items, options)?;
    Ok((!names.is_empty()).then(|| Value::Options(names.into())))
}

/// Parses `{"add": […], "remove": […]}`, of which one member can be left out.
pub(in crate::fields) fn parse_changes(
    members: &Object<'_>,
    options: &[FieldOption],
) -> Result<OptionChanges, InvalidValue> {
    let mut changes = OptionChanges::default();
    for (name, json) in members {
        let Json::Array(items) = json else { return Err(wrong_changes()) };
        match &**name {
            "add" => changes.add = parse_names(items, options)?,
            "remove" => changes.remove = parse_names(items, options)?,
            _ => return Err(wrong_changes()),
        }
    }
    if members.is_empty() {
        return Err(wrong_changes());
    }
    if let Some(name) = changes.add.iter().find(|name| changes.remove.contains(name)) {
        let message = format!("must not both add and remove the option \"{name}\"");
        return Err(InvalidValue::new(IssueCode::InvalidOption, message));
    }
    Ok(changes)
}

/// Returns the names of options, sorted and without duplicates.
fn parse_names(items: &[Json<'_>], options: &[FieldOption]) -> Result<Vec<String>, InvalidValue> {
    let mut names = items.iter().map(option_name).collect::<Result<Vec<_>, _>>()?;
    names.sort_unstable();
    names.dedup();
    if names.iter().any(|name| position(options, name).is_none()) {
        return Err(unknown_option(options));
    }
    Ok(names.into_iter().map(str::to_owned).collect())
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

fn wrong_changes() -> InvalidValue {
    let message =
        "must be an array of option names, null, or {\"add\": […], \"remove\": […]} with arrays of option names";
    InvalidValue::new(IssueCode::InvalidType, message)
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
    fn options_to_add_and_to_remove_are_parsed() {
        let parse = |members: Vec<(&str, Json<'static>)>| {
            let members = members.into_iter().map(|(name, json)| (name.into(), json)).collect();
            parse_changes(&members, &options()).map_err(|invalid| invalid.code)
        };
        let array = |names: &[&'static str]| Json::Array(names.iter().map(|name| json(name)).collect());
        let expected = |add: &[&str], remove: &[&str]| {
            let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            Ok(OptionChanges { add: names(add), remove: names(remove) })
        };
        let both = vec![("add", array(&["red", "blue", "red"])), ("remove", array(&["green"]))];
        assert_eq!(parse(both), expected(&["blue", "red"], &["green"]));
        assert_eq!(parse(vec![("remove", array(&[]))]), expected(&[], &[]));
        let same = vec![("add", array(&["red"])), ("remove", array(&["blue", "red"]))];
        assert_eq!(parse(same), Err(IssueCode::InvalidOption));
        assert_eq!(parse(vec![("add", array(&["pink"]))]), Err(IssueCode::InvalidOption));
        for other in [vec![], vec![("set", array(&["red"]))], vec![("add", json("red"))], vec![("add", Json::Null)]] {
            assert_eq!(parse(other), Err(IssueCode::InvalidType));
        }
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
