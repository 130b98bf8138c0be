//! `?properties=`: the fields that a response contains in addition to the default fields
//! (`docs/api-reference.md#contacts`).

use std::collections::HashSet;
use std::sync::Arc;

use super::{Field, Issue, IssueCode, Issues, Registry, RegistryVersion};

/// The requested fields that are not default fields, in the requested order, once each.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    extra: Vec<Arc<Field>>,
    registry_version: RegistryVersion,
}

impl Selection {
    /// Parses a list of names. Spaces around a name are trimmed. Empty names, repeated names and the names of default
    /// fields are skipped.
    ///
    /// # Errors
    /// Returns an issue for each name that is not a field of the account.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>, registry: &Registry) -> Result<Self, Issues> {
        // A body can have millions of names, so only the names of fields and of listed issues are remembered.
        let (mut extra, mut issues, mut seen) = (Vec::new(), Issues::default(), HashSet::new());
        let names = names.into_iter().map(str::trim).filter(|name| !name.is_empty());
        for name in names {
            let field = registry.get(name);
            let is_new = if field.is_none() && issues.is_full() { !seen.contains(name) } else { seen.insert(name) };
            match field.filter(|field| !field.default) {
                Some(field) if is_new => extra.push(Arc::clone(field)),
                None if is_new && field.is_none() => {
                    let message = registry.unsupported_message(name);
                    let message = message.unwrap_or_else(|| "is not a property of this account's contacts".to_owned());
                    issues.push(Issue::new(name, IssueCode::UnknownField, message));
                }
                _ => {}
            }
        }
        if issues.is_empty() { Ok(Self { extra, registry_version: registry.version() }) } else { Err(issues) }
    }

    /// Returns a selection of every field.
    #[must_use]
    pub fn all(registry: &Registry) -> Self {
        let extra = registry.fields().iter().filter(|field| !field.default).cloned().collect();
        Self { extra, registry_version: registry.version() }
    }

    /// Returns the version of the registry that describes the fields.
    #[must_use]
    pub fn registry_version(&self) -> RegistryVersion {
        self.registry_version
    }

    /// Returns the selected fields that are not default fields.
    #[must_use]
    pub fn extra(&self) -> &[Arc<Field>] {
        &self.extra
    }
}

#[cfg(test)]
mod tests {
    use super::super::registry::fixtures;
    use super::*;

    fn parse(list: &str) -> Result<Vec<String>, Vec<String>> {
        Selection::parse(list.split(','), &fixtures::registry())
            .map(|selection| selection.extra().iter().map(|field| field.internal_name.clone()).collect())
            .map_err(|issues| issues.into_iter().map(|issue| issue.field).collect())
    }

    #[test]
    fn selection_skips_empty_repeated_and_default_names() {
        assert_eq!(parse(" tags , ,email,phone,tags,,id").expect("all names are known"), ["tags", "phone"]);
        assert_eq!(parse("").expect("the list is empty"), [""; 0]);
        assert_eq!(parse("archived_by").expect("archived_by is a field"), ["archived_by"]);
    }

    #[test]
    fn each_unknown_name_is_one_issue() {
        assert_eq!(
            parse("nope,phone,account_id,nope,Email").expect_err("some names are unknown"),
            ["nope", "account_id", "Email"]
        );
    }
}
