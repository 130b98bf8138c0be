//! The first rows of a table, by column. They show what the columns contain before anything is written.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::cell_values::{
    DateEvidence, DateRule, DecimalSign, detect_order, is_mark, is_placeholder, is_unset, is_yes_or_no, parse_date,
    parse_number,
};
use super::full_name::rest_of_name;
use super::mapping_options::DateFormat;
use crate::fields::{Field, Kind, NewField};
use crate::json::Json;

/// The number of values that are shown for a column.
const SHOWN_VALUES: usize = 3;

/// The values of the first rows of a table.
#[derive(Debug, Default)]
pub struct TableSample {
    /// The values of each column that are not blank, with their rows.
    columns: Vec<Vec<(usize, String)>>,
    /// The number of rows.
    pub rows: usize,
    /// Whether these are all rows of the table.
    pub is_complete: bool,
}

/// The ids that are looked for in [`TableSample::shared_id`].
#[derive(Clone, Copy)]
pub(super) struct SharedIds<'a> {
    /// The column of the ids.
    pub(super) ids: usize,
    /// Whether these are emails: their case does not matter, and of several in a cell, the first one counts.
    pub(super) are_emails: bool,
    /// Rows with a value in these columns do not count.
    pub(super) without: &'a [usize],
}

impl SharedIds<'_> {
    fn comparable<'a>(&self, id: &'a str) -> Cow<'a, str> {
        let first = || id.split([';', ',', ' ']).next().unwrap_or(id).to_lowercase();
        if self.are_emails { first().into() } else { id.into() }
    }
}

impl TableSample {
    /// Creates a sample of a table with this number of columns.
    #[must_use]
    pub fn new(columns: usize, is_complete: bool) -> Self {
        Self { columns: vec![vec![]; columns], rows: 0, is_complete }
    }

    /// Adds a row.
    pub fn add_row<'a>(&mut self, cells: impl Iterator<Item = &'a str>) {
        self.rows += 1;
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            let text = cell.trim();
            if !text.is_empty() {
                column.push((self.rows, text.to_owned()));
            }
        }
    }

    /// Returns the cells of a column that are not blank, each with its row, in the order of the rows.
    fn cells(&self, column: usize) -> impl Iterator<Item = (usize, &str)> + Clone {
        self.columns.get(column).into_iter().flatten().map(|(row, value)| (*row, value.as_str()))
    }

    /// Returns the values of a column that are not blank.
    pub(super) fn values(&self, column: usize) -> impl Iterator<Item = &str> + Clone {
        self.cells(column).map(|(_, value)| value)
    }

    /// Returns whether a column has a value.
    pub(super) fn has_values(&self, column: usize) -> bool {
        self.values(column).next().is_some()
    }

    /// Returns the number of values of a column, and how many of them are different, without case.
    pub(super) fn count_values(&self, column: usize) -> (usize, usize) {
        let different: HashSet<_> = self.values(column).map(str::to_lowercase).collect();
        (self.values(column).count(), different.len())
    }

    /// Returns the first id that two rows have with different values in another column, apart from case and blanks.
    pub(super) fn shared_id(&self, ids: SharedIds<'_>, column: usize) -> Option<&str> {
        let plain = |value: &str| value.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
        let others: HashMap<_, _> = self.cells(column).map(|(row, value)| (row, plain(value))).collect();
        let ruled_out: HashSet<_> =
            ids.without.iter().flat_map(|column| self.cells(*column)).map(|(row, _)| row).collect();
        let mut first = HashMap::new();
        let is_id = |(row, id): &(usize, &str)| !is_placeholder(id) && !ruled_out.contains(row);
        self.cells(ids.ids).filter(is_id).find_map(|(row, id)| {
            let other = others.get(&row)?;
            first.insert(ids.comparable(id), other).filter(|known| *known != other).map(|_| id)
        })
    }

    /// Returns the number of rows with a value in a column, but none in another one.
    pub(super) fn count_rows_with(&self, column: usize, without: usize) -> usize {
        let rows = |column: usize| self.cells(column).map(|(row, _)| row);
        // Both are in the order of the rows.
        let mut others = rows(without).peekable();
        let mut has_other = |row: &usize| {
            while others.next_if(|other| other < row).is_some() {}
            others.peek() == Some(row)
        };
        rows(column).filter(|row| !has_other(row)).count()
    }

    /// Returns whether two columns have values in the same row.
    pub(super) fn share_rows(&self, one: usize, other: usize) -> bool {
        let found: HashSet<_> = self.cells(one).map(|(row, _)| row).collect();
        self.cells(other).any(|(row, _)| found.contains(&row))
    }

    /// Returns whether most values of a column are the same as in another column, apart from marks such as `#N/A`.
    pub(super) fn is_same(&self, column: usize, other: usize) -> bool {
        let cells = |column: usize| self.cells(column).filter(|(_, value)| !is_mark(value));
        let others: HashMap<_, _> = cells(other).collect();
        let same = cells(column).filter(|(row, value)| others.get(row) == Some(value)).count();
        same * 2 > cells(column).count()
    }

    /// Returns whether most values of the column `whole` begin or end with the value of the same row in the column `part`.
    pub(super) fn is_part(&self, part: usize, whole: usize) -> bool {
        let parts: HashMap<_, _> = self.cells(part).collect();
        let contains = |(row, value): (usize, &str)| Some(rest_of_name(value, parts.get(&row)?).is_some());
        let found: Vec<bool> = self.cells(whole).filter_map(contains).collect();
        found.iter().filter(|contains| **contains).count() * 2 > found.len()
    }

    /// Returns whether two columns have values in the same row, and the column `whole` mostly others than the column `part`.
    pub(super) fn has_other_names(&self, part: usize, whole: usize) -> bool {
        self.share_rows(part, whole) && !self.is_part(part, whole)
    }

    /// Returns the first different values of a column.
    #[must_use]
    pub fn first_values(&self, column: usize) -> Vec<&str> {
        let mut first: Vec<&str> = Vec::with_capacity(SHOWN_VALUES);
        for value in self.values(column) {
            if first.len() < SHOWN_VALUES && !first.contains(&value) {
                first.push(value);
            }
        }
        first
    }

    /// Returns what a column shows about the order of day and month.
    pub(super) fn date_evidence(&self, column: usize) -> DateEvidence {
        detect_order(self.values(column))
    }

    /// Returns the first value of a column that may have two meanings as a date.
    pub(super) fn ambiguous_date(&self, column: usize) -> Option<&str> {
        self.values(column).find(|value| detect_order(std::iter::once(*value)) == DateEvidence::Ambiguous)
    }

    /// Returns the decimal sign of a column.
    pub(super) fn decimal_sign(&self, column: usize) -> DecimalSign {
        DecimalSign::detect(self.values(column))
    }

    /// Returns the type for a new field with the values of a column: the most specific type that fits all of them.
    pub(super) fn detect_kind(&self, column: usize, date_format: Option<DateFormat>) -> Kind {
        let all = |is_match: &dyn Fn(&str) -> bool| self.values(column).all(is_match);
        let dates = match self.date_evidence(column) {
            _ if date_format.is_some() => date_format.map(DateFormat::rule),
            DateEvidence::Order(order) => Some(DateRule::Ordered(order)),
            DateEvidence::Clear => Some(DateRule::Unambiguous),
            DateEvidence::Ambiguous => None,
        };
        let parse = |text: &str| dates.and_then(|rule| parse_date(text, rule));
        let sign = self.decimal_sign(column);
        if !self.has_values(column) {
            Kind::Text
        } else if all(&|text| is_yes_or_no(text).is_some() && text.len() > 1) {
            Kind::Checkbox
        } else if all(&|text| is_plain_number(text, sign)) {
            Kind::Number
        } else if all(&|text| is_value(Kind::Email, text)) {
            Kind::Email
        } else if all(&|text| is_value(Kind::Url, text)) {
            Kind::Url
        } else if all(&|text| is_unset(text) || parse(text).is_some_and(|date| !date.has_time())) {
            Kind::Date
        } else if all(&|text| is_unset(text) || parse(text).is_some()) {
            Kind::Datetime
        } else {
            Kind::Text
        }
    }
}

/// Returns whether a text is a number that loses nothing as a number: it has no leading zero and no plus sign, as codes and
/// phone numbers have, and no more digits than a number keeps.
fn is_plain_number(text: &str, sign: DecimalSign) -> bool {
    let has_leading_zero = text.starts_with('0') && text.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    !has_leading_zero && !text.starts_with('+') && digits <= 15 && parse_number(text, sign).is_some()
}

/// Returns whether a text is a value of a custom field of this type.
fn is_value(kind: Kind, text: &str) -> bool {
    let field = unsaved_field(kind);
    field.is_some_and(|field| matches!(field.parse(&Json::String(text.into())), Ok(Some(_))))
}

fn unsaved_field(kind: Kind) -> Option<Field> {
    let body = vec![("label".into(), Json::String("x".into())), ("type".into(), Json::String(kind.as_str().into()))];
    NewField::parse(&body).ok().map(NewField::into_unsaved)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(values: &[&str]) -> TableSample {
        let mut sample = TableSample::new(1, true);
        values.iter().for_each(|value| sample.add_row(std::iter::once(*value)));
        sample
    }

    #[test]
    fn type_of_a_new_field_fits_all_its_values() {
        for (values, kind) in [
            (&["1", "2.5", ""][..], Kind::Number),
            (&["1,5", "2"], Kind::Number),
            (&["1", "0"], Kind::Number),
            (&["0123", "456"], Kind::Text),
            (&["+49301", "456"], Kind::Text),
            (&["12345678901234567890"], Kind::Text),
            (&["yes", "No"], Kind::Checkbox),
            (&["true", "FALSE"], Kind::Checkbox),
            (&["2024-01-31", "2023-12-01"], Kind::Date),
            (&["31.01.2024"], Kind::Date),
            (&["0/0/00", "1/31/24"], Kind::Date),
            (&["03/04/2024"], Kind::Text),
            (&["03/04/2024", "25/04/2024"], Kind::Date),
            (&["2024-01-31 10:00"], Kind::Datetime),
            (&["https://a.example", "http://b.example/x"], Kind::Url),
            (&["a@b.cd"], Kind::Email),
            (&["a@b.cd", "1"], Kind::Text),
            (&["red", "blue"], Kind::Text),
            (&[""], Kind::Text),
        ] {
            assert_eq!(sample(values).detect_kind(0, None), kind, "{values:?}");
        }
    }

    #[test]
    fn first_values_are_distinct_and_not_blank() {
        let sample = sample(&["a", " ", "a", "b", "c", "d"]);
        assert_eq!(sample.first_values(0), ["a", "b", "c"]);
        assert!(sample.rows == 6 && sample.has_values(0) && !sample.has_values(1));
    }
}
