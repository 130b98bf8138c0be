//! `date`: an existing calendar day in the form `YYYY-MM-DD`, in the years 0001 to 9999.

use chrono::NaiveDate;

use super::{Parsed, expect_string};
use crate::fields::{InvalidValue, IssueCode, Value};
use crate::json::Json;

/// Parses a calendar day.
pub(in crate::fields) fn parse(json: &Json<'_>) -> Parsed {
    let text = expect_string(json)?;
    if text.is_empty() {
        return Ok(None);
    }
    let (year, month, day) = parse_digits(text).ok_or_else(|| {
        InvalidValue::new(IssueCode::InvalidFormat, "must be a date in the form YYYY-MM-DD, for example 2026-05-01")
    })?;
    if year == 0 {
        return Err(InvalidValue::new(IssueCode::OutOfRange, "year must be between 0001 and 9999"));
    }
    NaiveDate::from_ymd_opt(year, month, day)
        .ok_or_else(|| InvalidValue::new(IssueCode::InvalidFormat, "must be a day that exists in the calendar"))?;
    Ok(Some(Value::Text(text.into())))
}

/// Parses exactly `dddd-dd-dd` as year, month and day. (The parser of chrono also accepts signs, spaces and fewer
/// digits.)
fn parse_digits(text: &str) -> Option<(i32, u32, u32)> {
    let has_right_form =
        |(index, byte): (usize, u8)| if matches!(index, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() };
    if text.len() != 10 || !text.bytes().enumerate().all(has_right_form) {
        return None;
    }
    Some((text[..4].parse().ok()?, text[5..7].parse().ok()?, text[8..].parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{expect_rejected, expect_strings_only, json, text_value};
    use super::*;

    #[test]
    fn date_field_accepts_existing_days() {
        for text in ["0001-01-01", "2024-02-29", "2000-02-29", "9999-12-31"] {
            assert_eq!(parse(&json(text)), text_value(text));
        }
        assert_eq!(parse(&json("")), Ok(None));
    }

    #[test]
    fn date_field_rejects_other_forms_and_days_that_do_not_exist() {
        expect_rejected(
            parse,
            IssueCode::InvalidFormat,
            &[
                "2023-02-29",
                "1900-02-29",
                "2024-04-31",
                "2024-13-01",
                "2024-00-10",
                "2024-1-01",
                "24-01-01",
                "2024/01/01",
                "20240101",
                " 2024-01-01",
                "2024-01-01T00:00:00Z",
                "+024-01-01",
                "10000-01-01",
                "today",
                "２０２４-01-01",
                " ",
            ],
        );
        expect_rejected(parse, IssueCode::OutOfRange, &["0000-01-01"]);
        expect_strings_only(parse);
    }
}
