//! Any search finds what a plain reading of the contract finds in the same contacts, in the same order.

use std::cmp::Ordering;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::account_with_every_type;
use crate::support::Account;

/// Each field with the values that contacts have, and filters ask for.
fn pools() -> Vec<(&'static str, Vec<Value>)> {
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

fn is_text(field: &str) -> bool {
    ["last_name", "company_name", "a_email"].contains(&field)
}

/// Two set values in the order of their field.
fn compare(field: &str, a: &Value, b: &Value) -> Ordering {
    let place = |name: &Value| OPTIONS.iter().position(|option| name == option).unwrap();
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().unwrap().total_cmp(&b.as_f64().unwrap()),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => a.iter().map(place).cmp(b.iter().map(place)),
        _ if field == "a_dropdown" => place(a).cmp(&place(b)),
        _ => a.as_str().unwrap().cmp(b.as_str().unwrap()),
    }
}

fn is_equal(field: &str, a: &Value, b: &Value) -> bool {
    if a.is_null() || b.is_null() {
        return false;
    }
    if field == "a_email" {
        return a.as_str().unwrap().eq_ignore_ascii_case(b.as_str().unwrap());
    }
    compare(field, a, b) == Ordering::Equal
}

fn lower(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_lowercase()
}

/// Whether a contact passes a filter.
fn passes(contact: &Value, filter: &Value) -> bool {
    let field = filter["property"].as_str().unwrap();
    let (own, value) = (&contact[field], &filter["value"]);
    let among = || value.as_array().unwrap().iter().any(|value| is_equal(field, own, value));
    let ordered = |holds: fn(Ordering) -> bool| !own.is_null() && holds(compare(field, own, value));
    match filter["operator"].as_str().unwrap() {
        "eq" => is_equal(field, own, value),
        "neq" => !is_equal(field, own, value),
        "in" => among(),
        "not_in" => !among(),
        "has_value" => !own.is_null(),
        "has_no_value" => own.is_null(),
        "lt" => ordered(Ordering::is_lt),
        "lte" => ordered(Ordering::is_le),
        "gt" => ordered(Ordering::is_gt),
        "gte" => ordered(Ordering::is_ge),
        "between" => !own.is_null() && compare(field, own, &value[0]).is_ge() && compare(field, own, &value[1]).is_le(),
        "contains" if own.is_array() => own.as_array().unwrap().contains(value),
        "contains" => !own.is_null() && lower(own).contains(&lower(value)),
        "starts_with" => !own.is_null() && lower(own).starts_with(&lower(value)),
        other => panic!("{other}"),
    }
}

fn has_word(contact: &Value, word: &str) -> bool {
    let fields = ["first_name", "last_name", "email", "phone", "mobile_phone", "company_name"];
    fields.iter().any(|field| {
        let text = lower(&contact[*field]);
        text.match_indices(&word.to_lowercase()).any(|(at, _)| !text[..at].ends_with(char::is_alphanumeric))
    })
}

/// The ids that a search finds among these contacts, in its order.
fn expected(contacts: &[Value], body: &Value) -> Vec<Value> {
    let all =
        |contact: &Value, filters: &Value| filters.as_array().unwrap().iter().all(|filter| passes(contact, filter));
    let groups = body["filter_groups"].as_array().unwrap();
    let mut found: Vec<_> = contacts
        .iter()
        .filter(|contact| all(contact, &body["filters"]))
        .filter(|contact| groups.is_empty() || groups.iter().any(|group| all(contact, &group["filters"])))
        .filter(|contact| body["query"].as_str().unwrap().split(' ').all(|word| has_word(contact, word)))
        .collect();
    found.sort_by(|a, b| {
        let by = |sort: &Value| {
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
        sorts.iter().map(by).find(|order| order.is_ne()).unwrap_or_else(|| a["id"].as_str().cmp(&b["id"].as_str()))
    });
    found.into_iter().map(|contact| contact["id"].clone()).collect()
}

fn filter() -> impl Strategy<Value = Value> {
    select(pools()).prop_flat_map(|(field, pool)| {
        let one = select(pool.clone());
        let many = prop::collection::vec(one.clone(), 1..4);
        let part = select(vec!["a", "B", "%", "_", "äB", " ", "@", "ab c"]);
        let is_ordered = ["a_number", "a_date", "a_datetime"].contains(&field);
        let orders = if is_ordered { vec!["lt", "lte", "gt", "gte"] } else { vec!["eq"] };
        let of = move |operator: &str, value: Value| json!({"property": field, "operator": operator, "value": value});
        let mut kinds = vec![
            (select(vec!["eq", "neq"]), one.clone()).prop_map(move |(operator, value)| of(operator, value)).boxed(),
            (select(vec!["in", "not_in"]), many)
                .prop_map(move |(operator, values)| of(operator, json!(values)))
                .boxed(),
            select(vec!["has_value", "has_no_value"])
                .prop_map(move |operator| json!({"property": field, "operator": operator}))
                .boxed(),
            (select(orders), one.clone()).prop_map(move |(operator, value)| of(operator, value)).boxed(),
        ];
        if is_ordered {
            kinds.push((one.clone(), one).prop_map(move |(low, high)| of("between", json!([low, high]))).boxed());
        } else if is_text(field) {
            let operators = select(vec!["contains", "starts_with"]);
            kinds.push((operators, part).prop_map(move |(operator, part)| of(operator, json!(part))).boxed());
        } else if field == "a_multi_select" {
            kinds.push(select(OPTIONS.to_vec()).prop_map(move |option| of("contains", json!(option))).boxed());
        }
        prop::strategy::Union::new(kinds)
    })
}

fn search() -> impl Strategy<Value = Value> {
    let filters = |count| prop::collection::vec(filter(), count);
    let fields: Vec<_> = pools().into_iter().map(|(field, _)| field).collect();
    let sorts = subsequence(fields, 0..4).prop_shuffle().prop_flat_map(|fields| {
        let directions = prop::collection::vec(any::<bool>(), fields.len());
        directions.prop_map(move |downwards| {
            let names = fields.iter().zip(downwards);
            names.map(|(field, down)| format!("{}{field}", if down { "-" } else { "" })).collect::<Vec<_>>()
        })
    });
    let groups = prop::collection::vec(filters(1..3).prop_map(|filters| json!({"filters": filters})), 0..3);
    let query = select(vec!["", "", "", "a", "AB", "ab c", "ÄB", "B%", "c"]);
    (filters(0..3), groups, sorts, query, 1..40).prop_map(|(filters, groups, sorts, query, limit)| {
        json!({"filters": filters, "filter_groups": groups, "sorts": sorts, "query": query, "limit": limit})
    })
}

/// Contacts that have each value of each field, and none, in many combinations.
async fn populate(account: &Account) -> Vec<Value> {
    for index in 0..60usize {
        let mut fields = serde_json::Map::from_iter([("first_name".to_owned(), json!(index.to_string()))]);
        for (step, (field, pool)) in pools().into_iter().enumerate() {
            let value = pool.get((index * (2 * step + 1) + index / 7 * step) % (pool.len() + 1));
            fields.insert(field.to_owned(), value.cloned().unwrap_or_default());
        }
        account.create(Value::Object(fields)).await;
    }
    let names: Vec<_> = pools().into_iter().map(|(field, _)| field).collect();
    let page = account
        .get(&format!("/contacts?limit=100&properties={},phone,mobile_phone", names.join(",")))
        .await
        .expect(200);
    page.body["data"].as_array().unwrap().clone()
}

/// The ids on all pages of a search.
async fn found(account: &Account, body: &Value) -> Vec<Value> {
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
fn any_search_finds_what_a_plain_reading_finds() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (account, contacts) = runtime.block_on(async {
        let account = account_with_every_type().await;
        let contacts = populate(&account).await;
        (account, contacts)
    });
    let config = Config { cases: 200, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&search(), |body| {
            let found = runtime.block_on(found(&account, &body));
            prop_assert_eq!(found, expected(&contacts, &body), "{}", body);
            Ok(())
        })
        .unwrap();
}
