//! Converts values to the text of CSV cells and back.

use std::borrow::Cow;

use crate::fields::{Field, Issue, Kind, Value};
use crate::json::Json;

/// The separator between the options of a `multi_select`. Names of options cannot contain it.
const SEPARATOR: char = ';';

/// Parses a cell by the rules of its field. Returns `None` for an empty cell.
///
/// # Errors
/// Fails if the cell is not a valid value of the field.
pub(super) fn parse(field: &Field, cell: &str) -> Result<Option<Value>, Issue> {
    if cell.is_empty() {
        return Ok(None);
    }
    let value = match field.kind {
        Kind::MultiSelect => {
            let names = cell.split(SEPARATOR).map(|name| Json::String(name.trim().into()));
            field.parse(&Json::Array(names.collect()))
        }
        // Spreadsheets save `true` as `TRUE`.
        Kind::Checkbox => parse_json(field, &cell.to_ascii_lowercase()),
        Kind::Number => parse_json(field, cell),
        _ => field.parse_text(cell),
    }?;
    field.check_storable(value.as_ref())?;
    Ok(value)
}

/// Parses a cell as JSON. A cell `null` is not a null value: it is parsed as a string.
fn parse_json(field: &Field, cell: &str) -> Result<Option<Value>, Issue> {
    match field.parse_text(cell)? {
        None => field.parse(&Json::String(cell.into())),
        value => Ok(value),
    }
}

/// Formats a value as a cell. [`parse`] returns the same value for it.
pub(super) fn format<'a>(field: &'a Field, value: &'a Value) -> Cow<'a, str> {
    match value {
        Value::Text(text) => (&**text).into(),
        Value::Number(number) => number.to_string().into(),
        Value::Checkbox(checked) => if *checked { "true" } else { "false" }.into(),
        Value::Options(chosen) => field.in_option_order(chosen).join(&SEPARATOR.to_string()).into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fields::registry_fixtures::custom;
    use crate::fields::{FieldOption, IssueCode, Number};

    fn field(kind: Kind) -> Field {
        // Only fields of option types use these options.
        Field {
            options: ["red", "green", "blue"].map(|name| FieldOption::new(name, name)).to_vec(),
            ..custom(100, "f", kind)
        }
    }

    fn parse_cell(kind: Kind, cell: &str) -> Result<Option<Value>, IssueCode> {
        parse(&field(kind), cell).map_err(|issue| issue.code)
    }

    fn options(names: &[&str]) -> Value {
        Value::Options(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn cells_are_parsed_by_the_type_of_their_field() {
        for (kind, cell, value) in [
            (Kind::Text, " a;b ", Value::Text(" a;b ".into())),
            (Kind::Text, "null", Value::Text("null".into())),
            (Kind::Text, "42", Value::Text("42".into())),
            (Kind::Email, " a@b.cd ", Value::Text("a@b.cd".into())),
            (Kind::Number, "-1.50", Value::Number(Number::Double(-1.5))),
            (Kind::Checkbox, "TRUE", Value::Checkbox(true)),
            (Kind::Checkbox, "false", Value::Checkbox(false)),
            (Kind::Dropdown, "red", Value::Text("red".into())),
            (Kind::MultiSelect, "red; blue;red", options(&["blue", "red"])),
            (Kind::Datetime, "2026-05-01T12:00:00+02:00", Value::Text("2026-05-01T10:00:00.000Z".into())),
        ] {
            assert_eq!(parse_cell(kind, cell), Ok(Some(value)), "{kind:?} {cell}");
        }
        for kind in Kind::CUSTOM {
            assert_eq!(parse_cell(kind, ""), Ok(None), "{kind:?}");
        }
    }

    #[test]
    fn cells_that_are_not_values_of_their_field_are_rejected() {
        for (kind, cell, code) in [
            (Kind::Number, "null", IssueCode::InvalidType),
            (Kind::Number, "1,5", IssueCode::InvalidType),
            (Kind::Number, " 1", IssueCode::InvalidType),
            (Kind::Number, "1e400", IssueCode::OutOfRange),
            (Kind::Checkbox, "null", IssueCode::InvalidType),
            (Kind::Checkbox, "yes", IssueCode::InvalidType),
            (Kind::Checkbox, "1", IssueCode::InvalidType),
            (Kind::Dropdown, "pink", IssueCode::InvalidOption),
            (Kind::MultiSelect, "red;pink", IssueCode::InvalidOption),
            (Kind::MultiSelect, "red;;blue", IssueCode::InvalidOption),
            (Kind::MultiSelect, "red,blue", IssueCode::InvalidOption),
            (Kind::Date, "01.05.2026", IssueCode::InvalidFormat),
            (Kind::Text, "a\0", IssueCode::InvalidFormat),
        ] {
            assert_eq!(parse_cell(kind, cell), Err(code), "{kind:?} {cell}");
        }
    }

    proptest! {
        #![proptest_config(crate::test_seed::proptest_config())]

        #[test]
        fn formatted_text_and_numbers_parse_to_the_same_value(
            text in "[^\0]{1,40}",
            double in prop::num::f64::NORMAL,
            integer in any::<u64>(),
        ) {
            let number = |digits: String| Value::Number(Number::parse(&digits).expect("a number"));
            for (kind, value) in [
                (Kind::Text, Value::Text(text.as_str().into())),
                (Kind::Number, number(serde_json::to_string(&double).expect("serializes"))),
                (Kind::Number, number(integer.to_string())),
            ] {
                let field = field(kind);
                prop_assert_eq!(parse(&field, &super::format(&field, &value)), Ok(Some(value.clone())));
            }
        }

        #[test]
        fn formatted_set_of_options_parses_to_the_same_value(
            chosen in prop::sample::subsequence(vec!["blue", "green", "red"], 1..=3),
        ) {
            let (field, value) = (field(Kind::MultiSelect), options(&chosen));
            prop_assert_eq!(parse(&field, &super::format(&field, &value)), Ok(Some(value.clone())));
        }
    }
}
