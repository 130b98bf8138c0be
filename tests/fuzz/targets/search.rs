//! The body of a search: it becomes a plan of bounded size, and the same one each time.

use contacts::contacts::{Condition, Place, Search, SearchError, SearchRequest, Test};
use contacts::fields::{Value, system};
use contacts::json::{Json, Object};

use super::account::{ACCOUNT, REGISTRY, SAMPLE};
use super::{expect_told, object};

pub fn search(bytes: &[u8]) {
    let Some(body) = object(bytes) else { return };
    match SearchRequest::parse(&body, ACCOUNT, &REGISTRY) {
        Ok(request) => {
            expect_bounded(&request);
            expect_same_on_the_next_page(body, &request);
        }
        Err(SearchError::Shape(rule)) => assert!(!rule.is_empty()),
        Err(SearchError::Properties(issues) | SearchError::Query(issues)) => expect_told(&issues),
    }
}

fn expect_bounded(request: &SearchRequest) {
    let Search { conditions, groups, words, sorts, .. } = &request.search;
    let all: Vec<_> = conditions.iter().chain(groups.iter().flatten()).collect();
    assert!(all.len() <= 50 && groups.len() <= 5 && groups.iter().all(|group| !group.is_empty()));
    assert!(words.len() <= 20 && words.iter().all(|word| !word.is_empty() && !word.contains(char::is_whitespace)));
    assert!((1..=11).contains(&sorts.len()) && sorts.last().is_some_and(|sort| sort.field.id == system::ID));
    assert!((1..=100).contains(&request.limit));
    assert!(all.into_iter().flat_map(texts).chain(words.iter().map(String::as_str)).all(|text| !text.contains('\0')));
}

/// The texts that a condition compares with. There are never more than a filter may send.
fn texts(condition: &Condition) -> Vec<&str> {
    let values: Vec<_> = match &condition.test {
        Test::IsSet | Test::IsUnset => vec![],
        Test::Contains(text) | Test::StartsWith(text) | Test::Holds(text) => return vec![text],
        Test::OneOf(choice) | Test::NoneOf(choice) => choice.values.iter().collect(),
        Test::Compared(bounds) => bounds.iter().map(|(_, value)| value).collect(),
    };
    assert!(values.len() <= 100);
    values.into_iter().filter_map(Value::as_text).collect()
}

/// The cursor of a page is good for the next one, which is a page of the same search.
fn expect_same_on_the_next_page(mut body: Object<'_>, request: &SearchRequest) {
    let cursor = Place::cursor_after(&SAMPLE, ACCOUNT, &request.search);
    body.retain(|(name, _)| name != "after");
    body.push(("after".into(), Json::String(cursor.into())));
    let next = SearchRequest::parse(&body, ACCOUNT, &REGISTRY).unwrap();
    assert_eq!(next.search, request.search);
    assert_eq!(serde_json::to_string(&next.search).unwrap(), serde_json::to_string(&request.search).unwrap());
    assert_eq!(next.after.map(|place| place.0.len()), Some(request.search.sorts.len()));
}
