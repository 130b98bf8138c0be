//! The problems of a request, in the order found.

use std::borrow::Cow;
use std::ops::Deref;

use super::Issue;

/// The maximum number of issues that an error lists (`docs/api-reference.md#errors`).
pub const MAX_ISSUES: usize = 100;

/// Issues of which the first [`MAX_ISSUES`] are listed and the others only counted. A body can have a million invalid
/// fields, so the others take no memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Issues {
    listed: Vec<Issue>,
    omitted: usize,
}

impl Issues {
    /// Adds an issue.
    pub fn push(&mut self, issue: Issue) {
        if self.is_full() {
            self.omitted += 1;
        } else {
            self.listed.push(issue);
        }
    }

    /// Adds the issues of another list.
    pub fn append(&mut self, other: Self) {
        self.extend(other.listed);
        self.omitted += other.omitted;
    }

    /// Returns whether further issues are only counted.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.listed.len() == MAX_ISSUES
    }

    /// Returns the memory that the listed issues take, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let of_texts = |issue: &Issue| {
            let message = if let Cow::Owned(message) = &issue.message { message.capacity() } else { 0 };
            issue.field.capacity() + message
        };
        self.listed.capacity() * size_of::<Issue>() + self.listed.iter().map(of_texts).sum::<usize>()
    }

    /// Returns the number of issues that are not listed.
    #[must_use]
    pub fn omitted(&self) -> usize {
        self.omitted
    }
}

/// The listed issues. They are empty only if there are no issues.
impl Deref for Issues {
    type Target = [Issue];

    fn deref(&self) -> &[Issue] {
        &self.listed
    }
}

impl From<Vec<Issue>> for Issues {
    fn from(issues: Vec<Issue>) -> Self {
        issues.into_iter().collect()
    }
}

impl<const COUNT: usize> From<[Issue; COUNT]> for Issues {
    fn from(issues: [Issue; COUNT]) -> Self {
        issues.into_iter().collect()
    }
}

impl FromIterator<Issue> for Issues {
    fn from_iter<I: IntoIterator<Item = Issue>>(issues: I) -> Self {
        let mut list = Self::default();
        list.extend(issues);
        list
    }
}

impl Extend<Issue> for Issues {
    fn extend<I: IntoIterator<Item = Issue>>(&mut self, issues: I) {
        issues.into_iter().for_each(|issue| self.push(issue));
    }
}

impl IntoIterator for Issues {
    type Item = Issue;
    type IntoIter = std::vec::IntoIter<Issue>;

    /// Returns the listed issues.
    fn into_iter(self) -> Self::IntoIter {
        self.listed.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::super::IssueCode;
    use super::*;

    #[test]
    fn issues_beyond_the_maximum_are_only_counted() {
        let issue = |number: usize| Issue::new(number.to_string(), IssueCode::UnknownField, "is unknown");
        let mut issues: Issues = (0..MAX_ISSUES).map(issue).collect();
        assert_eq!((issues.len(), issues.omitted()), (MAX_ISSUES, 0));
        issues.push(issue(MAX_ISSUES));
        assert_eq!((issues.len(), issues.omitted()), (MAX_ISSUES, 1));
        let mut first: Issues = [issue(0)].into();
        first.append(issues);
        assert_eq!((first.len(), first.omitted()), (MAX_ISSUES, 2));
        assert_eq!(first[1].field, "0");
    }
}
