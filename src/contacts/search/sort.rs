//! The order of a search. Unset values come last in both directions; contacts that are equal come in order of id.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::filter::find;
use crate::contacts::Contact;
use crate::fields::{Field, Issue, IssueCode, Registry, Value, format_instant, system};

/// The most sorts that a search takes.
const MAX_SORTS: usize = 10;

/// By a field, upwards or downwards. Text by code point, a dropdown in the order of its options, a set of options by
/// its first one, then its second, and so on.
#[derive(Debug, Clone)]
pub struct Sort {
    /// The field.
    pub field: Arc<Field>,
    /// The greatest first.
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
    /// The sorts that these names stand for, a leading `-` for downwards. They end by id: what follows it decides nothing.
    ///
    /// # Errors
    /// An issue for each name that is refused.
    pub(super) fn parse(names: &[&str], registry: &Registry) -> Result<Vec<Self>, Vec<Issue>> {
        if names.len() > MAX_SORTS {
            return Err(vec![Issue::new("sorts", IssueCode::TooLong, format!("must be at most {MAX_SORTS} names"))]);
        }
        let (mut sorts, mut issues): (Vec<Self>, _) = (vec![], vec![]);
        for (index, sent) in names.iter().enumerate() {
            let (descending, name) = sent.strip_prefix('-').map_or((false, *sent), |name| (true, name));
            let place = || format!("sorts[{index}]");
            match find(name, registry) {
                Ok(field) if sorts.iter().any(|sort| sort.field.id == field.id) => {
                    issues.push(Issue::new(place(), IssueCode::InvalidOption, "sorts by the same property again"));
                }
                Ok(field) => sorts.push(Self { field, descending }),
                Err(refusal) => issues.push(refusal.of(place())),
            }
        }
        if issues.is_empty() { Ok(ended_by_id(sorts, registry)) } else { Err(issues) }
    }

    /// What this sort compares of a contact.
    pub(super) fn key(&self, contact: &Contact) -> Option<Value> {
        let archival = contact.archival.as_ref();
        match self.field.id {
            system::ID => Some(Value::Text(contact.id.to_string())),
            system::CREATED_AT => Some(Value::Text(format_instant(contact.created_at))),
            system::UPDATED_AT => Some(Value::Text(format_instant(contact.updated_at))),
            system::ARCHIVED => archival.map(|archival| Value::Text(format_instant(archival.at))),
            system::ARCHIVED_BY => archival.and_then(|archival| archival.by.clone()).map(Value::Text),
            id => contact.values.get(id).cloned(),
        }
    }
}

fn ended_by_id(mut sorts: Vec<Sort>, registry: &Registry) -> Vec<Sort> {
    match sorts.iter().position(|sort| sort.field.id == system::ID) {
        Some(position) => sorts.truncate(position + 1),
        None => sorts.extend(registry.by_id(system::ID).map(|id| Sort { field: Arc::clone(id), descending: false })),
    }
    sorts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::registry_samples as samples;

    fn parse(names: &[&str]) -> Result<Vec<String>, Vec<(String, IssueCode)>> {
        let shown = |sort: Sort| format!("{}{}", if sort.descending { "-" } else { "" }, sort.field.internal_name);
        Sort::parse(names, &samples::registry())
            .map(|sorts| sorts.into_iter().map(shown).collect())
            .map_err(|issues| issues.into_iter().map(|issue| (issue.field, issue.code)).collect())
    }

    #[test]
    fn end_by_id() {
        assert_eq!(parse(&[]), Ok(vec!["id".into()]));
        assert_eq!(parse(&["company_name", "-tags"]), Ok(vec!["company_name".into(), "-tags".into(), "id".into()]));
        assert_eq!(parse(&["-id", "email"]), Ok(vec!["-id".into()]));
    }

    #[test]
    fn name_each_field_once() {
        use IssueCode::*;
        let issue = |place: &str, code| (place.to_owned(), code);
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
