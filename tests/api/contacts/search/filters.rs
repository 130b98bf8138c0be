//! Search filters: every operator on every type, and groups of filters.

use serde_json::{Value, json};

use super::{account_with_every_type, search, search_by_filter, search_names};
use crate::support::Account;

/// Creates an account with three contacts: A and B have different values in every field, C has none.
async fn account_with_three_contacts() -> Account {
    let account = account_with_every_type().await;
    account
        .create(json!({
            "first_name": "A", "last_name": "Ä", "email": "Ada@Example.com", "external_id": "x-1", "phone": "+1 555 0100",
            "website": "https://a.example/x", "contact_owner": "owner@example.com", "job_title": "50% of_it",
            "a_text": "Straße", "a_email": "X@y.zz", "a_phone": "112", "a_url": "http://a.bc/?q=%25", "a_number": 1.5,
            "a_checkbox": true, "a_date": "2024-02-29", "a_datetime": "2026-05-01T10:00:00.5+02:00",
            "a_user": "u@v.ww", "a_dropdown": "zinc", "a_multi_select": ["gold", "zinc"]
        }))
        .await;
    account
        .create(json!({
            "first_name": "B", "last_name": "Zoë", "email": "bob@example.org", "external_id": "X-1", "phone": "+44 20 7946",
            "website": "https://b.example/x", "contact_owner": "Owner@example.com", "job_title": "50 of it",
            "a_text": "strasse", "a_email": "q@y.zz", "a_phone": "911", "a_url": "http://b.bc/", "a_number": 18446744073709551615u64,
            "a_checkbox": false, "a_date": "2024-03-01", "a_datetime": "2026-05-01T08:00:00.501Z",
            "a_user": "U@v.ww", "a_dropdown": "gold", "a_multi_select": ["zinc"]
        }))
        .await;
    account.create(json!({"first_name": "C"})).await;
    account
}

/// Returns for each type a field, the value of A and a value that no contact has.
///
/// The value of A is spelled differently where that makes no difference to the comparison.
fn values_by_field() -> Vec<(&'static str, Value, Value)> {
    vec![
        ("last_name", json!("Ä"), json!("ä")),
        ("email", json!(" ADA@example.COM"), json!("c@example.com")),
        ("external_id", json!("x-1"), json!("x-2")),
        ("contact_owner", json!("owner@example.com"), json!("OWNER@example.com")),
        ("phone", json!("+1 555 0100 "), json!("+15550100")),
        ("website", json!("https://a.example/x"), json!("https://a.example/X")),
        ("a_text", json!("Straße"), json!("STRASSE")),
        ("a_email", json!("x@Y.zz"), json!("xx@y.zz")),
        ("a_phone", json!("112"), json!("113")),
        ("a_url", json!("http://a.bc/?q=%25"), json!("http://a.bc/?q=%")),
        ("a_number", json!(1.50), json!(1)),
        ("a_checkbox", json!(true), Value::Null),
        ("a_date", json!("2024-02-29"), json!("2024-02-28")),
        ("a_datetime", json!("2026-05-01T03:00:00.5009-05:00"), json!("2026-05-01T10:00:00.5Z")),
        ("a_user", json!("u@v.ww"), json!("uu@v.ww")),
        ("a_dropdown", json!("zinc"), json!("iron")),
        ("a_multi_select", json!(["zinc", "gold", "zinc"]), json!(["gold"])),
    ]
}

#[tokio::test]
async fn equality_and_presence_operators_work_on_every_type() {
    let account = account_with_three_contacts().await;
    for (field, value, other) in values_by_field() {
        assert_eq!(search_by_filter(&account, field, "eq", value.clone()).await, "A", "{field} eq");
        assert_eq!(search_by_filter(&account, field, "neq", value.clone()).await, "B C", "{field} neq");
        assert_eq!(search_by_filter(&account, field, "in", json!([value.clone()])).await, "A", "{field} in");
        assert_eq!(
            search_by_filter(&account, field, "not_in", json!([value.clone(), value.clone()])).await,
            "B C",
            "{field} not_in"
        );
        assert_eq!(search_by_filter(&account, field, "has_value", Value::Null).await, "A B", "{field} has_value");
        assert_eq!(search_by_filter(&account, field, "has_no_value", Value::Null).await, "C", "{field} has_no_value");
        if !other.is_null() {
            assert_eq!(search_by_filter(&account, field, "eq", other.clone()).await, "", "{field} eq");
            assert_eq!(search_by_filter(&account, field, "neq", other.clone()).await, "A B C", "{field} neq");
            assert_eq!(search_by_filter(&account, field, "in", json!([other, value])).await, "A", "{field} in");
        }
    }
}

#[tokio::test]
async fn comparison_operators_work_on_numbers_and_times() {
    let account = account_with_three_contacts().await;
    for (field, low, high) in [
        ("a_number", json!(1.5), json!(18446744073709551615u64)),
        ("a_date", json!("2024-02-29"), json!("2024-03-01")),
        ("a_datetime", json!("2026-05-01T08:00:00.5Z"), json!("2026-05-01T10:00:00.501+02:00")),
    ] {
        for (operator, value, expected) in [
            ("lt", &low, ""),
            ("lte", &low, "A"),
            ("gt", &low, "B"),
            ("gte", &low, "A B"),
            ("lt", &high, "A"),
            ("lte", &high, "A B"),
            ("gt", &high, ""),
            ("gte", &high, "B"),
        ] {
            assert_eq!(
                search_by_filter(&account, field, operator, value.clone()).await,
                expected,
                "{field} {operator} {value}"
            );
        }
        assert_eq!(search_by_filter(&account, field, "between", json!([low, high])).await, "A B", "{field}");
        assert_eq!(search_by_filter(&account, field, "between", json!([high, high])).await, "B", "{field}");
        assert_eq!(search_by_filter(&account, field, "between", json!([high, low])).await, "", "{field}");
    }
    assert_eq!(search_by_filter(&account, "a_number", "gt", json!(-1e308)).await, "A B");
    assert_eq!(search_by_filter(&account, "a_number", "gt", json!(18446744073709551614u64)).await, "B");
}

#[tokio::test]
async fn contains_on_multi_select_matches_one_option() {
    let account = account_with_three_contacts().await;
    for (option, expected) in [("zinc", "A B"), ("gold", "A"), ("iron", "")] {
        assert_eq!(search_by_filter(&account, "a_multi_select", "contains", json!(option)).await, expected);
    }
}

#[tokio::test]
async fn id_filters_ignore_case() {
    let account = Account::new().await;
    let (a, b) = (account.create(json!({"first_name": "A"})).await, account.create(json!({"first_name": "B"})).await);
    assert_eq!(search_by_filter(&account, "id", "eq", json!(a.to_uppercase())).await, "A");
    assert_eq!(search_by_filter(&account, "id", "in", json!([b, a, uuid::Uuid::nil()])).await, "A B");
    assert_eq!(search_by_filter(&account, "id", "neq", json!(a)).await, "B");
    assert_eq!(search_by_filter(&account, "id", "not_in", json!([a, b])).await, "");
    assert_eq!(search_by_filter(&account, "id", "has_value", json!(null)).await, "A B");
    assert_eq!(search_by_filter(&account, "id", "has_no_value", json!(null)).await, "");
}

#[tokio::test]
async fn filters_are_combined_by_and_and_groups_by_or() {
    let account = account_with_three_contacts().await;
    let filter = |property: &str, value: Value| json!({"property": property, "operator": "eq", "value": value});
    let (is_a, is_b, is_c) =
        (filter("first_name", json!("A")), filter("first_name", json!("B")), filter("first_name", json!("C")));
    let zinc = json!({"property": "a_multi_select", "operator": "contains", "value": "zinc"});
    for (body, expected) in [
        (json!({"filters": [is_a, is_b]}), ""),
        (json!({"filters": [is_a, zinc]}), "A"),
        (json!({"filter_groups": [{"filters": [is_a]}, {"filters": [is_c]}]}), "A C"),
        (json!({"filter_groups": [{"filters": [is_a, zinc]}, {"filters": [is_c, zinc]}]}), "A"),
        (json!({"filters": [zinc], "filter_groups": [{"filters": [is_b]}, {"filters": [is_c]}]}), "B"),
        (json!({"filters": [], "filter_groups": []}), "A B C"),
        (json!({"filters": null, "filter_groups": null, "query": null, "sorts": null, "after": null}), "A B C"),
        (json!({"filters": [zinc], "query": "zoë"}), "B"),
    ] {
        assert_eq!(search_names(&account, body.clone()).await.join(" "), expected, "{body}");
    }
}

#[tokio::test]
async fn unique_key_filters_match_alone_and_in_groups() {
    let account = Account::new().await;
    account.define(json!({"label": "badge", "type": "number", "unique": true})).await;
    for (name, email, badge) in
        [("A", "a@example.com", json!(1)), ("B", "B@example.com", json!(2.5)), ("C", "c@example.com", json!(null))]
    {
        account.create(json!({"first_name": name, "email": email, "badge": badge})).await;
    }
    let filter = |property: &str, values: Value| json!({"property": property, "operator": "in", "value": values});
    let (emails, badges) =
        (filter("email", json!(["A@example.com", "b@EXAMPLE.com"])), filter("badge", json!([2.50, 3])));
    for (body, expected) in [
        (json!({"filters": [emails]}), "A B"),
        (json!({"filters": [badges]}), "B"),
        (json!({"filters": [badges, emails]}), "B"),
        (json!({"filter_groups": [{"filters": [badges]}, {"filters": [emails]}]}), "A B"),
        (json!({"filter_groups": [{"filters": [badges]}, {"filters": [filter("first_name", json!(["C"]))]}]}), "B C"),
    ] {
        assert_eq!(search_names(&account, body.clone()).await.join(" "), expected, "{body}");
    }
}

#[tokio::test]
async fn search_returns_archived_contacts_only_on_request() {
    let account = Account::new().await;
    let archived_id = account.create(json!({"first_name": "A", "email": "a@example.com"})).await;
    account.delete(&format!("/contacts/{archived_id}")).await.expect(200);
    let active_id = account.create(json!({"first_name": "B", "email": "A@example.com"})).await;
    let archived_at = account.get(&format!("/contacts/{archived_id}")).await.body["archived"].clone();
    for (filters, active, all) in [
        (json!([]), "B", "A B"),
        (json!([{"property": "email", "operator": "eq", "value": "a@example.com"}]), "B", "A B"),
        (json!([{"property": "id", "operator": "in", "value": [archived_id, active_id]}]), "B", "A B"),
        (json!([{"property": "archived", "operator": "has_value"}]), "", "A"),
        (json!([{"property": "archived", "operator": "has_no_value"}]), "B", "B"),
        (json!([{"property": "archived", "operator": "eq", "value": false}]), "B", "B"),
        (json!([{"property": "archived", "operator": "neq", "value": false}]), "", "A"),
        (json!([{"property": "archived", "operator": "eq", "value": archived_at}]), "", "A"),
        (json!([{"property": "archived", "operator": "neq", "value": archived_at}]), "B", "B"),
        (json!([{"property": "archived", "operator": "in", "value": [false, archived_at]}]), "B", "A B"),
        (json!([{"property": "archived", "operator": "not_in", "value": [false, archived_at]}]), "", ""),
        (json!([{"property": "archived", "operator": "gte", "value": archived_at}]), "", "A"),
        (json!([{"property": "archived_by", "operator": "eq", "value": "tester"}]), "", "A"),
        (json!([{"property": "archived_by", "operator": "has_no_value"}]), "B", "B"),
    ] {
        for (flag, expected) in [(false, active), (true, all)] {
            let body = json!({"filters": filters, "archived": flag});
            assert_eq!(search_names(&account, body.clone()).await.join(" "), expected, "{body}");
        }
    }
    let response = search(&account, json!({"archived": true})).await;
    assert_eq!(response.body["data"][0]["archived_by"], "tester");
}

#[tokio::test]
async fn a_search_reads_its_own_writes() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A", "job_title": "0"})).await;
    for title in 1..20 {
        account.patch(&id, json!({"job_title": title.to_string()})).await.expect(200);
        assert_eq!(search_by_filter(&account, "job_title", "eq", json!(title.to_string())).await, "A");
        assert_eq!(search_by_filter(&account, "job_title", "eq", json!((title - 1).to_string())).await, "");
    }
}

#[tokio::test]
async fn search_never_returns_contacts_of_another_account() {
    let (owner, other_account) = (Account::new().await, Account::new().await);
    let id = owner.create(json!({"first_name": "A", "email": "a@example.com", "external_id": "1"})).await;
    owner.define(json!({"label": "Secret", "type": "text"})).await;
    for (property, value) in
        [("id", json!(id)), ("email", json!("a@example.com")), ("external_id", json!("1")), ("first_name", json!("A"))]
    {
        assert_eq!(search_by_filter(&owner, property, "eq", value.clone()).await, "A");
        assert_eq!(search_by_filter(&other_account, property, "eq", value).await, "");
    }
    assert_eq!(search_names(&other_account, json!({"query": "a", "archived": true})).await, [""; 0]);
    for body in [json!({"filters": [{"property": "secret", "operator": "has_value"}]}), json!({"sorts": ["secret"]})] {
        other_account.post("/contacts/search", body).await.expect_error(400, "invalid_query");
    }
}
