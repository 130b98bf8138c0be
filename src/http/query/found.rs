//! What is wrong with a query: all of it is said at once.

use crate::fields::{Issue, IssueCode};
use crate::http::error::ApiError;

/// What was found wrong with a query so far.
#[derive(Default)]
pub(super) struct Found(pub(super) Vec<Issue>);

impl Found {
    /// The value of a parameter; none also when it is malformed.
    pub(super) fn optional<T>(&mut self, parsed: Result<Option<T>, Issue>) -> Option<T> {
        parsed.unwrap_or_else(|issue| {
            self.0.push(issue);
            None
        })
    }

    /// The value of a parameter that has to be sent.
    pub(super) fn needed<T>(&mut self, name: &str, parsed: Result<Option<T>, Issue>) -> Option<T> {
        let parsed =
            parsed.and_then(|value| value.ok_or_else(|| Issue::new(name, IssueCode::Required, "is needed here")));
        self.optional(parsed.map(Some))
    }

    /// What was asked for, if all of the query is right. Unknown properties have a code of their own, when nothing else
    /// is wrong.
    pub(super) fn finish<T>(self, selection: Result<T, Vec<Issue>>) -> Result<T, ApiError> {
        let Self(mut issues) = self;
        match selection {
            Ok(selection) if issues.is_empty() => Ok(selection),
            Err(unknown) if issues.is_empty() => Err(ApiError::InvalidProperties(unknown)),
            selection => {
                issues.extend(selection.err().unwrap_or_default());
                Err(ApiError::InvalidQuery(issues))
            }
        }
    }

    /// The value of a parameter, or the default.
    pub(super) fn or<T>(&mut self, default: T, parsed: Result<Option<T>, Issue>) -> T {
        self.optional(parsed).unwrap_or(default)
    }
}
