//! Collects the problems of a query, so that one response reports all of them.

use super::query_string::QueryString;
use crate::fields::{Issue, IssueCode, Issues};
use crate::http::error::ApiError;

/// The problems of a query that have been collected so far.
pub(super) struct QueryIssues(Issues);

impl QueryIssues {
    /// Creates a collection with an issue for each parameter that the route does not have.
    pub(super) fn for_query(query: &QueryString) -> Self {
        Self(query.unknown_parameters().to_vec().into())
    }

    pub(super) fn push(&mut self, issue: Issue) {
        self.0.push(issue);
    }

    /// Returns the value of a parameter. Returns `None` if it is not sent. If it is invalid, records the issue and
    /// returns `None`.
    pub(super) fn optional<T>(&mut self, parsed: Result<Option<T>, Issue>) -> Option<T> {
        parsed.unwrap_or_else(|issue| {
            self.push(issue);
            None
        })
    }

    /// Returns the value of a parameter, or the default if it is not sent. If it is invalid, records the issue and
    /// returns the default.
    pub(super) fn or_default<T>(&mut self, default: T, parsed: Result<Option<T>, Issue>) -> T {
        self.optional(parsed).unwrap_or(default)
    }

    /// Returns the value of a required parameter. If it is invalid or not sent, records an issue and returns `None`.
    pub(super) fn required<T>(
        &mut self,
        name: &str,
        missing_message: &'static str,
        parsed: Result<Option<T>, Issue>,
    ) -> Option<T> {
        let missing = || Issue::new(name, IssueCode::Required, missing_message);
        let parsed = parsed.and_then(|value| value.ok_or_else(missing));
        self.optional(parsed.map(Some))
    }

    /// Records an issue if `dry_run` is sent to a route that ignores other parameters: the caller expects an effect that
    /// the parameter does not have there (`docs/api-reference.md#dry-run`).
    pub(super) fn reject_dry_run(&mut self, query: &QueryString) {
        if query.contains("dry_run") && !self.0.iter().any(|issue| issue.field == "dry_run") {
            let message = "applies only to routes that write contacts. Leave it out";
            self.push(Issue::new("dry_run", IssueCode::InvalidFormat, message));
        }
    }

    /// Returns an error if there are issues.
    pub(super) fn into_result(self) -> Result<(), ApiError> {
        self.into_result_with(Ok(()))
    }

    /// Returns the selection of the query, or an error with all issues. Unknown properties alone have their own code.
    pub(super) fn into_result_with<T>(self, selection: Result<T, Issues>) -> Result<T, ApiError> {
        let Self(mut issues) = self;
        match selection {
            Ok(selection) if issues.is_empty() => Ok(selection),
            Err(unknown) if issues.is_empty() => Err(ApiError::InvalidProperties(unknown)),
            selection => {
                issues.append(selection.err().unwrap_or_default());
                Err(ApiError::InvalidQuery(issues))
            }
        }
    }
}
