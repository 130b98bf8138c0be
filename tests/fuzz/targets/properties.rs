//! `?properties=`: the fields that a response contains in addition to the default fields, once each.

use std::collections::HashSet;

use contacts::fields::{Field, Issue, SELECTION_WORDS, Selection};

use super::account::{REGISTRY, SAMPLE};
use super::{expect_complete_issues, parse_object};

pub fn properties(bytes: &[u8]) {
    let Ok(list) = std::str::from_utf8(bytes) else { return };
    match Selection::parse(list.split(','), &REGISTRY) {
        Ok(selection) => expect_each_once(list, &selection),
        Err(issues) => expect_unknown(list, &issues),
    }
}

/// Returns the distinct names of the list.
fn distinct_names(list: &str) -> HashSet<&str> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty()).collect()
}

/// Checks that the selection contains each requested field once.
fn expect_each_once(list: &str, selection: &Selection) {
    let chosen: Vec<_> = selection.extra().iter().map(|field| &*field.internal_name).collect();
    let distinct: HashSet<_> = chosen.iter().copied().collect();
    assert_eq!(distinct.len(), chosen.len(), "{chosen:?}");
    let is_requested = |field: &Field| {
        distinct_names(list).iter().any(|item| match (REGISTRY.get(item), *item) {
            (Some(named), _) => named.id == field.id,
            (None, "*") => true,
            (None, word) => (word == "system") == field.system,
        })
    };
    let fields = REGISTRY.fields().iter().filter(|field| !field.default && is_requested(field));
    assert_eq!(distinct, fields.map(|field| &*field.internal_name).collect());
    let again = Selection::parse(chosen.iter().copied(), &REGISTRY).unwrap();
    assert!(again.extra().iter().map(|field| &*field.internal_name).eq(chosen));
    // The strict parser rejects duplicate names.
    let returned = serde_json::to_vec(&SAMPLE.render(selection)).unwrap();
    assert_eq!(parse_object(&returned).unwrap().len(), 9 + distinct.len());
}

/// Checks that the issues name each unknown field once.
fn expect_unknown(list: &str, issues: &[Issue]) {
    expect_complete_issues(issues);
    let named: HashSet<_> = issues.iter().map(|issue| &*issue.field).collect();
    assert_eq!(named.len(), issues.len());
    let is_unknown = |name: &&str| REGISTRY.get(name).is_none() && !SELECTION_WORDS.contains(name);
    let unknown: HashSet<_> = distinct_names(list).into_iter().filter(is_unknown).collect();
    assert_eq!(named, unknown);
}
