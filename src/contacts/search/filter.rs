//! One filter as it is sent: a property, an operator that fits its type, and a value that is one of it.

use std::sync::Arc;

use super::operand::{self, Operand};
use super::operator::Operator;
use super::{Choice, Comparison, Condition, Test};
use crate::fields::{Field, Issue, IssueCode, Kind, Refusal, Registry, Value};
use crate::json::{Json, Object};

/// The most values that `in` and `not_in` take.
const MAX_VALUES: usize = 100;
/// The most unknown keys of a filter that are named: an answer is not to grow far beyond its request.
const MAX_UNKNOWN_KEYS: usize = 10;
/// The most characters of a name that is repeated to the caller.
const SHOWN_CHARACTERS: usize = 100;

/// Reads a filter that stands at `place` in the body, such as `filters[0]`.
///
/// # Errors
/// An issue for each part of it that is refused.
pub(super) fn parse(filter: &Object<'_>, place: &str, registry: &Registry) -> Result<Condition, Vec<Issue>> {
    let mut issues = unknown_keys(filter, place);
    let sent = |key: &str| filter.iter().find(|(name, _)| name == key).map(|(_, json)| json);
    let field = property(sent("property"), registry).map_err(|refusal| refusal.of(format!("{place}.property")));
    let kind = field.as_ref().ok().map(|field| field.kind);
    let operator = operator(sent("operator"), kind).map_err(|refusal| refusal.of(format!("{place}.operator")));
    let (field, operator) = match (field, operator) {
        (Ok(field), Ok(operator)) => (field, operator),
        (field, operator) => {
            issues.extend(field.err());
            issues.extend(operator.err());
            return Err(issues);
        }
    };
    let parsed = test(&field, operator, sent("value"), &format!("{place}.value"));
    match parsed {
        Ok(test) if issues.is_empty() => Ok(Condition { field, test }),
        parsed => {
            issues.extend(parsed.err().unwrap_or_default());
            Err(issues)
        }
    }
}

fn unknown_keys(filter: &Object<'_>, place: &str) -> Vec<Issue> {
    let known = |name: &str| ["property", "operator", "value"].contains(&name);
    let message = "is not known: a filter takes property, operator and value";
    let unknown = filter.iter().map(|(name, _)| name).filter(|name| !known(name)).take(MAX_UNKNOWN_KEYS);
    unknown.map(|name| Issue::new(format!("{place}.{}", shown(name)), IssueCode::UnknownField, message)).collect()
}

fn property(sent: Option<&Json<'_>>, registry: &Registry) -> Result<Arc<Field>, Refusal> {
    match sent {
        Some(Json::String(name)) => find(name, registry),
        Some(_) => Err(Refusal::new(IssueCode::InvalidType, "must be a string, the name of a property")),
        None => Err(Refusal::new(IssueCode::Required, "is required: the name of a property")),
    }
}

/// The field of this name.
pub(super) fn find(name: &str, registry: &Registry) -> Result<Arc<Field>, Refusal> {
    registry.get(name).cloned().ok_or_else(|| {
        let message = format!("{} is not a property of this account's contacts", shown(name));
        Refusal::new(IssueCode::UnknownField, message)
    })
}

/// A name that a caller sent, but not at any length.
fn shown(name: &str) -> String {
    name.chars().take(SHOWN_CHARACTERS).collect()
}

/// `kind` is the property's, where that is known: then the operator must also fit it.
fn operator(sent: Option<&Json<'_>>, kind: Option<Kind>) -> Result<Operator, Refusal> {
    let names = || kind.map_or_else(|| "the name of an operator".to_owned(), Operator::names_for);
    match sent {
        Some(Json::String(name)) => match Operator::from_str(name) {
            Some(operator) if kind.is_none_or(|kind| operator.fits(kind)) => Ok(operator),
            _ => Err(Refusal::new(IssueCode::InvalidOption, format!("must, for this property, be one of {}", names()))),
        },
        Some(_) => Err(Refusal::new(IssueCode::InvalidType, format!("must be a string: {}", names()))),
        None => Err(Refusal::new(IssueCode::Required, format!("is required: {}", names()))),
    }
}

fn test(field: &Field, operator: Operator, sent: Option<&Json<'_>>, place: &str) -> Result<Test, Vec<Issue>> {
    let at_place = |refusal: Refusal| vec![refusal.of(place)];
    let takes_none = matches!(operator, Operator::HasValue | Operator::HasNoValue);
    let json = match sent {
        Some(_) if takes_none => {
            let message = format!("must be left out: {} takes none", operator.as_str());
            return Err(at_place(Refusal::new(IssueCode::ForbiddenField, message)));
        }
        None if takes_none => &Json::Null,
        Some(json) => json,
        None => return Err(at_place(Refusal::new(IssueCode::Required, "is required"))),
    };
    let compared =
        |comparison| operand::parse_ordered(field, json).map(|value| Test::Compared(vec![(comparison, value)]));
    let one = || operand::parse(field, json).map(|value| choice(field, [value]));
    match operator {
        Operator::HasValue => Ok(Test::IsSet),
        Operator::HasNoValue => Ok(Test::IsUnset),
        Operator::Eq => one().map(Test::OneOf),
        Operator::Neq => one().map(Test::NoneOf),
        Operator::Lt => compared(Comparison::Less),
        Operator::Lte => compared(Comparison::AtMost),
        Operator::Gt => compared(Comparison::Greater),
        Operator::Gte => compared(Comparison::AtLeast),
        Operator::Contains if field.kind == Kind::MultiSelect => option(field, json).map(Test::Holds),
        Operator::Contains => operand::parse_part(json).map(Test::Contains),
        Operator::StartsWith => operand::parse_part(json).map(Test::StartsWith),
        Operator::In => return many(field, json, place).map(Test::OneOf),
        Operator::NotIn => return many(field, json, place).map(Test::NoneOf),
        Operator::Between => return between(field, json, place),
    }
    .map_err(at_place)
}

fn choice(field: &Field, operands: impl IntoIterator<Item = Operand>) -> Choice {
    let mut choice = Choice { values: vec![], unset: false };
    for operand in operands {
        match operand {
            Some(Value::Text(text)) if field.kind == Kind::Email => {
                choice.values.push(Value::Text(text.to_ascii_lowercase()));
            }
            Some(value) => choice.values.push(value),
            None => choice.unset = true,
        }
    }
    choice
}

/// The one option that a set is to hold.
fn option(field: &Field, json: &Json<'_>) -> Result<String, Refusal> {
    let Json::String(name) = json else {
        return Err(Refusal::new(IssueCode::InvalidType, "must be a string, the name of one option"));
    };
    operand::parse(field, &Json::Array(vec![json.clone()])).map(|_| name.clone().into_owned())
}

/// Every value of an array that is no longer than a list of values may be.
fn many(field: &Field, json: &Json<'_>, place: &str) -> Result<Choice, Vec<Issue>> {
    let rule = format!("must be an array of 1 to {MAX_VALUES} values");
    let items = items(json, 1..=MAX_VALUES, &rule).map_err(|refusal| vec![refusal.of(place)])?;
    all(items, place, |item| operand::parse(field, item)).map(|operands| choice(field, operands))
}

fn between(field: &Field, json: &Json<'_>, place: &str) -> Result<Test, Vec<Issue>> {
    let items =
        items(json, 2..=2, "must be an array of two values, [low, high]").map_err(|refusal| vec![refusal.of(place)])?;
    let bounds = all(items, place, |item| operand::parse_ordered(field, item))?;
    Ok(Test::Compared([Comparison::AtLeast, Comparison::AtMost].into_iter().zip(bounds).collect()))
}

fn items<'a>(
    json: &'a Json<'_>,
    count: std::ops::RangeInclusive<usize>,
    rule: &str,
) -> Result<&'a [Json<'a>], Refusal> {
    match json {
        Json::Array(items) if count.contains(&items.len()) => Ok(items),
        Json::Array(items) if items.len() < *count.start() => Err(Refusal::new(IssueCode::Required, rule.to_owned())),
        Json::Array(_) => Err(Refusal::new(IssueCode::TooLong, rule.to_owned())),
        _ => Err(Refusal::new(IssueCode::InvalidType, rule.to_owned())),
    }
}

/// Each item read, or an issue for each that is refused.
fn all<T>(
    items: &[Json<'_>],
    place: &str,
    read: impl Fn(&Json<'_>) -> Result<T, Refusal>,
) -> Result<Vec<T>, Vec<Issue>> {
    let (mut read_items, mut issues) = (Vec::with_capacity(items.len()), vec![]);
    for (index, item) in items.iter().enumerate() {
        match read(item) {
            Ok(read_item) => read_items.push(read_item),
            Err(refusal) => issues.push(refusal.of(format!("{place}[{index}]"))),
        }
    }
    if issues.is_empty() { Ok(read_items) } else { Err(issues) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::{Number, registry_samples as samples};
    use crate::json;

    fn test_of(filter: &str) -> Result<Test, Vec<(String, IssueCode)>> {
        let filter = json::parse(filter.as_bytes()).ok().and_then(Json::into_object).expect("an object");
        super::parse(&filter, "filters[0]", &samples::registry())
            .map(|condition| condition.test)
            .map_err(|issues| issues.into_iter().map(|issue| (issue.field, issue.code)).collect())
    }

    fn filter(property: &str, operator: &str, value: &str) -> String {
        format!(r#"{{"property": "{property}", "operator": "{operator}", "value": {value}}}"#)
    }

    fn number(digits: &str) -> Value {
        Value::Number(Number::parse(digits).expect("a number"))
    }

    fn texts(texts: &[&str]) -> Choice {
        Choice { values: texts.iter().map(|text| Value::Text((*text).to_owned())).collect(), unset: false }
    }

    #[test]
    fn reads_every_operator() {
        use Comparison::*;
        for (property, operator, value, test) in [
            ("email", "eq", r#"" A@B.cd ""#, Test::OneOf(texts(&["a@b.cd"]))),
            ("first_name", "neq", r#"" A ""#, Test::NoneOf(texts(&[" A "]))),
            ("badge", "in", r#"["a", "A"]"#, Test::OneOf(texts(&["a", "A"]))),
            ("badge", "not_in", r#"["a"]"#, Test::NoneOf(texts(&["a"]))),
            ("archived", "in", "[false]", Test::OneOf(Choice { values: vec![], unset: true })),
            ("shoe_size", "lt", "1", Test::Compared(vec![(Less, number("1"))])),
            ("shoe_size", "gte", "1.50", Test::Compared(vec![(AtLeast, number("1.5"))])),
            ("shoe_size", "between", "[1, 2]", Test::Compared(vec![(AtLeast, number("1")), (AtMost, number("2"))])),
            ("first_name", "contains", r#""%""#, Test::Contains("%".into())),
            ("email", "starts_with", r#""ada@""#, Test::StartsWith("ada@".into())),
            ("tags", "contains", r#""red""#, Test::Holds("red".into())),
        ] {
            assert_eq!(test_of(&filter(property, operator, value)), Ok(test), "{property} {operator} {value}");
        }
        assert_eq!(test_of(r#"{"property": "id", "operator": "has_value"}"#), Ok(Test::IsSet));
        assert_eq!(test_of(r#"{"property": "tags", "operator": "has_no_value"}"#), Ok(Test::IsUnset));
    }

    #[test]
    fn names_the_place_of_every_problem() {
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
            assert_eq!(test_of(&sent), Err(expected), "{sent}");
        }
    }
}
