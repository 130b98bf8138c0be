//! `sorts`: the order of search results.

use serde_json::{Value, json};

use super::{account_with_every_type, search, search_names};
use crate::support::Account;

/// Creates an account with a contact for each of these values of a field. Its first name is the index of the value.
async fn account_with_values(field: &str, values: &[Value]) -> Account {
    let account = account_with_every_type().await;
    for (index, value) in values.iter().enumerate() {
        account.create(json!({"first_name": index.to_string(), field: value})).await;
    }
    account
}

/// Returns the first names of all contacts in this order, separated by spaces.
async fn search_sorted(account: &Account, sorts: &[&str]) -> String {
    search_names(account, json!({"sorts": sorts, "limit": 100})).await.join(" ")
}

#[tokio::test]
async fn search_sorts_nulls_last_in_both_directions_and_ties_by_id() {
    for (field, values, ascending, descending) in [
        // By code point: upper case before lower case, letters with accents last.
        ("job_title", json!(["b", null, "a", "B", "ä", "b", "a b", null]), "3 2 6 0 5 4 1 7", "4 0 5 6 2 3 1 7"),
        ("a_text", json!(["\u{ffff}", "\u{10000}", "z", null, "Z"]), "4 2 0 1 3", "1 0 2 4 3"),
        (
            "a_number",
            json!([10, 9.5, null, -1, 1e300, 10.0, 18446744073709551615u64]),
            "3 1 0 5 6 4 2",
            "4 6 0 5 1 3 2",
        ),
        ("a_checkbox", json!([true, null, false, true]), "2 0 3 1", "0 3 2 1"),
        ("a_date", json!(["2024-02-29", "0001-01-01", null, "9999-12-31"]), "1 0 3 2", "3 0 1 2"),
        (
            "a_datetime",
            json!(["2026-05-01T10:00:00+02:00", "2026-05-01T09:00:00Z", null, "1969-12-31T23:59:59.999Z"]),
            "3 0 1 2",
            "1 0 3 2",
        ),
        // By the order of the options: zinc, iron, gold.
        ("a_dropdown", json!(["gold", "zinc", null, "iron", "zinc"]), "1 4 3 0 2", "0 3 1 4 2"),
        // By the first option, then the second. A set comes after its own prefix.
        (
            "a_multi_select",
            json!([["gold"], ["gold", "zinc"], null, ["zinc"], ["iron", "zinc"], ["iron"], ["zinc", "gold"]]),
            "3 4 1 6 5 0 2",
            "0 5 1 6 4 3 2",
        ),
    ] {
        let account = account_with_values(field, values.as_array().unwrap()).await;
        assert_eq!(search_sorted(&account, &[field]).await, ascending, "{field}");
        assert_eq!(search_sorted(&account, &[&format!("-{field}")]).await, descending, "-{field}");
    }
}

#[tokio::test]
async fn search_applies_several_sorts_in_sequence() {
    let account = Account::new().await;
    for (name, company, title) in
        [("0", "b", Some("x")), ("1", "a", Some("y")), ("2", "a", None), ("3", "b", Some("y")), ("4", "a", Some("y"))]
    {
        account.create(json!({"first_name": name, "company_name": company, "job_title": title})).await;
    }
    for (sorts, expected) in [
        (vec!["company_name", "job_title"], "1 4 2 0 3"),
        (vec!["company_name", "-job_title"], "1 4 2 3 0"),
        (vec!["-company_name", "job_title", "-id"], "0 3 4 1 2"),
        (vec!["-job_title", "-company_name"], "3 1 4 0 2"),
        (vec!["job_title", "-first_name"], "0 4 3 1 2"),
        (vec!["-id", "company_name"], "4 3 2 1 0"),
        (vec!["id"], "0 1 2 3 4"),
        (vec![], "0 1 2 3 4"),
        (vec!["-created_at", "-id"], "4 3 2 1 0"),
        (vec!["archived", "archived_by", "contact_owner"], "0 1 2 3 4"),
    ] {
        assert_eq!(search_sorted(&account, &sorts).await, expected, "{sorts:?}");
    }
}

#[tokio::test]
async fn search_sorts_by_system_times() {
    let account = Account::new().await;
    let mut ids = vec![];
    for name in ["0", "1", "2"] {
        ids.push(account.create(json!({"first_name": name})).await);
    }
    account.patch(&ids[0], json!({"last_name": "later"})).await.expect(200);
    for id in [&ids[2], &ids[1]] {
        account.delete(&format!("/contacts/{id}")).await.expect(200);
        // Times are stored in milliseconds.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    for (sort, expected) in [
        ("updated_at", "0 2 1"),
        ("-updated_at", "1 2 0"),
        ("archived", "2 1 0"),
        ("-archived", "1 2 0"),
        ("archived_by", "1 2 0"),
    ] {
        assert_eq!(
            search_names(&account, json!({"sorts": [sort], "archived": true})).await.join(" "),
            expected,
            "{sort}"
        );
    }
}

#[tokio::test]
async fn reordering_the_options_reorders_the_contacts() {
    let account = account_with_values("a_dropdown", &["gold", "zinc", "iron"].map(Value::from)).await;
    assert_eq!(search_sorted(&account, &["a_dropdown"]).await, "1 2 0");
    let first = search(&account, json!({"sorts": ["a_dropdown"], "limit": 1})).await;
    let options = ["new", "iron", "zinc", "gold"].map(|name| json!({"internal_name": name, "label": name}));
    account.call("PATCH", "/fields/a_dropdown").json(&json!({"options": options})).send().await.expect(200);
    assert_eq!(search_sorted(&account, &["a_dropdown"]).await, "2 1 0");
    // A cursor holds the option, not its former position.
    let next = json!({"sorts": ["a_dropdown"], "after": first.body["pagination"]["next"]});
    assert_eq!(search_names(&account, next).await, ["0"]);
}
