//! The order of a search. Unset values come last in both directions. Contacts that compare as equal are ordered by id.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::filter::find_property;
use crate::contacts::Contact;
use crate::fields::{Field, Issue, IssueCode, Number, Registry, Value, format_instant, system};

/// The maximum number of sorts of a search.
const MAX_SORTS: usize = 10;

/// A sort by a field, ascending or descending. Text sorts by code point, a dropdown in the order of its options, and a
/// set of options by its first option, then its second option, and so on.
#[derive(Debug, Clone)]
pub struct Sort {
    /// The field.
    pub field: Arc<Field>,
    /// Whether the greatest value comes first.
    pub descending: bool,
}

impl PartialEq for Sort {
    fn eq(&self, other: &Self) -> bool {
        (self.field.id, self.descending) == (other.field.id, other.descending)
    }
}

impl Serialize for Sort {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.field.id.0, self.descending).serialize(serializer)
    }
}

impl Sort {
    /// Parses names of properties; a leading `-` means descending. The last sort is always by id. Sorts after it would
    /// have no effect and are dropped.
    ///
    /// # Errors
    /// Returns an issue for each rejected name.
    pub(super) fn parse(names: &[&str], registry: &Registry) -> Result<Vec<Self>, Vec<Issue>> {
        if names.len() > MAX_SORTS {
            let message = format!("must contain at most {MAX_SORTS} names");
            return Err(vec![Issue::new("sorts", IssueCode::TooLong, message)]);
        }
        let (mut sorts, mut issues): (Vec<Self>, _) = (vec![], vec![]);
        for (index, sent) in names.iter().enumerate() {
            let (descending, name) = sent.strip_prefix('-').map_or((false, *sent), |name| (true, name));
            let path = || format!("sorts[{index}]");
            match find_property(name, registry) {
                Ok(field) if sorts.iter().any(|sort| sort.field.id == field.id) => {
                    let message = "repeats a property: sort by each property once";
                    issues.push(Issue::new(path(), IssueCode::InvalidOption, message));
                }
                Ok(field) => sorts.push(Self { field, descending }),
                Err(invalid) => issues.push(invalid.for_field(path())),
            }
        }
        if issues.is_empty() { Ok(end_with_id(sorts, registry)) } else { Err(issues) }
    }

    /// Returns the value of a contact that this sort compares.
    pub(super) fn key(&self, contact: &Contact) -> Option<Value> {
        let archival = contact.archival.as_ref();
        match self.field.id {
            system::ID => Some(Value::Text(contact.id.to_string().into())),
            system::CREATED_AT => Some(Value::Text(format_instant(contact.created_at).into())),
            system::UPDATED_AT => Some(Value::Text(format_instant(contact.updated_at).into())),
            system::VERSION => Some(Value::Number(Number::Integer(contact.version.into()))),
            system::ARCHIVED => archival.map(|archival| Value::Text(format_instant(archival.at).into())),
            system::ARCHIVED_BY => {
                archival.and_then(|archival| archival.by.as_deref()).map(|by| Value::Text(by.into()))
            }
            id => contact.values.get(id).cloned(),
        }
    }
}

/// Makes the sort by id the last sort.
fn end_with_id(mut sorts: Vec<Sort>, registry: &Registry) -> Vec<Sort> {
    match sorts.iter().position(|sort| sort.field.id == system::ID) {
        Some(position) => sorts.truncate(position + 1),
        None => sorts.extend(registry.by_id(system::ID).map(|id| Sort { field: Arc::clone(id), descending: false })),
    }
    sorts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::registry_fixtures as fixtures;

    fn parse(names: &[&str]) -> Result<Vec<String>, Vec<(String, IssueCode)>> {
        let format_sort =
            |sort: Sort| format!("{}{}", if sort.descending { "-" } else { "" }, sort.field.internal_name);
        Sort::parse(names, &fixtures::registry())
            .map(|sorts| sorts.into_iter().map(format_sort).collect())
            .map_err(|issues| issues.into_iter().map(|issue| (issue.field, issue.code)).collect())
    }

    #[test]
    fn sorts_end_with_a_sort_by_id() {
        assert_eq!(parse(&[]), Ok(vec!["id".into()]));
        assert_eq!(parse(&["company_name", "-tags"]), Ok(vec!["company_name".into(), "-tags".into(), "id".into()]));
        assert_eq!(parse(&["-id", "email"]), Ok(vec!["-id".into()]));
    }

    #[test]
    fn unknown_and_repeated_properties_are_rejected() {
        use IssueCode::*;
        let issue = |path: &str, code| (path.to_owned(), code);
        assert_eq!(
            parse(&["nope", "email", "-email", "--email", "", "-"]),
            Err(vec![
                issue("sorts[0]", UnknownField),
                issue("sorts[2]", InvalidOption),
                issue("sorts[3]", UnknownField),
                issue("sorts[4]", UnknownField),
                issue("sorts[5]", UnknownField)
            ])
        );
        assert_eq!(parse(&["email"; 11]), Err(vec![issue("sorts", TooLong)]));
    }
}
