//! Cursors. The input is used as the text of a cursor, and as the payload of a forged cursor with a valid fingerprint.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contacts::contacts::{
    FeedCursor, FeedScope, ListCursor, ListFilter, SearchCriteria, SearchCursor, SearchError, SearchRequest,
};
use contacts::json::Json;

use super::account::{ACCOUNT, CONTACT, REGISTRY, SAMPLE};

pub fn cursors(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        expect_at_most_one_list(text);
        expect_at_most_one_feed(text);
        SEARCHES.iter().for_each(|(sorts, _)| drop(parse_search_cursor(sorts, text)));
    }
    check_forged_list_cursor(bytes);
    check_forged_feed_cursor(bytes);
    SEARCHES.iter().for_each(|(sorts, search)| check_forged_search_cursor(sorts, search, bytes));
}

/// Returns the filters of the list.
fn list_filters() -> [ListFilter; 3] {
    let email = Some("ada@example.com".to_owned());
    [
        ListFilter::default(),
        ListFilter { include_archived: true, ..ListFilter::default() },
        ListFilter { email, ..ListFilter::default() },
    ]
}

const SCOPES: [FeedScope; 2] = [FeedScope::Feed(ACCOUNT), FeedScope::History(ACCOUNT, CONTACT)];

/// Searches with different sorts, each with the list of its sorts.
static SEARCHES: LazyLock<Vec<(Vec<&str>, SearchCriteria)>> = LazyLock::new(|| {
    let typical: &[&str] = &["my_number", "-my_multi_select", "first_name", "archived", "archived_by", "-created_at"];
    let searches = [&[], typical, &["my_checkbox", "my_dropdown", "my_date", "-id"]].map(<[_]>::to_vec);
    searches.into_iter().map(|sorts| (sorts.clone(), parse_search(&sorts, None).unwrap().criteria)).collect()
});

/// Parses a search with these sorts and this cursor.
fn parse_search(sorts: &[&str], after: Option<&str>) -> Result<SearchRequest, SearchError> {
    let sorts = sorts.iter().map(|name| Json::String((*name).into())).collect();
    let after = after.map_or(Json::Null, |after| Json::String(after.into()));
    let body = vec![("sorts".into(), Json::Array(sorts)), ("after".into(), after)];
    SearchRequest::parse(&body, ACCOUNT, &REGISTRY)
}

/// Parses a search cursor. An invalid cursor is the only issue of its request.
fn parse_search_cursor(sorts: &[&str], cursor: &str) -> Option<SearchCursor> {
    match parse_search(sorts, Some(cursor)) {
        Ok(request) => Some(request.cursor.expect("a cursor is never ignored")),
        Err(SearchError::InvalidQuery(issues)) if issues.len() == 1 && issues[0].field == "after" => None,
        Err(error) => panic!("{error:?}"),
    }
}

/// Checks that a list cursor has one spelling and is valid for one filter only.
fn expect_at_most_one_list(text: &str) {
    let readable =
        list_filters().into_iter().filter_map(|filter| Some((ListCursor::decode(text, ACCOUNT, &filter)?, filter)));
    let readable: Vec<_> = readable.collect();
    assert!(readable.len() <= 1);
    for (id, filter) in readable {
        assert_eq!(ListCursor::encode_after(id, ACCOUNT, &filter), text);
    }
}

/// Checks that a feed cursor has one spelling and is valid for one scope only.
fn expect_at_most_one_feed(text: &str) {
    let readable: Vec<_> =
        SCOPES.into_iter().filter_map(|scope| Some((FeedCursor::decode(text, scope)?, scope))).collect();
    assert!(readable.len() <= 1);
    for (cursor, scope) in readable {
        assert!(cursor.position() >= 0 && cursor.encode(scope) == text);
    }
}

/// Returns a cursor with this payload and the fingerprint of a real cursor, which is its last 8 bytes.
fn forge(payload: &[u8], real: &str) -> String {
    let real = URL_SAFE_NO_PAD.decode(real).unwrap();
    URL_SAFE_NO_PAD.encode([payload, &real[real.len() - 8..]].concat())
}

/// Checks that a list cursor accepts exactly a payload of 16 bytes.
fn check_forged_list_cursor(payload: &[u8]) {
    let filter = ListFilter::default();
    let cursor = forge(payload, &ListCursor::encode_after(CONTACT, ACCOUNT, &filter));
    let read = ListCursor::decode(&cursor, ACCOUNT, &filter);
    assert_eq!(read.map(|id| id.as_bytes().to_vec()), (payload.len() == 16).then(|| payload.to_vec()));
}

/// Checks that a feed cursor accepts exactly a payload of 16 bytes whose first bit is 0.
fn check_forged_feed_cursor(payload: &[u8]) {
    let cursor = forge(payload, &FeedCursor::START.encode(SCOPES[0]));
    let read = FeedCursor::decode(&cursor, SCOPES[0]);
    assert_eq!(read.is_some(), payload.len() == 16 && payload[0] < 0x80);
    assert!(read.is_none_or(|read| read.encode(SCOPES[0]) == cursor));
}

/// Checks that an accepted payload has a key for each sort, and encodes to a cursor with the same position.
fn check_forged_search_cursor(sorts: &[&str], search: &SearchCriteria, payload: &[u8]) {
    let real = SearchCursor::encode_after(&SAMPLE, ACCOUNT, search);
    let Some(read) = parse_search_cursor(sorts, &forge(payload, &real)) else { return };
    assert!(
        read.sort_keys.len() == search.sorts.len() && read.sort_keys.last().is_some_and(Option::is_some),
        "{read:?}"
    );
    let payload = serde_json::to_vec(&read.sort_keys).unwrap();
    assert_eq!(parse_search_cursor(sorts, &forge(&payload, &real)), Some(read));
}
