//! The values that a filter or a cursor compares with. They follow the rules of the field, and are never converted.

use crate::contacts::parse_id;
use crate::fields::{Field, InvalidValue, IssueCode, Kind, Value};
use crate::json::Json;

/// A value to compare with; `None` for `archived: false`, which matches contacts without a time of archiving.
pub(super) type Operand = Option<Value>;

/// The maximum number of characters of the value of `contains` and `starts_with`, the same as of a text field.
const MAX_PART_CHARACTERS: usize = 4_096;

/// Parses a value of `field`.
pub(super) fn parse(field: &Field, json: &Json<'_>) -> Result<Operand, InvalidValue> {
    match (field.kind, json) {
        (_, Json::Null) => Err(empty_value()),
        (Kind::Archived, Json::Bool(false)) => Ok(None),
        (Kind::Archived, Json::String(_)) => parse_datetime(field, json).map(Some),
        (Kind::Uuid, Json::String(text)) => parse_contact_id(text).map(Some),
        (kind, json) if !has_type_of(kind, json) => Err(InvalidValue::new(IssueCode::InvalidType, type_rule(kind))),
        _ => parse_field_value(field, json).map(Some),
    }
}

/// Parses a value that has an order. For `archived`, this is a datetime but not `false`.
pub(super) fn parse_ordered(field: &Field, json: &Json<'_>) -> Result<Value, InvalidValue> {
    parse(field, json)?.ok_or_else(|| InvalidValue::new(IssueCode::InvalidType, "use a datetime here, not false"))
}

/// Parses the value of `contains` or `starts_with`.
pub(super) fn parse_text_part(json: &Json<'_>) -> Result<String, InvalidValue> {
    let text = match json {
        Json::String(text) => text,
        Json::Null => return Err(empty_value()),
        _ => return Err(InvalidValue::new(IssueCode::InvalidType, "must be a string")),
    };
    if text.is_empty() {
        return Err(empty_value());
    }
    check_text(text, MAX_PART_CHARACTERS)?;
    Ok(text.clone().into_owned())
}

/// Rejects a text that is too long, or that PostgreSQL cannot store.
pub(super) fn check_text(text: &str, max_characters: usize) -> Result<(), InvalidValue> {
    if text.contains('\0') {
        return Err(InvalidValue::new(IssueCode::InvalidFormat, "must not contain the character U+0000"));
    }
    if text.chars().count() > max_characters {
        return Err(InvalidValue::new(IssueCode::TooLong, format!("must be at most {max_characters} characters")));
    }
    Ok(())
}

/// Parses a value by the rules of the field.
fn parse_field_value(field: &Field, json: &Json<'_>) -> Result<Value, InvalidValue> {
    match field.parse(json) {
        Ok(value) => value.ok_or_else(empty_value),
        Err(issue) => Err(InvalidValue::new(issue.code, issue.message)),
    }
}

fn parse_datetime(field: &Field, json: &Json<'_>) -> Result<Value, InvalidValue> {
    parse_field_value(&Field { kind: Kind::Datetime, ..field.clone() }, json)
}

fn parse_contact_id(text: &str) -> Result<Value, InvalidValue> {
    let id = parse_id(text)
        .ok_or_else(|| InvalidValue::new(IssueCode::InvalidFormat, "must be the id of a contact (a UUID)"))?;
    Ok(Value::Text(id.to_string().into()))
}

fn empty_value() -> InvalidValue {
    InvalidValue::new(
        IssueCode::Required,
        "must not be empty: to find contacts without a value, use the operator has_no_value",
    )
}

/// Returns whether the JSON has the type of the values of `kind`.
fn has_type_of(kind: Kind, json: &Json<'_>) -> bool {
    match kind {
        Kind::Number => matches!(json, Json::Number(_)),
        Kind::Checkbox => matches!(json, Json::Bool(_)),
        Kind::MultiSelect => matches!(json, Json::Array(_)),
        Kind::Archived => false,
        _ => matches!(json, Json::String(_)),
    }
}

/// Returns the message for a value that has the wrong JSON type.
fn type_rule(kind: Kind) -> &'static str {
    match kind {
        Kind::Number => "must be a number",
        Kind::Checkbox => "must be true or false",
        Kind::MultiSelect => "must be an array of option names",
        Kind::Archived => "must be false or a datetime: to find archived contacts, use the operator has_value",
        _ => "must be a string",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::{Number, registry_fixtures as fixtures};
    use crate::json;

    fn operand(field: &str, value: &str) -> Result<Operand, IssueCode> {
        let registry = fixtures::registry();
        let json = json::parse(value.as_bytes()).expect("valid JSON");
        parse(registry.get(field).expect("a field"), &json).map_err(|invalid| invalid.code)
    }

    fn text(text: &str) -> Result<Operand, IssueCode> {
        Ok(Some(Value::Text(text.into())))
    }

    #[test]
    fn operand_is_parsed_by_the_rules_of_its_field() {
        assert_eq!(operand("shoe_size", "38.0"), Ok(Number::parse("38").map(Value::Number)));
        assert_eq!(
            operand("tags", r#"["red", "blue"]"#),
            Ok(Some(Value::Options(["blue".into(), "red".into()].into())))
        );
        assert_eq!(operand("created_at", r#""2026-05-01T01:30:00+02:00""#), text("2026-04-30T23:30:00.000Z"));
        assert_eq!(operand("archived", r#""2026-05-01T10:00:00Z""#), text("2026-05-01T10:00:00.000Z"));
        assert_eq!(operand("archived", "false"), Ok(None));
        assert_eq!(operand("archived_by", r#""someone""#), text("someone"));
        let id = "0198C0DE-7A3B-7C11-9D2E-5F0A1B2C3D4E";
        assert_eq!(operand("id", &format!("\"{id}\"")), text(&id.to_lowercase()));
    }

    #[test]
    fn operand_that_is_invalid_for_its_field_is_rejected() {
        use IssueCode::*;
        for (field, value, code) in [
            ("first_name", "1", InvalidType),
            ("first_name", r#""a\u0000""#, InvalidFormat),
            ("shoe_size", r#""38""#, InvalidType),
            ("shoe_size", "1e999", OutOfRange),
            ("tags", r#""red""#, InvalidType),
            ("tags", r#"["pink"]"#, InvalidOption),
            ("email", r#""ada""#, InvalidFormat),
            ("id", r#""x""#, InvalidFormat),
            ("id", "1", InvalidType),
            ("archived", "true", InvalidType),
            ("archived", r#""yes""#, InvalidFormat),
        ] {
            assert_eq!(operand(field, value), Err(code), "{field} {value}");
        }
    }

    #[test]
    fn empty_operand_is_rejected() {
        for (field, value) in [("first_name", "null"), ("first_name", r#""""#), ("email", r#"" ""#), ("tags", "[]")] {
            assert_eq!(operand(field, value), Err(IssueCode::Required), "{field} {value}");
        }
    }

    #[test]
    fn text_to_search_for_is_any_text_except_an_empty_one() {
        let part = |text: &str| parse_text_part(&Json::String(text.into())).map_err(|invalid| invalid.code);
        assert_eq!(part(" % "), Ok(" % ".to_owned()));
        assert_eq!(part(""), Err(IssueCode::Required));
        assert_eq!(part("\0"), Err(IssueCode::InvalidFormat));
        assert_eq!(part(&"ü".repeat(4_097)), Err(IssueCode::TooLong));
        assert_eq!(parse_text_part(&Json::Number("1")).map_err(|invalid| invalid.code), Err(IssueCode::InvalidType));
    }
}
