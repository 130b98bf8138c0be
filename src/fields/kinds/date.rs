//! `date`: a real calendar day, `YYYY-MM-DD`, of the years 0001 to 9999.

use chrono::NaiveDate;

use super::{Parsed, string};
use crate::fields::{IssueCode, Refusal, Value};
use crate::json::Json;

pub(in crate::fields) fn parse(json: &Json<'_>) -> Parsed {
    let text = string(json)?;
    if text.is_empty() {
        return Ok(None);
    }
    let (year, month, day) =
        digits(text).ok_or_else(|| Refusal::new(IssueCode::InvalidFormat, "must be a date in the form YYYY-MM-DD"))?;
    if year == 0 {
        return Err(Refusal::new(IssueCode::OutOfRange, "must be of the years 0001 to 9999"));
    }
    NaiveDate::from_ymd_opt(year, month, day)
        .ok_or_else(|| Refusal::new(IssueCode::InvalidFormat, "must be a day that exists"))?;
    Ok(Some(Value::Text(text.to_owned())))
}

/// Year, month and day of exactly `dddd-dd-dd`. (chrono's own parser also takes signs, blanks and fewer digits.)
fn digits(text: &str) -> Option<(i32, u32, u32)> {
    let shape = |(index, byte): (usize, u8)| if matches!(index, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() };
    if text.len() != 10 || !text.bytes().enumerate().all(shape) {
        return None;
    }
    Some((text[..4].parse().ok()?, text[5..7].parse().ok()?, text[8..].parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::samples::{json, only_strings, refused, set};
    use super::*;

    #[test]
    fn takes_real_days() {
        for text in ["0001-01-01", "2024-02-29", "2000-02-29", "9999-12-31"] {
            assert_eq!(parse(&json(text)), set(text));
        }
        assert_eq!(parse(&json("")), Ok(None));
    }

    #[test]
    fn refuses_everything_else() {
        refused(
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
        refused(parse, IssueCode::OutOfRange, &["0000-01-01"]);
        only_strings(parse);
    }
}
