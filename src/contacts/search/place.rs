//! A place in the answer to a search: what its sorts compare of the last contact shown.

use uuid::Uuid;

use super::operand;
use super::{Search, Sort};
use crate::contacts::Contact;
use crate::contacts::cursor::Fingerprint;
use crate::fields::Value;
use crate::json::{self, Json};

/// The key of each sort, in their order; `None` where the value is unset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(pub Vec<Option<Value>>);

impl Place {
    /// The cursor that goes on after `last` in the same search.
    #[must_use]
    pub fn cursor_after(last: &Contact, account: Uuid, search: &Search) -> String {
        let keys: Vec<_> = search.sorts.iter().map(|sort| sort.key(last)).collect();
        fingerprint(account, search).seal(&serde_json::to_vec(&keys).unwrap_or_default())
    }

    /// Reads a cursor back. `None` for a text that is no cursor, or one of another account or search.
    #[must_use]
    pub(super) fn read(cursor: &str, account: Uuid, search: &Search) -> Option<Self> {
        let keys = fingerprint(account, search).open(cursor)?;
        let Json::Array(keys) = json::parse(&keys).ok()? else { return None };
        // The last sort is by id, which every contact has.
        if keys.len() != search.sorts.len() || keys.last() == Some(&Json::Null) {
            return None;
        }
        search.sorts.iter().zip(&keys).map(|(sort, key)| read_key(sort, key)).collect::<Option<_>>().map(Self)
    }
}

/// A key is a value that the field takes: a cursor comes from outside, whatever its fingerprint says.
fn read_key(sort: &Sort, key: &Json<'_>) -> Option<Option<Value>> {
    match key {
        Json::Null => Some(None),
        key => operand::parse_ordered(&sort.field, key).ok().map(Some),
    }
}

fn fingerprint(account: Uuid, search: &Search) -> Fingerprint {
    let search = serde_json::to_vec(search).unwrap_or_default();
    Fingerprint::new(account, [b"search".as_slice(), &search])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::contacts::{Condition, Draft, Test};
    use crate::fields::{Registry, registry_samples as samples};

    fn search(sorts: &[&str], registry: &Registry) -> Search {
        let sorts = Sort::parse(sorts, registry).expect("known names");
        Search { conditions: vec![], groups: vec![], words: vec![], sorts, archived: false }
    }

    fn contact(fields: &str) -> Contact {
        let fields = json::parse(fields.as_bytes()).ok().and_then(Json::into_object).expect("an object");
        Contact::new(&Draft::parse(&fields, &samples::registry()).expect("valid fields"))
    }

    #[test]
    fn a_cursor_holds_the_keys_of_every_kind() {
        let registry = samples::registry();
        let search = search(&["shoe_size", "-tags", "first_name", "created_at", "archived", "archived_by"], &registry);
        let contact = contact(r#"{"first_name": "\"Ö\"", "shoe_size": 18446744073709551615, "tags": ["red", "blue"]}"#);
        let account = Uuid::now_v7();
        let place = Place::read(&Place::cursor_after(&contact, account, &search), account, &search).expect("a place");
        assert_eq!(place.0, search.sorts.iter().map(|sort| sort.key(&contact)).collect::<Vec<_>>());
        assert_eq!(place.0.iter().filter(|key| key.is_none()).count(), 2);
    }

    #[test]
    fn a_cursor_is_good_for_its_own_search_only() {
        let registry = samples::registry();
        let (one, account) = (search(&["email"], &registry), Uuid::now_v7());
        let cursor = Place::cursor_after(&contact(r#"{"email": "a@b.cd"}"#), account, &one);
        assert!(Place::read(&cursor, account, &one).is_some());
        assert_eq!(Place::read(&cursor, Uuid::now_v7(), &one), None);
        let field = Arc::clone(registry.get("email").expect("a field"));
        let condition = Condition { field, test: Test::IsSet };
        for other in [
            search(&["-email"], &registry),
            search(&["email", "phone"], &registry),
            Search { archived: true, ..one.clone() },
            Search { words: vec!["a".into()], ..one.clone() },
            Search { conditions: vec![condition.clone()], ..one.clone() },
            Search { groups: vec![vec![condition.clone()]], ..one.clone() },
        ] {
            assert_eq!(Place::read(&cursor, account, &other), None, "{other:?}");
        }
    }

    #[test]
    fn a_forged_cursor_is_none() {
        let registry = samples::registry();
        let (search, account) = (search(&["shoe_size"], &registry), Uuid::now_v7());
        let forged = |keys: &str| fingerprint(account, &search).seal(keys.as_bytes());
        let id = format!("\"{}\"", Uuid::now_v7());
        assert!(Place::read(&forged(&format!("[null, {id}]")), account, &search).is_some());
        for keys in ["", "[]", "[1]", "[1, 2]", "{}", "[1, null]", &format!("[\"1\", {id}]"), &format!("[1, {id}, 1]")]
        {
            assert_eq!(Place::read(&forged(keys), account, &search), None, "{keys}");
        }
        for text in ["", "abc", "ä", &"A".repeat(10_000)] {
            assert_eq!(Place::read(text, account, &search), None);
        }
    }
}
