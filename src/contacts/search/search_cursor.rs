//! The cursor of a search. It contains the values that the sorts compare, of the last contact of a page.

use uuid::Uuid;

use super::operand;
use super::{SearchCriteria, Sort};
use crate::contacts::Contact;
use crate::contacts::cursor_fingerprint::Fingerprint;
use crate::fields::Value;
use crate::json::{self, Json};

/// A position in the results of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchCursor {
    /// The value for each sort of the search, in their order; `None` for an unset value.
    pub sort_keys: Vec<Option<Value>>,
}

impl SearchCursor {
    /// Encodes the position after `last`, a contact of the results.
    #[must_use]
    pub fn encode_after(last: &Contact, account: Uuid, criteria: &SearchCriteria) -> String {
        let keys: Vec<_> = criteria.sorts.iter().map(|sort| sort.key(last)).collect();
        fingerprint(account, criteria).encode(&serde_json::to_vec(&keys).unwrap_or_default())
    }

    /// Decodes a cursor. Returns `None` if the text is not a cursor of this account and search.
    #[must_use]
    pub(super) fn decode(cursor: &str, account: Uuid, criteria: &SearchCriteria) -> Option<Self> {
        let keys = fingerprint(account, criteria).decode(cursor)?;
        let Json::Array(keys) = json::parse(&keys).ok()? else { return None };
        // The last sort is by id, which every contact has.
        if keys.len() != criteria.sorts.len() || keys.last() == Some(&Json::Null) {
            return None;
        }
        let sort_keys =
            criteria.sorts.iter().zip(&keys).map(|(sort, key)| parse_key(sort, key)).collect::<Option<_>>()?;
        Some(Self { sort_keys })
    }
}

/// Parses a key as a value of the sort's field. A caller can forge a cursor, because the fingerprint is not a
/// signature. So the key must be validated.
fn parse_key(sort: &Sort, key: &Json<'_>) -> Option<Option<Value>> {
    match key {
        Json::Null => Some(None),
        key => operand::parse_ordered(&sort.field, key).ok().map(Some),
    }
}

fn fingerprint(account: Uuid, criteria: &SearchCriteria) -> Fingerprint {
    let criteria = serde_json::to_vec(criteria).unwrap_or_default();
    Fingerprint::new(account, [b"search".as_slice(), &criteria])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::contacts::search::{Comparison, ValueSet};
    use crate::contacts::{Condition, ContactPatch, Predicate};
    use crate::fields::{Number, Registry, registry_fixtures as fixtures};

    fn criteria(sorts: &[&str], registry: &Registry) -> SearchCriteria {
        let sorts = Sort::parse(sorts, registry).expect("known properties");
        SearchCriteria {
            conditions: vec![],
            condition_groups: vec![],
            query_words: vec![],
            sorts,
            include_archived: false,
        }
    }

    fn contact(fields: &str) -> Contact {
        let fields = json::parse(fields.as_bytes()).ok().and_then(Json::into_object).expect("a JSON object");
        Contact::new(&ContactPatch::parse(&fields, &fixtures::registry()).expect("valid fields"))
    }

    #[test]
    fn search_cursor_contains_the_keys_of_every_sort() {
        let registry = fixtures::registry();
        let criteria =
            criteria(&["shoe_size", "-tags", "first_name", "created_at", "archived", "archived_by"], &registry);
        let contact = contact(r#"{"first_name": "\"Ö\"", "shoe_size": 18446744073709551615, "tags": ["red", "blue"]}"#);
        let account = Uuid::now_v7();
        let cursor = SearchCursor::encode_after(&contact, account, &criteria);
        let keys = SearchCursor::decode(&cursor, account, &criteria).expect("a cursor of this search").sort_keys;
        assert_eq!(keys, criteria.sorts.iter().map(|sort| sort.key(&contact)).collect::<Vec<_>>());
        assert_eq!(keys.iter().filter(|key| key.is_none()).count(), 2);
    }

    #[test]
    fn search_cursor_is_valid_only_for_its_account_and_search() {
        let registry = fixtures::registry();
        let (one, account) = (criteria(&["email"], &registry), Uuid::now_v7());
        let cursor = SearchCursor::encode_after(&contact(r#"{"email": "a@b.cd"}"#), account, &one);
        assert!(SearchCursor::decode(&cursor, account, &one).is_some());
        assert_eq!(SearchCursor::decode(&cursor, Uuid::now_v7(), &one), None);
        let field = Arc::clone(registry.get("email").expect("a field"));
        let condition = Condition { field, predicate: Predicate::IsSet };
        for other in [
            criteria(&["-email"], &registry),
            criteria(&["email", "phone"], &registry),
            SearchCriteria { include_archived: true, ..one.clone() },
            SearchCriteria { query_words: vec!["a".into()], ..one.clone() },
            SearchCriteria { conditions: vec![condition.clone()], ..one.clone() },
            SearchCriteria { condition_groups: vec![vec![condition.clone()]], ..one.clone() },
        ] {
            assert_eq!(SearchCursor::decode(&cursor, account, &other), None, "{other:?}");
        }
    }

    /// The cursors of clients survive an upgrade only if the serialized form of every search stays the same. If this
    /// test fails, a member or variant was renamed, reordered or added: restore its serialized form.
    #[test]
    fn search_cursor_stays_the_same_from_version_to_version() {
        let registry = fixtures::registry();
        let set = |includes_unset| ValueSet { values: vec![Value::Text("a".into())], includes_unset };
        let number = Value::Number(Number::parse("1.5").expect("a number"));
        let comparisons = [Comparison::Less, Comparison::AtMost, Comparison::Greater, Comparison::AtLeast];
        let predicates = [
            Predicate::IsSet,
            Predicate::IsUnset,
            Predicate::OneOf(set(true)),
            Predicate::NoneOf(set(false)),
            Predicate::Compared(comparisons.map(|comparison| (comparison, number.clone())).to_vec()),
            Predicate::Contains("b".into()),
            Predicate::StartsWith("c".into()),
            Predicate::ContainsOption("red".into()),
        ];
        let field = registry.get("email").expect("a field");
        let conditions: Vec<_> =
            predicates.map(|predicate| Condition { field: Arc::clone(field), predicate }).into_iter().collect();
        let criteria = SearchCriteria {
            conditions: conditions.clone(),
            condition_groups: vec![conditions],
            query_words: vec!["word".into()],
            include_archived: true,
            ..criteria(&["-shoe_size"], &registry)
        };
        // Shows the difference if the cursor differs.
        assert_eq!(
            serde_json::to_string(&criteria.conditions[2..5]).expect("criteria serialize"),
            r#"[[4,{"OneOf":{"values":["a"],"includes_unset":true}}],"#.to_owned()
                + r#"[4,{"NoneOf":{"values":["a"],"includes_unset":false}}],"#
                + r#"[4,{"Compared":[["Less",1.5],["AtMost",1.5],["Greater",1.5],["AtLeast",1.5]]}]]"#
        );
        let last = Contact { id: Uuid::nil(), ..contact(r#"{"email": "a@b.cd", "shoe_size": 38}"#) };
        assert_eq!(
            SearchCursor::encode_after(&last, Uuid::nil(), &criteria),
            "WzM4LCIwMDAwMDAwMC0wMDAwLTAwMDAtMDAwMC0wMDAwMDAwMDAwMDAiXeF3kYA3Fn6r"
        );
    }

    #[test]
    fn forged_search_cursor_with_invalid_keys_is_rejected() {
        let registry = fixtures::registry();
        let (criteria, account) = (criteria(&["shoe_size"], &registry), Uuid::now_v7());
        let forged = |keys: &str| fingerprint(account, &criteria).encode(keys.as_bytes());
        let id = format!("\"{}\"", Uuid::now_v7());
        assert!(SearchCursor::decode(&forged(&format!("[null, {id}]")), account, &criteria).is_some());
        for keys in ["", "[]", "[1]", "[1, 2]", "{}", "[1, null]", &format!("[\"1\", {id}]"), &format!("[1, {id}, 1]")]
        {
            assert_eq!(SearchCursor::decode(&forged(keys), account, &criteria), None, "{keys}");
        }
        for text in ["", "abc", "ä", &"A".repeat(10_000)] {
            assert_eq!(SearchCursor::decode(text, account, &criteria), None);
        }
    }
}
