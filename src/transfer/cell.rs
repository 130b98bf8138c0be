//! A value as the text of a cell.

use std::borrow::Cow;

use crate::fields::{Field, Issue, Kind, Value};
use crate::json::Json;

/// What joins the options of a `multi_select`. No option's name holds it.
const SEPARATOR: char = ';';

/// Reads a cell by the rules of its field. `None` for one that says nothing.
///
/// # Errors
/// The one problem that the cell has.
pub(super) fn parse(field: &Field, cell: &str) -> Result<Option<Value>, Issue> {
    if cell.is_empty() {
        return Ok(None);
    }
    match field.kind {
        Kind::MultiSelect => {
            let names = cell.split(SEPARATOR).map(|name| Json::String(name.trim().into()));
            field.parse(&Json::Array(names.collect()))
        }
        // Spreadsheets write TRUE for what was read as true.
        Kind::Checkbox => parse_json(field, &cell.to_ascii_lowercase()),
        Kind::Number => parse_json(field, cell),
        _ => field.parse_text(cell),
    }
}

/// Reads a cell that is JSON but for `null`, which means nothing in a cell.
fn parse_json(field: &Field, cell: &str) -> Result<Option<Value>, Issue> {
    match field.parse_text(cell)? {
        None => field.parse(&Json::String(cell.into())),
        value => Ok(value),
    }
}

/// The cell of a value, from which [`parse`] reads it back.
pub(super) fn text<'a>(field: &'a Field, value: &'a Value) -> Cow<'a, str> {
    match value {
        Value::Text(text) => text.into(),
        Value::Number(number) => number.to_string().into(),
        Value::Checkbox(checked) => if *checked { "true" } else { "false" }.into(),
        Value::Options(chosen) => field.in_option_order(chosen).join(&SEPARATOR.to_string()).into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fields::registry_samples::custom;
    use crate::fields::{FieldOption, IssueCode, Number};

    fn field(kind: Kind) -> Field {
        // Kinds without options don't look at them.
        Field {
            options: ["red", "green", "blue"].map(|name| FieldOption::new(name, name)).to_vec(),
            ..custom(100, "f", kind)
        }
    }

    fn parsed(kind: Kind, cell: &str) -> Result<Option<Value>, IssueCode> {
        parse(&field(kind), cell).map_err(|issue| issue.code)
    }

    fn options(names: &[&str]) -> Value {
        Value::Options(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn reads_cells_by_the_kind_of_their_field() {
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
            assert_eq!(parsed(kind, cell), Ok(Some(value)), "{kind:?} {cell}");
        }
        for kind in Kind::CUSTOM {
            assert_eq!(parsed(kind, ""), Ok(None), "{kind:?}");
        }
    }

    #[test]
    fn refuses_what_does_not_convert() {
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
            assert_eq!(parsed(kind, cell), Err(code), "{kind:?} {cell}");
        }
    }

    proptest! {
        #[test]
        fn every_text_and_number_reads_back(text in "[^\0]{1,40}", double in prop::num::f64::NORMAL, integer in any::<u64>()) {
            let number = |digits: String| Value::Number(Number::parse(&digits).expect("a number"));
            for (kind, value) in [
                (Kind::Text, Value::Text(text.clone())),
                (Kind::Number, number(serde_json::to_string(&double).expect("serializes"))),
                (Kind::Number, number(integer.to_string())),
            ] {
                let field = field(kind);
                prop_assert_eq!(parse(&field, &super::text(&field, &value)), Ok(Some(value.clone())));
            }
        }

        #[test]
        fn every_choice_reads_back(chosen in prop::sample::subsequence(vec!["blue", "green", "red"], 1..=3)) {
            let (field, value) = (field(Kind::MultiSelect), options(&chosen));
            prop_assert_eq!(parse(&field, &text(&field, &value)), Ok(Some(value.clone())));
        }
    }
}
