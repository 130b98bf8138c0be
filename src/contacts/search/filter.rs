//! Parses one filter of a search: a property, an operator that the property's type supports, and a value of that type.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::operand::{self, Operand};
use super::operator::Operator;
use super::{Comparison, Condition, Predicate, ValueSet};
use crate::fields::{Field, InvalidValue, Issue, IssueCode, Kind, Registry, Value};
use crate::json::{Json, Object};

/// The maximum number of values of `in` and `not_in`.
const MAX_VALUES: usize = 100;
/// The maximum number of unknown keys of a filter that an error lists, so that responses stay small.
const MAX_UNKNOWN_KEYS: usize = 10;
/// The maximum number of characters of an unknown name that an error repeats.
const MAX_REPEATED_CHARACTERS: usize = 100;

/// Parses a filter at `path` in the body, such as `filters[0]`.
///
/// # Errors
/// Returns an issue for each rejected part.
pub(super) fn parse(filter: &Object<'_>, path: &str, registry: &Registry) -> Result<Condition, Vec<Issue>> {
    let mut issues = unknown_key_issues(filter, path);
    let sent = |key: &str| filter.iter().find(|(name, _)| name == key).map(|(_, json)| json);
    let field = parse_property(sent("property"), registry);
    let field = field.map_err(|invalid| invalid.for_field(format!("{path}.property")));
    let kind = field.as_ref().ok().map(|field| field.kind);
    let operator = parse_operator(sent("operator"), kind);
    let operator = operator.map_err(|invalid| invalid.for_field(format!("{path}.operator")));
    let (field, operator) = match (field, operator) {
        (Ok(field), Ok(operator)) => (field, operator),
        (field, operator) => {
            issues.extend(field.err());
            issues.extend(operator.err());
            return Err(issues);
        }
    };
    match parse_predicate(&field, operator, sent("value"), &format!("{path}.value")) {
        Ok(predicate) if issues.is_empty() => Ok(Condition { field, predicate }),
        parsed => {
            issues.extend(parsed.err().unwrap_or_default());
            Err(issues)
        }
    }
}

/// Returns an issue for each unknown key of a filter.
fn unknown_key_issues(filter: &Object<'_>, path: &str) -> Vec<Issue> {
    let is_known = |name: &str| ["property", "operator", "value"].contains(&name);
    let message = "is not a known key: a filter takes property, operator and value";
    let unknown = filter.iter().map(|(name, _)| name).filter(|name| !is_known(name)).take(MAX_UNKNOWN_KEYS);
    unknown
        .map(|name| Issue::new(format!("{path}.{}", truncate_name(name)), IssueCode::UnknownField, message))
        .collect()
}

fn parse_property(sent: Option<&Json<'_>>, registry: &Registry) -> Result<Arc<Field>, InvalidValue> {
    match sent {
        Some(Json::String(name)) => find_property(name, registry),
        Some(_) => Err(InvalidValue::new(IssueCode::InvalidType, "must be a string: the name of a property")),
        None => Err(InvalidValue::new(IssueCode::Required, "is required: the name of a property")),
    }
}

/// Returns the field with this name.
pub(super) fn find_property(name: &str, registry: &Registry) -> Result<Arc<Field>, InvalidValue> {
    registry.get(name).cloned().ok_or_else(|| {
        let reason = registry.unsupported_message(name);
        let reason = reason.unwrap_or_else(|| "is not a property of this account's contacts".to_owned());
        let message = format!("{} {reason}", truncate_name(name));
        InvalidValue::new(IssueCode::UnknownField, message)
    })
}

/// Truncates a name that a caller sent, so that an error response stays small.
fn truncate_name(name: &str) -> String {
    name.chars().take(MAX_REPEATED_CHARACTERS).collect()
}

/// Parses an operator. `kind` is the type of the property, which must support the operator; `None` if the property is
/// invalid.
fn parse_operator(sent: Option<&Json<'_>>, kind: Option<Kind>) -> Result<Operator, InvalidValue> {
    let names = || {
        kind.map_or_else(Operator::all_names, |kind| {
            format!("{} (for a property of type {})", Operator::names_for(kind), kind.as_str())
        })
    };
    match sent {
        Some(Json::String(name)) => match Operator::from_str(name) {
            Some(operator) if kind.is_none_or(|kind| operator.is_supported_by(kind)) => Ok(operator),
            _ => Err(InvalidValue::new(IssueCode::InvalidOption, format!("must be one of {}", names()))),
        },
        Some(_) => Err(InvalidValue::new(IssueCode::InvalidType, format!("must be a string: one of {}", names()))),
        None => Err(InvalidValue::new(IssueCode::Required, format!("is required: one of {}", names()))),
    }
}

/// Parses the value of a filter, which the operator may forbid, and returns the resulting predicate.
fn parse_predicate(
    field: &Field,
    operator: Operator,
    sent: Option<&Json<'_>>,
    path: &str,
) -> Result<Predicate, Vec<Issue>> {
    let at_path = |invalid: InvalidValue| vec![invalid.for_field(path)];
    let takes_no_value = matches!(operator, Operator::HasValue | Operator::HasNoValue);
    let json = match sent {
        Some(_) if takes_no_value => {
            let message = format!("must be left out: {} takes no value", operator.as_str());
            return Err(at_path(InvalidValue::new(IssueCode::ForbiddenField, message)));
        }
        None if takes_no_value => &Json::Null,
        Some(json) => json,
        None => return Err(at_path(InvalidValue::new(IssueCode::Required, "is required"))),
    };
    let compared =
        |comparison| operand::parse_ordered(field, json).map(|value| Predicate::Compared(vec![(comparison, value)]));
    let single = || operand::parse(field, json).map(|value| value_set(field, [value]));
    match operator {
        Operator::HasValue => Ok(Predicate::IsSet),
        Operator::HasNoValue => Ok(Predicate::IsUnset),
        Operator::Eq => single().map(Predicate::OneOf),
        Operator::Neq => single().map(Predicate::NoneOf),
        Operator::Lt => compared(Comparison::Less),
        Operator::Lte => compared(Comparison::AtMost),
        Operator::Gt => compared(Comparison::Greater),
        Operator::Gte => compared(Comparison::AtLeast),
        Operator::Contains if field.kind == Kind::MultiSelect => {
            parse_option(field, json).map(Predicate::ContainsOption)
        }
        Operator::Contains => operand::parse_text_part(json).map(Predicate::Contains),
        Operator::StartsWith => operand::parse_text_part(json).map(Predicate::StartsWith),
        Operator::In => return parse_value_list(field, json, path).map(Predicate::OneOf),
        Operator::NotIn => return parse_value_list(field, json, path).map(Predicate::NoneOf),
        Operator::Between => return parse_between(field, json, path),
    }
    .map_err(at_path)
}

/// Returns the set of these operands, with emails in lower case.
fn value_set(field: &Field, operands: impl IntoIterator<Item = Operand>) -> ValueSet {
    let mut set = ValueSet { values: vec![], includes_unset: false };
    for operand in operands {
        match operand {
            Some(Value::Text(text)) if field.kind == Kind::Email => {
                set.values.push(Value::Text(text.to_ascii_lowercase().into()));
            }
            Some(value) => set.values.push(value),
            None => set.includes_unset = true,
        }
    }
    set
}

/// Parses one option of a `multi_select` field.
fn parse_option(field: &Field, json: &Json<'_>) -> Result<String, InvalidValue> {
    let Json::String(name) = json else {
        return Err(InvalidValue::new(IssueCode::InvalidType, "must be a string: the name of one option"));
    };
    operand::parse(field, &Json::Array(vec![json.clone()])).map(|_| name.clone().into_owned())
}

/// Parses an array of 1 to [`MAX_VALUES`] values.
fn parse_value_list(field: &Field, json: &Json<'_>, path: &str) -> Result<ValueSet, Vec<Issue>> {
    let rule = format!("must be an array of 1 to {MAX_VALUES} values");
    let items = array_items(json, 1..=MAX_VALUES, &rule).map_err(|invalid| vec![invalid.for_field(path)])?;
    parse_all(items, path, |item| operand::parse(field, item)).map(|operands| value_set(field, operands))
}

/// Parses the lower and the upper bound of `between`.
fn parse_between(field: &Field, json: &Json<'_>, path: &str) -> Result<Predicate, Vec<Issue>> {
    let rule = "must be an array of two values, [low, high]";
    let items = array_items(json, 2..=2, rule).map_err(|invalid| vec![invalid.for_field(path)])?;
    let bounds = parse_all(items, path, |item| operand::parse_ordered(field, item))?;
    Ok(Predicate::Compared([Comparison::AtLeast, Comparison::AtMost].into_iter().zip(bounds).collect()))
}

/// Returns the items of an array. Fails with the message `rule` if the number of items is not in `count`.
fn array_items<'a>(
    json: &'a Json<'_>,
    count: RangeInclusive<usize>,
    rule: &str,
) -> Result<&'a [Json<'a>], InvalidValue> {
    match json {
        Json::Array(items) if count.contains(&items.len()) => Ok(items),
        Json::Array(items) if items.len() < *count.start() => {
            Err(InvalidValue::new(IssueCode::Required, rule.to_owned()))
        }
        Json::Array(_) => Err(InvalidValue::new(IssueCode::TooLong, rule.to_owned())),
        _ => Err(InvalidValue::new(IssueCode::InvalidType, rule.to_owned())),
    }
}

/// Parses every item. Returns an issue for each item that is rejected.
fn parse_all<T>(
    items: &[Json<'_>],
    path: &str,
    parse: impl Fn(&Json<'_>) -> Result<T, InvalidValue>,
) -> Result<Vec<T>, Vec<Issue>> {
    let (mut values, mut issues) = (Vec::with_capacity(items.len()), vec![]);
    for (index, item) in items.iter().enumerate() {
        match parse(item) {
            Ok(value) => values.push(value),
            Err(invalid) => issues.push(invalid.for_field(format!("{path}[{index}]"))),
        }
    }
    if issues.is_empty() { Ok(values) } else { Err(issues) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::{Number, registry_fixtures as fixtures};
    use crate::json;

    fn parse_filter(filter: &str) -> Result<Predicate, Vec<(String, IssueCode)>> {
        let filter = json::parse(filter.as_bytes()).ok().and_then(Json::into_object).expect("a JSON object");
        super::parse(&filter, "filters[0]", &fixtures::registry())
            .map(|condition| condition.predicate)
            .map_err(|issues| issues.into_iter().map(|issue| (issue.field, issue.code)).collect())
    }

    fn filter(property: &str, operator: &str, value: &str) -> String {
        format!(r#"{{"property": "{property}", "operator": "{operator}", "value": {value}}}"#)
    }

    fn number(digits: &str) -> Value {
        Value::Number(Number::parse(digits).expect("a number"))
    }

    fn texts(texts: &[&str]) -> ValueSet {
        ValueSet { values: texts.iter().map(|text| Value::Text((*text).into())).collect(), includes_unset: false }
    }

    #[test]
    fn every_operator_is_parsed_to_its_predicate() {
        use Comparison::*;
        for (property, operator, value, predicate) in [
            ("email", "eq", r#"" A@B.cd ""#, Predicate::OneOf(texts(&["a@b.cd"]))),
            ("first_name", "neq", r#"" A ""#, Predicate::NoneOf(texts(&[" A "]))),
            ("badge", "in", r#"["a", "A"]"#, Predicate::OneOf(texts(&["a", "A"]))),
            ("badge", "not_in", r#"["a"]"#, Predicate::NoneOf(texts(&["a"]))),
            ("archived", "in", "[false]", Predicate::OneOf(ValueSet { values: vec![], includes_unset: true })),
            ("shoe_size", "lt", "1", Predicate::Compared(vec![(Less, number("1"))])),
            ("shoe_size", "gte", "1.50", Predicate::Compared(vec![(AtLeast, number("1.5"))])),
            (
                "shoe_size",
                "between",
                "[1, 2]",
                Predicate::Compared(vec![(AtLeast, number("1")), (AtMost, number("2"))]),
            ),
            ("first_name", "contains", r#""%""#, Predicate::Contains("%".into())),
            ("email", "starts_with", r#""ada@""#, Predicate::StartsWith("ada@".into())),
            ("tags", "contains", r#""red""#, Predicate::ContainsOption("red".into())),
        ] {
            assert_eq!(
                parse_filter(&filter(property, operator, value)),
                Ok(predicate),
                "{property} {operator} {value}"
            );
        }
        assert_eq!(parse_filter(r#"{"property": "id", "operator": "has_value"}"#), Ok(Predicate::IsSet));
        assert_eq!(parse_filter(r#"{"property": "tags", "operator": "has_no_value"}"#), Ok(Predicate::IsUnset));
    }

    #[test]
    fn every_invalid_part_of_a_filter_is_reported_with_its_path() {
        use IssueCode::*;
        let long = format!("[{}]", vec!["1"; 101].join(","));
        for (sent, expected) in [
            (String::from("{}"), vec![("filters[0].property", Required), ("filters[0].operator", Required)]),
            (
                filter("nope", "like", "1"),
                vec![("filters[0].property", UnknownField), ("filters[0].operator", InvalidOption)],
            ),
            (filter("shoe_size", "contains", "1"), vec![("filters[0].operator", InvalidOption)]),
            (filter("first_name", "lt", "1"), vec![("filters[0].operator", InvalidOption)]),
            (filter("shoe_size", "eq", "null"), vec![("filters[0].value", Required)]),
            (filter("shoe_size", "has_value", "null"), vec![("filters[0].value", ForbiddenField)]),
            (filter("shoe_size", "in", "[]"), vec![("filters[0].value", Required)]),
            (filter("shoe_size", "in", &long), vec![("filters[0].value", TooLong)]),
            (filter("shoe_size", "in", "1"), vec![("filters[0].value", InvalidType)]),
            (
                filter("shoe_size", "not_in", r#"[1, "2", null]"#),
                vec![("filters[0].value[1]", InvalidType), ("filters[0].value[2]", Required)],
            ),
            (filter("shoe_size", "between", "[1]"), vec![("filters[0].value", Required)]),
            (filter("shoe_size", "between", "[1, 2, 3]"), vec![("filters[0].value", TooLong)]),
            (filter("archived", "lt", "false"), vec![("filters[0].value", InvalidType)]),
            (filter("tags", "contains", r#"["red"]"#), vec![("filters[0].value", InvalidType)]),
            (filter("tags", "contains", r#""pink""#), vec![("filters[0].value", InvalidOption)]),
            (
                r#"{"property": 1, "operator": 1, "values": []}"#.into(),
                vec![
                    ("filters[0].values", UnknownField),
                    ("filters[0].property", InvalidType),
                    ("filters[0].operator", InvalidType),
                ],
            ),
            (r#"{"property": "email", "operator": "eq"}"#.into(), vec![("filters[0].value", Required)]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|(field, code)| (field.to_owned(), code)).collect();
            assert_eq!(parse_filter(&sent), Err(expected), "{sent}");
        }
    }
}
