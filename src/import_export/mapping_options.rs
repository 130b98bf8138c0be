//! The options that control how the columns and rows of a file are read.

use super::cell_values::{DateOrder, DateRule};
use super::header_name::comparable_name;
use crate::fields::Kind;

/// The options of an import.
#[derive(Debug, Clone, Default)]
pub struct MappingOptions {
    /// The targets that the user has chosen for columns.
    pub maps: Vec<ColumnChoice<String>>,
    /// The unique fields that identify the contact of a row, in order. If the list is empty, these are `external_id` and
    /// `email`, as far as columns are mapped to them.
    pub match_fields: Vec<String>,
    /// Whether unknown columns become custom fields.
    pub create_fields: bool,
    /// The types that the user has chosen for new fields.
    pub field_types: Vec<ColumnChoice<Kind>>,
    /// The order of day and month that the user has chosen.
    pub date_format: Option<DateFormat>,
    /// What happens to rows that need a decision.
    pub row_rules: RowRules,
}

/// The decisions about rows.
#[derive(Debug, Clone, Copy, Default)]
pub struct RowRules {
    /// Which contacts are written.
    pub writes: AllowedWrites,
    /// What happens to rows without a value of any match field.
    pub without_key: WithoutKey,
    /// What happens to rows with an invalid cell.
    pub on_bad_cell: OnBadCell,
}

/// Which contacts an import writes. Other rows are skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AllowedWrites {
    /// New and existing contacts.
    #[default]
    All,
    /// New contacts only.
    CreateOnly,
    /// Existing contacts only.
    UpdateOnly,
}

/// What happens to rows without a value of any match field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WithoutKey {
    /// They become new contacts.
    #[default]
    Create,
    /// They are refused.
    Refuse,
}

/// What happens to rows with an invalid cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnBadCell {
    /// They are refused.
    #[default]
    Refuse,
    /// They are stored without the value of the cell.
    Skip,
}

/// A choice for one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnChoice<T> {
    /// The header of the column, or `#` and its number.
    pub column: String,
    /// The choice.
    pub choice: T,
}

impl<T> ColumnChoice<T> {
    /// Returns whether the choice is for the column with this index and header.
    pub(super) fn is_for(&self, index: usize, header: &str) -> bool {
        let number = self.column.strip_prefix('#').and_then(|digits| digits.parse::<usize>().ok());
        let comparable = comparable_name(header);
        header == self.column
            || number == Some(index + 1)
            || (number.is_none() && !comparable.is_empty() && comparable == comparable_name(&self.column))
    }
}

/// The form of the dates in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateFormat(DateRule);

impl DateFormat {
    /// Parses a form such as `dd/mm/yyyy`, `mdy` or `%d.%m.%Y`. Returns `None` if it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut order: Vec<char> = text
            .to_ascii_lowercase()
            .chars()
            .filter(char::is_ascii_alphabetic)
            .map(|c| if c == 'b' { 'm' } else { c })
            .collect();
        order.dedup();
        match order[..] {
            ['d', 'm', 'y'] => Some(Self(DateRule::Ordered(DateOrder::DayFirst))),
            ['m', 'd', 'y'] => Some(Self(DateRule::Ordered(DateOrder::MonthFirst))),
            ['y', 'm', 'd'] => Some(Self(DateRule::Unambiguous)),
            _ => None,
        }
    }

    pub(super) fn rule(self) -> DateRule {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_formats_are_parsed() {
        let rule = |text| DateFormat::parse(text).map(DateFormat::rule);
        for text in ["dd/mm/yyyy", "DD.MM.YY", "dmy", "%d/%m/%Y"] {
            assert_eq!(rule(text), Some(DateRule::Ordered(DateOrder::DayFirst)), "{text}");
        }
        assert_eq!(rule("mm/dd/yyyy"), Some(DateRule::Ordered(DateOrder::MonthFirst)));
        assert_eq!(rule("yyyy-mm-dd"), Some(DateRule::Unambiguous));
        assert!(["", "dd/yyyy/mm", "today", "dd/mm"].iter().all(|text| rule(text).is_none()));
    }

    #[test]
    fn choice_is_for_a_header_or_a_number() {
        let choice = |column: &str| ColumnChoice { column: column.to_owned(), choice: () };
        assert!(choice("E-Mail").is_for(4, "e mail") && choice("#5").is_for(4, "e mail") && choice("#").is_for(0, "#"));
        assert!(!choice("#5").is_for(5, "e mail") && !choice("!").is_for(0, "?"));
    }
}
