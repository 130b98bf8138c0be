//! The values that a filter (or a cursor) compares with: by the field's own rule, nothing coerced.

use crate::contacts::parse_id;
use crate::fields::{Field, IssueCode, Kind, Refusal, Value};
use crate::json::Json;

/// A value to compare with; `None` for `archived: false`, which is how an active contact lacks the time.
pub(super) type Operand = Option<Value>;

/// The most characters that a part of a text (`contains`, `starts_with`) may have: as many as a text itself.
const MAX_PART_CHARACTERS: usize = 4_096;

/// Reads a value of `field`.
pub(super) fn parse(field: &Field, json: &Json<'_>) -> Result<Operand, Refusal> {
    match (field.kind, json) {
        (_, Json::Null) => Err(empty()),
        (Kind::Archived, Json::Bool(false)) => Ok(None),
        (Kind::Archived, Json::String(_)) => time(field, json).map(Some),
        (Kind::Uuid, Json::String(text)) => id(text).map(Some),
        (kind, json) if !fits(kind, json) => Err(Refusal::new(IssueCode::InvalidType, type_of(kind))),
        _ => own(field, json).map(Some),
    }
}

/// Reads a value that is a point in an order: of `archived` that is a time only.
pub(super) fn parse_ordered(field: &Field, json: &Json<'_>) -> Result<Value, Refusal> {
    parse(field, json)?
        .ok_or_else(|| Refusal::new(IssueCode::InvalidType, "must be a time: false has no place in an order"))
}

/// Reads a part of a text.
pub(super) fn parse_part(json: &Json<'_>) -> Result<String, Refusal> {
    let text = match json {
        Json::String(text) => text,
        Json::Null => return Err(empty()),
        _ => return Err(Refusal::new(IssueCode::InvalidType, "must be a string")),
    };
    if text.is_empty() {
        return Err(empty());
    }
    check_text(text, MAX_PART_CHARACTERS)?;
    Ok(text.clone().into_owned())
}

/// Refuses a text that is too long, or that PostgreSQL can't take.
pub(super) fn check_text(text: &str, max_characters: usize) -> Result<(), Refusal> {
    if text.contains('\0') {
        return Err(Refusal::new(IssueCode::InvalidFormat, "must not contain the character U+0000"));
    }
    if text.chars().count() > max_characters {
        return Err(Refusal::new(IssueCode::TooLong, format!("must be at most {max_characters} characters")));
    }
    Ok(())
}

/// By the field's own rule.
fn own(field: &Field, json: &Json<'_>) -> Result<Value, Refusal> {
    match field.parse(json) {
        Ok(value) => value.ok_or_else(empty),
        Err(issue) => Err(Refusal::new(issue.code, issue.message)),
    }
}

fn time(field: &Field, json: &Json<'_>) -> Result<Value, Refusal> {
    own(&Field { kind: Kind::Datetime, ..field.clone() }, json)
}

fn id(text: &str) -> Result<Value, Refusal> {
    let id = parse_id(text).ok_or_else(|| Refusal::new(IssueCode::InvalidFormat, "must be the id of a contact"))?;
    Ok(Value::Text(id.to_string()))
}

fn empty() -> Refusal {
    Refusal::new(IssueCode::Required, "must not be empty: has_no_value finds contacts without one")
}

fn fits(kind: Kind, json: &Json<'_>) -> bool {
    match kind {
        Kind::Number => matches!(json, Json::Number(_)),
        Kind::Checkbox => matches!(json, Json::Bool(_)),
        Kind::MultiSelect => matches!(json, Json::Array(_)),
        Kind::Archived => false,
        _ => matches!(json, Json::String(_)),
    }
}

fn type_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Number => "must be a number",
        Kind::Checkbox => "must be true or false",
        Kind::MultiSelect => "must be an array of option names",
        Kind::Archived => "must be false or a time: has_value finds the contacts that are archived",
        _ => "must be a string",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::{Number, registry_samples as samples};
    use crate::json;

    fn operand(field: &str, value: &str) -> Result<Operand, IssueCode> {
        let registry = samples::registry();
        let json = json::parse(value.as_bytes()).expect("JSON");
        parse(registry.get(field).expect("a field"), &json).map_err(|refusal| refusal.code)
    }

    fn text(text: &str) -> Result<Operand, IssueCode> {
        Ok(Some(Value::Text(text.to_owned())))
    }

    #[test]
    fn are_values_of_the_field() {
        assert_eq!(operand("shoe_size", "38.0"), Ok(Number::parse("38").map(Value::Number)));
        assert_eq!(operand("tags", r#"["red", "blue"]"#), Ok(Some(Value::Options(vec!["blue".into(), "red".into()]))));
        assert_eq!(operand("created_at", r#""2026-05-01T01:30:00+02:00""#), text("2026-04-30T23:30:00.000Z"));
        assert_eq!(operand("archived", r#""2026-05-01T10:00:00Z""#), text("2026-05-01T10:00:00.000Z"));
        assert_eq!(operand("archived", "false"), Ok(None));
        assert_eq!(operand("archived_by", r#""someone""#), text("someone"));
        let id = "0198C0DE-7A3B-7C11-9D2E-5F0A1B2C3D4E";
        assert_eq!(operand("id", &format!("\"{id}\"")), text(&id.to_lowercase()));
    }

    #[test]
    fn are_refused_where_the_field_refuses_them() {
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
    fn are_never_empty() {
        for (field, value) in [("first_name", "null"), ("first_name", r#""""#), ("email", r#"" ""#), ("tags", "[]")] {
            assert_eq!(operand(field, value), Err(IssueCode::Required), "{field} {value}");
        }
    }

    #[test]
    fn parts_of_texts_are_any_text_but_nothing() {
        let part = |text: &str| parse_part(&Json::String(text.into())).map_err(|refusal| refusal.code);
        assert_eq!(part(" % "), Ok(" % ".to_owned()));
        assert_eq!(part(""), Err(IssueCode::Required));
        assert_eq!(part("\0"), Err(IssueCode::InvalidFormat));
        assert_eq!(part(&"ü".repeat(4_097)), Err(IssueCode::TooLong));
        assert_eq!(parse_part(&Json::Number("1")).map_err(|refusal| refusal.code), Err(IssueCode::InvalidType));
    }
}
