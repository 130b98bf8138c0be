//! Random searches return the same contacts in the same order as a reference implementation.
//!
//! The reference implementation follows `docs/api-reference.md#search` and works on the contacts in memory.

use std::cmp::Ordering;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::account_with_every_type;
use crate::support::{Account, proptest_config};

/// Returns each field with the values that the contacts have and the filters use.
fn values_by_field() -> Vec<(&'static str, Vec<Value>)> {
    let array = |value: Value| value.as_array().unwrap().clone();
    vec![
        ("last_name", array(json!(["Ab", "ab", "aB c", "b%", "b_", "Äb", "äb"]))),
        ("company_name", array(json!(["ab", "c ab", "cab", "B%"]))),
        ("a_email", array(json!(["a@b.cd", "A@b.cd", "b@b.cd"]))),
        ("a_number", array(json!([-1, 0, 0.5, 7, 7.0, 1e20, 18446744073709551615u64]))),
        ("a_checkbox", array(json!([true, false]))),
        ("a_date", array(json!(["0999-12-31", "2024-02-29", "2024-03-01"]))),
        (
            "a_datetime",
            array(json!(["2026-05-01T10:00:00.000Z", "2026-05-01T09:59:59.999Z", "2027-01-01T00:00:00.000Z"])),
        ),
        ("a_dropdown", array(json!(["zinc", "iron", "gold"]))),
        (
            "a_multi_select",
            array(json!([["zinc"], ["zinc", "gold"], ["iron", "gold"], ["zinc", "iron", "gold"], ["gold"]])),
        ),
    ]
}

const OPTIONS: [&str; 3] = ["zinc", "iron", "gold"];

/// Returns whether `contains` and `starts_with` work on a field as on text.
fn is_text(field: &str) -> bool {
    ["last_name", "company_name", "a_email"].contains(&field)
}

/// Compares two values by the sort order of their field. Neither is null.
fn compare(field: &str, a: &Value, b: &Value) -> Ordering {
    let option_index = |name: &Value| OPTIONS.iter().position(|option| name == option).unwrap();
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().unwrap().total_cmp(&b.as_f64().unwrap()),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => a.iter().map(option_index).cmp(b.iter().map(option_index)),
        _ if field == "a_dropdown" => option_index(a).cmp(&option_index(b)),
        _ => a.as_str().unwrap().cmp(b.as_str().unwrap()),
    }
}

/// Returns whether the operator `eq` treats two values as equal.
fn is_equal(field: &str, a: &Value, b: &Value) -> bool {
    if a.is_null() || b.is_null() {
        return false;
    }
    if field == "a_email" {
        return a.as_str().unwrap().eq_ignore_ascii_case(b.as_str().unwrap());
    }
    compare(field, a, b) == Ordering::Equal
}

/// Returns a text in lower case, or an empty text for null.
fn to_lowercase(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_lowercase()
}

/// Returns whether a contact matches a filter.
fn matches_filter(contact: &Value, filter: &Value) -> bool {
    let field = filter["property"].as_str().unwrap();
    let (stored, value) = (&contact[field], &filter["value"]);
    let is_in_list = || value.as_array().unwrap().iter().any(|value| is_equal(field, stored, value));
    let has_ordering =
        |is_expected: fn(Ordering) -> bool| !stored.is_null() && is_expected(compare(field, stored, value));
    match filter["operator"].as_str().unwrap() {
        "eq" => is_equal(field, stored, value),
        "neq" => !is_equal(field, stored, value),
        "in" => is_in_list(),
        "not_in" => !is_in_list(),
        "has_value" => !stored.is_null(),
        "has_no_value" => stored.is_null(),
        "lt" => has_ordering(Ordering::is_lt),
        "lte" => has_ordering(Ordering::is_le),
        "gt" => has_ordering(Ordering::is_gt),
        "gte" => has_ordering(Ordering::is_ge),
        "between" => {
            !stored.is_null() && compare(field, stored, &value[0]).is_ge() && compare(field, stored, &value[1]).is_le()
        }
        "contains" if stored.is_array() => stored.as_array().unwrap().contains(value),
        "contains" => !stored.is_null() && to_lowercase(stored).contains(&to_lowercase(value)),
        "starts_with" => !stored.is_null() && to_lowercase(stored).starts_with(&to_lowercase(value)),
        other => panic!("unknown operator {other}"),
    }
}

/// Returns whether a word of a query is the beginning of a word in a field that `query` searches.
fn matches_word(contact: &Value, word: &str) -> bool {
    let fields = ["first_name", "last_name", "email", "phone", "mobile_phone", "company_name"];
    fields.iter().any(|field| {
        let text = to_lowercase(&contact[*field]);
        text.match_indices(&word.to_lowercase()).any(|(at, _)| !text[..at].ends_with(char::is_alphanumeric))
    })
}

/// Returns the ids of the contacts that a search has to return, in order: the reference implementation.
fn expected_ids(contacts: &[Value], body: &Value) -> Vec<Value> {
    let matches_all = |contact: &Value, filters: &Value| {
        filters.as_array().unwrap().iter().all(|filter| matches_filter(contact, filter))
    };
    let groups = body["filter_groups"].as_array().unwrap();
    let mut matching: Vec<_> = contacts
        .iter()
        .filter(|contact| matches_all(contact, &body["filters"]))
        .filter(|contact| groups.is_empty() || groups.iter().any(|group| matches_all(contact, &group["filters"])))
        .filter(|contact| body["query"].as_str().unwrap().split(' ').all(|word| matches_word(contact, word)))
        .collect();
    matching.sort_by(|a, b| {
        let compare_by = |sort: &Value| {
            let sort = sort.as_str().unwrap();
            let field = sort.trim_start_matches('-');
            match (&a[field], &b[field]) {
                (Value::Null, Value::Null) => Ordering::Equal,
                (Value::Null, _) => Ordering::Greater,
                (_, Value::Null) => Ordering::Less,
                (a, b) if sort.starts_with('-') => compare(field, b, a),
                (a, b) => compare(field, a, b),
            }
        };
        let sorts = body["sorts"].as_array().unwrap();
        sorts
            .iter()
            .map(compare_by)
            .find(|order| order.is_ne())
            .unwrap_or_else(|| a["id"].as_str().cmp(&b["id"].as_str()))
    });
    matching.into_iter().map(|contact| contact["id"].clone()).collect()
}

/// Generates a valid filter.
fn filter_strategy() -> impl Strategy<Value = Value> {
    select(values_by_field()).prop_flat_map(|(field, values)| {
        let value = select(values.clone());
        let list = prop::collection::vec(value.clone(), 1..4);
        let part = select(vec!["a", "B", "%", "_", "äB", " ", "@", "ab c"]);
        let is_ordered = ["a_number", "a_date", "a_datetime"].contains(&field);
        let operators = if is_ordered { vec!["lt", "lte", "gt", "gte"] } else { vec!["eq"] };
        let filter_with =
            move |operator: &str, value: Value| json!({"property": field, "operator": operator, "value": value});
        let mut strategies = vec![
            (select(vec!["eq", "neq"]), value.clone())
                .prop_map(move |(operator, value)| filter_with(operator, value))
                .boxed(),
            (select(vec!["in", "not_in"]), list)
                .prop_map(move |(operator, values)| filter_with(operator, json!(values)))
                .boxed(),
            select(vec!["has_value", "has_no_value"])
                .prop_map(move |operator| json!({"property": field, "operator": operator}))
                .boxed(),
            (select(operators), value.clone()).prop_map(move |(operator, value)| filter_with(operator, value)).boxed(),
        ];
        if is_ordered {
            strategies.push(
                (value.clone(), value).prop_map(move |(low, high)| filter_with("between", json!([low, high]))).boxed(),
            );
        } else if is_text(field) {
            let operators = select(vec!["contains", "starts_with"]);
            strategies
                .push((operators, part).prop_map(move |(operator, part)| filter_with(operator, json!(part))).boxed());
        } else if field == "a_multi_select" {
            strategies
                .push(select(OPTIONS.to_vec()).prop_map(move |option| filter_with("contains", json!(option))).boxed());
        }
        prop::strategy::Union::new(strategies)
    })
}

/// Generates the body of a valid search.
fn search_strategy() -> impl Strategy<Value = Value> {
    let filters = |count| prop::collection::vec(filter_strategy(), count);
    let fields: Vec<_> = values_by_field().into_iter().map(|(field, _)| field).collect();
    let sorts = subsequence(fields, 0..4).prop_shuffle().prop_flat_map(|fields| {
        let directions = prop::collection::vec(any::<bool>(), fields.len());
        directions.prop_map(move |descending| {
            let names = fields.iter().zip(descending);
            names
                .map(|(field, is_descending)| format!("{}{field}", if is_descending { "-" } else { "" }))
                .collect::<Vec<_>>()
        })
    });
    let groups = prop::collection::vec(filters(1..3).prop_map(|filters| json!({"filters": filters})), 0..3);
    let query = select(vec!["", "", "", "a", "AB", "ab c", "ÄB", "B%", "c"]);
    (filters(0..3), groups, sorts, query, 1..40).prop_map(|(filters, groups, sorts, query, limit)| {
        json!({"filters": filters, "filter_groups": groups, "sorts": sorts, "query": query, "limit": limit})
    })
}

/// Creates contacts with many combinations of values, including unset fields. Returns all of them.
async fn create_contacts(account: &Account) -> Vec<Value> {
    for index in 0..60usize {
        let mut fields = serde_json::Map::from_iter([("first_name".to_owned(), json!(index.to_string()))]);
        for (step, (field, values)) in values_by_field().into_iter().enumerate() {
            let value = values.get((index * (2 * step + 1) + index / 7 * step) % (values.len() + 1));
            fields.insert(field.to_owned(), value.cloned().unwrap_or_default());
        }
        account.create(Value::Object(fields)).await;
    }
    let names: Vec<_> = values_by_field().into_iter().map(|(field, _)| field).collect();
    let page = account
        .get(&format!("/contacts?limit=100&properties={},phone,mobile_phone", names.join(",")))
        .await
        .expect(200);
    page.body["data"].as_array().unwrap().clone()
}

/// Returns the ids on all pages of a search.
async fn search_ids(account: &Account, body: &Value) -> Vec<Value> {
    let (mut ids, mut body) = (vec![], body.clone());
    loop {
        let page = account.post("/contacts/search", body.clone()).await.expect(200).body;
        ids.extend(page["data"].as_array().unwrap().iter().map(|contact| contact["id"].clone()));
        if page["pagination"]["next"].is_null() {
            return ids;
        }
        body["after"] = page["pagination"]["next"].clone();
    }
}

#[test]
fn search_results_equal_the_reference_implementation() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (account, contacts) = runtime.block_on(async {
        let account = account_with_every_type().await;
        let contacts = create_contacts(&account).await;
        (account, contacts)
    });
    let config = Config { cases: 200, failure_persistence: None, ..proptest_config() };
    TestRunner::new(config)
        .run(&search_strategy(), |body| {
            let ids = runtime.block_on(search_ids(&account, &body));
            prop_assert_eq!(ids, expected_ids(&contacts, &body), "{}", body);
            Ok(())
        })
        .unwrap();
}
