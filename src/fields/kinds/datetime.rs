//! `datetime`: an instant in the format of RFC 3339 with an offset. Stored in UTC, truncated to milliseconds.

use chrono::{DateTime, Datelike, FixedOffset, SecondsFormat, Timelike, Utc};

use super::{Parsed, expect_string};
use crate::fields::{InvalidValue, IssueCode, Value};
use crate::json::Json;

/// Parses an instant.
pub(in crate::fields) fn parse(json: &Json<'_>) -> Parsed {
    let text = expect_string(json)?;
    if text.is_empty() {
        return Ok(None);
    }
    Ok(Some(Value::Text(format(parse_instant(text)?).into())))
}

/// Parses an instant in the format of RFC 3339, truncated to microseconds.
pub(crate) fn parse_instant(text: &str) -> Result<DateTime<Utc>, InvalidValue> {
    let sent = DateTime::parse_from_rfc3339(text).ok().filter(|sent| is_strict(text, sent)).ok_or_else(|| {
        let message = "must be a date and time with an offset (RFC 3339), for example 2026-05-01T10:00:00Z";
        InvalidValue::new(IssueCode::InvalidFormat, message)
    })?;
    DateTime::<Utc>::from_timestamp_micros(sent.timestamp_micros())
        .filter(|instant| (1..=9999).contains(&instant.year()))
        .ok_or_else(|| InvalidValue::new(IssueCode::OutOfRange, "year must be between 0001 and 9999 (UTC)"))
}

/// Returns whether the text conforms to RFC 3339. The parser of chrono also accepts a space instead of the `T`, the
/// Unicode minus sign, and second 60 in a minute that has no leap second.
fn is_strict(text: &str, sent: &DateTime<FixedOffset>) -> bool {
    let is_leap_second = sent.timestamp_subsec_millis() >= 1_000;
    let (hour, minute) = (sent.naive_utc().hour(), sent.naive_utc().minute());
    let has_rfc_3339_form = text.is_ascii() && matches!(text.as_bytes().get(10), Some(b'T' | b't'));
    has_rfc_3339_form && (!is_leap_second || (hour, minute) == (23, 59))
}

/// Formats an instant for responses: `2026-05-01T10:00:00.000Z` (`docs/api-reference.md#conventions`).
pub(crate) fn format(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{expect_rejected, expect_strings_only, json, text_value};
    use super::*;

    #[test]
    fn datetime_is_converted_to_utc_and_truncated_to_milliseconds() {
        for (sent, stored) in [
            ("2026-05-01T10:00:00Z", "2026-05-01T10:00:00.000Z"),
            ("2026-05-01T10:00:00.1239999Z", "2026-05-01T10:00:00.123Z"),
            ("2026-05-01T01:30:00+02:00", "2026-04-30T23:30:00.000Z"),
            ("2026-05-01t10:00:00-00:00", "2026-05-01T10:00:00.000Z"),
            ("1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z"),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(parse(&json(sent)), text_value(stored));
        }
        assert_eq!(parse(&json("")), Ok(None));
    }

    #[test]
    fn datetime_field_rejects_other_forms_and_years() {
        expect_rejected(
            parse,
            IssueCode::InvalidFormat,
            &[
                "2026-05-01",
                "2026-05-01T10:00:00",
                "2026-05-01T25:00:00Z",
                "2026-02-30T10:00:00Z",
                "1777629600",
                "now",
                "2026-05-01 10:00:00Z",
                "2026-05-01T10:00:00\u{2212}02:00",
                "2026-05-01T10:00:60Z",
                " ",
            ],
        );
        expect_rejected(
            parse,
            IssueCode::OutOfRange,
            &["0000-06-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"],
        );
        expect_strings_only(parse);
    }
}
