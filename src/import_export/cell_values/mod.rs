//! Converts the text of cells to values, and values to cells.
//!
//! An exported value is parsed as the same value, except white space around it. Cells of other programs are read
//! leniently: by the rules of their column, such as the order of day and month, and in the forms that people write.

mod date_words;
mod dates;
mod lists;
mod numbers;
mod other_forms;

use std::borrow::Cow;

use crate::fields::{Field, Issue, IssueCode, Kind, Value};

pub(super) use dates::{DateEvidence, DateOrder, DateRule, detect_order, is_unset, parse_date};
pub(super) use lists::{is_mark, is_placeholder};
pub(super) use numbers::{DecimalSign, parse_number};
pub(super) use other_forms::is_yes_or_no;

/// The separator between the options of a `multi_select`. Names of options cannot contain it.
const SEPARATOR: char = ';';

/// How the cells of a column are read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CellRules {
    /// The order of day and month.
    pub(super) dates: DateRule,
    /// The decimal sign.
    pub(super) decimal_sign: DecimalSign,
}

/// The content of a cell.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ParsedCell {
    /// `None` for an empty cell.
    pub(super) value: Option<Value>,
    /// The other values of a cell that has several, but whose field takes one.
    pub(super) others: Vec<String>,
    /// Values that no contact has in this field: the numbers of fax machines, and the internal addresses of Exchange.
    pub(super) unusable: Vec<String>,
}

/// Parses a cell by the rules of its field.
///
/// # Errors
/// Fails if the cell is not a valid value of the field.
pub(super) fn parse(field: &Field, cell: &str, rules: CellRules) -> Result<ParsedCell, Issue> {
    let text = trim(cell);
    if text.is_empty() {
        return Ok(ParsedCell::default());
    }
    let parsed = match field.kind {
        Kind::Email | Kind::User | Kind::Phone | Kind::Url => lists::parse_first(field, text)?,
        Kind::Text if field.unique && is_placeholder(text) => ParsedCell::default(),
        Kind::Text if field.system && is_mark(text) => ParsedCell::default(),
        _ => ParsedCell { value: parse_single(field, text, rules)?, ..ParsedCell::default() },
    };
    field.check_storable(parsed.value.as_ref())?;
    Ok(parsed)
}

/// Returns a text without white space around it, and without the invisible characters that some programs write there. An
/// apostrophe before digits only says that a spreadsheet must not take them as a number.
pub(super) fn trim(cell: &str) -> &str {
    let is_blank = |c: char| c.is_whitespace() || matches!(c, '\0' | '\u{200b}' | '\u{200e}' | '\u{200f}');
    let text = cell.trim_matches(is_blank);
    let is_number = |rest: &&str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
    text.strip_prefix('\'').filter(is_number).unwrap_or(text)
}

/// Returns whether a character is never seen, such as the marks for the direction of writing that Windows copies along. No
/// email address, phone number or web address has one.
pub(super) fn is_invisible(character: char) -> bool {
    matches!(character, '\0' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Parses a cell that is one value.
fn parse_single(field: &Field, text: &str, rules: CellRules) -> Result<Option<Value>, Issue> {
    match field.kind {
        Kind::Number => other_forms::parse_number_cell(field, text, rules.decimal_sign),
        Kind::Checkbox => other_forms::parse_checkbox(field, text),
        Kind::Dropdown => other_forms::parse_option(field, text),
        Kind::MultiSelect => other_forms::parse_options(field, text, SEPARATOR),
        Kind::Date => other_forms::parse_date_cell(field, text, rules.dates),
        Kind::Datetime => other_forms::parse_datetime_cell(field, text, rules.dates),
        Kind::Text if field.unique && is_shortened_number(text) => {
            let message = "is a number that a spreadsheet has shortened: format the column as text there, and save the file again";
            Err(Issue::new(&*field.internal_name, IssueCode::InvalidFormat, message))
        }
        _ => field.parse_text(text),
    }
}

/// Returns whether a text is a number such as `1.23457E+11`, as Excel writes long numbers to CSV files. Several ids look
/// the same then.
fn is_shortened_number(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once("E+") else { return false };
    let (whole, fraction) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    whole.len() == 1 && exponent.len() == 2 && [whole, fraction, exponent].into_iter().all(is_digits)
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
mod tests;
