//! Dates and times as people and spreadsheets write them: `31/12/2024`, `Dec 31, 2024`, `31.12.24 14:30`.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};

use super::date_words::{is_filler, month_number};

/// The order of day and month in dates such as `03/04/2024`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::import_export) enum DateOrder {
    DayFirst,
    MonthFirst,
}

/// How the dates of a column are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::import_export) enum DateRule {
    /// Only dates that have one meaning.
    #[default]
    Unambiguous,
    /// Also dates such as `03/04/2024`.
    Ordered(DateOrder),
}

/// What the values of a column show about the order of day and month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::import_export) enum DateEvidence {
    /// Every date has one meaning, or the column has no dates.
    Clear,
    /// The dates have this order.
    Order(DateOrder),
    /// Some dates have two meanings, and no other date shows which one is right.
    Ambiguous,
}

/// A date, and a time if the text has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::import_export) struct ParsedDate {
    pub(in crate::import_export) date: NaiveDate,
    time: Option<(NaiveTime, Option<FixedOffset>)>,
}

impl ParsedDate {
    /// Returns whether the text has a time.
    pub(in crate::import_export) fn has_time(self) -> bool {
        self.time.is_some()
    }

    /// Returns the instant. Without a time it is midnight, and without a time zone the zone is UTC.
    pub(in crate::import_export) fn instant(self) -> Option<DateTime<Utc>> {
        let (time, offset) = self.time.unwrap_or_default();
        let local = NaiveDateTime::new(self.date, time);
        match offset {
            Some(offset) => Some(offset.from_local_datetime(&local).single()?.to_utc()),
            None => Some(local.and_utc()),
        }
    }
}

/// Returns what the values of a column show about the order of day and month.
pub(in crate::import_export) fn detect_order<'a>(values: impl Iterator<Item = &'a str>) -> DateEvidence {
    let (mut day_first, mut month_first, mut ambiguous) = (false, false, false);
    for value in values {
        let (date, _) = split_time(value.trim());
        let Some([Part::Number(first, _), Part::Number(second, _), Part::Number(..)]) = parts(date) else { continue };
        if has_year_first(date) || date.contains('.') || is_unset(value) {
            continue;
        }
        match (first, second) {
            (13..=31, 1..=12) => day_first = true,
            (1..=12, 13..=31) => month_first = true,
            (first, second) if first != second => ambiguous = true,
            _ => {}
        }
    }
    match (day_first, month_first) {
        (true, false) => DateEvidence::Order(DateOrder::DayFirst),
        (false, true) => DateEvidence::Order(DateOrder::MonthFirst),
        _ if ambiguous => DateEvidence::Ambiguous,
        _ => DateEvidence::Clear,
    }
}

/// Returns whether a text is a placeholder for no date, such as Outlook's `0/0/00`.
pub(in crate::import_export) fn is_unset(text: &str) -> bool {
    let mut digits = text.chars().filter(char::is_ascii_digit).peekable();
    digits.peek().is_some() && digits.all(|digit| digit == '0') && text.chars().all(|c| "0/.- :".contains(c))
}

/// Parses a date with an optional time. Returns `None` if it is not a date, or if it has two meanings and the rule does
/// not say which one is right.
pub(in crate::import_export) fn parse_date(text: &str, rule: DateRule) -> Option<ParsedDate> {
    let (date_text, time_text) = split_time(text);
    let date = parse_day(date_text, rule)?;
    let time = match time_text {
        "" => None,
        text => Some(parse_time(text)?),
    };
    Some(ParsedDate { date, time })
}

/// Splits a text before the hour of its time.
fn split_time(text: &str) -> (&str, &str) {
    let Some(colon) = text.find(':') else { return (text, "") };
    let start = text[..colon].rfind(|c: char| !c.is_ascii_digit()).map_or(0, |index| index + 1);
    // A multi-byte character before the hour is not part of any date with a time.
    if !text.is_char_boundary(start) {
        return (text, "");
    }
    let date = text[..start].trim_end_matches(['T', 't', ' ', ',', '\u{a0}', '\u{202f}']);
    (date, &text[start..])
}

/// A part of a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// A number, and its count of digits.
    Number(u32, usize),
    /// The number of a month that was written as a word.
    Month(u32),
}

/// Returns the three parts of a date, without the name of a weekday.
fn parts(text: &str) -> Option<[Part; 3]> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let mut parts = Vec::with_capacity(3);
    for word in words {
        let digits = word.trim_end_matches(|c: char| !c.is_ascii_digit());
        if !digits.is_empty()
            && (digits.len() == word.len() || ["st", "nd", "rd", "th", "er"].contains(&&word[digits.len()..]))
        {
            parts.push(Part::Number(digits.parse().ok()?, digits.len()));
        } else if let Some(month) = month_number(word) {
            parts.push(Part::Month(month));
        } else if !is_filler(word) {
            return None;
        }
    }
    parts.try_into().ok()
}

fn has_year_first(date: &str) -> bool {
    matches!(parts(date), Some([Part::Number(_, 4), ..]))
}

fn parse_day(text: &str, rule: DateRule) -> Option<NaiveDate> {
    if text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return day(text[..4].parse().ok()?, text[4..6].parse().ok()?, text[6..].parse().ok()?);
    }
    match parts(text)? {
        [Part::Number(year, 4), Part::Number(month, _), Part::Number(day_number, _)] => day(year, month, day_number),
        [Part::Number(year, 4), Part::Month(month), Part::Number(day_number, 1..=2)] => day(year, month, day_number),
        [Part::Number(day_number, 1..=2), Part::Month(month), Part::Number(year, digits)]
        | [Part::Month(month), Part::Number(day_number, 1..=2), Part::Number(year, digits)] => {
            day(full_year(year, digits)?, month, day_number)
        }
        [Part::Number(first, 1..=2), Part::Number(second, 1..=2), Part::Number(year, digits)] => {
            let year = full_year(year, digits)?;
            match order_of(text, first, second, rule)? {
                DateOrder::DayFirst => day(year, second, first),
                DateOrder::MonthFirst => day(year, first, second),
            }
        }
        _ => None,
    }
}

/// Returns the order of a date of three numbers. Dates with points have the day first.
fn order_of(text: &str, first: u32, second: u32, rule: DateRule) -> Option<DateOrder> {
    match rule {
        DateRule::Ordered(order) => Some(order),
        DateRule::Unambiguous if text.contains('.') || first > 12 || first == second => Some(DateOrder::DayFirst),
        DateRule::Unambiguous if second > 12 => Some(DateOrder::MonthFirst),
        DateRule::Unambiguous => None,
    }
}

/// Returns the year of two or four digits. Two digits are a year from 1969 to 2068, as in POSIX.
fn full_year(year: u32, digits: usize) -> Option<u32> {
    match (digits, year) {
        (4, year) => Some(year),
        (2, 0..=68) => Some(2000 + year),
        (2, year) => Some(1900 + year),
        _ => None,
    }
}

fn day(year: u32, month: u32, day: u32) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(i32::try_from(year).ok().filter(|year| (1..=9999).contains(year))?, month, day)
}

/// Parses `14:30`, `2:30:15.5 PM`, `14:30Z`, `14:30 +02:00` and the like.
fn parse_time(text: &str) -> Option<(NaiveTime, Option<FixedOffset>)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != ':' && c != '.').unwrap_or(text.len());
    let (clock, rest) = (&text[..end], text[end..].trim_start_matches([' ', '\u{a0}', '\u{202f}']));
    let upper = rest.to_ascii_uppercase();
    let half = ["AM", "A.M.", "PM", "P.M."].iter().position(|half| upper.starts_with(half));
    let zone = half.map_or(&*upper, |index| upper[if index % 2 == 0 { 2 } else { 4 }..].trim());
    let mut numbers = clock.splitn(3, ':');
    let (hour, minute) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    let seconds: f64 = numbers.next().map_or(Ok(0.0), str::parse).ok()?;
    let hour = match half {
        None => hour,
        Some(index) if (1..=12).contains(&hour) => hour % 12 + if index >= 2 { 12 } else { 0 },
        Some(_) => return None,
    };
    // The casts drop the fraction.
    let (second, millisecond) = (seconds as u32, (seconds.fract() * 1000.0).round() as u32);
    let time = NaiveTime::from_hms_milli_opt(hour, minute, second, millisecond.min(999))?;
    Some((time, parse_zone(zone)?))
}

/// Parses a time zone: nothing, `Z`, `UTC`, `GMT`, `+02:00`, `+0200` or `+02`.
fn parse_zone(text: &str) -> Option<Option<FixedOffset>> {
    match text {
        "" => return Some(None),
        "Z" | "UTC" | "GMT" => return Some(FixedOffset::east_opt(0)),
        _ => {}
    }
    let (sign, digits) =
        text.strip_prefix('+').map(|digits| (1, digits)).or(text.strip_prefix('-').map(|d| (-1, d)))?;
    let digits = digits.replace(':', "");
    if !matches!(digits.len(), 2 | 4) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let hours: i32 = digits[..2].parse().ok()?;
    let minutes: i32 = digits.get(2..).filter(|text| !text.is_empty()).map_or(Ok(0), str::parse).ok()?;
    FixedOffset::east_opt(sign * (hours * 3600 + minutes * 60)).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iso(text: &str, rule: DateRule) -> Option<String> {
        let parsed = parse_date(text, rule)?;
        let time = parsed.instant()?.format("T%H:%M:%S%.f").to_string();
        Some(if parsed.has_time() {
            parsed.instant()?.format("%F").to_string() + &time
        } else {
            parsed.date.to_string()
        })
    }

    #[test]
    fn dates_with_one_meaning_are_read() {
        for (text, expected) in [
            ("2024-12-31", "2024-12-31"),
            ("2024/1/5", "2024-01-05"),
            ("20241231", "2024-12-31"),
            ("31/12/2024", "2024-12-31"),
            ("12/31/24", "2024-12-31"),
            ("1.2.2024", "2024-02-01"),
            ("5/5/1969", "1969-05-05"),
            ("07 Mar 2023", "2023-03-07"),
            ("March 7, 2023", "2023-03-07"),
            ("Tue, 7-Mar-23", "2023-03-07"),
            ("7. März 2023", "2023-03-07"),
            ("7 de mayo de 2023", "2023-05-07"),
            ("1er août 2023", "2023-08-01"),
            ("3rd April 2020", "2020-04-03"),
            ("2024-01-15 10:30", "2024-01-15T10:30:00"),
            ("2024-01-15T10:30:00.250Z", "2024-01-15T10:30:00.250"),
            ("15/01/2024, 2:30 PM", "2024-01-15T14:30:00"),
            ("1/15/2024 12:05 am", "2024-01-15T00:05:00"),
            ("2024-01-15T10:30:00.000+0200", "2024-01-15T08:30:00"),
        ] {
            assert_eq!(iso(text, DateRule::Unambiguous).as_deref(), Some(expected), "{text}");
        }
        for text in
            ["03/04/2024", "31/31/2024", "2024-02-30", "soon", "2024", "1/2", "13:00", "0/0/00", "1 2 3 4", "é:1"]
        {
            assert_eq!(iso(text, DateRule::Unambiguous), None, "{text}");
        }
    }

    #[test]
    fn order_of_the_column_decides_dates_with_two_meanings() {
        assert_eq!(iso("03/04/2024", DateRule::Ordered(DateOrder::DayFirst)).as_deref(), Some("2024-04-03"));
        assert_eq!(iso("03/04/2024", DateRule::Ordered(DateOrder::MonthFirst)).as_deref(), Some("2024-03-04"));
        assert_eq!(iso("31/04/2024", DateRule::Ordered(DateOrder::MonthFirst)), None);
        for (values, evidence) in [
            (&["03/04/2024", "25/12/2024"][..], DateEvidence::Order(DateOrder::DayFirst)),
            (&["03/04/2024", "12/25/2024 10:00"], DateEvidence::Order(DateOrder::MonthFirst)),
            (&["03/04/2024"], DateEvidence::Ambiguous),
            (&["25/12/2024", "12/25/2024", "1/2/2024"], DateEvidence::Ambiguous),
            (&["2024-03-04", "5/5/2024", "0/0/00", "x"], DateEvidence::Clear),
        ] {
            assert_eq!(detect_order(values.iter().copied()), evidence, "{values:?}");
        }
        assert!(is_unset("0/0/00") && is_unset("0000-00-00") && !is_unset("1/0/00") && !is_unset("-"));
    }
}
