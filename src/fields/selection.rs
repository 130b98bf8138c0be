//! `?properties=`: which fields an answer shows besides the default ones (contract §5).

use std::collections::HashSet;
use std::sync::Arc;

use super::{Field, Issue, IssueCode, Registry};

/// The fields asked for besides the default set, in the order asked for, once each.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    extra: Vec<Arc<Field>>,
}

impl Selection {
    /// Reads a list of names: blanks around a name are trimmed; empty, repeated and default names skipped.
    ///
    /// # Errors
    /// An issue for each name that is no field of the account.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>, registry: &Registry) -> Result<Self, Vec<Issue>> {
        let (mut extra, mut issues, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        let names = names.into_iter().map(str::trim).filter(|name| !name.is_empty());
        for name in names.filter(|name| seen.insert(*name)) {
            match registry.get(name) {
                Some(field) if field.default => {}
                Some(field) => extra.push(Arc::clone(field)),
                None => {
                    let message = "is not a property of this account's contacts";
                    issues.push(Issue::new(name, IssueCode::UnknownField, message));
                }
            }
        }
        if issues.is_empty() { Ok(Self { extra }) } else { Err(issues) }
    }

    /// Every field there is.
    #[must_use]
    pub fn all(registry: &Registry) -> Self {
        Self { extra: registry.fields().iter().filter(|field| !field.default).cloned().collect() }
    }

    /// The fields besides the default ones.
    #[must_use]
    pub fn extra(&self) -> &[Arc<Field>] {
        &self.extra
    }
}

#[cfg(test)]
mod tests {
    use super::super::registry::samples;
    use super::*;

    fn parse(list: &str) -> Result<Vec<String>, Vec<String>> {
        Selection::parse(list.split(','), &samples::registry())
            .map(|selection| selection.extra().iter().map(|field| field.internal_name.clone()).collect())
            .map_err(|issues| issues.into_iter().map(|issue| issue.field).collect())
    }

    #[test]
    fn skips_blanks_duplicates_and_default_names() {
        assert_eq!(parse(" tags , ,email,phone,tags,,id").expect("known names"), ["tags", "phone"]);
        assert_eq!(parse("").expect("nothing asked for"), [""; 0]);
        assert_eq!(parse("archived_by").expect("readable"), ["archived_by"]);
    }

    #[test]
    fn names_each_unknown_property_once() {
        assert_eq!(
            parse("nope,phone,account_id,nope,Email").expect_err("unknown names"),
            ["nope", "account_id", "Email"]
        );
    }
}
