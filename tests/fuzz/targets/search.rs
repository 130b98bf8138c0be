//! The body of a search. It becomes a search of bounded size, and the same search on every page.

use contacts::contacts::{Condition, Predicate, SearchCriteria, SearchCursor, SearchError, SearchRequest};
use contacts::fields::{Value, system};
use contacts::json::{Json, Object};

use super::account::{ACCOUNT, REGISTRY, SAMPLE};
use super::{expect_complete_issues, parse_object};

pub fn search(bytes: &[u8]) {
    let Some(body) = parse_object(bytes) else { return };
    match SearchRequest::parse(&body, ACCOUNT, &REGISTRY) {
        Ok(request) => {
            expect_bounded(&request);
            expect_same_on_the_next_page(body, &request);
        }
        Err(SearchError::InvalidBody(rule)) => assert!(!rule.is_empty()),
        Err(SearchError::InvalidProperties(issues) | SearchError::InvalidQuery(issues)) => {
            expect_complete_issues(&issues);
        }
    }
}

/// Checks the limits of a search (`docs/api-reference.md#limits`).
fn expect_bounded(request: &SearchRequest) {
    let SearchCriteria { conditions, condition_groups, query_words, sorts, .. } = &request.criteria;
    let all: Vec<_> = conditions.iter().chain(condition_groups.iter().flatten()).collect();
    assert!(all.len() <= 50 && condition_groups.len() <= 5 && condition_groups.iter().all(|group| !group.is_empty()));
    assert!(
        query_words.len() <= 20
            && query_words.iter().all(|word| !word.is_empty() && !word.contains(char::is_whitespace))
    );
    assert!((1..=11).contains(&sorts.len()) && sorts.last().is_some_and(|sort| sort.field.id == system::ID));
    assert!((1..=1_000).contains(&request.limit));
    assert!(
        all.into_iter()
            .flat_map(condition_texts)
            .chain(query_words.iter().map(String::as_str))
            .all(|text| !text.contains('\0'))
    );
}

/// Returns the texts that a condition compares with. A condition has at most 100 values.
fn condition_texts(condition: &Condition) -> Vec<&str> {
    let values: Vec<_> = match &condition.predicate {
        Predicate::IsSet | Predicate::IsUnset => vec![],
        Predicate::Contains(text) | Predicate::StartsWith(text) | Predicate::ContainsOption(text) => return vec![text],
        Predicate::OneOf(choice) | Predicate::NoneOf(choice) => choice.values.iter().collect(),
        Predicate::Compared(bounds) => bounds.iter().map(|(_, value)| value).collect(),
    };
    assert!(values.len() <= 100);
    values.into_iter().filter_map(Value::as_text).collect()
}

/// Checks that the cursor of a page is valid for the next page of the same search.
fn expect_same_on_the_next_page(mut body: Object<'_>, request: &SearchRequest) {
    let cursor = SearchCursor::encode_after(&SAMPLE, ACCOUNT, &request.criteria);
    body.retain(|(name, _)| name != "after");
    body.push(("after".into(), Json::String(cursor.into())));
    let next = SearchRequest::parse(&body, ACCOUNT, &REGISTRY).unwrap();
    assert_eq!(next.criteria, request.criteria);
    assert_eq!(serde_json::to_string(&next.criteria).unwrap(), serde_json::to_string(&request.criteria).unwrap());
    assert_eq!(next.cursor.map(|cursor| cursor.sort_keys.len()), Some(request.criteria.sorts.len()));
}
