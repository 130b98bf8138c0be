//! Cursors: as texts that someone sends, and as the inside of forged ones, whose fingerprint is right.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contacts::contacts::{Cursor, FeedCursor, Filter, Place, Scope, Search, SearchError, SearchRequest};
use contacts::json::Json;

use super::account::{ACCOUNT, CONTACT, REGISTRY, SAMPLE};

pub fn cursors(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        of_one_list_only(text);
        of_one_feed_only(text);
        SEARCHES.iter().for_each(|(sorts, _)| drop(place(sorts, text)));
    }
    forged_for_a_list(bytes);
    forged_for_a_feed(bytes);
    SEARCHES.iter().for_each(|(sorts, search)| forged_for_a_search(sorts, search, bytes));
}

fn filters() -> [Filter; 3] {
    let email = Some("ada@example.com".to_owned());
    [Filter::default(), Filter { archived: true, ..Filter::default() }, Filter { email, ..Filter::default() }]
}

const SCOPES: [Scope; 2] = [Scope::Feed(ACCOUNT), Scope::History(ACCOUNT, CONTACT)];

/// The sorts of searches, with those searches.
static SEARCHES: LazyLock<Vec<(Vec<&str>, Search)>> = LazyLock::new(|| {
    let typical: &[&str] = &["my_number", "-my_multi_select", "first_name", "archived", "archived_by", "-created_at"];
    let searches = [&[], typical, &["my_checkbox", "my_dropdown", "my_date", "-id"]].map(<[_]>::to_vec);
    searches.into_iter().map(|sorts| (sorts.clone(), request(&sorts, None).unwrap().search)).collect()
});

fn request(sorts: &[&str], after: Option<&str>) -> Result<SearchRequest, SearchError> {
    let sorts = sorts.iter().map(|name| Json::String((*name).into())).collect();
    let after = after.map_or(Json::Null, |after| Json::String(after.into()));
    let body = vec![("sorts".into(), Json::Array(sorts)), ("after".into(), after)];
    SearchRequest::parse(&body, ACCOUNT, &REGISTRY)
}

/// The place that a cursor stands for in a search. One that is none is refused, and nothing else with it.
fn place(sorts: &[&str], cursor: &str) -> Option<Place> {
    match request(sorts, Some(cursor)) {
        Ok(request) => Some(request.after.expect("a cursor is never passed over")),
        Err(SearchError::Query(issues)) if issues.len() == 1 && issues[0].field == "after" => None,
        Err(error) => panic!("{error:?}"),
    }
}

/// A cursor has one spelling, and is good for one filter.
fn of_one_list_only(text: &str) {
    let readable = filters().into_iter().filter_map(|filter| Some((Cursor::read(text, ACCOUNT, &filter)?, filter)));
    let readable: Vec<_> = readable.collect();
    assert!(readable.len() <= 1);
    for (id, filter) in readable {
        assert_eq!(Cursor::after(id, ACCOUNT, &filter), text);
    }
}

fn of_one_feed_only(text: &str) {
    let readable: Vec<_> =
        SCOPES.into_iter().filter_map(|scope| Some((FeedCursor::read(text, scope)?, scope))).collect();
    assert!(readable.len() <= 1);
    for (cursor, scope) in readable {
        assert!(cursor.position() >= 0 && cursor.text(scope) == text);
    }
}

/// This inside, under the fingerprint that a real cursor ends with.
fn forged(inside: &[u8], real: &str) -> String {
    let real = URL_SAFE_NO_PAD.decode(real).unwrap();
    URL_SAFE_NO_PAD.encode([inside, &real[real.len() - 8..]].concat())
}

fn forged_for_a_list(inside: &[u8]) {
    let filter = Filter::default();
    let cursor = forged(inside, &Cursor::after(CONTACT, ACCOUNT, &filter));
    let read = Cursor::read(&cursor, ACCOUNT, &filter);
    assert_eq!(read.map(|id| id.as_bytes().to_vec()), (inside.len() == 16).then(|| inside.to_vec()));
}

fn forged_for_a_feed(inside: &[u8]) {
    let cursor = forged(inside, &FeedCursor::START.text(SCOPES[0]));
    let read = FeedCursor::read(&cursor, SCOPES[0]);
    assert_eq!(read.is_some(), inside.len() == 16 && inside[0] < 0x80);
    assert!(read.is_none_or(|read| read.text(SCOPES[0]) == cursor));
}

/// What comes out of one has a key for each sort, and stands for the same place when it is sealed again.
fn forged_for_a_search(sorts: &[&str], search: &Search, inside: &[u8]) {
    let real = Place::cursor_after(&SAMPLE, ACCOUNT, search);
    let Some(read) = place(sorts, &forged(inside, &real)) else { return };
    assert!(read.0.len() == search.sorts.len() && read.0.last().is_some_and(Option::is_some), "{read:?}");
    let inside = serde_json::to_vec(&read.0).unwrap();
    assert_eq!(place(sorts, &forged(&inside, &real)), Some(read));
}
