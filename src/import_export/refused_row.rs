//! Refused rows, with the error codes of the API (docs/api-reference.md#error-codes).

use std::fmt::Write as _;

use crate::contacts::{Collision, WriteRejection, contact_too_large_issue, missing_identity_issues};
use crate::fields::{Issue, Registry};

/// The reason why a row was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRow {
    /// The first problem without the values of the row, to count rows by.
    pub group: String,
    /// Every problem of the row, each with its field and its code, and how to fix it.
    pub reason: String,
}

impl RefusedRow {
    fn new(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { group: reason.clone(), reason }
    }

    /// Creates the refusal of a row whose cells have these problems.
    #[must_use]
    pub fn from_issues(issues: &[Issue]) -> Self {
        let problems: Vec<_> = issues
            .iter()
            .map(|issue| format!("{}: {} ({})", issue.field, issue.message, issue.code.as_str()))
            .collect();
        Self { group: problems.first().cloned().unwrap_or_default(), reason: problems.join("; ") }
    }

    /// Converts the rejection of a write. `registry` provides the names of the fields. `line_of` returns the line of an
    /// earlier row with the same unique value.
    #[must_use]
    pub fn from_write_rejection(
        rejection: &WriteRejection,
        registry: &Registry,
        mut line_of: impl FnMut(&Collision) -> Option<u64>,
    ) -> Self {
        match rejection {
            WriteRejection::Incomplete => Self::for_missing_identity(),
            WriteRejection::TooLarge => Self::from_issues(&[contact_too_large_issue()]),
            WriteRejection::Duplicate(collisions) => {
                let lines: Vec<_> = collisions.iter().map(&mut line_of).collect();
                let problems: Vec<_> = collisions
                    .iter()
                    .zip(&lines)
                    .map(|(collision, line)| describe_collision(collision, registry, *line))
                    .collect();
                let field = collisions.first().map(|collision| field_name(collision, registry)).unwrap_or_default();
                let advice = match lines.first() {
                    // An earlier import of another program's contacts is the usual reason.
                    Some(None) => format!(". To update that contact: --match {field}"),
                    _ => String::new(),
                };
                let group = format!("{field}: belongs to another contact{advice} (duplicate)");
                Self { group, reason: problems.join("; ") }
            }
            rejection => Self::new(rejection.to_string()),
        }
    }

    /// Creates the refusal of a new contact without an email and a name.
    #[must_use]
    pub fn for_missing_identity() -> Self {
        // The three fields have the same problem.
        let required = missing_identity_issues().into_iter().next();
        Self::new(required.map(|issue| format!("{} ({})", issue.message, issue.code.as_str())).unwrap_or_default())
    }

    /// Creates the refusal of a row without a value in any match field.
    #[must_use]
    pub fn for_missing_key(fields: &[&str]) -> Self {
        match fields {
            [] => Self::new("no column identifies the contact, and --without-key refuse needs one (required)"),
            [field] => Self::new(format!(
                "{field} is empty. This import matches contacts by {field}, so every row needs one (required)"
            )),
            fields => Self::new(format!(
                "{} are empty. This import matches contacts by them, so every row needs one (required)",
                fields.join(" and ")
            )),
        }
    }

    /// Creates the refusal of a row with a value beyond the last column.
    #[must_use]
    pub fn for_extra_cell(cell: &str, columns: usize) -> Self {
        let shown: String = cell.trim().chars().filter(|c| !c.is_control()).take(40).collect();
        let group =
            format!("the row has more cells than the header, which has {columns}. Check for a separator or quote");
        Self { reason: format!("{group}: \"{shown}\" has no column"), group }
    }

    /// Creates the refusal of a row that is not in the encoding of the file.
    #[must_use]
    pub fn for_invalid_encoding() -> Self {
        Self::new("the row is not UTF-8, unlike the rest of the file. Save the file as \"CSV UTF-8\"")
    }

    /// Creates the refusal of the rest of a file, from the row with a quote that is not closed.
    #[must_use]
    pub fn for_open_quote(line: u64) -> Self {
        let group = "a quote is not closed, so the rest of the file is one row. Close it and import this file again";
        Self {
            group: group.to_owned(),
            reason: format!(
                "the quote that opens in line {line} is not closed: add the closing quote there and import the file again. The rest of the file was read as one row"
            ),
        }
    }

    /// Creates the refusal of a row with a quote that is neither doubled nor at the end of its cell.
    #[must_use]
    pub fn for_stray_quote(line: u64) -> Self {
        let group =
            "a quote is followed by more text, so the cells of the row are uncertain. Double quotes within a cell";
        Self {
            group: group.to_owned(),
            reason: format!(
                "in line {line}, a quote is followed by more text. Write two quotes for a quote within a cell"
            ),
        }
    }

    /// Creates the refusal of a row with further rows in a cell.
    #[must_use]
    pub fn for_embedded_rows(line: u64) -> Self {
        let group = "a cell has lines that look like rows, because its quote is closed too late. Close it and import these rows again";
        Self {
            group: group.to_owned(),
            reason: format!(
                "a quote that opens in or after line {line} is closed too late: a cell has lines that look like rows. Close the quote where its cell ends and import these rows again"
            ),
        }
    }

    /// Creates the refusal of a row that is too large.
    #[must_use]
    pub fn for_too_large_row(max_mebibytes: usize, max_cells: usize) -> Self {
        Self::new(format!(
            "the row has more than {max_mebibytes} MiB or more than {max_cells} cells. Check for a missing closing quote"
        ))
    }

    /// Creates the refusal of a vCard, with the reason.
    #[must_use]
    pub fn for_vcard(reason: &str) -> Self {
        Self::new(reason)
    }
}

fn field_name<'a>(collision: &Collision, registry: &'a Registry) -> &'a str {
    registry.by_id(collision.field).map(|field| field.internal_name.as_str()).unwrap_or_default()
}

/// Returns the problem of a row whose unique value another contact holds.
fn describe_collision(collision: &Collision, registry: &Registry, line: Option<u64>) -> String {
    let field = field_name(collision, registry);
    let mut text = format!("{field}: belongs to ");
    // Writing to a string cannot fail.
    let _ = match (line, collision.existing_id) {
        (Some(line), Some(id)) => write!(text, "the contact {id}, which line {line} has written"),
        (Some(line), None) => write!(text, "the contact of line {line}"),
        (None, Some(id)) => write!(text, "the contact {id}"),
        (None, None) => write!(text, "another active contact"),
    };
    text + " (duplicate)"
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::fields::{IssueCode, registry_fixtures as fixtures, system};

    fn refuse(rejection: &WriteRejection, line: Option<u64>) -> RefusedRow {
        RefusedRow::from_write_rejection(rejection, &fixtures::registry(), |_| line)
    }

    #[test]
    fn reason_lists_every_problem_with_its_code() {
        let issues = [
            Issue::new("email", IssueCode::InvalidFormat, "must be an address"),
            Issue::new("shoe_size", IssueCode::InvalidType, "must be a number"),
        ];
        let refused = RefusedRow::from_issues(&issues);
        assert_eq!(refused.group, "email: must be an address (invalid_format)");
        assert_eq!(
            refused.reason,
            "email: must be an address (invalid_format); shoe_size: must be a number (invalid_type)"
        );
    }

    #[test]
    fn refusal_of_a_duplicate_names_the_contact_and_the_line() {
        let collision = Collision { field: system::EMAIL, existing_id: Some(Uuid::nil()) };
        let duplicate = WriteRejection::Duplicate(vec![collision]);
        let id = "00000000-0000-0000-0000-000000000000";
        assert_eq!(refuse(&duplicate, None).reason, format!("email: belongs to the contact {id} (duplicate)"));
        let with_line = refuse(&duplicate, Some(7));
        assert_eq!(
            with_line.reason,
            format!("email: belongs to the contact {id}, which line 7 has written (duplicate)")
        );
        assert_eq!(with_line.group, "email: belongs to another contact (duplicate)");
        assert!(refuse(&duplicate, None).group.contains("--match email"));
        assert!(refuse(&WriteRejection::Incomplete, None).reason.contains("(required)"));
        assert!(refuse(&WriteRejection::TooLarge, None).reason.contains("(contact_too_large)"));
    }
}
