//! `?properties=`: what an answer shows besides the default fields, once each.

use std::collections::HashSet;

use contacts::fields::{Issue, Selection};

use super::account::{REGISTRY, SAMPLE};
use super::{expect_told, object};

pub fn properties(bytes: &[u8]) {
    let Ok(list) = std::str::from_utf8(bytes) else { return };
    match Selection::parse(list.split(','), &REGISTRY) {
        Ok(selection) => expect_each_once(list, &selection),
        Err(issues) => expect_unknown(list, &issues),
    }
}

fn names(list: &str) -> HashSet<&str> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty()).collect()
}

fn expect_each_once(list: &str, selection: &Selection) {
    let chosen: Vec<_> = selection.extra().iter().map(|field| &*field.internal_name).collect();
    let distinct: HashSet<_> = chosen.iter().copied().collect();
    assert_eq!(distinct.len(), chosen.len(), "{chosen:?}");
    let asked: HashSet<_> = names(list).into_iter().filter(|name| !REGISTRY.get(name).unwrap().default).collect();
    assert_eq!(distinct, asked);
    let again = Selection::parse(chosen.iter().copied(), &REGISTRY).unwrap();
    assert!(again.extra().iter().map(|field| &*field.internal_name).eq(chosen));
    // Strict JSON: no name is there twice.
    let shown = serde_json::to_vec(&SAMPLE.show(selection)).unwrap();
    assert_eq!(object(&shown).unwrap().len(), 9 + distinct.len());
}

fn expect_unknown(list: &str, issues: &[Issue]) {
    expect_told(issues);
    let named: HashSet<_> = issues.iter().map(|issue| &*issue.field).collect();
    assert_eq!(named.len(), issues.len());
    let unknown: HashSet<_> = names(list).into_iter().filter(|name| REGISTRY.get(name).is_none()).collect();
    assert_eq!(named, unknown);
}
