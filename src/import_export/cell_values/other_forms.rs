//! Values of single cells in forms that the API does not accept but that have one meaning.

use super::dates::{DateEvidence, DateRule, ParsedDate, detect_order, is_unset, parse_date};
use super::numbers::{DecimalSign, parse_number};
use crate::fields::{Field, FieldOption, Issue, IssueCode, Value, format_instant};
use crate::import_export::header_name::comparable_name;
use crate::json::Json;

const YES: [&str; 16] =
    ["true", "yes", "y", "1", "ja", "oui", "si", "wahr", "vrai", "verdadero", "on", "x", "checked", "✓", "✔", "☑"];
const NO: [&str; 12] = ["false", "no", "n", "0", "nein", "non", "falsch", "faux", "falso", "off", "-", "unchecked"];

/// Returns whether a text is a word or digit for yes, or for no. Returns `None` for any other text.
pub(in crate::import_export) fn is_yes_or_no(text: &str) -> Option<bool> {
    let word = text.to_lowercase().replace('í', "i");
    let is_yes = YES.contains(&&*word);
    (is_yes || NO.contains(&&*word)).then_some(is_yes)
}

pub(super) fn parse_checkbox(field: &Field, text: &str) -> Result<Option<Value>, Issue> {
    match is_yes_or_no(text) {
        Some(checked) => Ok(Some(Value::Checkbox(checked))),
        None => field.parse(&Json::String(text.into())),
    }
}

pub(super) fn parse_number_cell(field: &Field, text: &str, sign: DecimalSign) -> Result<Option<Value>, Issue> {
    match parse_number(text, sign) {
        Some(number) => field.parse_text(&number),
        None => field.parse(&Json::String(text.into())),
    }
}

/// Parses the name or the label of an option, in any case.
pub(super) fn parse_option(field: &Field, text: &str) -> Result<Option<Value>, Issue> {
    field.parse(&Json::String(option_name(field, text).unwrap_or(text).into()))
}

/// Parses the names or labels of options, separated by `separator`, or by commas if that makes all of them known.
pub(super) fn parse_options(field: &Field, text: &str, separator: char) -> Result<Option<Value>, Issue> {
    let split = |separator: char| -> Vec<_> {
        let parts = text.split(separator).map(str::trim).filter(|part| !part.is_empty());
        parts.map(|part| option_name(field, part).ok_or(part)).collect()
    };
    let by_separator = split(separator);
    let is_known = |parts: &[Result<&str, &str>]| !parts.is_empty() && parts.iter().all(Result::is_ok);
    let parts = if is_known(&by_separator) {
        by_separator
    } else {
        Some(split(',')).filter(|parts| is_known(parts)).unwrap_or(by_separator)
    };
    let names = parts.into_iter().map(|part| Json::String(part.unwrap_or_else(|unknown| unknown).into()));
    field.parse(&Json::Array(names.collect()))
}

/// Returns the internal name of the option with this name or label.
fn option_name<'a>(field: &'a Field, text: &str) -> Option<&'a str> {
    let find = |is_match: &dyn Fn(&FieldOption) -> bool| field.options.iter().find(|option| is_match(option));
    let lower = text.to_lowercase();
    let comparable = comparable_name(text);
    let option = find(&|option| option.internal_name == text)
        .or_else(|| find(&|option| option.label.trim() == text))
        .or_else(|| find(&|option| option.internal_name == lower || option.label.trim().to_lowercase() == lower))
        .or_else(|| find(&|option| !comparable.is_empty() && comparable_name(&option.label) == comparable));
    option.map(|option| option.internal_name.as_str())
}

pub(super) fn parse_date_cell(field: &Field, text: &str, rule: DateRule) -> Result<Option<Value>, Issue> {
    parse_or_explain(field, text, rule, |date| Some(date.date.format("%Y-%m-%d").to_string()))
}

pub(super) fn parse_datetime_cell(field: &Field, text: &str, rule: DateRule) -> Result<Option<Value>, Issue> {
    parse_or_explain(field, text, rule, |date| date.instant().map(format_instant))
}

/// Parses a date. The rules of the field apply to the form that `format` returns, or to the text if it is not a date.
fn parse_or_explain(
    field: &Field,
    text: &str,
    rule: DateRule,
    format: impl FnOnce(ParsedDate) -> Option<String>,
) -> Result<Option<Value>, Issue> {
    let text = text.strip_prefix('\'').unwrap_or(text);
    if is_unset(text) {
        return Ok(None);
    }
    // The form of the API is never ambiguous, and can be more precise.
    let as_sent = field.parse_text(text);
    if as_sent.is_ok() {
        return as_sent;
    }
    match parse_date(text, rule).and_then(format) {
        Some(date) => field.parse_text(&date),
        None if detect_order(std::iter::once(text)) == DateEvidence::Ambiguous => {
            let message =
                "can be day/month or month/day. Say which with --date-format dd/mm/yyyy or --date-format mm/dd/yyyy";
            Err(Issue::new(&*field.internal_name, IssueCode::InvalidFormat, message))
        }
        None => as_sent,
    }
}
