//! `datetime`: an instant, RFC 3339 with an offset. Kept in UTC, cut to milliseconds.

use chrono::{DateTime, Datelike, FixedOffset, SecondsFormat, Timelike, Utc};

use super::{Parsed, string};
use crate::fields::{IssueCode, Refusal, Value};
use crate::json::Json;

pub(in crate::fields) fn parse(json: &Json<'_>) -> Parsed {
    let text = string(json)?;
    if text.is_empty() {
        return Ok(None);
    }
    let sent = DateTime::parse_from_rfc3339(text).ok().filter(|sent| is_strict(text, sent)).ok_or_else(|| {
        let message = "must be a date and time with an offset (RFC 3339) such as 2026-05-01T10:00:00Z";
        Refusal::new(IssueCode::InvalidFormat, message)
    })?;
    let instant = DateTime::<Utc>::from_timestamp_millis(sent.timestamp_millis())
        .filter(|instant| (1..=9999).contains(&instant.year()))
        .ok_or_else(|| Refusal::new(IssueCode::OutOfRange, "must be, in UTC, of the years 0001 to 9999"))?;
    Ok(Some(Value::Text(format(instant))))
}

/// chrono also takes a blank for the `T`, the minus sign of Unicode, and a second 60 in minutes that have none.
fn is_strict(text: &str, sent: &DateTime<FixedOffset>) -> bool {
    let is_leap_second = sent.timestamp_subsec_millis() >= 1_000;
    let (hour, minute) = (sent.naive_utc().hour(), sent.naive_utc().minute());
    let is_of_rfc_3339 = text.is_ascii() && matches!(text.as_bytes().get(10), Some(b'T' | b't'));
    is_of_rfc_3339 && (!is_leap_second || (hour, minute) == (23, 59))
}

/// An instant as every answer writes it: `2026-05-01T10:00:00.000Z` (contract §1).
pub(crate) fn format(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{json, only_strings, refused, set};
    use super::*;

    #[test]
    fn turns_instants_into_utc_cut_to_milliseconds() {
        for (sent, kept) in [
            ("2026-05-01T10:00:00Z", "2026-05-01T10:00:00.000Z"),
            ("2026-05-01T10:00:00.1239999Z", "2026-05-01T10:00:00.123Z"),
            ("2026-05-01T01:30:00+02:00", "2026-04-30T23:30:00.000Z"),
            ("2026-05-01t10:00:00-00:00", "2026-05-01T10:00:00.000Z"),
            ("1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z"),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(parse(&json(sent)), set(kept));
        }
        assert_eq!(parse(&json("")), Ok(None));
    }

    #[test]
    fn refuses_everything_else() {
        refused(
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
        refused(
            parse,
            IssueCode::OutOfRange,
            &["0000-06-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"],
        );
        only_strings(parse);
    }
}
