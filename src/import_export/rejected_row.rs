//! Rejected rows, with the error codes of the API (docs/api-reference.md#error-codes).

use std::fmt::Write as _;

use crate::contacts::{Collision, WriteRejection, contact_too_large_issue, missing_identity_issues};
use crate::fields::{Issue, IssueCode, Registry};

/// The reason why a row was rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRow {
    /// The error code that the API would return.
    pub code: &'static str,
    /// Every problem of the row, each with its field and its own code, and how to fix it.
    pub message: String,
}

impl RejectedRow {
    /// Creates the rejection of a row whose cells have these problems.
    #[must_use]
    pub fn from_issues(issues: &[Issue]) -> Self {
        let problems = issues.iter().map(|issue| (issue.field.as_str(), &*issue.message, issue.code.as_str()));
        Self { code: "validation_failed", message: join_problems(problems) }
    }

    /// Converts the rejection of a write. `registry` provides the names of the fields.
    #[must_use]
    pub fn from_write_rejection(rejection: &WriteRejection, registry: &Registry) -> Self {
        match rejection {
            WriteRejection::Incomplete => Self::from_issues(&missing_identity_issues()),
            WriteRejection::TooLarge => Self::from_issues(&[contact_too_large_issue()]),
            WriteRejection::Duplicate(collisions) => {
                let problems: Vec<_> =
                    collisions.iter().map(|collision| describe_collision(collision, registry)).collect();
                Self { code: rejection.code(), message: problems.join("; ") }
            }
            rejection => Self { code: rejection.code(), message: rejection.to_string() },
        }
    }

    /// Creates the rejection of a row without a value in the match field. `issues` are the problems of its other cells.
    #[must_use]
    pub fn for_missing_match_value(field: &str, issues: &[Issue]) -> Self {
        let required = IssueCode::Required.as_str();
        let mut message =
            format!("{field} is empty. This import matches contacts by {field}, so every row needs one ({required})");
        if !issues.is_empty() {
            message = format!("{message}; {}", Self::from_issues(issues).message);
        }
        Self { code: "validation_failed", message }
    }

    /// Creates the rejection of a row that does not have as many cells as the header.
    #[must_use]
    pub fn for_cell_count(cells: usize, columns: usize) -> Self {
        let message =
            format!("the row has {cells} cells, but the header has {columns}. Check for a missing comma or quote");
        Self { code: "invalid_body", message }
    }

    /// Creates the rejection of a row that is not UTF-8.
    #[must_use]
    pub fn for_invalid_encoding() -> Self {
        Self { code: "invalid_body", message: "the row is not UTF-8. Save the file as \"CSV UTF-8\"".to_owned() }
    }
}

/// Joins problems to one text: `email: must be … (invalid_format); shoe_size: must be … (invalid_type)`
fn join_problems<'a>(problems: impl Iterator<Item = (&'a str, &'a str, &'a str)>) -> String {
    problems.fold(String::new(), |mut text, (field, message, code)| {
        let separator = if text.is_empty() { "" } else { "; " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{separator}{field}: {message} ({code})");
        text
    })
}

/// Returns the problem of a row whose unique value another contact holds.
fn describe_collision(collision: &Collision, registry: &Registry) -> String {
    let field = registry.by_id(collision.field).map(|field| field.internal_name.as_str()).unwrap_or_default();
    let holder = collision.existing_id.map_or("another active contact".to_owned(), |id| format!("the contact {id}"));
    format!("{field}: belongs to {holder} (duplicate)")
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::fields::{registry_fixtures as fixtures, system};

    #[test]
    fn message_lists_every_problem_with_its_code() {
        let issues = [
            Issue::new("email", IssueCode::InvalidFormat, "must be an address"),
            Issue::new("shoe_size", IssueCode::InvalidType, "must be a number"),
        ];
        let rejected = RejectedRow::from_issues(&issues);
        assert_eq!(rejected.code, "validation_failed");
        assert_eq!(
            rejected.message,
            "email: must be an address (invalid_format); shoe_size: must be a number (invalid_type)"
        );
    }

    #[test]
    fn rejection_of_a_duplicate_names_the_existing_contact() {
        let collision = Collision { field: system::EMAIL, existing_id: Some(Uuid::nil()) };
        let rejected =
            RejectedRow::from_write_rejection(&WriteRejection::Duplicate(vec![collision]), &fixtures::registry());
        assert_eq!(rejected.code, "duplicate_contact");
        assert_eq!(rejected.message, "email: belongs to the contact 00000000-0000-0000-0000-000000000000 (duplicate)");
        let incomplete = RejectedRow::from_write_rejection(&WriteRejection::Incomplete, &fixtures::registry());
        assert!(incomplete.code == "validation_failed" && incomplete.message.contains("(required)"), "{incomplete:?}");
        let large = RejectedRow::from_write_rejection(&WriteRejection::TooLarge, &fixtures::registry());
        assert!(large.code == "validation_failed" && large.message.contains("(contact_too_large)"), "{large:?}");
    }
}
