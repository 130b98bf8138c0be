//! Why a row is refused, with the codes of the API (contract §2).

use std::fmt::Write as _;

use crate::contacts::{Collision, WriteRefusal, missing_identity};
use crate::fields::{Issue, Registry};

/// Why a row is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The code that the API would answer.
    pub code: &'static str,
    /// How to mend the row: every problem of it, each with its field and its own code.
    pub message: String,
}

impl Refusal {
    /// The refusal of cells with these problems.
    #[must_use]
    pub fn of_issues(issues: &[Issue]) -> Self {
        let problems = issues.iter().map(|issue| (issue.field.as_str(), &*issue.message, issue.code.as_str()));
        Self { code: "validation_failed", message: joined(problems) }
    }

    /// The refusal of a write; `registry` names the fields.
    #[must_use]
    pub fn of_write(refusal: &WriteRefusal, registry: &Registry) -> Self {
        match refusal {
            WriteRefusal::Incomplete => Self::of_issues(&missing_identity()),
            WriteRefusal::Duplicate(collisions) => {
                let (collisions, code) =
                    (collisions.iter().map(|collision| taken(collision, registry)), refusal.code());
                Self { code, message: collisions.collect::<Vec<_>>().join("; ") }
            }
            refusal => Self { code: refusal.code(), message: refusal.to_string() },
        }
    }

    /// The refusal of a row that has another number of cells than the header.
    #[must_use]
    pub fn of_width(cells: usize, columns: usize) -> Self {
        let message = format!("the row has {cells} cells, and the header {columns}: is a comma or a quote missing?");
        Self { code: "invalid_body", message }
    }

    /// The refusal of a row that is no text.
    #[must_use]
    pub fn of_encoding() -> Self {
        Self { code: "invalid_body", message: "the row is not UTF-8: save the file as \"CSV UTF-8\"".to_owned() }
    }
}

/// `email: must be … (invalid_format); shoe_size: must be … (invalid_type)`
fn joined<'a>(problems: impl Iterator<Item = (&'a str, &'a str, &'a str)>) -> String {
    problems.fold(String::new(), |mut text, (field, message, code)| {
        let separator = if text.is_empty() { "" } else { "; " };
        // Writing to a string can't fail.
        let _ = write!(text, "{separator}{field}: {message} ({code})");
        text
    })
}

fn taken(collision: &Collision, registry: &Registry) -> String {
    let field = registry.by_id(collision.field).map(|field| field.internal_name.as_str()).unwrap_or_default();
    let holder = collision.existing_id.map_or("another active contact".to_owned(), |id| format!("the contact {id}"));
    format!("{field}: belongs to {holder} (duplicate)")
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::fields::{IssueCode, registry_samples as samples, system};

    #[test]
    fn tells_every_problem_with_its_code() {
        let issues = [
            Issue::new("email", IssueCode::InvalidFormat, "must be an address"),
            Issue::new("shoe_size", IssueCode::InvalidType, "must be a number"),
        ];
        let refusal = Refusal::of_issues(&issues);
        assert_eq!(refusal.code, "validation_failed");
        assert_eq!(
            refusal.message,
            "email: must be an address (invalid_format); shoe_size: must be a number (invalid_type)"
        );
    }

    #[test]
    fn names_who_holds_a_key() {
        let collision = Collision { field: system::EMAIL, existing_id: Some(Uuid::nil()) };
        let refusal = Refusal::of_write(&WriteRefusal::Duplicate(vec![collision]), &samples::registry());
        assert_eq!(refusal.code, "duplicate_contact");
        assert_eq!(refusal.message, "email: belongs to the contact 00000000-0000-0000-0000-000000000000 (duplicate)");
        let incomplete = Refusal::of_write(&WriteRefusal::Incomplete, &samples::registry());
        assert!(incomplete.code == "validation_failed" && incomplete.message.contains("(required)"), "{incomplete:?}");
    }
}
